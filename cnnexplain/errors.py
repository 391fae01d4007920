"""The errors that users cause and can mend: shown as one or two plain lines. Anything else is a bug."""

import difflib
import inspect
import re
import reprlib
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cnnexplain.interruption import check_interrupted

__all__ = [
    "CnnExplainError",
    "ImageError",
    "InterruptionError",
    "ModelError",
    "OutputError",
    "PluginError",
    "UsageError",
    "check_interrupted",
    "suggest",
]

VALUE, TEXT = 80, 200
"""Characters that an error shows of a value, and of a text that another program wrote."""

WORD, LONGEST = 300, 900
"""Characters of a word, and of a whole message, from which on an error is shortened; some list all layers or classes."""

LONG = 100_000
"""Characters of an error's message that are looked through."""

DIGITS = 1000
"""Whole numbers of more bits are not written out: Python refuses to from some thousand digits on."""

TERMINAL = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|[@-_])")
"""What drives a terminal in the texts of Keras and of others."""

WRAPPED = re.compile(
    r"\A(?:Exception encountered when calling [^\n]*|Could not automatically infer the output shape.*? encountered:)\n\n"
    r"(.*?)(?:\n\nArguments received by .*)?\Z",
    re.DOTALL,
)
"""What Keras writes around the error of a layer."""

NOISE = re.compile(
    r"\s*(Graph execution error:|Detected at node .* defined at.*|<stack traces unavailable>|in user code:|File \".*"
    r"|\d+ root error\(s\) found\.|\(\d+\) [A-Z_]+: *)\s*"
)
"""Lines in which TensorFlow says where an error comes from, which is seldom the user's own code."""

PLACE = re.compile(r"\s*(\{\{function_node [^}]*\}\}|\[\[\{\{node .*?\}\}\]\]|\[Op:\S*\]( name: ?\S*)?|\[\[[^\]]*\]\])")
"""The same within a line."""


class CnnExplainError(Exception):
    """Something that was named exists but can't be used, or can't be done. The command line exits with 1."""

    exit_code = 1

    def __str__(self) -> str:
        """What is wrong, in which no value is repeated that would fill the screen."""
        return short(super().__str__())


class UsageError(CnnExplainError, ValueError):
    """Something that was named does not exist: an analysis, option value, label, file or sample. Exits with 2.

    It is a `ValueError` too, which other libraries raise for an argument that they can't take.
    """

    exit_code = 2


class ImageError(CnnExplainError):
    """An image file or array that can't be explained."""


class ModelError(CnnExplainError):
    """A model that can't be loaded, or whose explanation would be wrong."""


class PluginError(CnnExplainError):
    """A plugin that breaks the contract of `cnnexplain.plugin`."""


class OutputError(CnnExplainError):
    """A file or folder that can't be written, or that holds something which isn't ours to replace."""


class InterruptionError(CnnExplainError):
    """Ctrl-C, where something is kept that the user should know of. Exits with 130."""

    exit_code = 130


@contextmanager
def foreign(say: Callable[[BaseException], CnnExplainError], *passing: type[BaseException]) -> Iterator[None]:
    """Runs code of a user or a plugin, which may raise anything: it becomes an error of ours, with its own as the cause.

    Ctrl-C and errors of ours pass as they are.

    Args:
        say: The error for what was raised.
        *passing: What passes too.
    """
    try:
        yield
    except passing:
        raise
    except CnnExplainError as error:
        # A plugin may raise them too.
        if len("".join(map(str, error.args))) <= LONGEST:
            raise
        raise say(error) from error
    # A program that wants to end, such as a plugin that calls sys.exit(0), has not done what it was called for.
    except BaseException as error:
        check_interrupted(error)
        raise say(error) from error


def failure(error: BaseException, function: Callable[..., Any]) -> str:
    """What went wrong in a plugin's function, and the last line of the plugin's own code on the way there."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    folder = None if code is None else Path(code.co_filename).parent
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).parent == folder]
    place = f" ({line(Path(lines[-1].filename).name)}, line {lines[-1].lineno})" if lines else ""
    return f"{reason(error)}{place}"


def reason(error: BaseException) -> str:
    """An error's class and message in one line, whatever its text is like: "ValueError: axes don't match"."""
    text = line(_message(error))
    # A group says how many there are, and no more.
    if isinstance(error, BaseExceptionGroup):
        text += f": {reason(error.exceptions[0])}"
    kind = line(type(error).__name__, VALUE)
    return f"{kind}: {text}" if text else kind


def _message(error: BaseException) -> str:
    """What an error says, without what Keras and TensorFlow write around it."""
    try:
        text = TERMINAL.sub("", str(error)[:LONG])
        # A KeyError writes its text as Python would, the ends of its lines too.
        if isinstance(error, KeyError) and "\\n" in text:
            text = TERMINAL.sub("", str(error.args[0])[:LONG])
    except KeyboardInterrupt:
        raise
    # Of an error that can't even say what is wrong its class must do.
    except BaseException:  # noqa: BLE001
        return ""
    while (found := WRAPPED.match(text.lstrip())) is not None:
        text = found[1]
    lines = [PLACE.sub("", each) for each in text.splitlines() if not NOISE.fullmatch(each)]
    return "\n".join(lines) if any(map(str.strip, lines)) else text


def short(text: str) -> str:
    """A message without the rest of words that are longer than any in a language or a path, in one line, and with an end."""
    return _cut(_legible(re.sub(rf"\S{{{WORD},}}", _word, text[:LONG])), LONGEST)


def _word(found: re.Match[str]) -> str:
    """The beginning of a long word, and the quotes, brackets and marks that it ends in, which close what stands before."""
    closing = re.search(r"['\")\]]{0,3}[.,:;!?]?\Z", found[0])
    return _cut(found[0], VALUE) + ("" if closing is None else closing[0])


def line(text: object, most: int = TEXT) -> str:
    """A text as one line of so many characters at most, in which nothing can drive a terminal."""
    # No more of a long text is looked at than can be shown.
    words = " ".join(str(text)[: 4 * most].split())
    return _cut(_legible(words), most)


def shown(value: object, most: int = VALUE) -> str:
    """A value as Python writes it, in one line of so many characters at most; of an array its type, shape and dtype."""
    short = _Short()
    short.maxstring = short.maxother = most
    try:
        text = short.repr(value)
    except KeyboardInterrupt:
        raise
    # The value may be of anyone's class.
    except BaseException:  # noqa: BLE001
        text = f"<{type(value).__name__}>"
    return line(text, most)


class _Short(reprlib.Repr):
    """Writes values without going through all of a large one."""

    def repr_int(self, x: int, level: int) -> str:  # noqa: ARG002
        return repr(x) if x.bit_length() <= DIGITS else f"<int of {x.bit_length()} bits>"

    def repr_instance(self, x: Any, level: int) -> str:
        shape = getattr(x, "shape", None)
        if shape and hasattr(x, "dtype"):
            return f"<{type(x).__name__} of shape {tuple(shape)}, {x.dtype}>"
        return super().repr_instance(x, level)


def _legible(text: str) -> str:
    return text if text.isprintable() else "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def suggest(word: object, known: Iterable[str]) -> str:
    """A " Did you mean 'saliency'?" to append to a message; empty where no known word is close."""
    if not isinstance(word, str) or len(word) > WORD:
        return ""
    close = difflib.get_close_matches(word.lower(), {name.lower(): None for name in known}, n=1)
    exact = [name for name in known if close and name.lower() == close[0]]
    return f" Did you mean '{exact[0]}'?" if exact else ""

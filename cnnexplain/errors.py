"""The errors that users cause and can fix, shown in one or two lines. Any other error is a bug."""

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
    "OutOfMemoryError",
    "OutputError",
    "PluginError",
    "UsageError",
    "check_interrupted",
    "suggest",
]

VALUE, TEXT = 80, 200
"""The maximum number of characters in an error of a value, and of a text from another program."""

WORD, LONGEST = 300, 900
"""The number of characters above which words and messages are shortened; some messages list all layers or classes."""

LONG = 100_000
"""The number of characters of an error message that are processed."""

MAX_BITS = 1000
"""Integers with more bits are not shown. Python itself can't convert integers with thousands of digits."""

TERMINAL = r"\x1b(\[[0-9;?]*[ -/]*[@-~]|[@-_])"
"""Escape sequences for terminals, in messages of Keras and other libraries."""

WRAPPED = (
    r"(?s)\A(?:Exception encountered when calling [^\n]*|Could not automatically infer the output shape.*? encountered:)\n\n"
    r"(.*?)(?:\n\nArguments received by .*)?\Z"
)
"""The text that Keras adds around the error of a layer."""

NOISE = (
    r"\s*(Graph execution error:|Detected at node .* defined at.*|<stack traces unavailable>|in user code:|File \".*"
    r"|\d+ root error\(s\) found\.|\(\d+\) [A-Z_]+: *)\s*"
)
"""Lines in which TensorFlow reports the origin of an error, which is rarely the user's code."""

PLACE = r"\s*(\{\{function_node [^}]*\}\}|\[\[\{\{node .*?\}\}\]\]|\[Op:\S*\]( name: ?\S*)?|\[\[[^\]]*\]\])"
"""The same within a line."""


class CnnExplainError(Exception):
    """Something exists but can't be used, or an operation failed. The command line exits with 1."""

    exit_code = 1

    def __str__(self) -> str:
        """The message, shortened if a value in it would fill the screen."""
        return short(super().__str__())


class UsageError(CnnExplainError, ValueError):
    """An argument is invalid or names something that does not exist. The command line exits with 2.

    It is also a `ValueError`, which other libraries raise for invalid arguments.
    """

    exit_code = 2


class ImageError(CnnExplainError):
    """An image file or array that can't be explained."""


class ModelError(CnnExplainError):
    """A model that can't be loaded, or whose explanation would be wrong."""


class OutOfMemoryError(ModelError):
    """A model that needs more memory than there is, even for the smallest batch."""


class PluginError(CnnExplainError):
    """A plugin that violates the contract of `cnnexplain.plugin`."""


class OutputError(CnnExplainError):
    """A file or folder that can't be written, or that contains files of others which must not be replaced."""


class InterruptionError(CnnExplainError):
    """Ctrl-C, with a message about the results that are kept. The command line exits with 130."""

    exit_code = 130


@contextmanager
def foreign(convert: Callable[[BaseException], CnnExplainError], *passing: type[BaseException]) -> Iterator[None]:
    """A context for code of a user or plugin, which may raise anything: converts its errors to errors of this package.

    Ctrl-C and errors of this package are not converted.

    Args:
        convert: Returns the error to raise, given the original one.
        *passing: Other errors that are not converted.
    """
    try:
        yield
    except passing:
        raise
    except CnnExplainError as error:
        # A plugin may raise one with a message of any length.
        if len("".join(map(str, error.args))) <= LONGEST:
            raise
        raise convert(error) from error
    # Includes SystemExit: a plugin that calls sys.exit(0) has failed.
    except BaseException as error:
        check_interrupted(error)
        raise convert(error) from error


def failure(error: BaseException, function: Callable[..., Any]) -> str:
    """Describes the error of a plugin's function, with the last line of the plugin's own code in the traceback."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    folder = None if code is None else Path(code.co_filename).parent
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).parent == folder]
    place = f" ({line(Path(lines[-1].filename).name)}, line {lines[-1].lineno})" if lines else ""
    return f"{reason(error)}{place}"


def reason(error: BaseException) -> str:
    """The class and the message of any error on one line, such as "ValueError: axes don't match"."""
    text = line(_message(error))
    # The message of a group contains only the number of its errors.
    if isinstance(error, BaseExceptionGroup):
        text += f": {reason(error.exceptions[0])}"
    kind = line(type(error).__name__, VALUE)
    return f"{kind}: {text}" if text else kind


def _message(error: BaseException) -> str:
    """The message of an error, without the text that Keras and TensorFlow add."""
    try:
        text = re.sub(TERMINAL, "", str(error)[:LONG])
        # The text of a KeyError is a repr, with escaped line breaks.
        if isinstance(error, KeyError) and "\\n" in text:
            text = re.sub(TERMINAL, "", str(error.args[0])[:LONG])
    except KeyboardInterrupt:
        raise
    # If __str__ of an error fails, its class has to suffice.
    except BaseException:  # noqa: BLE001
        return ""
    while (match := re.match(WRAPPED, text.lstrip())) is not None:
        text = match[1]
    lines = [re.sub(PLACE, "", each) for each in text.splitlines() if not re.fullmatch(NOISE, each)]
    return "\n".join(lines) if any(map(str.strip, lines)) else text


def short(text: str) -> str:
    """Shortens a message and the words in it that are longer than any word or path, and makes it printable."""
    return _cut(_printable(re.sub(rf"\S{{{WORD},}}", _short_word, text[:LONG])), LONGEST)


def _short_word(word: re.Match[str]) -> str:
    """The beginning of a long word, with the quotes, brackets and punctuation at its end."""
    closing = re.search(r"['\")\]]{0,3}[.,:;!?]?\Z", word[0])
    return _cut(word[0], VALUE) + ("" if closing is None else closing[0])


def line(text: object, most: int = TEXT) -> str:
    """A text as one printable line of at most this many characters."""
    # Longer texts are not processed beyond what can be shown.
    words = " ".join(str(text)[: 4 * most].split())
    return _cut(_printable(words), most)


def shown(value: object, most: int = VALUE) -> str:
    """The repr of a value on one line of at most this many characters; the type, shape and dtype of an array."""
    short = _Short()
    short.maxstring = short.maxother = most
    try:
        text = short.repr(value)
    except KeyboardInterrupt:
        raise
    # The repr of a custom class may raise anything.
    except BaseException:  # noqa: BLE001
        text = f"<{type(value).__name__}>"
    return line(text, most)


class _Short(reprlib.Repr):
    """A repr of bounded length and time, also for large values."""

    def repr_int(self, x: int, level: int) -> str:  # noqa: ARG002
        return repr(x) if x.bit_length() <= MAX_BITS else f"<int of {x.bit_length()} bits>"

    def repr_instance(self, x: Any, level: int) -> str:
        shape = getattr(x, "shape", None)
        if shape and hasattr(x, "dtype"):
            return f"<{type(x).__name__} of shape {tuple(shape)}, {x.dtype}>"
        return super().repr_instance(x, level)


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def suggest(word: object, known: Iterable[str]) -> str:
    """A " Did you mean 'saliency'?" to append to a message; "" if no known word is close."""
    if not isinstance(word, str) or len(word) > WORD:
        return ""
    close = difflib.get_close_matches(word.lower(), {name.lower(): None for name in known}, n=1)
    exact = [name for name in known if close and name.lower() == close[0]]
    return f" Did you mean '{exact[0]}'?" if exact else ""

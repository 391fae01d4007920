"""The errors that users cause and can mend: shown as one or two plain lines. Anything else is a bug."""

import difflib
import inspect
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


class CnnExplainError(Exception):
    """Something that was asked for exists but can't be used, or can't be done. The command line exits with 1."""

    exit_code = 1


class UsageError(CnnExplainError):
    """What was asked for does not exist: an analysis, option value, label, file or sample. Exits with 2."""

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


def failure(error: Exception, function: Callable[..., Any]) -> str:
    """What went wrong in a plugin's function, and the last line of the plugin's own code on the way there."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    folder = None if code is None else Path(code.co_filename).parent
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).parent == folder]
    place = f" ({Path(lines[-1].filename).name}, line {lines[-1].lineno})" if lines else ""
    return f"{type(error).__name__}: {error}{place}"


def interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is what led to an error.

    Python wraps it, for one, where it comes while a class is made; TensorFlow tells it in words alone where it comes in a
    function of Python's that a graph calls.
    """
    left: list[BaseException | None] = [error]
    seen: set[int] = set()
    while left:
        each = left.pop()
        if each is None or id(each) in seen:
            continue
        in_words = type(each).__module__.startswith("tensorflow") and KeyboardInterrupt.__name__ in str(each)
        if in_words or isinstance(each, KeyboardInterrupt):
            return True
        seen.add(id(each))
        left += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]
    return False


def check_interrupted(error: BaseException) -> None:
    """Sees that an error, which is to be told in other words or passed over, is not how Ctrl-C shows.

    Raises:
        KeyboardInterrupt: It is.
    """
    if interrupted(error):
        raise KeyboardInterrupt from error


def suggest(word: str, known: Iterable[str]) -> str:
    """A " Did you mean 'saliency'?" to append to a message; empty where no known word is close."""
    close = difflib.get_close_matches(word.lower(), {name.lower(): None for name in known}, n=1)
    exact = [name for name in known if close and name.lower() == close[0]]
    return f" Did you mean '{exact[0]}'?" if exact else ""

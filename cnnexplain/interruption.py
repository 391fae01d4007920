"""Ctrl-C, which libraries turn into other errors or lose: Python itself does, where it comes while a class is made."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass
class _State:
    """What is known of Ctrl-C in this process, once `listen` was called.

    Args:
        came: Whether it came.
        held: How many blocks are running that it must not end.
        waits: Whether it came during one of them.
    """

    came: bool = False
    held: int = 0
    waits: bool = False


_state = _State()


def listen() -> None:
    """Notes Ctrl-C, and a polite request to end (SIGTERM), beside raising KeyboardInterrupt. For the main thread alone.

    Where the program was started to ignore Ctrl-C, as background jobs of a shell are, it still does.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _note)
    signal.signal(signal.SIGTERM, _note)
    sys.unraisablehook = _raise_again


def _note(*_: object) -> None:
    _state.came = True
    if _state.held:
        _state.waits = True
    else:
        raise KeyboardInterrupt


def _raise_again(unraisable: sys.UnraisableHookArgs) -> None:
    """Raises a KeyboardInterrupt again a moment later, where it came in a callback out of which no exception gets.

    Python calls such code (weak references, `__del__`, callbacks from C) between any two lines, and drops what it raises.
    Where the system has no timer, as on Windows, the next `check` raises it.
    """
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
    elif hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _note)
        signal.setitimer(signal.ITIMER_REAL, 0.01)


@contextmanager
def held() -> Iterator[None]:
    """Lets Ctrl-C, and a request to end, wait until the block has ended, whether `listen` was called or not."""
    came: list[int] = []
    before: dict[int, Any] = {}
    _state.held += 1
    try:
        # Signals come to the main thread alone.
        if threading.current_thread() is threading.main_thread():
            for number in (int(signal.SIGINT), int(signal.SIGTERM)):
                handler = signal.getsignal(number)
                # Python can't bring back a handler that it did not set.
                if handler not in (None, _note):
                    before[number] = handler
                    signal.signal(number, lambda number, _: came.append(number))
        yield
    finally:
        _state.held -= 1
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in dict.fromkeys(came):
            signal.raise_signal(number)
        if _state.waits and not _state.held:
            _state.waits = False
            raise KeyboardInterrupt


@contextmanager
def plainly() -> Iterator[None]:
    """Makes a KeyboardInterrupt of any error that Ctrl-C led to in the block."""
    try:
        yield
    except Exception as error:
        check_interrupted(error)
        raise


def check() -> None:
    """To be called now and then, in case that the exception got lost on its way.

    Raises:
        KeyboardInterrupt: Ctrl-C came earlier, and the program went on.
    """
    if _state.came:
        raise KeyboardInterrupt


def interrupted(error: BaseException) -> bool:
    """Whether Ctrl-C is what led to an error: it is among the causes, or it came and none of them tells."""
    left: list[BaseException | None] = [error]
    seen: set[int] = set()
    while left:
        each = left.pop()
        if each is None or id(each) in seen:
            continue
        # TensorFlow and JAX tell it in words alone where it comes in a function of Python's that they call.
        in_words = type(each).__module__.startswith(("tensorflow", "jax")) and KeyboardInterrupt.__name__ in str(each)
        if in_words or isinstance(each, KeyboardInterrupt):
            return True
        seen.add(id(each))
        left += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]
    return _state.came


def check_interrupted(error: BaseException) -> None:
    """Sees that an error, which is to be told in other words or passed over, is not how Ctrl-C shows.

    Raises:
        KeyboardInterrupt: It is.
    """
    if interrupted(error):
        raise KeyboardInterrupt from error

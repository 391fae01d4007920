"""Handles Ctrl-C reliably: libraries, and Python while it creates a class, convert it to other errors or lose it."""

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
    """The state of Ctrl-C in this process, after `listen` was called.

    Args:
        received: Whether it was received.
        held: The number of running blocks that it must not interrupt.
        pending: Whether it was received during such a block.
    """

    received: bool = False
    held: int = 0
    pending: bool = False


_state = _State()


def listen() -> None:
    """Installs handlers that record Ctrl-C and SIGTERM, and raise KeyboardInterrupt. Call it in the main thread.

    If the program was started to ignore Ctrl-C, like background jobs of a shell, it still ignores it.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _handle)
    signal.signal(signal.SIGTERM, _handle)
    sys.unraisablehook = _raise_again


def _handle(*_: object) -> None:
    _state.received = True
    if _state.held:
        _state.pending = True
    else:
        raise KeyboardInterrupt


def _raise_again(unraisable: sys.UnraisableHookArgs) -> None:
    """Raises a KeyboardInterrupt again shortly after it occurred in a callback, from which no exception escapes.

    Python calls such code (weak references, `__del__`, callbacks from C) between any two lines, and drops its exceptions.
    On systems without a timer, such as Windows, the next `check` raises it.
    """
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
    elif hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _handle)
        signal.setitimer(signal.ITIMER_REAL, 0.01)


@contextmanager
def held() -> Iterator[None]:
    """A context that delays Ctrl-C and SIGTERM until it ends, whether `listen` was called or not."""
    received: list[int] = []
    handlers: dict[int, Any] = {}
    _state.held += 1
    try:
        # Only the main thread receives signals.
        if threading.current_thread() is threading.main_thread():
            for number in (int(signal.SIGINT), int(signal.SIGTERM)):
                handler = signal.getsignal(number)
                # Python can't restore a handler that was not set from Python.
                if handler not in (None, _handle):
                    handlers[number] = handler
                    signal.signal(number, lambda number, _: received.append(number))
        yield
    finally:
        _state.held -= 1
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in dict.fromkeys(received):
            signal.raise_signal(number)
        if _state.pending and not _state.held:
            _state.pending = False
            raise KeyboardInterrupt


@contextmanager
def plainly() -> Iterator[None]:
    """A context that converts any error caused by Ctrl-C to a KeyboardInterrupt."""
    try:
        yield
    except Exception as error:
        check_interrupted(error)
        raise


def check() -> None:
    """Raises KeyboardInterrupt if it was lost earlier. Long computations call it regularly.

    Raises:
        KeyboardInterrupt: Ctrl-C was received, but the program continued.
    """
    if _state.received:
        raise KeyboardInterrupt


def interrupted(error: BaseException) -> bool:
    """Whether Ctrl-C caused an error: it is among its causes, or it was received before."""
    pending: list[BaseException | None] = [error]
    seen: set[int] = set()
    while pending:
        cause = pending.pop()
        if cause is None or id(cause) in seen:
            continue
        # TensorFlow and JAX only mention it in the message if it occurs in a Python function that they call.
        is_mentioned = type(cause).__module__.startswith(("tensorflow", "jax")) and KeyboardInterrupt.__name__ in str(cause)
        if is_mentioned or isinstance(cause, KeyboardInterrupt):
            return True
        seen.add(id(cause))
        pending += [cause.__cause__, cause.__context__, *getattr(cause, "exceptions", ())]
    return _state.received


def check_interrupted(error: BaseException) -> None:
    """Raises KeyboardInterrupt if Ctrl-C caused an error. Call it before an error is converted or ignored.

    Raises:
        KeyboardInterrupt: Ctrl-C caused the error.
    """
    if interrupted(error):
        raise KeyboardInterrupt from error

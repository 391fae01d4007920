"""What a notebook shows while work is done, and what it doesn't."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

AFTER = 1.0
"""Seconds that work takes before its progress is shown."""

EVERY = 0.1
"""Seconds between two updates."""


def progress(what: str) -> Callable[[int, int], None]:
    """A callback that shows in a notebook how much is done, and of how much; elsewhere it does nothing.

    What is shown goes away when all is done.
    """
    if not _here():
        return lambda *_: None
    from IPython.display import HTML, display

    handle = None
    last = started = time.monotonic()

    def update(done: int, total: int) -> None:
        nonlocal handle, last
        now, ended = time.monotonic(), done >= total
        if handle is None and (ended or now - started < AFTER):
            return
        if handle is not None and not ended and now - last < EVERY:
            return
        last = now
        bar = f'<progress value="{done}" max="{total}" aria-label="{what}"></progress> {what}: {done / total:.0%}'
        page = HTML("" if ended else bar)  # type: ignore[no-untyped-call]
        if handle is None:
            handle = display(page, display_id=True)  # type: ignore[no-untyped-call]
        else:
            handle.update(page)

    return update


@contextmanager
def quiet_start() -> Iterator[None]:
    """In a notebook, keeps what the backend logs while it is started out of the cell, where it would stand as an error.

    Elsewhere, and where Keras was started before, nothing is changed. TensorFlow's C++ code writes to file descriptor 2,
    whatever its settings say.
    """
    if "keras" in sys.modules or not _here():
        yield
        return
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
        if "keras" in sys.modules:
            # Only the first tensor makes the backend look for devices, of which it logs more.
            sys.modules["keras"].ops.zeros(())
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _here() -> bool:
    # Who runs in a notebook has imported IPython already.
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return getattr(shell, "kernel", None) is not None

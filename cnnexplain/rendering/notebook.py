"""Progress bars in notebooks, and hiding log messages of the backend there."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

AFTER = 1.0
"""Seconds after which a progress bar appears."""

EVERY = 0.1
"""Seconds between two updates of the bar."""


def progress(what: str) -> Callable[[int, int], None]:
    """A callback that shows a progress bar in a notebook, until all is done; elsewhere it does nothing."""
    handle = None
    last = started = time.monotonic()

    def update(done: int, total: int) -> None:
        nonlocal handle, last
        now, ended = time.monotonic(), done >= total
        if (handle is None and (ended or now - started < AFTER)) or not _in_notebook():
            return
        if handle is not None and not ended and now - last < EVERY:
            return
        last = now
        from IPython.display import HTML, display

        bar = f'<progress value="{done}" max="{total}" aria-label="{what}"></progress> {what}: {done / total:.0%}'
        page = HTML("" if ended else bar)  # type: ignore[no-untyped-call]
        if handle is None:
            handle = display(page, display_id=True)  # type: ignore[no-untyped-call]
        else:
            handle.update(page)

    return update


@contextmanager
def quiet_start() -> Iterator[None]:
    """In a notebook, hides the log messages of the backend while it starts; they would look like errors.

    Has no effect elsewhere, or if Keras is already imported. TensorFlow's C++ code writes to file descriptor 2 regardless of
    its settings.
    """
    if "keras" in sys.modules or not _in_notebook():
        yield
        return
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
        if "keras" in sys.modules:
            # With the first tensor, the backend initializes its devices and logs more messages.
            sys.modules["keras"].ops.zeros(())
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _in_notebook() -> bool:
    # In a notebook, IPython is already imported.
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return getattr(shell, "kernel", None) is not None

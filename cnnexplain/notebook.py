"""What a notebook shows while work is done."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

AFTER = 1.0
"""Seconds that work takes before its progress is shown."""

EVERY = 0.1
"""Seconds between two updates."""


def progress(what: str) -> Callable[[int, int], None]:
    """A callback that shows in a notebook how much is done, and of how much; elsewhere it does nothing.

    What is shown goes away when all is done.
    """
    # Who runs in a notebook has imported IPython already.
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if getattr(shell, "kernel", None) is None:
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

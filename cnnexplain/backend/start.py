"""The import of Keras and its backend, which takes most of the time of a short program."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def starting() -> Iterator[None]:
    """Excludes everything from garbage collection that exists at the end of the block, if the block imports Keras first.

    The import creates hundreds of thousands of objects that live as long as the process. Searching them for garbage takes a
    sixth of the time until the first result. Objects of the user's program that exist by then are still released when their
    last reference is, except for cycles.
    """
    if "keras" in sys.modules or not gc.isenabled():
        yield
        return
    # What is garbage now would be kept, too.
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if "keras" in sys.modules:
            gc.freeze()
        gc.enable()

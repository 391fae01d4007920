"""The import of Keras and its backend, which takes most of the time of a short program."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def starting() -> Iterator[None]:
    """Postpones garbage collection to the end of the block, if Keras has not been imported before.

    The import creates hundreds of thousands of objects that live as long as the process. Searching them for garbage takes a
    large part of the time until the first result, so they are treated as old objects from the beginning. Objects that the
    caller froze stay frozen.
    """
    if "keras" in sys.modules or not gc.isenabled():
        yield
        return
    frozen = gc.get_freeze_count()
    gc.disable()
    try:
        yield
    finally:
        if "keras" in sys.modules and not frozen:
            # Moves all objects to the oldest generation, which is searched rarely.
            gc.freeze()
            gc.unfreeze()
        gc.enable()

"""Matplotlib's settings for all pictures: its own defaults, whatever the files and variables of the machine say.

A folder may hold a `matplotlibrc` from anywhere, which Matplotlib obeys: it could have LaTeX run on every text.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


def prepare() -> None:
    """Has this process' Matplotlib read none of the machine's settings; of no effect once it is imported."""
    os.environ["MATPLOTLIBRC"] = os.devnull
    os.environ["MPLBACKEND"] = "agg"
    # Where its fonts are kept is nothing that a user has to know.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    if os.path.exists("matplotlibrc"):
        # A file of the working folder counts more, so that it must be another folder for a moment.
        here = os.getcwd()
        os.chdir(os.path.abspath(os.sep))
        try:
            import matplotlib  # noqa: F401
        finally:
            os.chdir(here)


@contextmanager
def drawing() -> Iterator[None]:
    """Draws with these settings within the block; the user's own are in force again behind it."""
    import matplotlib as mpl

    with mpl.rc_context(_own()):
        yield


@cache
def _own() -> Any:
    import matplotlib as mpl

    # What is about windows has no part in a picture; the ids of an SVG's elements are not to be random.
    windows = ("backend", "interactive", "tk.", "toolbar", "webagg")
    plain: dict[str, Any] = {str(name): value for name, value in mpl.rcParamsDefault.items() if not name.startswith(windows)}
    return plain | {"svg.hashsalt": "cnnexplain"}

"""The Matplotlib settings of all pictures: its own defaults, independent of files and environment variables.

Matplotlib reads a `matplotlibrc` in the working folder. It may come from an untrusted source, and could run LaTeX on texts.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any


def prepare() -> None:
    """Keeps Matplotlib from reading the settings of the machine. Has no effect after Matplotlib is imported."""
    os.environ["MATPLOTLIBRC"] = os.devnull
    os.environ["MPLBACKEND"] = "agg"
    # Users need not know where Matplotlib caches its fonts.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    if os.path.exists("matplotlibrc"):
        # A file in the working folder takes precedence over the variable, so import Matplotlib in another folder.
        folder = os.getcwd()
        os.chdir(os.path.abspath(os.sep))
        try:
            import matplotlib  # noqa: F401
        finally:
            os.chdir(folder)


@contextmanager
def drawing() -> Iterator[None]:
    """Draws with these settings inside the block. Afterward, the user's own settings are in effect again."""
    import matplotlib as mpl

    # Setting all of them takes ten times as long as comparing them. Most blocks are inside another one, which restores the
    # user's settings, even if a plugin changes some of them.
    own = _own()
    with nullcontext() if _in_effect(own) else mpl.rc_context(own):
        yield


def _in_effect(own: Mapping[Any, Any]) -> bool:
    import matplotlib as mpl

    return all(mpl.rcParams[name] == value for name, value in own.items())


@cache
def _own() -> Any:
    import matplotlib as mpl

    # Settings of windows do not affect pictures. The salt makes the ids of SVG elements reproducible.
    windows = ("backend", "interactive", "tk.", "toolbar", "webagg")
    plain: dict[str, Any] = {str(name): value for name, value in mpl.rcParamsDefault.items() if not name.startswith(windows)}
    return plain | {"svg.hashsalt": "cnnexplain"}

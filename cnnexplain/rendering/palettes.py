"""The colormaps of pages, as tables for their scripts."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np

from cnnexplain import draw
from cnnexplain.rendering import templates


def tables() -> dict[str, dict[str, str]]:
    """The colormaps of "unsigned" and "signed" maps, each as Base64 of 256 colors.

    "bar" has one byte each for red, green and blue; "over", for maps over an image, also one for the opacity.
    """
    return {
        kind: {"bar": _colormap(kind), "over": _encoded(draw.overlay_colormap(signed=kind == "signed"))}
        for kind in ("unsigned", "signed")
    }


def _colormap(kind: str) -> str:
    return _encoded(mpl.colormaps[getattr(draw.current_palette(), kind)](np.linspace(0, 1, 256))[:, :3])


def _encoded(colors: np.ndarray) -> str:
    return templates.encoded(np.round(255 * colors).astype(np.uint8).tobytes())

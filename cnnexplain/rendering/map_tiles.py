"""Small pictures of an image and of maps of it, for pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnexplain import draw
from cnnexplain.inputs.resizing import resize
from cnnexplain.rendering import png_file
from cnnexplain.rendering.templates import encoded

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

    from cnnexplain.inputs.preprocess import Preprocess

SIDE = 64
"""Pixels of the longer side at most; smaller images are not enlarged."""


def pictures(image: Float[np.ndarray, "H W C"], maps: Float[np.ndarray, "M H W"], preprocess: Preprocess) -> list[str]:
    """The image and each of its maps, each scaled to its own 99.5th percentile, as PNG in Base64."""
    shown = np.clip(preprocess.picked(preprocess.decode(image)), 0, 1)
    shown = np.broadcast_to(shown if shown.shape[-1] in (1, 3) else shown[..., :1], (*shown.shape[:2], 3))
    return [_png(shown), *(_png(draw.map_rgb(_small(each[..., None])[..., 0])) for each in maps)]


def mask(relevant: Bool[np.ndarray, "H W"]) -> str:
    """The relevant pixels in white on black, as PNG in Base64."""
    return _png(np.repeat(relevant[..., None], 3, axis=2).astype(np.float32))


def _small(values: Float[np.ndarray, "H W C"]) -> Float[np.ndarray, "h w C"]:
    height, width = values.shape[:2]
    share = min(1, SIDE / max(height, width))
    if share == 1:
        return values
    return resize(values.astype(np.float32), max(1, round(share * height)), max(1, round(share * width)), bounded=False)


def _png(rgb: Float[np.ndarray, "H W 3"]) -> str:
    pixels: UInt8[np.ndarray, "H W 3"] = np.round(255 * np.clip(_small(rgb), 0, 1)).astype(np.uint8)
    return encoded(png_file.encoded(np.ascontiguousarray(pixels), 96))

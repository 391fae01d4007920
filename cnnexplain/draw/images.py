"""Panels with images: input images, values in the input range, and signed images such as gradients by channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from cnnexplain.draw.map_values import FINE
from cnnexplain.draw.maps import colorbar
from cnnexplain.draw.style import current_palette
from cnnexplain.inputs.bands import stretched

if TYPE_CHECKING:
    from jaxtyping import Float, Float32
    from matplotlib.axes import Axes

    from cnnexplain.results.record import Record


def input_image(panel: Axes, record: Record, index: int) -> None:
    """Shows image `index` as the model saw it; black and white are the ends of the model's input range."""
    image_values(panel, record, record.images[index])


def image_values(panel: Axes, record: Record, values: Float[np.ndarray, "H W C"]) -> None:
    """Shows an image in the model's input range, whose ends are black and white; values beyond are clipped."""
    panel.imshow(image_rgb(record, values), vmin=0, vmax=1, cmap="gray", interpolation="antialiased")


def image_rgb(record: Record, values: Float[np.ndarray, "*shape C"]) -> Float[np.ndarray, "*shape colors"]:
    """Values in the model's input range as gray or RGB values from 0 to 1; values beyond are clipped, NaN stays NaN.

    For images with more bands, it returns those selected by `Preprocess.show_bands`, each stretched between its 2nd and 98th
    percentile.

    Args:
        record: The record, which states the input range.
        values: An image (H, W, C) or several, in the channel order of the model.

    Returns:
        The image with 1 or 3 channels.
    """
    preprocess = record.preprocess
    if preprocess.bands is not None:
        return stretched(*map(preprocess.picked, (values, preprocess.black, preprocess.white)))
    return np.asarray(np.clip(preprocess.decode(values), 0, 1))


def display_channels(record: Record, values: Float[np.ndarray, "*shape C"]) -> Float[np.ndarray, "*shape colors"]:
    """Values in the channel order of the model, reordered to RGB, gray, or the bands that are shown."""
    return record.preprocess.picked(record.preprocess.swap(values))


def signed_image(panel: Axes, record: Record, values: Float[np.ndarray, "H W C"], unit: str, *, bar: bool = True) -> None:
    """Shows signed values on a scale from −1 to 1, in the colors of `signed_rgb`.

    Args:
        panel: The panel.
        record: The record, which states the channel order.
        values: The values, in the channel order of the model.
        unit: Unit of the values, for the color bar.
        bar: Whether to add a color bar.
    """
    values = display_channels(record, values)
    colors = current_palette().signed if values.shape[-1] == 1 else "gray"
    panel.imshow(signed_rgb(values, 1), interpolation="nearest" if max(values.shape) < FINE else "antialiased")
    if bar:
        colorbar(panel, ScalarMappable(Normalize(-1, 1), colors), unit, values, 1)


def signed_rgb(values: Float[np.ndarray, "*shape C"], limit: float) -> Float32[np.ndarray, "*shape 3"]:
    """Signed values as RGB from 0 to 1.

    One channel uses the signed colormap, which is white at zero. Three channels are added to middle gray.

    Args:
        values: In display order.
        limit: The magnitude at the ends of the scale.
    """
    if values.shape[-1] == 1:
        share = np.clip(0.5 + values[..., 0] / (2 * limit), 0, 1)
        return np.asarray(mpl.colormaps[current_palette().signed](share)[..., :3], np.float32)
    return np.asarray(np.clip(0.5 + values / (2 * limit), 0, 1), np.float32)

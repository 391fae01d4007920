"""Panels of images: what the model saw, values in its input range, and signed images such as gradients by channel."""

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
    from matplotlib.axes import Axes

    from cnnexplain.results.record import Record
    from cnnexplain.types import Array, Floats


def input_image(panel: Axes, record: Record, index: int) -> None:
    """Shows image `index` as the model saw it; black and white are the ends of the model's input range."""
    image_values(panel, record, record.images[index])


def image_values(panel: Axes, record: Record, values: Floats) -> None:
    """Shows an image (H, W, C) in the model's input range, whose ends are black and white; values beyond are clipped."""
    panel.imshow(image_rgb(record, values), vmin=0, vmax=1, cmap="gray", interpolation="antialiased")


def image_rgb(record: Record, values: Floats) -> Floats:
    """Values in the model's input range as gray or RGB values from 0 to 1; values beyond are clipped, NaN stays NaN.

    Of images with more bands, those that `Preprocess.show_bands` names, each stretched between its 2nd and 98th percentile.

    Args:
        record: Whose input range it is.
        values: (H, W, C), in the model's order of channels.

    Returns:
        (H, W, 1) or (H, W, 3).
    """
    preprocess = record.preprocess
    if preprocess.bands is not None:
        return stretched(*map(preprocess.picked, (values, preprocess.black, preprocess.white)))
    return np.asarray(np.clip(preprocess.decode(values), 0, 1))


def display_channels(record: Record, values: Array) -> Floats:
    """Values (…, C) in the model's order of channels, reordered to RGB, gray, or the bands that are shown."""
    return record.preprocess.picked(record.preprocess.swap(values))


def signed_image(panel: Axes, record: Record, values: Array, unit: str, *, bar: bool = True) -> None:
    """Shows signed values on a scale from −1 to 1, in the colors of `signed_rgb`.

    Args:
        panel: The panel.
        record: Whose order of channels it is.
        values: (H, W, C).
        unit: Of the values, for the color bar.
        bar: Whether to add a color bar.
    """
    values = display_channels(record, values)
    colors = current_palette().signed if values.shape[-1] == 1 else "gray"
    panel.imshow(signed_rgb(values, 1), interpolation="nearest" if max(values.shape) < FINE else "antialiased")
    if bar:
        colorbar(panel, ScalarMappable(Normalize(-1, 1), colors), unit, values, 1)


def signed_rgb(values: Array, limit: float) -> Floats:
    """Signed values (…, C) as RGB (…, 3) from 0 to 1.

    One channel uses the signed colormap, which is white at zero. Three channels are added to middle gray.

    Args:
        values: In display order.
        limit: The magnitude at the ends of the scale.
    """
    if values.shape[-1] == 1:
        share = np.clip(0.5 + values[..., 0] / (2 * limit), 0, 1)
        return np.asarray(mpl.colormaps[current_palette().signed](share)[..., :3], np.float32)
    return np.asarray(np.clip(0.5 + values / (2 * limit), 0, 1), np.float32)

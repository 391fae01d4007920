"""The standard figure for a map of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnexplain.draw import captions, images, layout, maps, overlays, wording
from cnnexplain.draw.map_values import percentile_limit

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float
    from matplotlib.figure import Figure

    from cnnexplain.results.record import Record


def map_figure(
    record: Record,
    index: int,
    values: Float[np.ndarray, "H W"],
    unit: str,
    title: str,
    *,
    signed: bool = False,
    what: str = "map",
) -> Figure:
    """The image, a map of its pixels with a color bar, and the map over the image: smoothed, or summed if it is signed.

    Args:
        record: The record.
        index: Index of the image.
        values: The map, from 0 up, or signed.
        unit: Unit of the values in terms of logits; for a regression model, its own unit is used.
        title: Title of the map.
        signed: Whether the values are signed and can be summed, like attributions.
        what: Name of the map in the title of the overlay.
    """
    unit = wording.in_units(record, unit)
    figure, (left, middle, right) = layout.row(3, record, bars=[1, 2] if signed else [1])
    images.input_image(left, record, index)
    captions.title(left, "input")
    if signed:
        maps.signed_map(middle, values, unit, limit=percentile_limit(values))
        overlays.regions_overlay(right, record, index, values, what, unit)
    else:
        maps.unsigned_map(middle, values, unit, limit=percentile_limit(values))
        overlays.smoothed_overlay(right, record, index, values, what)
    captions.title(middle, title)
    captions.caption(figure, record, index)
    return figure

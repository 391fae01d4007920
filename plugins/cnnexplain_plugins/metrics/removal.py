"""How much the output falls when regions of an image are replaced by a baseline, the same regions for all maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Bool, Float, Float64


def drops(
    regions: Bool[np.ndarray, "S H W"],
    image: Float[np.ndarray, "H W C"],
    baseline: Float[np.ndarray, "H W C"],
    evaluate: Callable[..., Mapping[str, Float[np.ndarray, " K"]]],
) -> dict[str, Float64[np.ndarray, " S"]]:
    """The outputs for the image minus those for the image with each region replaced, by the name of the output."""
    import numpy as np

    # The last region is empty: the image itself.
    extended = np.concatenate([regions, np.zeros_like(regions[:1])])
    outputs = evaluate(len(extended), lambda part: np.where(extended[part][..., None], baseline, image))
    return {name: values[-1] - values[:-1] for name, values in outputs.items()}


def region_sums(maps: Float[np.ndarray, "M H W"], regions: Bool[np.ndarray, "S H W"]) -> Float64[np.ndarray, "M S"]:
    """The sum of each map over each region."""
    import numpy as np

    flat = regions.reshape(len(regions), -1).astype(np.float64)
    return np.asarray(maps.reshape(len(maps), -1) @ flat.T)

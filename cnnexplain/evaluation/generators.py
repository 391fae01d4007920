"""Random number generators that depend on the user's seed, the values of an image and a name only."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


def generator(seed: int, image: Float[np.ndarray, "H W C"], name: str) -> np.random.Generator:
    """The generator for an image and a metric or control, wherever the image is among others."""
    # The sum with zero makes −0 and 0, which are equal, the same bytes.
    values = np.ascontiguousarray(image, np.float32) + np.float32(0)
    return np.random.default_rng([seed, zlib.crc32(values.tobytes()), zlib.crc32(name.encode())])

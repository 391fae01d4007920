"""The noise of analyses that average over random copies of the image."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnexplain.errors import PluginError, shown

if TYPE_CHECKING:
    from cnnexplain.results.record import Record

NOISE_LIMIT = math.sqrt(0.5)
"""The relative error of a map above which more than half of its mean square is noise.

The expected mean square of a mean over copies is that of the exact map plus its squared standard error. Relative to the mean
square of the map itself, the squared error is thus the share of noise, and above 1/2 there is more noise than map. In the
theory of tests, one minus this share is the reliability (Spearman 1910; Brown 1910): at 1/2, two maps of half of the copies
each have an expected correlation of 1/3.
"""


@dataclass(frozen=True)
class Sampling:
    """How an analysis that averages over random copies states the noise of its main map.

    Where the relative error is above `NOISE_LIMIT`, pictures, pages and the command line say so.

    Args:
        relative_error: The name of the fact, a number for each image, with the standard error of the main map relative to
            the map, both as root mean squares over the pixels (see `cnnexplain.numerics.relative_error`).
        advice: What reduces the noise, such as "use more --samples", or a function that returns it for image `index` of a
            `Record`.

    Raises:
        PluginError: The declaration breaks one of these rules.
    """

    relative_error: str
    advice: str | Callable[[Record, int], str]

    def __post_init__(self) -> None:
        if not isinstance(self.relative_error, str) or not self.relative_error:
            raise PluginError(f"A sampling needs the name of a fact as relative_error, not {shown(self.relative_error)}.")
        if not callable(self.advice) and not (isinstance(self.advice, str) and self.advice):
            raise PluginError(f"A sampling needs a text or a function as advice, not {shown(self.advice)}.")

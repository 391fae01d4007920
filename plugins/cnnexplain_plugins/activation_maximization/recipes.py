"""Recipes for networks trained on photographs: optimizing a spectrum seen in random views (Olah et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cnnexplain.errors import UsageError
from cnnexplain.optimize import Optimizer, adam, nadam, normalized
from cnnexplain_plugins.activation_maximization import regularization

if TYPE_CHECKING:
    from cnnexplain import Preprocess
    from cnnexplain_plugins.activation_maximization.regularization import Regularization

LARGER = 320 / 224
"""The default size of a picture relative to the input."""


@dataclass(frozen=True)
class Recipe:
    """How a picture larger than the model's input is optimized by its spectrum, in several random views in each step.

    Args:
        phases: Whether only the phases are optimized, with the magnitudes of photographs; otherwise all coefficients.
        canvas: The longer side of the picture in pixels; 0 for `LARGER` times that of the input.
        views: The number of square views that the network sees in each step.
        smallest_view: The smallest side of a view, as a share of the picture's.
        largest_view: The largest side of a view, as a share of the picture's.
        rotate: The maximum rotation of a view, in degrees.
        view_noise: The standard deviation of the noise in a view, as a share of the input range.
        low_pass: Free coefficients of frequency f are damped by exp(−(f · low_pass)²).
        rate: The learning rate: NAdam's for phases, Adam's for coefficients.
    """

    phases: bool
    canvas: int = 0
    views: int = 3
    smallest_view: float = 0.25
    largest_view: float = 0.8
    rotate: float = 10.0
    view_noise: float = 0.02
    low_pass: float = 0.0
    rate: float = 1.0

    @property
    def optimizer(self) -> Optimizer:
        """NAdam for phases, Adam for coefficients. For both, ε means the same for a class's logit and a feature map."""
        return normalized((nadam if self.phases else adam)(lambda _: self.rate))


RECIPES = {
    "maco": Recipe(phases=True),
    "spectrum": Recipe(phases=False, smallest_view=0.2, largest_view=0.7, view_noise=0.06, low_pass=2.0, rate=0.05),
}
"""MaCo, with few and large views, because its original 32 in each step need a GPU; and free coefficients."""


def choose(
    name: str | None, preprocess: Preprocess, pixels: Mapping[str, Any], spectra: Mapping[str, Any]
) -> tuple[str, Regularization | Recipe]:
    """The name of a setting or recipe, and the setting or recipe; parts that are not None are replaced.

    Args:
        name: Its name; None for the default for the model's input.
        preprocess: The preprocessing of the model.
        pixels: Parts of a `Regularization`.
        spectra: Parts of a `Recipe`. Some parts belong to both.

    Raises:
        UsageError: A given part does not belong to it, or parts contradict each other.
    """
    if name is None:
        name = "maco" if preprocess.photographs else "robust"
    own, others = (spectra, pixels) if name in RECIPES else (pixels, spectra)
    for part, value in others.items():
        if value is not None and part not in own:
            names = regularization.SETTINGS if name in RECIPES else RECIPES
            raise UsageError(
                f"--{part.replace('_', '-')} is not part of the regularization '{name}'; it goes with {', '.join(names)}."
            )
    if name in RECIPES and preprocess.bands is not None:
        raise UsageError(
            f"The regularization '{name}' is for pictures in gray or color, but the model takes {preprocess.bands} bands; "
            f"choose one of {', '.join(regularization.SETTINGS)}."
        )
    if name not in RECIPES:
        return name, regularization.choose(name, **pixels)
    given = {part: value for part, value in spectra.items() if value is not None}
    chosen = replace(RECIPES[name], **given)
    if chosen.smallest_view > chosen.largest_view:
        raise UsageError(
            f"The smallest view, {chosen.smallest_view:g}, is larger than the largest one, {chosen.largest_view:g}: set "
            "both --smallest-view and --largest-view."
        )
    if chosen.phases and chosen.low_pass:
        raise UsageError("--low-pass is for the regularization 'spectrum': with 'maco' the magnitudes are fixed.")
    larger = round(LARGER * max(preprocess.height, preprocess.width))
    return name, replace(chosen, canvas=chosen.canvas or larger)

"""Pictures for networks of photographs, optimized by their spectrum and seen in random views (Olah et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cnnexplain.errors import UsageError
from cnnexplain_plugins.activation_maximization import regularization

if TYPE_CHECKING:
    from cnnexplain import Preprocess
    from cnnexplain_plugins.activation_maximization.regularization import Regularization

LARGER = 320 / 224
"""How many times as large as the input a picture is, where nothing else is said."""


@dataclass(frozen=True)
class Recipe:
    """How a picture larger than the model's input is optimized by its spectrum, seen in several random views at each step.

    Args:
        phases: Whether only the phases are optimized, the magnitudes being those of photographs; else all coefficients.
        canvas: Pixels of the picture's longer side; 0 stands for `LARGER` times the input's.
        views: How many square views the network is shown at each step.
        smallest_view: The least side of a view, as a share of the picture's.
        largest_view: The largest one.
        rotate: By how many degrees at most a view is turned.
        view_noise: The standard deviation of the noise in a view, in parts of the input range.
        low_pass: Of free coefficients, those of frequency f are damped by exp(−(f · low_pass)²).
        rate: The learning rate: NAdam's of phases, Adam's of coefficients.
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


RECIPES = {
    "maco": Recipe(phases=True),
    "spectrum": Recipe(phases=False, smallest_view=0.2, largest_view=0.7, view_noise=0.06, low_pass=2.0, rate=0.05),
}
"""MaCo's, with few and large views since its own 32 at each step are for a GPU; and free coefficients."""


def choose(
    name: str | None, preprocess: Preprocess, pixels: Mapping[str, Any], spectra: Mapping[str, Any]
) -> tuple[str, Regularization | Recipe]:
    """The name and the parts of a setting or recipe, those of its parts replaced that are not None.

    Args:
        name: None for what suits the model's input.
        preprocess: Of the model.
        pixels: Parts of a `Regularization`.
        spectra: Parts of a `Recipe`; some are of both.

    Raises:
        UsageError: A part is given that is not one of it, or parts contradict each other.
    """
    if name is None:
        name = "maco" if preprocess.photographs else "robust"
    taken, others = (spectra, pixels) if name in RECIPES else (pixels, spectra)
    for part, value in others.items():
        if value is not None and part not in taken:
            these = regularization.SETTINGS if name in RECIPES else RECIPES
            raise UsageError(
                f"--{part.replace('_', '-')} is no part of the regularization '{name}'; it goes with {', '.join(these)}."
            )
    if name in RECIPES and preprocess.bands is not None:
        raise UsageError(
            f"The regularization '{name}' is for pictures in gray or color, but the model takes {preprocess.bands} bands; "
            f"name one of {', '.join(regularization.SETTINGS)}."
        )
    if name not in RECIPES:
        return name, regularization.choose(name, **pixels)
    given = {part: value for part, value in spectra.items() if value is not None}
    chosen = replace(RECIPES[name], **given)
    if chosen.smallest_view > chosen.largest_view:
        raise UsageError(
            f"The smallest view, {chosen.smallest_view:g}, is larger than the largest one, {chosen.largest_view:g}: give "
            "--smallest-view and --largest-view."
        )
    if chosen.phases and chosen.low_pass:
        raise UsageError("--low-pass is for the regularization 'spectrum': with 'maco' the magnitudes are fixed.")
    larger = round(LARGER * max(preprocess.height, preprocess.width))
    return name, replace(chosen, canvas=chosen.canvas or larger)

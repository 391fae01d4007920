"""Checks of results for `Analysis.checks`: gradients, contributions and sums, each against values of the network.

    Analysis(…, checks=(checks.gradient("gradient"), checks.completeness("attribution", limit=0.05)))

Importing this package imports neither NumPy nor Keras: a check imports what it computes with when it runs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cnnexplain.checks.rounding import ROUNDING, rounding
from cnnexplain.plugin.check import Check, Measurement

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cnnexplain.checks.attributions import rectangles
    from cnnexplain.checks.costs import affordable, too_expensive
    from cnnexplain.checks.differences import Function, Slopes, scores, slope_measurement, slopes
    from cnnexplain.checks.numbers import difference
    from cnnexplain.checks.random_weights import emprt, rank_correlation, smprt
    from cnnexplain.checks.reruns import confirmed
    from cnnexplain.checks.shuffling import shuffled, shuffled_network
    from cnnexplain.checks.tails import tail_scores
    from cnnexplain.plugin.check import Subject

__all__ = [
    "ROUNDING",
    "Function",
    "Slopes",
    "affordable",
    "channel_maxima",
    "completeness",
    "confirmed",
    "contributions",
    "difference",
    "emprt",
    "gradient",
    "not_with_these_options",
    "rank_correlation",
    "rectangles",
    "rounding",
    "scores",
    "shuffled",
    "shuffled_network",
    "slope_measurement",
    "slopes",
    "smprt",
    "sums",
    "tail_scores",
    "too_expensive",
]

_HOMES = {
    "attributions": ("rectangles",),
    "costs": ("affordable", "too_expensive"),
    "differences": ("Function", "Slopes", "scores", "slope_measurement", "slopes"),
    "numbers": ("difference",),
    "random_weights": ("emprt", "rank_correlation", "smprt"),
    "reruns": ("confirmed",),
    "shuffling": ("shuffled", "shuffled_network"),
    "tails": ("tail_scores",),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"cnnexplain.checks.{module}"), name)
    raise AttributeError(f"module 'cnnexplain.checks' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def gradient(array: str, *, when: Callable[[Mapping[str, Any]], bool] = lambda _: True) -> Check:
    """Compares a gradient of the score with central differences of the score along random directions.

    Args:
        array: The name of the array (N, H, W, C) with ∂S/∂x.
        when: Returns for the options whether the array is this gradient.
    """

    def run(subject: Subject) -> Measurement:
        from cnnexplain.checks.attributions import gradient_measurement

        return gradient_measurement(subject, array) if when(subject.options) else not_with_these_options()

    return Check(
        "gradient",
        "The gradient predicts how the score changes when the image moves in random directions: central differences of the "
        "score agree with it.",
        run,
    )


def contributions(array: str) -> Check:
    """Compares first-order contributions, summed over random rectangles, with central differences of the score.

    Args:
        array: The name of the array (N, H, W, C) with ∂S/∂x · (x − b). The baseline b is the array `baseline`, or else the
            one that the option `baseline` names, or else zero.
    """

    def run(subject: Subject) -> Measurement:
        from cnnexplain.checks.attributions import contribution_measurement

        return contribution_measurement(subject, array)

    return Check(
        "contributions",
        "The contributions of a region add up to the rate at which the score changes as the region moves away from the "
        "baseline, measured by central differences.",
        run,
    )


def completeness(array: str, *, limit: float | None) -> Check:
    """Compares the sum of contributions with the difference between the scores of the image and of its baseline.

    Args:
        array: The name of the array (N, H, W, C) of contributions. The baseline is found as in `contributions`.
        limit: The largest relative difference that passes; None if the method does not promise completeness.
    """

    def run(subject: Subject) -> Measurement:
        from cnnexplain.checks.attributions import completeness_measurement

        return completeness_measurement(subject, array, limit)

    promised = "The contributions of all pixels add up to the score of the image minus that of the baseline."
    residual = (
        "By how much the contributions miss the score of the image minus that of the baseline. The method promises this "
        "sum only for a linear network, so there is no limit."
    )
    return Check("completeness", residual if limit is None else promised, run)


def channel_maxima(shown: str, array: str, *, when: Callable[[Mapping[str, Any]], bool] = lambda _: True) -> Check:
    """Compares a map with the largest magnitude of an array over its channels.

    Args:
        shown: The name of the map (N, H, W).
        array: The name of the array (N, H, W, C).
        when: Returns for the options whether the map is made like this.
    """

    def run(subject: Subject) -> Measurement:
        from cnnexplain.checks.attributions import map_measurement

        return map_measurement(subject, shown, array, "maximum") if when(subject.options) else not_with_these_options()

    return Check("map", f"Each pixel of the map is the largest magnitude of '{array}' over the channels.", run)


def sums(array: str, shown: str, *, limit: float | None) -> tuple[Check, Check]:
    """The check of `completeness`, and one that compares a map with the sum of the contributions over the channels.

    Args:
        array: As for `completeness`.
        shown: The name of the map (N, H, W).
        limit: As for `completeness`.
    """

    def run(subject: Subject) -> Measurement:
        from cnnexplain.checks.attributions import map_measurement

        return map_measurement(subject, shown, array, "sum")

    each_pixel = Check("map", f"Each pixel of the map is the sum of '{array}' over the channels.", run)
    return completeness(array, limit=limit), each_pixel


def not_with_these_options() -> Measurement:
    """The measurement of a check that does not apply to the options of a result."""
    return Measurement(None, detail="not defined for these options")

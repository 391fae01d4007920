"""Runs an analysis and checks that its result follows the contract."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.errors import ModelError, PluginError, UsageError, failure, foreign, line, reason, shown
from cnnexplain.model.computation.objectives import Objective
from cnnexplain.pipeline.request import Request
from cnnexplain.pipeline.targets import Resolved
from cnnexplain.plugin.analysis import Analysis, Result
from cnnexplain.results import contents

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64


LONGEST = 200
"""Maximum number of characters in the name of an array."""

RESERVED = ("input", "file", "args", "kwds", "allow_pickle")
"""Names that arrays can't have: `input` is used for the images, the others are parameters of `numpy.savez`."""

# Making an encoder takes longer than encoding a few facts.
JSON = json.JSONEncoder(allow_nan=False, ensure_ascii=False)


def run_analysis(
    request: Request,
    images: Float32[np.ndarray, "N H W C"] | None,
    targets: Sequence[Resolved],
    objectives: Sequence[Objective],
    progress: Callable[[int, int], None],
    *,
    first: bool,
) -> tuple[Result, float]:
    """Runs the analysis of a request and checks its result.

    Args:
        request: The request.
        images: (N, H, W, C), the images of this call; None for an analysis of the model itself.
        targets: The target of each image.
        objectives: The targets as objectives.
        progress: Called with the amount of work done in this call, and the total.
        first: Whether this is the first call of the request; only the first gets the data set.

    Returns:
        The result and the run time in seconds.

    Raises:
        PluginError: The analysis failed, or broke its contract.
        ModelError: It returned values that are not finite, or there is not enough memory.
        UsageError: It can't explain an objective.
    """
    analysis = request.analysis
    arguments: dict[str, Any] = {
        "classifier": request.classifier,
        "images": images,
        "objectives": objectives,
        "dataset": request.dataset if first else None,
        "progress": progress,
    }
    if "targets" in analysis.inputs:
        arguments["targets"] = _indices(analysis, targets)
    started = time.perf_counter()
    prefix = f"{request.plugin}: run() of '{analysis.name}'"
    try:
        with foreign(lambda error: PluginError(f"{prefix} failed: {failure(error, analysis.run)}"), MemoryError):
            result = analysis.run(*(arguments[name] for name in analysis.inputs), **request.options)
    except MemoryError as error:
        raise ModelError(f"There is not enough memory for '{analysis.name}' of '{request.classifier.name}'.") from error
    seconds = time.perf_counter() - started
    # The result may contain objects of the plugin's own classes, which may raise any error.
    with foreign(lambda error: PluginError(f"{prefix} returned an unreadable result: {reason(error)}")):
        _check(analysis, prefix, result, None if images is None else images.shape)
    if images is not None and result.overview is not None and arguments["dataset"] is None:
        raise PluginError(f"{prefix} returned an overview, but got no data set.")
    return result, seconds


def structure_of(result: Result) -> tuple[dict[str, tuple[int, ...]], set[str]]:
    """The arrays with their shapes, and the facts: the same for all images."""
    return {name: array.shape[1:] for name, array in result.arrays.items()}, set(result.facts)


def _indices(analysis: Analysis, targets: Sequence[Resolved]) -> Int64[np.ndarray, " N"]:
    for target in targets:
        if isinstance(target, Objective):
            raise UsageError(f"The analysis '{analysis.name}' explains outputs; it can't explain the objective {target}.")
    return np.array(targets, np.int64)


def _check(analysis: Analysis, prefix: str, result: object, images: tuple[int, ...] | None) -> None:
    """Checks a result for images of this shape, or None for an analysis without images."""
    count = None if images is None else images[0]
    if not isinstance(result, Result):
        raise PluginError(f"{prefix} returned a {type(result).__name__}; expected a Result.")
    for what, mapping in (("arrays", result.arrays), ("facts", result.facts)):
        if not isinstance(mapping, Mapping) or not all(isinstance(name, str) for name in mapping):
            raise PluginError(f"{prefix} returned the {what} {shown(mapping)}; expected a dict with names as keys.")
    if not isinstance(result.warnings, tuple | list) or not all(isinstance(each, str) for each in result.warnings):
        raise PluginError(f"{prefix} returned the warnings {shown(result.warnings)}; expected a tuple of strings.")
    for name, array in result.arrays.items():
        _check_array(analysis, prefix, name, array, images)
    for name, fact in result.facts.items():
        if count is not None and not contents.is_fact_of(fact, count):
            raise PluginError(f"{prefix} returned the fact {shown(name)}; expected a list with one entry per image.")
    # Encoding all facts at once takes less time.
    if _json_error(dict(result.facts)) is not None:
        for name, fact in result.facts.items():
            cause = _json_error(fact)
            if cause is not None:
                message = f"{prefix} returned the fact {shown(name)}, which is not JSON: {reason(cause)}."
                raise PluginError(message) from cause
    if analysis.sampling is not None and count is not None:
        _check_error(prefix, analysis.sampling.relative_error, result.facts)
    if result.overview is not None:
        _check_overview(analysis, prefix, result, result.overview)


def _check_error(prefix: str, name: str, facts: Mapping[str, Any]) -> None:
    errors = facts.get(name)
    if errors is None or not all(isinstance(each, int | float) and each >= 0 for each in errors):
        raise PluginError(f"{prefix} returned the fact '{name}' as {shown(errors)}; expected a relative error per image.")


def _json_error(value: object) -> Exception | None:
    """Why a value can't be encoded as JSON; None if it can."""
    try:
        JSON.encode(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        return error
    return None


def _check_array(analysis: Analysis, prefix: str, name: str, array: object, images: tuple[int, ...] | None) -> None:
    if not isinstance(array, np.ndarray) or (images is not None and array.shape[:1] != images[:1]):
        description = f"of shape {array.shape}" if isinstance(array, np.ndarray) else f"as a {type(array).__name__}"
        raise PluginError(
            f"{prefix} returned the array {shown(name)} {description} for {None if images is None else images[0]} images; "
            "expected a NumPy array whose first axis is the images."
        )
    if not _is_valid(name):
        raise PluginError(
            f"{prefix} returned an array named {shown(name)}; expected a printable name that is not reserved or a path."
        )
    if not contents.is_numeric(array):
        raise PluginError(f"{prefix} returned {line(array.dtype)} in '{name}'; expected numbers.")
    if not contents.is_finite(array):
        raise ModelError(f"'{analysis.name}' returned values that are not finite (NaN or infinity) in '{name}'.")
    if name in analysis.maps and (images is None or not contents.is_map_of(array, images)):
        expected = "not in an overview" if images is None else f"of shape {images[:3]}"
        raise PluginError(
            f"{prefix} returned the map '{name}' as {array.dtype} of shape {array.shape}; expected real numbers, "
            f"{expected}. Remove arrays that are not such maps from Analysis(…, maps=…)."
        )


@lru_cache
def _is_valid(name: str) -> bool:
    """Whether an array can have a name."""
    reserved = name in RESERVED or "\\" in name or not {"", ".", ".."}.isdisjoint(name.split("/"))
    return name.isprintable() and not reserved and len(name) <= LONGEST


def _check_overview(analysis: Analysis, prefix: str, result: Result, overview: Result) -> None:
    _check(analysis, prefix, overview, None)
    if overview.overview is not None or overview.warnings:
        raise PluginError(f"{prefix} returned an overview with warnings or an overview of its own.")
    listed = [name for name, fact in overview.facts.items() if isinstance(fact, list | tuple)]
    if listed:
        raise PluginError(
            f"{prefix} returned the fact {shown(listed[0])} of the overview as a list; expected a single value or a dict, "
            "since lists are facts of images."
        )
    duplicates = [*set(result.arrays) & set(overview.arrays), *set(result.facts) & set(overview.facts)]
    if duplicates:
        raise PluginError(f"{prefix} returned {shown(duplicates[0])} both for the images and for the overview.")

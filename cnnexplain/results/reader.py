"""Reads the folder of a result: checks it and returns the fields of its records, without Keras."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain import __version__
from cnnexplain.errors import OutputError, UsageError, line
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.plugin import registry
from cnnexplain.plugin.analysis import Analysis, Result
from cnnexplain.results import contents, former_results, image_json, json_files, npz, result_files, schema, verification_json
from cnnexplain.results.control import CORRELATION, control_name, take_arrays
from cnnexplain.results.damage import DamageError, damaged
from cnnexplain.results.file_names import RESULT, listed

if TYPE_CHECKING:
    from jaxtyping import Float32, Shaped


INPUT = "input"
"""The name of the images among the arrays."""

DAMAGES = (KeyError, TypeError, ValueError, IndexError, AttributeError, UsageError)
"""Errors that may occur when a record is created from damaged JSON."""


def read_parts(folder: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """The fields of a record of each part of a result; see `load_parts`."""
    folder = Path(folder)
    result = read_result(folder)
    analysis = analysis_of(folder, result)
    for part in result_files.read_parts(folder, result):
        fields_of_part = read_part(folder, analysis, result, part)
        _check_unchanged(folder, result)
        yield fields_of_part
        # Frees the memory of this part before the next one is read.
        del fields_of_part


def read_result(folder: Path) -> dict[str, Any]:
    """The content of `result.json` in the folder, checked."""
    try:
        if not folder.is_dir():
            raise UsageError(
                f"There is no folder '{folder}'; expected the folder of a result, such as cnnexplain-out/saliency."
            )
        (folder / RESULT).lstat()
    except FileNotFoundError as error:
        subfolders = sorted(path.parent.name for path in folder.glob(f"*/{RESULT}"))
        advice = f" There are results in its subfolders {listed(subfolders, 20)}: choose one of them." if subfolders else ""
        raise OutputError(f"The folder '{folder}' contains no result: it has no {RESULT}.{advice}") from error
    except OSError as error:
        raise OutputError(f"Can't read the folder '{folder}': {error.strerror or error}.") from error
    return result_files.read_result(folder)


def _check_unchanged(folder: Path, result: Mapping[str, Any]) -> None:
    """Checks that the result was not replaced while it was read.

    Raises:
        OutputError: Another run has replaced it.
    """
    # A run in progress may add parts.
    growing = ("files", "parts", "complete", "skipped", "seconds")
    with suppress(DamageError):
        current = former_results.result(json_files.read(folder / RESULT))
        if all(name in growing or current.get(name) == value for name, value in result.items()):
            return
    raise OutputError(f"The result in '{folder}' was replaced by another run while it was read; read it again.")


def analysis_of(folder: Path, result: Mapping[str, Any]) -> Analysis:
    """The analysis of a result.

    Raises:
        UsageError: It is not installed.
    """
    name, plugin = result["analysis"], result["plugin"]
    try:
        return registry.load().get(name)[0]
    except UsageError as error:
        supplier = line(f"{plugin['distribution']} {plugin['version']}", 80)
        raise UsageError(
            f"The result in '{folder}' belongs to the analysis '{line(name, 80)}', from {supplier}, which is not installed."
        ) from error


def read_part(folder: Path, analysis: Analysis, result: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the record of one part, its arrays read.

    Args:
        folder: The folder of the result.
        analysis: The analysis.
        result: The content of `result.json`.
        part: The content of the file of the part.

    Raises:
        OutputError: The part is damaged.
    """
    arrays = _arrays(folder, part["files"])
    try:
        labels, (start, stop) = tuple(result["labels"]), part["span"]
        preprocess = _preprocess(result["input"])
        shape = (len(part["images"]), *preprocess.shape)
        images = np.asarray(arrays.pop(INPUT, np.zeros((0, *preprocess.shape))), np.float32)
        if images.shape != shape:
            raise ValueError(f"the images have the shape {images.shape} instead of {shape}")
        control = None
        if "control" not in part and (name := control_name(arrays, part["facts"])):
            raise ValueError(f"there is '{name}', but no control")
        if "control" in part:
            control = Result(take_arrays(arrays), dict(part["control"]["facts"]))
            _check_control(analysis, images, control, part["facts"])
        _check(analysis, images, arrays, part["facts"], start)
        return {
            "analysis": replace(analysis, overview=None) if start else analysis,
            "options": {name: _tuple(value) for name, value in result["options"].items()},
            "images": images,
            "explained": tuple(map(image_json.read, part["images"])),
            "arrays": arrays,
            "facts": dict(part["facts"]),
            "labels": labels,
            "preprocess": preprocess,
            "provenance": {name: result[name] for name in schema.PROVENANCE if name in result},
            "warnings": tuple(map(str, part["warnings"])),
            "seconds": float(part["seconds"]),
            "span": range(start, stop),
            "skipped": dict(part["skipped"]),
            "control": control,
            "verification": verification_json.of_parts(result, [part]),
        }
    except DAMAGES as error:
        raise damaged(folder, words(error)) from error


def _check(
    analysis: Analysis,
    images: Float32[np.ndarray, "N H W C"],
    arrays: Mapping[str, Shaped[np.ndarray, " ..."]],
    facts: Mapping[str, Any],
    start: int,
) -> None:
    """Checks that arrays and facts match the images, except for those that may belong to the overview.

    Raises:
        ValueError: They don't match.
    """
    for name, array in {INPUT: images, **arrays}.items():
        if not contents.is_numeric(array) or not contents.is_finite(array):
            raise ValueError(f"'{name}' contains values that are not finite numbers")
    if "images" not in analysis.inputs:
        return
    # Only the first part can have an overview, and only of an analysis that searches a data set.
    no_overview = start > 0 or "dataset" not in analysis.inputs
    for name, array in arrays.items():
        per_image = array.shape[:1] == images.shape[:1] or not no_overview
        if not (contents.is_map_of(array, images.shape) if name in analysis.maps else per_image):
            raise ValueError(f"'{name}' has the shape {array.shape}, which does not fit images of shape {images.shape}")
    for name, fact in facts.items():
        # The facts of an overview are never lists.
        if not contents.is_fact_of(fact, len(images)) and (no_overview or isinstance(fact, list)):
            raise ValueError(f"'{name}' has no entry for each of {len(images)} images")
    error = None if analysis.sampling is None else analysis.sampling.relative_error
    # Earlier results of an analysis may lack the fact.
    if error is not None and error in facts and not contents.are_numbers(facts[error], 0):
        raise ValueError(f"'{error}' is not a list of numbers from 0")


def _check_control(
    analysis: Analysis, images: Float32[np.ndarray, "N H W C"], control: Result, facts: Mapping[str, Any]
) -> None:
    """Checks the control of a part, given the facts of the real network.

    Raises:
        ValueError: They don't match.
    """
    # The control has no overview.
    _check(analysis, images, control.arrays, control.facts, start=1)
    if analysis.main_map(control.arrays) is None:
        raise ValueError("the control has no map")
    if not contents.are_numbers(facts.get(CORRELATION), -1, 1):
        raise ValueError(f"'{CORRELATION}' is not a list of numbers from -1 to 1")


def _preprocess(settings: Mapping[str, Any]) -> Preprocess:
    unknown = set(settings) - {field.name for field in fields(Preprocess)}
    if unknown:
        # An unknown key may change how the images must be displayed.
        raise DamageError(f"'input' has '{min(unknown)}', which is unknown to cnnexplain {__version__}")
    preprocess = Preprocess(**{name: _tuple(value) for name, value in settings.items()})
    with np.errstate(all="ignore"):
        if not np.isfinite([preprocess.low, preprocess.high]).all():
            raise DamageError("'input' has no finite range")
    return preprocess


def _arrays(folder: Path, names: list[str]) -> dict[str, Shaped[np.ndarray, " ..."]]:
    """The arrays of the part that has these files."""
    (name,) = (name for name in names if name.endswith(".npz"))
    try:
        return npz.read(folder / name)
    except DamageError as damage:
        raise damaged(folder, damage) from damage


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def words(error: Exception) -> str:
    """The message of one of the `DAMAGES`."""
    return f"{error} is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__

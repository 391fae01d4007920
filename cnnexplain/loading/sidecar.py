"""The settings of a model's input and labels, given in a JSON file, as options, or in Python.

A sidecar is the file NAME.json next to a model file NAME.keras or NAME.h5. Like the model, it is untrusted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from cnnexplain import files, former_names
from cnnexplain.errors import ModelError, UsageError, suggest
from cnnexplain.inputs.literals import Color, Fit, Interpolation
from cnnexplain.loading import class_index
from cnnexplain.loading import setting_values as values
from cnnexplain.model.head import outputs
from cnnexplain.model.structure import fixed_inputs

MAX_BYTES = 4 << 20
"""Larger JSON and text files are rejected."""


@dataclass(frozen=True)
class Key:
    """A setting.

    Args:
        help: A description for users.
        expected: A description of the valid values.
        read: Converts a value from JSON, or its text form. Raises ValueError or TypeError for invalid values.
        words: The valid values, if the setting takes one of a few words.
    """

    help: str
    expected: str
    read: Callable[[Any], Any]
    words: tuple[str, ...] = ()


def _words(text: str, kind: Any) -> Key:
    words = get_args(kind)
    return Key(text, f"one of {', '.join(words)}", values.word(words), words)


KEYS: dict[str, Key] = {
    "size": Key(
        "Rows and columns of the input.",
        f"whole numbers from 1 to {values.LARGEST}: one for a square, or rows and columns, such as [224, 160] or 224x160",
        values.size,
    ),
    "color": _words("The color channels of the input.", Color),
    "scale": Key("Factor for pixel values from 0 to 255.", "a number above 0, such as 0.5 or '1/255'", values.positive),
    "mean": Key(
        "Value to subtract after scaling, for all channels or for each.",
        "one number, or one for each channel, such as [0.5, 0.4, 0.3]",
        values.numbers,
    ),
    "std": Key(
        "Value to divide by after subtracting the mean, for all channels or for each.",
        "one number above 0, or one for each channel, such as [0.2, 0.2, 0.2]",
        values.deviations,
    ),
    "fit": _words(
        "How an image is fitted to the input size: stretched, cropped to its center, padded with black, or centered like "
        "MNIST's digits.",
        Fit,
    ),
    "crop": Key("Share of the side to keep with the fit 'crop'.", "a number above 0 and up to 1", values.share),
    "interpolation": _words("Interpolation for resizing.", Interpolation),
    "antialias": Key(
        "Whether to use anti-aliasing for resizing, unlike the loaders of Keras.",
        "true or false",
        values.truth,
        values.TRUTHS,
    ),
    "white_level": Key(
        "The value of white in images of more than 8 bits, such as 4095 for 12-bit data in 16-bit files.",
        "a number above 0, such as 4095",
        values.positive,
    ),
    "show_bands": Key(
        "The bands that pictures show as red, green and blue, or as gray, counted from 0.",
        "three numbers or one, such as [3, 2, 1]",
        values.bands,
    ),
    "labels": Key(
        "The names of the classes, in order.",
        'a list of names, a class index such as {"cat": 0, "dog": 1}, or the name of a file: JSON with either, or text with '
        "one on each line",
        values.labels,
    ),
    "fixed": Key(
        "The values of the inputs other than the image.",
        'names with numbers, lists of numbers or file names, such as {"meta": [0.5, 3], "mask": "mask.npy"}',
        values.fixed,
    ),
    "head": _words("What the outputs are: scores before a softmax, probabilities, or values such as an age.", outputs.Kind),
    "unit": Key("The unit of values.", f"a text of up to {values.LONGEST} characters, such as 'years'", values.text),
    "training_figures": Key(
        "Information on the training, shown in the model card of a report.",
        'names with numbers or texts, such as {"epochs": 30, "validation accuracy": 0.93}',
        values.figures,
    ),
}
"""All settings, in the order of the documentation."""

OTHER_KEYS = ("labels", "fixed", "head", "unit", "training_figures")
"""The keys that are not settings of the input, and have no option `--input-KEY`."""


def parameter(key: str) -> str:
    """The name of the parameter for a setting of the input."""
    return key if key == "show_bands" else f"input_{key}"


def flag(key: str) -> str:
    """The command-line option for a setting of the input."""
    return f"--{parameter(key).replace('_', '-')}"


def check(settings: object, named: Callable[[str], str] = "'{}'".format) -> dict[str, Any]:
    """Checks and converts settings.

    Args:
        settings: A mapping with some of `KEYS`.
        named: Returns the name of a key in errors.

    Raises:
        UsageError: `settings` is not a mapping, or has an unknown key or an invalid value.
    """
    if not isinstance(settings, Mapping):
        raise UsageError(
            f"Expected a mapping with keys such as 'size' for a model's input, but got a {type(settings).__name__}."
        )
    settings = former_names.current(settings)
    for key in settings:
        if key not in KEYS:
            raise UsageError(f"There is no key {_shown(key)}.{suggest(str(key)[:80], KEYS)} The keys are {', '.join(KEYS)}.")
    return {key: _checked(key, settings[key], named(key)) for key in KEYS if key in settings}


def _checked(key: str, value: object, name: str) -> Any:
    try:
        return KEYS[key].read(former_names.word(value) if KEYS[key].words else value)
    except UsageError:
        raise
    except (ValueError, TypeError, OverflowError):
        near = suggest(str(value)[:80], KEYS[key].words)
        raise UsageError(f"{name} takes {KEYS[key].expected}, but got {_shown(value)}.{near}") from None


def read(path: Path) -> dict[str, Any]:
    """Reads settings from a JSON file.

    Raises:
        ModelError: The file can't be read, is not valid JSON, or contains invalid settings.
    """
    return _check_file(path, _json(path))


def next_to(model: Path) -> dict[str, Any]:
    """Reads the sidecar of a model file; no settings if there is none.

    A JSON file without any of our keys, even misspelled, belongs to another program.

    Raises:
        ModelError: The sidecar can't be read, is not valid JSON, or contains invalid settings.
    """
    path = place(model)
    content = _json(path) if path.is_file() else {}
    return {} if _is_foreign(content) else _check_file(path, content)


def unused(model: Path) -> Path | None:
    """The JSON file next to a model file that belongs to another program, if any.

    Raises:
        ModelError: It can't be read, or is not valid JSON.
    """
    path = place(model)
    return path if path.is_file() and _is_foreign(_json(path)) else None


def _is_foreign(content: object) -> bool:
    if not isinstance(content, dict) or not content or any(former_names.key(key) in KEYS for key in content):
        return False
    return _is_class_index(content) or not any(get_close_matches(key.lower(), KEYS, cutoff=0.75) for key in content)


def _is_class_index(content: dict[str, Any]) -> bool:
    try:
        return bool(class_index.names(content))
    except (TypeError, ValueError):
        return False


def place(model: Path) -> Path:
    """The path of the sidecar of a model file."""
    return model.with_suffix(".json")


def write(path: Path, settings: Mapping[str, Any]) -> None:
    """Writes a sidecar.

    Raises:
        OutputError: It can't be written.
    """
    check(settings)
    with files.replacing(path) as temporary:
        temporary.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def read_labels(path: Path) -> tuple[str, ...]:
    """Reads the names of classes from a file: JSON with a list or class index, or text with one name on each line.

    Raises:
        ModelError: The file can't be read, its text has an empty line, or its JSON is neither a list nor a class index.
    """
    if path.suffix.lower() == ".json":
        try:
            return class_index.names(_json(path))
        except (TypeError, ValueError) as error:
            raise ModelError(f"'{path}' does not name the classes: {error}. {class_index.EXPECTED}") from error
    lines = [line.strip() for line in _text(path).rstrip().splitlines()]
    if not lines or not all(lines):
        problem = f"line {lines.index('') + 1} of '{path}' is empty" if lines else f"'{path}' is empty"
        raise ModelError(f"Expected one label on each line, but {problem}.")
    return tuple(lines)


def _check_file(path: Path, content: object) -> dict[str, Any]:
    try:
        settings = check(content)
    except UsageError as error:
        raise ModelError(f"In '{path}': {error}") from error
    labels = settings.get("labels")
    if isinstance(labels, str):
        # An untrusted file must not reach into other folders.
        if Path(labels).name != labels or "\\" in labels or labels == "..":
            raise ModelError(f"In '{path}': 'labels' names the file {_shown(labels)}; expected one in the same folder.")
        settings["labels"] = read_labels(files.existing(path.parent / labels, "labels file"))
    for name, value in settings.get("fixed", {}).items():
        if isinstance(value, str) and fixed_inputs.is_file(value):
            if Path(value).name != value or "\\" in value:
                raise ModelError(f"In '{path}': 'fixed' names the file {_shown(value)}; expected one in the same folder.")
            settings["fixed"][name] = files.existing(path.parent / value, f"file of values for '{name}'")
    return settings


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"'{path}' is not valid JSON: {' '.join(str(error).split())[:120]}. Write fractions in quotes, such as "
            '"1/255".'
        ) from error


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ModelError(f"Can't read '{path}': {error.strerror}.") from error
    if len(data) > MAX_BYTES:
        raise ModelError(f"'{path}' has more than {MAX_BYTES >> 20} MiB and is rejected.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ModelError(f"'{path}' is not text in UTF-8.") from error


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"

"""What users write of a model's input and labels: in a JSON file, as options or in Python; checked key by key.

A sidecar is the file NAME.json beside a model file NAME.keras or NAME.h5. Like the model, it may come from anywhere.
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
from cnnexplain.model import fixed_inputs, outputs

LIMIT = 4 << 20
"""A JSON or text file of more bytes is refused."""


@dataclass(frozen=True)
class Key:
    """One thing that can be said.

    Args:
        help: What it is, for the user.
        expected: What its values are.
        read: A value of JSON, or a text form of it ↦ the value. Raises ValueError or TypeError for invalid values.
        words: The values, where they are a few words.
    """

    help: str
    expected: str
    read: Callable[[Any], Any]
    words: tuple[str, ...] = ()


def _words(text: str, kind: Any) -> Key:
    known = get_args(kind)
    return Key(text, f"one of {', '.join(known)}", values.word(known), known)


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
"""All that can be said, in the order in which it is documented."""

BESIDE = ("labels", "fixed", "head", "unit", "training_figures")
"""The keys that are not about the input, for which there is no option `--input-KEY`."""


def parameter(key: str) -> str:
    """The name of the parameter that says a key about the input."""
    return key if key == "show_bands" else f"input_{key}"


def flag(key: str) -> str:
    """Its option."""
    return f"--{parameter(key).replace('_', '-')}"


def check(said: object, named: Callable[[str], str] = "'{}'".format) -> dict[str, Any]:
    """The values of what was said, by key.

    Args:
        said: A mapping with some of `KEYS`.
        named: What to call a key in an error.

    Raises:
        UsageError: It is no such mapping, has another key, or a value that a key forbids.
    """
    if not isinstance(said, Mapping):
        raise UsageError(
            f"Expected a mapping with keys such as 'size' for a model's input, but got a {type(said).__name__}."
        )
    said = {former_names.key(key): value for key, value in said.items()}
    for key in said:
        if key not in KEYS:
            raise UsageError(f"There is no key {_shown(key)}.{suggest(str(key)[:80], KEYS)} The keys are {', '.join(KEYS)}.")
    return {key: _checked(key, said[key], named(key)) for key in KEYS if key in said}


def _checked(key: str, value: object, name: str) -> Any:
    try:
        return KEYS[key].read(former_names.word(value) if KEYS[key].words else value)
    except UsageError:
        raise
    except (ValueError, TypeError, OverflowError):
        near = suggest(str(value)[:80], KEYS[key].words)
        raise UsageError(f"{name} takes {KEYS[key].expected}, but got {_shown(value)}.{near}") from None


def read(path: Path) -> dict[str, Any]:
    """What a JSON file says, by key.

    Raises:
        ModelError: It can't be read, is no JSON, or says what `check` refuses.
    """
    return _said(path, _json(path))


def beside(model: Path) -> dict[str, Any]:
    """What the sidecar of a model file says; nothing where there is none.

    A JSON file that has none of our keys, nor one that looks mistyped, is another program's and no sidecar.

    Raises:
        ModelError: The sidecar can't be read, is no JSON, or says what `check` refuses.
    """
    path = place(model)
    said = _json(path) if path.is_file() else {}
    return {} if _foreign(said) else _said(path, said)


def unused(model: Path) -> Path | None:
    """The JSON file beside a model file that is another program's and no sidecar; None where there is none.

    Raises:
        ModelError: It can't be read, or is no JSON.
    """
    path = place(model)
    return path if path.is_file() and _foreign(_json(path)) else None


def _foreign(said: object) -> bool:
    if not isinstance(said, dict) or not said or any(former_names.key(key) in KEYS for key in said):
        return False
    return _is_index(said) or not any(get_close_matches(key.lower(), KEYS, cutoff=0.75) for key in said)


def _is_index(said: dict[str, Any]) -> bool:
    try:
        return bool(class_index.names(said))
    except (TypeError, ValueError):
        return False


def place(model: Path) -> Path:
    """Where the sidecar of a model file lies."""
    return model.with_suffix(".json")


def write(path: Path, said: Mapping[str, Any]) -> None:
    """Writes a sidecar.

    Raises:
        OutputError: It can't be written.
    """
    check(said)
    with files.replacing(path) as temporary:
        temporary.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def read_labels(path: Path) -> tuple[str, ...]:
    """The names in a file: of a list or class index in one that ends in .json, else one on each line.

    Raises:
        ModelError: It can't be read, has a line without a name between others, or its JSON is no list or class index.
    """
    if path.suffix.lower() == ".json":
        try:
            return class_index.names(_json(path))
        except (TypeError, ValueError) as error:
            raise ModelError(f"'{path}' names no classes: {error}. {class_index.EXPECTED}") from error
    lines = [line.strip() for line in _text(path).rstrip().splitlines()]
    if not lines or not all(lines):
        place = f"line {lines.index('') + 1} of '{path}' is empty" if lines else f"'{path}' holds none"
        raise ModelError(f"Labels are read one on each line, but {place}.")
    return tuple(lines)


def _said(path: Path, said: object) -> dict[str, Any]:
    try:
        found = check(said)
    except UsageError as error:
        raise ModelError(f"In '{path}': {error}") from error
    labels = found.get("labels")
    if isinstance(labels, str):
        # A file from anywhere may not reach into other folders.
        if Path(labels).name != labels or "\\" in labels or labels == "..":
            raise ModelError(f"In '{path}': 'labels' names the file {_shown(labels)}; expected one in the same folder.")
        found["labels"] = read_labels(files.existing(path.parent / labels, "file of labels"))
    for name, value in found.get("fixed", {}).items():
        if isinstance(value, str) and fixed_inputs.is_file(value):
            if Path(value).name != value or "\\" in value:
                raise ModelError(f"In '{path}': 'fixed' names the file {_shown(value)}; expected one in the same folder.")
            found["fixed"][name] = files.existing(path.parent / value, f"file of values for '{name}'")
    return found


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"'{path}' is no JSON: {' '.join(str(error).split())[:120]}. A fraction stands in quotes, as in \"1/255\"."
        ) from error


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LIMIT + 1)
    except OSError as error:
        raise ModelError(f"Can't read '{path}': {error.strerror}.") from error
    if len(data) > LIMIT:
        raise ModelError(f"'{path}' has more than {LIMIT >> 20} MiB, and is refused.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ModelError(f"'{path}' is no text in UTF-8.") from error


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"

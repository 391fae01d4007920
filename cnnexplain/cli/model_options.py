"""The options that select the model and describe its input, and their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.markup import escape

from cnnexplain import files
from cnnexplain.cli import completion
from cnnexplain.cli.keras_start import check_backend
from cnnexplain.cli.options import BackendOption, Declared
from cnnexplain.loading import import_string, model_names, sidecar
from cnnexplain.model import model_files
from cnnexplain.model.head import outputs
from cnnexplain.model.structure import fixed_inputs

PANEL = "Model and its input"
"""The heading of these options in the help."""


def _model_option(
    flag: str, metavar: str, text: str, kind: Any = str | None, offers: Callable[..., Any] | None = None
) -> Any:
    option = typer.Option(flag, metavar=metavar, help=escape(text), rich_help_panel=PANEL, autocompletion=offers)
    return Annotated[kind, option]


METAVARS = {"size": "N|HxW", "mean": "X|X,X,X", "std": "X|X,X,X", "show_bands": "N|N,N,N"}
"""Metavariables of some keys."""

MODEL_HELP = (
    f"A Keras model file (.keras, .h5), '{model_files.INCLUDED}' (included), or another name shown by 'cnnexplain list'."
)

MODEL_OPTIONS: Declared = {
    "model": (
        _model_option(
            "--model",
            "MODEL",
            MODEL_HELP,
            str,
            completion.named_models,
        ),
        model_files.INCLUDED,
    ),
    **{
        sidecar.parameter(name): (
            _model_option(
                sidecar.flag(name),
                "HOW" if key.words else METAVARS.get(name, "X"),
                f"{key.help} {'|'.join(key.words)}".strip(),
                offers=completion.fixed_words(key.words),
            ),
            None,
        )
        for name, key in sidecar.KEYS.items()
        if name not in sidecar.OTHER_KEYS
    },
    "preprocess": (
        _model_option(
            "--preprocess",
            "FILE|module:name",
            "A JSON file with these settings, or a Python function that maps pixels to the model's input range. "
            "Default: NAME.json beside the model.",
        ),
        None,
    ),
    "labels": (
        _model_option(
            "--labels",
            "FILE",
            "A text file with the name of an output on each line, or a JSON file: a list of names, or a class index.",
        ),
        None,
    ),
    "output": (_model_option("--output", "NAME", "The output to explain, for a model with several."), None),
    "input": (_model_option("--input", "NAME", "The image input to explain, for a model with several inputs."), None),
    "fixed": (
        _model_option(
            "--fixed",
            "NAME=VALUE",
            "The values of an input other than the image: a .npy, .npz, .json or .csv file, or numbers such as 1,2.5,3. "
            "(Repeatable.)",
            list[str] | None,
        ),
        None,
    ),
    **{
        name.replace("-", "_"): (Annotated[bool, typer.Option(f"--{name}", help=text, rich_help_panel=PANEL)], False)
        for name, text in {
            "logits": "The outputs are scores before a softmax.",
            "probabilities": "The outputs are probabilities; scores are log p (softmax) or log p − log(1 − p) (sigmoid).",
            "values": "The outputs are numbers such as an age or a bounding box, not probabilities.",
            "no-limits": "Load a model file even if it declares more than fits into memory.",
        }.items()
    },
    "value_unit": (_model_option("--value-unit", "NAME", "The unit of --values, such as years."), None),
    "reduce": (
        _model_option(
            "--reduce",
            "HOW",
            "How to reduce an output with scores for each pixel: mean, maximum, or one pixel. mean|max|ROW,COLUMN",
            offers=completion.fixed_words(("mean", "max")),
        ),
        None,
    ),
    "custom_objects": (
        _model_option(
            "--custom-objects",
            "module:name",
            "A class or function that the model file needs; its module is imported. (Repeatable.)",
            list[str] | None,
        ),
        None,
    ),
    "weights": (_model_option("--weights", "FILE", "The weights file, for a named model that takes one."), None),
    "backend": (BackendOption, None),
}
"""The options of commands that load a model."""


@dataclass(frozen=True)
class ModelArguments:
    """The values of `MODEL_OPTIONS`; `settings` are those of the input, by the keys of a sidecar."""

    model: str
    settings: Mapping[str, Any]
    preprocess: str | None
    labels: str | None
    output: str | None
    kind: outputs.Kind | None
    value_unit: str | None
    reduce: str | None
    input: str | None
    fixed: Mapping[str, str]
    custom_objects: tuple[str, ...]
    weights: str | None
    no_limits: bool
    backend: str | None


def model_arguments(given: Mapping[str, Any]) -> ModelArguments:
    """The arguments among the values that Typer passes to a command, checked as far as possible without Keras.

    Raises:
        UsageError: A value is invalid, or a file does not exist.
        ModelError: A JSON file can't be read, or has an invalid value.
    """
    settings = {key: given[sidecar.parameter(key)] for key in sidecar.KEYS if given.get(sidecar.parameter(key)) is not None}
    names = ("model", "preprocess", "labels", "output", "value_unit", "reduce", "input", "weights", "no_limits", "backend")
    rest = {name: given[name] for name in names}
    kind = outputs.kind(**{name: given[name] for name in ("logits", "probabilities", "values")})
    values, objects = fixed_inputs.parse(given["fixed"] or ()), tuple(given["custom_objects"] or ())
    arguments = ModelArguments(settings=settings, kind=kind, fixed=values, custom_objects=objects, **rest)
    check_backend(arguments.backend)
    sidecar.check(settings, sidecar.flag)
    sidecar.check({} if arguments.value_unit is None else {"unit": arguments.value_unit}, "--value-{}".format)
    outputs.reduction(arguments.reduce)
    model_names.find(arguments.model)
    for name, what in ((arguments.labels, "labels file"), (arguments.weights, "weights file")):
        if name is not None:
            files.existing(name, what)
    if arguments.preprocess is not None and arguments.preprocess.endswith(".json"):
        sidecar.read(files.existing(arguments.preprocess, "preprocessing file"))
    elif arguments.preprocess is not None:
        import_string.check(arguments.preprocess)
    for name in arguments.custom_objects:
        import_string.check(name)
    return arguments

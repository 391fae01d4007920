"""What the commands begin with: the plugins, Keras, the model, and the lines that several of them print."""

from __future__ import annotations

import gc
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from cnnexplain import files
from cnnexplain.backend import BACKENDS
from cnnexplain.cli import completion, console
from cnnexplain.errors import CnnExplainError, UsageError, foreign, reason, shown, suggest
from cnnexplain.loading import import_string, model_names, sidecar
from cnnexplain.model import fixed_inputs, model_files, outputs
from cnnexplain.rendering.pictures import FORMATS, MAX_DPI, MIN_DPI, Pictures

if TYPE_CHECKING:
    from rich.progress import Progress

    from cnnexplain.model.classifier import Classifier
    from cnnexplain.plugin.registry import Registry

PANEL = "Model and its input"
"""Under which heading the help shows the options that say what the model is."""


def _model_option(
    flag: str, metavar: str, text: str, kind: Any = str | None, offers: Callable[..., Any] | None = None
) -> Any:
    option = typer.Option(flag, metavar=metavar, help=escape(text), rich_help_panel=PANEL, autocompletion=offers)
    return Annotated[kind, option]


METAVARS = {"size": "N|HxW", "mean": "X|X,X,X", "std": "X|X,X,X", "show_bands": "N|N,N,N"}
"""What the values of some keys look like."""

MODEL_HELP = (
    f"A Keras model (.keras, .h5), '{model_files.INCLUDED}', which is included, or another name from 'cnnexplain list'."
)

BackendOption = Annotated[
    str | None,
    typer.Option(
        "--backend",
        metavar="NAME",
        help=f"{'|'.join(BACKENDS)}: what Keras computes with. Default: what KERAS_BACKEND or Keras' own settings say, else "
        "tensorflow.",
        autocompletion=completion.of(BACKENDS),
    ),
]
MODEL_OPTIONS: dict[str, tuple[Any, Any]] = {
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
                offers=completion.of(key.words),
            ),
            None,
        )
        for name, key in sidecar.KEYS.items()
        if name not in sidecar.BESIDE
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
    "output": (_model_option("--output", "NAME", "The output to explain, of a model with several."), None),
    "input": (_model_option("--input", "NAME", "The input to explain, an image, of a model with several."), None),
    "fixed": (
        _model_option(
            "--fixed",
            "NAME=VALUE",
            "The values of an input beside the image: a .npy, .npz, .json or .csv file, or numbers such as 1,2.5,3. "
            "(Repeatable.)",
            list[str] | None,
        ),
        None,
    ),
    **{
        name.replace("-", "_"): (Annotated[bool, typer.Option(f"--{name}", help=text, rich_help_panel=PANEL)], False)
        for name, text in {
            "logits": "The outputs are scores before a softmax.",
            "probabilities": "The outputs are probabilities, whose scores are then log p or log p − log(1 − p).",
            "values": "The outputs are numbers such as an age or a box, and no probabilities.",
            "no-limits": "Read a model file that declares more than fits into memory.",
        }.items()
    },
    "value_unit": (_model_option("--value-unit", "NAME", "The unit of --values, such as years."), None),
    "reduce": (
        _model_option(
            "--reduce",
            "HOW",
            "Of an output with scores for each pixel: their mean, their largest, or those of one pixel. mean|max|ROW,COLUMN",
            offers=completion.of(("mean", "max")),
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
    "weights": (_model_option("--weights", "FILE", "The weights, for a model by name that takes them from a file."), None),
    "backend": (BackendOption, None),
}
"""What the commands take that load a model: each option's annotation and default, by the name of the parameter."""


PICTURE_OPTIONS: dict[str, tuple[Any, Any]] = {
    "format": (
        Annotated[
            str,
            typer.Option(
                "--format",
                metavar="|".join(FORMATS),
                help="What pictures are written as.",
                autocompletion=completion.of(FORMATS),
            ),
        ],
        Pictures.format,
    ),
    "dpi": (
        Annotated[
            int,
            typer.Option(
                "--dpi",
                metavar="N",
                help=f"Pixels per inch of the pictures ({MIN_DPI} to {MAX_DPI}), in an SVG or PDF of its maps.",
            ),
        ],
        Pictures.dpi,
    ),
}
"""What the commands take that write pictures: each option's annotation and default."""


@dataclass(frozen=True)
class ModelRequest:
    """What was typed of the model: `MODEL_OPTIONS`, those of its input by the keys of a sidecar."""

    model: str
    said: Mapping[str, Any]
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


def model_request(given: Mapping[str, Any]) -> ModelRequest:
    """The request in what Typer gives a command, once all that can be wrong with it before Keras is started is looked for.

    Raises:
        UsageError: A value is none that the option takes, or a file that does not exist.
        ModelError: A JSON file can't be read or says what it may not.
    """
    said = {key: given[sidecar.parameter(key)] for key in sidecar.KEYS if given.get(sidecar.parameter(key)) is not None}
    names = ("model", "preprocess", "labels", "output", "value_unit", "reduce", "input", "weights", "no_limits", "backend")
    rest = {name: given[name] for name in names}
    kind = outputs.kind(**{name: given[name] for name in ("logits", "probabilities", "values")})
    values, objects = fixed_inputs.parse(given["fixed"] or ()), tuple(given["custom_objects"] or ())
    request = ModelRequest(said=said, kind=kind, fixed=values, custom_objects=objects, **rest)
    check_backend(request.backend)
    sidecar.check(said, sidecar.flag)
    sidecar.check({} if request.value_unit is None else {"unit": request.value_unit}, "--value-{}".format)
    outputs.reduction(request.reduce)
    model_names.find(request.model)
    for name, what in ((request.labels, "file of labels"), (request.weights, "file of weights")):
        if name is not None:
            files.existing(name, what)
    if request.preprocess is not None and request.preprocess.endswith(".json"):
        sidecar.read(files.existing(request.preprocess, "file of preprocessing"))
    elif request.preprocess is not None:
        import_string.check(request.preprocess)
    for name in request.custom_objects:
        import_string.check(name)
    return request


def declare(command: Callable[..., None], declared: Mapping[str, tuple[Any, Any]]) -> Callable[..., None]:
    """The function as Typer would see it if these parameters had been written down."""
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for name, (annotation, default) in declared.items()
        ]
    )
    command.__annotations__ = {name: annotation for name, (annotation, _) in declared.items()}
    return command


VerboseOption = Annotated[bool, typer.Option("--verbose", help="Show what the backend logs.")]


JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document, for scripts; all else goes where errors go.")
]


def registry() -> Registry:
    """The installed plugins."""
    # Reading what is installed takes a fifth of a start, which most commands have no need of.
    from cnnexplain.plugin import registry

    return registry.load()


def warn_of_problems() -> None:
    """Names the plugins that can't be used."""
    for problem in registry().problems:
        console.complain(f"Warning: {problem}", style="yellow")


def load(request: ModelRequest, shown: Progress) -> Classifier:
    """Starts Keras and loads a model, saying so in the display."""
    task = shown.add_task("Starting Keras", total=None)
    start_keras(request.backend)
    from cnnexplain.loading import loader

    shown.update(task, description="Loading the model")
    loaded = loader.load(
        request.model,
        preprocess=[*([] if request.preprocess is None else [request.preprocess]), request.said],
        labels=None if request.labels is None else Path(request.labels),
        output=request.output,
        **({} if request.kind is None else {request.kind: True}),
        unit=request.value_unit,
        reduce=request.reduce,
        input=request.input,
        fixed=request.fixed,
        custom_objects=request.custom_objects,
        weights=request.weights,
        limits=not request.no_limits,
    )
    shown.remove_task(task)
    return loaded


def check_backend(name: str | None) -> None:
    """Sees that Keras can run on a backend of this name, for None on the one of KERAS_BACKEND if that says any.

    Raises:
        UsageError: There is no such backend.
        CnnExplainError: It is not installed, or Keras runs on another one already.
    """
    wanted = os.environ.get("KERAS_BACKEND", "") if name is None else name
    if name is None and not wanted:
        return
    if wanted not in BACKENDS:
        raise UsageError(
            f"cnnexplain has no backend {shown(wanted)}.{suggest(wanted, BACKENDS)} The backends are {', '.join(BACKENDS)}."
        )
    if importlib.util.find_spec(wanted) is None:
        raise CnnExplainError(f"The backend '{wanted}' is not installed: {BACKENDS[wanted]}")
    running = sys.modules.get("keras")
    if name is not None and running is not None and running.backend.backend() != name:
        raise CnnExplainError(
            f"Keras runs on '{running.backend.backend()}' in this process already; start another process for '{name}'."
        )


def start_keras(backend: str | None) -> None:
    """Imports Keras, to run on this backend, for None on what KERAS_BACKEND or its own settings say.

    Raises:
        UsageError: There is no such backend.
        CnnExplainError: It can't be used.
    """
    check_backend(backend)
    if backend is not None:
        os.environ["KERAS_BACKEND"] = backend
    # The import makes hundreds of thousands of objects that stay. Looking for garbage among them, then and at every later
    # collection, costs a tenth of a cold run.
    gc.disable()
    ours = "keras" not in sys.modules
    # They cut every training short, whatever it is asked for.
    for name in ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"):
        os.environ.pop(name, None)
    try:
        with foreign(_cant_start):
            import keras

        if ours:
            # What Keras' settings file says beside the backend is for models that are made here.
            keras.config.set_floatx("float32")
            keras.config.set_epsilon(1e-7)
            keras.config.set_image_data_format("channels_last")
    finally:
        gc.freeze()
        gc.enable()


def _cant_start(error: BaseException) -> CnnExplainError:
    """What to say where Keras can't be imported."""
    # Where no other backend was asked for, Keras' own settings name it.
    missing = BACKENDS.get(getattr(error, "name", None) or "")
    file = Path(os.environ.get("KERAS_HOME") or Path("~/.keras").expanduser()) / "keras.json"
    remedy = " Choose"
    if missing:
        remedy = f" Install it ({missing}), or choose"
    elif os.path.lexists(file):
        remedy = f" Correct or remove its settings, '{file}', or choose"
    return CnnExplainError(f"Keras can't start: {reason(error)}.{remedy} another backend with --backend.")


def print_assumption(classifier: Classifier) -> None:
    """Says what was guessed of the model, since nothing tells it."""
    preprocess = classifier.preprocess
    if "range" in preprocess.assumed and preprocess.colour == "bands":
        console.say(
            "The model's input range is unknown: it is given the numbers of the files as they are. Set it "
            "with --input-scale, --input-mean and --input-std, or in a sidecar."
        )
    elif "range" in preprocess.assumed:
        console.say(
            f"The model's input range is unknown: pixels were scaled to {preprocess.low:g} to {preprocess.high:g}."
            " Set it with --input-scale, --input-mean and --input-std, or in a sidecar."
        )
    if "size" in preprocess.assumed:
        console.say(
            f"The model leaves the size of its input open: {preprocess.height}×{preprocess.width} was taken. "
            "Set it with --input-size."
        )
    if classifier.logarithms:
        softmax = classifier.head == "softmax"
        console.say(
            f"The outputs are probabilities that {'add up to 1' if softmax else 'are each of a class by itself'}: "
            f"the scores explained are {'log p' if softmax else 'log p − log(1 − p)'}."
        )
    if not classifier.certain:
        console.say(
            f"The model ends without a softmax or sigmoid: its outputs were taken for scores before a {classifier.head}. "
            "If they are, --logits says so. If they are other numbers, --values does."
        )


def print_path(path: Path) -> None:
    """Says what was written."""
    console.say(f"Wrote {path}")

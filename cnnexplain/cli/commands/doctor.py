"""The command `doctor`: checks a model and prints the result first."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column, Table
from rich.text import Text

from cnnexplain.cli import completion, console, session
from cnnexplain.cli.model_options import MODEL_HELP, MODEL_OPTIONS, ModelArguments, model_arguments
from cnnexplain.cli.options import PRINTING_OPTIONS, declare
from cnnexplain.model.head.outputs import noun

if TYPE_CHECKING:
    from cnnexplain.doctor import Examination, LayerReport
    from cnnexplain.inputs.preprocess import Preprocess
    from cnnexplain.model.classifier import Classifier

SAMPLES = 256
"""Number of test images of the data set for a digit classifier, if no images are given."""

NAMED = 5
"""Number of labels shown."""


def doctor_command() -> Callable[..., None]:
    """The command; the model is an argument instead of an option."""

    def command(**given: Any) -> None:
        images, layers, verbose, json = (given.pop(name) for name in ("images", "layers", "verbose", "json"))
        if not _diagnose(model_arguments(given), images or [], layers=layers, verbose=verbose, json=json):
            raise typer.Exit(1)

    model = Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP, autocompletion=completion.named_models)]
    images = Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGES",
            help="Images to try it on: files, folders, globs or samples. More images make the checks more reliable.",
            autocompletion=completion.samples,
        ),
    ]
    layers = typer.Option("--layers", help="Also show a table of the layers.")
    options = {name: option for name, option in MODEL_OPTIONS.items() if name != "model"}
    declared = {"model": (model, inspect.Parameter.empty), "images": (images, None), **options}
    return declare(command, {**declared, "layers": (Annotated[bool, layers], False), **PRINTING_OPTIONS})


def _diagnose(arguments: ModelArguments, names: Sequence[str], *, layers: bool, verbose: bool, json: bool) -> bool:
    """Examines a model, prints the outcome, and returns whether there is no problem."""
    with console.document(json) as emit:
        classifier, examination = _examined(arguments, names, verbose=verbose)
        if json:
            emit(_document(classifier, examination))
        else:
            _print(classifier, examination, layers=layers)
    return examination.well


def _examined(arguments: ModelArguments, names: Sequence[str], *, verbose: bool) -> tuple[Classifier, Examination]:
    from cnnexplain.inputs import images

    sources = images.find(names)
    with console.quiet(verbose), console.progress() as display:
        classifier = session.load(arguments, display)
        preset = classifier.preprocess.preset
        if not sources and preset is not None:
            sources = preset.dataset.samples("test", SAMPLES)
        reading = console.bar(display, "Reading")
        batch = images.read_images(sources, classifier, progress=reading) if sources else None
        from cnnexplain.doctor import examine

        return classifier, examine(classifier, batch, console.bar(display, "Examining"))


def _document(classifier: Classifier, examination: Examination) -> dict[str, Any]:
    preprocess, expected = classifier.preprocess, examination.expected
    return {
        "well": examination.well,
        "model": {
            "name": classifier.name,
            "sha256": classifier.sha256,
            "input": {
                "rows": preprocess.height,
                "columns": preprocess.width,
                "color": preprocess.color,
                "low": preprocess.low,
                "high": preprocess.high,
                "fit": preprocess.fit,
                "interpolation": preprocess.interpolation,
                "assumed": preprocess.assumed,
                "expected": None
                if expected is None
                else {"low": expected.low, "high": expected.high, "since": str(expected)},
            },
            "fixed": classifier.inputs.described.get("fixed", {}),
            "head": classifier.head,
            "unit": classifier.unit,
            "labels": classifier.labels,
            "parameters": sum(report.layer.parameters for report in examination.layers),
        },
        "images": examination.images,
        "layers": [_layer(report) for report in examination.layers],
        "analyses": [
            {"name": trial.analysis, "works": trial.works, "remarks": trial.remarks} for trial in examination.trials
        ],
        "findings": examination.findings,
    }


def _layer(report: LayerReport) -> dict[str, Any]:
    layer, field = report.layer, report.field
    return {
        "name": layer.name,
        "kind": layer.kind,
        "shape": layer.shape,
        "parameters": layer.parameters,
        "receptive_field": None if field is None or field.rows.whole else [field.rows.size, field.columns.size],
        "sees": _seen(report),
        "relu_rules": report.rules if layer.maps else None,
        "silent": report.silent,
        "remarks": [words for words in (report.refused, report.unknown) if words],
    }


def _print(classifier: Classifier, examination: Examination, *, layers: bool) -> None:
    _print_verdict(examination)
    _print_model(classifier, examination)
    _print_trials(examination)
    if layers:
        _print_layers(examination)


def _print_verdict(examination: Examination) -> None:
    if examination.well:
        console.say("No problems found.")
        return
    findings, trials = len(examination.findings), examination.trials
    failures = sum(not trial.works for trial in trials)
    counts = [f"{findings} problem{'s' if findings != 1 else ''} found"] if findings else []
    counts += [f"{failures} of {len(trials)} analyses can't explain this model"] if failures else []
    console.say(f"{'; '.join(counts)}.")
    for finding in examination.findings:
        console.out().print(Text.assemble(("Note: ", "yellow bold"), console.plain(finding)))


def _print_model(classifier: Classifier, examination: Examination) -> None:
    preprocess = classifier.preprocess
    known = classifier.labels[: classifier.outputs] if classifier.head == "values" else classifier.labels
    names = [f"'{label}'" if "," in label else label for label in known[:NAMED]]
    labels = ", ".join(names) + (", …" if len(known) > NAMED else "")
    kind = {
        "softmax": "softmax: exactly one class",
        "sigmoid": "sigmoid: independent classes",
        "values": f"values{f' in {classifier.unit}' if classifier.unit else ''}: numbers, not probabilities",
    }[classifier.head]
    count = examination.images
    tried = f"{count} image{'s' if count > 1 else ''}" if count else "noise; give images for more reliable checks"
    rows = [
        ("model", classifier.name),
        ("input", f"{preprocess.height} rows × {preprocess.width} columns, {_channels(preprocess)}"),
        ("range", f"{preprocess.low:.4g} to {preprocess.high:.4g}{' (assumed)' if 'range' in preprocess.assumed else ''}"),
        *([("fixed", str(classifier.inputs))] if classifier.inputs.fixed else []),
        *([] if examination.expected is None else [("expected", str(examination.expected))]),
        ("pictures", f"{preprocess.fit}, {preprocess.interpolation}"),
        ("head", kind),
        (noun(classifier.head), f"{len(known)}: {labels}"),
        ("parameters", f"{sum(report.layer.parameters for report in examination.layers):,}"),
        ("tried on", tried),
    ]
    for name, value in rows:
        console.say(f"{name:14} {value}")


def _channels(preprocess: Preprocess) -> str:
    if preprocess.bands is None:
        return preprocess.color
    return f"{preprocess.bands} bands; pictures show {preprocess.false_color}"


def _print_layers(examination: Examination) -> None:
    columns = [
        Column("Layer", overflow="fold"),
        Column("Kind"),
        Column("Shape"),
        _number("Parameters"),
        _number("Receptive field"),
    ]
    table = Table(*columns, "ReLU rules", _number("Dead"), title="Layers", title_justify="left")
    for report in examination.layers:
        layer = report.layer
        shape = "×".join(map(str, layer.shape)) or "1"
        silent = f"{report.silent} of {layer.shape[-1]}" if report.silent else ""
        rules = "" if not layer.maps else ("no", "guided", "all")[len(report.rules)]
        table.add_row(
            *map(console.plain, (layer.name, layer.kind, shape, f"{layer.parameters:,}", _seen(report), rules, silent))
        )
    console.out().print(table)
    # All layers behind an unsupported layer have the same reason.
    every = [words for report in examination.layers for words in (report.refused, report.unknown) if words]
    for words in dict.fromkeys(every):
        console.say(words)


def _number(name: str) -> Column:
    return Column(name, justify="right")


def _seen(report: LayerReport) -> str:
    """The size of the receptive field; the largest if it differs between units."""
    if report.field is None:
        return "unknown" if report.layer.maps else ""
    if report.field.rows.whole:
        return "whole image"
    return f"{report.field.rows.size}×{report.field.columns.size}"


def _print_trials(examination: Examination) -> None:
    table = Table("Analysis", "", Column("Reason or warnings", overflow="fold"), title="Analyses", title_justify="left")
    for trial in examination.trials:
        outcome = Text("works", style="green") if trial.works else Text("fails", style="red")
        table.add_row(trial.analysis, outcome, console.plain(" ".join(trial.remarks)))
    console.out().print(table)

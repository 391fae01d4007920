"""The options of `run` and `report` that do not depend on the analysis, and their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from cnnexplain.cli import completion
from cnnexplain.cli.model_options import MODEL_OPTIONS, ModelArguments, model_arguments
from cnnexplain.cli.options import PICTURE_OPTIONS, PRINTING_OPTIONS, Declared
from cnnexplain.inputs import datasets
from cnnexplain.rendering.pictures import Pictures, most

OUT = Path("cnnexplain-out")
"""The default of --out."""

CONTROL = (
    "Draw the same map for the network with shuffled weights beside the real one: a map that looks like its control does "
    "not show what the network has learned."
)

FILES = "Files (PNG, JPEG, WebP, BMP, GIF, TIFF), folders, globs, or samples such as mnist:test/7."


@dataclass(frozen=True)
class RunArguments:
    """The values of `run_options`, by the names of their parameters."""

    model: ModelArguments
    pictures: Pictures
    out: Path
    verbose: bool
    images: list[str] | None = None
    invert: bool | None = None
    target: str | None = None
    against: str | None = None
    dataset: str | None = None
    control: bool = False
    resume: bool = False
    verify: bool = False
    json: bool = False


def run_arguments(given: Mapping[str, Any]) -> RunArguments:
    """The arguments from the values that Typer passes to a command, checked as far as possible without Keras.

    Raises:
        UsageError: A value is invalid, or a file does not exist.
        ModelError: A JSON file can't be read, or has an invalid value.
    """
    own = {name: value for name, value in given.items() if name not in MODEL_OPTIONS}
    pictures = Pictures(own.pop("format"), own.pop("dpi"), most(own.pop("pictures")))
    return RunArguments(model_arguments(given), pictures, **own)


def run_options(inputs: Sequence[str], place: str, *, maps: bool = True) -> Declared:
    """The options for the inputs of an analysis, and those that every analysis has.

    Args:
        inputs: `Analysis.inputs`, or those of several analyses.
        place: Where the results are written, such as "FOLDER/saliency".
        maps: Whether the analysis has a map, for which there is a control. Otherwise the option is accepted, so that the
            command can say why there is none, but not shown.
    """
    control = typer.Option("--control", help=CONTROL, hidden=not maps)
    out = typer.Option("--out", metavar="FOLDER", help=f"Write the results to {place}.")
    verify = typer.Option(
        "--verify",
        help="Test each result as 'cnnexplain verify' does, for every image. The checks are saved with the result; the exit "
        "code is 1 if one fails.",
    )
    return {
        **_input_options(inputs),
        "control": (Annotated[bool, control], False),
        "verify": (Annotated[bool, verify], False),
        "out": (Annotated[Path, out], OUT),
        **PICTURE_OPTIONS,
        **PRINTING_OPTIONS,
        **MODEL_OPTIONS,
    }


def _input_options(inputs: Sequence[str]) -> Declared:
    takes_images = bool({"images", "objectives"} & set(inputs))
    options = _image_options(explained="images" in inputs) if takes_images else {}
    if {"targets", "objectives"} & set(inputs):
        default = (
            "the prediction" if "images" in inputs else "the images' predictions; without images, all or the first of many"
        )
        options["target"] = _text(
            "--target",
            "TARGET",
            "What to explain: a class by label or index, or a value of a regression model, such as 'age' or 'age down'. "
            f"Default: {default}.",
            completion.labels,
        )
    if "objectives" in inputs:
        options["against"] = _text(
            "--against",
            "TARGET",
            "Subtract the score of this target from that of --target: why one class rather than the other?",
            completion.labels,
        )
    if "dataset" in inputs:
        default = "mnist:test for a digit classifier" + (", otherwise the images" if takes_images else ", otherwise none")
        options["dataset"] = _text(
            "--dataset",
            "FOLDER",
            f"Images to search: a folder and its subfolders, mnist:test or mnist:train. Default: {default}.",
            completion.data_sets,
        )
    if "images" in inputs:
        resume = typer.Option("--resume", help="Continue an interrupted run of the same request; finished images are kept.")
        options["resume"] = (Annotated[bool, resume], False)
    return options


def _image_options(*, explained: bool) -> Declared:
    if explained:
        help_text = f"{FILES} Default: {datasets.SAMPLE}."
    else:
        help_text = f"Images whose predictions and runners-up are explained. {FILES}"
    images = typer.Argument(metavar="IMAGES", help=help_text, autocompletion=completion.samples)
    invert = typer.Option(
        "--invert/--no-invert",
        help="Invert the images, or don't. Default: invert dark-on-light images if the model expects light digits on black.",
    )
    return {"images": (Annotated[list[str] | None, images], None), "invert": (Annotated[bool | None, invert], None)}


def _text(flag: str, metavar: str, text: str, offers: Callable[..., list[str]]) -> tuple[Any, Any]:
    return Annotated[str | None, typer.Option(flag, metavar=metavar, help=text, autocompletion=offers)], None

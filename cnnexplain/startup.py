"""What the commands begin with: the plugins, Keras, the model, and the lines that several of them print."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cnnexplain import terminal
from cnnexplain.errors import CnnExplainError

if TYPE_CHECKING:
    from rich.progress import Progress

    from cnnexplain.classifier import Classifier
    from cnnexplain.registry import Registry

ModelOption = Annotated[
    str,
    typer.Option("--model", metavar="FILE", help="A Keras model (.keras), or 'lenet' for the one that is included."),
]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Show what TensorFlow logs.")]


def registry() -> Registry:
    """The installed plugins."""
    # Reading what is installed takes a fifth of a start, which most commands have no need of.
    from cnnexplain import registry

    return registry.load()


def warn_of_problems() -> None:
    """Names the plugins that can't be used."""
    for problem in registry().problems:
        terminal.complain(f"Warning: {problem}", style="yellow")


def load(model: str, shown: Progress) -> Classifier:
    """Starts Keras and loads a model, saying so in the display."""
    task = shown.add_task("Starting Keras", total=None)
    start_keras()
    from cnnexplain import loading

    shown.update(task, description="Loading the model")
    loaded = loading.load(model)
    shown.remove_task(task)
    return loaded


def start_keras() -> None:
    """Imports Keras.

    Raises:
        CnnExplainError: Its backend is not installed.
    """
    # The import makes hundreds of thousands of objects that stay. Looking for garbage among them, then and at every later
    # collection, costs a tenth of a cold run.
    gc.disable()
    try:
        import keras  # noqa: F401
    except (ImportError, ValueError) as error:
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
        raise CnnExplainError(
            f"Keras can't start on the backend '{backend}': {error}. Set KERAS_BACKEND=tensorflow."
        ) from error
    finally:
        gc.freeze()
        gc.enable()


def print_assumption(classifier: Classifier) -> None:
    """Says how pixels were scaled where nothing in the model tells."""
    low, high = classifier.preprocess.low, classifier.preprocess.high
    if "range" in classifier.preprocess.assumed:
        terminal.say(f"Nothing in the model tells its input range: pixels were scaled to {low:g} to {high:g}.")


def print_path(path: Path) -> None:
    """Says what was written."""
    terminal.say(f"Wrote {path}")

"""What the commands begin with: the plugins, Keras, the model, and the lines that several of them print."""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cnnexplain import terminal
from cnnexplain.backend import BACKENDS
from cnnexplain.errors import CnnExplainError, UsageError, suggest

if TYPE_CHECKING:
    from rich.progress import Progress

    from cnnexplain.classifier import Classifier
    from cnnexplain.registry import Registry

ModelOption = Annotated[
    str,
    typer.Option("--model", metavar="FILE", help="A Keras model (.keras), or 'lenet' for the one that is included."),
]
BackendOption = Annotated[
    str | None,
    typer.Option(
        "--backend",
        metavar="|".join(BACKENDS),
        help="What Keras computes with. Default: what KERAS_BACKEND or Keras' own settings say, else tensorflow.",
    ),
]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Show what the backend logs.")]


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


def choose_backend(name: str | None) -> None:
    """Decides what Keras will run on: a backend of this name, else the one of KERAS_BACKEND, else Keras' own settings.

    Raises:
        UsageError: There is no such backend.
        CnnExplainError: It is not installed, or Keras runs on another one already.
    """
    wanted = name or os.environ.get("KERAS_BACKEND")
    if not wanted:
        return
    if wanted not in BACKENDS:
        raise UsageError(
            f"cnnexplain has no backend '{wanted}'.{suggest(wanted, BACKENDS)} The backends are {', '.join(BACKENDS)}."
        )
    if importlib.util.find_spec(wanted) is None:
        raise CnnExplainError(f"The backend '{wanted}' is not installed: {BACKENDS[wanted]}")
    if name:
        running = sys.modules.get("keras")
        if running is not None and running.backend.backend() != name:
            raise CnnExplainError(
                f"Keras runs on '{running.backend.backend()}' in this process already; start another process for '{name}'."
            )
        os.environ["KERAS_BACKEND"] = name


def start_keras() -> None:
    """Imports Keras.

    Raises:
        CnnExplainError: Its backend can't be used.
    """
    # The import makes hundreds of thousands of objects that stay. Looking for garbage among them, then and at every later
    # collection, costs a tenth of a cold run.
    gc.disable()
    try:
        import keras  # noqa: F401
    except (ImportError, ValueError) as error:
        # Where no other one was asked for, Keras' own settings name the backend.
        missing = BACKENDS.get(getattr(error, "name", None) or "")
        remedy = f"Install it ({missing}), or choose" if missing else "Choose"
        raise CnnExplainError(f"Keras can't start: {error}. {remedy} another backend with --backend.") from error
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

"""First steps of most commands: reading the installed plugins, loading the model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cnnexplain.cli import console

if TYPE_CHECKING:
    from rich.progress import Progress

    from cnnexplain.cli.model_options import ModelArguments
    from cnnexplain.model.classifier import Classifier
    from cnnexplain.plugin.registry import Registry


def registry() -> Registry:
    """The installed plugins."""
    # Reading the entry points takes a fifth of the startup time, and most commands don't need them.
    from cnnexplain.plugin import registry

    return registry.load()


def warn_of_problems() -> None:
    """Prints a warning for each plugin that can't be used."""
    for problem in registry().problems:
        console.complain(f"Warning: {problem}", style="yellow")


def load(arguments: ModelArguments, display: Progress) -> Classifier:
    """Starts Keras and loads the model, with progress in the display."""
    from cnnexplain.cli import keras_start

    task = display.add_task("Starting Keras", total=None)
    keras_start.start_keras(arguments.backend)
    from cnnexplain.loading import loader

    display.update(task, description="Loading the model")
    loaded = loader.load(
        arguments.model,
        preprocess=[*([] if arguments.preprocess is None else [arguments.preprocess]), arguments.settings],
        labels=None if arguments.labels is None else Path(arguments.labels),
        output=arguments.output,
        **({} if arguments.kind is None else {arguments.kind: True}),
        unit=arguments.value_unit,
        reduce=arguments.reduce,
        input=arguments.input,
        fixed=arguments.fixed,
        custom_objects=arguments.custom_objects,
        weights=arguments.weights,
        limits=not arguments.no_limits,
    )
    display.remove_task(task)
    return loaded

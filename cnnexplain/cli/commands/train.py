"""The command `train`: trains the LeNet on the included MNIST."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cnnexplain import files
from cnnexplain.cli import console, keras_start
from cnnexplain.cli.options import BackendOption, VerboseOption
from cnnexplain.cli.summary import print_path
from cnnexplain.errors import CnnExplainError, InterruptionError, UsageError
from cnnexplain.interruption import check
from cnnexplain.loading import sidecar

if TYPE_CHECKING:
    from cnnexplain.training.lenet import Progress as TrainingProgress


def train_command() -> Callable[..., None]:
    """The command."""
    return train


def train(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The file to write the model to.")] = Path(
        "lenet.keras"
    ),
    epochs: Annotated[int, typer.Option(min=1, max=1_000_000, help="Number of passes over the training images.")] = 9,
    batch_size: Annotated[int, typer.Option(min=1, max=60_000, help="Images per step.")] = 64,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Seed for the initial weights, and for the images of each epoch.")
    ] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE and its sidecar if they exist.")] = False,
    backend: BackendOption = None,
    verbose: VerboseOption = False,
) -> None:
    """The command `train`."""
    if out.suffix != ".keras":
        raise UsageError(f"--out must end in .keras, but got '{out}'.")
    for path in (out, sidecar.place(out)):
        if path.is_dir() or (path.exists() and not overwrite):
            raise UsageError(f"'{path}' exists; choose another --out, or replace it with --overwrite.")
    files.check_writable(out)
    with console.quiet(verbose), console.training_progress() as display:
        task = display.add_task("Starting Keras", total=None, figures="")
        keras_start.start_keras(backend)
        from cnnexplain.loading import loader
        from cnnexplain.training import lenet
        from cnnexplain.training.evaluation import evaluate

        def report(now: TrainingProgress) -> None:
            check()
            display.update(
                task,
                description=f"Epoch {now.epoch}/{now.epochs}",
                completed=(now.epoch - 1) * now.steps + now.step,
                total=now.epochs * now.steps,
                figures=f"loss {now.loss:.4f}, accuracy {now.accuracy:.2%}",
            )
            if now.validation is not None:
                loss, accuracy = now.validation
                display.console.print(
                    f"epoch {now.epoch:2}: loss {now.loss:.4f}, accuracy {now.accuracy:.2%}; "
                    f"validation log loss {loss:.4f}, accuracy {accuracy:.2%}",
                    highlight=False,
                    soft_wrap=True,
                )

        training = lenet.train(out, epochs=epochs, batch_size=batch_size, seed=seed, progress=report)
        done = training.epoch and not training.interrupted
        evaluation = evaluate(loader.load(out)) if done else None
    if training.interrupted and not training.epoch:
        raise typer.Exit(InterruptionError.exit_code)
    if not training.epoch:
        raise CnnExplainError("No model was saved: no epoch ended with a finite validation loss.")
    console.say(
        f"Saved the model of epoch {training.epoch}: validation log loss {training.loss:.4f}, "
        f"accuracy {training.accuracy:.2%}"
    )
    print_path(out)
    print_path(sidecar.place(out))
    if evaluation is None:
        raise typer.Exit(InterruptionError.exit_code)
    console.say(f"Test images: log loss {evaluation.loss:.4f}, accuracy {evaluation.accuracy:.2%}")

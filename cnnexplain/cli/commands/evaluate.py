"""The command `evaluate`: accuracy and log loss of a digit classifier on the MNIST test images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from cnnexplain.cli import console, session, summary
from cnnexplain.cli.model_options import MODEL_OPTIONS, ModelArguments, model_arguments
from cnnexplain.cli.options import PRINTING_OPTIONS, declare
from cnnexplain.inputs import datasets

if TYPE_CHECKING:
    from cnnexplain.training.evaluation import Evaluation


def evaluate_command() -> Callable[..., None]:
    """The command, with the options of a model."""

    def command(*, json: bool, verbose: bool, **given: Any) -> None:
        _evaluate(model_arguments(given), json=json, verbose=verbose)

    return declare(command, {**MODEL_OPTIONS, **PRINTING_OPTIONS})


def _evaluate(arguments: ModelArguments, *, json: bool, verbose: bool) -> None:
    with console.document(json) as emit:
        with console.quiet(verbose), console.progress() as display:
            classifier = session.load(arguments, display)
            display.add_task("Evaluating", total=None)
            from cnnexplain.training.evaluation import evaluate

            evaluation = evaluate(classifier)
        summary.print_assumptions(classifier)
        if json:
            figures = {"accuracy": evaluation.accuracy, "log_loss": evaluation.loss}
            confusion = evaluation.confusion.tolist()
            model = {"model": classifier.name, "sha256": classifier.sha256, "images": int(evaluation.confusion.sum())}
            emit({**model, **figures, "confusion": confusion})
        else:
            _print_evaluation(evaluation)


def _print_evaluation(evaluation: Evaluation) -> None:
    console.say(f"accuracy  {evaluation.accuracy:.2%}")
    console.say(f"log loss  {evaluation.loss:.4f}")
    labels = datasets.MNIST.labels
    table = Table("", *labels, title="Digits (rows) and predictions (columns)", title_justify="left")
    for column in table.columns:
        column.justify = "right"
    for row, (label, counts) in enumerate(zip(labels, evaluation.confusion, strict=True)):
        cells = [Text(str(count), style="" if count else "dim") for count in counts]
        cells[row].stylize("bold")
        table.add_row(Text(label, style="bold"), *cells)
    console.out().print(table)

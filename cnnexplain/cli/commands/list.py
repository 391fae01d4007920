"""The command `list`: the analyses and models that are installed, or the classes of a model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnexplain import __version__
from cnnexplain.cli import console, documents, options, session
from cnnexplain.cli.model_options import MODEL_OPTIONS, ModelArguments, model_arguments
from cnnexplain.cli.options import PRINTING_OPTIONS, declare
from cnnexplain.errors import UsageError
from cnnexplain.model import model_files

if TYPE_CHECKING:
    from cnnexplain.plugin.analysis import Analysis
    from cnnexplain.plugin.metric import Metric
    from cnnexplain.plugin.named_model import NamedModel
    from cnnexplain.plugin.registry import Offers, Plugin

INCLUDED = "The LeNet included in the package, trained on MNIST: 28×28 gray → 10 classes."


def list_installed(json: bool = False) -> None:
    """Prints the installed analyses, models and metrics."""
    with console.document(json) as emit:
        if json:
            emit(documents.list_document(session.registry(), INCLUDED))
        else:
            _print_installed()
    session.warn_of_problems()


def list_command() -> Callable[..., None]:
    """The command, with the options of a model for --classes."""

    def command(*, context: typer.Context, classes: bool, json: bool, verbose: bool, **given: Any) -> None:
        if classes:
            _list_classes(model_arguments(given), json=json, verbose=verbose)
            return
        # A model from a configuration file is no error.
        typed = [name for name in options.typed(context) if name in given]
        if typed:
            raise UsageError(f"--{typed[0].replace('_', '-')} applies only to --classes; add --classes.")
        list_installed(json)

    option = typer.Option("--classes", help="List the classes or values of --model instead, with their indices.")
    context = {"context": (typer.Context, inspect.Parameter.empty)}
    declared = {**context, "classes": (Annotated[bool, option], False), **PRINTING_OPTIONS, **MODEL_OPTIONS}
    return declare(command, declared)


def _list_classes(arguments: ModelArguments, *, json: bool, verbose: bool) -> None:
    with console.document(json) as emit:
        with console.quiet(verbose), console.progress() as display:
            classifier = session.load(arguments, display)
        if json:
            emit({"model": classifier.name, "sha256": classifier.sha256, "classes": list(classifier.labels)})
        else:
            for index, label in enumerate(classifier.labels):
                console.say(f"{index:>{len(str(len(classifier.labels)))}}  {label}")


def _print_installed() -> None:
    metrics = session.registry().metrics
    seldom = {name: "Computed only with --metric NAME or --metric all." for name in metrics if not metrics[name].default}
    _print_groups("Analyses", _with_papers(session.registry().analyses, {}))
    _print_groups("Models", _models())
    _print_groups("Metrics", _with_papers(metrics, seldom))
    console.say("cnnexplain run ANALYSIS --help shows the options of an analysis.")


def _with_papers(
    offers: Offers[Analysis] | Offers[Metric], notes: Mapping[str, str]
) -> dict[str, list[tuple[str, Sequence[str]]]]:
    """Analyses or metrics by distribution, with their summaries and papers, and notes on some of them."""
    found: dict[str, list[tuple[str, Sequence[str]]]] = {}
    for name, offer in offers.items():
        entries = found.setdefault(_distribution(offers.suppliers[name]), [])
        note = [notes[name]] if name in notes else []
        entries.append((name, (offer.summary, *note, f"Paper: {offer.paper}")))
    return found


def _print_groups(heading: str, groups: Mapping[str, Sequence[tuple[str, Sequence[str]]]]) -> None:
    """Prints entries by distribution, each under a heading."""
    for distribution, entries in groups.items():
        console.out().print(console.plain(f"{heading} from {distribution}"), style="underline")
        console.definitions(entries)
        console.say("")


def _models() -> dict[str, list[tuple[str, Sequence[str]]]]:
    """The models by distribution; models whose names have the same prefix before a colon share an entry."""
    offered = session.registry().models
    alike: dict[tuple[str, str], list[NamedModel]] = {}
    for name, model in offered.items():
        group, colon, _ = name.rpartition(":")
        alike.setdefault((_distribution(offered.suppliers[name]), group + colon or name), []).append(model)
    found: dict[str, list[tuple[str, Sequence[str]]]] = {f"cnnexplain {__version__}": [(model_files.INCLUDED, (INCLUDED,))]}
    for (distribution, prefix), models in alike.items():
        entry = models[0].name, (models[0].summary,)
        if len(models) > 1:
            names = ", ".join(model.name.removeprefix(prefix) for model in models)
            entry = f"{prefix}NAME", (f"NAME is one of {names}.",)
        found.setdefault(distribution, []).append(entry)
    return found


def _distribution(plugin: Plugin) -> str:
    return f"{plugin.distribution} {plugin.version}"

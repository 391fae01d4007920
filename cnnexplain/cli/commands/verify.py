"""The command `verify`: tests results, and prints a table of checks with values, limits and verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnexplain.cli import completion, console, session, verification_table
from cnnexplain.cli.model_options import MODEL_OPTIONS, ModelArguments, model_arguments
from cnnexplain.cli.options import PRINTING_OPTIONS, declare
from cnnexplain.errors import CnnExplainError, InterruptionError, UsageError, suggest
from cnnexplain.inputs import datasets
from cnnexplain.model.model_files import INCLUDED
from cnnexplain.results.file_names import RESULT

if TYPE_CHECKING:
    from cnnexplain.model.classifier import Classifier
    from cnnexplain.results.verification import Verification

NAMES_HELP = (
    "Analyses (default: all), then images (default: mnist:test/42): files, folders, globs or samples. Or folders of saved "
    "results, which are recomputed and compared."
)


@dataclass(frozen=True)
class _Wanted:
    """What is to be verified: the analyses and images, or the folders of saved results."""

    analyses: tuple[str, ...]
    images: tuple[str, ...]
    folders: tuple[Path, ...]


@dataclass(frozen=True)
class _LeftOut:
    """An analysis that can't be verified, such as one of convolutions for a model without any; and why."""

    analysis: str
    reason: str


def verify_command() -> Callable[..., None]:
    """The command, with the options of a model."""

    def command(**given: Any) -> None:
        """Test whether results are what their methods define, stable, and about this network.

        The exit code is 0 if no check fails. The folder of a saved result is recomputed and compared.
        """
        names, target, against, thorough, verbose, json = (
            given.pop(name) for name in ("names", "target", "against", "thorough", "verbose", "json")
        )
        wanted = _wanted(names or [])
        found: list[Verification] = []
        left_out: list[_LeftOut] = []
        with console.document(json) as emit, console.quiet(verbose):
            for each in _verify(wanted, model_arguments(given), target, against, thorough=thorough):
                if isinstance(each, _LeftOut):
                    left_out.append(each)
                else:
                    found.append(each)
                if not json:
                    _print(each)
            if json:
                entries = [each.as_json() for each in found], [asdict(each) for each in left_out]
                emit({"passed": all(each.passed for each in found), "verifications": entries[0], "left_out": entries[1]})
        if not all(each.passed for each in found):
            raise typer.Exit(1)

    names = typer.Argument(
        metavar="[ANALYSIS|IMAGE|FOLDER]...", help=NAMES_HELP, autocompletion=completion.analyses, show_default=False
    )
    target = typer.Option("--target", metavar="TARGET", help="What to explain. Default: the prediction.")
    against = typer.Option("--against", metavar="TARGET", help="Subtract the score of this target.")
    thorough = typer.Option("--thorough", help="Also run the checks that take minutes.")
    declared = {
        "names": (Annotated[list[str] | None, names], None),
        "target": (Annotated[str | None, target], None),
        "against": (Annotated[str | None, against], None),
        "thorough": (Annotated[bool, thorough], False),
    }
    return declare(command, {**declared, **PRINTING_OPTIONS, **MODEL_OPTIONS})


def _wanted(names: Sequence[str]) -> _Wanted:
    """Sorts the arguments into analyses, images and folders of results.

    Raises:
        UsageError: Both a saved result and something else is named, or a name is none of these.
    """
    known = session.registry().analyses
    analyses = tuple(dict.fromkeys(name for name in names if name in known or name in known.clashes))
    # A folder with the name of an analysis is written as a path, such as "./saliency".
    folders = tuple(Path(name) for name in names if name not in analyses and (Path(name) / RESULT).is_file())
    images = tuple(name for name in names if name not in analyses and Path(name) not in folders)
    for name in images:
        # A misspelled analysis is a word; images have a suffix, a folder or a colon.
        if name.replace("-", "").isalnum() and not Path(name).exists():
            raise UsageError(
                f"'{name}' is neither an analysis, an image nor the folder of a result.{suggest(name, known)} "
                "'cnnexplain list' shows the analyses."
            )
    if folders and (analyses or images):
        raise UsageError("Verify either saved results or analyses: a saved result has its own images and options.")
    return _Wanted(analyses, images, folders)


def _verify(
    wanted: _Wanted,
    arguments: ModelArguments,
    target: str | None,
    against: str | None,
    *,
    thorough: bool,
) -> Iterator[Verification | _LeftOut]:
    """Verifies what is wanted, one after another."""
    if not wanted.folders:
        return _verify_analyses(wanted, arguments, target, against, thorough=thorough)
    for option, given in (("target", target), ("against", against)):
        if given is not None:
            raise UsageError(f"A saved result has its own target; leave out --{option}.")
    if thorough:
        raise UsageError("A saved result is recomputed as a whole; leave out --thorough.")
    return _verify_folders(wanted.folders, arguments)


def _verify_folders(folders: Sequence[Path], arguments: ModelArguments) -> Iterator[Verification]:
    from cnnexplain.results import reader, result_files

    classifiers: dict[str, Classifier] = {}
    for folder in folders:
        name = reader.read_result(folder)["model"]["name"]
        # Models of plugins are found by their names; others are named with --model.
        own = arguments.model == INCLUDED and name in session.registry().models
        model = name if own else arguments.model
        with console.progress() as display:
            if model not in classifiers:
                classifiers[model] = session.load(replace(arguments, model=model), display)
            from cnnexplain.verification.saved import verify_saved

            found = verify_saved(folder, classifiers[model], console.bar(display, f"Verifying {folder.name}"))
        yield found
        if result_files.read_verification(folder) is not None:
            console.complain(
                f"The checks that are saved in {folder} were not repeated: 'cnnexplain verify {found.analysis} IMAGE...' "
                "makes them again."
            )


def _verify_analyses(
    wanted: _Wanted,
    arguments: ModelArguments,
    target: str | None,
    against: str | None,
    *,
    thorough: bool,
) -> Iterator[Verification | _LeftOut]:
    """Verifies analyses; an error ends it, except for an analysis that is not named.

    Raises:
        CnnExplainError: No analysis can be verified, or one that is named.
    """
    from cnnexplain.inputs import images

    analyses = session.registry().analyses
    names = wanted.analyses or tuple(analyses)
    given = images.find(wanted.images or [datasets.SAMPLE])
    with console.progress() as display:
        classifier = session.load(arguments, display)
    from cnnexplain.pipeline.targets import resolve
    from cnnexplain.verification.verify import verify

    batch = images.read_images(given, classifier)
    # A class that does not exist is an error of the command, not of an analysis.
    for given_target in (target, against):
        resolve(given_target, classifier)
    errors = []
    for name in names:
        try:
            analysis, _ = session.registry().get(name)
            takes = set(analysis.inputs)
            if wanted.analyses:
                _check_targets(name, takes, target, against)
            with console.progress() as display:
                found = verify(
                    name,
                    classifier,
                    batch if "images" in takes else None,
                    target=target if {"targets", "objectives"} & takes else None,
                    against=against if "objectives" in takes else None,
                    thorough=thorough,
                    progress=console.bar(display, f"Verifying {name}"),
                )
        except CnnExplainError as error:
            if wanted.analyses or isinstance(error, InterruptionError):
                raise
            errors.append(error)
            if len(errors) == len(names):
                raise
            yield _LeftOut(name, str(error))
        else:
            yield found


def _check_targets(name: str, takes: set[str], target: str | None, against: str | None) -> None:
    """Checks that an analysis explains what the options name.

    Raises:
        UsageError: It explains no output, or no difference of outputs.
    """
    if target is not None and not {"targets", "objectives"} & takes:
        raise UsageError(f"The analysis '{name}' does not explain an output; leave out --target.")
    if against is not None and "objectives" not in takes:
        raise UsageError(f"The analysis '{name}' does not explain a difference of outputs; leave out --against.")


def _print(found: Verification | _LeftOut) -> None:
    if isinstance(found, _LeftOut):
        console.say(f"{found.analysis}: left out: {found.reason}")
        return
    verification_table.show(found)

"""The command `benchmark`: compares explanation methods by metrics."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnexplain.cli import completion, console, scoreboard_tables, session, summary, truth_board
from cnnexplain.cli.model_options import MODEL_OPTIONS, ModelArguments, model_arguments
from cnnexplain.cli.options import PRINTING_OPTIONS, Declared, declare
from cnnexplain.cli.run_options import OUT
from cnnexplain.errors import InterruptionError, UsageError, suggest
from cnnexplain.interruption import plainly

if TYPE_CHECKING:
    from cnnexplain.evaluation.scoreboard import Scoreboard

FOLDER = "benchmark"
"""The folder with the page and the numbers, in that of --out."""


@dataclass(frozen=True)
class BenchmarkArguments:
    """The values of the options of `benchmark`."""

    model: ModelArguments
    analyses: list[str]
    images: list[str]
    metrics: list[str] | None
    maps: dict[str, str]
    masks: str | None
    target: str | None
    seed: int
    out: Path
    resume: bool
    verbose: bool


def benchmark_command() -> Callable[..., None]:
    """The command, with the options of a model."""

    def command(
        *, context: typer.Context, words: list[str] | None, metric: list[str] | None, json: bool, **given: Any
    ) -> None:
        """Compare explanation methods by metrics, with intervals, and with controls that explain no network."""
        session.warn_of_problems()
        from cnnexplain.evaluation import map_files

        analyses, images = split(words or [])
        if given["case"] and not given["truth"]:
            raise UsageError("--case selects a network of --truth; give both.")
        if given["truth"]:
            truth_board.check(images, context)
            keywords = {name: given[name] for name in ("seed", "backend", "resume", "verbose")}
            folder = given["out"] / truth_board.FOLDER
            with console.document(json) as emit:
                truth = truth_board.measure(analyses, given["case"], out=folder, **keywords)
                if json:
                    emit(truth.document())
                else:
                    truth_board.print_board(truth)
                console.say(f"Wrote the page and all numbers to {folder}")
            return
        names = ("masks", "target", "seed", "out", "resume", "verbose")
        own = {name: given[name] for name in names}
        maps = map_files.parse(given["maps"] or [])
        arguments = BenchmarkArguments(model_arguments(given), analyses, images, metric or None, maps, **own)
        with console.document(json) as emit:
            board = _run(arguments)
            scoreboard_tables.print_notes(board)
            if json:
                emit(board.document())
            else:
                scoreboard_tables.print_board(board)
            console.say(f"Wrote the page and all numbers to {arguments.out / FOLDER}")
        # Each error was printed; a script that asked for the metric must notice.
        if any(name in board.errors for name in metric or []):
            raise typer.Exit(1)

    context = {"context": (typer.Context, inspect.Parameter.empty)}
    return declare(command, {**context, **_options(), **PRINTING_OPTIONS, **MODEL_OPTIONS})


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words that name analyses, such as "gradcam:method=layercam", and those that name images.

    Raises:
        UsageError: A word is neither.
    """
    from cnnexplain.inputs import images

    known = session.registry().analyses
    analyses = [word for word in words if word.partition(":")[0] in (*known, *known.clashes)]
    others = [word for word in words if word not in analyses]
    for word in others:
        try:
            images.find([word])
        except UsageError as error:
            near = suggest(word, known)
            raise UsageError(f"'{word}' is neither an analysis nor an image.{near}" if near else str(error)) from error
    return analyses, others


def _options() -> Declared:
    words = typer.Argument(
        metavar="ANALYSIS|IMAGES",
        show_default=False,
        help="Analyses, each with options if they differ from the defaults, such as gradcam:method=layercam; and files, "
        "folders, globs or samples such as mnist:test/7. Default: all analyses with a map of the image; and, for a digit "
        "classifier, the first 100 test images of MNIST.",
        autocompletion=completion.analyses,
    )
    metric = typer.Option(
        "--metric",
        metavar="NAME",
        help="A metric to compute, as shown by 'cnnexplain list', or all. Default: all but max-sensitivity and smprt, which "
        "take most of the time. (Repeatable.)",
        autocompletion=completion.metrics,
    )
    masks = typer.Option(
        "--masks",
        metavar="FOLDER",
        help="Images whose bright pixels are the relevant ones, for the metrics that compare maps with them: cat.png for "
        "photos/cat.jpg, mnist-test-7.png for mnist:test/7.",
    )
    maps = typer.Option(
        "--maps",
        metavar="NAME=FILE",
        help="Maps of another tool: a .npy or .npz file with an array (N, H, W), one raw, signed map for each image. "
        "(Repeatable.)",
    )
    target = typer.Option(
        "--target",
        metavar="TARGET",
        help="The class to explain, by label or index. Default: the prediction for each image.",
        autocompletion=completion.labels,
    )
    truth = typer.Option(
        "--truth",
        help="Instead of a model and images, use networks whose relevant pixels are known. Most of them are trained for "
        "this, which takes minutes.",
    )
    case = typer.Option("--case", metavar="NAME", help="One of the networks of --truth. Default: all. (Repeatable.)")
    out = typer.Option(
        "--out",
        metavar="FOLDER",
        help=f"Write the page and all numbers to FOLDER/{FOLDER}, or to FOLDER/{truth_board.FOLDER} with --truth.",
    )
    resume = typer.Option("--resume", help="Continue an interrupted benchmark of the same request.")
    seed = typer.Option("--seed", metavar="N", min=0, help="The seed of the metrics, the random control and the intervals.")
    return {
        "words": (Annotated[list[str] | None, words], None),
        "metric": (Annotated[list[str] | None, metric], None),
        "masks": (Annotated[str | None, masks], None),
        "maps": (Annotated[list[str] | None, maps], None),
        "target": (Annotated[str | None, target], None),
        "truth": (Annotated[bool, truth], False),
        "case": (Annotated[list[str] | None, case], None),
        "seed": (Annotated[int, seed], 0),
        "out": (Annotated[Path, out], OUT),
        "resume": (Annotated[bool, resume], False),
    }


def _run(arguments: BenchmarkArguments) -> Scoreboard:
    """Computes the scores, image by image."""
    setup, board, folder = None, None, arguments.out / FOLDER
    try:
        with plainly(), console.quiet(arguments.verbose), console.progress() as display:
            classifier = session.load(arguments.model, display)
            from cnnexplain.evaluation import benchmark, saving
            from cnnexplain.results import lock

            saving.check(folder)
            if not arguments.images:
                console.say(f"No image given: using {' to '.join(_ends(benchmark.default_images(classifier)))}.")
            setup = benchmark.prepare(
                arguments.analyses or (None if not arguments.maps else []),
                classifier,
                arguments.images or None,
                arguments.metrics,
                arguments.target,
                arguments.masks,
                arguments.maps,
                arguments.seed,
            )
            setup.stream.check(console.bar(display, "Reading"))
            summary.print_assumptions(classifier)
            board = setup.board()
            update = console.bar(display, f"Scoring {len(setup.methods)} methods")
            with lock.held(folder):
                saving.run_saved(setup, folder, board, resume=arguments.resume, progress=update)
    except KeyboardInterrupt as interruption:
        if not board or setup is None:
            raise
        raise InterruptionError(
            f"Interrupted: the scores of {len(board)} of {len(setup.stream)} images are kept in {folder}; the same "
            "command with --resume continues."
        ) from interruption
    for name, reason in setup.stream.skipped.items():
        console.complain(f"Warning: '{name}' was skipped: {reason}", style="yellow")
    return board


def _ends(names: Sequence[str]) -> list[str]:
    """The first and the last name."""
    return [names[0], names[-1]]

"""`cnnexplain.benchmark_truth`: measures how well methods find the pixels that are known to be relevant."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain import files
from cnnexplain.errors import UsageError, shown, suggest
from cnnexplain.evaluation import benchmark, checks, request_file, saving
from cnnexplain.evaluation.methods import Method
from cnnexplain.evaluation.scoreboard import Scoreboard
from cnnexplain.evaluation.truth import case_file
from cnnexplain.evaluation.truth.case import Case
from cnnexplain.evaluation.truth.catalog import MAKERS
from cnnexplain.evaluation.truth.leaderboard import METRICS, TruthBoard
from cnnexplain.model.classifier import Classifier

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

IMAGES, DRAWN = 20, 4
"""The number of images of each case, unless it is given, and of those whose maps are drawn for the page."""


def benchmark_truth(
    analyses: str | Sequence[str] | None = None,
    *,
    cases: str | Sequence[str] | None = None,
    images: int = IMAGES,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> TruthBoard:
    """Measures how well methods find the relevant pixels of networks for which these are known.

    The networks are made by code, and most are trained, which takes minutes altogether. The metrics are the pointing game,
    relevance rank accuracy and relevance mass accuracy. Where pixels also matter as evidence against the target, or because
    something is absent, the magnitude of a map is compared with the mask, otherwise its signed values.

    Args:
        analyses: The names of the analyses, as for `cnnexplain.benchmark`. None for all analyses with a map of the image;
            those that fail in one of the cases are left out.
        cases: The names of the cases, such as "exclusive-or". None for all.
        images: The number of images of each case, from 1 to 500.
        seed: Determines the networks, the images and all other random numbers.
        out: The folder for the scores of each case, written as soon as they are known, all numbers as JSON, and an HTML
            page. None writes nothing.
        resume: Whether to continue with the scores that are already in `out`; their networks are not made again.
        progress: Called with the number of completed cases, and of all cases.

    Returns:
        The scores of all methods in all cases.

    Raises:
        UsageError: There is no such case, analysis or option, or the number of images is not valid.
        TruthError: A network was not trained well enough, so that its relevant pixels are not known.
        ModelError: A named analysis does not support one of the networks.
        PluginError: A named analysis failed or broke its contract, or no metric has a score.
        OutputError: The folder can't be written, contains other files with the same names, or damaged scores to resume.
    """
    names = _names(cases)
    checks.seed(seed)
    methods = checks.methods(analyses)
    if not methods:
        raise UsageError("There is no method to compare: name at least one analysis.")
    if isinstance(images, bool) or not isinstance(images, int) or not 1 <= images <= 500:
        raise UsageError(f"The number of images of each case must be a whole number from 1 to 500, but got {shown(images)}.")
    board = TruthBoard(seed=seed)
    if out is None:
        for number, name in enumerate(names):
            _add(board, name, analyses, images)
            progress(number + 1, len(names))
        return board
    folder = Path(out)
    path, request = folder / request_file.NAME, case_file.request(methods, names, images, seed)
    case_file.check(folder)
    for name, summary, scores in case_file.kept(path, request) if resume else []:
        board.add(name, summary, scores)
    earlier = [case_file.content(name, summary, board.boards[name]) for name, summary in board.summaries.items()]
    with files.plain_errors(path), request_file.start(path, case_file.FORMAT, request, earlier) as file:
        for number, name in enumerate(names):
            if name not in board.summaries:
                _add(board, name, analyses, images, drawn=DRAWN)
                request_file.append(file, case_file.content(name, board.summaries[name], board.boards[name]))
            progress(number + 1, len(names))
    case_file.write(board, folder)
    return board


def _add(board: TruthBoard, name: str, analyses: str | Sequence[str] | None, images: int, drawn: int = 0) -> None:
    """Makes a case and adds the scores in it."""
    case = board.cases[name] = MAKERS[name].make(images, board.seed)
    board.add(name, case.summary(), scored(case, analyses, board.seed, drawn))


def scored(case: Case, analyses: str | Sequence[str] | None, seed: int, drawn: int = 0) -> Scoreboard:
    """The scores of the methods in one case, with the pictures of the first images."""
    setup = benchmark.prepare(analyses, case.classifier, case.images, METRICS, case.targets.tolist(), case.masks, None, seed)
    setup = replace(setup, methods=[_compared(method, case) for method in setup.methods])
    board = setup.board()
    for outcome, sample in benchmark.scored(setup):
        board.add(saving.drawn(outcome, sample, setup) if len(board) < drawn else outcome)
    return board


def _compared(method: Method, case: Case) -> Method:
    """The method with its maps as they are compared with the masks."""
    explain = method.explain
    assert explain is not None

    def compared(
        classifier: Classifier, images: Float32[np.ndarray, "n H W C"], targets: Sequence[int]
    ) -> tuple[Float[np.ndarray, "n H W"], tuple[str, ...]]:
        maps, warnings = explain(classifier, images, targets)
        return case.relevance(maps), warnings

    return replace(method, explain=compared)


def _names(cases: str | Sequence[str] | None) -> list[str]:
    names = list(MAKERS) if cases is None else [cases] if isinstance(cases, str) else list(cases)
    for name in names:
        if name not in MAKERS:
            raise UsageError(f"There is no case {shown(name)}.{suggest(name, MAKERS)} The cases are {', '.join(MAKERS)}.")
    if not names:
        raise UsageError(f"There is no case to make; name at least one of {', '.join(MAKERS)}.")
    return list(dict.fromkeys(names))

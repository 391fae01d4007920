"""`cnnexplain.benchmark_truth`: how well methods find the pixels that are known to be relevant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.errors import UsageError, shown, suggest
from cnnexplain.evaluation import benchmark, checks, leaderboard
from cnnexplain.evaluation.leaderboard import CONFIDENCE, RESAMPLES, Standing
from cnnexplain.evaluation.methods import Method
from cnnexplain.evaluation.scoreboard import Scoreboard
from cnnexplain.evaluation.truth.case import Case
from cnnexplain.evaluation.truth.catalog import MAKERS
from cnnexplain.model.classifier import Classifier

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Float64

METRICS = ("relevance-rank", "relevance-mass", "pointing-game")
"""The metrics of all cases; methods are ranked by the first one."""

IMAGES = 20
"""The number of images of each case, unless it is given."""


@dataclass(repr=False)
class TruthBoard:
    """The scores of all methods in all cases.

    Args:
        cases: The cases by name.
        boards: The scores in each case.
        seed: The seed of the cases and of all other random numbers.
    """

    cases: dict[str, Case] = field(default_factory=dict)
    boards: dict[str, Scoreboard] = field(default_factory=dict)
    seed: int = 0

    def __repr__(self) -> str:
        methods = next((len(board.methods) for board in self.boards.values()), 0)
        return f"TruthBoard({methods} methods, {len(self.cases)} cases)"

    @property
    def first(self) -> Scoreboard:
        """The board of the first case, whose methods and metrics are those of all."""
        return next(iter(self.boards.values()))

    @property
    def left_out(self) -> dict[str, str]:
        """Why a method is left out, because it has no map in one of the cases, by method."""
        found: dict[str, str] = {}
        for case, board in self.boards.items():
            for name, reasons in board.failed.items():
                found.setdefault(name, f"{case}: {next(iter(reasons.values()))}")
        return found

    def notes(self) -> list[str]:
        """What is missing, and why: one sentence for each method, and for each metric of a case."""
        notes = [f"'{name}' is left out: {reason}" for name, reason in self.left_out.items()]
        return notes + [
            f"'{name}' failed for {len(reasons)} of {len(board)} images of '{case}': {next(iter(reasons.values()))}"
            for case, board in self.boards.items()
            for name, reasons in (*board.undefined_for.items(), *board.errors.items())
        ]

    def standings(self, metric: str = METRICS[0], *, trained: bool | None = None) -> list[Standing]:
        """The leaderboard over the images of all cases, the best method first. Each case has the same number of images.

        The intervals are over the images of each case, not over the cases.

        Args:
            metric: The name of the metric.
            trained: True for the cases with trained networks only; False for those whose masks follow from the weights;
                None for all.
        """
        boards = [board for name, board in self.boards.items() if trained in (None, MAKERS[name].trained)]
        if not boards:
            return []
        scores = np.concatenate([board.scores(metric) for board in boards])
        left_out, methods = self.left_out, self.first.methods
        kept = [place for place, name in enumerate(methods) if name not in left_out]
        names = [name for name in methods if name not in left_out]
        sizes = [len(board) for board in boards]
        return leaderboard.standings(
            names, [methods[name] for name in names], scores[:, kept], "higher", self.seed, strata=sizes
        )

    def means(self, metric: str = METRICS[0]) -> Float64[np.ndarray, "cases M"]:
        """The mean score of each method in each case."""
        return np.stack([board.scores(metric).mean(axis=0) for board in self.boards.values()])

    def document(self) -> dict[str, Any]:
        """The cases and all leaderboards, JSON-able."""
        methods, left_out = self.first.methods, self.left_out
        return {
            "seed": self.seed,
            "intervals": {"confidence": CONFIDENCE, "resamples": RESAMPLES},
            "methods": [
                {"name": name, "kind": kind, "options": dict(self.first.options.get(name, {}))}
                for name, kind in methods.items()
                if name not in left_out
            ],
            "left_out": left_out,
            "notes": self.notes(),
            "metrics": [
                {
                    "name": name,
                    "paper": metric.paper,
                    "protocol": metric.protocol,
                    "limitations": metric.limitations,
                    "methods": [_standing(each) for each in self.standings(name)],
                    "methods_by_weights": [_standing(each) for each in self.standings(name, trained=False)],
                    "methods_trained": [_standing(each) for each in self.standings(name, trained=True)],
                }
                for name, metric in self.first.metrics.items()
            ],
            "cases": [
                {
                    "name": name,
                    "source": MAKERS[name].source,
                    "trained": MAKERS[name].trained,
                    "right": case.right,
                    "evidence": case.evidence,
                    "images": len(case.images),
                    "share_of_relevant_pixels": float(case.masks.mean()),
                    "figures": dict(case.figures),
                    "warnings": list(self.boards[name].warnings),
                    "metrics": {
                        metric: [
                            _standing(each) for each in self.boards[name].standings(metric) if each.method not in left_out
                        ]
                        for metric in METRICS
                    },
                }
                for name, case in self.cases.items()
            ],
        }


def benchmark_truth(
    analyses: str | Sequence[str] | None = None,
    *,
    cases: str | Sequence[str] | None = None,
    images: int = IMAGES,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> TruthBoard:
    """Measures how well methods find the relevant pixels of networks for which these are known.

    The networks are made by code, and most are trained, in minutes altogether. The metrics are the pointing game, relevance
    rank accuracy and relevance mass accuracy. Where pixels also matter as evidence against the target, or because something
    is absent, the magnitude of a map is compared with the mask, otherwise its signed values.

    Args:
        analyses: The names of the analyses, as for `cnnexplain.benchmark`. None for all analyses with a map of the image;
            those that fail in one of the cases are left out.
        cases: The names of the cases, such as "exclusive-or". None for all.
        images: The number of images of each case, from 1 to 500.
        seed: Determines the networks, the images and all other random numbers.
        progress: Called with the number of completed cases, and of all cases.

    Returns:
        The scores of all methods in all cases.

    Raises:
        UsageError: There is no such case, analysis or option, or the number of images is not valid.
        TruthError: A network was not trained well enough, so that its relevant pixels are not known.
        ModelError: A named analysis does not support one of the networks.
        PluginError: A named analysis failed or broke its contract, or no metric has a score.
    """
    names = _names(cases)
    checks.seed(seed)
    if not checks.methods(analyses):
        raise UsageError("There is no method to compare: name at least one analysis.")
    if isinstance(images, bool) or not isinstance(images, int) or not 1 <= images <= 500:
        raise UsageError(f"The number of images of each case must be a whole number from 1 to 500, but got {shown(images)}.")
    board = TruthBoard(seed=seed)
    for number, name in enumerate(names):
        board.cases[name] = MAKERS[name].make(images, seed)
        board.boards[name] = scored(board.cases[name], analyses, seed)
        progress(number + 1, len(names))
    return board


def scored(case: Case, analyses: str | Sequence[str] | None, seed: int) -> Scoreboard:
    """The scores of the methods in one case."""
    setup = benchmark.prepare(analyses, case.classifier, case.images, METRICS, case.targets.tolist(), case.masks, None, seed)
    setup = replace(setup, methods=[_compared(method, case) for method in setup.methods])
    board = setup.board()
    for outcome in benchmark.run(setup):
        board.add(outcome)
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


def _standing(each: Standing) -> Mapping[str, Any]:
    return {
        "name": each.method,
        "mean": each.mean if each.images else None,
        "interval": None if each.interval is None else list(each.interval),
        "images": each.images,
        "beaten_controls": list(each.beaten),
        "unbeaten_controls": list(each.unbeaten),
    }

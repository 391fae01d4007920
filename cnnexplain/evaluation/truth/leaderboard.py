"""The result of `cnnexplain.benchmark_truth`: how well methods find the pixels that are known to be relevant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.evaluation import leaderboard
from cnnexplain.evaluation.leaderboard import CONFIDENCE, RESAMPLES, Standing
from cnnexplain.evaluation.scoreboard import Scoreboard
from cnnexplain.evaluation.truth.case import Case, Summary
from cnnexplain.evaluation.truth.catalog import MAKERS

if TYPE_CHECKING:
    from jaxtyping import Float64

METRICS = ("relevance-rank", "relevance-mass", "pointing-game")
"""The metrics of all cases; methods are ranked by the first one."""


@dataclass(repr=False)
class TruthBoard:
    """The scores of all methods in all cases.

    Args:
        cases: The cases by name, without those whose scores were read from a file.
        summaries: What tables say about each case, by name.
        boards: The scores in each case.
        seed: The seed of the cases and of all other random numbers.
    """

    cases: dict[str, Case] = field(default_factory=dict)
    summaries: dict[str, Summary] = field(default_factory=dict)
    boards: dict[str, Scoreboard] = field(default_factory=dict)
    seed: int = 0

    def __repr__(self) -> str:
        methods = next((len(board.methods) for board in self.boards.values()), 0)
        return f"TruthBoard({methods} methods, {len(self.summaries)} cases)"

    def add(self, name: str, summary: Summary, board: Scoreboard) -> None:
        """Adds the scores in a case."""
        self.summaries[name], self.boards[name] = summary, board

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
                    "images": case.images,
                    "share_of_relevant_pixels": case.relevant,
                    "figures": dict(case.figures),
                    "warnings": list(self.boards[name].warnings),
                    "metrics": {
                        metric: [
                            _standing(each) for each in self.boards[name].standings(metric) if each.method not in left_out
                        ]
                        for metric in METRICS
                    },
                }
                for name, case in self.summaries.items()
            ],
        }


def _standing(each: Standing) -> Mapping[str, Any]:
    return {
        "name": each.method,
        "mean": each.mean if each.images else None,
        "interval": None if each.interval is None else list(each.interval),
        "images": each.images,
        "beaten_controls": list(each.beaten),
        "unbeaten_controls": list(each.unbeaten),
    }

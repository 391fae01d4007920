"""The result of `cnnexplain.benchmark`: the scores of all methods for all images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.errors import UsageError, suggest
from cnnexplain.evaluation import leaderboard
from cnnexplain.evaluation.leaderboard import CONFIDENCE, ENOUGH, RESAMPLES, Standing, standings
from cnnexplain.evaluation.methods import Kind
from cnnexplain.evaluation.scoring import Outcome
from cnnexplain.plugin.metric import Metric

if TYPE_CHECKING:
    from jaxtyping import Float64


@dataclass(repr=False)
class Scoreboard:
    """The scores of all methods for all images.

    Args:
        model: The name and the hash of the model, and its head.
        methods: The kind of each method by name: "analysis", "file" or "control".
        options: All options of each analysis.
        metrics: The metrics by name.
        labels: The names of the classes.
        seed: The seed of the metrics, the random control and the intervals.
        images: The names of the N images.
        targets: The explained class or value of each image.
        outcomes: The scores of each image, with its pictures.
        warnings: The warnings of the masks and of the analyses, each once.
        undefined_for: Why a metric is not defined for an image, by metric and image.
        errors: Why a metric failed for an image, by metric and image.
        failed: Why a method has no map of an image, by method and image.
    """

    model: Mapping[str, Any]
    methods: Mapping[str, Kind]
    options: Mapping[str, Mapping[str, Any]]
    metrics: Mapping[str, Metric]
    labels: tuple[str, ...]
    seed: int
    images: list[str] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    warnings: dict[str, None] = field(default_factory=dict)
    undefined_for: dict[str, dict[str, str]] = field(default_factory=dict)
    errors: dict[str, dict[str, str]] = field(default_factory=dict)
    failed: dict[str, dict[str, str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"Scoreboard({len(self.methods)} methods, {len(self.metrics)} metrics, {len(self)} images)"

    def add(self, scored: Outcome) -> None:
        """Adds the scores for an image."""
        self.images.append(scored.name)
        self.targets.append(scored.target)
        self.outcomes.append(scored)
        for method, warnings in scored.warnings.items():
            self.warnings |= dict.fromkeys(f"{method}: {warning}" for warning in warnings)
        for reasons, found in (
            (self.undefined_for, scored.undefined),
            (self.errors, scored.errors),
            (self.failed, scored.failed),
        ):
            for name, reason in found.items():
                reasons.setdefault(name, {})[scored.name] = reason

    @property
    def undefined(self) -> dict[str, str]:
        """Why a metric is not defined for the model, by metric."""
        return {name: _first(reasons) for name, reasons in self.undefined_for.items() if not self.defined(name)}

    @property
    def left_out(self) -> dict[str, str]:
        """Why a method is left out, because it has no map of any image, by method."""
        return {name: _first(reasons) for name, reasons in self.failed.items() if len(reasons) == len(self)}

    def notes(self) -> list[str]:
        """What is missing, and why: one sentence for each method and metric."""
        undefined, left_out = self.undefined, self.left_out
        notes = [f"'{name}' is left out: {reason}" for name, reason in left_out.items()]
        notes += [f"'{name}' is not defined for this model: {reason}" for name, reason in undefined.items()]
        for what, all_reasons, others in (
            ("has no map of", self.failed, left_out),
            ("is not defined for", self.undefined_for, undefined),
            ("failed for", self.errors, {}),
        ):
            for name, reasons in all_reasons.items():
                if name not in others:
                    first = next(iter(reasons))
                    notes.append(f"'{name}' {what} {len(reasons)} of {len(self)} images; '{first}': {reasons[first]}")
        return notes

    def drawn(self) -> list[tuple[str, ...]]:
        """The pictures of each image, without those of methods that are left out."""
        left_out = self.left_out
        kept = [0, *(number for number, name in enumerate(self.methods, start=1) if name not in left_out)]
        found = (outcome.pictures for outcome in self.outcomes)
        return [tuple(pictures[place] for place in kept) if pictures else () for pictures in found]

    def scores(self, metric: str, score: str | None = None) -> Float64[np.ndarray, "N M"]:
        """The scores (N, M) of all images and methods; NaN where they are not defined.

        Args:
            metric: The name of the metric.
            score: The name of one of its scores; None for the first.

        Raises:
            UsageError: There is no such metric or score.
        """
        if metric not in self.metrics:
            raise UsageError(
                f"There is no metric '{metric}'.{suggest(metric, self.metrics)} There are: {', '.join(self.metrics)}."
            )
        known = self.metrics[metric].scores
        name = next(iter(known)) if score is None else score
        if name not in known:
            raise UsageError(f"'{metric}' has no score '{name}'.{suggest(name, known)} It has: {', '.join(known)}.")
        missing = np.full(len(self.methods), np.nan)
        rows = [each[metric][name] if metric in each else missing for each in (outcome.scores for outcome in self.outcomes)]
        return np.array(rows).reshape(-1, len(self.methods))

    def standings(self, metric: str, score: str | None = None) -> list[Standing]:
        """The leaderboard of a score, the best method first.

        Args:
            metric: The name of the metric.
            score: The name of one of its scores; None for the first.

        Raises:
            UsageError: There is no such metric or score.
        """
        kept = self._kept()
        methods = [list(self.methods)[place] for place in kept]
        values = self.scores(metric, score)[:, kept]
        better = self.metrics[metric].scores[score or next(iter(self.metrics[metric].scores))]
        return standings(methods, [self.methods[name] for name in methods], values, better, self.seed)

    def rule(self, metric: str) -> str:
        """How many images have the first score of a metric, if not all, and when a method beats a control in it."""
        standings = self.standings(metric)
        most = max((each.images for each in standings), default=0)
        sentences = [f"{most} of {len(self)} images have a score."] if most < len(self) else []
        fewer = [f"{each.method} for {each.images}" for each in standings if each.images < most]
        sentences += [f"Scores for fewer images: {', '.join(fewer)}."] if fewer else []
        known = np.isfinite(self.scores(metric)).astype(int)
        control = np.array([kind == "control" for kind in self.methods.values()])
        both = known[:, ~control].T @ known[:, control]
        if both.any() and next(iter(self.metrics[metric].scores.values())) != "neither":
            sentences.append(leaderboard.rule(int(both[both > 0].min()), int(both.max())))
        return " ".join(sentences)

    def defined(self, metric: str) -> list[str]:
        """The scores of a metric that are defined for at least one image and method."""
        return [name for name in self.metrics[metric].scores if np.isfinite(self.scores(metric, name)).any()]

    def _kept(self) -> list[int]:
        """The places of the methods that are not left out."""
        left_out = self.left_out
        return [place for place, name in enumerate(self.methods) if name not in left_out]

    def document(self) -> dict[str, Any]:
        """All scores and leaderboards, JSON-able; None for a number that is not defined."""
        left_out, kept = self.left_out, self._kept()
        missing = [name for name in {**self.undefined_for, **self.errors} if not self.defined(name)]
        return {
            "model": dict(self.model),
            "seed": self.seed,
            "images": [
                {"name": name, "target": self.labels[target]} for name, target in zip(self.images, self.targets, strict=True)
            ],
            "methods": [
                {"name": name, "kind": kind, "options": dict(self.options.get(name, {}))}
                for name, kind in self.methods.items()
                if name not in left_out
            ],
            "intervals": {"confidence": CONFIDENCE, "resamples": RESAMPLES, "least_images": ENOUGH},
            "metrics": [self._metric(name, metric, kept) for name, metric in self.metrics.items() if name not in missing],
            "undefined": self.undefined,
            "left_out": left_out,
            "missing": {
                "undefined": {name: dict(reasons) for name, reasons in self.undefined_for.items()},
                "errors": {name: dict(reasons) for name, reasons in self.errors.items()},
                "failed": {name: dict(reasons) for name, reasons in self.failed.items()},
            },
            "notes": self.notes(),
            "warnings": list(self.warnings),
        }

    def _metric(self, name: str, metric: Metric, kept: list[int]) -> dict[str, Any]:
        return {
            "name": name,
            "summary": metric.summary,
            "paper": metric.paper,
            "protocol": metric.protocol,
            "limitations": metric.limitations,
            "rule": self.rule(name),
            "scores": [
                {
                    "name": score,
                    "better": metric.scores[score],
                    "methods": [
                        {
                            "name": each.method,
                            "mean": each.mean if each.images else None,
                            "interval": None if each.interval is None else list(each.interval),
                            "images": each.images,
                            "beaten_controls": list(each.beaten),
                            "unbeaten_controls": list(each.unbeaten),
                        }
                        for each in self.standings(name, score)
                    ],
                    "values": [
                        [float(value) if np.isfinite(value) else None for value in row]
                        for row in self.scores(name, score)[:, kept]
                    ],
                }
                for score in self.defined(name)
            ],
        }


def _first(reasons: Mapping[str, str]) -> str:
    return next(iter(reasons.values()))

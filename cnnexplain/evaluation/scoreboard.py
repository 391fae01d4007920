"""The result of `cnnexplain.benchmark`: the scores of all methods for all images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.errors import UsageError, suggest
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
        values: The scores of each image: by metric and score, a number for each method.
        pictures: The pictures of each image, see `Outcome`.
        warnings: The warnings of the masks and of the analyses, each once.
        undefined: Why a metric is not defined, by metric.
    """

    model: Mapping[str, Any]
    methods: Mapping[str, Kind]
    options: Mapping[str, Mapping[str, Any]]
    metrics: Mapping[str, Metric]
    labels: tuple[str, ...]
    seed: int
    images: list[str] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    values: list[Mapping[str, Mapping[str, Float64[np.ndarray, " M"]]]] = field(default_factory=list)
    pictures: list[tuple[str, ...]] = field(default_factory=list)
    warnings: dict[str, None] = field(default_factory=dict)
    undefined: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"Scoreboard({len(self.methods)} methods, {len(self.metrics)} metrics, {len(self)} images)"

    def add(self, scored: Outcome) -> None:
        """Adds the scores for an image."""
        self.images.append(scored.name)
        self.targets.append(scored.target)
        self.values.append(scored.scores)
        self.pictures.append(scored.pictures)
        for method, warnings in scored.warnings.items():
            self.warnings |= dict.fromkeys(f"{method}: {warning}" for warning in warnings)
        self.undefined |= scored.undefined

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
        rows = [each[metric][name] if metric in each else missing for each in self.values]
        return np.array(rows).reshape(-1, len(self.methods))

    def standings(self, metric: str, score: str | None = None) -> list[Standing]:
        """The leaderboard of a score, the best method first.

        Args:
            metric: The name of the metric.
            score: The name of one of its scores; None for the first.

        Raises:
            UsageError: There is no such metric or score.
        """
        values = self.scores(metric, score)
        better = self.metrics[metric].scores[score or next(iter(self.metrics[metric].scores))]
        return standings(list(self.methods), list(self.methods.values()), values, better, self.seed)

    def defined(self, metric: str) -> list[str]:
        """The scores of a metric that are defined for at least one image and method."""
        return [name for name in self.metrics[metric].scores if np.isfinite(self.scores(metric, name)).any()]

    def document(self) -> dict[str, Any]:
        """All scores and leaderboards, JSON-able; None for a number that is not defined."""
        return {
            "model": dict(self.model),
            "seed": self.seed,
            "images": [
                {"name": name, "target": self.labels[target]} for name, target in zip(self.images, self.targets, strict=True)
            ],
            "methods": [
                {"name": name, "kind": kind, "options": dict(self.options.get(name, {}))}
                for name, kind in self.methods.items()
            ],
            "intervals": {"confidence": CONFIDENCE, "resamples": RESAMPLES, "least_images": ENOUGH},
            "metrics": [self._metric(name, metric) for name, metric in self.metrics.items() if name not in self.undefined],
            "undefined": dict(self.undefined),
            "warnings": list(self.warnings),
        }

    def _metric(self, name: str, metric: Metric) -> dict[str, Any]:
        return {
            "name": name,
            "summary": metric.summary,
            "paper": metric.paper,
            "protocol": metric.protocol,
            "limitations": metric.limitations,
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
                            "unbeaten_controls": list(each.unbeaten),
                        }
                        for each in self.standings(name, score)
                    ],
                    "values": [
                        [float(value) if np.isfinite(value) else None for value in row] for row in self.scores(name, score)
                    ],
                }
                for score in self.defined(name)
            ],
        }

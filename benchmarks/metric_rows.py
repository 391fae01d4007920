"""The rows of the metrics of explanation methods: against the bare forward passes of the same perturbed images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import keras
import numpy as np
from cnnexplain_plugins.metrics import ranking, road
from cnnexplain_plugins.metrics.imputation import imputed

from benchmarks.limits import Limit, Numbers, engine, in_batches
from benchmarks.rows import Row, row
from benchmarks.subject import Subject
from cnnexplain.evaluation import scoring
from cnnexplain.evaluation.generators import generator
from cnnexplain.numerics import baseline_images, blurred
from cnnexplain.plugin import registry

STEPS = 28

MAPS = {"LeNet": 11, "EfficientNet-lite0": 2}
"""For each network the number of maps; on the LeNet as many as the analyses and the controls have."""


def metrics(subject: Subject) -> Iterator[Row]:
    """Deletion for one image, with two baselines, and ROAD, whose images are imputed."""
    image = subject.take(1)[0]
    maps = np.random.default_rng(0).normal(size=(MAPS[subject.name], *image.shape[:2]))
    target = int(subject.targets[0])
    yield row(
        f"deletion, {len(maps)} maps, {STEPS} steps, 2 baselines, 1 image",
        subject.name,
        partial(_scores, "deletion", subject, image, maps, target),
        deletion(subject, image, maps, target),
        1.2,
    )
    # Blurred maps have large regions, which are harder to impute than scattered pixels.
    maps[::2] = blurred(maps[::2, ..., None], image.shape[0] / 12)[..., 0]
    yield row(
        f"ROAD, {len(maps)} maps, 10 images each, 1 image",
        subject.name,
        partial(_scores, "road", subject, image, maps, target),
        imputation(subject, image, maps, target),
        1.2,
    )


def deletion(subject: Subject, image: np.ndarray, maps: np.ndarray, target: int) -> Limit:
    """The areas from forward passes of images that are made beforehand."""
    scores = subject.scores()
    compiled = engine().compiled(lambda x: {"logit": scores(x)[:, target]}, subject.model.variables)
    counts = np.round(np.arange(STEPS + 1) * maps[0].size / STEPS)
    ranks = np.argsort(np.argsort(-maps.reshape(len(maps), -1), axis=1), axis=1).reshape(maps.shape)
    copies = {}
    for fill in ("black", "blur"):
        (baseline,) = baseline_images(fill, image[None], subject.classifier.preprocess)
        inner = (ranks[:, None] < counts[1:-1, None, None])[..., None]
        replaced = np.where(inner, baseline, image).reshape(-1, *image.shape)
        copies[fill] = np.concatenate([replaced, image[None], baseline[None]]).astype(np.float32)

    def limit() -> Numbers:
        found = {}
        for fill, images in copies.items():
            logits = in_batches(compiled, subject.batch, images)["logit"].astype(np.float64)
            curves = np.empty((len(maps), STEPS + 1))
            curves[:, 1:-1], curves[:, 0], curves[:, -1] = logits[:-2].reshape(len(maps), -1), logits[-2], logits[-1]
            found[f"{fill}, logit"] = np.trapezoid(curves, counts / counts[-1], axis=1)
        return found

    return limit


def imputation(subject: Subject, image: np.ndarray, maps: np.ndarray, target: int) -> Limit:
    """The mean probabilities from forward passes of images that are imputed beforehand."""
    scores = subject.scores()
    compiled = engine().compiled(lambda x: {"value": keras.ops.softmax(scores(x))[:, target]}, subject.model.variables)
    random, colors = generator(0, image, "road"), subject.classifier.preprocess
    ranks = ranking.pixel_ranks(maps, random)
    noise = random.normal(size=image.shape) * road.NOISE * np.abs(colors.white - colors.black)
    counts = np.round(np.array(road.SHARES) * maps[0].size)
    both = np.concatenate([ranks, maps[0].size - 1 - ranks])
    removed = (both[:, None] < counts[:, None, None]).reshape(-1, *maps.shape[1:])
    images = imputed(image, removed, noise)

    def limit() -> Numbers:
        values = in_batches(compiled, subject.batch, images)["value"].reshape(2, len(maps), -1).mean(axis=2)
        return {"MoRF": values[0], "LeRF": values[1]}

    return limit


def _scores(name: str, subject: Subject, image: np.ndarray, maps: np.ndarray, target: int) -> dict[str, Any]:
    metric, plugin = registry.load().metrics.pick(name)
    explain: Callable[..., Any] = _nothing
    sample = scoring.Sample(image, target, maps, None, explain)
    return scoring.scores(metric, plugin, subject.classifier, sample, 0)


def _nothing(*_: object, **__: object) -> np.ndarray:
    raise NotImplementedError  # These metrics explain nothing again.

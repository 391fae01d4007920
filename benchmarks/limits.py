"""The least work for the numbers of the analyses by gradients: hand-written functions, each compiled as a whole.

Each function prepares a limit: a call without arguments that computes, from the images, the arrays and facts of the record
that it returns by name. All of it runs in one compiled function in `keras.ops`, except what is noted. The weights, images
and random numbers are the same as in cnnexplain.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from benchmarks.subject import Subject

Numbers = dict[str, np.ndarray]
Limit = Callable[[], Numbers]


def engine() -> Any:
    """The functions of limits_tensorflow, limits_jax or limits_torch, for the backend of Keras."""
    return importlib.import_module(f"benchmarks.limits_{keras.backend.backend()}")


def in_batches(function: Callable[..., Numbers], size: int, *arrays: np.ndarray) -> Numbers:
    """The outputs of a function for batches of arrays, joined."""
    starts = range(0, len(arrays[0]), size)
    parts = [function(*(array[start : start + size] for array in arrays)) for start in starts]
    return parts[0] if len(parts) == 1 else {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def saliency(subject: Subject, images: np.ndarray) -> Limit:
    """The prediction, its logit, the gradient and its largest magnitude over the channels, from one pass."""
    scores = subject.scores()

    def compute(x: Any) -> Any:
        logit, probabilities, slope = engine().gradient(lambda x: _prediction(scores(x)), x)
        return {"gradient": slope, "saliency": ops.max(ops.abs(slope), axis=-1), "logit": logit, **_most(probabilities)}

    compiled = engine().compiled(compute, subject.model.variables)
    return lambda: in_batches(compiled, subject.batch, images)


def gradcam(subject: Subject, images: np.ndarray) -> Limit:
    """The prediction, and the feature maps weighted by the mean gradient; the maps are enlarged in the same function."""
    maps, tail = subject.inference(None, subject.last), subject.scores(subject.last)
    side = images.shape[1:3]

    def compute(x: Any) -> Any:
        features = maps(x)
        logit, probabilities, slope = engine().gradient(lambda a: _prediction(tail(a)), features)
        evidence = ops.sum(ops.mean(slope, axis=(1, 2), keepdims=True) * features, axis=-1)
        cam = ops.relu(evidence)
        enlarged = ops.image.resize(cam[..., None], side, "bilinear", data_format="channels_last")[..., 0]
        return {"evidence": evidence, "cam": cam, "map": enlarged, "logit": logit, **_most(probabilities)}

    compiled = engine().compiled(compute, subject.model.variables)
    return lambda: in_batches(compiled, subject.batch, images)


def smoothgrad(subject: Subject, image: np.ndarray, samples: int, noise: float, seed: int = 0) -> Limit:
    """The prediction of an image (H, W, C), and the sums of the gradients of its noisy copies and of their squares.

    The noise is drawn by NumPy, as the numbers require, one batch at a time, before the copies are computed.
    """
    black, _, white = subject.colors
    scores, sigma = subject.scores(), np.float32(noise) * np.abs(white - black)

    def predict(x: Any) -> Any:
        logits = scores(x)
        return {"logit": ops.max(logits, axis=1), "target": ops.argmax(logits, axis=1)}

    def compute(x: Any, target: Any, noises: Any) -> Any:
        _, _, slope = engine().gradient(
            lambda x: (ops.sum(ops.take(scores(x), target, axis=1)), None), x + ops.multiply(sigma, noises)
        )
        return {"sum": ops.sum(slope, axis=0), "squares": ops.sum(slope**2, axis=0)}

    predicted = engine().compiled(predict, subject.model.variables)
    compiled = engine().compiled(compute, subject.model.variables)

    def limit() -> Numbers:
        prediction = predicted(image[None])
        total, squares = np.zeros(image.shape), np.zeros(image.shape)
        for start in range(0, samples, subject.batch):
            copies = range(start, min(start + subject.batch, samples))
            noises = np.stack(
                [np.random.default_rng([seed, copy]).standard_normal(image.shape, np.float32) for copy in copies]
            )
            sums = compiled(image[None], prediction["target"], noises)
            total += sums["sum"]
            squares += sums["squares"]
        mean = total / samples
        deviation = np.sqrt(np.maximum(squares - samples * mean**2, 0) / (samples - 1))
        return {
            "gradient": mean[None],
            "deviation": deviation[None],
            "smoothgrad": np.abs(mean).max(axis=-1)[None],
            "logit": prediction["logit"],
        }

    return limit


def integrated_gradients(subject: Subject, image: np.ndarray, steps: int) -> Limit:
    """The logits of an image (H, W, C) and of black, and the gradients at the points between them, weighted and summed."""
    scores = subject.scores()
    baseline = np.broadcast_to(subject.colors[0], image.shape)[None]
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    nodes, weights = ((nodes + 1) / 2).astype(np.float32), (weights / 2).astype(np.float32)

    def ends(x: Any, black: Any) -> Any:
        logits = scores(ops.concatenate([x, black]))
        target = ops.argmax(logits[:1], axis=1)
        return {"logits": ops.take(logits, target, axis=1)[:, 0], "target": target}

    def compute(x: Any, black: Any, target: Any, nodes: Any, weights: Any) -> Any:
        points = black + nodes[:, None, None, None] * (x - black)
        _, _, slope = engine().gradient(lambda x: (ops.sum(ops.take(scores(x), target, axis=1)), None), points)
        return ops.sum(weights[:, None, None, None] * slope, axis=0)

    both = engine().compiled(ends, subject.model.variables)
    compiled = engine().compiled(compute, subject.model.variables)

    def limit() -> Numbers:
        at_ends = both(image[None], baseline)
        mean = np.zeros(image.shape)
        for start in range(0, steps, subject.batch):
            part = slice(start, start + subject.batch)
            mean += compiled(image[None], baseline, at_ends["target"], nodes[part], weights[part])
        attribution = (image - baseline) * mean
        return {
            "attribution": attribution,
            "pixel_attribution": attribution.sum(axis=-1),
            "logit": at_ends["logits"][:1],
            "baseline_logit": at_ends["logits"][1:],
        }

    return limit


def intermediate_outputs(subject: Subject, images: np.ndarray, names: Sequence[str]) -> Limit:
    """The outputs of consecutive layers, and activation × gradient summed over positions, from one pass."""
    *inner, last = names
    cuts = [None, *inner]
    stages = [subject.inference(first, name) for first, name in zip(cuts, inner, strict=False)]
    tail, probabilities = subject.scores(cuts[-1]), f"output/{last}"

    def compute(x: Any) -> Any:
        softmax, outputs, slopes = engine().stage_gradients(stages, lambda a: _prediction(tail(a)), x)
        numbers = {probabilities: softmax}
        for name, output, slope in zip(inner, outputs, slopes, strict=True):
            numbers[f"output/{name}"] = output
            axes = tuple(range(1, len(output.shape) - 1))
            numbers[f"contribution/{name}"] = ops.sum(output * slope, axis=axes) if axes else output * slope
        return numbers

    compiled = engine().compiled(compute, subject.model.variables)
    return lambda: in_batches(compiled, subject.batch, images)


def _most(probabilities: Any) -> dict[str, Any]:
    return {"prediction_probability": ops.max(probabilities, axis=1)}


def _prediction(logits: Any) -> tuple[Any, Any]:
    """The largest logit of each image, and the probabilities of all classes."""
    return ops.max(logits, axis=1), ops.softmax(logits)

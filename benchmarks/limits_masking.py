"""The least work for occlusion and RISE: every masked image goes through the network, in hand-written compiled functions."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from benchmarks.limits import Limit, Numbers, engine, in_batches
from benchmarks.subject import Subject


def occlusion(subject: Subject, image: np.ndarray, patch: int, stride: int) -> Limit:
    """The outputs for an image (H, W, C) with a gray square at every position, and the mean drop for each pixel.

    The squares are made within the compiled function, from their first rows and columns.
    """
    height, width = image.shape[:2]
    maps, tail = subject.inference(None, subject.last), subject.scores(subject.last)
    gray = subject.colors[1]
    tops, lefts = (np.array([*range(0, side - patch, stride), side - patch], np.int32) for side in (height, width))
    grid = (len(tops), len(lefts))
    corners = np.stack(np.meshgrid(tops, lefts, indexing="ij"), axis=-1).reshape(-1, 2)

    def clean(x: Any) -> Any:
        features = maps(x)
        logits = tail(features)
        return {
            "logit": ops.max(logits, axis=1),
            "probability": ops.max(ops.softmax(logits), axis=1),
            "target": ops.argmax(logits, axis=1),
            "channel": ops.argmax(ops.sum(features, axis=(1, 2)), axis=1),
        }

    def compute(x: Any, target: Any, channel: Any, corner: Any) -> Any:
        rows, columns = (
            ops.logical_and(starts <= ops.arange(side), ops.arange(side) < starts + patch)
            for starts, side in ((corner[:, :1], height), (corner[:, 1:], width))
        )
        hidden = ops.where(ops.logical_and(rows[:, :, None, None], columns[:, None, :, None]), gray, x)
        features = maps(hidden)
        logits = tail(features)
        return {
            "logit": ops.take(logits, target, axis=1)[:, 0],
            "probability": ops.take(ops.softmax(logits), target, axis=1)[:, 0],
            "prediction": ops.argmax(logits, axis=1),
            "activation": ops.sum(ops.take(features, channel, axis=3), axis=(1, 2, 3)),
        }

    before = engine().compiled(clean, subject.model.variables)
    compiled = engine().compiled(compute, subject.model.variables)
    down, across = (
        (starts[:, None] <= np.arange(side)) & (np.arange(side) < starts[:, None] + patch)
        for starts, side in ((tops, height), (lefts, width))
    )
    down, across = down / down.sum(axis=0), across / across.sum(axis=0)

    def limit() -> Numbers:
        plain = before(image[None])
        outputs = in_batches(
            lambda corner: compiled(image[None], plain["target"], plain["channel"], corner), subject.batch, corners
        )
        grids = {name: values.reshape(1, *grid) for name, values in outputs.items()}
        drops = {f"{name}_drop": down.T @ (plain[name] - grids[name]) @ across for name in ("logit", "probability")}
        return {**grids, **drops}

    return limit


def rise(subject: Subject, image: np.ndarray, count: int, cells: int, keep: float = 0.5, seed: int = 0) -> Limit:
    """The weighted sums of random masks for an image (H, W, C).

    The cells and shifts are drawn by NumPy, as the numbers require. The masks are made within the compiled function, and the
    sums of f · M and of the squares are computed there.
    """
    side = image.shape[0]
    scores, black = subject.scores(), subject.colors[0]
    pixels = -(-side // cells)
    enlarge = _bilinear(cells, (cells + 1) * pixels)

    def predict(x: Any) -> Any:
        logits = scores(x)
        return {"target": ops.argmax(logits, axis=1), "probability": ops.max(ops.softmax(logits), axis=1)}

    def compute(x: Any, target: Any, grids: Any, shifts: Any) -> Any:
        rows, columns = (ops.take(enlarge, shifts[:, axis : axis + 1] + ops.arange(side), axis=0) for axis in (0, 1))
        masks = ops.matmul(ops.matmul(rows, grids), ops.transpose(columns, (0, 2, 1)))
        logits = scores(ops.add(ops.multiply(masks[..., None], ops.subtract(x, black)), black))
        f = ops.take(ops.softmax(logits), target, axis=1)[:, 0]
        powers = ops.stack([ops.ones_like(f), f, f**2])
        flat = ops.reshape(masks, (-1, side * side)) - keep
        return {"f": f, "masks": ops.matmul(powers, flat), "squares": ops.matmul(powers, flat**2)}

    predicted = engine().compiled(predict, subject.model.variables)
    compiled = engine().compiled(compute, subject.model.variables)

    def limit() -> Numbers:
        random = np.random.default_rng(seed)
        grids = (random.random((count, cells, cells)) < keep).astype(np.float32)
        shifts = random.integers(0, pixels, (count, 2)).astype(np.int32)
        target = predicted(image[None])["target"]
        f, (masks, squares) = [], np.zeros((2, 3, side * side))
        for start in range(0, count, subject.batch):
            part = slice(start, start + subject.batch)
            sums = compiled(image[None], target, grids[part], shifts[part])
            f.append(sums["f"])
            masks += sums["masks"]
            squares += sums["squares"]
        values = np.concatenate(f, dtype=np.float64)
        mean, total = values.mean(), values.sum()
        saliency = (masks[1] + keep * total) / (keep * count)
        products = masks[1] - mean * masks[0]
        variance = (squares[2] - 2 * mean * squares[1] + mean**2 * squares[0]) / count - (products / count) ** 2
        maps = {
            "saliency": saliency,
            "gain": products / (keep * (count - 1)),
            "standard_error": np.sqrt(np.maximum(variance, 0) / count) / keep,
        }
        return {name: each.reshape(1, side, side) for name, each in maps.items()}

    return limit


def _bilinear(number: int, size: int) -> np.ndarray:
    """The weight of each of `number` cells at each of `size` pixels, with half-pixel centers, (size, number)."""
    places = np.clip((np.arange(size) + 0.5) * number / size - 0.5, 0, number - 1)
    return np.asarray(np.maximum(1 - np.abs(places[:, None] - np.arange(number)), 0), np.float32)

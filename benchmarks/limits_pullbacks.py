"""The least work for the projections of the deconvnet, and for the strongest patches of a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from benchmarks.limits import Limit, Numbers, engine, in_batches
from benchmarks.subject import Subject

RULES: dict[str, Callable[[Any, Any], Any]] = {
    "deconvnet": lambda _, signal: ops.where(signal > 0, signal, 0.0),
    "guided": lambda active, signal: ops.where(ops.logical_and(active, signal > 0), signal, 0.0),
}
"""(whether a ReLU is active, signal) ↦ the signal that it passes back."""


class Units(NamedTuple):
    """Units of a layer whose signals are passed back to the pixels of their images, all by the same rule."""

    layer: str
    rule: str
    images: np.ndarray
    places: np.ndarray
    """(n, 3): row, column and feature map."""
    values: np.ndarray
    """(n,): the signals."""
    corners: np.ndarray
    """(n, 2): where the crops begin."""
    array: str
    """The name of the array of crops in the record."""
    shape: tuple[int, ...]
    """The shape of this array."""


def pullbacks(subject: Subject, units: Sequence[Units]) -> Limit:
    """The crops of all units, from one batched pull-back for each layer and rule."""
    functions = {(each.layer, each.rule): _pullback(subject, each.layer, each.rule) for each in units}

    def limit() -> Numbers:
        crops = {}
        for each in units:
            function = functions[each.layer, each.rule]
            signals = in_batches(function, subject.batch, each.images, each.places, each.values)["signal"]
            crops[each.array] = np.stack(
                [_crop(*pair, each.shape[-3:-1]) for pair in zip(signals, each.corners, strict=True)]
            ).reshape(each.shape)
        return crops

    return limit


def strongest(
    subject: Subject, images: np.ndarray, names: Sequence[str], most: int = 9
) -> Callable[[], dict[str, np.ndarray]]:
    """The largest activations of each feature map over images, (F, most), from one forward pass."""
    outputs = keras.Model(subject.model.inputs, [subject.model.get_layer(name).output for name in names])

    def compute(x: Any) -> Any:
        return {name: ops.max(output, axis=(1, 2)) for name, output in zip(names, outputs(x, training=False), strict=True)}

    compiled = engine().compiled(compute, subject.model.variables)

    def limit() -> dict[str, np.ndarray]:
        peaks = in_batches(compiled, subject.batch, images)
        return {name: -np.sort(-each, axis=0)[:most].T for name, each in peaks.items()}

    return limit


def forward(subject: Subject, images: np.ndarray) -> Callable[[], dict[str, np.ndarray]]:
    """The scores of images: one bare forward pass."""
    scores = subject.scores()
    compiled = engine().compiled(lambda x: {"logits": scores(x)}, subject.model.variables)
    return lambda: in_batches(compiled, subject.batch, images)


def _pullback(subject: Subject, layer: str, rule: str) -> Callable[..., Numbers]:
    """(images, places, values) ↦ the signals at the pixels."""
    end = subject.model.get_layer(layer)
    # A unit of a ReLU passes its signal as it is: it is active, and the signal is its activation.
    tensor = end.input if isinstance(end, keras.layers.ReLU) else end.output
    function = _with_rule(keras.Model(subject.model.inputs, tensor), rule)

    def compute(x: Any, places: Any, values: Any) -> Any:
        def chosen(x: Any) -> Any:
            output = function(x, training=False)
            height, width, channels = output.shape[1:]
            index = (places[:, 0] * width + places[:, 1]) * channels + places[:, 2]
            flat = ops.reshape(output, (-1, height * width * channels))
            return ops.take_along_axis(flat, index[:, None], axis=1)[:, 0] * values, None

        return {"signal": engine().gradient(chosen, x)[2]}

    return engine().compiled(compute, function.variables)  # type: ignore[no-any-return]


def _with_rule(model: Any, rule: str) -> Any:
    """A copy of a model whose ReLUs pass signals back by a rule."""

    class Ruled(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self, relu: Any) -> None:
            super().__init__(name=relu.name, dtype="float32")
            ceiling = np.inf if relu.max_value is None else relu.max_value
            self.ruled = engine().with_pull(
                relu.call, lambda x, signal: RULES[rule](ops.logical_and(x > 0, x < ceiling), signal)
            )

        def call(self, x: Any) -> Any:
            return self.ruled(x)

        def compute_output_shape(self, shape: Any) -> Any:
            return shape

    def copied(layer: Any) -> Any:
        return Ruled(layer) if isinstance(layer, keras.layers.ReLU) else type(layer).from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=copied)
    copy.set_weights(model.get_weights())
    return copy


def _crop(image: np.ndarray, corner: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """The part of an image that begins at a corner, zero beyond the image."""
    top, left = (int(each) for each in corner)
    height, width = size
    crop = np.zeros((height, width, image.shape[-1]), image.dtype)
    rows, columns = (
        slice(max(first, 0), min(first + length, side))
        for first, length, side in ((top, height, image.shape[0]), (left, width, image.shape[1]))
    )
    crop[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = image[rows, columns]
    return crop


def shown_units(image: np.ndarray, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> list[Units]:
    """The units that a record of the deconvnet shows for its first image, one entry for each layer and rule."""
    units = []
    for layer, rules in facts["rules"][0].items():
        shown = facts["strongest"][0][layer]
        for rule in rules:
            name = f"projection/{layer}/{rule}"
            units.append(_units(layer, rule, np.stack([image] * len(shown)), shown, name, arrays[name].shape))
    return units


def patch_units(
    pick: Callable[[str], np.ndarray], facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> list[Units]:
    """The units of the patches that the record shows, one entry for each layer and rule; `pick` gives an image by name."""
    units = []
    for layer, maps in facts.get("over_dataset", {}).items():
        shown = [{**unit, "map": each["map"]} for each in maps for unit in each["strongest"]]
        images = np.stack([pick(unit["image"]) for unit in shown])
        for rule in facts["rules"][0][layer]:
            name = f"patch_projection/{layer}/{rule}"
            units.append(_units(layer, rule, images, shown, name, arrays[name].shape))
    return units


def _units(
    layer: str, rule: str, images: np.ndarray, shown: Sequence[Mapping[str, Any]], array: str, shape: tuple[int, ...]
) -> Units:
    places = np.array([(unit["row"], unit["column"], unit["map"]) for unit in shown], np.int32)
    values = np.array([unit["activation"] for unit in shown], np.float32)
    return Units(layer, rule, images, places, values, np.array([unit["corner"] for unit in shown]), array, shape)

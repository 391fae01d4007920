"""Signals passed back from scores or layers to the pixels by a backward rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras

from cnnexplain.model.computation.backward_rules import backward, projected
from cnnexplain.model.computation.gradients import weighted_sum
from cnnexplain.model.computation.network import Compiled, Network
from cnnexplain.model.computation.rules import Rule
from cnnexplain.model.geometry.layers import Layer

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Float32, Integer


def backpropagate(
    network: Network,
    images: Float[np.ndarray, "N H W C"],
    names: tuple[str, ...],
    weights: Sequence[Float32[np.ndarray, "N ..."]],
    rule: str | Rule,
) -> Float32[np.ndarray, "N H W C"]:
    """The signals at the pixels that are `weights` at the outputs of layers."""
    shapes = [network.shape, *(weight.shape[1:] for weight in weights)]

    def build() -> Compiled:
        return network.gradient(weighted_sum(backward(network.graph, names, rule)), shapes)

    compiled = _compiled(network, rule, ("backpropagate", *names), build)
    _, signal = network.compute(compiled, images, *weights)
    return signal


def project(
    network: Network,
    images: Float[np.ndarray, "N H W C"],
    layer: Layer,
    signals: Float[np.ndarray, "N ..."],
    rule: str | Rule,
) -> Float32[np.ndarray, "N H W C"]:
    """The signals at the pixels that are `signals` at a layer; see `Classifier.project`."""

    def build() -> Compiled:
        return network.gradient(weighted_sum(projected(network.graph, [layer.name], rule)), [network.shape, layer.shape])

    compiled = _compiled(network, rule, ("project", layer.name), build)
    _, signal = network.compute(compiled, images, signals)
    return signal


def project_units(
    network: Network,
    images: Float[np.ndarray, "N H W C"],
    names: tuple[str, ...],
    units: Integer[np.ndarray, "N 4"],
    values: Float[np.ndarray, " N"],
    rule: str | Rule,
) -> Float32[np.ndarray, "N H W C"]:
    """The signals at the pixels that are `values` at single units of layers; see `Classifier.project_units`."""

    def build() -> Compiled:
        outputs = projected(network.graph, names, rule)

        def value(x: Any, units: Any, values: Any) -> Any:
            units = keras.ops.cast(units, "int32")
            candidates = [_unit(output, units[:, 1:]) for output in outputs(x)]
            return values * keras.ops.sum(
                keras.ops.stack(candidates, 1) * keras.ops.one_hot(units[:, 0], len(names)), axis=1
            )

        return network.gradient(value, [network.shape, (4,), ()])

    compiled = _compiled(network, rule, ("project units", *names), build)
    _, signal = network.compute(compiled, images, units, values)
    return signal


def _compiled(network: Network, rule: str | Rule, key: tuple[str, ...], build: Callable[[], Compiled]) -> Compiled:
    """Functions for rules by name are few and all kept; rules of plugins may be new functions at every call."""
    if isinstance(rule, str):
        return network.compiled((*key, rule), build)
    return network.recently_compiled((*key, rule), build)


def _unit(output: Any, place: Any) -> Any:
    """The value of each image's feature maps (N, h, w, F) at its place (N, 3)."""
    output = keras.ops.cast(output, "float32")
    # Products with 1 and 0, whose pull-back is a dense array on all backends; a place outside the layer yields 0.
    for axis, size in enumerate(output.shape[1:]):
        one_hot = keras.ops.cast(
            keras.ops.equal(place[:, axis : axis + 1], keras.ops.arange(size, dtype="int32")), "float32"
        )
        output = keras.ops.sum(output * keras.ops.reshape(one_hot, (-1, size, *[1] * (2 - axis))), axis=1)
    return output

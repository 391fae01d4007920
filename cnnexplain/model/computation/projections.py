"""Signals passed back from scores or layers to the pixels by a backward rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain import backend
from cnnexplain.errors import UsageError
from cnnexplain.model.computation.backward_rules import backward, projected
from cnnexplain.model.computation.gradients import weighted_sum
from cnnexplain.model.computation.network import Compiled, Network
from cnnexplain.model.computation.objectives import check_unit
from cnnexplain.model.computation.readouts import weighted
from cnnexplain.model.computation.rules import Rule
from cnnexplain.model.geometry.layers import Layer

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Integer


def backpropagate(
    network: Network,
    images: Float[np.ndarray, "N H W C"],
    names: tuple[str, ...],
    weights: Sequence[Float32[np.ndarray, "N ..."]],
    rule: str | Rule,
) -> Float32[np.ndarray, "N H W C"]:
    """The signals at the pixels that are `weights` at the outputs of layers."""
    shapes = [weight.shape[1:] for weight in weights]

    def build() -> Compiled:
        return _pullback(network, weighted_sum(backward(network.graph, names, rule)), shapes)

    compiled = _compiled(network, rule, ("backpropagate", *names), build)
    (signal,) = network.compute(compiled, images, *weights)
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
        return _pullback(network, weighted_sum(projected(network.graph, [layer.name], rule)), [layer.shape])

    compiled = _compiled(network, rule, ("project", layer.name), build)
    (signal,) = network.compute(compiled, images, signals)
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
            return sum(weighted(y, _unit_signals(y, number, units, values)) for number, y in enumerate(outputs(x)))

        return _pullback(network, value, [(4,), ()])

    compiled = _compiled(network, rule, ("project units", *names), build)
    (signal,) = network.compute(compiled, images, units, values)
    return signal


def check_units(layers: Sequence[Layer], units: Integer[np.ndarray, "N 4"]) -> None:
    """Checks that layers with feature maps have the units that `project_units` gets.

    Raises:
        UsageError: They do not.
    """
    if units.ndim != 2 or units.shape[1] != 4 or units.dtype.kind not in "iu":
        raise UsageError(
            f"The units are an array {units.shape} of {units.dtype}; expected integers (N, 4): the index of the layer, and "
            "the row, column and feature map of the unit."
        )
    numbers, places = units[:, 0], units[:, 1:]
    for number in numbers[(numbers < 0) | (numbers >= len(layers))]:
        raise UsageError(f"There is no layer {number} for a unit: the given layers go from 0 to {len(layers) - 1}.")
    outside = ((places < 0) | (places >= np.array([layer.shape for layer in layers])[numbers])).any(axis=1)
    for number, place in zip(numbers[outside], places[outside], strict=True):
        check_unit(layers[number].name, layers[number].shape, place)


def _compiled(network: Network, rule: str | Rule, key: tuple[str, ...], build: Callable[[], Compiled]) -> Compiled:
    """Functions for rules by name are few and all kept; rules of plugins may be new functions at every call."""
    if isinstance(rule, str):
        return network.compiled((*key, rule), build)
    return network.recently_compiled((*key, rule), build)


def _pullback(network: Network, function: Callable[..., Any], shapes: Sequence[tuple[int, ...]]) -> Compiled:
    """Compiles (images, …) ↦ the gradient of function(images, …), (N,), whose values are not computed."""
    both = backend.current().value_and_gradient(lambda *arrays: [function(*arrays)])
    return network.function(lambda *arrays: both(*arrays)[1:], [network.shape, *shapes])


def _unit_signals(output: Any, number: int, units: Any, values: Any) -> Any:
    """Signals for the output (N, h, w, F) of the layer with a number: the values of its units (N, 4), and zero elsewhere."""
    (count, *_), (_, width, channels) = keras.ops.shape(output), output.shape[1:]
    layer, row, column, channel = (units[:, axis] for axis in range(4))
    own = keras.ops.equal(layer, number)
    # The units of other layers may be outside this one.
    places = keras.ops.where(own, (row * width + column) * channels + channel, 0)
    index = keras.ops.stack([keras.ops.arange(count, dtype="int32"), places], axis=1)
    signals = keras.ops.scatter(index, keras.ops.where(own, values, 0.0), (count, math.prod(output.shape[1:])))
    return keras.ops.reshape(signals, (-1, *output.shape[1:]))

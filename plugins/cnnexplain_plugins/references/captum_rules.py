"""Deconvnet and guided backpropagation, compared with Captum on PyTorch.

Captum applies these rules to the modules `torch.nn.ReLU` of a network, of which a Keras model has none. So it gets a copy of
the network up to a layer, in which such modules compute the ReLUs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from cnnexplain.checks import difference, rounding
from cnnexplain.plugin import Measurement, Subject
from cnnexplain_plugins.deconvnet import crops
from cnnexplain_plugins.deconvnet.transposed_check import linear_or_relu

PLAIN = (
    *(keras.layers.InputLayer, keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.BatchNormalization),
    *(keras.layers.MaxPooling2D, keras.layers.AveragePooling2D, keras.layers.ZeroPadding2D, keras.layers.Cropping2D),
    *(keras.layers.Add, keras.layers.Concatenate, keras.layers.Rescaling, keras.layers.Dropout),
    *(keras.layers.Activation, keras.layers.ReLU),
)
"""The layers that a copy may have: those without a nonlinearity of their own, except for maxima, ReLUs and activations."""


def measure(subject: Subject) -> Measurement:
    """The largest difference of a projection, relative to its largest magnitude."""
    worst, compared, layers = 0.0, 0, set()
    for layer, units in subject.fact("strongest").items():
        found = None if "/" in layer else _with_relu_modules(subject.classifier.model, layer)
        if found is None:
            continue
        for rule in ("deconvnet", "guided"):
            projections = subject.record.arrays.get(f"projection/{layer}/{rule}")
            if projections is None:
                continue
            for rank, unit in enumerate(units):
                signal = unit["activation"] * _signal(
                    *found, rule, subject.image, (unit["row"], unit["column"], unit["map"])
                )
                projection = projections[subject.index, rank]
                expected = np.zeros_like(projection)
                crops.cut(signal, tuple(unit["corner"]), expected)
                worst, compared = max(worst, difference(projection, expected)), compared + 1
                layers.add(layer)
    if not compared:
        return Measurement(None, detail="Captum has these rules only for plain ReLUs, and not in nested models")
    return Measurement(worst, rounding(subject.classifier), f"{compared} projections of {len(layers)} layers")


def _signal(model: Any, relus: list[Any], rule: str, image: Any, unit: tuple[int, int, int]) -> Any:
    """What Captum passes back from a unit (row, column, map) to the pixels."""
    import torch
    from captum.attr import Deconvolution, GuidedBackprop

    network = torch.nn.Module()
    network.relus = torch.nn.ModuleList(relus)
    network.forward = lambda x: model(x, training=False)
    method = {"deconvnet": Deconvolution, "guided": GuidedBackprop}[rule]
    pixels = keras.ops.convert_to_tensor(image).clone().requires_grad_()
    with warnings.catch_warnings():
        # Captum warns about its own hooks.
        warnings.simplefilter("ignore")
        signal = method(network).attribute(pixels, target=unit)
    return keras.ops.convert_to_numpy(signal)[0]


def _with_relu_modules(model: Any, layer: str) -> tuple[Any, list[Any]] | None:
    """A copy of the network up to a layer and its modules of ReLUs; None if it has other nonlinearities."""
    import torch

    relus: list[Any] = []

    def module() -> Callable[[Any], Any]:
        relus.append(torch.nn.ReLU())
        # Keras would wrap the module itself in a layer.
        function: Callable[[Any], Any] = relus[-1].__call__
        return function

    def copy(each: Any) -> Any:
        if isinstance(each, keras.layers.ReLU):
            return keras.layers.Activation(module(), name=each.name)
        twin = type(each).from_config(each.get_config())
        if getattr(each, "activation", None) is keras.activations.relu:
            twin.activation = module()
        return twin

    part = keras.Model(model.inputs[0], model.get_layer(layer).output)
    if not all(_plain(each) for each in part.layers):
        return None
    twin = keras.models.clone_model(part, clone_function=copy)
    twin.set_weights(part.get_weights())
    return twin, relus


def _plain(layer: Any) -> bool:
    """Whether a layer is linear, a maximum or a ReLU."""
    return (isinstance(layer, keras.layers.ReLU) or type(layer) in PLAIN) and linear_or_relu(layer)

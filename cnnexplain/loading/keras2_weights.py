"""Reading the weights of Keras 2 files, which are ordered and grouped differently from those of Keras 3."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import keras

from cnnexplain.errors import ModelError
from cnnexplain.loading.keras2_graph import SAVE_AGAIN
from cnnexplain.model.model_files import LEGACY


@dataclass(frozen=True)
class Keras2Model:
    """A model built from a Keras 2 description, whose weights are not read yet.

    Args:
        model: The Keras 3 model.
        layers: The layers of the model and of each nested model, by the `id` of the model and by their names in the file.
        frozen: The `id` of each layer that was not trainable.
    """

    model: Any
    layers: Mapping[int, Mapping[str, Any]]
    frozen: frozenset[int]

    def weights(self, layer: Any) -> tuple[list[Any], list[Any]]:
        """The trained and the other weights of a layer; Keras 2 writes the two lists one after the other."""
        if id(layer) in self.layers:
            parts = [self.weights(inner) for inner in self.layers[id(layer)].values()]
            return [weight for part in parts for weight in part[0]], [weight for part in parts for weight in part[1]]
        trained, other = list(layer.trainable_weights), list(layer.non_trainable_weights)
        return ([], trained + other) if id(layer) in self.frozen else (trained, other)


def load_weights(built: Keras2Model, path: Path) -> None:
    """Reads the weights of a model from its file.

    Raises:
        ModelError: The weights do not match the layers.
        OSError, KeyError, ValueError: The file is damaged.
    """
    if path.suffix.lower() not in LEGACY:
        _check_order(built, built.model)
        built.model.load_weights(path)
        return
    with h5py.File(path, "r") as file:
        _load_legacy(built, file["model_weights"])


def _check_order(built: Keras2Model, model: Any) -> None:
    """Checks that the layers of a model are in the order of the file, which numbers the weights in this order."""
    described = [layer for layer in built.layers[id(model)].values() if layer.weights]
    ordered = [layer for layer in model.layers if layer.weights]
    if any(one is not other for one, other in zip(described, ordered, strict=True)):
        raise ModelError(f"has its weights in an order that Keras 3 does not keep. {SAVE_AGAIN}")
    for layer in described:
        if id(layer) in built.layers:
            _check_order(built, layer)


def _load_legacy(built: Keras2Model, group: Any) -> None:
    layers = built.layers[id(built.model)]
    names = list(_texts(group, "layer_names"))
    for name in names:
        if name not in layers and list(_texts(group[name], "weight_names")):
            raise ModelError(f"is damaged: it has weights for a layer '{name:.80}' that it does not describe.")
    for name, layer in layers.items():
        trained, other = built.weights(layer)
        stored = list(_texts(group[name], "weight_names")) if name in names else []
        _assign(name, trained + other, stored, [group[name][weight] for weight in stored])
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def _texts(group: Any, name: str) -> Iterator[str]:
    """A list of strings in the attributes of a group; lists that are too long for HDF5 are split into numbered parts."""
    parts = (
        [name]
        if name in group.attrs
        else itertools.takewhile(group.attrs.__contains__, map(f"{name}{{}}".format, itertools.count()))
    )
    for part in parts:
        for text in group.attrs[part]:
            yield text.decode() if isinstance(text, bytes) else str(text)


def _assign(layer: str, weights: Sequence[Any], names: Sequence[str], stored: Sequence[Any]) -> None:
    expected, found = [tuple(weight.shape) for weight in weights], [tuple(array.shape) for array in stored]
    if expected != found:
        raise ModelError(f"is damaged: layer '{layer}' needs weights of the shapes {expected!s:.80}, but has {found!s:.80}.")
    # The same names in another order would assign weights to the wrong variables.
    kinds = [weight.name for weight in weights], [name.rpartition("/")[2].partition(":")[0] for name in names]
    if kinds[0] != kinds[1] and sorted(kinds[0]) == sorted(kinds[1]):
        raise ModelError(f"has the weights of the layer '{layer}' in an unknown order.")
    for weight, array in zip(weights, stored, strict=True):
        weight.assign(array[()])

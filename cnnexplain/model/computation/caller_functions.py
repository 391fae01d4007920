"""Compiles a caller's own functions, in which the network is one of several operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain.errors import UsageError
from cnnexplain.model.computation.network import Compiled, Network
from cnnexplain.model.structure.folding import folded
from cnnexplain.model.structure.graph import Graph
from cnnexplain.model.structure.staggered import staggered

if TYPE_CHECKING:
    from jaxtyping import Float, Float32


@dataclass(frozen=True)
class LayerOutputs:
    """The outputs of layers by name, as float32, within a function that is compiled.

    Args:
        graph: The graph.
        names: The names of the layers.
    """

    graph: Graph
    names: tuple[str, ...]

    def __call__(self, images: Any) -> dict[str, Any]:
        """The outputs (N, …) for images (N, H, W, C)."""
        return _by_name(self.names, self.graph.function(self.names)(images))

    def apart(self, images: Any, groups: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
        """The outputs (N, …) of each of K groups of the layers, for images (N, K, H, W, C), one for each group.

        This takes less time than K calls: the images go through the layers together, each up to the layers of its group.
        """
        in_order = keras.ops.reshape(keras.ops.swapaxes(images, 0, 1), (-1, *images.shape[2:]))
        return [_by_name(*each) for each in zip(groups, staggered(self.graph, groups)(in_order), strict=True)]


def compiled(
    network: Network,
    function: Callable[..., Sequence[Any]],
    names: tuple[str, ...],
    shapes: Sequence[tuple[int, ...]],
    constants: Sequence[tuple[int | None, ...]],
    views: int,
) -> Callable[[Sequence[Float[np.ndarray, "N ..."]], Sequence[Any]], list[Float32[np.ndarray, "N ..."]]]:
    """Compiles a function that computes outputs of layers; see `Classifier.compiled`."""

    def computed_with(*inputs: Any) -> Sequence[Any]:
        # Folded here, so that a loop over steps does not scale the kernels again.
        return function(LayerOutputs(folded(network.graph, names), names), *inputs)

    def build() -> Compiled:
        return network.function(computed_with, shapes, constants)

    computed = network.recently_compiled((function, names, *shapes, "constants", *constants), build)

    def call(arrays: Sequence[Float[np.ndarray, "N ..."]], values: Sequence[Any]) -> list[Float32[np.ndarray, "N ..."]]:
        # Backends compute with other shapes, too, or raise errors of their own.
        items = np.shape(arrays[0])[:1] if arrays else ()
        _check("array", arrays, [(*items, *shape) for shape in shapes])
        _check("constant", values, constants)
        return network.in_batches(lambda *batch: computed(*batch, *values), arrays, views)

    return call


def _check(what: str, arrays: Sequence[Any], shapes: Sequence[tuple[int | None, ...]]) -> None:
    """Checks that arrays have the shapes that a function was compiled for; None is for an axis of any length.

    Raises:
        UsageError: They do not.
    """
    if len(arrays) != len(shapes):
        raise UsageError(f"The compiled function was called with {len(arrays)} {what}s; expected {len(shapes)}.")
    for number, (array, shape) in enumerate(zip(arrays, shapes, strict=True)):
        found = np.shape(array)
        if len(found) != len(shape) or any(length not in (None, size) for length, size in zip(shape, found, strict=True)):
            expected = str(tuple("N" if length is None else length for length in shape)).replace("'", "")
            raise UsageError(
                f"Argument '{what}s[{number}]' of the compiled function has the shape {found}; expected {expected}."
            )


def _by_name(names: Sequence[str], outputs: Sequence[Any]) -> dict[str, Any]:
    return {name: keras.ops.cast(y, "float32") for name, y in zip(names, outputs, strict=True)}

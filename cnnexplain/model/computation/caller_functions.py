"""Compiles a caller's own functions, in which the network is one of several operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras

from cnnexplain.model.computation.network import Compiled, Network

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Float32


def compiled(
    network: Network,
    function: Callable[..., Sequence[Any]],
    names: tuple[str, ...],
    shapes: Sequence[tuple[int, ...]],
    constants: Sequence[tuple[int | None, ...]],
    views: int,
) -> Callable[[Sequence[Float[np.ndarray, "N ..."]], Sequence[Any]], list[Float32[np.ndarray, "N ..."]]]:
    """Compiles a function that computes outputs of layers; see `Classifier.compiled`."""

    def build() -> Compiled:
        outputs = network.graph.function(names)

        def by_name(images: Any) -> dict[str, Any]:
            return {name: keras.ops.cast(y, "float32") for name, y in zip(names, outputs(images), strict=True)}

        return network.function(lambda *inputs: function(by_name, *inputs), shapes, constants)

    computed = network.recently_compiled((function, names, *shapes, "constants", *constants), build)

    def call(arrays: Sequence[Float[np.ndarray, "N ..."]], values: Sequence[Any]) -> list[Float32[np.ndarray, "N ..."]]:
        return network.in_batches(lambda *batch: computed(*batch, *values), arrays, views)

    return call

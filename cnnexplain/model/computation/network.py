"""Compiles functions of a model's graph and computes them in batches."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import keras
import numpy as np

from cnnexplain import backend
from cnnexplain.errors import ModelError, UsageError, foreign, line, reason
from cnnexplain.inputs.images import wrong_shape
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.model.computation.batches import Batches
from cnnexplain.model.structure.failures import naming_layers
from cnnexplain.model.structure.graph import Graph

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

KEPT = 64
"""The number of functions compiled for a caller's own functions, such as losses and rules, that are kept."""

T = TypeVar("T")

Compiled: TypeAlias = Callable[..., list[Any]]
"""A compiled function: float32 batches (N, …) ↦ float32 arrays (N, …)."""


class Network:
    """Compiles functions of a model's graph once, and computes them for any number of images.

    Args:
        graph: The graph.
        variables: The Keras variables of the model; the functions read their values at every call.
        preprocess: The shape and range of its images.
        name: The name of the model, for errors.
    """

    def __init__(self, graph: Graph, variables: Sequence[Any], preprocess: Preprocess, name: str) -> None:
        self.graph = graph
        self.name = name
        self.shape = preprocess.shape
        self.batches = Batches(graph.values, name)
        self._variables = variables
        self._preprocess = preprocess
        self._functions: dict[tuple[str, ...], Compiled] = {}
        self._recent: dict[Hashable, Any] = {}

    def compiled(self, key: tuple[str, ...], build: Callable[[], Compiled]) -> Compiled:
        """The function with a key, built at the first call."""
        if key not in self._functions:
            self._functions[key] = build()
        return self._functions[key]

    def recently_compiled(self, key: Hashable, build: Callable[[], T]) -> T:
        """`compiled` for keys with a caller's own functions or numbers, of which only the last `KEPT` are kept."""
        function: T = self._recent.pop(key, None) or build()
        self._recent[key] = function
        if len(self._recent) > KEPT:
            del self._recent[next(iter(self._recent))]
        return function

    def outputs(self, names: tuple[str, ...]) -> Compiled:
        """Images ↦ the outputs of layers, as float32."""
        return self.compiled(("outputs", *names), lambda: self.forward(self.graph, names))

    def forward(self, graph: Graph, names: Sequence[str]) -> Compiled:
        """Compiles images ↦ the outputs of layers, as float32, in a graph that may extend `self.graph`."""
        outputs = graph.function(names)
        return self.function(lambda x: [keras.ops.cast(y, "float32") for y in outputs(x)], [self.shape])

    def gradient(self, function: Callable[..., Any], shapes: Sequence[tuple[int, ...]]) -> Compiled:
        """Compiles (x, …) ↦ function(x, …), (N,), and the gradient of each value with respect to its own x."""
        return self.function(backend.current().value_and_gradient(lambda *arrays: [function(*arrays)]), shapes)

    def function(
        self,
        function: Callable[..., Sequence[Any]],
        shapes: Sequence[tuple[int, ...]],
        constants: Sequence[tuple[int | None, ...]] = (),
    ) -> Compiled:
        """Compiles a function of batches and constants; see `backend.Backend.compiled`."""
        return backend.current().compiled(function, shapes, self._variables, constants)

    def compute(
        self, function: Compiled, images: Float[np.ndarray, "N H W C"], *arrays: Shaped[np.ndarray, "N ..."]
    ) -> list[Float[np.ndarray, "N ..."]]:
        """A compiled function of images and other arrays, computed in batches.

        Raises:
            UsageError: The images have another shape or type than the model takes.
            ModelError: A layer fails, or there is too little memory for one image.
        """
        self.check_images(images)
        with foreign(lambda error: ModelError(f"'{line(self.name)}' can't be computed: {reason(error)}")):
            return self.in_batches(function, (images, *arrays))

    def in_batches(
        self, function: Compiled, arrays: Sequence[Shaped[np.ndarray, "N ..."]], views: float = 1
    ) -> list[Float[np.ndarray, "N ..."]]:
        """`compute` for arrays whose first may be variables from which `views` images are computed for each item."""
        return self.batches.compute(partial(self.call, function), arrays, views)

    def call(self, function: Compiled, *arrays: Shaped[np.ndarray, "_ ..."]) -> list[Float[np.ndarray, "n ..."]]:
        """A compiled function of arrays, the first of which may be images; its errors name the layer that fails."""
        with naming_layers(self.graph, self.example(arrays[0]), self._variables):
            return function(*arrays)

    def check_images(self, images: object) -> None:
        """Checks that images have the shape and type of the model's input.

        Raises:
            UsageError: They do not.
        """
        if not isinstance(images, np.ndarray):
            shape = ", ".join(map(str, self.shape))
            raise UsageError(
                f"The images are a {type(images).__name__}; expected an array (N, {shape}), such as "
                "cnnexplain.read_images returns."
            )
        if images.dtype.kind != "f":
            raise UsageError(
                f"The images hold {images.dtype}; the model takes floating-point numbers from {self._preprocess.low:g} "
                f"to {self._preprocess.high:g}, such as cnnexplain.read_images returns."
            )
        if images.shape[1:] != self.shape:
            raise UsageError(wrong_shape(images.shape, self._preprocess))

    def example(self, arrays: Shaped[np.ndarray, "n ..."]) -> Float[np.ndarray, "1 H W C"]:
        """The first image, or a gray one if the arrays are not images."""
        if len(arrays) and arrays.shape[1:] == self.shape:
            return arrays[:1]
        return np.full((1, *self.shape), self._preprocess.gray, np.float32)

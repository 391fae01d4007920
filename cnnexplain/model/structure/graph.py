"""A flat copy of a model's graph that shares its weights and gives access to the output of every layer.

`cnnexplain.model.structure.tracing` makes it; the user's model itself is never modified.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import keras

from cnnexplain.model.structure.inference import in_inference
from cnnexplain.model.structure.model_inputs import repeated

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Shaped

INPUT, LOGITS = "input", "logits"
"""The names of the input and of the scores before the softmax, in addition to those of the layers."""


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer, or of an operation such as `x + 1`, in a graph of symbolic tensors.

    Args:
        name: The layer's name; in nested models "outer/inner". Later calls of a layer are numbered, "name:2", and those
            in the second call of a nested model are "outer:2/inner".
        inner: The layer or operation of the user's model.
        function: Computes its output in inference mode.
        args: Its positional arguments: symbolic tensors or other values.
        kwargs: Its keyword arguments.
        output: The symbolic tensor that it returned, or a structure of several.
    """

    name: str
    inner: Any
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any

    @property
    def sources(self) -> list[Any]:
        """The symbolic tensors among its arguments."""
        return [leaf for leaf in keras.tree.flatten((self.args, self.kwargs)) if keras.utils.is_keras_tensor(leaf)]

    def with_input(self, source: Any, x: Any) -> Any:
        """Its output, the first of several, with x in place of one of its sources."""
        args, kwargs = keras.tree.map_structure(lambda leaf: x if leaf is source else leaf, (self.args, self.kwargs))
        return keras.tree.flatten(self.function(*args, **kwargs))[0]


@dataclass(frozen=True)
class Calls:
    """The calls that compute some outputs from some inputs, in an order in which they can be made."""

    inputs: list[Any]
    calls: list[Call]
    outputs: list[Any]

    def replay(self, inputs: Sequence[Any], make: Callable[[Call, Any, Any], Any]) -> list[Any]:
        """Makes the calls on other tensors, each by `make(call, args, kwargs)`, and returns the outputs."""
        tensors = dict(zip(map(id, self.inputs), inputs, strict=True))

        def substituted(structure: Any) -> Any:
            return keras.tree.map_structure(lambda leaf: tensors.get(id(leaf), leaf), structure)

        for call in self.calls:
            output = make(call, substituted(call.args), substituted(call.kwargs))
            tensors.update(zip(map(id, keras.tree.flatten(call.output)), keras.tree.flatten(output), strict=True))
        return [tensors[id(output)] for output in self.outputs]

    def compute(self, inputs: Sequence[Any]) -> list[Any]:
        """The outputs for other inputs, in inference mode."""
        return in_inference(lambda: self.replay(inputs, lambda call, args, kwargs: call.function(*args, **kwargs)))


@dataclass(frozen=True)
class Graph:
    """The graph of a model.

    Args:
        input: The symbolic image (N, H, W, C).
        calls: All calls, in an order in which they can be made.
        tensors: The symbolic output of each layer by name, and those of `INPUT` and, once they are known, of `LOGITS`.
        names: The names of the layers, in the order of the calls.
        output: The symbolic output of the model.
        output_layer: The name of the layer that returns it; None for the input, or for a layer with several outputs.
        fixed: The other symbolic inputs of a model with several, each with its values (1, …).
        output_index: The index of `output` among the outputs of the model.
    """

    input: Any
    calls: tuple[Call, ...]
    tensors: dict[str, Any]
    names: tuple[str, ...]
    output: Any
    output_layer: str | None
    fixed: tuple[tuple[Any, Shaped[np.ndarray, "1 ..."]], ...] = ()
    output_index: int = 0
    _leading: dict[tuple[str, ...], bool] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def values(self) -> int:
        """The number of values in the outputs of all layers for one image."""
        tensors = keras.tree.flatten([call.output for call in self.calls])
        return sum(math.prod(size or 1 for size in tensor.shape[1:]) for tensor in tensors)

    def depends_on_image(self, call: Call) -> bool:
        """Whether an argument of a call depends on the image, not only on fixed inputs."""
        return not self._image_dependent.isdisjoint(map(id, call.sources))

    @cached_property
    def _image_dependent(self) -> set[int]:
        """The ids of the tensors that depend on the image."""
        dependent = {id(self.input)}
        for call in self.calls:
            if not dependent.isdisjoint(map(id, call.sources)):
                dependent.update(map(id, keras.tree.flatten(call.output)))
        return dependent

    def ancestors(self, names: Iterable[str], after: str = INPUT) -> list[Call]:
        """The calls that some outputs are computed from, in the order of the calls.

        Args:
            names: The names of the outputs, as in `tensors`.
            after: The name of a tensor that is given; calls that only this tensor needs are left out.
        """
        return self.calls_for([self.tensors[name] for name in names], self.tensors[after])

    def calls_for(self, tensors: Iterable[Any], after: Any = None) -> list[Call]:
        """`ancestors` for symbolic tensors; by default, the image is given."""
        given = {id(self.input if after is None else after)}
        needed = set(map(id, tensors)) - given
        kept = []
        for call in reversed(self.calls):
            if needed & set(map(id, keras.tree.flatten(call.output))):
                kept.append(call)
                needed |= set(map(id, call.sources)) - given
        return kept[::-1]

    def leads_to(self, start: str, names: tuple[str, ...]) -> bool:
        """Whether one of some outputs depends on the output of a layer; names as in `tensors`."""
        if (start, *names) not in self._leading:
            self._leading[start, *names] = self.tail(start, names) is not None
        return self._leading[start, *names]

    def consumers(self, tensor: Any) -> list[Call]:
        """The calls that take a tensor as an argument."""
        return [call for call in self.calls if any(source is tensor for source in call.sources)]

    def function(
        self, names: Sequence[str], change: Callable[[Call], Callable[..., Any]] | None = None
    ) -> Callable[[Any], list[Any]]:
        """A function from the image to the list of some outputs.

        Args:
            names: The names of the outputs, as in `tensors`.
            change: Returns the function to call in place of a call's own.
        """
        return self.function_of([self.tensors[name] for name in names], change)

    def function_of(
        self, tensors: Sequence[Any], change: Callable[[Call], Callable[..., Any]] | None = None
    ) -> Callable[[Any], list[Any]]:
        """`function` for symbolic tensors."""
        calls = self.calls_for(tensors)
        needed = Calls(
            [self.input, *(tensor for tensor, _ in self.fixed)],
            [call if change is None else replace(call, function=change(call)) for call in calls],
            list(tensors),
        )
        return lambda x: needed.compute([x, *self.fixed_values(x)])

    def fixed_values(self, x: Any) -> list[Any]:
        """The values of the fixed inputs, repeated for each image of a batch."""
        return [repeated(value, keras.ops.shape(x)[0]) for _, value in self.fixed]

    def tail(self, start: str, names: Sequence[str]) -> Callable[[Any, Any], list[Any]] | None:
        """A function from the output of a layer and the image to the list of some outputs.

        It uses the image for paths that bypass the layer. None if none of the outputs depends on the layer.

        Args:
            start: The name of the layer, as in `tensors`.
            names: The names of the outputs, as in `tensors`.
        """
        given, calls = self.tensors[start], self.ancestors(names, after=start)
        outputs = [self.tensors[name] for name in names]
        if not any(each is given for each in itertools.chain(outputs, *(call.sources for call in calls))):
            return None
        needed = Calls([self.input, *(tensor for tensor, _ in self.fixed), given], calls, outputs)
        return lambda output, x: needed.compute([x, *self.fixed_values(x), keras.ops.cast(output, given.dtype)])

"""A twin of the user's model that shares its weights and reaches every layer's output; the model itself is never touched.

Calling one of the model's own layers on a symbolic tensor would add a node to that layer for ever, so every layer is called
through a `_Step` of ours. Nested models are traced through, so that the twin is one flat list of calls.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import keras

from cnnexplain.errors import ModelError, foreign, line, reason
from cnnexplain.model.inference import in_inference
from cnnexplain.model.layer_names import free, of_call
from cnnexplain.model.model_inputs import IMAGE, Inputs, repeated
from cnnexplain.model.subclassed import has_graph, no_graph
from cnnexplain.types import Array

INPUT, LOGITS = "input", "logits"
"""The names under which the input and the pre-softmax scores are reached, beside the layers."""


class _Step(keras.Operation):  # type: ignore[misc]  # Keras has no types.
    """Calls `inner`, a layer or operation of the user's model, without recording it there."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def call(self, *args: Any, **kwargs: Any) -> Any:
        # Said to every layer by itself: layers that augment images default to training, and a graph may have it fixed.
        if isinstance(self.inner, keras.Layer) and "training" in inspect.signature(self.inner.call).parameters:
            kwargs["training"] = False
        return self.inner(*args, **kwargs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        # It says the size that it crops to in training.
        if isinstance(self.inner, keras.layers.RandomCrop):
            return keras.KerasTensor(args[0].shape, self.inner.compute_dtype)
        return self.inner.compute_output_spec(*args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # Where memory doesn't suffice for a batch, a shorter one is tried.
        symbolic = any(map(keras.utils.is_keras_tensor, keras.tree.flatten((args, kwargs))))
        with foreign(self._failed, *(() if symbolic else (MemoryError,))):
            return super().__call__(*args, **kwargs)

    def _failed(self, error: BaseException) -> ModelError:
        kind = line(type(self.inner).__name__)
        return ModelError(f"The layer '{line(self.inner.name)}' ({kind}) fails: {reason(error)}")


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer, or of an operation such as `x + 1`, in a graph of symbolic tensors.

    Args:
        name: The layer's name, those of nested models as "outer/inner". From the second call of a layer on it is numbered,
            "name:2", and those in the second call of a nested model are "outer:2/inner".
        inner: The layer or operation of the user's model.
        function: Computes what it does, in inference mode.
        args: What it was given by position: symbolic tensors, or what else it takes.
        kwargs: What it was given by name.
        output: The symbolic tensor that it returned, or several.
    """

    name: str
    inner: Any
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any

    @property
    def sources(self) -> list[Any]:
        """The symbolic tensors that it was given."""
        return [leaf for leaf in keras.tree.flatten((self.args, self.kwargs)) if keras.utils.is_keras_tensor(leaf)]

    def given(self, source: Any, x: Any) -> Any:
        """What it returns, the first of several, where it is given x in the place of one of its sources."""
        args, kwargs = keras.tree.map_structure(lambda leaf: x if leaf is source else leaf, (self.args, self.kwargs))
        return keras.tree.flatten(self.function(*args, **kwargs))[0]


@dataclass(frozen=True)
class _Graph:
    """A model as the calls of its layers, in an order in which they can be made."""

    inputs: list[Any]
    calls: list[Call]
    outputs: list[Any]


@dataclass(frozen=True)
class Twin:
    """The twin.

    Args:
        input: The symbolic input (N, H, W, C).
        fixed: The symbolic inputs of a model of several beside the image, each with its values (1, …).
        calls: Every call, in an order in which they can be made.
        tensors: The symbolic output of each layer by name, and what `INPUT` and, once they are found, `LOGITS` stand for.
        names: The layers' names, in that order.
        end: The symbolic output of the model.
        output: The name of the layer that puts it out; None where that is the input, or a layer of several outputs.
        place: Which of the model's outputs it is.
    """

    input: Any
    calls: tuple[Call, ...]
    tensors: dict[str, Any]
    names: tuple[str, ...]
    end: Any
    output: str | None
    fixed: tuple[tuple[Any, Array], ...] = ()
    place: int = 0

    @property
    def values(self) -> int:
        """How many numbers all the layers return for one image."""
        tensors = keras.tree.flatten([call.output for call in self.calls])
        return sum(math.prod(size or 1 for size in tensor.shape[1:]) for tensor in tensors)

    def sees(self, call: Call) -> bool:
        """Whether a call is given something of the image, and not fixed inputs alone."""
        return not self._seen.isdisjoint(map(id, call.sources))

    @cached_property
    def _seen(self) -> set[int]:
        """Which tensors depend on the image."""
        seen = {id(self.input)}
        for call in self.calls:
            if not seen.isdisjoint(map(id, call.sources)):
                seen.update(map(id, keras.tree.flatten(call.output)))
        return seen

    def ancestors(self, names: Iterable[str], after: str = INPUT) -> list[Call]:
        """The calls that the outputs of these names are made of, in the order of the calls.

        Args:
            names: Of `tensors`.
            after: One of `tensors`, which is given: what it alone is made of is left out.
        """
        given = {id(self.tensors[after])}
        needed = {id(self.tensors[name]) for name in names} - given
        kept = []
        for call in reversed(self.calls):
            if needed & set(map(id, keras.tree.flatten(call.output))):
                kept.append(call)
                needed |= set(map(id, call.sources)) - given
        return kept[::-1]

    def consumers(self, tensor: Any) -> list[Call]:
        """The calls that are given a tensor."""
        return [call for call in self.calls if any(source is tensor for source in call.sources)]

    def function(
        self, names: Sequence[str], change: Callable[[Call], Callable[..., Any]] | None = None
    ) -> Callable[[Any], list[Any]]:
        """What maps the input to the list of the outputs of these names.

        Args:
            names: Of `tensors`.
            change: Gives the function to call in the place of each call's own.
        """
        calls = self.ancestors(names)
        graph = _Graph(
            [self.input, *(tensor for tensor, _ in self.fixed)],
            [call if change is None else replace(call, function=change(call)) for call in calls],
            [self.tensors[name] for name in names],
        )
        return lambda x: _computed(graph, [x, *self._beside(x)])

    def _beside(self, x: Any) -> list[Any]:
        """The fixed values, for each of a batch of images."""
        return [repeated(value, keras.ops.shape(x)[0]) for _, value in self.fixed]

    def tail(self, start: str, names: Sequence[str]) -> Callable[[Any, Any], list[Any]] | None:
        """What maps the output of `start` and the input to the list of the outputs of these names.

        The input is for what reaches them on ways around `start`. None where nothing of it reaches them.

        Args:
            start: Of `tensors`.
            names: Of `tensors`.
        """
        given, calls = self.tensors[start], self.ancestors(names, after=start)
        outputs = [self.tensors[name] for name in names]
        if not any(each is given for each in itertools.chain(outputs, *(call.sources for call in calls))):
            return None
        graph = _Graph([self.input, *(tensor for tensor, _ in self.fixed), given], calls, outputs)
        return lambda output, x: _computed(graph, [x, *self._beside(x), keras.ops.cast(output, given.dtype)])


def twin(model: Any, shape: tuple[int, int, int], output: int = 0, inputs: Inputs = IMAGE) -> Twin:
    """Traces a functional or sequential model.

    Args:
        model: The model.
        shape: (H, W, C) of the image, where the model may leave rows and columns open.
        output: Which of its outputs.
        inputs: What the model is given beside the image.

    Raises:
        ModelError: The model, or a nested one, has no graph.
    """
    if not getattr(model, "inputs", None):
        raise no_graph(model)
    graph, image = _of_image(model, shape, [model.outputs[output]], inputs)
    calls, tensors = list(graph.calls), {INPUT: image}
    seen = {id(image)}
    for number, call in enumerate(calls):
        name = free(call.name, tensors)
        calls[number] = replace(call, name=name)
        # What is made of fixed inputs alone shows nothing of the image.
        if seen.isdisjoint(map(id, call.sources)):
            continue
        seen.update(map(id, keras.tree.flatten(call.output)))
        if keras.utils.is_keras_tensor(call.output):
            tensors[name] = call.output
    names = tuple(name for name in tensors if name != INPUT)
    last = next((name for name in names if tensors[name] is graph.outputs[0]), None)
    beside = tuple((graph.inputs[place], value) for place, value in inputs.fixed.items())
    return Twin(image, tuple(calls), tensors, names, graph.outputs[0], last, beside, output)


def traced(model: Any, shape: tuple[int, int, int], inputs: Inputs = IMAGE) -> tuple[Any, list[Call]]:
    """The symbolic image of a model, and the calls of its layers, those of nested models in their place.

    Args:
        model: Functional or sequential.
        shape: (H, W, C) of the image.
        inputs: What the model is given beside it.
    """
    graph, image = _of_image(model, shape, model.outputs, inputs)
    return image, graph.calls


def _of_image(model: Any, shape: tuple[int, int, int], outputs: Sequence[Any], inputs: Inputs) -> tuple[_Graph, Any]:
    """The graph of a model on an image of that shape and its fixed inputs, and the symbolic image (N, H, W, C)."""
    taken = shape[:2] if inputs.flat else shape
    shapes = [inputs.fixed[place].shape[1:] if place in inputs.fixed else taken for place in range(len(model.inputs))]
    # Whole numbers have no gradient, so that a model of uint8 pixels is traced on real ones.
    kinds = [tensor.dtype if place in inputs.fixed else _real(tensor.dtype) for place, tensor in enumerate(model.inputs)]
    graph = in_inference(lambda: _trace(model, shapes, outputs, kinds))
    given = graph.inputs[inputs.image]
    if not inputs.flat:
        return graph, given
    image = keras.KerasTensor((given.shape[0], *shape), given.dtype)
    calls = []
    for call in graph.calls:
        # What only puts the axis of channels back is left out on the way.
        again = call.sources and call.sources[0] is given and _adds_channel(call) and call.output.shape == image.shape
        calls.append(
            replace(call, inner=keras.layers.Identity(), function=_same, args=(image,), kwargs={}) if again else call
        )
    if any(source is given for call in calls for source in call.sources):
        flat = keras.layers.Reshape(shape[:2], name="without_channel")
        calls.insert(0, Call("without_channel", flat, _without_channel, (image,), {}, given))
    return replace(graph, calls=calls), image


def _adds_channel(call: Call) -> bool:
    """Whether a layer or operation on images (N, H, W) may do no more than give them an axis of channels."""
    if type(call.inner).__name__ == "GetItem":
        return call.args[1:] in (((..., None),), ((slice(None), slice(None), slice(None), None),))
    return type(call.inner).__name__ in ("ExpandDims", "Reshape")


def _same(x: Any) -> Any:
    return x


def _without_channel(x: Any) -> Any:
    return keras.ops.squeeze(x, -1)


def _trace(model: Any, shapes: Sequence[tuple[int | None, ...]], outputs: Sequence[Any], kinds: Sequence[str]) -> _Graph:
    """The graph of some outputs of a model on inputs of its own, every nested model in it resolved into its layers.

    A nested model without a graph is one layer.

    Args:
        model: The model.
        shapes: Of its inputs, without the batch axis.
        outputs: Which of its symbolic tensors.
        kinds: The types of the inputs.
    """
    calls: list[Call] = []
    times: Counter[str] = Counter()

    def trace(step: _Step, *args: Any, **kwargs: Any) -> Any:
        times[step.inner.name] += 1
        name = of_call(step.inner.name, times[step.inner.name])
        if has_graph(step.inner):
            inputs = keras.tree.flatten(args[0] if args else next(iter(kwargs.values())))
            shapes = [tensor.shape[1:] for tensor in inputs]
            # Otherwise Keras adds or drops an axis before the model.
            if [len(shape) for shape in shapes] == [len(tensor.shape) - 1 for tensor in step.inner.inputs]:
                inner = _trace(step.inner, shapes, step.inner.outputs, [tensor.dtype for tensor in inputs])
                outputs = _replay(inner, inputs, lambda *made: nested(name, *made))
                return outputs[0] if len(outputs) == 1 else outputs
        output = step(*args, **kwargs)
        calls.append(Call(name, step.inner, step, args, kwargs, output))
        return output

    def nested(outer: str, there: Call, args: Any, kwargs: Any) -> Any:
        output = there.function(*args, **kwargs)
        calls.append(Call(f"{outer}/{there.name}", there.inner, there.function, args, kwargs, output))
        return output

    inputs = [
        keras.Input(shape, batch_size=tensor.shape[0], dtype=kind)
        for tensor, shape, kind in zip(model.inputs, shapes, kinds, strict=True)
    ]
    # A plain model over the same graph: cloning a compiled one would try to rebuild its loss and optimizer.
    plain = keras.Model(model.inputs, list(outputs))
    # One step for each layer, so that a shared layer stays shared.
    steps: dict[int, _Step] = {}
    cloned = keras.models.clone_model(
        plain,
        input_tensors=inputs,
        clone_function=lambda layer: steps.setdefault(id(layer), _Step(layer)),
        call_function=trace,
    )
    return _Graph(inputs, calls, cloned.outputs)


def _computed(graph: _Graph, inputs: Sequence[Any]) -> list[Any]:
    """A graph's outputs for other inputs, in inference mode."""
    return in_inference(lambda: _replay(graph, inputs, lambda call, args, kwargs: call.function(*args, **kwargs)))


def _replay(graph: _Graph, inputs: Sequence[Any], make: Callable[[Call, Any, Any], Any]) -> list[Any]:
    """Makes a graph's calls on other tensors and returns what stands for its outputs."""
    here = dict(zip(map(id, graph.inputs), inputs, strict=True))

    def moved(structure: Any) -> Any:
        return keras.tree.map_structure(lambda leaf: here.get(id(leaf), leaf), structure)

    for call in graph.calls:
        output = make(call, moved(call.args), moved(call.kwargs))
        here.update(zip(map(id, keras.tree.flatten(call.output)), keras.tree.flatten(output), strict=True))
    return [here[id(output)] for output in graph.outputs]


def _real(dtype: str) -> str:
    return dtype if "float" in dtype else "float32"

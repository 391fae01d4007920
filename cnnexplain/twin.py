"""A twin of the user's model that shares its weights and reaches every layer's output; the model itself is never touched.

Calling one of the model's own layers on a symbolic tensor would add a node to that layer for ever, so every layer is called
through a `_Step` of ours. Nested models are traced through, so that the twin is one flat list of calls.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

import keras

from cnnexplain.arrays import Array
from cnnexplain.errors import ModelError, UsageError, foreign, line, reason
from cnnexplain.inputs import IMAGE, Inputs, repeated

Head: TypeAlias = Literal["softmax", "sigmoid", "none"]

INPUT, LOGITS = "input", "logits"
"""The names under which the input and the pre-softmax scores are reached, beside the layers."""


IDLE = (
    *(
        "ActivityRegularization",
        "AlphaDropout",
        "Dropout",
        "GaussianDropout",
        "GaussianNoise",
        "Identity",
        "SpatialDropout2D",
    ),
    *("RandomBrightness", "RandomContrast", "RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom"),
)
"""Layers that put out what they are given in inference mode."""


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
        name: The layer's name, those of nested models as "outer/inner"; numbered (":2") from the second call on.
        inner: The layer or operation of the user's model.
        function: Computes what it does, in inference mode.
        args: What it was given by position: symbolic tensors, or what else it takes.
        kwargs: What it was given by name.
        output: The symbolic tensor that it put out, or several.
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
        tensors: The symbolic output of each layer by name, and what `INPUT` and `LOGITS` stand for.
        names: The layers' names, in that order.
        output: The name of the layer that puts out what the model does; None where that is the input.
        head: What makes the model's output of the scores: "softmax", "sigmoid", or "none" where the output is the scores.
        binary: Whether the model has one score alone, s, which stands for the scores (−s, s) of two classes.
    """

    input: Any
    calls: tuple[Call, ...]
    tensors: dict[str, Any]
    names: tuple[str, ...]
    output: str | None
    head: Head
    binary: bool
    fixed: tuple[tuple[Any, Array], ...] = ()

    @property
    def values(self) -> int:
        """How many numbers all the layers put out for one image."""
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
        return lambda x: _replay(graph, [x, *self._beside(x)], lambda call, args, kwargs: call.function(*args, **kwargs))

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
        return lambda output, x: _replay(
            graph,
            [x, *self._beside(x), keras.ops.cast(output, given.dtype)],
            lambda call, args, kwargs: call.function(*args, **kwargs),
        )


def twin(model: Any, shape: tuple[int, int, int], output: int = 0, *, logits: bool = False, inputs: Inputs = IMAGE) -> Twin:
    """Traces a functional or sequential model.

    Args:
        model: The model.
        shape: (H, W, C) of the image, where the model may leave rows and columns open.
        output: Which of its outputs.
        logits: Whether that output is the scores, whatever layer it comes from.
        inputs: What the model is given beside the image.

    Raises:
        ModelError: A nested model has no graph, or the head is none of softmax, sigmoid or raw scores.
    """
    graph, image = _of_image(model, shape, [model.outputs[output]], inputs)
    calls, tensors = list(graph.calls), {INPUT: image}
    seen = {id(image)}
    for number, call in enumerate(calls):
        name = _free(call.name, tensors)
        calls[number] = replace(call, name=name)
        # What is made of fixed inputs alone shows nothing of the image.
        if seen.isdisjoint(map(id, call.sources)):
            continue
        seen.update(map(id, keras.tree.flatten(call.output)))
        if keras.utils.is_keras_tensor(call.output):
            tensors[name] = call.output
    head: Head
    scores, head = _scores(graph, said=logits)
    if isinstance(scores, Call):
        calls.append(scores)
        scores = scores.output
    binary = scores.shape[-1] == 1
    if binary and head != "sigmoid" and not logits:
        always = "whose softmax is always 1" if head == "softmax" else "which may be any number"
        raise ModelError(
            f"The model puts out one number, {always}; expected a score for each of several classes, or one sigmoid unit. "
            "If it is the score of one class against another, say so with --logits (logits=True)."
        )
    if binary:
        two = keras.KerasTensor((scores.shape[0], 2), scores.dtype)
        calls.append(Call(LOGITS, keras.layers.Concatenate(name="opposite"), _opposite, (scores,), {}, two))
        scores = two
    # A layer that is called "logits" and isn't them gives way.
    if LOGITS in tensors and tensors[LOGITS] is not scores:
        tensors = {name + ":1" if name == LOGITS else name: tensor for name, tensor in tensors.items()}
    names = tuple(name for name in tensors if name != INPUT)
    last = next((name for name in names if tensors[name] is graph.outputs[0]), None)
    beside = tuple((graph.inputs[place], value) for place, value in inputs.fixed.items())
    return Twin(image, tuple(calls), {**tensors, LOGITS: scores}, names, last, head, binary, beside)


def traced(model: Any, shape: tuple[int, int, int], inputs: Inputs = IMAGE) -> tuple[Any, list[Call]]:
    """The symbolic image of a model, and the calls of its layers, those of nested models in their place.

    Args:
        model: Functional or sequential.
        shape: (H, W, C) of the image.
        inputs: What the model is given beside it.

    Raises:
        ModelError: A nested model has no graph.
    """
    graph, image = _of_image(model, shape, model.outputs, inputs)
    return image, graph.calls


def _of_image(model: Any, shape: tuple[int, int, int], outputs: Sequence[Any], inputs: Inputs) -> tuple[_Graph, Any]:
    """The graph of a model on an image of that shape and its fixed inputs, and the symbolic image (N, H, W, C)."""
    taken = shape[:2] if inputs.flat else shape
    shapes = [inputs.fixed[place].shape[1:] if place in inputs.fixed else taken for place in range(len(model.inputs))]
    # Whole numbers have no gradient, so that a model of uint8 pixels is traced on real ones.
    kinds = [tensor.dtype if place in inputs.fixed else _real(tensor.dtype) for place, tensor in enumerate(model.inputs)]
    graph = _trace(model, shapes, outputs, kinds)
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


def _free(name: str, taken: Iterable[str]) -> str:
    numbered = itertools.chain([name], (f"{name}:{number}" for number in itertools.count(2)))
    return next(each for each in numbered if each not in taken)


HEADS: dict[Any, Head] = {
    keras.activations.softmax: "softmax",
    keras.ops.softmax: "softmax",
    keras.activations.sigmoid: "sigmoid",
    keras.ops.sigmoid: "sigmoid",
}
"""The activations that make probabilities of scores."""


def _scores(graph: _Graph, *, said: bool) -> tuple[Any, Head]:
    """The symbolic tensor of the scores, or the call that makes it, and what makes the model's output of them.

    Where it is said that the output is the scores, it may come from any layer but one that makes probabilities.
    """
    output = graph.outputs[0]
    last = next((call for call in graph.calls if call.output is output), None)
    if last is None:
        return output, "none"
    layer, kind = last.inner, type(last.inner).__name__
    # A layer or operation of Keras that is nothing but the activation; a class of someone else's may have any name.
    alone = kind in ("Softmax", "Sigmoid") and type(layer).__module__.partition(".")[0] == "keras"
    activation = getattr(keras.activations, kind.lower()) if alone else getattr(layer, "activation", None)
    if activation is None or activation is keras.activations.linear or (said and activation not in HEADS):
        return output, "none"
    if said:
        raise UsageError(
            f"The model ends in a {HEADS[activation]} (layer '{layer.name}'), whose outputs are probabilities and no "
            "scores; leave out --logits (logits=True)."
        )
    if activation not in HEADS:
        name = getattr(activation, "__name__", repr(activation))
        raise ModelError(
            f"The model ends in the activation '{name}' (layer '{layer.name}'); expected softmax, sigmoid or raw scores. "
            "If its outputs are the scores themselves, say so with --logits (logits=True)."
        )
    if alone or isinstance(layer, keras.layers.Activation):
        return last.args[0], HEADS[activation]
    linear = linear_part(layer)
    if linear is None:
        raise ModelError(
            f"The scores before the {HEADS[activation]} of layer '{layer.name}' ({kind}) can't be reached; "
            "end the model in a Dense, Softmax or Activation layer."
        )
    return Call(LOGITS, layer, linear, last.args, {}, keras.KerasTensor(output.shape, output.dtype)), HEADS[activation]


def _opposite(score: Any) -> Any:
    """(N, 1), the score s of one class against another, as the scores (−s, s) of the two: their sigmoids add up to 1."""
    return keras.ops.concatenate([-score, score], axis=-1)


class Linear(keras.Layer):  # type: ignore[misc]
    """What a layer computes before its activation, with the layer's own weights and precision."""

    def __init__(self, layer: Any, product: Callable[[Any, Any], Any]) -> None:
        super().__init__(name=f"linear_{layer.name}", dtype=layer.dtype_policy)
        self.layer, self.product = layer, product

    def call(self, x: Any) -> Any:
        """The product of the layer's weights and x, and its bias."""
        y = self.product(self.layer, x)
        return y if self.layer.bias is None else keras.ops.add(y, self.layer.bias)


def _conv(layer: Any, x: Any) -> Any:
    return keras.ops.conv(x, layer.kernel, **_window(layer))


def _depthwise(layer: Any, x: Any) -> Any:
    return keras.ops.depthwise_conv(x, layer.kernel, **_window(layer))


def _separable(layer: Any, x: Any) -> Any:
    return keras.ops.separable_conv(x, layer.depthwise_kernel, layer.pointwise_kernel, **_window(layer))


def _window(layer: Any) -> dict[str, Any]:
    return {
        "strides": tuple(layer.strides),
        "padding": layer.padding,
        "dilation_rate": tuple(layer.dilation_rate),
        "data_format": layer.data_format,
    }


PRODUCTS: dict[Any, Callable[[Any, Any], Any]] = {
    keras.layers.Dense: lambda layer, x: keras.ops.matmul(x, layer.kernel),
    keras.layers.Conv2D: _conv,
    keras.layers.DepthwiseConv2D: _depthwise,
    keras.layers.SeparableConv2D: _separable,
}
"""How the layers that may have an activation of their own multiply their input by their weights."""


def linear_part(layer: Any) -> Callable[[Any], Any] | None:
    """What a layer computes before its activation; None where that isn't known.

    A layer of another class, or with whole numbers for weights, may compute it in another way.
    """
    if getattr(layer, "quantization_mode", None) is not None or getattr(layer, "data_format", "") == "channels_first":
        return None
    product = PRODUCTS.get(type(layer))
    return None if product is None else Linear(layer, product)


def _trace(model: Any, shapes: Sequence[tuple[int | None, ...]], outputs: Sequence[Any], kinds: Sequence[str]) -> _Graph:
    """The graph of some outputs of a model on inputs of its own, every nested model in it resolved into its layers.

    Args:
        model: The model.
        shapes: Of its inputs, without the batch axis.
        outputs: Which of its symbolic tensors.
        kinds: The types of the inputs.
    """
    if not getattr(model, "inputs", None):
        raise ModelError(
            f"The nested model '{model.name}' has no graph of layers; build it from keras.Input, or as a Sequential."
        )
    calls: list[Call] = []

    def trace(step: _Step, *args: Any, **kwargs: Any) -> Any:
        if isinstance(step.inner, keras.Model):
            inputs = keras.tree.flatten(args[0] if args else next(iter(kwargs.values())))
            shapes = [tensor.shape[1:] for tensor in inputs]
            inner = _trace(step.inner, shapes, step.inner.outputs, [tensor.dtype for tensor in inputs])
            outputs = _replay(inner, inputs, lambda *made: nested(step.inner.name, *made))
            return outputs[0] if len(outputs) == 1 else outputs
        output = step(*args, **kwargs)
        calls.append(Call(step.inner.name, step.inner, step, args, kwargs, output))
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

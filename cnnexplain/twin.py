"""A twin of the user's model that shares its weights and ends at the logits; the model itself is never touched.

Calling one of the model's own layers on a symbolic tensor would add a node to that layer for ever, so every layer is called
through a `_Step` of ours. Nested models are traced through, so that the twin is one flat graph.
"""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import Any

import keras

from cnnexplain.errors import ModelError


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


class _Linear(keras.Layer):  # type: ignore[misc]
    """What a dense layer computes before its activation, with the layer's own weights and precision."""

    def __init__(self, dense: Any) -> None:
        super().__init__(dtype=dense.dtype_policy)
        self.dense = dense

    def call(self, x: Any) -> Any:
        y = keras.ops.matmul(x, self.dense.kernel)
        return y if self.dense.bias is None else keras.ops.add(y, self.dense.bias)


@dataclass(frozen=True)
class _Call:
    """One call of a step in a graph of symbolic tensors: what it was given and what it put out."""

    step: _Step
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any


@dataclass(frozen=True)
class _Graph:
    """A model as the calls of its layers, in an order in which they can be made."""

    inputs: list[Any]
    calls: list[_Call]
    outputs: list[Any]


@dataclass(frozen=True)
class Twin:
    """The twin.

    Args:
        logits: A Keras model from the input (N, H, W, C) to the pre-softmax scores (N, K).
        certain: Whether a softmax was found and left out; otherwise the model's output is taken for the scores.
        layers: The layers in the order of their calls, those of nested models in the place of the model that holds them.
        values: How many numbers all the layers put out for one image.
    """

    logits: Any
    certain: bool
    layers: tuple[Any, ...]
    values: int


def twin(model: Any) -> Twin:
    """Traces a functional or sequential model with one input and one output.

    Raises:
        ModelError: A nested model has no graph or several outputs, or the head is not a softmax or raw scores.
    """
    graph = _trace(model)
    tensors = keras.tree.flatten([call.output for call in graph.calls])
    values = sum(math.prod(size or 1 for size in tensor.shape[1:]) for tensor in tensors)
    logits, certain = _logits(graph)
    return Twin(keras.Model(graph.inputs[0], logits), certain, tuple(call.step.inner for call in graph.calls), values)


def _logits(graph: _Graph) -> tuple[Any, bool]:
    """The tensor of the scores, and whether a softmax was found behind it."""
    output = graph.outputs[0]
    head = next((call for call in graph.calls if call.output is output), None)
    if head is None:
        return output, False
    layer = head.step.inner
    activation = keras.activations.softmax if isinstance(layer, keras.layers.Softmax) else getattr(layer, "activation", None)
    if activation is None or activation is keras.activations.linear:
        return output, False
    if activation not in (keras.activations.softmax, keras.ops.softmax):
        name = getattr(activation, "__name__", repr(activation))
        raise ModelError(
            f"The model ends in the activation '{name}' (layer '{layer.name}'); expected softmax, or raw scores."
        )
    # A layer of another class, or with whole numbers for weights, may compute its scores in another way.
    if type(layer) is keras.layers.Dense and getattr(layer, "quantization_mode", None) is None:
        return _Linear(layer)(head.args[0]), True
    if isinstance(layer, keras.layers.Activation | keras.layers.Softmax):
        return head.args[0], True
    raise ModelError(
        f"The scores before the softmax of layer '{layer.name}' ({type(layer).__name__}) can't be reached; "
        "end the model in a Dense, Softmax or Activation layer."
    )


def _trace(model: Any) -> _Graph:
    """The graph of a model on inputs of its own, every nested model in it resolved into its layers."""
    if not getattr(model, "inputs", None):
        raise ModelError(
            f"The nested model '{model.name}' has no graph of layers; build it from keras.Input, or as a Sequential."
        )
    calls: list[_Call] = []

    def call(step: _Step, *args: Any, **kwargs: Any) -> Any:
        if isinstance(step.inner, keras.Model):
            return replay(_trace(step.inner), args[0] if args else next(iter(kwargs.values())))
        output = step(*args, **kwargs)
        calls.append(_Call(step, args, kwargs, output))
        return output

    def replay(graph: _Graph, inputs: Any) -> Any:
        """Makes a nested graph's calls on tensors of this one."""
        here = dict(zip(map(id, graph.inputs), keras.tree.flatten(inputs), strict=True))

        def moved(structure: Any) -> Any:
            return keras.tree.map_structure(lambda leaf: here.get(id(leaf), leaf), structure)

        for there in graph.calls:
            output = call(there.step, *moved(there.args), **moved(there.kwargs))
            here.update(zip(map(id, keras.tree.flatten(there.output)), keras.tree.flatten(output), strict=True))
        outputs = [here[id(output)] for output in graph.outputs]
        return outputs[0] if len(outputs) == 1 else outputs

    # Whole numbers have no gradient, so that a model of uint8 pixels is traced on real ones.
    inputs = [keras.Input(batch_shape=tensor.shape, dtype=_real(tensor.dtype)) for tensor in model.inputs]
    # A plain model over the same graph: cloning a compiled one would try to rebuild its loss and optimizer.
    plain = keras.Model(model.inputs, model.outputs)
    # One step for each layer, so that a shared layer stays shared.
    steps: dict[int, _Step] = {}
    cloned = keras.models.clone_model(
        plain,
        input_tensors=inputs,
        clone_function=lambda layer: steps.setdefault(id(layer), _Step(layer)),
        call_function=call,
    )
    return _Graph(inputs, calls, cloned.outputs)


def _real(dtype: str) -> str:
    return dtype if "float" in dtype else "float32"

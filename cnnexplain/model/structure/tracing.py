"""Traces the layers of a Keras model into a flat graph, without changing the model.

Calling a layer of the model on a symbolic tensor would permanently add a node to that layer, so every layer is called
through a `_Step`. Nested models are traced through, so that the graph is one flat list of calls.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras

from cnnexplain.errors import ModelError, foreign, line, reason
from cnnexplain.model.structure import layer_kinds
from cnnexplain.model.structure.graph import INPUT, Call, Calls, Graph
from cnnexplain.model.structure.inference import in_inference
from cnnexplain.model.structure.layer_kinds import Trait
from cnnexplain.model.structure.layer_names import call_name, unused_name
from cnnexplain.model.structure.model_inputs import IMAGE, Inputs
from cnnexplain.model.structure.subclassed import has_graph, no_graph


class _Step(keras.Operation):  # type: ignore[misc]  # Keras has no types.
    """Calls `inner`, a layer or operation of the user's model, without recording the call in it."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def call(self, *args: Any, **kwargs: Any) -> Any:
        # Explicit for every layer: layers for augmentation default to training, and a graph may have fixed the argument.
        if isinstance(self.inner, keras.Layer) and "training" in inspect.signature(self.inner.call).parameters:
            kwargs["training"] = False
        return self.inner(*args, **kwargs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        # RandomCrop reports the size that it crops to during training.
        if isinstance(self.inner, keras.layers.RandomCrop):
            return keras.KerasTensor(args[0].shape, self.inner.compute_dtype)
        return self.inner.compute_output_spec(*args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # If a batch needs too much memory, the caller retries with a shorter one.
        symbolic = any(map(keras.utils.is_keras_tensor, keras.tree.flatten((args, kwargs))))
        with foreign(self._failed, *(() if symbolic else (MemoryError,))):
            return super().__call__(*args, **kwargs)

    def _failed(self, error: BaseException) -> ModelError:
        kind = line(type(self.inner).__name__)
        return ModelError(f"The layer '{line(self.inner.name)}' ({kind}) fails: {reason(error)}")


def trace(model: Any, shape: tuple[int, int, int], output: int = 0, inputs: Inputs = IMAGE) -> Graph:
    """The graph of a functional or sequential model.

    Args:
        model: The model.
        shape: (H, W, C) of the image; the model may leave the number of rows and columns open.
        output: The index of the output.
        inputs: Which input is the image, and the values of the others.

    Raises:
        ModelError: The model has no graph, or tracing a layer fails.
    """
    if not getattr(model, "inputs", None):
        raise no_graph(model)
    traced, image = _traced(model, shape, [model.outputs[output]], inputs)
    calls, tensors = list(traced.calls), {INPUT: image}
    dependent = {id(image)}
    for number, call in enumerate(calls):
        name = unused_name(call.name, tensors)
        calls[number] = replace(call, name=name)
        # Layers that depend only on fixed inputs have nothing to show of the image.
        if dependent.isdisjoint(map(id, call.sources)):
            continue
        dependent.update(map(id, keras.tree.flatten(call.output)))
        if keras.utils.is_keras_tensor(call.output):
            tensors[name] = call.output
    names = tuple(name for name in tensors if name != INPUT)
    last = next((name for name in names if tensors[name] is traced.outputs[0]), None)
    fixed = tuple((traced.inputs[index], value) for index, value in inputs.fixed.items())
    return Graph(image, tuple(calls), tensors, names, traced.outputs[0], last, fixed, output)


def trace_calls(model: Any, shape: tuple[int, int, int], inputs: Inputs = IMAGE) -> tuple[Any, list[Call]]:
    """The symbolic image of a model, and the calls of its layers, including those of nested models.

    Args:
        model: A functional or sequential model.
        shape: (H, W, C) of the image.
        inputs: Which input is the image, and the values of the others.
    """
    traced, image = _traced(model, shape, model.outputs, inputs)
    return image, traced.calls


def _traced(model: Any, shape: tuple[int, int, int], outputs: Sequence[Any], inputs: Inputs) -> tuple[Calls, Any]:
    """The calls that compute outputs of a model from an image of that shape and fixed inputs, and the symbolic image."""
    image_shape = shape[:2] if inputs.flat else shape
    shapes = [inputs.fixed[index].shape[1:] if index in inputs.fixed else image_shape for index in range(len(model.inputs))]
    # Integers have no gradient, so a model of uint8 pixels is traced on floating-point ones.
    dtypes = [
        tensor.dtype if index in inputs.fixed or "float" in tensor.dtype else "float32"
        for index, tensor in enumerate(model.inputs)
    ]
    traced = in_inference(lambda: _trace(model, shapes, outputs, dtypes))
    given = traced.inputs[inputs.image]
    if not inputs.flat:
        return traced, given
    image = keras.KerasTensor((given.shape[0], *shape), given.dtype)
    calls = []
    for call in traced.calls:
        # A layer that only adds the channel axis again becomes the identity.
        again = call.sources and call.sources[0] is given and _adds_channel(call) and call.output.shape == image.shape
        calls.append(
            replace(call, inner=keras.layers.Identity(), function=_same, args=(image,), kwargs={}) if again else call
        )
    if any(source is given for call in calls for source in call.sources):
        flat = keras.layers.Reshape(shape[:2], name="without_channel")
        calls.insert(0, Call("without_channel", flat, _without_channel, (image,), {}, given))
    return replace(traced, calls=calls), image


def _adds_channel(call: Call) -> bool:
    """Whether a layer or operation on images (N, H, W) can be one that only adds a channel axis, judged by its kind."""
    if not layer_kinds.of(call.inner) & Trait.ADDS_AXIS:
        return False
    # The operation of indexing may do anything else.
    return type(call.inner).__name__ != "GetItem" or call.args[1:] in (
        ((..., None),),
        ((slice(None), slice(None), slice(None), None),),
    )


def _same(x: Any) -> Any:
    return x


def _without_channel(x: Any) -> Any:
    return keras.ops.squeeze(x, -1)


def _trace(model: Any, shapes: Sequence[tuple[int | None, ...]], outputs: Sequence[Any], dtypes: Sequence[str]) -> Calls:
    """The calls that compute some outputs of a model from new inputs; nested models are resolved into their layers.

    A nested model without a graph counts as one layer.

    Args:
        model: The model.
        shapes: The shapes of its inputs, without the batch axis.
        outputs: The symbolic outputs.
        dtypes: The types of the inputs.
    """
    calls: list[Call] = []
    times: Counter[str] = Counter()

    def record(step: _Step, *args: Any, **kwargs: Any) -> Any:
        times[step.inner.name] += 1
        name = call_name(step.inner.name, times[step.inner.name])
        if has_graph(step.inner):
            inputs = keras.tree.flatten(args[0] if args else next(iter(kwargs.values())))
            shapes = [tensor.shape[1:] for tensor in inputs]
            # Otherwise Keras adds or drops an axis before the model.
            if [len(shape) for shape in shapes] == [len(tensor.shape) - 1 for tensor in step.inner.inputs]:
                inner = _trace(step.inner, shapes, step.inner.outputs, [tensor.dtype for tensor in inputs])
                outputs = inner.replay(inputs, lambda *arguments: record_nested(name, *arguments))
                return outputs[0] if len(outputs) == 1 else outputs
        output = step(*args, **kwargs)
        calls.append(Call(name, step.inner, step, args, kwargs, output))
        return output

    def record_nested(outer: str, inner: Call, args: Any, kwargs: Any) -> Any:
        output = inner.function(*args, **kwargs)
        calls.append(Call(f"{outer}/{inner.name}", inner.inner, inner.function, args, kwargs, output))
        return output

    inputs = [
        keras.Input(shape, batch_size=tensor.shape[0], dtype=dtype)
        for tensor, shape, dtype in zip(model.inputs, shapes, dtypes, strict=True)
    ]
    # A plain model over the same graph: cloning a compiled one would try to rebuild its loss and optimizer.
    plain = keras.Model(model.inputs, list(outputs))
    # One step for each layer, so that a shared layer stays shared.
    steps: dict[int, _Step] = {}
    cloned = keras.models.clone_model(
        plain,
        input_tensors=inputs,
        clone_function=lambda layer: steps.setdefault(id(layer), _Step(layer)),
        call_function=record,
    )
    return Calls(inputs, calls, cloned.outputs)

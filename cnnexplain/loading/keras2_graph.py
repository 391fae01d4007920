"""The graph in a Keras 2 description: references to tensors, and the calls of layers and TensorFlow functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import keras

from cnnexplain.errors import ModelError, line
from cnnexplain.loading import keras2_calls

OPERATIONS = ("TFOpLambda", "SlicingOpLambda")
"""Keras 2 layers that stand for the call of a TensorFlow function, such as `x / 127.5`."""

CONSTANT = "_CONSTANT_VALUE"
"""The layer name in the reference to a constant."""

SAVE_AGAIN = (
    "Keras 2 wrote it: save it again with tf_keras.models.load_model(…).export(…). The error for the exported folder "
    "explains how to load it."
)
"""How to convert a model that can't be loaded."""

Outputs: TypeAlias = Mapping[tuple[str, int], Sequence[Any]]
"""The output tensors of each call, by the name of the layer and the number of the call."""


def references(data: Any) -> Iterator[tuple[str, int, int]]:
    """The references to tensors in the arguments of a call: the layer, the number of its call, and the output."""
    if _is_reference(data):
        if data[0] != CONSTANT and type(data[2]) is int:
            yield data[0], data[1], data[2]
        yield from references(data[3:])
    elif isinstance(data, list | dict):
        for item in data.values() if isinstance(data, dict) else data:
            yield from references(item)


def resolve(data: Any, outputs: Outputs) -> Any:
    """The arguments of a call, with tensors in place of the references."""
    if _is_reference(data) and data[0] == CONSTANT:
        return data[2]
    if _is_reference(data) and (data[0], data[1]) in outputs:
        return outputs[data[0], data[1]][data[2]]
    if isinstance(data, dict):
        return {key: resolve(value, outputs) for key, value in data.items()}
    return [resolve(item, outputs) for item in data] if isinstance(data, list) else data


def unwrapped(tensors: Any) -> Any:
    """The item of a list with one item, which Keras 2 passes to layers without the list."""
    return tensors[0] if isinstance(tensors, list) and len(tensors) == 1 else tensors


def call(layers: Mapping[str, Any], entry: Mapping[str, Any], node: Any, outputs: Outputs) -> Any:
    """The symbolic outputs of one call of a layer, or of the TensorFlow function that a layer stands for.

    Args:
        layers: The layers of the model, by name.
        entry: The description of the layer.
        node: The arguments of this call, one of the layer's `inbound_nodes`.
        outputs: The outputs of the calls on which this one depends.

    Raises:
        ModelError: Keras 3 has no equivalent of the TensorFlow function. The message continues after the name of the file.
    """
    arguments = resolve(node, outputs)
    options = {key: value for key, value in resolve(_options(node), outputs).items() if value is not None}
    if entry["class_name"] not in OPERATIONS:
        return layers[entry["name"]](unwrapped(arguments), **options)
    function = entry["config"]["function"]
    # Start at the inputs, because Keras before 3.15 can't make a function that starts in the middle of a graph.
    inputs = [
        tensor
        for (name, _), tensors in outputs.items()
        if isinstance(layers.get(name), keras.layers.InputLayer)
        for tensor in tensors
    ]
    names = {name.replace("/", "_") for name in layers}
    try:
        # Keras numbers the names of operations. Repeat the call until the name differs from those of all layers.
        for _ in range(1 + len(layers)):
            output = keras2_calls.call(function, [arguments], options)
            operations = _operation_names(inputs, output)
            if operations is not None and not operations & names:
                return output
        problem = "for which no unique name is left"
    except KeyError:
        problem = "which has no known equivalent in Keras 3"
    except (TypeError, ValueError) as error:
        problem = f"with arguments that have no equivalent in Keras 3 ({line(error)})"
    raise ModelError(f"calls TensorFlow's tf.{function:.60} in the layer '{entry['name']:.80}', {problem}. {SAVE_AGAIN}")


def _is_reference(data: Any) -> bool:
    """Whether this refers to a tensor, with the name of a layer, the number of a call, and the number of an output."""
    return isinstance(data, list) and len(data) in (3, 4) and isinstance(data[0], str) and type(data[1]) is int


def _options(data: Any) -> dict[str, Any]:
    """The keyword arguments of a call, which Keras 2 stores with each of the tensors."""
    while isinstance(data, list) and data and not _is_reference(data):
        data = data[0]
    return data[3] if _is_reference(data) and len(data) == 4 else {}


def _operation_names(inputs: Sequence[Any], output: Any) -> set[str] | None:
    """The names of the operations between inputs and an output; None if a name is not unique."""
    try:
        operations = keras.Function(inputs, output).operations
    except ValueError as error:
        if "unique" not in str(error):
            raise
        return None
    return {operation.name for operation in operations if not isinstance(operation, keras.Layer)}

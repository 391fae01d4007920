"""The TensorFlow functions in Keras 2 models, as Keras 3 operations that compute the same on every backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops


def _binary(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return lambda x, y: function(_constant(x), _constant(y))


def _unary(function: Callable[[Any], Any], parameter: str = "x") -> Callable[..., Any]:
    """A function whose first parameter is named as in TensorFlow."""
    return lambda *args, **kwargs: function(*args, **{"x" if key == parameter else key: kwargs[key] for key in kwargs})


def _reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda input_tensor, axis=None, keepdims=False: function(input_tensor, axis=_axes(axis), keepdims=bool(keepdims))


def _axes(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, list) else axis


def _constant(value: Any) -> Any:
    return np.asarray(value, np.float32) if isinstance(value, list) else value


def _bias(value: Any, bias: Any, data_format: str = "NHWC") -> Any:
    if data_format not in ("NHWC", "N...C", None):
        raise ValueError(f"data_format={data_format!r}")
    return ops.add(value, _constant(bias))


def _padded(tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: float = 0) -> Any:
    # Keras accepts a value only in this mode.
    values = {"constant_values": constant_values} if mode.lower() == "constant" else {}
    return ops.pad(tensor, [tuple(pair) for pair in paddings], mode=mode.lower(), **values)


def _resized(
    images: Any, size: Any, method: str = "bilinear", preserve_aspect_ratio: bool = False, antialias: bool = False
) -> Any:
    # Other methods differ between backends.
    if method not in ("bilinear", "nearest") or preserve_aspect_ratio:
        raise ValueError(f"method={method!r}, preserve_aspect_ratio={preserve_aspect_ratio}")
    return ops.image.resize(images, tuple(size), interpolation=method, antialias=antialias)


def _element(x: Any, slice_spec: Sequence[Any]) -> Any:
    """x[slice_spec]. Axes with a step of −1 are flipped afterwards, because PyTorch does not support negative steps."""
    indices = [_index(item) for item in (slice_spec if isinstance(slice_spec, list) else [slice_spec])]
    reverse = slice(None, None, -1)
    axes, before_ellipsis = [], True
    for number, index in enumerate(indices):
        before_ellipsis = before_ellipsis and index is not Ellipsis
        if index == reverse:
            if any(other is None or isinstance(other, int) for other in indices):
                raise ValueError("a slice that removes or adds an axis and reverses another")
            axes.append(number if before_ellipsis else number - len(indices))
    result = x[tuple(slice(None) if index == reverse else index for index in indices)]
    # One by one, because Keras before 3.15 can't flip several axes with TensorFlow.
    for axis in axes:
        result = ops.flip(result, axis=axis)
    return result


def _index(item: Any) -> Any:
    if isinstance(item, dict) and item.get("class_name") == "__ellipsis__":
        return Ellipsis
    if isinstance(item, dict):
        return slice(item["start"], item["stop"], item["step"])
    if item is None or isinstance(item, int):
        return item
    raise ValueError("a slice with computed bounds")


def _clipped(t: Any, clip_value_min: float, clip_value_max: float) -> Any:
    return ops.clip(t, clip_value_min, clip_value_max)


def _transposed(a: Any, perm: Any = None, conjugate: bool = False) -> Any:
    # The conjugate of a real number is the number itself.
    del conjugate
    return ops.transpose(a, perm)


def _matmul(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False) -> Any:
    return ops.matmul(ops.swapaxes(a, -1, -2) if transpose_a else a, ops.swapaxes(b, -1, -2) if transpose_b else b)


CALLS: dict[str, Callable[..., Any]] = {
    **{
        name: _binary(function)
        for name, function in {
            "__operators__.add": ops.add,
            "math.add": ops.add,
            "math.divide": ops.divide,
            "math.maximum": ops.maximum,
            "math.minimum": ops.minimum,
            "math.multiply": ops.multiply,
            "math.pow": ops.power,
            "math.subtract": ops.subtract,
            "math.truediv": ops.divide,
        }.items()
    },
    **{
        f"math.{name}": _unary(function)
        for name, function in {
            "abs": ops.abs,
            "cos": ops.cos,
            "exp": ops.exp,
            "log": ops.log,
            "negative": ops.negative,
            "rsqrt": ops.rsqrt,
            "sigmoid": ops.sigmoid,
            "sin": ops.sin,
            "sqrt": ops.sqrt,
            "square": ops.square,
            "tanh": ops.tanh,
        }.items()
    },
    **{
        f"nn.{name}": _unary(function, "features")
        for name, function in {
            "elu": ops.elu,
            "relu": ops.relu,
            "relu6": ops.relu6,
            "selu": ops.selu,
            "silu": ops.silu,
            "swish": ops.silu,
        }.items()
    },
    **{
        f"math.reduce_{name}": _reduction(function)
        for name, function in {"max": ops.max, "mean": ops.mean, "min": ops.min, "sum": ops.sum}.items()
    },
    "__operators__.getitem": _element,
    "cast": ops.cast,
    "clip_by_value": _clipped,
    "compat.v1.pad": _padded,
    "compat.v1.transpose": _transposed,
    "concat": lambda values, axis: ops.concatenate(values, axis=axis),
    "expand_dims": _unary(ops.expand_dims, "input"),
    "identity": lambda input: input,  # noqa: A006
    "image.resize": _resized,
    "image.rgb_to_grayscale": ops.image.rgb_to_grayscale,
    "linalg.matmul": _matmul,
    "nn.bias_add": _bias,
    "nn.gelu": lambda features, approximate=False: ops.gelu(features, approximate=approximate),
    "nn.leaky_relu": lambda features, alpha=0.2: ops.leaky_relu(features, negative_slope=alpha),
    "nn.softmax": lambda logits, axis=None: ops.softmax(logits, axis=-1 if axis is None else axis),
    "pad": _padded,
    "reshape": lambda tensor, shape: ops.reshape(tensor, tuple(shape)),
    "stack": lambda values, axis=0: ops.stack(values, axis=axis),
    "transpose": _transposed,
}
"""Functions that compute the same as TensorFlow's, with the same parameters, by their names in TensorFlow."""


def call(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Calls the equivalent of a TensorFlow function with symbolic tensors.

    Args:
        name: The function's name in TensorFlow, such as "math.truediv".
        args: The positional arguments.
        kwargs: The keyword arguments.

    Raises:
        KeyError: The function has no known equivalent.
        TypeError, ValueError: It has none with these arguments.
    """
    function = CALLS[name]
    # None stands for TensorFlow's default.
    return function(*args, **{key: value for key, value in kwargs.items() if key != "name" and value is not None})

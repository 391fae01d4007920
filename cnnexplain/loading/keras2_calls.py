"""TensorFlow's functions that models of Keras 2 call, as operations of Keras 3 that compute the same on every backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops


def _binary(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return lambda x, y: function(_constant(x), _constant(y))


def _unary(function: Callable[[Any], Any], given: str = "x") -> Callable[..., Any]:
    return lambda *args, **kwargs: function(*args, **{"x" if key == given else key: value for key, value in kwargs.items()})


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
    # Keras' operation takes a value for this mode alone.
    values = {"constant_values": constant_values} if mode.lower() == "constant" else {}
    return ops.pad(tensor, [tuple(pair) for pair in paddings], mode=mode.lower(), **values)


def _resized(
    images: Any, size: Any, method: str = "bilinear", preserve_aspect_ratio: bool = False, antialias: bool = False
) -> Any:
    # Backends differ in the others.
    if method not in ("bilinear", "nearest") or preserve_aspect_ratio:
        raise ValueError(f"method={method!r}, preserve_aspect_ratio={preserve_aspect_ratio}")
    return ops.image.resize(images, tuple(size), interpolation=method, antialias=antialias)


def _element(x: Any, slice_spec: Sequence[Any]) -> Any:
    """x[slice_spec]; what is taken backwards is turned round afterwards, since PyTorch knows no negative steps."""
    places = [_place(each) for each in (slice_spec if isinstance(slice_spec, list) else [slice_spec])]
    backwards = slice(None, None, -1)
    axes, before = [], True
    for number, place in enumerate(places):
        before = before and place is not Ellipsis
        if place == backwards:
            if any(each is None or isinstance(each, int) for each in places):
                raise ValueError("a slice that drops or adds an axis, and turns one round")
            axes.append(number if before else number - len(places))
    whole = tuple(slice(None) if place == backwards else place for place in places)
    turned = x[whole]
    # One by one, since Keras before 3.15 turns no several axes on TensorFlow.
    for axis in axes:
        turned = ops.flip(turned, axis=axis)
    return turned


def _place(said: Any) -> Any:
    if isinstance(said, dict) and said.get("class_name") == "__ellipsis__":
        return Ellipsis
    if isinstance(said, dict):
        return slice(said["start"], said["stop"], said["step"])
    if said is None or isinstance(said, int):
        return said
    raise ValueError("a slice that is computed")


def _clipped(t: Any, clip_value_min: float, clip_value_max: float) -> Any:
    return ops.clip(t, clip_value_min, clip_value_max)


def _transposed(a: Any, perm: Any = None, conjugate: bool = False) -> Any:
    # Of real numbers the conjugate is the same.
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
"""A function's name in TensorFlow ↦ what computes the same, with the same parameters."""


def call(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What a TensorFlow function makes of symbolic tensors.

    Args:
        name: The function's name, such as "math.truediv".
        args: What it is given by position.
        kwargs: What it is given by name.

    Raises:
        KeyError: Keras has no equal of it.
        TypeError, ValueError: Keras has none of it with these arguments.
    """
    function = CALLS[name]
    # Those that are None stand for TensorFlow's own defaults.
    return function(*args, **{key: value for key, value in kwargs.items() if key != "name" and value is not None})

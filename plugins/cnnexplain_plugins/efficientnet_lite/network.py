"""EfficientNet-lite in Keras: EfficientNet (Tan & Le 2019, arXiv:1905.11946, table 1) without squeeze-and-excitation.

ReLU6 replaces swish, so that the network can be quantized (github.com/tensorflow/tpu, models/official/efficientnet/lite).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any, NamedTuple

import keras

from cnnexplain.errors import ModelError
from cnnexplain_plugins.efficientnet_lite import SIDES

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Shaped

CLASSES = 1000
"""The number of classes."""


class Stage(NamedTuple):
    """Blocks of the same kind, of which only the first may have a stride above 1."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
"""The stages of lite0."""

SCALES = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}
"""Width and depth relative to lite0. Stem and head keep their width, and the first and last stage their depth."""


def stages(name: str) -> tuple[Stage, ...]:
    """The stages of a network, scaled as in the paper's section 3.3: channels to multiples of 8, blocks rounded up."""
    width, depth = SCALES[name]
    inner = range(1, len(STAGES) - 1)
    return tuple(
        stage._replace(
            blocks=math.ceil(stage.blocks * depth) if number in inner else stage.blocks,
            channels=_multiple_of_8(stage.channels * width),
        )
        for number, stage in enumerate(STAGES)
    )


def _multiple_of_8(channels: float) -> int:
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


def build(name: str) -> Any:
    """A network without its weights: RGB from −1 to 1 → 1,000 probabilities; lite0 has 4,652,008 trainable parameters."""
    inputs = keras.Input((SIDES[name], SIDES[name], 3), name="image", **REAL)
    x = _relu6(_normalized(_convolution(inputs, "stem_conv", 32, kernel=3, stride=2), "stem_bn"), "stem_relu")
    for block, stage, stride in blocks(name):
        x = _block(x, block, stage, stride)
    x = _relu6(_normalized(_convolution(x, "head_conv", 1280), "head_bn"), "head_relu")
    x = keras.layers.GlobalAveragePooling2D(name="average", **LAST)(x)
    x = keras.layers.Dense(CLASSES, kernel_initializer="zeros", name="logits", **REAL)(x)
    return keras.Model(
        inputs, keras.layers.Activation("softmax", name="probabilities", **REAL)(x), name=f"efficientnet_{name}"
    )


def restore(name: str, tensors: Mapping[str, Shaped[np.ndarray, " ..."]], file: str) -> Any:
    """A network with the weights of a state dict, whose modules are named `_conv_stem`, `_blocks.0._bn1`, `_fc` etc.

    Args:
        name: The name of the network.
        tensors: The tensors of the state dict.
        file: The name of the file in error messages.

    Raises:
        ModelError: The tensors are not those of this network.
    """
    model = build(name)
    modules = _modules(name)
    wanted = {
        f"{modules[layer.name]}.{tensor}" for layer in model.layers if layer.weights for tensor in _TENSORS[type(layer)]
    }
    # The number of batches seen in training does not affect the output.
    given = {tensor for tensor in tensors if not tensor.endswith(".num_batches_tracked")}
    if wanted != given:
        tensor = min(wanted ^ given)
        has = "lacks" if tensor in wanted else "has"
        raise ModelError(f"The weights '{file}' are not those of EfficientNet-{name}: the file {has} the tensor '{tensor}'.")
    for layer in model.layers:
        for variable, (tensor, axes) in zip(layer.weights, _TENSORS.get(type(layer), {}).items(), strict=True):
            value = tensors[f"{modules[layer.name]}.{tensor}"]
            if value.ndim != len(axes) or value.transpose(axes).shape != tuple(variable.shape):
                raise ModelError(
                    f"The weights '{file}' are not those of EfficientNet-{name}: the tensor "
                    f"'{modules[layer.name]}.{tensor}' has the shape {value.shape}, which does not fit "
                    f"{tuple(variable.shape)} of the layer '{layer.name}'."
                )
            variable.assign(value.transpose(axes))
    return model


def blocks(name: str) -> Iterator[tuple[str, Stage, int]]:
    """The blocks of a network in order: name ("block2a" is the first of the second stage), stage and stride."""
    for number, stage in enumerate(stages(name), 1):
        for index in range(stage.blocks):
            yield f"block{number}{ascii_lowercase[index]}", stage, stage.stride if index == 0 else 1


# Set for every layer, so that the user's global settings of Keras do not change the network.
REAL = {"dtype": "float32"}
LAST = {**REAL, "data_format": "channels_last"}

# For each kind of layer: the tensors of its PyTorch module in the order of the Keras variables, each with the permutation of
# axes that Keras needs. PyTorch: (outputs, inputs, rows, columns); Keras: (rows, columns, inputs, outputs), where a
# depthwise convolution has one output for each input.
_TENSORS: dict[type, dict[str, tuple[int, ...]]] = {
    keras.layers.Conv2D: {"weight": (2, 3, 1, 0)},
    keras.layers.DepthwiseConv2D: {"weight": (2, 3, 0, 1)},
    keras.layers.BatchNormalization: {"weight": (0,), "bias": (0,), "running_mean": (0,), "running_var": (0,)},
    keras.layers.Dense: {"weight": (1, 0), "bias": (0,)},
}


def _modules(name: str) -> dict[str, str]:
    """The PyTorch module of each layer with weights."""
    modules = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "head_conv": "_conv_head", "head_bn": "_bn1", "logits": "_fc"}
    for index, (block, _, _) in enumerate(blocks(name)):
        for number, part in enumerate(("expand", "depthwise", "project")):
            modules[f"{block}_{part}"] = f"_blocks.{index}._{part}_conv"
            modules[f"{block}_{part}_bn"] = f"_blocks.{index}._bn{number}"
    return modules


def _block(x: Any, name: str, stage: Stage, stride: int) -> Any:
    """Expands with a 1×1 convolution, filters depthwise, projects, and adds the input if the shapes agree."""
    block_input, expanded = x, stage.expansion * x.shape[-1]
    if stage.expansion > 1:
        x = _normalized(_convolution(x, f"{name}_expand", expanded), f"{name}_expand_bn")
        x = _relu6(x, f"{name}_expand_relu")
    x = keras.layers.DepthwiseConv2D(
        stage.kernel, stride, "same", use_bias=False, depthwise_initializer="zeros", name=f"{name}_depthwise", **LAST
    )(x)
    x = _relu6(_normalized(x, f"{name}_depthwise_bn"), f"{name}_depthwise_relu")
    x = _normalized(_convolution(x, f"{name}_project", stage.channels), f"{name}_project_bn")
    return keras.layers.Add(name=f"{name}_add", **REAL)([block_input, x]) if block_input.shape == x.shape else x


def _convolution(x: Any, name: str, filters: int, *, kernel: int = 1, stride: int = 1) -> Any:
    # With TensorFlow's padding, used in training: with strides, one less row and column before the image than after.
    return keras.layers.Conv2D(
        filters, kernel, stride, "same", use_bias=False, kernel_initializer="zeros", name=name, **LAST
    )(x)


def _normalized(x: Any, name: str) -> Any:
    return keras.layers.BatchNormalization(epsilon=1e-3, name=name, **REAL)(x)


def _relu6(x: Any, name: str) -> Any:
    return keras.layers.ReLU(6.0, name=name, **REAL)(x)

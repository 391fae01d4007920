"""What is known about each layer and operation of Keras, in one table that all other modules of this package use.

A kind is the name of a class, of a layer such as "Conv2D" or of an operation such as "Relu" (`keras.ops.relu`). Nothing is
known about kinds that are not in the table, nor about classes that are not Keras' own, which may have any name.
"""

from __future__ import annotations

from enum import Flag, auto
from functools import cache


class Trait(Flag):
    """A property of a kind of layer."""

    LINEAR = auto()
    """Linear in inference mode, or selects a maximum: all backward rules equal the gradient."""

    LINEAR_IN_ONE = auto()
    """Linear if it has a single tensor as input, as in `x / 255`."""

    SMOOTH = auto()
    """Neither linear nor an activation; guided backpropagation uses its gradient."""

    ACTIVATION = auto()
    """Only an activation; all but `Activation` itself are elementwise."""

    CONVOLUTION = auto()
    """A two-dimensional convolution with learned kernels."""

    KERNEL_WINDOW = auto()
    """Each unit reads a window given by `kernel_size`, `strides`, `padding` and `dilation_rate`."""

    POOL_WINDOW = auto()
    """Each unit reads a window given by `pool_size`, `strides` and `padding`."""

    PATCH_WINDOW = auto()
    """Each unit reads a window given by `size`, `strides`, `padding` and `dilation_rate`."""

    PADS = auto()
    """Adds rows and columns, given by `padding`."""

    CROPS = auto()
    """Removes rows and columns, given by `cropping`."""

    RESIZES = auto()
    """Returns feature maps of another size, by `interpolation`."""

    SEES_ALL_PLACES = auto()
    """Each unit reads whole feature maps."""

    SEES_ALL_TOKENS = auto()
    """Each token depends on all tokens."""

    IDENTITY = auto()
    """Returns its input, in inference mode."""

    MOVES = auto()
    """Returns values of its input, reordered, repeated or left out, and zeros."""

    ADDS_AXIS = auto()
    """Can add an axis of length 1."""

    SELECTS = auto()
    """Each value is one of its input, the largest of several if there is a choice."""

    POOLS = auto()
    """Selects from or averages the feature maps of the previous layer."""

    SCALES = auto()
    """Only maps the pixels to another range."""

    MERGES = auto()
    """Joins the branches of a block."""

    POINTWISE = auto()
    """Each unit reads only its own place of the input."""

    MIXES_CHANNELS = auto()
    """Each value depends on all channels."""

    SHUFFLES = auto()
    """Keeps the length of a sequence, but not which place a token represents."""

    REDUCES = auto()
    """May remove an axis, such as one along which images were stacked."""

    BLANK = auto()
    """Uses only the shape of its input."""

    FOLLOWS = auto()
    """Belongs to the preceding convolution, if it is the only layer that follows it."""

    WITHIN_BLOCK = auto()
    """Is part of a transformer block; the sum at the end of the block, or the normalization, is shown in its place."""


_ACTIVATION = Trait.ACTIVATION | Trait.POINTWISE | Trait.FOLLOWS | Trait.WITHIN_BLOCK
_IDENTITY = Trait.IDENTITY | Trait.MOVES | Trait.LINEAR | Trait.SELECTS | Trait.POINTWISE
_MOVES = Trait.MOVES | Trait.LINEAR
_CONVOLUTION = Trait.LINEAR | Trait.CONVOLUTION

ELEMENTWISE = (
    *("relu", "relu6", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "hard_silu", "mish", "exponential"),
    *("sigmoid", "hard_sigmoid", "sparse_sigmoid", "log_sigmoid", "tanh", "hard_tanh", "softsign"),
    *("softplus", "squareplus", "sparse_plus", "tanh_shrink", "hard_shrink", "soft_shrink"),
)
"""The elementwise functions of `keras.activations`."""

OPERATIONS = {name.title().replace("_", ""): name for name in ELEMENTWISE} | {"Exp": "exponential", "Clip": "clip"}
"""The same functions as operations, such as `keras.ops.relu6`, by the names of their classes."""

RELUS: dict[str, float | None] = {"relu": None, "relu6": 6.0}
"""The activations that are 0 for negative inputs, then the identity up to a ceiling; None if there is no ceiling."""

SATURATING = ("sigmoid", "sparse_sigmoid", "log_sigmoid", "tanh")
"""Activations whose outputs for large inputs are equal in single precision, although their slopes are not zero."""

TABLE: tuple[tuple[Trait, tuple[str, ...]], ...] = (
    (_ACTIVATION, ("Activation", "ELU", "LeakyReLU", "PReLU", "ReLU", *OPERATIONS)),
    (
        _IDENTITY,
        (
            *("ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "Identity"),
            *("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "StochasticDepth"),
            *("AugMix", "CutMix", "MixUp", "RandAugment", "Solarization"),
            *("RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomContrast", "RandomCrop"),
            *("RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale"),
            *("RandomHue", "RandomInvert", "RandomPerspective", "RandomPosterization", "RandomRotation"),
            *("RandomSaturation", "RandomSharpness", "RandomShear", "RandomTranslation", "RandomZoom"),
        ),
    ),
    (
        _MOVES,
        (
            *("CenterCrop", "Permute"),
            *("Append", "ArraySplit", "BroadcastTo", "Copy", "DepthToSpace", "Flip", "Fliplr", "Flipud", "Moveaxis", "Pad"),
            *("Rearrange", "Repeat", "Roll", "Rot90", "Slice", "SpaceToDepth", "Split", "Squeeze", "Stack", "Dstack"),
            *("Hstack", "Vstack", "Swapaxes", "Take", "Tile", "Transpose", "Unstack"),
        ),
    ),
    (_MOVES | Trait.ADDS_AXIS, ("ExpandDims", "GetItem", "Reshape")),
    (_MOVES | Trait.PADS, ("ZeroPadding2D",)),
    (_MOVES | Trait.SELECTS | Trait.CROPS, ("Cropping2D",)),
    (_MOVES | Trait.SELECTS | Trait.MERGES | Trait.POINTWISE, ("Concatenate",)),
    (Trait.RESIZES | Trait.LINEAR, ("Resize", "Resizing", "UpSampling2D")),
    (_CONVOLUTION | Trait.KERNEL_WINDOW, ("Conv2D", "DepthwiseConv2D", "SeparableConv2D")),
    (_CONVOLUTION, ("Conv2DTranspose",)),
    (Trait.LINEAR, ("Flatten", "Ravel")),
    (Trait.LINEAR, ("AdaptiveAveragePooling2D", "AdaptiveMaxPooling2D", "AveragePool", "MaxPool")),
    (Trait.LINEAR | Trait.POOLS | Trait.POOL_WINDOW, ("AveragePooling2D",)),
    (Trait.LINEAR | Trait.POOLS | Trait.SELECTS | Trait.POOL_WINDOW, ("MaxPooling2D",)),
    (Trait.LINEAR | Trait.POOLS | Trait.SEES_ALL_PLACES, ("GlobalAveragePooling2D",)),
    (Trait.LINEAR | Trait.POOLS | Trait.SELECTS | Trait.SEES_ALL_PLACES, ("GlobalMaxPooling2D",)),
    (Trait.LINEAR | Trait.SEES_ALL_PLACES, ("GlobalAveragePooling1D",)),
    (Trait.LINEAR | Trait.SEES_ALL_TOKENS, ("GlobalMaxPooling1D",)),
    (Trait.LINEAR | Trait.REDUCES, ("Max", "Mean", "Sum")),
    (Trait.LINEAR | Trait.REDUCES | Trait.MERGES | Trait.POINTWISE, ("Average",)),
    (Trait.LINEAR | Trait.MERGES | Trait.POINTWISE, ("Add",)),
    (Trait.LINEAR | Trait.POINTWISE, ("LayerScale", "Negative", "Subtract")),
    (Trait.LINEAR | Trait.POINTWISE | Trait.SCALES, ("Normalization", "Rescaling")),
    (Trait.LINEAR | Trait.POINTWISE | Trait.FOLLOWS, ("BatchNormalization",)),
    (Trait.LINEAR | Trait.POINTWISE | Trait.MIXES_CHANNELS | Trait.WITHIN_BLOCK, ("Dense",)),
    (Trait.LINEAR | Trait.PATCH_WINDOW | Trait.WITHIN_BLOCK, ("ExtractPatches",)),
    (Trait.LINEAR_IN_ONE | Trait.POINTWISE | Trait.WITHIN_BLOCK, ("Divide", "TrueDivide")),
    (Trait.LINEAR_IN_ONE | Trait.SMOOTH | Trait.POINTWISE | Trait.WITHIN_BLOCK, ("Multiply",)),
    (Trait.SMOOTH, ("GroupNormalization",)),
    (Trait.SMOOTH | Trait.POINTWISE | Trait.MIXES_CHANNELS, ("LayerNormalization",)),
    (Trait.POINTWISE | Trait.MIXES_CHANNELS, ("RMSNormalization",)),
    (Trait.POINTWISE | Trait.MERGES, ("Maximum",)),
    (Trait.POINTWISE, ("Minimum",)),
    (Trait.REDUCES, ("Amax", "Amin", "Logsumexp", "Median", "Min", "Prod", "Std", "Var")),
    (Trait.SEES_ALL_TOKENS, ("AdditiveAttention",)),
    (Trait.SEES_ALL_TOKENS | Trait.WITHIN_BLOCK, ("Attention", "GroupedQueryAttention", "MultiHeadAttention")),
    (Trait.WITHIN_BLOCK, ("DotProductAttention", "Einsum", "EinsumDense", "Matmul", "Softmax")),
    (Trait.SHUFFLES, ("Conv1D", "Cumprod", "Cumsum", "Sort")),
    (Trait.BLANK, ("FullLike", "OnesLike", "ZerosLike")),
)
"""The kinds of layers and operations, each in one row, with all their traits."""

KINDS = {kind: traits for traits, kinds in TABLE for kind in kinds}
"""The traits of each kind."""


def of(layer: object) -> Trait:
    """The traits of a layer or operation, by the name of its class."""
    return KINDS.get(type(layer).__name__, Trait(0))


def is_keras(layer: object) -> bool:
    """Whether the class of a layer or operation is one of Keras: other classes may have any name."""
    return _of_keras(type(layer))


def derives_from(layer: object, trait: Trait) -> bool:
    """Whether the class of a layer is, or is derived from, a class of Keras with a trait."""
    return any(_of_keras(each) and KINDS.get(each.__name__, Trait(0)) & trait for each in type(layer).__mro__)


@cache
def rearranges(kind: str) -> bool:
    """Whether a kind of layer computes no features, but selects, moves or averages those of the previous layer."""
    traits = KINDS.get(kind, Trait(0))
    return bool(traits & (Trait.POOLS | Trait.SCALES | Trait.RESIZES | Trait.MOVES)) and not traits & Trait.MERGES


def _of_keras(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "keras"

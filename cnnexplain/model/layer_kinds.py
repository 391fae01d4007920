"""What is known of each layer and operation of Keras: the one table that all other modules of this package ask.

A kind is the name of a class, of a layer such as "Conv2D" or of an operation such as "Relu" (`keras.ops.relu`). A kind that
is not in the table is one of which nothing is known; so is a class of someone else's, which may have any name.
"""

from __future__ import annotations

from enum import Flag, auto


class Known(Flag):
    """What may be known of a kind of layer."""

    LINEAR = auto()
    """Linear in inference mode, or a maximum's choice, so that all backward rules agree on it with the gradient."""

    LINEAR_IN_ONE = auto()
    """Linear where it is given one tensor alone, as `x / 255` is."""

    SMOOTH = auto()
    """Neither linear nor an activation; guided backpropagation passes it as the gradient does."""

    ACTIVATION = auto()
    """Nothing but an activation; all but `Activation` itself work number by number."""

    IDENTITY = auto()
    """Returns what it is given, in inference mode."""

    MOVES = auto()
    """Returns numbers that it was given, in another order or number, or zeros."""

    RESIZES = auto()
    """Returns feature maps of another size."""

    PICKS = auto()
    """Each number is one of those that it is given, the largest of some where there is a choice."""

    POOLS = auto()
    """Picks from or averages the feature maps of the layer before."""

    SCALES = auto()
    """Only brings the pixels into another range."""

    MERGES = auto()
    """The branches of a block meet in it."""

    POINTWISE = auto()
    """Its units see the same place of what it is given."""

    MIXES_CHANNELS = auto()
    """Each of its numbers is made of all the channels."""

    SEES_ALL_TOKENS = auto()
    """Each of its tokens sees all tokens."""

    SHUFFLES = auto()
    """Keeps the length of a sequence, but not which place a token stands for."""

    REDUCES = auto()
    """May take an axis away, such as the one along which images were stacked."""

    BLANK = auto()
    """Takes the shape of what it is given, and nothing else of it."""

    FOLLOWS = auto()
    """Belongs to the convolution before it, where it follows alone."""

    WITHIN_BLOCK = auto()
    """Of tokens, stands within a block, of which the sum at its end or the normalization before it is shown."""


_ACTIVATION = Known.ACTIVATION | Known.POINTWISE | Known.FOLLOWS | Known.WITHIN_BLOCK
_IDENTITY = Known.IDENTITY | Known.MOVES | Known.LINEAR | Known.PICKS | Known.POINTWISE
_MOVES = Known.MOVES | Known.LINEAR

ELEMENTWISE = (
    *("relu", "relu6", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "hard_silu", "mish", "exponential"),
    *("sigmoid", "hard_sigmoid", "sparse_sigmoid", "log_sigmoid", "tanh", "hard_tanh", "softsign"),
    *("softplus", "squareplus", "sparse_plus", "tanh_shrink", "hard_shrink", "soft_shrink"),
)
"""The functions of `keras.activations` that work number by number."""

OPERATIONS = {name.title().replace("_", ""): name for name in ELEMENTWISE} | {"Exp": "exponential", "Clip": "clip"}
"""The same as operations, such as `keras.ops.relu6`, by the name of their class."""

RELUS: dict[str, float | None] = {"relu": None, "relu6": 6.0}
"""The activations that are 0 up to 0, then the identity up to a ceiling; None where there is none."""

SATURATING = ("sigmoid", "sparse_sigmoid", "log_sigmoid", "tanh")
"""Activations whose outputs for large inputs are the same in single precision, though their slopes are not zero."""

TABLE: tuple[tuple[Known, tuple[str, ...]], ...] = (
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
            *("CenterCrop", "Permute", "Reshape", "ZeroPadding2D"),
            *("Append", "ArraySplit", "BroadcastTo", "Copy", "DepthToSpace", "ExpandDims", "Flip", "Fliplr", "Flipud"),
            *("GetItem", "Moveaxis", "Pad", "Rearrange", "Repeat", "Roll", "Rot90", "Slice", "SpaceToDepth", "Split"),
            *("Squeeze", "Stack", "Dstack", "Hstack", "Vstack", "Swapaxes", "Take", "Tile", "Transpose", "Unstack"),
        ),
    ),
    (_MOVES | Known.PICKS, ("Cropping2D",)),
    (_MOVES | Known.PICKS | Known.MERGES | Known.POINTWISE, ("Concatenate",)),
    (Known.RESIZES | Known.LINEAR, ("Resize", "Resizing", "UpSampling2D")),
    (Known.LINEAR, ("Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "SeparableConv2D", "Flatten", "Ravel")),
    (Known.LINEAR, ("AdaptiveAveragePooling2D", "AdaptiveMaxPooling2D", "AveragePool", "GlobalAveragePooling1D", "MaxPool")),
    (Known.LINEAR | Known.POOLS, ("AveragePooling2D", "GlobalAveragePooling2D")),
    (Known.LINEAR | Known.POOLS | Known.PICKS, ("GlobalMaxPooling2D", "MaxPooling2D")),
    (Known.LINEAR | Known.SEES_ALL_TOKENS, ("GlobalMaxPooling1D",)),
    (Known.LINEAR | Known.REDUCES, ("Max", "Mean", "Sum")),
    (Known.LINEAR | Known.REDUCES | Known.MERGES | Known.POINTWISE, ("Average",)),
    (Known.LINEAR | Known.MERGES | Known.POINTWISE, ("Add",)),
    (Known.LINEAR | Known.POINTWISE, ("LayerScale", "Negative", "Subtract")),
    (Known.LINEAR | Known.POINTWISE | Known.SCALES, ("Normalization", "Rescaling")),
    (Known.LINEAR | Known.POINTWISE | Known.FOLLOWS, ("BatchNormalization",)),
    (Known.LINEAR | Known.POINTWISE | Known.MIXES_CHANNELS | Known.WITHIN_BLOCK, ("Dense",)),
    (Known.LINEAR | Known.WITHIN_BLOCK, ("ExtractPatches",)),
    (Known.LINEAR_IN_ONE | Known.POINTWISE | Known.WITHIN_BLOCK, ("Divide", "TrueDivide")),
    (Known.LINEAR_IN_ONE | Known.SMOOTH | Known.POINTWISE | Known.WITHIN_BLOCK, ("Multiply",)),
    (Known.SMOOTH, ("GroupNormalization",)),
    (Known.SMOOTH | Known.POINTWISE | Known.MIXES_CHANNELS, ("LayerNormalization",)),
    (Known.POINTWISE | Known.MIXES_CHANNELS, ("RMSNormalization",)),
    (Known.POINTWISE | Known.MERGES, ("Maximum",)),
    (Known.POINTWISE, ("Minimum",)),
    (Known.REDUCES, ("Amax", "Amin", "Logsumexp", "Median", "Min", "Prod", "Std", "Var")),
    (Known.SEES_ALL_TOKENS, ("AdditiveAttention",)),
    (Known.SEES_ALL_TOKENS | Known.WITHIN_BLOCK, ("Attention", "GroupedQueryAttention", "MultiHeadAttention")),
    (Known.WITHIN_BLOCK, ("DotProductAttention", "Einsum", "EinsumDense", "Matmul", "Softmax")),
    (Known.SHUFFLES, ("Conv1D", "Cumprod", "Cumsum", "Sort")),
    (Known.BLANK, ("FullLike", "OnesLike", "ZerosLike")),
)
"""Kinds of layers and operations, each in one row, with all that is known of them."""

KINDS = {kind: known for known, kinds in TABLE for kind in kinds}
"""What is known of each kind."""


def of(layer: object) -> Known:
    """What is known of a layer or operation by the name of its class."""
    return KINDS.get(type(layer).__name__, Known(0))


def is_keras(layer: object) -> bool:
    """Whether a layer or operation is of Keras itself: a class of someone else's may have any name."""
    return type(layer).__module__.partition(".")[0] == "keras"


def rearranges(kind: str) -> bool:
    """Whether a kind of layer computes no features, but picks, moves or averages those of the layer before."""
    known = KINDS.get(kind, Known(0))
    return bool(known & (Known.POOLS | Known.SCALES | Known.RESIZES | Known.MOVES)) and not known & Known.MERGES

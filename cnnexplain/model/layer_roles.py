"""Which layers compute features of their own, and which only pass those of the layer before on or stand within a block."""

from __future__ import annotations

from cnnexplain.model.activations import KINDS
from cnnexplain.model.stages import MERGES
from cnnexplain.model.token_grid import MOVING, RESIZING

REARRANGING = (
    *("AveragePooling2D", "MaxPooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D"),
    *("Normalization", "Rescaling"),
    *RESIZING,
    *(kind for kind in MOVING if kind not in MERGES),
)
"""Layers that compute no features, but pick, move or average those of the layer before."""

WITHIN_BLOCK = (
    *("Attention", "Dense", "Einsum", "EinsumDense", "GroupedQueryAttention", "Matmul", "MultiHeadAttention", "Softmax"),
    *("DotProductAttention", "ExtractPatches", "Multiply", "Divide", "TrueDivide"),
    *KINDS,
)
"""Layers of tokens within a block, which the sum at its end or the normalization before it stands for."""

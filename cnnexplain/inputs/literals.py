"""The words that describe a model's input, as types from which options and checks are generated."""

from typing import Literal, TypeAlias

Color: TypeAlias = Literal["rgb", "bgr", "gray", "bands"]
"""The channels of an input."""

Fit: TypeAlias = Literal["stretch", "crop", "pad", "digit"]
"""How an image of another size is fitted to the input size."""

Interpolation: TypeAlias = Literal["bilinear", "bicubic", "nearest"]
"""The interpolation between the pixels of an image."""

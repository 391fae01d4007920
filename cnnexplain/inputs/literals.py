"""The words that a model's input is described with; as types, which command lines and checks list too."""

from typing import Literal, TypeAlias

Color: TypeAlias = Literal["rgb", "bgr", "gray", "bands"]
"""The channels of an input."""

Fit: TypeAlias = Literal["stretch", "crop", "pad", "digit"]
"""How an image of another size is brought to the input's."""

Interpolation: TypeAlias = Literal["bilinear", "bicubic", "nearest"]
"""How the pixels between those of an image are found."""

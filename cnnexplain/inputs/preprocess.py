"""From a picture of any size, (h, w, 1 or 3) float32 from 0 (black) to 1 (white), to what a model takes as input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, get_args

import numpy as np

from cnnexplain import former_names
from cnnexplain.errors import UsageError, shown, suggest
from cnnexplain.inputs import resize_filters, resizing
from cnnexplain.inputs.digits import center_digit, dark_on_light
from cnnexplain.inputs.literals import Color, Fit, Interpolation
from cnnexplain.inputs.resize_filters import Grid
from cnnexplain.inputs.resizing import letterbox, middle, middle_part, resize
from cnnexplain.types import Floats

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""The weights of red, green and blue in a gray value (ITU-R BT.601)."""


DEVIATIONS = 2
"""How many deviations from their mean standardized bands are taken to reach from."""

PHOTOGRAPH = 64
"""How many rows and columns an input for photographs has at least."""


@dataclass(frozen=True)
class Preprocess:
    """From a picture to the input that a model expects: x = (v · scale − mean) / std, for pixel values v from 0 to 255.

    Args:
        height: Rows of the input.
        width: Columns of the input.
        color: The input's channels: "rgb", "bgr", "gray", or "bands" for any others, such as a satellite's.
        scale: What pixel values are multiplied by.
        mean: What is subtracted then: one number, or one for each channel in the model's order.
        std: What is divided by then, likewise.
        fit: How an image of another size is resized to the input's: "stretch" takes it whole and does not keep its aspect,
            "crop" takes its middle, "pad" puts it whole on black, "digit" prepares it as MNIST's digits are.
        crop: For "crop", the share of the side that is kept, above 0 and up to 1.
        interpolation: How it is resized: "bilinear", "bicubic" or "nearest".
        antialias: Whether the first two see all the pixels that a new one stands for. Without it they see the nearest
            alone, as in Keras' `image_dataset_from_directory`, and "crop" and "pad" round as that does.
        white_level: The value that is white in pictures of more than 8 bits: 4095 for 12-bit data in files of 16 bits. None
            takes what the file tells, else the highest value that its bits can hold. Of bands the value that counts as
            white; None takes 1 / scale, or, where `std` is given, ± 2 deviations for black and white.
        bands: How many channels "bands" has. Their values v are the numbers of the files as they are.
        show_bands: Which three of them pictures show as red, green and blue, or which one as gray, counted from 0. None
            shows the first three, or of two the first.
        assumed: What of this is a guess, since nothing in the model tells it: "range", "size".

    Raises:
        UsageError: A value is none of these, or there are more means or standard deviations than channels, or fewer.
    """

    height: int
    width: int
    color: Color = "rgb"
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    fit: Fit = "stretch"
    crop: float = 1.0
    interpolation: Interpolation = "bilinear"
    antialias: bool = True
    white_level: float | None = None
    bands: int | None = None
    show_bands: tuple[int, ...] | None = None
    assumed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "color", former_names.word(self.color))
        for name, kind in (("color", Color), ("fit", Fit), ("interpolation", Interpolation)):
            _check_word(name, getattr(self, name), get_args(kind))
        for name in ("height", "width"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise UsageError(f"Preprocess takes a whole number of at least 1 as {name}, but got {shown(value)}.")
        if (self.color == "bands") != (self.bands is not None):
            raise UsageError("Preprocess takes a number of bands for the color 'bands', and for that alone.")
        if self.bands is not None and not (isinstance(self.bands, int) and self.bands >= 1):
            raise UsageError(f"Preprocess takes a whole number of at least 1 as bands, but got {shown(self.bands)}.")
        self._check_shown()
        for name in ("mean", "std"):
            object.__setattr__(self, name, _per_channel(name, getattr(self, name), self.channels))
        if not _finite(self.scale) or self.scale <= 0 or min(self.std) <= 0:
            raise UsageError(
                f"Preprocess takes numbers above 0 as scale and std, but got {shown(self.scale)} and {self.std}."
            )
        if self.white_level is not None and (not _finite(self.white_level) or self.white_level <= 0):
            raise UsageError(f"Preprocess takes a number above 0 as white_level, but got {shown(self.white_level)}.")
        if not _finite(self.crop) or not 0 < self.crop <= 1:
            raise UsageError(f"Preprocess takes a number above 0 and up to 1 as crop, but got {shown(self.crop)}.")
        if not isinstance(self.antialias, bool):
            raise UsageError(f"Preprocess takes True or False as antialias, but got {shown(self.antialias)}.")
        if self.crop != 1 and self.fit != "crop":
            raise UsageError(f"A crop of {self.crop:g} is kept by the fit 'crop' alone, but the fit is '{self.fit}'.")
        with np.errstate(all="ignore"):
            low, high = self.low, self.high
        if not math.isfinite(low) or not math.isfinite(high):
            raise UsageError(f"With this scale, mean and std inputs go from {low:g} to {high:g}; expected finite numbers.")

    @property
    def channels(self) -> int:
        """1 for gray, 3 for colors, else the number of bands."""
        return self.bands or (1 if self.color == "gray" else 3)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of one input."""
        return self.height, self.width, self.channels

    @property
    def digits(self) -> bool:
        """Whether inputs are light digits on black, prepared as MNIST's are."""
        return self.fit == "digit"

    @property
    def photographs(self) -> bool:
        """Whether inputs are large enough for photographs: in color, with 64 rows and columns or more."""
        return self.color in ("rgb", "bgr") and min(self.height, self.width) >= PHOTOGRAPH

    @property
    def black(self) -> Floats:
        """The input (C,) for a black pixel."""
        if self._standardized:
            return np.full(self.channels, -DEVIATIONS, np.float32)
        return self.encode(np.zeros(self.channels, np.float32))

    @property
    def white(self) -> Floats:
        """The input (C,) for a white pixel."""
        if self._standardized:
            return np.full(self.channels, DEVIATIONS, np.float32)
        value = 1 if self.bands is None else self.white_level or 1 / self.scale
        return self.encode(np.full(self.channels, value, np.float32))

    @property
    def _standardized(self) -> bool:
        """Whether bands are given as so many deviations from their mean, and nothing says which value is white."""
        return self.bands is not None and self.white_level is None and any(each != 1 for each in self.std)

    @property
    def gray(self) -> Floats:
        """The input (C,) for a pixel half-way from black to white."""
        return (self.black + self.white) / 2

    # Plugins may still read the former names.
    grey = gray

    @property
    def colour(self) -> Color:
        """The former name of `color`."""
        return self.color

    @property
    def low(self) -> float:
        """The least value of an input."""
        return float(np.minimum(self.black, self.white).min())

    @property
    def high(self) -> float:
        """The greatest value of an input."""
        return float(np.maximum(self.black, self.white).max())

    def encode(self, picture: Floats) -> Floats:
        """Pixels (…, C), red before blue, from 0 (black) to 1 (white), brought into the model's input range.

        Of bands it takes the numbers of the files.
        """
        values = self.swap(picture) * np.float32(self._factor)
        return np.asarray((values - np.array(self.mean, np.float32)) / np.array(self.std, np.float32), np.float32)

    def between(self, shares: Floats) -> Floats:
        """The input for pixels (…, C) that are so far on the way from black (0) to white (1)."""
        if self.bands is None:
            return self.encode(shares)
        return np.asarray(self.black + (self.white - self.black) * shares, np.float32)

    def decode(self, image: Floats) -> Floats:
        """The inverse of `encode`, for showing an input; of bands how far they are on the way from black to white."""
        if self.bands is not None:
            return np.asarray((image - self.black) / (self.white - self.black), np.float32)
        values = np.asarray(image, np.float32) * np.array(self.std, np.float32) + np.array(self.mean, np.float32)
        return np.asarray(self.swap(values) / np.float32(self._factor), np.float32)

    @property
    def _factor(self) -> float:
        return self.scale if self.bands is not None else 255 * self.scale

    def swap(self, values: Floats) -> Floats:
        """Channels (…, C) in the model's order from red, green, blue, or back."""
        return values[..., ::-1] if self.color == "bgr" else values

    def picked(self, values: Floats) -> Floats:
        """Of channels (…, C), in the order red, green, blue, those that pictures show: 1 or 3."""
        return values if self.bands is None else values[..., list(self.shown)]

    @property
    def shown(self) -> tuple[int, ...]:
        """Which bands pictures show."""
        return self.show_bands or ((0, 1, 2) if self.channels >= 3 else (0,))

    @property
    def false_color(self) -> str:
        """What pictures of bands show, for their captions; "" for gray and colors."""
        if self.bands is None:
            return ""
        numbers = ", ".join(map(str, self.shown))
        return f"bands {numbers} as red, green, blue" if len(self.shown) == 3 else f"band {numbers} as gray"

    def _check_shown(self) -> None:
        found = self.show_bands
        if found is None:
            return
        if self.bands is None:
            raise UsageError(
                f"The bands to show are for inputs of other channels than gray or colors, but this one is {self.color}."
            )
        if len(found) not in (1, 3) or not all(type(band) is int and 0 <= band < self.bands for band in found):
            raise UsageError(
                f"Pictures show three bands or one, each from 0 to {self.bands - 1}, but got {', '.join(map(str, found))}."
            )

    def apply(self, picture: Floats, invert: bool | None = None, grid: Grid | None = None) -> tuple[Floats, bool]:
        """The model's input (H, W, C) for a picture, and whether it was inverted.

        Args:
            picture: (h, w, 1 or 3), from 0 to 1.
            invert: Whether to swap dark and light; None swaps for a model of digits where the picture shows dark on light.
            grid: Which of these pixels are taken, where they are no whole picture.
        """
        picture = _channels(picture, self.channels)
        inverted = self.digits and dark_on_light(picture) if invert is None else invert
        if inverted:
            picture = 1 - picture
        if grid is not None:
            picture = grid.sample(picture)
        elif not self.keeps(*picture.shape[:2]):
            picture = self._fitted(picture)
        return self.encode(picture), inverted

    def keeps(self, height: int, width: int) -> bool:
        """Whether a picture of that size is taken as it is."""
        return (height, width) == (self.height, self.width) and (self.fit != "crop" or self.crop == 1)

    @property
    def samples(self) -> bool:
        """Whether pictures are resized by single pixels, and not by means of all."""
        return self.fit != "digit" and (self.interpolation == "nearest" or not self.antialias)

    def middle_part(self, height: int, width: int) -> tuple[int, int, int, int]:
        """The first row and column and the numbers of rows and columns that "crop" takes of a picture of that size."""
        if self.antialias:
            return middle_part(height, width, self.height / self.width, self.crop)
        # As Keras' loaders round with `crop_to_aspect_ratio=True`.
        rows = int(np.float32(width * self.height) / np.float32(self.width))
        columns = int(np.float32(height * self.width) / np.float32(self.height))
        rows, columns = (max(1, int(self.crop * min(sides))) for sides in ((height, rows), (width, columns)))
        return (height - rows) // 2, (width - columns) // 2, rows, columns

    def grid(self, height: int, width: int) -> Grid:
        """Which pixels of a picture of that size are taken, where `samples`."""
        rows, columns = (0, height, 0, self.height), (0, width, 0, self.width)
        if self.fit == "crop":
            top, left, tall, wide = self.middle_part(height, width)
            rows, columns = (top, tall, 0, self.height), (left, wide, 0, self.width)
        elif self.fit == "pad":
            place = resizing.place if self.antialias else resizing.place_in_keras
            top, left, tall, wide = place(height, width, self.height, self.width)
            rows, columns = (0, height, top, tall), (0, width, left, wide)
        axes = []
        for (start, length, before, pixels), total in ((rows, self.height), (columns, self.width)):
            axis = (
                resize_filters.nearest(length, pixels)
                if self.antialias
                else resize_filters.axis(length, pixels, self.interpolation)
            )
            axes.append(axis.within(start, before, total))
        return Grid(*axes)

    def _fitted(self, picture: Floats) -> Floats:
        if self.fit == "digit":
            return center_digit(picture, self.height, self.width)
        if self.samples:
            return self.grid(*picture.shape[:2]).sample(picture)
        if self.fit == "crop":
            picture = middle(picture, self.height / self.width, self.crop)
        if self.fit == "pad":
            return letterbox(picture, self.height, self.width, self.interpolation, bounded=self.bands is None)
        return resize(picture, self.height, self.width, self.interpolation, bounded=self.bands is None)


class TakesImages(Protocol):
    """A model whose input is known, such as a `Classifier`."""

    @property
    def preprocess(self) -> Preprocess:
        """From pictures to its input."""


def preprocess_of(model: Preprocess | TakesImages) -> Preprocess:
    """The preprocessing that is given by itself or with a model."""
    return model if isinstance(model, Preprocess) else model.preprocess


def _channels(picture: Floats, channels: int) -> Floats:
    if picture.shape[-1] == channels:
        return picture
    return picture @ LUMA[:, None] if channels == 1 else np.repeat(picture, channels, axis=-1)


def _check_word(name: str, value: object, known: Sequence[str]) -> None:
    if not isinstance(value, str) or value not in known:
        near = suggest(value, known)
        raise UsageError(f"Preprocess takes one of {', '.join(known)} as {name}, but got {shown(value)}.{near}")


def _per_channel(name: str, values: object, channels: int) -> tuple[float, ...]:
    found: Sequence[Any] = list(values) if isinstance(values, Sequence | np.ndarray) else [values]
    if not all(map(_finite, found)) or len(found) not in (1, channels):
        each = f", or one for each of the {channels} channels" if channels > 1 else ""
        raise UsageError(f"Preprocess takes one finite number{each}, as {name}, but got {shown(values)}.")
    return tuple(map(float, found))


def _finite(value: object) -> bool:
    if not isinstance(value, int | float | np.number) or isinstance(value, bool | np.complexfloating):
        return False
    try:
        return math.isfinite(value)
    # A whole number may be beyond all floating-point ones.
    except OverflowError:
        return False

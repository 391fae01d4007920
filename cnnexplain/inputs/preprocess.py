"""Converts an image (h, w, C), float32 from 0 (black) to 1 (white), to the input of a model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cnnexplain import former_names
from cnnexplain.inputs import preprocess_checks as checks
from cnnexplain.inputs import presets, resize_filters, resizing
from cnnexplain.inputs.literals import Color, Fit, Interpolation
from cnnexplain.inputs.presets import Preset
from cnnexplain.inputs.resize_filters import Grid

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Shaped

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""The weights of red, green and blue in a gray value (ITU-R BT.601)."""

DEVIATIONS = 2
"""Standardized bands are shown from this many standard deviations below their mean (black) to as many above it (white)."""

PHOTOGRAPH = 64
"""The minimum number of rows and columns of an input for photographs."""


@former_names.accepted(colour="color")
@dataclass(frozen=True)
class Preprocess:
    """Converts images to inputs of a model: x = (v · scale − mean) / std, for pixel values v from 0 to 255.

    Args:
        height: Rows of the input.
        width: Columns of the input.
        color: The input's channels: "rgb", "bgr", "gray", or "bands" for other channels, such as those of a satellite.
        scale: The factor for pixel values.
        mean: The value to subtract after scaling: one number, or one for each channel in the model's order.
        std: The value to divide by after subtracting the mean: one number, or one for each channel.
        fit: How an image of another size is fitted to the input size: "stretch" changes its aspect ratio, "crop" takes its
            center, "pad" keeps all of it and pads with black, "digit" centers it like MNIST's digits.
        crop: For "crop", the share of the side to keep, above 0 and up to 1.
        interpolation: The interpolation for resizing: "bilinear", "bicubic" or "nearest".
        antialias: Whether "bilinear" and "bicubic" take the mean of all pixels that a new one covers. Otherwise they use
            the nearest pixels only, like Keras' `image_dataset_from_directory`, and "crop" and "pad" round like it.
        white_level: The value of white in images of more than 8 bits, such as 4095 for 12-bit data in 16-bit files. None
            uses the value in the file, or else the highest value that its bits can hold. For bands, the value shown as
            white; None uses 1 / scale, or, if `std` is given, ±2 standard deviations for black and white.
        bands: The number of channels for "bands". Their values v are the numbers in the files, unchanged.
        show_bands: The three bands that pictures show as red, green and blue, or the one shown as gray, counted from 0. None
            shows the first three, or the first of two.
        assumed: Which of these settings are guesses, because nothing in the model determines them: "range", "size".

    Raises:
        UsageError: A value is invalid, or the number of means or standard deviations is not that of the channels.
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
        for name in checks.WORDS:
            checks.word(name, getattr(self, name))
        for name in ("height", "width"):
            checks.count(name, getattr(self, name))
        checks.bands(self.color, self.bands, self.show_bands)
        for name in ("mean", "std"):
            object.__setattr__(self, name, checks.per_channel(name, getattr(self, name), self.channels))
        checks.scaling(self.scale, self.std)
        checks.white_level(self.white_level)
        checks.resizing(self.fit, self.crop, self.antialias)
        with np.errstate(all="ignore"):
            checks.input_range(self.low, self.high)

    @property
    def channels(self) -> int:
        """The number of channels: 1 for gray, 3 for colors, otherwise the number of bands."""
        return self.bands or (1 if self.color == "gray" else 3)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of one input."""
        return self.height, self.width, self.channels

    @property
    def preset(self) -> Preset | None:
        """The conventions of the data set that `fit` refers to, such as MNIST's for "digit"; None for other inputs."""
        return presets.PRESETS.get(self.fit)

    @property
    def digits(self) -> bool:
        """Whether inputs are prepared like MNIST's digits."""
        return self.preset is presets.MNIST

    @property
    def photographs(self) -> bool:
        """Whether inputs are large enough for photographs: in color, with 64 rows and columns or more."""
        return self.color in ("rgb", "bgr") and min(self.height, self.width) >= PHOTOGRAPH

    @property
    def black(self) -> Float32[np.ndarray, " C"]:
        """The input (C,) for a black pixel."""
        if self._standardized:
            return np.full(self.channels, -DEVIATIONS, np.float32)
        return self.encode(np.zeros(self.channels, np.float32))

    @property
    def white(self) -> Float32[np.ndarray, " C"]:
        """The input (C,) for a white pixel."""
        if self._standardized:
            return np.full(self.channels, DEVIATIONS, np.float32)
        value = 1 if self.bands is None else self.white_level or 1 / self.scale
        return self.encode(np.full(self.channels, value, np.float32))

    @property
    def _standardized(self) -> bool:
        """Whether bands are standardized, without a value for white."""
        return self.bands is not None and self.white_level is None and any(each != 1 for each in self.std)

    @property
    def gray(self) -> Float32[np.ndarray, " C"]:
        """The input (C,) for a pixel halfway between black and white."""
        return np.asarray((self.black + self.white) / 2)

    @property
    def background(self) -> Float32[np.ndarray, " C"]:
        """The input (C,) for a pixel of an empty image: black if there is a `preset`, otherwise gray."""
        return self.gray if self.preset is None else self.black

    # Plugins may still read the former names.
    grey = gray

    @property
    def colour(self) -> Color:
        """The former name of `color`."""
        return self.color

    @cached_property
    def low(self) -> float:
        """The lowest value of an input."""
        return float(np.minimum(self.black, self.white).min())

    @cached_property
    def high(self) -> float:
        """The highest value of an input."""
        return float(np.maximum(self.black, self.white).max())

    def encode(self, picture: Float[np.ndarray, "*shape C"]) -> Float32[np.ndarray, "*shape C"]:
        """Converts pixels (…, C), red first, from 0 (black) to 1 (white), to the model's input range.

        For bands, the pixels are the numbers in the files.
        """
        values = self.swap(picture) * np.float32(self._factor)
        return np.asarray((values - np.array(self.mean, np.float32)) / np.array(self.std, np.float32), np.float32)

    def between(self, shares: Float[np.ndarray, "*shape C"]) -> Float32[np.ndarray, "*shape C"]:
        """The input for pixels (…, C) given as positions between black (0) and white (1)."""
        if self.bands is None:
            return self.encode(shares)
        return np.asarray(self.black + (self.white - self.black) * shares, np.float32)

    def decode(self, image: Float[np.ndarray, "*shape C"]) -> Float32[np.ndarray, "*shape C"]:
        """The inverse of `encode`, for display; for bands, the positions between black (0) and white (1)."""
        if self.bands is not None:
            return np.asarray((image - self.black) / (self.white - self.black), np.float32)
        values = np.asarray(image, np.float32) * np.array(self.std, np.float32) + np.array(self.mean, np.float32)
        return np.asarray(self.swap(values) / np.float32(self._factor), np.float32)

    @property
    def _factor(self) -> float:
        return self.scale if self.bands is not None else 255 * self.scale

    def swap(self, values: Float[np.ndarray, "*shape C"]) -> Float[np.ndarray, "*shape C"]:
        """Channels (…, C) from red, green, blue to the model's order, or back."""
        return values[..., ::-1] if self.color == "bgr" else values

    def picked(self, values: Shaped[np.ndarray, "*shape C"]) -> Shaped[np.ndarray, "*shape shown"]:
        """The channels that pictures show, 1 or 3, of values (…, C) in the order red, green, blue."""
        return values if self.bands is None else values[..., list(self.shown)]

    @property
    def shown(self) -> tuple[int, ...]:
        """The bands that pictures show."""
        return self.show_bands or ((0, 1, 2) if self.channels >= 3 else (0,))

    @property
    def false_color(self) -> str:
        """A description of the bands that pictures show, for captions; "" for gray and colors."""
        if self.bands is None:
            return ""
        numbers = ", ".join(map(str, self.shown))
        return f"bands {numbers} as red, green, blue" if len(self.shown) == 3 else f"band {numbers} as gray"

    def apply(
        self, picture: Float[np.ndarray, "h w c"], invert: bool | None = None, grid: Grid | None = None
    ) -> tuple[Float32[np.ndarray, "H W C"], bool]:
        """Converts an image to the model's input.

        Args:
            picture: (h, w, C), or gray (h, w, 1) or colors (h, w, 3) for the other of the two; from 0 to 1.
            invert: Whether to swap dark and light. None inverts dark-on-light images if the model has a `preset`.
            grid: The pixels to take, if the image contains only those that `grid` needs.

        Returns:
            The input (H, W, C), and whether it was inverted.
        """
        image = _with_channels(picture, self.channels)
        inverted = self.preset is not None and self.preset.dark_on_light(image) if invert is None else invert
        if inverted:
            image = 1 - image
        if grid is not None:
            image = grid.sample(image)
        elif not self.keeps(*image.shape[:2]):
            image = self._fitted(image)
        return self.encode(image), inverted

    def keeps(self, height: int, width: int) -> bool:
        """Whether an image of this size is used unchanged."""
        return (height, width) == (self.height, self.width) and (self.fit != "crop" or self.crop == 1)

    @property
    def samples(self) -> bool:
        """Whether images are resized from single pixels, rather than from means of all pixels."""
        return self.preset is None and (self.interpolation == "nearest" or not self.antialias)

    def grid(self, height: int, width: int) -> Grid:
        """The pixels that are taken from an image of this size, if `samples`."""
        rows, columns = (0, height, 0, self.height), (0, width, 0, self.width)
        if self.fit == "crop":
            top, left, tall, wide = (
                resizing.middle_part(height, width, self.height / self.width, self.crop)
                if self.antialias
                else resizing.middle_part_in_keras(height, width, self.height, self.width, self.crop)
            )
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

    def _fitted(self, image: Float[np.ndarray, "h w C"]) -> Float32[np.ndarray, "H W C"]:
        if self.preset is not None:
            return self.preset.fit_image(image, self.height, self.width)
        if self.samples:
            return self.grid(*image.shape[:2]).sample(image)
        if self.fit == "crop":
            image = resizing.middle(image, self.height / self.width, self.crop)
        resize = resizing.letterbox if self.fit == "pad" else resizing.resize
        return resize(image, self.height, self.width, self.interpolation, bounded=self.bands is None)


class TakesImages(Protocol):
    """A model with a known input, such as a `Classifier`."""

    @property
    def preprocess(self) -> Preprocess:
        """Converts images to its input."""


def preprocess_of(model: Preprocess | TakesImages) -> Preprocess:
    """The preprocessing itself, or that of a model."""
    return model if isinstance(model, Preprocess) else model.preprocess


def _with_channels(image: Float[np.ndarray, "h w c"], channels: int) -> Float[np.ndarray, "h w C"]:
    if image.shape[-1] == channels:
        return image
    return image @ LUMA[:, None] if channels == 1 else np.repeat(image, channels, axis=-1)

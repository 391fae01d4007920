"""Image files, folders, globs, samples and arrays → a batch in the model's input range, with where each came from."""

from __future__ import annotations

import hashlib
import math
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from cnnexplain import datasets, globs
from cnnexplain.arrays import Array, Floats
from cnnexplain.errors import ImageError, UsageError, suggest
from cnnexplain.photographs import is_photograph
from cnnexplain.preprocess import LARGEST, Preprocess, middle_part

if TYPE_CHECKING:
    from PIL import Image

    from cnnexplain.classifier import Classifier

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""What a folder's files must end in to be taken as images."""

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""The decoders that untrusted files may reach."""

MAX_PIXELS = 100_000_000
"""A larger image is taken for a decompression bomb."""

LARGE = 4_000_000
"""Of an image of more pixels only a smaller one is made in floating-point numbers, which take four times the memory."""

LYING = (2, 4, 5, 6)
"""Of Pillow's ways to turn an image those that swap its sides: by right angles, and at its diagonals."""

STRIP = 16
"""How many rows of the smaller one are made at a time."""


@dataclass(frozen=True)
class Source:
    """Where an image came from and what was done to it.

    Args:
        name: As the user gave it: a path, a sample's name, or "array[3]".
        sha256: Of the file's bytes, of the sample's raw pixels, or of the array's numbers.
        inverted: Dark and light were swapped.
        resized: It was cut or resized to the model's input.
        photograph: It looks like a photograph, and was read for a model of digits.
    """

    name: str
    sha256: str
    inverted: bool = False
    resized: bool = False
    photograph: bool = False


class ImageBatch(np.ndarray[Any, np.dtype[np.float32]]):
    """A float32 array (N, H, W, C) in the model's input range that knows its `sources`.

    Picking images (`batch[:3]`) keeps their sources; the result of any other operation is an array without any.
    """

    sources: tuple[Source, ...]

    def __new__(cls, array: Floats, sources: Sequence[Source]) -> ImageBatch:
        """Make a batch of an array (N, H, W, C) and its N sources."""
        batch = np.asarray(array, np.float32).view(cls)
        batch.sources = tuple(sources)
        # What was changed in place would keep the name and the hash of what it was.
        batch.flags.writeable = False
        return batch

    def __array_finalize__(self, array: object) -> None:
        self.sources = ()

    def __getitem__(self, key: Any) -> Any:
        picked = super().__getitem__(key)
        images = isinstance(key, slice) or (isinstance(key, list | np.ndarray) and np.ndim(key) == 1)
        if images and isinstance(picked, ImageBatch) and len(self.sources) == len(self):
            picked.sources = tuple(self.sources[i] for i in np.arange(len(self))[key])
            picked.flags.writeable = False
        return picked


def find(names: Iterable[str | os.PathLike[str]]) -> list[str]:
    """The image files and samples that names of files, folders, globs and samples stand for, in that order.

    A folder stands for the image files right in it, sorted by name; a glob may use `**` for folders at any depth.

    Raises:
        UsageError: A file or sample does not exist, or a glob matches no file.
        ImageError: A folder holds no image.
    """
    found: list[str] = []
    for name in [os.fspath(name) for name in names]:
        try:
            found += _found(name)
        except OSError as error:
            raise UsageError(f"Can't look for '{name[:80]}': {error.strerror}.") from error
    return found


def _found(name: str) -> list[str]:
    path = Path(name)
    if not name:
        raise UsageError("An image was given by an empty name; expected a file, folder, glob or sample.")
    if path.is_dir():
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
        if not inside:
            raise ImageError(f"The folder '{name}' holds no image ({', '.join(SUFFIXES)}).")
        return [str(path) for path in inside]
    if path.exists():
        return [name]
    if globs.is_glob(name):
        matches = globs.matching(name)
        if not matches:
            raise UsageError(f"No file matches '{name}'.")
        return matches
    if _is_sample(name):
        datasets.sample_index(name)
        return [name]
    raise UsageError(f"There is no file '{name}'.{suggest(path.name, _siblings(path))}")


def read_images(
    names: Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
    classifier: Classifier,
    *,
    invert: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ImageBatch:
    """Reads images into one batch.

    Args:
        names: Files (PNG, JPEG, WebP, BMP, GIF, TIFF), folders, globs, or samples such as "mnist:test/42"; one or several.
        classifier: Whose input the images are made for.
        invert: Whether to swap dark and light. None does so for a model of light digits on a dark ground, and for images
            that show dark on light.
        progress: Called with how many images are read, and of how many.

    Returns:
        A float32 array (N, H, W, C) in the model's input range, with `sources`.

    Raises:
        UsageError: An image does not exist.
        ImageError: An image can't be read.
    """
    found = find([names] if isinstance(names, str | os.PathLike) else names)
    if not found:
        raise UsageError("No image was given: name at least one file, folder or sample such as 'mnist:test/42'.")
    inputs, sources = [], []
    for number, name in enumerate(found, start=1):
        image, source = read(name, classifier.preprocess, invert)
        inputs.append(image)
        sources.append(source)
        if progress is not None:
            progress(number, len(found))
    return ImageBatch(np.stack(inputs), sources)


def as_batch(images: object, classifier: Classifier) -> ImageBatch:
    """A batch from what a Python caller may have: a batch, a path or sample, several of them, or an array.

    An array of uint8 holds pixels from 0 to 255 and is brought into the model's input range; any other must be in it
    already. An array may lack the first axis (one image), or the last where the model takes grey images.

    Raises:
        UsageError: An array has the wrong shape.
        ImageError: An array is empty, not finite, or out of the model's input range.
    """
    if isinstance(images, ImageBatch) and images.sources:
        _check_values(images, classifier.preprocess, "The batch")
        if images.shape[1:] != classifier.preprocess.shape:
            raise UsageError(wrong_shape(images.shape, classifier.preprocess))
        return images
    if isinstance(images, str | os.PathLike):
        return read_images([images], classifier)
    if isinstance(images, Sequence) and images and all(isinstance(item, str | os.PathLike) for item in images):
        return read_images(images, classifier)
    if isinstance(images, Sequence) and not len(images):
        raise UsageError("There are no images to explain; give at least one.")
    try:
        array = np.asarray(images)
    except ValueError as error:
        raise UsageError(f"The images are not an array of numbers: {error}") from error
    return _from_array(array, classifier.preprocess)


def _from_array(array: Array, preprocess: Preprocess) -> ImageBatch:
    shape = array.shape
    full = preprocess.shape
    short = full[:2] if preprocess.channels == 1 else full
    if shape in (full, short):
        array = array.reshape(1, *full)
    elif shape[1:] in (full, short):
        array = array.reshape(-1, *full)
    else:
        raise UsageError(wrong_shape(shape, preprocess))
    if not len(array):
        raise ImageError("The array holds no image.")
    if array.dtype == np.uint8:
        array = preprocess.encode(array.astype(np.float32) / 255)
    elif array.dtype.kind not in "fiu":
        raise ImageError(f"The array holds {array.dtype}; expected uint8 from 0 to 255 or floating-point numbers.")
    _check_values(array, preprocess, "The array")
    array = np.ascontiguousarray(array, np.float32)
    sources = [Source(f"array[{i}]", hashlib.sha256(image.tobytes()).hexdigest()) for i, image in enumerate(array)]
    return ImageBatch(array, sources)


def wrong_shape(shape: tuple[int, ...], preprocess: Preprocess) -> str:
    """What to say of images whose shape isn't the model's."""
    return f"The images have shape {shape}; the model takes {('N', *preprocess.shape)}.".replace("'N'", "N")


def _check_values(array: Array, preprocess: Preprocess, what: str) -> None:
    if not np.isfinite(array).all():
        raise ImageError(f"{what} holds a value that is not finite (NaN or infinity).")
    low, high, slack = preprocess.low, preprocess.high, 1e-3 * (preprocess.high - preprocess.low)
    least, most = float(array.min()), float(array.max())
    if "range" not in preprocess.assumed and (least < low - slack or most > high + slack):
        raise ImageError(
            f"{what} has values from {least:g} to {most:g}, but the model's input ranges from {low:g} to {high:g}. "
            "Scale it, or pass pixels from 0 to 255 as uint8."
        )


def read(name: str, preprocess: Preprocess, invert: bool | None) -> tuple[Floats, Source]:
    """One image (H, W, C) in the model's input range, and its source.

    Args:
        name: A file or sample, as `find` gives it.
        preprocess: The model's input.
        invert: As in `read_images`.

    Raises:
        UsageError: There is no such sample.
        ImageError: It can't be read.
    """
    if Path(name).exists() or not _is_sample(name):
        sha256, pixels, cut = _file(name, preprocess)
    else:
        digit, _ = datasets.sample(name)
        sha256, pixels, cut = hashlib.sha256(digit.tobytes()).hexdigest(), digit[..., None].astype(np.float32) / 255, False
    rest = replace(preprocess, fit="stretch", crop=1.0) if cut else preprocess
    image, inverted = rest.apply(pixels, invert)
    if preprocess.digits and float(image.max()) == preprocess.low:
        raise ImageError(f"'{name}' shows nothing that stands out from its ground, so there is no digit to explain.")
    resized = cut or not preprocess.keeps(*pixels.shape[:2])
    return image, Source(name, sha256, inverted, resized, preprocess.digits and is_photograph(pixels))


def _file(name: str, preprocess: Preprocess) -> tuple[str, Floats, bool]:
    """The hash of a file, then what `_pixels` gives of it."""
    try:
        if not Path(name).is_file():
            raise ImageError(f"'{name}' is not a file.")
        with Path(name).open("rb") as file:
            if not file.read(1):
                raise ImageError(f"The file '{name}' is empty.")
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            return sha256, *_decode(file, name, preprocess)
    except OSError as error:
        raise ImageError(f"Can't read '{name}': {error.strerror}.") from error


def _decode(file: BinaryIO, name: str, preprocess: Preprocess) -> tuple[Floats, bool]:
    from PIL import Image, UnidentifiedImageError

    try:
        # Pillow warns of odd metadata, which the pixels don't depend on, and of sizes, which are checked here.
        with warnings.catch_warnings(action="ignore"), Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(_bomb(name))
            return _pixels(image, name, preprocess)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(f"'{name}' is not an image that can be read ({', '.join(FORMATS)}).") from None
    except Image.DecompressionBombError:
        raise ImageError(_bomb(name)) from None
    # Decoders of untrusted bytes raise many kinds (OSError, SyntaxError, ValueError, struct.error, zlib.error, …).
    except Exception as error:
        raise ImageError(f"The image '{name}' is damaged or truncated: {' '.join(str(error).split())}.") from error


def _bomb(name: str) -> str:
    return f"The image '{name}' has more than {MAX_PIXELS // 10**6} megapixels: too large, or a decompression bomb."


def _pixels(image: Image.Image, name: str, preprocess: Preprocess) -> tuple[Floats, bool]:
    """(h, w, 1 or 3) float32 from 0 to 1, upright, fewer of a large image; and whether these are its middle alone."""
    turn = _turn(image)
    large = image.width * image.height > LARGE
    deep = image.mode.startswith(("I", "F"))
    mode = "F" if deep else "RGBA" if image.has_transparency_data else "L" if image.mode in ("1", "L") else "RGB"
    small = _small(image, mode, preprocess, lying=turn in LYING) if large else image.convert(mode)
    values = np.asarray(small if turn is None else small.transpose(turn), np.float32)
    if deep:
        pixels = _deep(values, image, name)
    else:
        pixels = _composite(values / 255) if mode == "RGBA" else np.atleast_3d(values) / 255
    return pixels, large and preprocess.fit == "crop"


def _turn(image: Image.Image) -> Image.Transpose | None:
    """How the image must be turned as its EXIF orientation says; other tags, which may be odd, are not looked at."""
    from PIL import ExifTags, Image

    turn = Image.Transpose
    turns = {
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_270,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_90,
    }
    return turns.get(image.getexif().get(ExifTags.Base.Orientation, 1))


def _small(image: Image.Image, mode: str, preprocess: Preprocess, *, lying: bool) -> Image.Image:
    """What the model takes of a large image, by whole factors smaller, but twice the model's input at least; strip by strip.

    Args:
        image: The image.
        mode: Of the result: "F", "L", "RGB", or "RGBA", of which means are taken as they would be seen.
        preprocess: The model's input.
        lying: Whether the image is still to be turned by a right angle.
    """
    from PIL import Image

    # Where the model sees single pixels no means are made of them.
    single = preprocess.interpolation == "nearest"
    box = _taken(image.size, preprocess, lying=lying)
    size = _size((box[2] - box[0], box[3] - box[1]), preprocess, lying=lying)
    # A JPEG can be decoded at a half, a quarter or an eighth of its size. Twice as much as is needed keeps the error, which
    # is that of blocks of pixels, half as large.
    whole = image.size
    wanted = (2 * size[0] * whole[0] // (box[2] - box[0]), 2 * size[1] * whole[1] // (box[3] - box[1]))
    drafted = None if single else image.draft(None, wanted)
    scale = 1 if drafted is None else drafted[1][2] / whole[0]
    left, top, right, bottom = (scale * side for side in box)
    size = _size((right - left, bottom - top), preprocess, lying=lying)
    small, step = Image.new(mode, size), (bottom - top) / size[1]
    for row in range(0, size[1], STRIP):
        end = min(row + STRIP, size[1])
        first, last = int(top + row * step), min(math.ceil(top + end * step), image.height)
        strip = image.crop((0, first, image.width, last)).convert(mode)
        part = (left, top + row * step - first, right, min(top + end * step, last) - first)
        method = Image.Resampling.NEAREST if single else Image.Resampling.BOX
        small.paste(strip.resize((size[0], end - row), method, part), (0, row))
    return small


def _taken(size: tuple[int, int], preprocess: Preprocess, *, lying: bool) -> tuple[int, int, int, int]:
    """The first column and row that a model takes of an image of that size, and those after the last."""
    if preprocess.fit != "crop":
        return 0, 0, *size
    aspect = preprocess.width / preprocess.height if lying else preprocess.height / preprocess.width
    top, left, rows, columns = middle_part(size[1], size[0], aspect, preprocess.crop)
    return left, top, left + columns, top + rows


def _size(extent: tuple[float, float], preprocess: Preprocess, *, lying: bool) -> tuple[int, int]:
    """The (columns, rows) that are made of what is taken of a large image, (width, height) pixels."""
    sides = (2 * LARGEST, 2 * LARGEST) if preprocess.digits else (2 * preprocess.width, 2 * preprocess.height)
    across, down = (length / side for length, side in zip(extent, sides[::-1] if lying else sides, strict=True))
    if preprocess.fit in ("pad", "digit"):
        across = down = max(across, down)
    columns, rows = (round(length / max(1, int(factor))) for length, factor in zip(extent, (across, down), strict=True))
    return max(1, columns), max(1, rows)


def _deep(values: Floats, image: Image.Image, name: str) -> Floats:
    """Grey values of more than 8 bits: integers are white at 65535, reals at the first of 1, 255 and 65535 to hold them."""
    if not np.isfinite(values).all():
        raise ImageError(f"The image '{name}' holds a value that is not finite (NaN or infinity).")
    strips = (image.crop((0, top, image.width, min(top + 256, image.height))) for top in range(0, image.height, 256))
    extremes = [strip.convert("F").getextrema() for strip in strips]
    least, most = (float(end(pair[place] for pair in extremes)) for place, end in ((0, min), (1, max)))  # type: ignore[arg-type]
    whites = (1, 255, 65535) if image.mode.startswith("F") else (65535,)
    white = next((white for white in whites if most <= 1.001 * white), None)
    if white is None or least < 0:
        raise ImageError(f"The image '{name}' has values from {least:g} to {most:g}; expected 0 to {whites[-1]}.")
    return np.asarray(np.minimum(values[..., None] / white, 1), np.float32)


def _composite(rgba: Floats) -> Floats:
    """Colours over white, or over black where what is visible is light and would vanish on white."""
    colour, alpha = rgba[..., :3], rgba[..., 3:]
    visible = float((colour * alpha).mean() / max(float(alpha.mean()), 1e-6))
    ground = 0.0 if visible > 0.5 else 1.0
    return np.asarray(colour * alpha + ground * (1 - alpha), np.float32)


def _is_sample(name: str) -> bool:
    scheme, colon, rest = name.partition(":")
    return bool(colon) and len(scheme) > 1 and scheme.isalpha() and not rest.startswith("//")


def _siblings(path: Path) -> list[str]:
    return os.listdir(path.parent) if path.parent.is_dir() else []

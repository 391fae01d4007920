"""A data set as a stream of batches, of which only one is in memory at a time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cnnexplain.errors import ImageError, UsageError, suggest
from cnnexplain.inputs import bands, datasets, folders, images
from cnnexplain.inputs.images import ImageBatch
from cnnexplain.inputs.preprocess import Preprocess, TakesImages, preprocess_of
from cnnexplain.inputs.source import Source
from cnnexplain.types import Array, Floats

if TYPE_CHECKING:
    from jaxtyping import UInt8


class TakesBatches(TakesImages, Protocol):
    """A model that knows how many images it takes at once, such as a `Classifier`."""

    def slices(self, count: int) -> Iterator[slice]:
        """Goes through `count` images, as many at a time as it takes."""


class Stream:
    """Images that are read when they are asked for, in the model's input range. Made by `open_stream`.

    Args:
        name: What to call it.
        names: The files or samples, each known by its place among them.
        classifier: Whose input the images are made for; its `Preprocess` is enough.
        batch: The images themselves, where they are in memory already.
        invert: Whether to swap dark and light in files; None where they show dark on light to a model of digits.
        needed: Those of the names without which there is nothing to be done; others are left out where they can't be read.
    """

    def __init__(
        self,
        name: str,
        names: Sequence[str],
        classifier: Preprocess | TakesBatches,
        *,
        batch: ImageBatch | None = None,
        invert: bool | None = None,
        needed: Iterable[str] = (),
    ) -> None:
        self.name = name
        self.skipped: dict[str, str] = {}
        """The files that couldn't be read so far, each with the reason."""
        self.names = names
        self._model = None if isinstance(classifier, Preprocess) else classifier
        self._preprocess = preprocess_of(classifier)
        self._batch = batch
        self._invert = invert
        self._needed = frozenset(needed)
        self._kept: dict[int, tuple[Floats, Source]] = {}

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"Stream('{self.name}', {len(self)} images)"

    @property
    def given(self) -> bool:
        """Whether these are images that were given as they are, and not by the name of a data set."""
        return self.name == GIVEN

    def batches(self) -> Iterator[tuple[Array, ImageBatch]]:
        """Goes through all the images, as many at once as the classifier takes, else `TOGETHER`; broken files are left out.

        Yields:
            The places of the images in the data set, and the images.

        Raises:
            ImageError: Not one of the images can be read.
        """
        any_read = False
        for here in _slices(len(self)) if self._model is None else self._model.slices(len(self)):
            places, batch = self.read(range(here.start, here.stop))
            if len(places):
                any_read = True
                yield places, batch
        if not any_read:
            raise self.unusable()

    def skipped_in(self, places: Sequence[int]) -> dict[str, str]:
        """Those of the images at some places that couldn't be read, each with the reason."""
        names = dict.fromkeys(self.names[place] for place in places)
        return {name: self.skipped[name] for name in names if name in self.skipped}

    def unusable(self) -> ImageError:
        """What to raise where not one image could be read."""
        name, reason = next(iter(self.skipped.items()))
        return ImageError(f"None of the {len(self)} images of '{self.name}' can be used; the first, '{name}': {reason}")

    def pick(self, places: Sequence[int]) -> ImageBatch:
        """The images at some places of the data set, which `batches` has given before."""
        return self.read(places)[1]

    def check(self, progress: Callable[[int, int], None] = lambda *_: None) -> None:
        """Reads the needed images once, so that one that can't be read is known before any work is done.

        Raises:
            ImageError: One of them can't be read.
        """
        needed = [place for place, name in enumerate(self.names) if name in self._needed]
        for number, place in enumerate(needed, start=1):
            self.read([place])
            progress(number, len(needed))

    def read(self, places: Sequence[int]) -> tuple[Array, ImageBatch]:
        """Those of the images at some places that can be read, with their places.

        Raises:
            ImageError: A needed one can't be read.
        """
        if self._batch is not None:
            return np.array(places), self._batch[list(places)]
        preprocess, (dataset, split) = self._preprocess, datasets.SPLITS.get(self.name, (None, ""))
        if dataset is not None and not self._invert and preprocess.channels == 1 and preprocess.keeps(*dataset.shape):
            return np.array(places), self._included(dataset.load(split)[0][list(places)], places)
        found = [(place, *read) for place in places if (read := self._read(place)) is not None]
        inputs = np.stack([image for _, image, _ in found]) if found else np.zeros(0, np.float32)
        return np.array([place for place, *_ in found], np.int64), ImageBatch(inputs, [source for *_, source in found])

    def _read(self, place: int) -> tuple[Floats, Source] | None:
        name = self.names[place]
        if place in self._kept or name in self.skipped:
            return self._kept.get(place)
        try:
            image = images.read(name, self._preprocess, self._invert)
        except ImageError as error:
            if name in self._needed:
                raise
            self.skipped[name] = str(error)
            return None
        # Several analyses may go through the same few photographs, which take long to read.
        if len(self) * image[0].nbytes <= KEPT:
            self._kept[place] = image
        return image

    def _included(self, pixels: UInt8[np.ndarray, "N H W"], places: Sequence[int]) -> ImageBatch:
        sources = [
            Source(self.names[place], hashlib.sha256(image.tobytes()).hexdigest())
            for place, image in zip(places, pixels, strict=True)
        ]
        return ImageBatch(self._preprocess.encode(pixels[..., None].astype(np.float32) / 255), sources)


GIVEN = "the images given"
"""What images are called that come from no data set."""

TOGETHER = 64
"""How many images are read at once where no model says how many it takes."""

KEPT = 64 << 20
"""Images that take so many bytes at most, all together, are kept once they were read."""


def _slices(count: int) -> Iterator[slice]:
    return (slice(start, min(start + TOGETHER, count)) for start in range(0, count, TOGETHER))


def check(name: str | os.PathLike[str]) -> list[str]:
    """The files or samples of the data set of that name.

    Args:
        name: "mnist:test", "mnist:train", or a folder, of which every image file at any depth is taken.

    Raises:
        UsageError: There is no such data set.
        ImageError: The folder holds no image.
    """
    dataset, split = datasets.SPLITS.get(os.fspath(name), (None, ""))
    if dataset is not None:
        return dataset.samples(split)
    path, names = Path(name), list(datasets.SPLITS)
    try:
        if not path.is_dir():
            raise UsageError(
                f"There is no data set '{path}'.{suggest(str(path), names)} Give a folder of images, {' or '.join(names)}."
            )
        found = folders.files(str(path), images.SUFFIXES) or folders.files(str(path), (bands.SUFFIX,))
    except OSError as error:
        raise UsageError(f"Can't look for the data set '{str(path)[:80]}': {error.strerror}.") from error
    if not found:
        raise ImageError(f"The data set '{path}' holds no image ({', '.join(images.SUFFIXES)}).")
    return found


def open_stream(dataset: object, classifier: Preprocess | TakesBatches, *, invert: bool | None = None) -> Stream:
    """A stream of a data set: its name as `check` takes it, or images as `cnnexplain.explain` takes them.

    Args:
        dataset: Which.
        classifier: Whose input the images are made for; its `Preprocess` is enough.
        invert: As `cnnexplain.read_images` takes it, for a data set that is given by its name.

    Raises:
        UsageError: There is no such data set.
        ImageError: It holds no image.
    """
    if isinstance(dataset, Stream):
        return dataset
    if isinstance(dataset, str | os.PathLike):
        return Stream(os.fspath(dataset), check(dataset), classifier, invert=invert)
    batch = images.as_batch(dataset, classifier)
    return Stream(GIVEN, [source.name for source in batch.sources], classifier, batch=batch)


def stream_images(given: object, classifier: Preprocess | TakesBatches, *, invert: bool | None = None) -> Stream:
    """A stream of images to explain: files, folders, globs and samples, one or several, or images in memory.

    Files that are given by their own names are needed; those that folders and globs stand for may be broken.

    Args:
        given: Which, as `cnnexplain.explain` takes them, or a `Stream`.
        classifier: Whose input the images are made for; its `Preprocess` is enough.
        invert: As `cnnexplain.read_images` takes it.

    Raises:
        UsageError: An image does not exist.
        ImageError: A folder holds no image, or an array can't be explained.
    """
    if isinstance(given, Stream):
        return given
    names = [given] if isinstance(given, str | os.PathLike) else given
    if isinstance(names, ImageBatch | np.ndarray) or not isinstance(names, Sequence):
        return open_stream(given, classifier)
    if not names or not all(isinstance(name, str | os.PathLike) for name in names):
        return open_stream(given, classifier)
    return Stream(GIVEN, images.find(names), classifier, invert=invert, needed=map(os.fspath, names))

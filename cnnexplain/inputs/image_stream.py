"""Reads a data set as a stream of batches, with one batch in memory at a time."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cnnexplain.errors import ImageError, UsageError, suggest
from cnnexplain.inputs import bands, datasets, folders, images
from cnnexplain.inputs.images import ImageBatch
from cnnexplain.inputs.preprocess import Preprocess, TakesImages, preprocess_of
from cnnexplain.inputs.source import Source

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64, UInt8


class TakesBatches(TakesImages, Protocol):
    """A model that determines how many images to process at once, such as a `Classifier`."""

    def slices(self, count: int) -> Iterator[slice]:
        """Divides `count` images into batches."""


class Stream:
    """Images in the model's input range that are read when they are needed. Created by `open_stream`.

    Args:
        name: The name of the data set.
        names: The files or samples. An image is identified by its place in this list.
        classifier: The classifier for which the images are prepared, or its `Preprocess`.
        batch: The images themselves, if they are already in memory.
        invert: As for `cnnexplain.read_images`.
        needed: The names of images that must be readable; others are skipped if they can't be read.
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
        """The files that could not be read so far, each with the reason."""
        self.names = names
        self._model = None if isinstance(classifier, Preprocess) else classifier
        self._preprocess = preprocess_of(classifier)
        self._batch = batch
        self._invert = invert
        self._needed = frozenset(needed)
        self._cache: dict[int, tuple[Float32[np.ndarray, "H W C"], Source]] = {}

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"Stream('{self.name}', {len(self)} images)"

    @property
    def given(self) -> bool:
        """Whether the images were given directly, rather than by the name of a data set."""
        return self.name == GIVEN

    def identity(self) -> dict[str, Any]:
        """What determines the images: their number, a hash of their names and contents, and the inversion; JSON-able."""
        if self._batch is None:
            contents: Iterable[str | None] = map(images.digest, self.names)
        else:
            contents = (hashlib.sha256(image.tobytes()).hexdigest() for image in self._batch)
        listed = json.dumps(list(zip(self.names, contents, strict=True)))
        return {"count": len(self), "sha256": hashlib.sha256(listed.encode()).hexdigest(), "invert": self._invert}

    def batches(self) -> Iterator[tuple[Int64[np.ndarray, " N"], ImageBatch]]:
        """Reads all the images in batches, as large as the classifier takes or else `BATCH_SIZE`; skips broken files.

        Yields:
            The places of the images in the data set, and the images.

        Raises:
            ImageError: None of the images can be read.
        """
        any_read = False
        for batch_slice in _slices(len(self)) if self._model is None else self._model.slices(len(self)):
            places, batch = self.read(range(batch_slice.start, batch_slice.stop))
            if len(places):
                any_read = True
                yield places, batch
        if not any_read:
            raise self.unusable()

    def skipped_in(self, places: Sequence[int]) -> dict[str, str]:
        """The images at these places that could not be read, each with the reason."""
        names = dict.fromkeys(self.names[place] for place in places) if self.skipped else ()
        return {name: self.skipped[name] for name in names if name in self.skipped}

    def unusable(self) -> ImageError:
        """The error for a data set without a readable image."""
        name, reason = next(iter(self.skipped.items()))
        return ImageError(f"None of the {len(self)} images of '{self.name}' can be used; the first, '{name}': {reason}")

    def pick(self, places: Sequence[int]) -> ImageBatch:
        """The images at these places, which `batches` has read before."""
        return self.read(places)[1]

    def check(self, progress: Callable[[int, int], None] = lambda *_: None) -> None:
        """Reads the needed images once, to find errors before any work is done.

        Raises:
            ImageError: One of them can't be read.
        """
        needed = [place for place, name in enumerate(self.names) if name in self._needed]
        for number, place in enumerate(needed, start=1):
            self.read([place])
            progress(number, len(needed))

    def read(self, places: Sequence[int]) -> tuple[Int64[np.ndarray, " N"], ImageBatch]:
        """Reads the images at these places.

        Returns:
            The places of the images that can be read, and these images.

        Raises:
            ImageError: A needed image can't be read.
        """
        if self._batch is not None:
            chosen = slice(places.start, places.stop) if isinstance(places, range) and places.step == 1 else list(places)
            part = self._batch[chosen]
            # The caller may change its own images later.
            return np.array(places, np.int64), ImageBatch(np.array(part), part.sources)
        preprocess, (dataset, split) = self._preprocess, datasets.SPLITS.get(self.name, (None, ""))
        if dataset is not None and not self._invert and preprocess.channels == 1 and preprocess.keeps(*dataset.shape):
            pixels = dataset.load(split)[0][list(places)]
            sources = [_included(self.names[place], image) for place, image in zip(places, pixels, strict=True)]
            inputs = preprocess.encode(pixels[..., None].astype(np.float32) / 255)
            return np.array(places, np.int64), ImageBatch(inputs, sources)
        items = [(place, *read) for place in places if (read := self._read(place)) is not None]
        inputs = np.stack([image for _, image, _ in items]) if items else np.zeros(0, np.float32)
        return np.array([place for place, *_ in items], np.int64), ImageBatch(inputs, [source for *_, source in items])

    def _read(self, place: int) -> tuple[Float32[np.ndarray, "H W C"], Source] | None:
        name = self.names[place]
        if place in self._cache or name in self.skipped:
            return self._cache.get(place)
        try:
            image = images.read(name, self._preprocess, self._invert)
        except ImageError as error:
            if name in self._needed:
                raise
            self.skipped[name] = str(error)
            return None
        # Several analyses may read the same few photographs, which takes long.
        if len(self) * image[0].nbytes <= CACHE_BYTES:
            self._cache[place] = image
        return image


GIVEN = "the images given"
"""The name of a stream of images that do not come from a data set."""

BATCH_SIZE = 64
"""The number of images in a batch, if no model determines it."""

CACHE_BYTES = 32 << 20
"""The images of a stream are kept after they are read if all of them take at most this many bytes."""


def _slices(count: int) -> Iterator[slice]:
    return (slice(start, min(start + BATCH_SIZE, count)) for start in range(0, count, BATCH_SIZE))


def _included(sample: str, pixels: UInt8[np.ndarray, "H W"]) -> Source:
    """The source of an included image. Its hash is computed once, since data sets are read many times."""
    if sample not in _SOURCES:
        _SOURCES[sample] = Source(sample, hashlib.sha256(pixels.tobytes()).hexdigest())
    return _SOURCES[sample]


_SOURCES: dict[str, Source] = {}


def check(name: str | os.PathLike[str]) -> list[str]:
    """The files or samples of a data set.

    Args:
        name: "mnist:test", "mnist:train", or a folder, which stands for all image files in it at any depth.

    Raises:
        UsageError: There is no such data set.
        ImageError: The folder contains no image.
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
        paths = folders.files(str(path), images.SUFFIXES) or folders.files(str(path), (bands.SUFFIX,))
    except OSError as error:
        raise UsageError(f"Can't look for the data set '{str(path)[:80]}': {error.strerror}.") from error
    if not paths:
        raise ImageError(f"The data set '{path}' contains no image ({', '.join(images.SUFFIXES)}).")
    return paths


def open_stream(dataset: object, classifier: Preprocess | TakesBatches, *, invert: bool | None = None) -> Stream:
    """Opens a data set as a stream.

    Args:
        dataset: The name of the data set as for `check`, or images as for `cnnexplain.explain`, or a `Stream`.
        classifier: The classifier for which the images are prepared, or its `Preprocess`.
        invert: As for `cnnexplain.read_images`, for a data set given by its name.

    Raises:
        UsageError: There is no such data set.
        ImageError: It contains no image.
    """
    if isinstance(dataset, Stream):
        return dataset
    if isinstance(dataset, str | os.PathLike):
        return Stream(os.fspath(dataset), check(dataset), classifier, invert=invert)
    return stream_batch(dataset, classifier)


def stream_batch(given: object, classifier: Preprocess | TakesBatches) -> Stream:
    """A stream of images that are all in memory at once, as for `cnnexplain.inputs.images.as_batch`.

    Raises:
        UsageError: An image does not exist, or an array has the wrong shape.
        ImageError: An image can't be read, or an array can't be explained.
    """
    batch = images.as_batch(given, classifier)
    return Stream(GIVEN, [source.name for source in batch.sources], classifier, batch=batch)


def stream_images(given: object, classifier: Preprocess | TakesBatches, *, invert: bool | None = None) -> Stream:
    """Opens images to explain as a stream.

    Files given by their own names must be readable; those from folders and globs may be broken.

    Args:
        given: Files, folders, globs and samples, one or several, or images in memory, or a `Stream`.
        classifier: The classifier for which the images are prepared, or its `Preprocess`.
        invert: As for `cnnexplain.read_images`.

    Raises:
        UsageError: An image does not exist.
        ImageError: A folder contains no image, or an array can't be explained.
    """
    if isinstance(given, Stream):
        return given
    names = [given] if isinstance(given, str | os.PathLike) else given
    if isinstance(names, ImageBatch | np.ndarray) or not isinstance(names, Sequence):
        return open_stream(given, classifier)
    if not names or not all(isinstance(name, str | os.PathLike) for name in names):
        return open_stream(given, classifier)
    return Stream(GIVEN, images.find(names), classifier, invert=invert, needed=map(os.fspath, names))

"""A data set as a stream of batches, of which only one is in memory at a time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain import datasets, images
from cnnexplain.arrays import Array
from cnnexplain.errors import ImageError, UsageError, suggest
from cnnexplain.images import ImageBatch, Source

if TYPE_CHECKING:
    from cnnexplain.classifier import Classifier


class Stream:
    """Images that are read when they are asked for, in the model's input range. Made by `open_stream`.

    Args:
        name: What to call it.
        names: The files or samples, each known by its place among them.
        classifier: Whose input the images are made for.
        batch: The images themselves, where they are in memory already.
        invert: Whether to swap dark and light in files; None where they show dark on light to a model of digits.
    """

    def __init__(
        self,
        name: str,
        names: Sequence[str],
        classifier: Classifier,
        *,
        batch: ImageBatch | None = None,
        invert: bool | None = None,
    ) -> None:
        self.name = name
        self.skipped: dict[str, str] = {}
        """The files that couldn't be read so far, each with the reason."""
        self.names = names
        self._classifier = classifier
        self._batch = batch
        self._invert = invert

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"Stream('{self.name}', {len(self)} images)"

    def batches(self) -> Iterator[tuple[Array, ImageBatch]]:
        """Goes through all the images, as many at once as the classifier takes; broken files are left out.

        Yields:
            The places of the images in the data set, and the images.

        Raises:
            ImageError: Not one of the images can be read.
        """
        size, any_read = self._classifier.batch_size, False
        for start in range(0, len(self), size):
            places, batch = self._readable(range(start, min(start + size, len(self))))
            if len(places):
                any_read = True
                yield places, batch
        if not any_read:
            name, reason = next(iter(self.skipped.items()))
            raise ImageError(f"None of the {len(self)} images of '{self.name}' can be used; the first, '{name}': {reason}")

    def pick(self, places: Sequence[int]) -> ImageBatch:
        """The images at some places of the data set, which `batches` has given before."""
        return self._readable(places)[1]

    def _readable(self, places: Sequence[int]) -> tuple[Array, ImageBatch]:
        if self._batch is not None:
            return np.array(places), self._batch[list(places)]
        preprocess = self._classifier.preprocess
        if self.name in SPLITS and not self._invert and preprocess.channels == 1 and preprocess.keeps(28, 28):
            return np.array(places), self._mnist(list(places))
        kept, read = [], []
        for place in places:
            name = self.names[place]
            try:
                read.append(images.read_images(name, self._classifier, invert=self._invert))
                kept.append(place)
            except ImageError as error:
                self.skipped[name] = str(error)
        sources = [source for batch in read for source in batch.sources]
        return np.array(kept), ImageBatch(np.concatenate(read) if read else np.zeros(0), sources)

    def _mnist(self, places: list[int]) -> ImageBatch:
        digits = datasets.mnist(self.name.partition(":")[2])[0][places]
        sources = [
            Source(self.names[place], hashlib.sha256(digit.tobytes()).hexdigest())
            for place, digit in zip(places, digits, strict=True)
        ]
        return ImageBatch(self._classifier.preprocess.encode(digits[..., None].astype(np.float32) / 255), sources)


SPLITS = tuple(f"mnist:{split}" for split in datasets.SPLITS)
"""The names of the data sets that come with the package."""


def check(name: str | os.PathLike[str]) -> list[str]:
    """The files or samples of the data set of that name.

    Args:
        name: "mnist:test", "mnist:train", or a folder, of which every image file at any depth is taken.

    Raises:
        UsageError: There is no such data set.
        ImageError: The folder holds no image.
    """
    if name in SPLITS:
        return [f"{name}/{index}" for index in range(datasets.SPLITS[str(name).partition(":")[2]])]
    path = Path(name)
    try:
        if not path.is_dir():
            raise UsageError(
                f"There is no data set '{path}'.{suggest(str(path), SPLITS)} Give a folder of images, {' or '.join(SPLITS)}."
            )
        found = sorted(str(each) for each in path.rglob("*") if each.suffix.lower() in images.SUFFIXES and each.is_file())
    except OSError as error:
        raise UsageError(f"Can't look for the data set '{str(path)[:80]}': {error.strerror}.") from error
    if not found:
        raise ImageError(f"The data set '{path}' holds no image ({', '.join(images.SUFFIXES)}).")
    return found


def open_stream(dataset: object, classifier: Classifier, *, invert: bool | None = None) -> Stream:
    """A stream of a data set: its name as `check` takes it, or images as `cnnexplain.explain` takes them.

    Args:
        dataset: Which.
        classifier: Whose input the images are made for.
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
    return Stream("the images given", [source.name for source in batch.sources], classifier, batch=batch)

"""The data sets included in the package, and the class names of ImageNet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

from cnnexplain.errors import UsageError, suggest

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8


@dataclass(frozen=True, eq=False)
class DataSet:
    """An included data set of gray images with one class each.

    Args:
        name: Its name in samples such as "mnist:test/42".
        shape: (h, w), the size of the images.
        labels: The names of the classes.
        splits: The number of images in each split.
        default: The split that is used if none is given.
        sample: The image that is explained if none is given.
        file: The file with the images and classes.
    """

    name: str
    shape: tuple[int, int]
    labels: tuple[str, ...]
    splits: Mapping[str, int]
    default: str
    sample: str
    file: str

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its splits, such as "mnist:test"."""
        return tuple(f"{self.name}:{split}" for split in self.splits)

    def samples(self, split: str, count: int | None = None) -> list[str]:
        """The names of the first samples of a split, or of all."""
        return [f"{self.name}:{split}/{index}" for index in range(count or self.splits[split])]

    def load(self, split: str) -> tuple[UInt8[np.ndarray, "N h w"], UInt8[np.ndarray, " N"]]:
        """The images of a split, where 0 is the black background, and their classes.

        Both are read-only, because every caller gets the same arrays.
        """
        return _arrays(self.file, split)


MNIST = DataSet(
    name="mnist",
    shape=(28, 28),
    labels=tuple(map(str, range(10))),
    splits={"test": 10_000, "train": 60_000},
    default="mnist:test",
    sample="mnist:test/42",
    file="mnist.npz",
)
"""Handwritten digits."""

SPLITS: dict[str, tuple[DataSet, str]] = {
    name: (dataset, split) for dataset in (MNIST,) for name, split in zip(dataset.names, dataset.splits, strict=True)
}
"""All splits of the included data sets, by name: "mnist:test", "mnist:train"."""

SAMPLE = MNIST.sample
"""The image that is explained if none is given."""


def asset(name: str) -> Path:
    """The path of a file included in the package."""
    with as_file(files("cnnexplain") / "assets" / name) as path:
        return path


@cache
def _arrays(file: str, split: str) -> tuple[UInt8[np.ndarray, "N h w"], UInt8[np.ndarray, " N"]]:
    # Not at the top: the command line needs only the names, and NumPy would take a third of its startup time.
    import numpy as np

    with np.load(asset(file), allow_pickle=False) as data:
        images, classes = data[f"x_{split}"], data[f"y_{split}"]
    images.flags.writeable = classes.flags.writeable = False
    return images, classes


def mnist(split: str) -> tuple[UInt8[np.ndarray, "N h w"], UInt8[np.ndarray, " N"]]:
    """The MNIST data set.

    Args:
        split: "test" (10,000 images) or "train" (60,000).

    Returns:
        The images (N, 28, 28), where 0 is the black background, and their digits (N,). Both are uint8, and read-only
        because every caller gets the same arrays.
    """
    return MNIST.load(split)


def locate(sample: str) -> tuple[DataSet, str, int]:
    """The data set, the split and the index of a sample such as "mnist:test/42".

    Raises:
        UsageError: There is no such sample.
    """
    name, _, number = sample.partition("/")
    sizes = {name: dataset.splits[split] for name, (dataset, split) in SPLITS.items()}
    if name in SPLITS and re.fullmatch(r"[0-9]{1,9}", number) and int(number) < sizes[name]:
        return *SPLITS[name], int(number)
    near = suggest(sample, [f"{name}/{number}" for name in SPLITS]) if re.fullmatch("[0-9]+", number) else ""
    near = "" if near.endswith(f"'{sample}'?") else near
    ranges = " and ".join(f"{name}/0 to {name}/{size - 1}" for name, size in sizes.items())
    raise UsageError(f"There is no sample '{sample}'.{near} The samples are {ranges}.")


def sample(name: str) -> tuple[UInt8[np.ndarray, "h w"], int]:
    """The image and the class of a sample such as "mnist:test/42".

    Raises:
        UsageError: There is no such sample.
    """
    dataset, split, index = locate(name)
    images, classes = dataset.load(split)
    return images[index], int(classes[index])


@cache
def imagenet_labels() -> tuple[str, ...]:
    """The names of the 1,000 classes of ImageNet (ILSVRC 2012), in the usual order of the outputs of networks.

    Each name consists of the words of a WordNet synset, such as "tabby, tabby cat". All names are distinct except "crane",
    which is both the bird (class 134) and the machine (class 517).
    """
    return tuple(asset("imagenet.txt").read_text(encoding="utf-8").splitlines())

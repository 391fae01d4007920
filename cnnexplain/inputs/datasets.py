"""The embedded MNIST, and the names of ImageNet's classes."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

from cnnexplain.errors import UsageError, suggest

if TYPE_CHECKING:
    from cnnexplain.types import Array

SPLITS = {"test": 10_000, "train": 60_000}
"""The splits of MNIST and how many images each has."""

SAMPLE = "mnist:test/42"
"""The digit that is explained when no image is given."""


def asset(name: str) -> Path:
    """Where a file that the package ships lies on disk."""
    with as_file(files("cnnexplain") / "assets" / name) as path:
        return path


@cache
def mnist(split: str) -> tuple[Array, Array]:
    """The images of a split, (N, 28, 28) uint8 with 0 the black ground, and their digits, (N,) uint8.

    Both are read-only, since every caller gets the same arrays.
    """
    # The command line asks this module for names alone, and NumPy would be a third of its start.
    import numpy as np

    with np.load(asset("mnist.npz"), allow_pickle=False) as data:
        images, digits = data[f"x_{split}"], data[f"y_{split}"]
    images.flags.writeable = digits.flags.writeable = False
    return images, digits


def sample_index(name: str) -> tuple[str, int]:
    """The split and the index that a sample's name, such as "mnist:test/42", stands for.

    Raises:
        UsageError: There is no such sample.
    """
    dataset, _, rest = name.partition(":")
    split, _, number = rest.partition("/")
    if dataset == "mnist" and split in SPLITS and re.fullmatch(r"[0-9]{1,9}", number) and int(number) < SPLITS[split]:
        return split, int(number)
    near = suggest(name, [f"mnist:{known}/{number}" for known in SPLITS]) if re.fullmatch("[0-9]+", number) else ""
    ranges = " and ".join(f"mnist:{known}/0 to mnist:{known}/{count - 1}" for known, count in SPLITS.items())
    near = "" if near.endswith(f"'{name}'?") else near
    raise UsageError(f"There is no sample '{name}'.{near} The samples are {ranges}.")


def sample(name: str) -> tuple[Array, int]:
    """The image (28, 28) uint8 and the digit of a sample such as "mnist:test/42"."""
    split, index = sample_index(name)
    images, digits = mnist(split)
    return images[index], int(digits[index])


@cache
def imagenet_labels() -> tuple[str, ...]:
    """The names of the 1,000 classes of ImageNet (ILSVRC 2012) in the order in which networks put them out.

    Each is the words of a WordNet synset, such as "tabby, tabby cat". They are distinct but for "crane", which is the
    bird as class 134 and the machine as class 517.
    """
    return tuple(asset("imagenet.txt").read_text(encoding="utf-8").splitlines())

"""Model files: the endings of their names, and the name of the included model."""

from __future__ import annotations

import os
from pathlib import Path

INCLUDED = "lenet"
"""The name of the model that the package includes."""

LEGACY = (".h5", ".hdf5")
"""The endings of HDF5 files, which older versions of Keras write."""

SUFFIXES = (".keras", *LEGACY)
"""The endings of all model files."""


def is_file(name: str | os.PathLike[str]) -> bool:
    """Whether a name has the ending of a model file."""
    return Path(name).suffix.lower() in SUFFIXES

"""Model files: what their names end in, and the name of the model that comes with the package."""

from __future__ import annotations

import os
from pathlib import Path

INCLUDED = "lenet"
"""The name of the model that comes with the package."""

LEGACY = (".h5", ".hdf5")
"""What the names of model files end in that are HDF5, as older versions of Keras write them."""

SUFFIXES = (".keras", *LEGACY)
"""What the names of all model files end in."""


def is_file(name: str | os.PathLike[str]) -> bool:
    """Whether a name is that of a model file, by its ending."""
    return Path(name).suffix.lower() in SUFFIXES

"""The values of a model's inputs other than the image, given as NAME=FILE or NAME=NUMBERS, in JSON or in Python."""

from __future__ import annotations

import io
import json
import math
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnexplain import files
from cnnexplain.errors import UsageError
from cnnexplain.interruption import check_interrupted

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Shaped

SUFFIXES = (".npy", ".npz", ".json", ".csv")
"""The endings of files with values."""

LIMIT = 256 << 20
"""The most bytes of a file, also after unpacking."""

EXPECTED = "numbers, such as 1,2.5,3, or a file (.npy, .npz, .json, .csv)"


def parse(texts: Sequence[str]) -> dict[str, str]:
    """The values of arguments NAME=FILE or NAME=NUMBERS by name, checked to be numbers or existing files.

    Raises:
        UsageError: One is neither, or a name is given twice.
    """
    values: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise UsageError(f"--fixed takes NAME=FILE or NAME=NUMBERS, such as meta=1,2.5,3, but got '{text[:60]}'.")
        if name.strip() in values:
            raise UsageError(f"--fixed was given two values for '{name.strip()[:60]}'; give one.")
        values[name.strip()] = value.strip()
        check(name.strip(), value.strip())
    return values


def check(name: str, value: str) -> None:
    """Checks that a text is numbers or the path of an existing file.

    Raises:
        UsageError: It does not.
    """
    if is_file(value):
        files.existing(value, f"file of values for '{name}'")
    else:
        _numbers(name, value)


def is_file(value: str | os.PathLike[str]) -> bool:
    """Whether a text is the path of a file with values, by its ending."""
    return isinstance(value, os.PathLike) or Path(value).suffix.lower() in SUFFIXES


def read(name: str, value: Any) -> Shaped[np.ndarray, " ..."]:
    """The array for a value.

    Args:
        name: The name of the input.
        value: Numbers in an array, a list or a text such as "1,2.5,3", or the path of a file with them: a `.npy` array; a
            `.npz` archive with a single array, or one of that name; a `.json` or `.csv` file.

    Raises:
        UsageError: It is none of these, or contains something other than finite numbers.
    """
    import numpy as np

    if isinstance(value, str | os.PathLike):
        value = (
            _file(name, files.existing(value, f"file of values for '{name}'"))
            if is_file(value)
            else _numbers(name, str(value))
        )
    try:
        array: Shaped[np.ndarray, " ..."] = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise UsageError(f"The values for the input '{name}' are not an array of numbers; expected {EXPECTED}.") from error
    if array.dtype.kind not in "biuf":
        raise UsageError(f"The values for the input '{name}' are {array.dtype}; expected {EXPECTED}.")
    if not array.size or not np.isfinite(array).all():
        what = "no number" if not array.size else "a value that is not finite (NaN or infinity)"
        raise UsageError(f"The values for the input '{name}' contain {what}.")
    return array


def _numbers(name: str, text: str) -> list[float] | float:
    try:
        numbers = [float(each) for each in text.strip("[]() ").split(",")]
    except ValueError:
        raise UsageError(f"The input '{name[:60]}' takes {EXPECTED}, but got '{text[:60]}'.") from None
    if not all(map(math.isfinite, numbers)):
        raise UsageError(f"The values for the input '{name[:60]}' contain a value that is not finite (NaN or infinity).")
    return numbers if len(numbers) > 1 else numbers[0]


def _file(name: str, path: Path) -> Any:
    import numpy as np

    try:
        with path.open("rb") as file:
            data = file.read(LIMIT + 1)
        if len(data) > LIMIT:
            raise UsageError(f"'{path}' has more than {LIMIT >> 20} MiB, which is too large.")
        suffix = path.suffix.lower()
        if suffix == ".json":
            return json.loads(data)
        if suffix == ".csv":
            return [
                [float(each) for each in line.split(",")] for line in data.decode("utf-8-sig").splitlines() if line.strip()
            ]
        if suffix == ".npz":
            return _archived(name, path, data)
        if suffix == ".npy":
            return np.load(io.BytesIO(data), allow_pickle=False)
    except UsageError:
        raise
    except OSError as error:
        check_interrupted(error)
        raise UsageError(f"Can't read '{path}': {error.strerror or error}.") from error
    # Damaged files make their parsers raise many kinds of errors, including tokenize.TokenError.
    except Exception as error:
        check_interrupted(error)
        raise UsageError(f"'{path}' does not contain an array of numbers: {' '.join(str(error).split())[:120]}.") from error
    raise UsageError(f"The input '{name}' takes {EXPECTED}, but got '{path}'.")


def _archived(name: str, path: Path, data: bytes) -> Shaped[np.ndarray, " ..."]:
    import numpy as np

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(member.file_size for member in archive.infolist()) > LIMIT:
            raise UsageError(f"'{path}' unpacks to more than {LIMIT >> 20} MiB, which is too large.")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        names = list(arrays)
        chosen = name if name in names else names[0] if len(names) == 1 else None
        if chosen is None:
            listed = ", ".join(names[:8])
            raise UsageError(f"'{path}' contains {len(names)} arrays, but none is called '{name}': {listed}.")
        array: Shaped[np.ndarray, " ..."] = arrays[chosen]
        return array


def described(values: Mapping[str, Any]) -> dict[str, Any]:
    """For JSON, by name: the shape, type and hash of the values, and the values themselves if they are few."""
    import hashlib

    return {
        name: {
            "shape": list(array.shape[1:]),
            "dtype": str(array.dtype),
            "sha256": hashlib.sha256(array.tobytes()).hexdigest(),
            **({"values": array[0].tolist()} if array.size <= FEW else {}),
        }
        for name, array in values.items()
    }


FEW = 32
"""The most values of a fixed input that a result contains."""

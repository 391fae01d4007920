"""PyTorch's state dicts as NumPy arrays, read without PyTorch and without running what the file says.

What `torch.save` wrote before PyTorch 1.6, and still does with `_use_new_zipfile_serialization=False`, is five pickles (a
magic number, the format's version, facts on the machine, the dictionary, the storages' keys in order) and then each
storage: eight bytes with the number of its elements, and the elements. In the fourth pickle a tensor is a call with its
storage, its offset there, its shape and its strides (`torch/serialization.py`, `_legacy_save`).
"""

from __future__ import annotations

import io
import math
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from cnnexplain import Array
from cnnexplain.errors import ModelError, check_interrupted

MAGIC, VERSION = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e"), 1001
"""The first pickle, and what the second one holds."""


def read(data: bytes, name: str) -> dict[str, Array]:
    """The tensors of a state dict by their names, float32 or int64, read-only.

    Args:
        data: What the file holds.
        name: What errors call the file.

    Raises:
        ModelError: It is no state dict in this format, is cut short, or asks for anything but a state dict's tensors.
    """
    try:
        return _tensors(data)
    except _RefusedError as reason:
        raise ModelError(f"Can't read the weights '{name}': {reason}") from reason


class _RefusedError(Exception):
    """Why a file is not read."""


# Named tuples, since a pickle can set the attributes of an object that has a __dict__ behind its constructor's back.
class _Storage(NamedTuple):
    key: str
    dtype: str
    size: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _tensors(data: bytes) -> dict[str, Array]:
    if data.startswith(b"PK"):
        raise _RefusedError(
            "it is in PyTorch's newer format, a zip file. Save it with torch.save(…, _use_new_zipfile_serialization=False)."
        )
    if not data.startswith(MAGIC):
        raise _RefusedError("it does not begin as a file that torch.save wrote.")
    stream = io.BytesIO(data)
    stream.seek(len(MAGIC))
    version = _load(stream)
    if version != VERSION:
        raise _RefusedError(f"it is in version {version!r:.80} of PyTorch's format; expected {VERSION}.")
    machine, found, keys = _load(stream), _load(stream, GLOBALS), _load(stream)
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise _RefusedError("its numbers are not little-endian.")
    if not isinstance(found, OrderedDict):
        raise _RefusedError(f"it holds a {type(found).__name__}; expected a state dict.")
    # Not found.items(), which the pickle may have hidden behind an attribute.
    tensors = {str(name): tensor for name, tensor in OrderedDict.items(found)}
    strange = [name for name, tensor in tensors.items() if not isinstance(tensor, _Tensor)]
    if strange:
        raise _RefusedError(f"'{strange[0]:.80}' is no tensor.")
    storages = {tensor.storage for tensor in tensors.values()}
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storage.key for storage in storages):
        raise _RefusedError("the storages that it lists are not those of its tensors.")
    named = {storage.key: storage for storage in storages}
    elements = {str(key): _elements(data, stream, named[str(key)]) for key in keys}
    if stream.read(1):
        raise _RefusedError("more follows after its last tensor.")
    return {name: _array(name, tensor, elements[tensor.storage.key]) for name, tensor in tensors.items()}


def _elements(data: bytes, stream: io.BytesIO, storage: _Storage) -> Array:
    size = int.from_bytes(stream.read(8), "little")
    start, length = stream.tell(), storage.size * np.dtype(storage.dtype).itemsize
    if size != storage.size or len(data) - start < length:
        raise _RefusedError("it is damaged or cut short: not all of its tensors' elements are there.")
    stream.seek(start + length)
    return np.frombuffer(data, storage.dtype, size, start)


def _array(name: str, tensor: _Tensor, elements: Array) -> Array:
    last = tensor.offset + sum((side - 1) * stride for side, stride in zip(tensor.shape, tensor.strides, strict=True))
    # A view may not be larger than its storage either: strides of 0 would make terabytes of one number.
    if not 0 < math.prod(tensor.shape) <= len(elements) or last >= len(elements):
        raise _RefusedError(f"the tensor '{name:.80}' is empty or reaches beyond its storage.")
    strides = [stride * elements.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(elements[tensor.offset :], tensor.shape, strides, writeable=False)


def _rebuild(storage: Any, offset: Any, shape: Any, strides: Any, gradient: Any, hooks: Any, /) -> _Tensor:  # noqa: ARG001
    """What PyTorch's function of this name is called with; whether gradients are wanted is nothing to us."""
    if not (isinstance(storage, _Storage) and _sizes((offset,)) and _sizes(shape) and _sizes(strides)):
        raise _RefusedError("one of its tensors is described otherwise than PyTorch does.")
    if len(strides) != len(shape):
        raise _RefusedError(f"one of its tensors has {len(shape)} axes and {len(strides)} strides.")
    return _Tensor(storage, offset, shape, strides)


def _sizes(numbers: Any) -> bool:
    return isinstance(numbers, tuple) and all(type(number) is int and number >= 0 for number in numbers)


GLOBALS: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
    ("torch", "FloatStorage"): "<f4",
    ("torch", "LongStorage"): "<i8",
}
"""All that a state dict's pickle may name, and what stands for it here."""


def _load(stream: io.BytesIO, known: Mapping[tuple[str, str], Any] | None = None) -> Any:
    try:
        return _Unpickler(stream, known or {}).load()
    except _RefusedError:
        raise
    # Of a broken pickle any kind of error can come, as Python's documentation says.
    except Exception as error:
        check_interrupted(error)
        raise _RefusedError(f"it is damaged or cut short ({error}).") from error


class _Unpickler(pickle.Unpickler):
    """Knows the names that it is given and nothing else."""

    def __init__(self, stream: io.BytesIO, known: Mapping[tuple[str, str], Any]) -> None:
        super().__init__(stream)
        self._known = known

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._known:
            raise _RefusedError(f"it asks for {module}.{name}, which is not among what a state dict of floats needs.")
        return self._known[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        match pid:
            case ("storage", "<f4" | "<i8" as dtype, str(key), str(), int(size), None) if size >= 0:
                return _Storage(key, dtype, size)
        raise _RefusedError(f"it refers to {pid!s:.80}, which is no storage of a state dict.")

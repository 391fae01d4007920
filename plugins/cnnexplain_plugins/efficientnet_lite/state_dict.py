"""Reads PyTorch state dicts as NumPy arrays, without PyTorch and without executing code from the file.

The format that `torch.save` wrote before PyTorch 1.6, and still writes with `_use_new_zipfile_serialization=False`, has five
pickles (a magic number, the version of the format, facts about the machine, the dictionary, the keys of the storages in
order), followed by the storages: eight bytes with the number of elements, and the elements. In the fourth pickle, a tensor
is a call with its storage, its offset there, its shape and its strides (`torch/serialization.py`, `_legacy_save`).
"""

from __future__ import annotations

import io
import math
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnnexplain.errors import ModelError, check_interrupted

if TYPE_CHECKING:
    from jaxtyping import Shaped

MAGIC, VERSION = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e"), 1001
"""The first pickle, and the content of the second one."""


def read(data: bytes, name: str) -> dict[str, Shaped[np.ndarray, " ..."]]:
    """The tensors of a state dict by name, float32 or int64, read-only.

    Args:
        data: The contents of the file.
        name: The name of the file in error messages.

    Raises:
        ModelError: It is not a state dict in this format, is truncated, or refers to anything other than tensors.
    """
    try:
        return _tensors(data)
    except _RefusedError as reason:
        raise ModelError(f"Can't read the weights '{name}': {reason}") from reason


class _RefusedError(Exception):
    """The reason why a file is rejected."""


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


def _tensors(data: bytes) -> dict[str, Shaped[np.ndarray, " ..."]]:
    if data.startswith(b"PK"):
        raise _RefusedError(
            "it is in PyTorch's newer format, a zip file. Save it with torch.save(…, _use_new_zipfile_serialization=False)."
        )
    if not data.startswith(MAGIC):
        raise _RefusedError("it does not start like a file written by torch.save.")
    stream = io.BytesIO(data)
    stream.seek(len(MAGIC))
    version = _load(stream)
    if version != VERSION:
        raise _RefusedError(f"it is in version {version!r:.80} of PyTorch's format; expected {VERSION}.")
    machine, state, keys = _load(stream), _load(stream, GLOBALS), _load(stream)
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise _RefusedError("its numbers are not little-endian.")
    if not isinstance(state, OrderedDict):
        raise _RefusedError(f"it contains a {type(state).__name__}; expected a state dict.")
    # Not state.items(), which the pickle may have replaced with an attribute.
    tensors = {str(name): tensor for name, tensor in OrderedDict.items(state)}
    others = [name for name, tensor in tensors.items() if not isinstance(tensor, _Tensor)]
    if others:
        raise _RefusedError(f"'{others[0]:.80}' is not a tensor.")
    storages = {tensor.storage for tensor in tensors.values()}
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storage.key for storage in storages):
        raise _RefusedError("the storages that it lists are not those of its tensors.")
    by_key = {storage.key: storage for storage in storages}
    elements = {str(key): _elements(data, stream, by_key[str(key)]) for key in keys}
    if stream.read(1):
        raise _RefusedError("there is more data after its last tensor.")
    return {name: _array(name, tensor, elements[tensor.storage.key]) for name, tensor in tensors.items()}


def _elements(data: bytes, stream: io.BytesIO, storage: _Storage) -> Shaped[np.ndarray, " elements"]:
    size = int.from_bytes(stream.read(8), "little")
    start, length = stream.tell(), storage.size * np.dtype(storage.dtype).itemsize
    if size != storage.size or len(data) - start < length:
        raise _RefusedError("it is damaged or truncated: elements of its tensors are missing.")
    stream.seek(start + length)
    return np.frombuffer(data, storage.dtype, size, start)


def _array(name: str, tensor: _Tensor, elements: Shaped[np.ndarray, " elements"]) -> Shaped[np.ndarray, " ..."]:
    last = tensor.offset + sum((side - 1) * stride for side, stride in zip(tensor.shape, tensor.strides, strict=True))
    # A view must not be larger than its storage: strides of 0 could turn one number into terabytes.
    if not 0 < math.prod(tensor.shape) <= len(elements) or last >= len(elements):
        raise _RefusedError(f"the tensor '{name:.80}' is empty or reaches beyond its storage.")
    strides = [stride * elements.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(elements[tensor.offset :], tensor.shape, strides, writeable=False)


def _rebuild(storage: Any, offset: Any, shape: Any, strides: Any, gradient: Any, hooks: Any, /) -> _Tensor:  # noqa: ARG001
    """The arguments of PyTorch's `_rebuild_tensor_v2`; the settings for gradients are ignored."""
    if not (isinstance(storage, _Storage) and _sizes((offset,)) and _sizes(shape) and _sizes(strides)):
        raise _RefusedError("one of its tensors is not described as PyTorch does it.")
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
"""The only names that the pickle of a state dict may use, and their replacements."""


def _load(stream: io.BytesIO, names: Mapping[tuple[str, str], Any] | None = None) -> Any:
    try:
        return _Unpickler(stream, names or {}).load()
    except _RefusedError:
        raise
    # A broken pickle can raise any exception, according to Python's documentation.
    except Exception as error:
        check_interrupted(error)
        raise _RefusedError(f"it is damaged or truncated ({error}).") from error


class _Unpickler(pickle.Unpickler):
    """Resolves only the given names."""

    def __init__(self, stream: io.BytesIO, names: Mapping[tuple[str, str], Any]) -> None:
        super().__init__(stream)
        self._names = names

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._names:
            raise _RefusedError(f"it refers to {module}.{name}, which a state dict of floats does not need.")
        return self._names[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        match pid:
            case ("storage", "<f4" | "<i8" as dtype, str(key), str(), int(size), None) if size >= 0:
                return _Storage(key, dtype, size)
        raise _RefusedError(f"it refers to {pid!s:.80}, which is not a storage of a state dict.")

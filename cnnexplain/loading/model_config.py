"""Reads the description of the layers from an untrusted model file, without Keras."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cnnexplain.errors import ModelError
from cnnexplain.interruption import check_interrupted
from cnnexplain.loading import memory, stored_weights
from cnnexplain.model.model_files import LEGACY
from cnnexplain.model.structure.layer_names import call_name, unused_name

MAX_BYTES = 16 << 20
"""Longer descriptions are rejected. That of a network of a thousand layers has two million bytes."""

MAX_BRACKETS = 400_000
"""Descriptions with more lists and objects are rejected. That of the same network has eighty thousand."""

MAX_DEPTH = 200
"""Descriptions that nest deeper are rejected. That of a model with ten levels of nested models nests fifty deep."""

MAX_DIRECTORY = 1 << 20
"""Zip archives whose list of files has more bytes are rejected."""


class Description(NamedTuple):
    """The contents of a model file without its weights.

    Args:
        config: The layers, as described by Keras.
        version: The version of Keras that wrote the file; None if unknown.
    """

    config: Any
    version: str | None


def read(path: Path, limits: bool = True) -> Description:
    """Reads the description of the layers in a `.keras` or legacy HDF5 file.

    Args:
        path: The file.
        limits: Whether to reject a file that contains more than a model needs.

    Raises:
        ModelError: The file can't be read, is not a model file, is damaged, or contains more than a model needs.
    """
    return _legacy(path, limits) if path.suffix.lower() in LEGACY else _zipped(path, limits)


def layers(config: Any) -> list[str]:
    """The names of the layers in a `Classifier`, as far as the description determines them.

    Args:
        config: As returned by `read`.

    Raises:
        ValueError, TypeError, LookupError: It does not describe a model.
    """
    # The classifier reserves this name for the input.
    names: dict[str, None] = {"input": None}
    for name in _calls(config):
        names[unused_name(name, names)] = None
    return [*names][1:]


def _calls(config: Any) -> Iterator[str]:
    """The name of a layer for each of its calls; "outer/inner" for layers of nested models."""
    # The oldest files contain only the list for sequential models.
    inner = config["config"]
    for layer in inner["layers"] if isinstance(inner, dict) else inner:
        if layer["class_name"] == "InputLayer":
            continue
        nested = list(_calls(layer)) if _is_nested(layer["config"]) else None
        for number in range(1, 1 + len(layer.get("inbound_nodes") or [()])):
            name = call_name(str(layer["config"]["name"]), number)
            yield from [name] if nested is None else (f"{name}/{each}" for each in nested)


def _is_nested(config: Any) -> bool:
    """Whether a layer is a model with a graph; a custom class may have an option named "layers"."""
    layers = config.get("layers")
    return isinstance(layers, list) and all(isinstance(each, dict) and "class_name" in each for each in layers)


def _zipped(path: Path, limits: bool) -> Description:
    try:
        file = path.open("rb")
    except OSError as error:
        raise ModelError(f"Can't read '{path}': {error.strerror}.") from error
    with file:
        hint = " It looks like an older HDF5 file: name it .h5." if file.read(4) == b"\x89HDF" else ""
        try:
            _check_directory(file, path)
            with zipfile.ZipFile(file) as archive:
                config = _parse(_member(archive, "config.json", path), path, limits)
                has_metadata = "metadata.json" in archive.NameToInfo
                metadata = _parse(_member(archive, "metadata.json", path), path, limits) if has_metadata else {}
        except ModelError:
            raise
        # An untrusted archive can fail in many ways.
        except Exception as error:
            check_interrupted(error)
            raise ModelError(f"'{path}' is not a Keras model file (.keras), or is truncated.{hint}") from error
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    return Description(config, version if isinstance(version, str) else "3")


def _check_directory(file: Any, path: Path) -> None:
    """Checks that the list of files in a zip archive, which is read as a whole, is short."""
    file.seek(0, io.SEEK_END)
    file.seek(-min(file.tell(), 66_000), io.SEEK_END)
    tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end >= 0 and int.from_bytes(tail[end + 12 : end + 16], "little") > MAX_DIRECTORY:
        raise ModelError(f"'{path}' is a zip archive with more files than a model has and is rejected.")


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    member = archive.getinfo(name)
    if member.file_size > MAX_BYTES:
        raise _too_long(path)
    return archive.read(member)


def _too_long(path: Path) -> ModelError:
    return ModelError(f"'{path}' describes its layers in more than {MAX_BYTES >> 20} MiB and is rejected.")


def _legacy(path: Path, limits: bool) -> Description:
    with stored_weights.opened(path, path) as file:
        stored_weights.check_numbers(file, path, path.stat().st_size, limits)
        for name in ("model_config", "keras_version"):
            if name in file.attrs and file.attrs.get_id(name).get_storage_size() > MAX_BYTES:
                raise _too_long(path)
        config, version = file.attrs.get("model_config"), file.attrs.get("keras_version")
    if config is None:
        raise ModelError(
            f"'{path}' contains only weights, without the layers that they belong to. Build the model in Python, load the "
            "weights (model.load_weights), and save the whole model with model.save('model.keras')."
        )
    if not isinstance(config, str | bytes):
        raise _not_json(path)
    if isinstance(version, bytes):
        version = version.decode(errors="replace")
    text = config.encode(errors="replace") if isinstance(config, str) else bytes(config)
    return Description(_parse(text, path, limits), version if isinstance(version, str) else None)


def _parse(text: bytes, path: Path, limits: bool) -> Any:
    if len(text) > MAX_BYTES or (limits and text.count(b"[") + text.count(b"{") > MAX_BRACKETS):
        raise ModelError(f"'{path}' describes more layers than a model has ({memory.readable(len(text))}) and is rejected.")
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _not_json(path) from error
    level, depth = [config], 0
    while level:
        level, depth = [item for parent in level for item in _items(parent)], depth + 1
    if depth > MAX_DEPTH:
        raise ModelError(f"'{path}' is damaged: the description of its layers is nested {depth:,} deep.")
    return config


def _not_json(path: Path) -> ModelError:
    return ModelError(f"'{path}' is damaged: the description of its layers is not valid JSON.")


def _items(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()

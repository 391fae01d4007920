"""Writing files so that a kill at any moment leaves either the old file, or the new one, or none: never a part of one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cnnexplain.errors import OutputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a name beside `path` to write to; when the block ends well, that file takes the place of `path` at once.

    Raises:
        OutputError: The folder can't be made or written, or the disk is full. What stood at `path` stays.
    """
    with _plain_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            # mkstemp lets the owner alone read; a file that the user asked for has the user's usual permissions.
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Gives an empty folder beside `folder`, which is removed when the block ends, with what is still in it.

    Raises:
        OutputError: It can't be made or written, or the disk is full.
    """
    with _plain_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as name:
            yield Path(name)


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"Can't write '{path}': {error.strerror or error}.") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

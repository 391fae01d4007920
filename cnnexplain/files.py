"""Writing files so that a kill at any moment leaves either the old file, or the new one, or none: never a part of one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cnnexplain.errors import OutputError
from cnnexplain.interruption import check_interrupted, held

PREFIX = ".cnnexplain-"
"""How the names of unfinished files and folders begin; the number of the process that writes them follows."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a name beside `path` to write to; when the block ends well, that file takes the place of `path` at once.

    Raises:
        OutputError: The folder can't be made or written, or the disk is full. What stood at `path` stays.
    """
    with _plain_errors(path), _unfinished(path.parent) as folder:
        temporary = folder / path.name
        yield temporary
        temporary.replace(path)


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Gives an empty folder in `folder`, or beside it where it does not exist; removed at the end, with what is left in it.

    Raises:
        OutputError: It can't be made or written, or the disk is full.
    """
    with _plain_errors(folder), _unfinished(folder if folder.is_dir() else folder.parent) as staged:
        yield staged


def check_writable(path: Path) -> None:
    """Sees that a file or folder could be made at `path`, before any work is done for it.

    Raises:
        OutputError: What exists of the path is no folder, or may not be written.
    """
    standing = next(parent for parent in path.absolute().parents if parent.exists())
    standing = path if path.is_dir() else standing
    if not standing.is_dir() or not os.access(standing, os.W_OK | os.X_OK):
        raise OutputError(f"Can't write to '{path}': '{standing}' is no folder that may be written; choose another.")


@contextmanager
def _unfinished(parent: Path) -> Iterator[Path]:
    parent.mkdir(parents=True, exist_ok=True)
    name: Path | None = None
    try:
        with held():
            _remove_dead(parent)
            name = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=parent))
            # mkdtemp lets the owner alone in; what is kept of the folder has the user's usual permissions.
            name.chmod(0o777 & ~_umask())
        yield name
    finally:
        with held():
            if name is not None:
                shutil.rmtree(name, ignore_errors=True)


def _remove_dead(parent: Path) -> None:
    """Removes what processes that were killed have left unfinished."""
    for left in parent.glob(f"{PREFIX}*-*"):
        number = left.name.removeprefix(PREFIX).partition("-")[0]
        if number.isdigit() and not _alive(int(number)):
            shutil.rmtree(left, ignore_errors=True)


def _alive(process: int) -> bool:
    # On Windows signal 0 would end the process.
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        check_interrupted(error)
        raise OutputError(f"Can't write '{path}': {error.strerror or error}.") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

"""Finds files given by users, and writes files atomically: a kill leaves the old file, the new one or none."""

from __future__ import annotations

import errno
import os
import platform
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from cnnexplain.errors import OutputError, UsageError, suggest
from cnnexplain.interruption import check_interrupted, held

PREFIX = ".cnnexplain-"
"""The beginning of the names of unfinished files and folders, before the process that writes them and its machine."""

DAY = 24 * 60 * 60
"""Seconds after which unfinished files of another machine are removed, because its processes are unknown here."""


def existing(name: str | os.PathLike[str], what: str, known: Sequence[str] = (), more: str = "") -> Path:
    """The path of an existing file.

    Args:
        name: The path.
        what: The kind of file, for errors.
        known: Other names to suggest, in addition to the files in the folder.
        more: A text to append to the error.

    Raises:
        UsageError: There is no such file.
    """
    path = Path(name)
    if not is_there(path, what):
        if is_there(path, what, folder=True):
            raise UsageError(f"'{path}' is a folder; expected a {what}.")
        siblings = [each for each in os.listdir(path.parent) if each != path.name] if path.parent.is_dir() else []
        wanted = path.name if path.parent != Path() else str(name)
        raise UsageError(f"There is no {what} '{path}'.{suggest(wanted, [*known, *siblings])}{more}")
    return path


def is_there(path: Path, what: str, *, folder: bool = False) -> bool:
    """Whether a file, or a folder, exists.

    Raises:
        UsageError: The path can't be looked up. The error calls it `what`.
    """
    try:
        return path.is_dir() if folder else path.is_file()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"Can't look for the {what} '{str(path)[:80]}': {reason}.") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A context with a temporary path to write to; if it ends without an error, that file atomically replaces `path`.

    Raises:
        OutputError: The folder can't be created or written, or the disk is full. An existing file is kept.
    """
    with plain_errors(path), _unfinished(path.parent) as folder:
        temporary = folder / path.name
        yield temporary
        temporary.replace(path)


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A context with a temporary, empty folder in `folder`, or next to it if it does not exist.

    Raises:
        OutputError: It can't be created or written, or the disk is full.
    """
    with plain_errors(folder), _unfinished(folder if folder.is_dir() else folder.parent) as staged:
        yield staged


def check_writable(path: Path) -> None:
    """Checks that a file or folder can be created at `path`, before any work is done.

    Raises:
        OutputError: The existing part of the path is not a folder, or is not writable.
    """
    if "\0" in str(path):
        raise OutputError(f"Can't write to {str(path)!r:.80}: a name can't contain a NUL character; choose another.")
    try:
        parents = path.absolute().parents
    except FileNotFoundError as error:
        raise OutputError(f"Can't write to '{path}': the working folder was deleted; change to another one.") from error
    existing_part = path if path.is_dir() else next(parent for parent in parents if parent.exists())
    if not existing_part.is_dir() or not os.access(existing_part, os.W_OK | os.X_OK):
        raise OutputError(f"Can't write to '{path}': '{existing_part}' is not a writable folder; choose another.")


def opened(path: Path) -> BinaryIO:
    """Opens a file for reading, without blocking on a pipe.

    Raises:
        OSError: It can't be read, or is a folder, a pipe or a device.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    return open(descriptor, "rb")


def remove_dead(parent: Path) -> None:
    """Removes the unfinished files of killed processes from a folder."""
    for path in parent.glob(f"{PREFIX}*-*"):
        if _is_dead(path):
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """A context that converts errors of the operating system to an `OutputError` about `path`.

    Raises:
        OutputError: The path can't be written.
    """
    try:
        yield
    except OSError as error:
        check_interrupted(error)
        raise OutputError(f"Can't write '{path}': {error.strerror or error}.") from error


@contextmanager
def _unfinished(parent: Path) -> Iterator[Path]:
    parent.mkdir(parents=True, exist_ok=True)
    name: Path | None = None
    try:
        with held():
            remove_dead(parent)
            name = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-{_machine()}-", dir=parent))
            # mkdtemp permits only the owner. The folder may be kept, so give it the user's usual permissions.
            name.chmod(0o777 & ~_umask())
        yield name
    finally:
        with held():
            if name is not None:
                shutil.rmtree(name, ignore_errors=True)


def _is_dead(path: Path) -> bool:
    """Whether the process that created a folder of unfinished files has ended."""
    parts = re.fullmatch(re.escape(PREFIX) + r"([0-9]+)-(?:([0-9A-Za-z_.]+)-)?[^-]*", path.name)
    if parts is None:
        return False
    process, machine = parts.groups()
    if machine not in (None, _machine()):
        return _age(path) > DAY
    return not _is_alive(int(process))


def _age(path: Path) -> float:
    """Seconds since a file was changed; 0 if it no longer exists."""
    try:
        return time.time() - path.lstat().st_mtime
    except OSError:
        return 0.0


def _machine() -> str:
    """The name of this machine in the names of unfinished files. Several machines may share a folder."""
    return re.sub(r"[^0-9A-Za-z_.]", "_", platform.node())[:60] or "unknown"


def _is_alive(process: int) -> bool:
    # On Windows, signal 0 would end the process.
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

"""Finding files that users name; and writing files so that a kill leaves the old file, the new one or none, never a part."""

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
"""How the names of unfinished files and folders begin; the process that writes them and its machine follow."""

DAY = 24 * 60 * 60
"""Seconds after which what another machine left unfinished is given up: whether its process lives isn't known here."""


def existing(name: str | os.PathLike[str], what: str, known: Sequence[str] = (), more: str = "") -> Path:
    """The path of a file that is there.

    Args:
        name: The path.
        what: What the file is called in an error.
        known: Other names that could have been meant, beside those of the folder's files.
        more: What to add to the error.

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
    """Whether there is a file, or a folder, of that name.

    Raises:
        UsageError: It can't be looked for; the error calls it `what`.
    """
    try:
        return path.is_dir() if folder else path.is_file()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"Can't look for the {what} '{str(path)[:80]}': {reason}.") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a name beside `path` to write to; when the block ends well, that file takes the place of `path` at once.

    Raises:
        OutputError: The folder can't be made or written, or the disk is full. What stood at `path` stays.
    """
    with plain_errors(path), _unfinished(path.parent) as folder:
        temporary = folder / path.name
        yield temporary
        temporary.replace(path)


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Gives an empty folder in `folder`, or beside it where it does not exist; removed at the end, with what is left in it.

    Raises:
        OutputError: It can't be made or written, or the disk is full.
    """
    with plain_errors(folder), _unfinished(folder if folder.is_dir() else folder.parent) as staged:
        yield staged


def check_writable(path: Path) -> None:
    """Sees that a file or folder could be made at `path`, before any work is done for it.

    Raises:
        OutputError: What exists of the path is no folder, or may not be written.
    """
    if "\0" in str(path):
        raise OutputError(f"Can't write to {str(path)!r:.80}: no name has a NUL character in it; choose another.")
    try:
        parents = path.absolute().parents
    except FileNotFoundError as error:
        raise OutputError(f"Can't write to '{path}': the working folder was deleted; change to another one.") from error
    standing = next(parent for parent in parents if parent.exists())
    standing = path if path.is_dir() else standing
    if not standing.is_dir() or not os.access(standing, os.W_OK | os.X_OK):
        raise OutputError(f"Can't write to '{path}': '{standing}' is no folder that may be written; choose another.")


def opened(path: Path) -> BinaryIO:
    """Opens a file to be read; never waits, as for the writer of a pipe.

    Raises:
        OSError: It can't be read, or is a folder, a pipe or a device.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    return open(descriptor, "rb")


def remove_dead(parent: Path) -> None:
    """Removes what processes that were killed have left unfinished in a folder."""
    for left in parent.glob(f"{PREFIX}*-*"):
        if _dead(left):
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Turns errors of the operating system into one that says what could not be written.

    Raises:
        OutputError: One came.
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
            # mkdtemp lets the owner alone in; what is kept of the folder has the user's usual permissions.
            name.chmod(0o777 & ~_umask())
        yield name
    finally:
        with held():
            if name is not None:
                shutil.rmtree(name, ignore_errors=True)


def _dead(left: Path) -> bool:
    """Whether the process that has made a folder of unfinished files has ended."""
    named = re.fullmatch(re.escape(PREFIX) + r"([0-9]+)-(?:([0-9A-Za-z_.]+)-)?[^-]*", left.name)
    if named is None:
        return False
    number, machine = named.groups()
    if machine not in (None, _machine()):
        return _age(left) > DAY
    return not _alive(int(number))


def _age(path: Path) -> float:
    """Seconds since a file was changed; 0 where it is gone."""
    try:
        return time.time() - path.lstat().st_mtime
    except OSError:
        return 0.0


def _machine() -> str:
    """The name of this machine, as it stands in the names of unfinished files: several may share a folder."""
    return re.sub(r"[^0-9A-Za-z_.]", "_", platform.node())[:60] or "unknown"


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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

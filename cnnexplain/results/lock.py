"""Locks a folder, so that only one run writes to it. The operating system releases the lock when the process ends."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from cnnexplain import files, interruption
from cnnexplain.errors import OutputError, line

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

NAME = f"{files.PREFIX}lock"
"""The lock file in a folder; it contains the holder of the lock, and is removed with the lock."""

TAKEN = (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK, errno.EDEADLK)
"""Errors if another process has the lock; any other error means that the file system does not support locks."""

BYTE = 1 << 30
"""The byte of the file that is locked on Windows: beyond the content, because a locked byte can't be read."""

LONGEST = 1000
"""Number of bytes read from the lock file."""

TRIES = 10
"""Attempts to create the folder or file, if another process that has just ended removes it."""

_held: dict[Path, int] = {}
"""The folders that this process has locked, and the descriptors of their lock files."""


class InUseError(OutputError):
    """Another run is writing to the folder."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keeps other processes and threads from writing results to a folder until the end of the block.

    The folder is created if it does not exist, and removed again if nothing was written to it. Unfinished files of killed
    processes in or next to the folder are removed. Without effect on a file system that does not support locks.

    Raises:
        InUseError: Another process or thread has the lock; this is raised immediately, without waiting.
        OutputError: The folder can't be created or written.
    """
    descriptor: int | None = None
    with files.plain_errors(folder):
        created = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        with files.plain_errors(folder):
            with interruption.held():
                descriptor = _locked(folder)
                if descriptor is not None:
                    _held[folder] = descriptor
            for place in (folder, folder.parent):
                files.remove_dead(place)
        yield
    finally:
        with interruption.held():
            if descriptor is not None:
                del _held[folder]
                _release(folder / NAME, descriptor)
            for path in created:
                # A folder in which another process has created files stays.
                with contextlib.suppress(OSError):
                    path.rmdir()


@contextmanager
def held_all(folders: Iterable[Path]) -> Iterator[None]:
    """Locks several folders like `held`, except for those that can't be written: writing to them raises an error later.

    Raises:
        InUseError: Another process or thread has the lock of one of them.
    """
    with contextlib.ExitStack() as stack:
        for folder in folders:
            try:
                stack.enter_context(held(folder))
            except InUseError:
                raise
            except OutputError:
                continue
        yield


def check(folder: Path) -> None:
    """Checks that a folder that this process has locked was not replaced.

    Raises:
        OutputError: It was removed, and another run may write to a folder of the same name.
    """
    if folder not in _held:
        return
    try:
        if _same(folder / NAME, _held[folder]):
            return
    except FileNotFoundError:
        pass
    raise OutputError(f"The folder '{folder}' was removed while a run was writing to it; run the analysis again.")


def _locked(folder: Path) -> int | None:
    """The descriptor of the locked file; None if the file system does not support locks."""
    path = folder / NAME
    for _ in range(TRIES):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = _opened(path)
        except FileNotFoundError:
            continue
        try:
            _take(descriptor)
            # The previous holder removes the file before it releases the lock.
            if _same(path, descriptor):
                _write_holder(descriptor)
                return descriptor
        except FileNotFoundError:
            pass
        except OSError as error:
            holder = _holder(descriptor) if error.errno in TAKEN else None
            os.close(descriptor)
            if holder is None:
                path.unlink(missing_ok=True)
                return None
            raise InUseError(
                f"Another run is writing to '{folder}': {holder}. Wait until it ends, or choose another --out."
            ) from error
        os.close(descriptor)
    raise FileNotFoundError(errno.ENOENT, "the folder is removed repeatedly")


def _opened(path: Path) -> int:
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o666)
    except PermissionError:
        if not path.exists():
            raise
        # A file of another user can be locked, but not written.
        return os.open(path, os.O_RDONLY | flags)


def _take(descriptor: int) -> None:
    """Acquires the lock.

    Raises:
        OSError: Another process has it, or the file system does not support locks.
    """
    if sys.platform == "win32":
        os.lseek(descriptor, BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _release(path: Path, descriptor: int) -> None:
    # On Windows an open file can't be removed. Elsewhere, the file must be removed before the lock is released.
    if os.name == "nt":
        os.close(descriptor)
    with contextlib.suppress(OSError):
        if os.name == "nt" or _same(path, descriptor):
            path.unlink()
    if os.name != "nt":
        os.close(descriptor)


def _same(path: Path, descriptor: int) -> bool:
    return os.path.samestat(os.fstat(descriptor), path.stat())


def _write_holder(descriptor: int) -> None:
    """Writes the holder of the lock into the file."""
    holder = {
        "process": os.getpid(),
        "machine": platform.node(),
        "since": f"{datetime.now():%Y-%m-%d %H:%M:%S}",
        "command": shlex.join([Path(word).name if place == 0 else word for place, word in enumerate(sys.argv)])[:200],
    }
    # The lock works without it.
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, json.dumps(holder).encode())


def _holder(descriptor: int) -> str:
    """Describes the holder of the lock, as read from the file."""
    for _ in range(TRIES):
        try:
            os.lseek(descriptor, 0, os.SEEK_SET)
            holder = json.loads(os.read(descriptor, LONGEST))
            description = (
                f"process {holder['process']} on {holder['machine']}, since {holder['since']}, '{holder['command']}'"
            )
            return line(description, 300)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            # The holder may still be writing the file.
            time.sleep(0.02)
    return "an unknown process"

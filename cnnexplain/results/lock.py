"""One writer to a folder at a time: a lock of the operating system, which ends with its process, however that ends."""

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
"""The file in a locked folder; it tells who holds the lock, and is removed with it."""

TAKEN = (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK, errno.EDEADLK)
"""How the operating system says that another has the lock; any other error says that this file system has none."""

BYTE = 1 << 30
"""Which byte of the file Windows locks: one beyond what it tells, since a locked byte can't be read."""

LONGEST = 1000
"""Bytes that are read of what the file tells."""

TRIES = 10
"""How often the folder or file is made again where another process, which has just ended, removes it."""


_held: dict[Path, int] = {}
"""The folders that this process has locked, each with the open file that holds the lock."""


class InUseError(OutputError):
    """Another run writes to the folder."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keeps other processes and threads from writing results to a folder until the block has ended.

    The folder is made where it does not exist, and removed again where nothing was written to it. What killed processes have
    left unfinished in it, or beside it, is removed. On a file system that has no locks nothing is kept apart.

    Raises:
        InUseError: Another process or thread has the lock. Nothing waits for it.
        OutputError: The folder can't be made or written.
    """
    descriptor: int | None = None
    with files.plain_errors(folder):
        made = [path for path in (folder, *folder.parents) if not path.exists()]
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
            for path in made:
                # One that another process has put something into stays.
                with contextlib.suppress(OSError):
                    path.rmdir()


@contextmanager
def held_all(folders: Iterable[Path]) -> Iterator[None]:
    """Locks several folders as `held` does, but for those that can't be written: what writes to them says so.

    Raises:
        InUseError: Another process or thread has the lock of one.
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
    """Sees that a folder that this process has locked is still the one that it has locked.

    Raises:
        OutputError: It was removed meanwhile, and another run may write to one of the same name.
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
    """The open file that holds the lock; None where the file system has none."""
    path = folder / NAME
    for _ in range(TRIES):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = _opened(path)
        except FileNotFoundError:
            continue
        try:
            _take(descriptor)
            # Who had the lock has removed the file before letting go of it.
            if _same(path, descriptor):
                _tell(descriptor)
                return descriptor
        except FileNotFoundError:
            pass
        except OSError as error:
            words = _holder(descriptor) if error.errno in TAKEN else None
            os.close(descriptor)
            if words is None:
                path.unlink(missing_ok=True)
                return None
            raise InUseError(
                f"Another run writes to '{folder}': {words}. Wait until it has ended, or choose another --out."
            ) from error
        os.close(descriptor)
    raise FileNotFoundError(errno.ENOENT, "the folder is removed again and again")


def _opened(path: Path) -> int:
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o666)
    except PermissionError:
        if not path.exists():
            raise
        # Of another user: it can be locked all the same, but not be written.
        return os.open(path, os.O_RDONLY | flags)


def _take(descriptor: int) -> None:
    """Takes the lock.

    Raises:
        OSError: Another has it, or the file system has no locks.
    """
    if sys.platform == "win32":
        os.lseek(descriptor, BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _release(path: Path, descriptor: int) -> None:
    # An open file can't be removed on Windows, and a lock that was let go of may be another's elsewhere.
    if os.name == "nt":
        os.close(descriptor)
    with contextlib.suppress(OSError):
        if os.name == "nt" or _same(path, descriptor):
            path.unlink()
    if os.name != "nt":
        os.close(descriptor)


def _same(path: Path, descriptor: int) -> bool:
    return os.path.samestat(os.fstat(descriptor), path.stat())


def _tell(descriptor: int) -> None:
    """Writes who has the lock."""
    holder = {
        "process": os.getpid(),
        "machine": platform.node(),
        "since": f"{datetime.now():%Y-%m-%d %H:%M:%S}",
        "command": shlex.join([Path(word).name if place == 0 else word for place, word in enumerate(sys.argv)])[:200],
    }
    # Without, the lock holds as well.
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, json.dumps(holder).encode())


def _holder(descriptor: int) -> str:
    """Who has the lock, as far as the file tells."""
    for _ in range(TRIES):
        try:
            os.lseek(descriptor, 0, os.SEEK_SET)
            holder = json.loads(os.read(descriptor, LONGEST))
            words = f"process {holder['process']} on {holder['machine']}, since {holder['since']}, '{holder['command']}'"
            return line(words, 300)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            # It may just be writing this.
            time.sleep(0.02)
    return "unknown which one"

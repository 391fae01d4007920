"""Prepares the process for the command line: standard streams, their encoding, terminal widths, warnings."""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import re
import sys
import warnings

from cnnexplain import matplotlib_settings

WIDTHS = ("COLUMNS", "LINES", "TERMINAL_WIDTH")
"""Environment variables with the size of the terminal."""

NARROW, BROAD = 20, 9999
"""The fewest and the most columns of a terminal; other values are ignored."""

PLAIN = {"×": "x", "−": "-", "–": "-", "…": "...", "→": "->", "·": "*", "±": "+-", "’": "'", "✓": "+", "✗": "x"}
"""Replacements for our own characters where the encoding of the terminal lacks them."""

BROKEN = (errno.EPIPE, errno.ESHUTDOWN)
"""Errors of a stream that is no longer read."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""Errors of a stream that can't be written."""


def prepare() -> None:
    """Before anything else is imported, of this process that is the program's own."""
    _open_streams()
    codecs.register_error("cnnexplain", _encoded)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="cnnexplain")
    # Libraries warn of their own code; that is no reason to fail.
    if any(action == "error" for action, *_ in warnings.filters):
        warnings.simplefilter("ignore")
    matplotlib_settings.prepare()


def believe_widths() -> None:
    """Removes invalid terminal sizes from the environment, which Rich and Typer would take as they are."""
    for name in WIDTHS:
        given = os.environ.get(name, "")
        if not re.fullmatch(r"[0-9]{1,5}", given) or not NARROW <= int(given) <= BROAD:
            os.environ.pop(name, None)


def here() -> bool:
    """Whether the current folder still exists."""
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def flush() -> None:
    """Writes what is left of the results.

    Raises:
        OSError: They can't be written.
    """
    if sys.stdout is not None:
        sys.stdout.flush()


def unwritable(error: OSError) -> str | None:
    """The message where the results can't be printed; None where they are no longer read, as behind `| head`.

    The rest of them is dropped, so that Python doesn't try to write it again at exit.
    """
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.__stdout__.fileno() if sys.__stdout__ is not None else 1)
        os.close(nowhere)
    return None if error.errno in BROKEN else f"Can't write to standard output: {error.strerror}."


def is_printing(error: OSError) -> bool:
    """Whether an error comes from a stream: one of a file names it."""
    return error.filename is None and error.errno in (*BROKEN, *FULL)


def _open_streams() -> None:
    """Opens closed standard streams on the null device, so that no file takes their descriptors."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115  # Until the end.


def _encoded(error: UnicodeError) -> tuple[str, int]:
    """Encodes characters that a stream can't take: our own in ASCII, all others as escapes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(PLAIN.get(char, char.encode("ascii", "backslashreplace").decode()) for char in characters), error.end

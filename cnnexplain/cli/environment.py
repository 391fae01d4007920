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

COMPLETION = "_CNNEXPLAIN_COMPLETE"
"""The environment variable that a shell sets to get completions: "complete_" and its name."""

NARROWEST, WIDEST = 20, 9999
"""Minimum and maximum width of a terminal; other values are ignored."""

PLAIN = {"×": "x", "−": "-", "–": "-", "…": "...", "→": "->", "·": "*", "±": "+-", "’": "'", "✓": "+", "✗": "x"}
"""ASCII replacements for characters that we print, for terminals whose encoding lacks them."""

BROKEN = (errno.EPIPE, errno.ESHUTDOWN)
"""Errors of a stream whose reader has closed it."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""Other errors of a stream that can't be written."""


def prepare() -> None:
    """Prepares this process, before anything else is imported. Not for use inside another program."""
    _open_streams()
    codecs.register_error("cnnexplain", _encoded)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="cnnexplain")
    # Warnings of libraries must not become errors.
    if any(action == "error" for action, *_ in warnings.filters):
        warnings.simplefilter("ignore")
    matplotlib_settings.prepare()


def drop_invalid_widths() -> None:
    """Removes invalid terminal sizes from the environment; Rich and Typer do not check them."""
    for name in WIDTHS:
        given = os.environ.get(name, "")
        if not re.fullmatch(r"[0-9]{1,5}", given) or not NARROWEST <= int(given) <= WIDEST:
            os.environ.pop(name, None)


def current_folder_exists() -> bool:
    """Whether the current folder still exists."""
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def flush() -> None:
    """Flushes standard output.

    Raises:
        OSError: It can't be written.
    """
    if sys.stdout is not None:
        sys.stdout.flush()


def unwritable(error: OSError) -> str | None:
    """The error message if standard output can't be written; None if its reader has closed it, such as `| head`.

    The remaining output is discarded, so that Python does not try to write it again at exit.
    """
    with contextlib.suppress(OSError, ValueError):
        null_device = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null_device, sys.__stdout__.fileno() if sys.__stdout__ is not None else 1)
        os.close(null_device)
    return None if error.errno in BROKEN else f"Can't write to standard output: {error.strerror}."


def is_printing(error: OSError) -> bool:
    """Whether an error comes from a standard stream; errors of files have a file name."""
    return error.filename is None and error.errno in (*BROKEN, *FULL)


def _open_streams() -> None:
    """Opens closed standard streams on the null device, so that no other file gets their descriptors."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115  # Until the end.


def _encoded(error: UnicodeError) -> tuple[str, int]:
    """Encodes characters that a stream can't represent: our own in ASCII, all others as escapes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(PLAIN.get(char, char.encode("ascii", "backslashreplace").decode()) for char in characters), error.end

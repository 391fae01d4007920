"""What the program finds around it, brought into a state in which it can work: streams, their encoding, widths, warnings."""

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
"""What says how large the terminal is."""

NARROW, BROAD = 20, 9999
"""Columns of a terminal, at least and at most: what says otherwise is not believed."""

PLAIN = {"×": "x", "−": "-", "–": "-", "…": "...", "→": "->", "·": "*", "±": "+-", "’": "'", "✓": "+", "✗": "x"}
"""How the signs of our own texts are written where the terminal has none for them."""

BROKEN = (errno.EPIPE, errno.ESHUTDOWN)
"""What a stream says that nobody reads any more."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""What a stream says that takes nothing more."""


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
    """Forgets what can't be the size of a terminal: Rich and Typer take it as it is."""
    for name in WIDTHS:
        given = os.environ.get(name, "")
        if not re.fullmatch(r"[0-9]{1,5}", given) or not NARROW <= int(given) <= BROAD:
            os.environ.pop(name, None)


def here() -> bool:
    """Whether the current folder is still there."""
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
    """What to say where the results can't be printed; None where nobody reads them any more, as behind `| head`.

    What is left of them is forgotten, so that Python doesn't try again when it ends.
    """
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.__stdout__.fileno() if sys.__stdout__ is not None else 1)
        os.close(nowhere)
    return None if error.errno in BROKEN else f"Can't write to standard output: {error.strerror}."


def is_printing(error: OSError) -> bool:
    """Whether an error comes from a stream: one of a file names it."""
    return error.filename is None and error.errno in (
        *BROKEN,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EIO,
        errno.EBADF,
        errno.EFBIG,
    )


def _open_streams() -> None:
    """Has the three streams lead nowhere where they are closed, so that no file takes their place."""
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
    """Characters that a stream can't take: our own signs in ASCII, all others as their escapes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(PLAIN.get(char, char.encode("ascii", "backslashreplace").decode()) for char in characters), error.end

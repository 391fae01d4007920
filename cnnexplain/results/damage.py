"""The error of a result whose files are damaged."""

from __future__ import annotations

from pathlib import Path

from cnnexplain.errors import OutputError, line


class DamageError(ValueError):
    """A file of a result is damaged; the message describes how."""


def damaged(folder: Path, why: object) -> OutputError:
    """The error for a result that is damaged, with the reason."""
    message = line(why) if str(why).strip() else type(why).__name__
    return OutputError(f"The result in '{folder}' is damaged: {message.removesuffix('.')}.")

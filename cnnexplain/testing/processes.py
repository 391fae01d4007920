"""Starts `cnnexplain.testing.worker` in a new process."""

from __future__ import annotations

import os
import subprocess
import sys


def run_worker(command: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of `cnnexplain.testing.worker` in a new process with the import path of this one.

    Args:
        command: The name of one of its functions.
        *arguments: The arguments of the function.
        **environment: Additional environment variables.
    """
    path = os.pathsep.join(folder for folder in sys.path if folder)
    plain = {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1", "_TYPER_FORCE_DISABLE_TERMINAL": "1"}
    return subprocess.run(  # noqa: S603  # The interpreter and the program are our own.
        [sys.executable, "-m", "cnnexplain.testing.worker", command, *arguments],
        env={**os.environ, **plain, **environment},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def last_line(text: str) -> str:
    """The last line of a text, which contains the error if the text is a traceback."""
    return (text.strip().splitlines() or ["the process ended without a message."])[-1]

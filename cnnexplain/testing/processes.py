"""Python programs in processes of their own, in which nothing is imported yet."""

from __future__ import annotations

import os
import subprocess
import sys


def run(program: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a Python program in a process of its own, in which what can be imported here can be imported too."""
    paths = os.pathsep.join(path for path in sys.path if path)
    plain = {"PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1", "_TYPER_FORCE_DISABLE_TERMINAL": "1"}
    return subprocess.run(  # noqa: S603  # The interpreter and the programs are our own.
        [sys.executable, "-c", program, *words],
        env={**os.environ, **plain, **environment},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def last(text: str) -> str:
    """The last line, which of a traceback says what is wrong."""
    return (text.strip().splitlines() or ["it ended without a word."])[-1]

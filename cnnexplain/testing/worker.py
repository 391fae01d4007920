"""Steps of conformance checks that need a new process: python -m cnnexplain.testing.worker COMMAND ARGUMENTS..."""

from __future__ import annotations

import contextlib
import io
import json
import runpy
import sys
from importlib.metadata import entry_points

from cnnexplain.testing.check import HEAVY_MODULES


def declaration(plugin: str, analysis: str) -> None:
    """Declares an analysis and shows its help.

    Prints JSON: `heavy`, the heavy modules that the declaration imports; `help`; and `code`, the exit code of the help.

    Args:
        plugin: The name of the entry point.
        analysis: The name of the analysis.
    """
    from cnnexplain.plugin import registry

    installed = registry.collect(entry_points(group="cnnexplain", name=plugin))
    if analysis not in installed.analyses:
        sys.exit(" ".join(map(str, installed.problems)) or f"'{plugin}' does not provide it in a new process")
    heavy = [name for name in HEAVY_MODULES if name in sys.modules]
    printed = io.StringIO()
    sys.argv = ["cnnexplain", "run", analysis, "--help"]
    with contextlib.redirect_stdout(printed):
        code = _exit_code("cnnexplain")
    _print_json({"heavy": heavy, "help": printed.getvalue(), "code": code})


def redraw(saved: str, folder: str) -> None:
    """Draws a saved record into a folder; Keras and its backends can't be imported.

    Args:
        saved: The folder of the record.
        folder: The folder for the pictures.
    """
    for name in HEAVY_MODULES:
        if name != "matplotlib":
            sys.modules[name] = None  # type: ignore[assignment]
    from cnnexplain.results.record import Record

    Record.load(saved).save(folder)


def compute(folder: str, *names: str) -> None:
    """Runs analyses on the sample models with the backend of this process, and prints the error messages as JSON.

    Args:
        folder: The folder for a file NAME.npz of each analysis, with the arrays of `Candidate.trial_arrays`.
        *names: The names of the analyses.
    """
    import numpy as np

    from cnnexplain.errors import CnnExplainError
    from cnnexplain.plugin import registry
    from cnnexplain.testing.candidate import Candidate

    errors = {}
    for name in names:
        try:
            arrays = Candidate(registry.load().get(name)[0]).trial_arrays()
        except CnnExplainError as error:
            errors[name] = str(error)
        else:
            np.savez(f"{folder}/{name}.npz", **arrays)  # type: ignore[arg-type]
    _print_json(errors)


def _exit_code(program: str) -> int | str | None:
    """Runs a program as python -m does."""
    try:
        runpy.run_module(program, run_name="__main__")
    except SystemExit as end:
        return end.code
    return 0


def _print_json(content: object) -> None:
    print(json.dumps(content))  # noqa: T201


COMMANDS = {"declaration": declaration, "redraw": redraw, "compute": compute}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])

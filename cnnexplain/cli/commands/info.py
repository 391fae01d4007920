"""The command `info`: versions, backends and their devices, paths of files."""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import typer

from cnnexplain import __version__
from cnnexplain.backend import BACKENDS, module
from cnnexplain.cli import console, keras_start
from cnnexplain.cli.options import BackendOption, JsonOption, VerboseOption
from cnnexplain.errors import reason
from cnnexplain.inputs import datasets
from cnnexplain.interruption import check_interrupted


def info_command() -> Callable[..., None]:
    """The command."""
    return info


def info(
    context: typer.Context,
    backend: BackendOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """The command `info`."""
    with console.document(json) as emit:
        found = _found(backend, context.obj or [], verbose=verbose)
        if json:
            emit(found)
            return
    for each in found.pop("backends"):
        used = "in use, " if each["name"] == found["backend"] else ""
        known = f"version {each['version']}, devices {', '.join(each['devices'])}"
        found[each["name"]] = used + (each["problem"] or known)
    found["configuration"] = ", ".join(found["configuration"]) or "none"
    names = {"python": "Python", "keras": "Keras", "numpy": "NumPy"}
    for name, value in found.items():
        if name != "backend":
            console.say(f"{names.get(name, name):14} {value}")


def _found(backend: str | None, configuration: Sequence[Path], *, verbose: bool) -> dict[str, Any]:
    with console.quiet(verbose), console.progress() as display:
        display.add_task("Starting Keras and the backends", total=None)
        keras_start.start_keras(backend)
        import keras

        used = keras.backend.backend()
        backends = list(map(_backend, BACKENDS))
    return {
        "cnnexplain": __version__,
        "python": platform.python_version(),
        "keras": keras.__version__,
        "numpy": metadata.version("numpy"),
        "backend": used,
        "backends": backends,
        "model": str(datasets.asset("lenet.keras")),
        "data": str(datasets.asset("mnist.npz")),
        "configuration": list(map(str, configuration)),
    }


def _backend(name: str) -> dict[str, Any]:
    """A backend's version and devices, or why it can't be used."""
    found: dict[str, Any] = {"name": name, "version": None, "devices": [], "problem": None}
    if importlib.util.find_spec(name) is None:
        return {**found, "problem": f"not installed: {BACKENDS[name]}"}
    try:
        devices = list(module(name).devices())
    # A broken backend may raise any error; the others are still reported.
    except Exception as error:  # noqa: BLE001
        check_interrupted(error)
        return {**found, "problem": f"can't be used: {reason(error)}"}
    return {**found, "version": metadata.version(name), "devices": devices}

"""Starts Keras on a backend, once it is known that it can run on it."""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
from pathlib import Path

from cnnexplain.backend import BACKENDS
from cnnexplain.errors import CnnExplainError, UsageError, foreign, reason, shown, suggest


def check_backend(name: str | None) -> None:
    """Checks that Keras can run on a backend of this name; for None, on the one that KERAS_BACKEND names, if any.

    Raises:
        UsageError: There is no such backend.
        CnnExplainError: It is not installed, or Keras runs on another one already.
    """
    wanted = os.environ.get("KERAS_BACKEND", "") if name is None else name
    if name is None and not wanted:
        return
    if wanted not in BACKENDS:
        raise UsageError(
            f"cnnexplain has no backend {shown(wanted)}.{suggest(wanted, BACKENDS)} The backends are {', '.join(BACKENDS)}."
        )
    if importlib.util.find_spec(wanted) is None:
        raise CnnExplainError(f"The backend '{wanted}' is not installed: {BACKENDS[wanted]}")
    running = sys.modules.get("keras")
    if name is not None and running is not None and running.backend.backend() != name:
        raise CnnExplainError(
            f"Keras already runs on '{running.backend.backend()}' in this process; start another process for '{name}'."
        )


def start_keras(backend: str | None) -> None:
    """Imports Keras on this backend; for None, on the one of KERAS_BACKEND or of Keras' own settings.

    Raises:
        UsageError: There is no such backend.
        CnnExplainError: It can't be used.
    """
    check_backend(backend)
    if backend is not None:
        os.environ["KERAS_BACKEND"] = backend
    # The import makes hundreds of thousands of objects that stay. Looking for garbage among them, then and at every later
    # collection, costs a tenth of a cold run.
    gc.disable()
    ours = "keras" not in sys.modules
    # They shorten every training.
    for name in ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"):
        os.environ.pop(name, None)
    try:
        with foreign(_cant_start):
            import keras

        if ours:
            # The other settings of Keras' file are meant for models that the user builds.
            keras.config.set_floatx("float32")
            keras.config.set_epsilon(1e-7)
            keras.config.set_image_data_format("channels_last")
    finally:
        gc.freeze()
        gc.enable()


def _cant_start(error: BaseException) -> CnnExplainError:
    """The error where Keras can't be imported."""
    # Where no other backend was asked for, Keras' own settings name it.
    missing = BACKENDS.get(getattr(error, "name", None) or "")
    file = Path(os.environ.get("KERAS_HOME") or Path("~/.keras").expanduser()) / "keras.json"
    remedy = " Choose"
    if missing:
        remedy = f" Install it ({missing}), or choose"
    elif os.path.lexists(file):
        remedy = f" Correct or remove its settings, '{file}', or choose"
    return CnnExplainError(f"Keras can't start: {reason(error)}.{remedy} another backend with --backend.")

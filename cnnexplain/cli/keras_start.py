"""Starts Keras with a backend, after checking that the backend is installed."""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
from pathlib import Path

from cnnexplain.backend import BACKENDS
from cnnexplain.backend.start import starting
from cnnexplain.errors import CnnExplainError, UsageError, foreign, reason, shown, suggest


def check_backend(name: str | None) -> None:
    """Checks that Keras can use the backend of this name, or for None the one in KERAS_BACKEND, if that is set.

    Raises:
        UsageError: There is no such backend.
        CnnExplainError: It is not installed, or Keras already uses another one.
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
    """Imports Keras with this backend, or for None with the one of KERAS_BACKEND or of Keras' configuration file.

    Raises:
        UsageError: There is no such backend.
        CnnExplainError: It can't be used.
    """
    check_backend(backend)
    if backend is not None:
        os.environ["KERAS_BACKEND"] = backend
    ours = "keras" not in sys.modules
    # These variables would shorten every training.
    for name in ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"):
        os.environ.pop(name, None)
    with foreign(_cant_start), starting():
        import keras

    if ours:
        # In the process of a command, what exists by now is never garbage.
        gc.freeze()
        # The other settings in Keras' configuration file are meant for models that the user builds.
        keras.config.set_floatx("float32")
        keras.config.set_epsilon(1e-7)
        keras.config.set_image_data_format("channels_last")


def _cant_start(error: BaseException) -> CnnExplainError:
    """The error if Keras can't be imported."""
    # Without --backend and KERAS_BACKEND, Keras' configuration file determines the backend.
    missing = BACKENDS.get(getattr(error, "name", None) or "")
    file = Path(os.environ.get("KERAS_HOME") or Path("~/.keras").expanduser()) / "keras.json"
    remedy = " Choose"
    if missing:
        remedy = f" Install it ({missing}), or choose"
    elif os.path.lexists(file):
        remedy = f" Correct or remove its configuration file '{file}', or choose"
    return CnnExplainError(f"Keras can't start: {reason(error)}.{remedy} another backend with --backend.")

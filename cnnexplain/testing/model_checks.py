"""Checks of an analysis on the sample models and on other backends."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.backend import BACKENDS
from cnnexplain.errors import CnnExplainError, PluginError
from cnnexplain.testing import comparison, processes
from cnnexplain.verification.comparison import array_difference

if TYPE_CHECKING:
    from jaxtyping import Shaped

    from cnnexplain.testing.candidate import Candidate

BACKEND_TOLERANCE = 1e-3
"""Relative tolerance for results on different backends."""

OUTLIERS = 0.01
"""Share of values that may differ by more: the gradient jumps if the input of a ReLU is within rounding error of zero."""


def check_models(candidate: Candidate) -> None:
    """The sample models are explained and drawn."""
    from cnnexplain.testing import sample_models

    for name, trial in candidate.trials.items():
        try:
            if isinstance(trial.record, CnnExplainError):
                raise trial.record
            comparison.figures(trial.record, 1)
        except CnnExplainError as error:
            raise PluginError(f"For a model with {sample_models.description(name)}: {error}") from error


def check_backends(candidate: Candidate) -> None:
    """The results on other installed backends differ by rounding only."""
    import keras

    current = keras.backend.backend()
    expected = candidate.trial_arrays()
    for backend in BACKENDS:
        if backend == current or importlib.util.find_spec(backend) is None:
            continue
        arrays = _arrays_on_backend(backend, candidate.together)[candidate.analysis.name]
        if isinstance(arrays, str):
            raise PluginError(f"On {backend}, but not on {current}: {arrays}")
        tolerance = max(BACKEND_TOLERANCE, candidate.tolerance)
        difference = array_difference(arrays, expected, tolerance, outliers=OUTLIERS)
        if difference:
            raise PluginError(
                f"The results on {backend} differ from those on {current}: {difference}. Expected differences due to "
                "rounding only; use keras.ops and the methods of Classifier."
            )


@cache
def _arrays_on_backend(backend: str, names: tuple[str, ...]) -> dict[str, dict[str, Shaped[np.ndarray, " ..."]] | str]:
    """The arrays of analyses for the sample models on another backend, by the analysis; an error message if one fails."""
    with tempfile.TemporaryDirectory() as folder:
        done = processes.run_worker("compute", folder, *names, KERAS_BACKEND=backend)
        if done.returncode:
            return dict.fromkeys(names, f"Keras does not start: {processes.last_line(done.stderr)}")
        results: dict[str, dict[str, Shaped[np.ndarray, " ..."]] | str] = dict(json.loads(done.stdout.splitlines()[-1]))
        for name in names:
            if name not in results:
                with np.load(Path(folder) / f"{name}.npz") as arrays:
                    results[name] = dict(arrays)
    return results

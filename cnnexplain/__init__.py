"""cnnexplain: see what a convolutional network sees.

>>> import cnnexplain as cx
>>> clf = cx.load()
>>> record = cx.explain("saliency", clf, "mnist:test/42")
>>> record.arrays["gradient"].shape
(1, 28, 28, 1)

Importing this package imports neither Keras nor Matplotlib: the names below are imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnexplain.errors import CnnExplainError, ImageError, ModelError, OutputError, PluginError, UsageError
    from cnnexplain.evaluation.compare import benchmark
    from cnnexplain.evaluation.leaderboard import Standing
    from cnnexplain.evaluation.quantus import explain_func
    from cnnexplain.evaluation.scoreboard import Scoreboard
    from cnnexplain.evaluation.truth.compare import benchmark_truth
    from cnnexplain.evaluation.truth.leaderboard import TruthBoard
    from cnnexplain.inputs.datasets import imagenet_labels, mnist
    from cnnexplain.inputs.image_stream import Stream, open_stream
    from cnnexplain.inputs.images import ImageBatch, read_images
    from cnnexplain.inputs.preprocess import Preprocess
    from cnnexplain.loading.affine import linear_preprocessing
    from cnnexplain.loading.loader import load
    from cnnexplain.loading.stored_weights import check_hdf5
    from cnnexplain.model.classifier import Classifier
    from cnnexplain.model.computation.objectives import Channel, Direction, Logit, Neuron, Objective
    from cnnexplain.model.geometry.axes import Axis, Field, Spans
    from cnnexplain.model.geometry.convolutions import Convolution
    from cnnexplain.model.geometry.layers import Layer
    from cnnexplain.pipeline.explain import explain, explain_parts
    from cnnexplain.plugin.registry import analyses
    from cnnexplain.results.record import Record, load_parts
    from cnnexplain.results.redraw import redraw
    from cnnexplain.results.report_file import write_report
    from cnnexplain.results.verification import Verification
    from cnnexplain.types import Array, Floats, Integers
    from cnnexplain.verification.verify import verify

__version__ = "0.1.0"

__all__ = [
    "Array",
    "Axis",
    "Channel",
    "Classifier",
    "CnnExplainError",
    "Convolution",
    "Direction",
    "Field",
    "Floats",
    "ImageBatch",
    "ImageError",
    "Integers",
    "Layer",
    "Logit",
    "ModelError",
    "Neuron",
    "Objective",
    "OutputError",
    "PluginError",
    "Preprocess",
    "Record",
    "Scoreboard",
    "Spans",
    "Standing",
    "Stream",
    "TruthBoard",
    "UsageError",
    "Verification",
    "analyses",
    "benchmark",
    "benchmark_truth",
    "check_hdf5",
    "explain",
    "explain_func",
    "explain_parts",
    "imagenet_labels",
    "linear_preprocessing",
    "load",
    "load_parts",
    "mnist",
    "open_stream",
    "read_images",
    "redraw",
    "verify",
    "write_report",
]

_HOMES = {
    "inputs.datasets": ("imagenet_labels", "mnist"),
    "loading.affine": ("linear_preprocessing",),
    "loading.stored_weights": ("check_hdf5",),
    "model.geometry.axes": ("Axis", "Field", "Spans"),
    "types": ("Array", "Floats", "Integers"),
    "model.classifier": ("Classifier",),
    "model.geometry.convolutions": ("Convolution",),
    "model.geometry.layers": ("Layer",),
    "errors": ("CnnExplainError", "ImageError", "ModelError", "OutputError", "PluginError", "UsageError"),
    "evaluation.compare": ("benchmark",),
    "evaluation.leaderboard": ("Standing",),
    "evaluation.quantus": ("explain_func",),
    "evaluation.scoreboard": ("Scoreboard",),
    "evaluation.truth.compare": ("benchmark_truth",),
    "evaluation.truth.leaderboard": ("TruthBoard",),
    "inputs.images": ("ImageBatch", "read_images"),
    "loading.loader": ("load",),
    "model.computation.objectives": ("Channel", "Direction", "Logit", "Neuron", "Objective"),
    "pipeline.explain": ("explain", "explain_parts"),
    "inputs.preprocess": ("Preprocess",),
    "results.record": ("Record", "load_parts"),
    "plugin.registry": ("analyses",),
    "results.redraw": ("redraw",),
    "results.report_file": ("write_report",),
    "inputs.image_stream": ("Stream", "open_stream"),
    "results.verification": ("Verification",),
    "verification.verify": ("verify",),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            from cnnexplain.backend.start import starting
            from cnnexplain.rendering.notebook import quiet_start

            with quiet_start(), starting():
                # Later uses find the name without this function.
                return globals().setdefault(name, getattr(import_module(f"cnnexplain.{module}"), name))
    raise AttributeError(f"module 'cnnexplain' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

"""cnnexplain: see what a convolutional network sees.

>>> import cnnexplain as cx
>>> clf = cx.load()
>>> record = cx.explain("saliency", clf, "mnist:test/42")
>>> record.arrays["gradient"].shape
(1, 28, 28, 1)

Importing this package imports neither Keras nor Matplotlib: each name below is fetched when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cnnexplain.notebook import quiet_start

if TYPE_CHECKING:
    from cnnexplain.classifier import Classifier, Layer
    from cnnexplain.errors import CnnExplainError, ImageError, ModelError, OutputError, PluginError, UsageError
    from cnnexplain.images import ImageBatch, read_images
    from cnnexplain.loading import load
    from cnnexplain.objectives import Channel, Direction, Logit, Neuron, Objective
    from cnnexplain.page import write_report
    from cnnexplain.pipeline import explain, explain_parts
    from cnnexplain.preprocess import Preprocess
    from cnnexplain.record import Record
    from cnnexplain.registry import analyses
    from cnnexplain.saved import load_parts, redraw
    from cnnexplain.stream import Stream, open_stream

__version__ = "0.1.0"

__all__ = [
    "Channel",
    "Classifier",
    "CnnExplainError",
    "Direction",
    "ImageBatch",
    "ImageError",
    "Layer",
    "Logit",
    "ModelError",
    "Neuron",
    "Objective",
    "OutputError",
    "PluginError",
    "Preprocess",
    "Record",
    "Stream",
    "UsageError",
    "analyses",
    "explain",
    "explain_parts",
    "load",
    "load_parts",
    "open_stream",
    "read_images",
    "redraw",
    "write_report",
]

_HOMES = {
    "classifier": ("Classifier", "Layer"),
    "errors": ("CnnExplainError", "ImageError", "ModelError", "OutputError", "PluginError", "UsageError"),
    "images": ("ImageBatch", "read_images"),
    "loading": ("load",),
    "objectives": ("Channel", "Direction", "Logit", "Neuron", "Objective"),
    "page": ("write_report",),
    "pipeline": ("explain", "explain_parts"),
    "preprocess": ("Preprocess",),
    "record": ("Record",),
    "registry": ("analyses",),
    "saved": ("load_parts", "redraw"),
    "stream": ("Stream", "open_stream"),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            with quiet_start():
                return getattr(import_module(f"cnnexplain.{module}"), name)
    raise AttributeError(f"module 'cnnexplain' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

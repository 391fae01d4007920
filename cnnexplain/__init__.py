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

if TYPE_CHECKING:
    from cnnexplain.classifier import Classifier, load
    from cnnexplain.errors import CnnExplainError, ImageError, ModelError, OutputError, PluginError, UsageError
    from cnnexplain.images import ImageBatch, read_images
    from cnnexplain.pipeline import explain
    from cnnexplain.record import Record

__version__ = "0.1.0"

__all__ = [
    "Classifier",
    "CnnExplainError",
    "ImageBatch",
    "ImageError",
    "ModelError",
    "OutputError",
    "PluginError",
    "Record",
    "UsageError",
    "explain",
    "load",
    "read_images",
]

_HOMES = {
    "classifier": ("Classifier", "load"),
    "errors": ("CnnExplainError", "ImageError", "ModelError", "OutputError", "PluginError", "UsageError"),
    "images": ("ImageBatch", "read_images"),
    "pipeline": ("explain",),
    "record": ("Record",),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"cnnexplain.{module}"), name)
    raise AttributeError(f"module 'cnnexplain' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

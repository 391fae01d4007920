"""Numerical helpers for authors of analyses: baselines, copies of images, interpolation, completeness, Fourier spectra.

Importing this package imports neither NumPy nor Keras: each name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnexplain.inputs.preprocess import LUMA
    from cnnexplain.inputs.resizing import resize
    from cnnexplain.model.computation.copies import Copies
    from cnnexplain.numerics import spectrum
    from cnnexplain.numerics.baselines import BASELINES, baseline_function, baseline_images, blurred, gaussian
    from cnnexplain.numerics.completeness import completeness_facts
    from cnnexplain.numerics.crops import ten_crop_gradients, ten_crops
    from cnnexplain.numerics.interpolation import averaged, bicubic, bilinear
    from cnnexplain.numerics.maps import channel_maxima, peaks, relative_error
    from cnnexplain.numerics.prefetching import prefetched
    from cnnexplain.numerics.sampling import Batch, batches, evenly_spaced
    from cnnexplain.numerics.views import affine_views, weighted_pixels

__all__ = [
    "BASELINES",
    "LUMA",
    "Batch",
    "Copies",
    "affine_views",
    "averaged",
    "baseline_function",
    "baseline_images",
    "batches",
    "bicubic",
    "bilinear",
    "blurred",
    "channel_maxima",
    "completeness_facts",
    "evenly_spaced",
    "gaussian",
    "peaks",
    "prefetched",
    "relative_error",
    "resize",
    "spectrum",
    "ten_crop_gradients",
    "ten_crops",
    "weighted_pixels",
]

_HOMES = {
    "numerics.baselines": ("BASELINES", "baseline_function", "baseline_images", "blurred", "gaussian"),
    "numerics.completeness": ("completeness_facts",),
    "numerics.crops": ("ten_crop_gradients", "ten_crops"),
    "numerics.interpolation": ("averaged", "bicubic", "bilinear"),
    "numerics.maps": ("channel_maxima", "peaks", "relative_error"),
    "numerics.prefetching": ("prefetched",),
    "numerics.sampling": ("Batch", "batches", "evenly_spaced"),
    "numerics.views": ("affine_views", "weighted_pixels"),
    "model.computation.copies": ("Copies",),
    "inputs.preprocess": ("LUMA",),
    "inputs.resizing": ("resize",),
}


def __getattr__(name: str) -> Any:
    if name == "spectrum":
        return import_module("cnnexplain.numerics.spectrum")
    for module, names in _HOMES.items():
        if name in names:
            # Later uses find the name without this function.
            return globals().setdefault(name, getattr(import_module(f"cnnexplain.{module}"), name))
    raise AttributeError(f"module 'cnnexplain.numerics' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

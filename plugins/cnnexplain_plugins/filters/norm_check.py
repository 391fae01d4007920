"""The norms of kernels, recomputed from the kernels, and the kernels from the weights of the model."""

from __future__ import annotations

import numpy as np

from cnnexplain.checks import ROUNDING, difference
from cnnexplain.plugin import Measurement, Subject


def measure(subject: Subject) -> Measurement:
    """The largest relative difference of a norm; and of the norm of all kernels of an ordinary convolution."""
    arrays, worst = subject.record.arrays, 0.0
    names = [name.removeprefix("kernel/") for name in arrays if name.startswith("kernel/")]
    weights = {each.layer.name: each.inner.get_weights()[0] for each in subject.classifier.filters}
    for name in names:
        kernel = arrays[f"kernel/{name}"].astype(np.float64)
        # (h, w, I, O) over rows and columns, in the order (O, I).
        worst = max(worst, difference(arrays[f"norm/{name}"], np.sqrt((kernel**2).sum(axis=(0, 1))).T))
        if weights[name].shape == kernel.shape:
            worst = max(worst, difference(kernel, weights[name]))
    return Measurement(worst, ROUNDING, f"{len(names)} layers")

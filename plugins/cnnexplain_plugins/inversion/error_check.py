"""The errors of reconstructions, recomputed from the pictures that were saved."""

from __future__ import annotations

import numpy as np

from cnnexplain.plugin import Measurement, Subject

LIMIT, LEAST = 1e-3, 1e-6
"""The largest relative difference of an error, and the error up to which differences are taken relative to this number:
errors are squares of differences, in which rounding counts more."""


def measure(subject: Subject) -> Measurement:
    """The largest difference of the recorded errors of the reconstructions from new ones, relative to these."""
    classifier, image = subject.classifier, subject.image.astype(np.float64)
    recorded, pixels = subject.fact("representation_error"), subject.fact("pixel_error")
    contrast = float(np.square(image - subject.fact("mean")).sum())
    worst = 0.0
    for layer in recorded:
        picture = subject.array(f"reconstruction/{layer}")[None]
        code, reached = (
            classifier.activations(each, [layer])[layer].astype(np.float64) for each in (subject.image, picture)
        )
        size = float(np.square(code).sum()) or 1.0
        errors = float(np.square(reached - code).sum()) / size, float(np.square(picture - image).sum()) / (contrast or 1.0)
        for found, expected in zip((recorded[layer], pixels[layer]), errors, strict=True):
            worst = max(worst, abs(found - expected) / max(expected, LEAST))
    return Measurement(worst, LIMIT, f"{len(recorded)} layers")

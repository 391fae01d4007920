"""Outputs of layers, checked by running the rest of the network on them."""

from __future__ import annotations

import numpy as np

from cnnexplain import checks
from cnnexplain.numerics import evenly_spaced
from cnnexplain.plugin import Measurement, Subject

LAYERS, MAPS = 6, 8
"""The number of layers, evenly spaced over those of the result, and of their feature maps."""


def scores(subject: Subject) -> Measurement:
    """The largest difference between the scores of the image and those from the output of a layer."""
    classifier, image = subject.classifier, subject.image
    expected = classifier.logits(image)
    worst, names = 0.0, _names(subject)
    for name in names:
        after = classifier.activations_after(image, name, subject.array(f"output/{name}")[None])
        worst = max(worst, checks.difference(after["logits"], expected))
    return Measurement(
        worst, checks.rounding(classifier), f"from the outputs of {len(names)} layers, relative to the largest score"
    )


def contributions(subject: Subject) -> Measurement:
    """The largest error of the contributions of some maps of a layer, relative to these contributions."""
    if subject.objective is None:
        return Measurement(None, detail="no target is explained")
    if checks.rounding(subject.classifier) > checks.ROUNDING:
        return Measurement(None, detail="in half precision, rounding hides small changes of feature maps")
    worst = Measurement(None, detail="no layer leads to the score")
    for name in _names(subject):
        output = subject.array(f"output/{name}")
        channels = subject.random.permutation(output.shape[-1])[:MAPS]
        directions = np.zeros((len(channels), *output.shape))
        for direction, channel in zip(directions, channels, strict=True):
            direction[..., channel] = output[..., channel]
        function = checks.tail_scores(subject.classifier, subject.image, name, subject.objective)
        found = subject.array(f"contribution/{name}")[channels].astype(np.float64)
        measured = checks.slope_measurement(found, checks.slopes(function, output, directions), f"maps of '{name}'")
        worst = max(worst, measured, key=lambda each: each.excess)
    return worst


def _names(subject: Subject) -> list[str]:
    """The names of some layers of the result that the score depends on."""
    names = [layer["name"] for layer in subject.fact("layers") if layer["contribution"] is not None]
    return evenly_spaced(names, LAYERS)

"""The projections with the rule 'gradient', which are those of the ordinary gradient."""

from __future__ import annotations

import numpy as np

from cnnexplain import Neuron
from cnnexplain.checks import confirmed, difference, rounding
from cnnexplain.plugin import Measurement, Subject
from cnnexplain_plugins.deconvnet import crops

MAPS = "2"
"""The number of feature maps of each layer."""


def measure(subject: Subject) -> Measurement:
    """The largest difference from activation × ∂(unit)/∂x, relative to the largest magnitude in the projection."""
    record = subject.explain(rule=("gradient",), maps=MAPS)
    worst, count = 0.0, 0
    for layer, units in record.facts["strongest"][0].items():
        for rank, unit in enumerate(units):
            # A unit that is clipped has no gradient, while its projection starts before the clip.
            if unit["activation"] != unit["unclipped"] or not unit["activation"]:
                continue
            neuron = Neuron(layer, unit["row"], unit["column"], unit["map"])
            signal = unit["activation"] * subject.classifier.gradient(subject.image, [neuron])[0]
            projection = record.arrays[f"projection/{layer}/gradient"][0, rank]
            expected = np.zeros_like(projection)
            crops.cut(signal, tuple(unit["corner"]), expected)
            worst, count = max(worst, difference(projection, expected)), count + 1
    if not count:
        return Measurement(None, detail="every unit is inactive or clipped")
    found = Measurement(worst, rounding(subject.classifier), f"{count} units of {len(record.facts['strongest'][0])} layers")
    return confirmed(found, subject, [name for name in subject.record.arrays if name.startswith("projection/")])

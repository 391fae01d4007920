"""The values that units reach, recomputed from the pictures that were saved."""

from __future__ import annotations

import numpy as np

from cnnexplain import Logit, Objective
from cnnexplain.numerics import resize
from cnnexplain.plugin import Measurement, Subject
from cnnexplain_plugins.activation_maximization.units import choose

LIMIT = 1e-3
"""The largest relative difference: pictures are saved in the input range, and resized again."""


def measure(subject: Subject) -> Measurement:
    """The largest difference of the recorded values from those of the saved pictures, relative to the largest value."""
    classifier, record = subject.classifier, subject.record
    units, values, pictures = record.facts["unit"], record.facts["value"], record.arrays["optimum"]
    named = {each.describe(classifier.labels): each for each in _objectives(subject)}
    known = [place for place, unit in enumerate(units) if unit in named and values[place] is not None]
    if not known:
        return Measurement(None, detail="no unit is a class, or a unit of the option 'layer'")
    preprocess = classifier.preprocess
    shown = pictures[known]
    if shown.shape[1:] != preprocess.shape:
        small = [resize(u, preprocess.height, preprocess.width) for u in preprocess.decode(shown)]
        shown = preprocess.encode(np.stack(small))
    found = classifier.values(shown, [named[units[place]] for place in known]).astype(np.float64)
    recorded = np.array([values[place] for place in known])
    size = float(np.abs(found).max())
    return Measurement(float(np.abs(found - recorded).max()) / (size or 1.0), LIMIT, f"{len(known)} of {len(units)} units")


def _objectives(subject: Subject) -> list[Objective]:
    """The units that the options select; without a layer, all classes."""
    layer, classifier = subject.options["layer"], subject.classifier
    if layer is None:
        return [Logit(index) for index in range(len(classifier.labels))]
    return choose(classifier, [], layer, tuple(subject.options["unit"]), slow=False)[0]

"""Explains images on the backend of this process: explain.py MODEL IMAGES DATASET OPTIONS OUT, each as JSON."""

import json
import sys

import numpy as np

import cnnexplain as cx

model, images, photos, options, out = (json.loads(word) for word in sys.argv[1:])
clf = cx.load(model)
found = {}
for name, own in options.items():
    inputs = cx.analyses()[name].inputs
    dataset = {"dataset": photos} if "dataset" in inputs else {}
    target = {"target": [3, 7]} if "objectives" in inputs else {}
    given = {"images": images} if "images" in inputs else target
    record = cx.explain(name, clf, **given, **dataset, **own)
    found |= {f"{name}/{key}": array for key, array in record.arrays.items()}
    # What is optimized may end at another picture of the same worth.
    for fact in ("value", "representation_error"):
        if fact in record.facts:
            found[f"{name}/facts/{fact}"] = np.array(
                [list(each.values()) if isinstance(each, dict) else each for each in record.facts[fact]]
            )
np.savez(out, **found)

"""The runs of which the arrays are kept in golden/, one file for each built-in analysis, and how to regenerate them.

Run it with: python tests/golden_runs.py [ANALYSIS]...
"""

import sys
from pathlib import Path

import numpy as np

import cnnexplain as cx
from cnnexplain.plugin import registry

FOLDER = Path(__file__).parent / "golden"
IMAGES = ["mnist:test/42", "mnist:test/7"]
ANALYSES = {
    name: analysis
    for name, analysis in registry.load().analyses.items()
    if registry.load().analyses.suppliers[name].distribution == "cnnexplain"
}

OPTIONS = {
    "saliency": {"crops": "ten"},
    "smoothgrad": {"samples": 5},
    "integrated-gradients": {"steps": 8},
    "rise": {"masks": 30},
    "occlusion": {"stride": 3, "layer": "relu2"},
    # Its evidence is negative in places.
    "gradcam": {"method": "gradcam"},
    "deconvnet": {"rule": ["deconvnet", "guided", "gradient"], "maps": "3", "layer": ["relu2"]},
    "filters": {"layer": ["conv1"]},
    "intermediate-outputs": {"layer": ["pool1", "relu2", "dense", "logits"]},
    "inversion": {"layer": ["pool1", "dense", "logits"], "iterations": 30},
    "activation-maximization": {"steps": 20, "starts": 2},
}
"""The options of the analyses that are not run with those of their `Analysis.trial`."""


def computed(name):
    """The arrays that an analysis of the LeNet computes, and the values of what is optimized, as arrays by name."""
    analysis = ANALYSES[name]
    images = {"images": IMAGES} if "images" in analysis.inputs else {}
    target = {} if images or "objectives" not in analysis.inputs else {"target": [3, 7]}
    dataset = {"dataset": IMAGES} if "dataset" in analysis.inputs else {}
    record = cx.explain(name, cx.load(), **images, **target, **dataset, **OPTIONS.get(name, analysis.trial))
    found = dict(record.arrays)
    for fact in ("value", "representation_error"):
        if fact in record.facts:
            values = [list(each.values()) if isinstance(each, dict) else each for each in record.facts[fact]]
            found[f"facts/{fact}"] = np.array(values)
    return found


if __name__ == "__main__":
    for analysis in sys.argv[1:] or ANALYSES:
        np.savez_compressed(FOLDER / f"{analysis}.npz", **computed(analysis))
        print(f"{analysis}: {(FOLDER / f'{analysis}.npz').stat().st_size / 1000:.0f} kB")  # noqa: T201

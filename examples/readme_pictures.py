"""Draws the pictures that the README and the documentation show, from the shipped LeNet.

Run it in the root of the repository with: python examples/readme_pictures.py [FOLDER]
"""

import sys
from pathlib import Path

import cnnexplain as cx

DPI = 80

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
folder.mkdir(parents=True, exist_ok=True)
clf = cx.load()

figures = {}
for name in (
    *("saliency", "occlusion", "gradcam", "intermediate-outputs", "inversion"),
    *("smoothgrad", "integrated-gradients", "gradient-x-input", "rise"),
):
    figures[name] = cx.explain(name, clf, "mnist:test/42").figure()
deconvnet = cx.explain("deconvnet", clf, "mnist:test/42")
figures["deconvnet"] = deconvnet.figure()
figures["deconvnet-patches"] = deconvnet.overview()["strongest-patches-relu2"]
kernels = cx.explain("filters", clf).overview()
figures |= {"filters-templates": kernels["templates-conv1"], "filters-kernels": kernels["kernels-conv2"]}
(figures["activation-maximization"],) = cx.explain("activation-maximization", clf).overview().values()

for name, figure in figures.items():
    figure.savefig(folder / f"{name}.png", dpi=DPI)
    print(f"wrote {folder / f'{name}.png'}")

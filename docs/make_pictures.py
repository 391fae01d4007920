"""Creates the pictures of the documentation: gallery, README, tutorial, and the outputs of the notebook.

The gallery shows every installed analysis with default options for a digit and two photographs. Run it in the root of the
repository, with the extras `photos` and `test` installed:

    python docs/make_pictures.py [gallery] [control] [first] [tutorial] [tour]
"""

from __future__ import annotations

import io
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

import cnnexplain as cx
from cnnexplain import draw
from cnnexplain.cli.app import main

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cnnexplain.types import Array

DOCS = Path(__file__).parent
PHOTOS = DOCS.parent / "examples" / "photos"
GALLERY, FIRST, TUTORIAL = DOCS / "images", DOCS / "images" / "first.webp", DOCS / "tutorial"

WIDTH = 1200
"""Wider pictures are reduced to this width, in pixels."""

DIGIT = "mnist:test/42"
IMAGES = {"digit": DIGIT, "cat": str(PHOTOS / "cat.jpg"), "espresso": str(PHOTOS / "espresso.jpg")}
"""The explained images, by the name used in file names."""

CLASSES = ["flamingo", "espresso", "giant panda, panda, panda bear, coon bear, Ailuropoda melanoleuca", "daisy"]
"""The classes of EfficientNet-lite0 for which the gallery shows activation maximization."""

SHEETS = ("strongest-patches-relu2", "templates-conv1", "kernels-conv2", "kernels-stem_conv", "kernels-block3b_project")
"""The sheets that are kept if an analysis draws several for a data set or model."""

CAT, ESPRESSO = (f"examples/photos/{name}.jpg --model efficientnet-lite0" for name in ("cat", "espresso"))

PICTURES = {
    "digit-layers": (
        "cnnexplain run intermediate-outputs mnist:test/42 --layer conv1 --layer relu1 --layer relu2 --layer dense",
        "intermediate-outputs/mnist-test-42.png",
    ),
    "cat-layers": (
        f"cnnexplain run intermediate-outputs {CAT} --layer block2a_expand_relu --layer block5c_add --layer head_relu",
        "intermediate-outputs/cat.png",
    ),
    "digit-inversion": ("cnnexplain run inversion mnist:test/42", "inversion/mnist-test-42.png"),
    "cat-inversion": (f"cnnexplain run inversion {CAT}", "inversion/cat.png"),
    "digit-saliency": ("cnnexplain run saliency mnist:test/42 --target 4 --against 9", "saliency/mnist-test-42.png"),
    "digit-occlusion": ("cnnexplain run occlusion mnist:test/42", "occlusion/mnist-test-42.png"),
    "cat-saliency": (f"cnnexplain run saliency {CAT}", "saliency/cat.png"),
    "cat-gradcam": (f"cnnexplain run gradcam {CAT}", "gradcam/cat.png"),
    "cat-integrated-gradients": (f"cnnexplain run integrated-gradients {CAT}", "integrated-gradients/cat.png"),
    "espresso-occlusion": (f"cnnexplain run occlusion {ESPRESSO}", "occlusion/espresso.png"),
    "digit-classes": ("cnnexplain run activation-maximization", "activation-maximization/activation-maximization.png"),
    "digit-patches": ("cnnexplain run deconvnet mnist:test/42 --layer relu2", "deconvnet/strongest-patches-relu2.png"),
    "espresso-class": (
        "cnnexplain run activation-maximization --model efficientnet-lite0 --target espresso",
        "activation-maximization/activation-maximization.png",
    ),
}
"""The pictures of the tutorial by name: the command, and the file to show in the folder of its results."""


def gallery() -> None:
    """Runs every analysis on a digit and two photographs, or on the two models; prints the time of each."""
    lenet, photos = cx.load(), cx.load("efficientnet-lite0")
    for name, analysis in cx.analyses().items():
        for image, source in IMAGES.items():
            classifier = lenet if image == "digit" else photos
            if "images" in analysis.inputs:
                _explain(name, image, lambda n=name, c=classifier, s=source: cx.explain(n, c, s))
            elif image != "espresso":
                target = {"target": CLASSES} if "objectives" in analysis.inputs and image == "cat" else {}
                _explain(
                    name,
                    "digits" if image == "digit" else "photographs",
                    lambda n=name, c=classifier, t=target: cx.explain(n, c, **t),
                )


def _explain(name: str, image: str, explain: Callable[[], cx.Record]) -> None:
    started = time.perf_counter()
    record = explain()
    seconds = time.perf_counter() - started
    for title, figure in _figures(record):
        path = GALLERY / f"{name}-{image}{title}.webp"
        _save(_drawn(figure), path)
        print(f"{path.relative_to(DOCS.parent)}: {seconds:.1f} s, {path.stat().st_size / 1000:.0f} kB", flush=True)


def _figures(record: cx.Record) -> Iterator[tuple[str, Figure]]:
    if len(record):
        yield "", record.figure()
    sheets = record.overview()
    for title, figure in sheets.items():
        if title in SHEETS or len(sheets) == 1:
            yield "" if len(sheets) == 1 else f"-{title}", figure


def control() -> None:
    """Draws the saliency of the cat beside that of the network with shuffled weights."""
    record = cx.explain("saliency", cx.load("efficientnet-lite0"), IMAGES["cat"], control=True)
    _save(_drawn(record.figure()), GALLERY / "control.webp")


def first() -> None:
    """Draws two photographs and a digit, each explained by five methods."""
    figure = draw_first()
    _save(_drawn(figure, 200), FIRST, quality=88)
    print(f"{FIRST.relative_to(DOCS.parent)}: {FIRST.stat().st_size / 1000:.0f} kB")


def draw_first() -> Figure:
    """The figure, with methods in columns and images in rows."""
    from matplotlib.figure import Figure

    photos = cx.load("efficientnet-lite0")
    rows = [
        (photos, IMAGES["espresso"], "block5c_add"),
        (photos, IMAGES["cat"], "block5c_add"),
        (cx.load(), DIGIT, "pool2"),
    ]
    heads = ("input", "Grad-CAM", "occlusion", "integrated gradients", "inversion", "picture of the class")
    side, gap, left, top = 1.5, 0.08, 0.08, 0.36
    width = 2 * left + len(heads) * side + (len(heads) - 1) * gap
    height = top + len(rows) * side + (len(rows) - 1) * gap + left
    figure = Figure((width, height), facecolor="white")
    for row, (classifier, source, layer) in enumerate(rows):
        for column, picture in enumerate(_methods(classifier, source, layer)):
            place = (left + column * (side + gap), height - top - side - row * (side + gap), side, side)
            axes: Axes = figure.add_axes((place[0] / width, place[1] / height, side / width, side / height))
            axes.set_axis_off()
            axes.imshow(np.clip(picture, 0, 1), interpolation="antialiased")
            if not row:
                axes.set_title(heads[column], fontsize=9)
    return figure


def _methods(classifier: cx.Classifier, source: str, layer: str) -> Iterator[Array]:
    """The image, three maps over it, its inversion and a picture of the predicted class, as RGB from 0 to 1."""

    def rgb(record: cx.Record, values: Array) -> Array:
        return np.broadcast_to(draw.image_rgb(record, values), (*values.shape[:2], 3))

    record = cx.explain("gradcam", classifier, source)
    yield rgb(record, record.images[0])
    for name in ("gradcam", "occlusion", "integrated-gradients"):
        record = record if name == "gradcam" else cx.explain(name, classifier, source)
        overlay = record.analysis.overlay
        values = record.arrays[next(iter(record.analysis.maps))][0] if overlay is None else overlay(record, 0)
        signed = bool((values < 0).any())
        yield draw.overlay_rgb(record, 0, values, limit=draw.percentile_limit(values), signed=signed)
    inverted = cx.explain("inversion", classifier, source, layer=[layer])
    yield rgb(inverted, next(iter(inverted.arrays.values()))[0])
    best = cx.explain("activation-maximization", classifier, target=record.explained[0].prediction)
    yield rgb(best, best.arrays["optimum"][0])


def tutorial() -> None:
    """Runs the commands of the tutorial, each in a separate folder, and keeps the pictures that it describes."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as scratch:
        for name, (command, file) in PICTURES.items():
            place = Path(scratch) / name
            place.mkdir()
            shutil.copytree(PHOTOS, place / "examples" / "photos")
            os.chdir(place)
            try:
                if main(shlex.split(command)[1:]) != 0:
                    sys.exit(f"failed: {command}")
            finally:
                os.chdir(here)
            with Image.open(place / "cnnexplain-out" / file) as picture:
                _save(picture.convert("RGB"), TUTORIAL / f"{name}.webp")


def tour() -> None:
    """Executes the example notebook and saves its outputs."""
    import nbformat
    from nbclient import NotebookClient

    path = PHOTOS.parent / "tour.ipynb"
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": PHOTOS.parent}}).execute()
    for cell in notebook.cells:
        # Execution times do not matter to readers.
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            # Remove progress bars, which have been cleared.
            cell.outputs = [
                output for output in cell.outputs if output.output_type != "display_data" or output.data.get("image/png")
            ]
    nbformat.write(notebook, path)


def _drawn(figure: Figure, dpi: int = 110) -> Image.Image:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=dpi)
    return Image.open(data).convert("RGB")


def _save(picture: Image.Image, path: Path, quality: int = 82) -> None:
    width = min(WIDTH, picture.width)
    height = round(picture.height * width / picture.width)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.resize((width, height), Image.Resampling.LANCZOS).save(path, quality=quality, method=6)


PARTS = {"gallery": gallery, "control": control, "first": first, "tutorial": tutorial, "tour": tour}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()

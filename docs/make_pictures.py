"""Runs the commands that the tutorial shows, and keeps the pictures that it describes.

Run it in the root of the repository, with the extra `photos` installed, with: python docs/make_pictures.py [FOLDER]
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

from cnnexplain.cli import main

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "tutorial"
WIDTH = 960
"""Pixels to which a wider picture is brought."""

CAT, ESPRESSO = (f"examples/photos/{name}.jpg --model efficientnet-lite0" for name in ("cat", "espresso"))

PICTURES = {
    "digit-layers": (
        "cnnexplain run intermediate-outputs mnist:test/42 --layer conv1 --layer relu1 --layer relu2 --layer dense",
        "intermediate-outputs/mnist-test-42.png",
    ),
    "cat-layers": (
        f"cnnexplain run intermediate-outputs {CAT} --layer stem_relu --layer block4c_add --scale channel",
        "intermediate-outputs/cat.png",
    ),
    "digit-inversion": ("cnnexplain run inversion mnist:test/42", "inversion/mnist-test-42.png"),
    "cat-inversion": (
        f"cnnexplain run inversion {CAT} --layer stem_relu --layer block3b_add --layer block4c_add --layer logits",
        "inversion/cat.png",
    ),
    "digit-saliency": ("cnnexplain run saliency mnist:test/42 --target 4 --against 9", "saliency/mnist-test-42.png"),
    "digit-occlusion": ("cnnexplain run occlusion mnist:test/42", "occlusion/mnist-test-42.png"),
    "cat-saliency": (f"cnnexplain run saliency {CAT}", "saliency/cat.png"),
    "cat-gradcam": (f"cnnexplain run gradcam {CAT}", "gradcam/cat.png"),
    "cat-integrated-gradients": (f"cnnexplain run integrated-gradients {CAT}", "integrated-gradients/cat.png"),
    "espresso-occlusion": (f"cnnexplain run occlusion {ESPRESSO}", "occlusion/espresso.png"),
    "digit-classes": ("cnnexplain run activation-maximization", "activation-maximization/activation-maximization.png"),
    "digit-patches": ("cnnexplain run deconvnet mnist:test/42 --layer relu2", "deconvnet/strongest-patches-relu2.png"),
    "espresso-class": (
        "cnnexplain run activation-maximization --model efficientnet-lite0 --target espresso --starts 1 --steps 100",
        "activation-maximization/activation-maximization.png",
    ),
}
"""The pictures by name: the command and the file, in the folder of its results, that the tutorial shows."""


def make(folder: Path) -> None:
    """Makes the pictures, each command in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        for name, (command, file) in PICTURES.items():
            place = Path(scratch) / name
            place.mkdir()
            shutil.copytree(ROOT / "examples" / "photos", place / "examples" / "photos")
            os.chdir(place)
            if main(shlex.split(command)[1:]) != 0:
                sys.exit(f"failed: {command}")
            _shrink(place / "cnnexplain-out" / file, folder / f"{name}.webp")


def _shrink(drawn: Path, kept: Path) -> None:
    with Image.open(drawn) as picture:
        plain = picture.convert("RGB")
    width = min(WIDTH, plain.width)
    height = round(plain.height * width / plain.width)
    plain.resize((width, height), Image.Resampling.LANCZOS).save(kept, lossless=True, method=6)


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)

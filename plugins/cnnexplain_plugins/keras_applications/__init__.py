"""The networks of keras.applications, trained on ImageNet."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cnnexplain.plugin import NamedModel, hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    from cnnexplain.plugin import Pretrained

NAMES = {
    "convnext": ("ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtSmall", "ConvNeXtTiny", "ConvNeXtXLarge"),
    "densenet": ("DenseNet121", "DenseNet169", "DenseNet201"),
    "efficientnet": tuple(f"EfficientNetB{size}" for size in range(8)),
    "efficientnet_v2": tuple(f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3", "L", "M", "S")),
    "inception_resnet_v2": ("InceptionResNetV2",),
    "inception_v3": ("InceptionV3",),
    "mobilenet": ("MobileNet",),
    "mobilenet_v2": ("MobileNetV2",),
    "mobilenet_v3": ("MobileNetV3Large", "MobileNetV3Small"),
    "nasnet": ("NASNetLarge", "NASNetMobile"),
    "resnet": ("ResNet101", "ResNet152", "ResNet50"),
    "resnet_v2": ("ResNet101V2", "ResNet152V2", "ResNet50V2"),
    "vgg16": ("VGG16",),
    "vgg19": ("VGG19",),
    "xception": ("Xception",),
}
"""The networks, by the module of keras.applications with their `preprocess_input`. They are listed here because declaring
them must not import Keras."""


def _load(module: str, name: str, weights: Path | None) -> Pretrained:
    from cnnexplain_plugins.keras_applications import pretrained

    return pretrained.load(module, name, weights)


@hookimpl
def cnnexplain_models() -> list[NamedModel]:
    """Declares every network as "keras:NAME"."""
    return [
        NamedModel(f"keras:{name}", f"{name} of keras.applications, trained on ImageNet.", partial(_load, module, name))
        for module, names in NAMES.items()
        for name in names
    ]

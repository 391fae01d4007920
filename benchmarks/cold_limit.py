"""The least that a cold process does for a first result on EfficientNet-lite0: imports, weights, and two gradients."""

from typing import Any

import keras
import numpy as np
from cnnexplain_plugins.efficientnet_lite import pretrained
from PIL import Image

from benchmarks.limits import engine


def main(photo: str) -> None:
    """Computes the gradient of the largest score twice, without compiling."""
    model = pretrained.load("lite0", None).model
    scores: Any = keras.Model(model.inputs, model.get_layer("logits").output)
    with Image.open(photo) as image:
        pixels = np.asarray(image.convert("RGB").resize((224, 224), Image.Resampling.BICUBIC), np.float32)
    x = keras.ops.convert_to_tensor((pixels[None] - 127) / 128)
    for _ in range(2):
        keras.ops.convert_to_numpy(engine().gradient(lambda x: (keras.ops.max(scores(x), axis=1), None), x)[2])

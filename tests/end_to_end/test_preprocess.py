"""Pictures of any size → the model's input."""

import numpy as np
import pytest
from PIL import Image

import cnnexplain as cx
from cnnexplain.inputs import datasets
from cnnexplain.inputs.digits import dark_on_light
from cnnexplain.inputs.resizing import resize


def photograph(digit, random, *, size):
    """Ink on light paper, off-center, with shade and grain: (h, w, 1)."""
    height, width = random.integers(300, 500, 2)
    stretched = np.asarray(Image.fromarray(digit).resize((size, size), Image.Resampling.BICUBIC), np.float32) / 255
    ink = np.zeros((height, width), np.float32)
    top, left = random.integers(0, height - size), random.integers(0, width - size)
    ink[top : top + size, left : left + size] = stretched
    shade = 1 - 0.3 * np.linspace(0, 1, height)[:, None] * np.linspace(0, 1, width)
    grain = random.normal(0, 0.02, (height, width))
    return np.clip((0.85 * (1 - ink) + 0.2 * ink) * shade + grain, 0, 1)[..., None].astype(np.float32)


@pytest.mark.slow
def test_photographed_digits_are_recognized(lenet, random):
    images, digits = datasets.mnist("test")
    pictures = [photograph(images[i], random, size=int(random.integers(90, 250))) for i in range(100)]
    assert all(dark_on_light(picture) for picture in pictures)
    inputs = np.stack([lenet.preprocess.apply(picture)[0] for picture in pictures])
    right = (lenet.predict(inputs).argmax(axis=1) == digits[:100]).mean()
    assert right >= 0.95
    # What a plain resize would do to them, which is why it is not done.
    plain = np.stack([resize(1 - picture, 28, 28) for picture in pictures])
    assert (lenet.predict(plain).argmax(axis=1) == digits[:100]).mean() < 0.5


def test_a_rescaling_layer_implies_pixels_up_to_255(random):
    import keras

    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            keras.Sequential([keras.Input((6, 6, 3)), keras.layers.Rescaling(1 / 255)]),
            keras.layers.Flatten(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    clf = cx.load(model)
    assert (clf.preprocess.high, clf.preprocess.assumed) == (255, ())
    pixels = random.integers(0, 256, (1, 6, 6, 3), dtype=np.uint8)
    np.testing.assert_allclose(cx.explain("saliency", clf, pixels).images, pixels)

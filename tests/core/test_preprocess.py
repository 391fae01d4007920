"""Pictures of any size → the model's input."""

import numpy as np
import pytest
from PIL import Image

import cnnexplain as cx
from cnnexplain import datasets
from cnnexplain.preprocess import Preprocess, centre_digit, dark_on_light, resize


def photograph(digit, random, *, size):
    """Ink on light paper, off-centre, with shade and grain: (h, w, 1)."""
    height, width = random.integers(300, 500, 2)
    stretched = np.asarray(Image.fromarray(digit).resize((size, size), Image.Resampling.BICUBIC), np.float32) / 255
    ink = np.zeros((height, width), np.float32)
    top, left = random.integers(0, height - size), random.integers(0, width - size)
    ink[top : top + size, left : left + size] = stretched
    shade = 1 - 0.3 * np.linspace(0, 1, height)[:, None] * np.linspace(0, 1, width)
    grain = random.normal(0, 0.02, (height, width))
    return np.clip((0.85 * (1 - ink) + 0.2 * ink) * shade + grain, 0, 1)[..., None].astype(np.float32)


def test_photographs_of_digits_are_read_as_the_digits(lenet, random):
    images, digits = datasets.mnist("test")
    pictures = [photograph(images[i], random, size=int(random.integers(90, 250))) for i in range(100)]
    assert all(dark_on_light(picture) for picture in pictures)
    inputs = np.stack([lenet.preprocess.apply(picture)[0] for picture in pictures])
    right = (lenet.predict(inputs).argmax(axis=1) == digits[:100]).mean()
    assert right >= 0.95
    # What a plain resize would do to them, which is why it is not done.
    plain = np.stack([resize(1 - picture, 28, 28) for picture in pictures])
    assert (lenet.predict(plain).argmax(axis=1) == digits[:100]).mean() < 0.5


def test_a_thin_stroke_on_a_large_page_still_counts():
    page = np.full((400, 400, 1), 0.8, np.float32)
    page[100:300, 200:203] = 0.1
    assert dark_on_light(page)
    assert not dark_on_light(1 - page)


@pytest.mark.parametrize("pen", [2, 4, 9, 30])
def test_a_digit_is_as_bright_as_mnists_whatever_the_pen(pen):
    page = np.full((600, 600, 1), 0.1, np.float32)
    page[100:500, 300 : 300 + pen] = 0.8
    found = centre_digit(page, 28, 28)
    assert found.max() == pytest.approx(1)
    assert 10 < (found > 0.5).sum() < 100


def test_a_centred_digit_fills_20_of_28_pixels_about_its_centre_of_mass():
    page = np.zeros((200, 300, 1), np.float32)
    page[20:120, 200:240] = 1
    found = centre_digit(page, 28, 28)[..., 0]
    rows, columns = np.flatnonzero(found.sum(axis=1) > 0.5), np.flatnonzero(found.sum(axis=0) > 0.5)
    assert (len(rows), len(columns)) == (20, 8)
    assert (rows[0] + rows[-1]) / 2 == pytest.approx(13.5, abs=0.5)
    assert (columns[0] + columns[-1]) / 2 == pytest.approx(13.5, abs=0.5)
    assert found[14, 14] == 1
    assert found[0, 0] == 0


@pytest.mark.parametrize("grey", [0.0, 0.4, 1.0])
def test_a_picture_without_contrast_is_black_and_finite(grey):
    page = np.full((50, 40, 1), grey, np.float32)
    assert not dark_on_light(page)
    np.testing.assert_array_equal(centre_digit(page, 28, 28), np.zeros((28, 28, 1)))


def test_resizing_keeps_means_and_does_not_swap_axes():
    picture = np.zeros((40, 20, 3), np.float32)
    picture[:20, :, 1] = 1
    found = resize(picture, 8, 6)
    assert found.shape == (8, 6, 3)
    np.testing.assert_allclose(found[:3, :, 1], 1)
    np.testing.assert_allclose(found[5:, :, 1], 0)
    assert found[..., 1].mean() == pytest.approx(0.5)


def test_the_range_is_the_models():
    preprocess = Preprocess(2, 2, "grey", scale=2 / 255, mean=(1,))
    image, inverted = preprocess.apply(np.array([[[0.0], [0.5]], [[1.0], [0.25]]], np.float32))
    assert not inverted
    np.testing.assert_allclose(image[..., 0], [[-1, 0], [1, -0.5]])
    np.testing.assert_allclose(preprocess.decode(image)[..., 0], [[0, 0.5], [1, 0.25]])


def test_a_rescaling_layer_takes_pixels_up_to_255(random):
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

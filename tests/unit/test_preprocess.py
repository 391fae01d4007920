"""Pictures of any size → the model's input."""

import numpy as np
import pytest

from cnnexplain.errors import UsageError
from cnnexplain.inputs import presets
from cnnexplain.inputs.digits import center_digit, dark_on_light
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.inputs.resizing import letterbox, middle, resize


def test_thin_strokes_on_large_pages_are_kept():
    page = np.full((400, 400, 1), 0.8, np.float32)
    page[100:300, 200:203] = 0.1
    assert dark_on_light(page)
    assert not dark_on_light(1 - page)


@pytest.mark.parametrize("pen", [2, 4, 9, 30])
def test_digits_get_the_brightness_of_mnist(pen):
    page = np.full((600, 600, 1), 0.1, np.float32)
    page[100:500, 300 : 300 + pen] = 0.8
    found = center_digit(page, 28, 28)
    assert found.max() == pytest.approx(1)
    assert 10 < (found > 0.5).sum() < 100


def test_digits_fill_20_pixels_around_their_center_of_mass():
    page = np.zeros((200, 300, 1), np.float32)
    page[20:120, 200:240] = 1
    found = center_digit(page, 28, 28)[..., 0]
    rows, columns = np.flatnonzero(found.sum(axis=1) > 0.5), np.flatnonzero(found.sum(axis=0) > 0.5)
    assert (len(rows), len(columns)) == (20, 8)
    assert (rows[0] + rows[-1]) / 2 == pytest.approx(13.5, abs=0.5)
    assert (columns[0] + columns[-1]) / 2 == pytest.approx(13.5, abs=0.5)
    assert found[14, 14] == 1
    assert found[0, 0] == 0


@pytest.mark.parametrize("gray", [0.0, 0.4, 1.0])
def test_pictures_without_contrast_become_black(gray):
    page = np.full((50, 40, 1), gray, np.float32)
    assert not dark_on_light(page)
    np.testing.assert_array_equal(center_digit(page, 28, 28), np.zeros((28, 28, 1)))


def test_resizing_keeps_means_and_does_not_swap_axes():
    picture = np.zeros((40, 20, 3), np.float32)
    picture[:20, :, 1] = 1
    found = resize(picture, 8, 6)
    assert found.shape == (8, 6, 3)
    np.testing.assert_allclose(found[:3, :, 1], 1)
    np.testing.assert_allclose(found[5:, :, 1], 0)
    assert found[..., 1].mean() == pytest.approx(0.5)


def test_values_are_scaled_to_the_models_range():
    preprocess = Preprocess(2, 2, "gray", scale=2 / 255, mean=(1,))
    image, inverted = preprocess.apply(np.array([[[0.0], [0.5]], [[1.0], [0.25]]], np.float32))
    assert not inverted
    np.testing.assert_allclose(image[..., 0], [[-1, 0], [1, -0.5]])
    np.testing.assert_allclose(preprocess.decode(image)[..., 0], [[0, 0.5], [1, 0.25]])


def plane(height, width):
    """A picture whose every pixel has a value of its own: 100 · row + column, over 10,000."""
    rows, columns = np.mgrid[:height, :width]
    return ((100 * rows + columns) / 10_000).astype(np.float32)[..., None]


def values(picture):
    return np.round(picture[..., 0] * 10_000).astype(int).tolist()


def test_center_crop_uses_whole_pixels():
    # The largest square of 6 × 10 pixels is of the columns 2 to 7; half of its side are the rows 1 to 3, columns 3 to 5.
    np.testing.assert_array_equal(middle(plane(6, 10), 1, 1), plane(6, 10)[:, 2:8])
    np.testing.assert_array_equal(middle(plane(6, 10), 1, 0.5), plane(6, 10)[1:4, 3:6])
    # Twice as wide as high: all columns, rows 0 to 4.
    np.testing.assert_array_equal(middle(plane(6, 10), 0.5, 1), plane(6, 10)[:5])
    np.testing.assert_array_equal(middle(plane(1, 100), 1, 0.1), plane(1, 100)[:, 49:50])


def test_crop_share_applies_even_at_the_right_size():
    preprocess = Preprocess(2, 3, "gray", fit="crop", crop=0.5, interpolation="nearest")
    picture = plane(4, 6)
    assert values(preprocess.apply(picture)[0]) == values(picture[1:3, 1:4])
    assert not Preprocess(4, 6, "gray", fit="crop", crop=0.5).keeps(4, 6)
    whole = Preprocess(4, 6, "gray", fit="crop")
    np.testing.assert_allclose(whole.apply(picture)[0], picture, rtol=1e-6)


def test_padding_centers_the_picture_on_black():
    found = letterbox(np.ones((4, 8, 3), np.float32), 6, 6)
    assert found.shape == (6, 6, 3)
    assert found[..., 0].sum(axis=1).tolist() == [0, 6, 6, 6, 0, 0]
    assert letterbox(np.ones((8, 4, 1), np.float32), 6, 6)[..., 0].sum(axis=0).tolist() == [0, 6, 6, 6, 0, 0]
    # Black is the model's.
    image, _ = Preprocess(2, 4, mean=(0.5,), std=(0.5,), fit="pad").apply(np.ones((2, 2, 3), np.float32))
    assert image[0, :, 0].tolist() == [-1, 1, 1, -1]


def test_interpolation_equals_pillow():
    step = np.repeat(np.float32([[0, 0, 1, 1]]), 4, axis=0)[..., None]
    nearest, bilinear, bicubic = (resize(step, 4, 8, kind)[0, :, 0] for kind in ("nearest", "bilinear", "bicubic"))
    assert nearest.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    np.testing.assert_allclose(bilinear, [0, 0, 0, 0.25, 0.75, 1, 1, 1], atol=1e-6)
    # Keys' cubic with a = -1/2 at a quarter of a pixel, cut where it goes below black and above white.
    np.testing.assert_allclose(bicubic[[0, 2, 3, 4, 5]], [0, 0, 0.203125, 0.796875, 1], atol=1e-6)


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 1), (500, 1, 3), (7, 9, 1)])
def test_pictures_of_any_size_are_resized(fit, shape):
    image, _ = Preprocess(6, 4, fit=fit, crop=0.3 if fit == "crop" else 1, interpolation="bicubic").apply(
        np.full(shape, 0.5, np.float32)
    )
    assert image.shape == (6, 4, 3)
    assert set(np.unique(image)) <= {0, np.float32(0.5)}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"height": 0}, "an integer of at least 1 as height, but got 0"),
        ({"width": 2.5}, "as width, but got 2.5"),
        ({"width": True}, "as width, but got True"),
        ({"color": "grau"}, "one of rgb, bgr, gray, bands as color, but got 'grau'. Did you mean 'gray'?"),
        ({"fit": "croop"}, "Did you mean 'crop'?"),
        ({"interpolation": None}, "one of bilinear, bicubic, nearest as interpolation, but got None"),
        ({"scale": 0}, "numbers above 0 as scale and std, but got 0"),
        ({"scale": float("inf")}, "numbers above 0 as scale"),
        ({"scale": "1"}, "numbers above 0 as scale"),
        ({"std": (1, 0, 1)}, r"above 0 as scale and std, but got .* and \(1.0, 0.0, 1.0\)"),
        ({"std": (1, 1)}, r"one finite number, or one for each of the 3 channels, as std, but got \(1, 1\)"),
        ({"mean": (float("nan"),)}, "one finite number.* as mean"),
        ({"mean": ()}, "one finite number"),
        ({"mean": "1"}, "one finite number"),
        ({"color": "gray", "mean": (1, 2, 3)}, "one finite number as mean"),
        ({"crop": 0}, "above 0 and up to 1 as crop, but got 0"),
        ({"crop": 1.5}, "as crop, but got 1.5"),
    ],
)
def test_invalid_preprocessing_is_refused(fields, words):
    with pytest.raises(UsageError, match=words):
        Preprocess(**{"height": 4, "width": 4, **fields})


def test_scalars_and_arrays_are_accepted():
    assert Preprocess(4, 4, mean=0.5, std=np.float32([1, 2, 4])) == Preprocess(4, 4, mean=(0.5,), std=(1.0, 2.0, 4.0))


@pytest.mark.parametrize(
    ("height", "width", "color", "photographs"),
    [(64, 64, "rgb", True), (64, 90, "bgr", True), (63, 90, "rgb", False), (90, 63, "rgb", False), (90, 90, "gray", False)],
)
def test_photograph_inputs_are_color_and_large(height, width, color, photographs):
    assert Preprocess(height, width, color).photographs == photographs


def test_the_fit_selects_the_preset():
    digits, photographs = Preprocess(28, 28, "gray", fit="digit"), Preprocess(28, 28, "gray", fit="pad")
    assert (digits.preset, photographs.preset) == (presets.MNIST, None)
    assert (digits.digits, photographs.digits) == (True, False)
    assert (digits.background.tolist(), photographs.background.tolist()) == ([0], [0.5])
    assert presets.of_model("cnnexplain_lenet", (28, 28, 1)) is presets.MNIST
    assert presets.of_model("cnnexplain_lenet", (32, 32, 1)) is presets.of_model("net", (28, 28, 1)) is None
    assert presets.MNIST.can_evaluate((28, 28, 1), 10)
    assert not presets.MNIST.can_evaluate((28, 28, 1), 9)
    assert not presets.MNIST.can_evaluate((28, 28, 3), 10)

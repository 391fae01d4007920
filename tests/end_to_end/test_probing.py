"""Functions that prepare pixels, found to be straight lines or refused with the reason."""

import keras
import numpy as np
import pytest

from cnnexplain.errors import UsageError
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.loading.affine import linear_preprocessing

SHAPE = (5, 7, 3)


def imagenet(mode):
    return lambda x: keras.applications.imagenet_utils.preprocess_input(x, data_format="channels_last", mode=mode)


def in_place(x):
    x -= np.float32([10, 20, 30])
    x /= 2
    return x


MODES = {
    "tf": {"color": "rgb", "scale": 1 / 127.5, "mean": (1, 1, 1), "std": (1,)},
    "torch": {"color": "rgb", "scale": 1 / 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
    "caffe": {"color": "bgr", "scale": 1, "mean": (103.939, 116.779, 123.68), "std": (1,)},
}


@pytest.mark.parametrize("mode", MODES)
def test_the_three_keras_modes_are_recognized(mode):
    found = linear_preprocessing(imagenet(mode), mode, SHAPE)
    expected = MODES[mode]
    assert found["color"] == expected["color"]
    assert found["scale"] == pytest.approx(expected["scale"], rel=1e-6)
    assert found["mean"] == pytest.approx(expected["mean"], rel=1e-5)
    assert found["std"] == pytest.approx(expected["std"], rel=1e-6)


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        *((imagenet(mode), SHAPE) for mode in MODES),
        (in_place, SHAPE),
        (lambda x: x, SHAPE),
        (lambda x: keras.ops.convert_to_tensor(x / 255), SHAPE),
        (lambda x: x[..., ::-1] * np.float32([0.1, 0.2, 0.3]) + np.float32([5, 0, -5]), SHAPE),
        (lambda x: x / 255, (4, 4, 1)),
        (lambda x: (x - 33.3) / 78.6, (1, 1, 1)),
    ],
)
def test_encoding_equals_the_function(function, shape, random):
    preprocess = Preprocess(*shape[:2], **linear_preprocessing(function, "f", shape))
    pictures = random.uniform(0, 1, (3, *shape)).astype(np.float32)
    expected = np.asarray(function(pictures * 255))
    np.testing.assert_allclose(preprocess.encode(pictures), expected, atol=1e-5 * np.ptp(expected))
    np.testing.assert_allclose(preprocess.decode(expected), pictures, atol=1e-5)


def fails(x):
    raise ZeroDivisionError("nothing is there")


ODD = {
    "raises": (fails, "it raised ZeroDivisionError: nothing is there"),
    "changes the shape": (lambda x: x[:, :-1], r"it returned the shape \(1, 4, 7, 3\) for \(1, 5, 7, 3\)"),
    "returns nothing": (lambda x: None, "it (raised|returned)"),
    "returns words": (lambda x: np.full(x.shape, "x"), "not finite numbers"),
    "is not finite": (lambda x: x + np.float32("inf"), "not finite numbers"),
    "rounds": (np.floor, "not a linear function"),
    "clips": (lambda x: np.minimum(x, 250), "not a linear function"),
    "squares": (lambda x: (x / 255) ** 2, "not a linear function"),
    "mixes channels": (lambda x: x + 0.01 * x[..., :1], "channels are mixed"),
    "other order": (lambda x: x[..., [1, 2, 0]], "in an order other than RGB and BGR"),
    "standardizes each image": (lambda x: (x - x.mean()) / (x.std() + 1), "does not increase|not a linear function"),
    "standardizes all": (lambda x: (x - x.mean(axis=(1, 2, 3), keepdims=True)) / 50, "does not increase"),
    "looks at other images": (lambda x: x + 0.01 * x[-1:], "not a linear function"),
    "depends on the place": (lambda x: x + np.arange(7, dtype=np.float32)[:, None], "not a linear function"),
    "mirrors": (lambda x: x[:, :, ::-1], "not a linear function"),
    "inverts": (lambda x: 255 - x, "does not increase with the values of its pixels"),
    "drops a channel": (lambda x: x * np.float32([1, 0, 1]), "does not increase"),
}


@pytest.mark.parametrize("kind", ODD)
def test_other_functions_are_refused_with_the_reason(kind):
    function, words = ODD[kind]
    with pytest.raises(UsageError, match=rf"'mine' can't be the preprocessing: .*({words})"):
        linear_preprocessing(function, "mine", SHAPE)

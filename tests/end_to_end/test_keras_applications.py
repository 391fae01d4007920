"""The networks of keras.applications by name."""

import inspect
from dataclasses import replace

import keras
import numpy as np
import pytest
from cnnexplain_plugins import keras_applications as applications
from PIL import Image

import cnnexplain as cx
from cnnexplain.errors import ModelError
from cnnexplain.inputs import datasets
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.loading.affine import linear_preprocessing
from cnnexplain.plugin import registry


def test_names_are_those_of_the_installed_keras():
    offered = {name.removeprefix("keras:") for name in registry.load().models if name.startswith("keras:")}
    assert offered == {name for name, value in vars(keras.applications).items() if inspect.isfunction(value)}
    # Where Keras has a network in a module, too, it is the one that has its preprocessing here.
    for module, names in applications.NAMES.items():
        home = getattr(keras.applications, module)
        assert all(getattr(home, name, None) in (None, getattr(keras.applications, name)) for name in names)


CAFFE = {"color": "bgr", "scale": 1, "mean": (103.939, 116.779, 123.68), "std": (1,)}
TORCH = {"color": "rgb", "scale": 1 / 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
TF = {"color": "rgb", "scale": 1 / 127.5, "mean": (1,) * 3, "std": (1,)}
PIXELS = {"color": "rgb", "scale": 1, "mean": (0,) * 3, "std": (1,)}
WAYS = {
    **dict.fromkeys(["convnext", "efficientnet", "efficientnet_v2", "mobilenet_v3"], PIXELS),
    **dict.fromkeys(
        ["inception_resnet_v2", "inception_v3", "mobilenet", "mobilenet_v2", "nasnet", "resnet_v2", "xception"], TF
    ),
    **dict.fromkeys(["resnet", "vgg16", "vgg19"], CAFFE),
    "densenet": TORCH,
}


@pytest.mark.parametrize("module", applications.NAMES)
def test_each_model_has_its_published_preprocessing(module):
    found = linear_preprocessing(getattr(keras.applications, module).preprocess_input, module, (6, 5, 3))
    assert found["color"] == WAYS[module]["color"]
    for key in ("scale", "mean", "std"):
        assert found[key] == pytest.approx(WAYS[module][key], rel=1e-6)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of random weights of MobileNetV2."""
    keras.utils.set_random_seed(7)
    path = tmp_path_factory.mktemp("weights") / "mine.weights.h5"
    keras.applications.MobileNetV2(weights=None).save_weights(path)
    return path


@pytest.mark.slow
def test_a_photograph_is_explained_with_weights_from_a_file(weights, cli, tmp_path, random):
    Image.fromarray(random.integers(0, 256, (300, 400, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    code, out, err = cli("run", "saliency", "photo.png", "--model", "keras:MobileNetV2", "--weights", weights)
    assert (code, err) == (0, "")
    assert "Cropped to the center 87.5% and resized to the model's 224 rows × 224 columns: photo.png." in out
    assert any(label[:20] in out for label in datasets.imagenet_labels())


@pytest.mark.slow
def test_the_network_equals_keras_applications(weights, random):
    clf = cx.load("keras:MobileNetV2", weights=weights)
    assert clf.labels == datasets.imagenet_labels()
    expected = Preprocess(224, 224, scale=1 / 127.5, mean=(1,) * 3, fit="crop", crop=0.875, interpolation="bicubic")
    assert clf.preprocess.scale == pytest.approx(expected.scale)
    assert replace(clf.preprocess, scale=expected.scale) == expected
    network = keras.applications.MobileNetV2(weights=None)
    network.load_weights(weights)
    pixels = random.uniform(0, 255, (1, 224, 224, 3)).astype(np.float32)
    own = keras.ops.convert_to_numpy(
        network(keras.applications.mobilenet_v2.preprocess_input(pixels.copy()), training=False)
    )
    np.testing.assert_allclose(clf.predict(clf.preprocess.encode(pixels / 255)), own, rtol=1e-3, atol=1e-7)


def test_wrong_weights_files_are_refused(tmp_path, model):
    (tmp_path / "text.weights.h5").write_text("no weights")
    model().save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(ModelError, match=r"text.weights.h5' is not an HDF5 file"):
        cx.load("keras:MobileNetV2", weights=tmp_path / "text.weights.h5")
    with pytest.raises(ModelError, match=r"other.weights.h5' does not contain the weights of MobileNetV2"):
        cx.load("keras:MobileNetV2", weights=tmp_path / "other.weights.h5")


def test_a_failed_download_suggests_a_weights_file(monkeypatch):
    def unreachable(**_):
        raise OSError("Name or service not known")

    monkeypatch.setattr(keras.applications, "MobileNetV2", unreachable)
    with pytest.raises(ModelError, match=r"could not be downloaded \(Name or service not known\)\. .*--weights FILE"):
        cx.load("keras:MobileNetV2")


def test_a_network_missing_in_an_older_keras_is_reported(monkeypatch):
    monkeypatch.delattr(keras.applications, "MobileNetV2")
    with pytest.raises(ModelError, match=rf"Keras {keras.__version__} has no MobileNetV2"):
        cx.load("keras:MobileNetV2")


def test_a_mistyped_name_gets_a_suggestion():
    with pytest.raises(cx.UsageError, match="Did you mean 'keras:MobileNetV2'"):
        cx.load("keras:mobilenetv2")

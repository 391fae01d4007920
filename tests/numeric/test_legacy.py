"""Files of Keras 2 that tf_keras wrote (tests/keras2/make.py) are read, and predict what it predicts."""

import json
import shutil

import h5py
import keras
import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain.errors import ModelError
from cnnexplain.loading import keras_file

NAMES = ("depthwise", "augmented", "operations", "teachable", "frozen", "shared", "sequences", "hard", "mixed", "normalized")
ZIPPED = ("depthwise", "augmented", "teachable", "frozen", "sequences")


@pytest.fixture(scope="module")
def keras2(request):
    folder = request.config.rootpath / "tests/keras2"
    with np.load(folder / "predictions.npz") as stored:
        return folder, dict(stored)


def changed(path, change):
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = json.dumps(change(json.loads(file.attrs["model_config"])))


def without_modules(config):
    """As Keras wrote it before 2.13."""
    if isinstance(config, dict):
        extra = ("module", "registered_name", "build_config") if "class_name" in config else ()
        return {key: without_modules(each) for key, each in config.items() if key not in extra}
    return [without_modules(each) for each in config] if isinstance(config, list) else config


@pytest.mark.parametrize("file", [f"{name}.h5" for name in NAMES] + [f"{name}.keras" for name in ZIPPED])
def test_keras_2_files_predict_what_keras_2_predicts(keras2, file):
    folder, predictions = keras2
    model, _ = keras_file.read(folder / file, {})
    expected = predictions[file.partition(".")[0]]
    found = keras.ops.convert_to_numpy(model(predictions["images"], training=False))
    # Half precision rounds otherwise on another backend.
    np.testing.assert_allclose(found, expected, rtol=2e-3 if file.startswith("mixed") else 1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["depthwise", "operations", "teachable", "sequences", "mixed"])
def test_keras_2_files_without_module_names(keras2, tmp_path, name):
    folder, predictions = keras2
    shutil.copy(folder / f"{name}.h5", tmp_path)
    changed(tmp_path / f"{name}.h5", without_modules)
    model, _ = keras_file.read(tmp_path / f"{name}.h5", {})
    found = keras.ops.convert_to_numpy(model(predictions["images"], training=False))
    np.testing.assert_allclose(found, predictions[name], rtol=2e-3 if name == "mixed" else 1e-5, atol=1e-6)


def test_layers_of_keras_2_files_are_explained(keras2):
    folder, predictions = keras2
    clf = cx.load(folder / "teachable.h5")
    assert "sequential_1/model1/conv_one" in [layer.name for layer in clf.layers]
    np.testing.assert_allclose(clf.predict(predictions["images"]), predictions["teachable"], rtol=1e-4)
    clf = cx.load(folder / "operations.h5")
    np.testing.assert_allclose(clf.predict(predictions["images"]), predictions["operations"], rtol=1e-4)


def layer(config, kind):
    return next(each for each in config["config"]["layers"] if each["class_name"] == kind)["config"]


def groups(config):
    layer(config, "DepthwiseConv2D")["groups"] = 2
    return config


def unknown(config):
    layer(config, "ReLU")["novel"] = [1, 2]
    return config


def channels_first(config):
    layer(config, "Conv2D")["padding"] = "sideways"
    return config


def foreign(config):
    next(each for each in config["config"]["layers"] if each["class_name"] == "ReLU")["class_name"] = "LayerScale"
    return config


def text(config):
    next(each for each in config["config"]["layers"] if each["class_name"] == "ReLU")["class_name"] = "TFSMLayer"
    return config


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (groups, r"has the layer 'depthwise_conv2d' \(DepthwiseConv2D\) with groups = 2, which Keras 3 does not have"),
        (unknown, r"\(ReLU\) with novel = \[1, 2\], which Keras 3 does not have. Keras 2 wrote it: save it again with"),
        (channels_first, r"has the layer 'conv2d' \(Conv2D\), which Keras 3 can't build: .*sideways"),
        (foreign, r"needs code that Keras does not have: LayerScale \(keras.src.applications.convnext:LayerScale\)"),
        (text, "TFSMLayer, which no image model needs"),
    ],
)
def test_features_missing_in_keras_3_are_named(keras2, tmp_path, change, words):
    shutil.copy(keras2[0] / "depthwise.h5", tmp_path)
    changed(tmp_path / "depthwise.h5", change)
    with pytest.raises(ModelError, match=words) as caught:
        cx.load(tmp_path / "depthwise.h5")
    assert "damaged" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_empty_config_keys_are_dropped(keras2, tmp_path):
    def unused(config):
        layer(config, "ReLU")["novel"] = layer(config, "DepthwiseConv2D")["groups"] = None
        layer(config, "Dense")["noise_shape"] = layer(config, "Conv2D")["virtual_batch_size"] = None
        return config

    folder, predictions = keras2
    shutil.copy(folder / "depthwise.h5", tmp_path)
    changed(tmp_path / "depthwise.h5", unused)
    found = cx.load(tmp_path / "depthwise.h5").predict(predictions["images"])
    np.testing.assert_allclose(found, predictions["depthwise"], rtol=1e-4)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("io.read_file", "calls TensorFlow's tf.io.read_file in the layer '.*', which has no known equivalent in Keras 3"),
        ("pad", "with arguments that have no equivalent in Keras 3"),
    ],
)
def test_tensorflow_functions_without_equivalent_are_named(keras2, tmp_path, function, words):
    def change(config):
        layer(config, "TFOpLambda")["function"] = function
        return config

    shutil.copy(keras2[0] / "operations.h5", tmp_path)
    changed(tmp_path / "operations.h5", change)
    with pytest.raises(ModelError, match=words):
        cx.load(tmp_path / "operations.h5")


def test_mismatched_weights_are_refused(keras2, tmp_path):
    path = tmp_path / "depthwise.h5"
    shutil.copy(keras2[0] / "depthwise.h5", path)
    with h5py.File(path, "a") as file:
        group = file["model_weights/batch_normalization"]
        names = list(group.attrs["weight_names"])
        group.attrs["weight_names"] = [names[1], names[0], *names[2:]]
    with pytest.raises(ModelError, match="has the weights of the layer 'batch_normalization' in an unknown order"):
        cx.load(path)
    with h5py.File(path, "a") as file:
        file["model_weights/batch_normalization"].attrs["weight_names"] = names[:3]
    with pytest.raises(ModelError, match="is damaged: layer 'batch_normalization' needs weights of the shapes"):
        cx.load(path)
    with h5py.File(path, "a") as file:
        del file["model_weights/conv2d"]
    with pytest.raises(ModelError, match=r"damaged|can't be read"):
        cx.load(path)

"""What a model is loaded from, what is refused of files from anywhere, and what counts more of what is said of its input."""

import json
import sys

import h5py
import keras
import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain.errors import ModelError, PluginError, UsageError
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.plugin import registry


@pytest.fixture
def images(random):
    return random.uniform(0, 1, (2, 12, 10, 3)).astype(np.float32)


@pytest.mark.parametrize("suffix", [".h5", ".hdf5"])
def test_a_legacy_file_gives_the_same_model(model, tmp_path, images, suffix):
    keras_model = model()
    path = tmp_path / f"old{suffix}"
    keras_model.save(path)
    clf = cx.load(path)
    np.testing.assert_allclose(clf.logits(images), cx.load(keras_model).logits(images), rtol=1e-6)
    assert (clf.name, len(clf.sha256)) == (str(path), 64)


def rewritten(path, change):
    with h5py.File(path, "a") as file:
        config = json.loads(file.attrs["model_config"])
        file.attrs["model_config"] = json.dumps(change(config))


def with_lambda(config):
    layer = {"class_name": "Lambda", "config": {"name": "x", "function": ["4wEAAA==", None, None]}}
    config["config"]["layers"].insert(1, {"class_name": "Sequential", "config": {"name": "in", "layers": [layer]}})
    return config


def test_code_in_a_legacy_file_is_refused_before_keras_reads_it(model, tmp_path, monkeypatch):
    path = tmp_path / "code.h5"
    model().save(path)
    rewritten(path, with_lambda)
    monkeypatch.setattr(keras.saving, "load_model", lambda *_, **__: pytest.fail("Keras was asked"))
    with pytest.raises(ModelError, match=r"contains Python code \(Lambda\) and is rejected"):
        cx.load(path)


def test_a_weights_only_file_is_reported(model, tmp_path):
    model().save_weights(tmp_path / "only.weights.h5")
    with pytest.raises(ModelError, match="contains only weights, without the layers"):
        cx.load(tmp_path / "only.weights.h5")


def outer(file, path):
    file["out"] = h5py.ExternalLink("other.h5", "/x")


def soft(file, path):
    file["again"] = h5py.SoftLink("/")


def elsewhere(file, path):
    (path.parent / "secret").write_bytes(bytes(400))
    file.create_dataset("raw", (100,), "float32", external=[(str(path.parent / "secret"), 0, 400)])


def virtual(file, path):
    layout = h5py.VirtualLayout((10,), "float32")
    layout[:] = h5py.VirtualSource("other.h5", "x", (10,))
    file.create_virtual_dataset("made", layout)


def bomb(file, path):
    file.create_dataset("zeros", (1 << 31,), "float32", chunks=(1 << 20,), compression="gzip")


def no_json(file, path):
    file.attrs["model_config"] = "{"


def deep(file, path):
    file.attrs["model_config"] = "[" * 30_000


def nested(file, path):
    file.attrs["model_config"] = '{"a":' * 5000 + "0" + "}" * 5000


def number(file, path):
    file.attrs["model_config"] = 3


HOSTILE = {
    outer: "links 'out' to another object or file and is rejected",
    soft: "links 'again' to another object or file",
    elsewhere: "reads 'raw' from another file and is rejected",
    virtual: "reads 'made' from another file",
    bomb: "unpacks to 8192 MiB, more than 100 times its size, and is rejected",
    no_json: "the description of its layers is not valid JSON",
    deep: "not valid JSON|is damaged",
    nested: "not valid JSON|is damaged",
    number: "not valid JSON",
}


@pytest.mark.parametrize("harm", HOSTILE)
def test_a_hostile_legacy_file_is_refused(model, tmp_path, harm):
    path = tmp_path / "odd.h5"
    model().save(path)
    with h5py.File(path, "a") as file:
        harm(file, path)
    with pytest.raises(ModelError, match=HOSTILE[harm]) as caught:
        cx.load(path)
    assert len(str(caught.value)) < 400


def test_cyclic_hdf5_groups_do_not_hang(model, tmp_path):
    path = tmp_path / "loop.h5"
    model().save(path)
    with h5py.File(path, "a") as file:
        file["model_weights/loop"] = file["model_weights"]
    assert len(cx.load(path).labels) == 5


def test_a_legacy_file_with_the_wrong_extension_is_recognized(model, tmp_path):
    model().save(tmp_path / "old.h5")
    (tmp_path / "old.h5").rename(tmp_path / "new.keras")
    with pytest.raises(ModelError, match=r"It looks like an older HDF5 file: name it \.h5"):
        cx.load(tmp_path / "new.keras")


CUSTOM = """
import keras

class Triple(keras.layers.Layer):
    def call(self, x):
        return 3 * x

@keras.saving.register_keras_serializable("acme")
class Double(keras.layers.Layer):
    def call(self, x):
        return 2 * x

def halved(x):
    return x / 2

not_callable = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of the current folder, imported, used in model files, and forgotten."""
    (tmp_path / "own_layers.py").write_text(CUSTOM)
    (tmp_path / "failing_layers.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    import own_layers

    parts = [own_layers.Triple(), own_layers.Double(), keras.layers.Activation(own_layers.halved)]
    model = keras.Sequential([keras.Input((4, 4, 1)), *parts, keras.layers.Flatten(), keras.layers.Dense(3)])
    model.save("own.keras")
    model.save("own.h5")
    yield model
    sys.modules.pop("own_layers", None)
    keras.saving.get_custom_objects().clear()


def forget(monkeypatch):
    monkeypatch.undo()
    sys.modules.pop("own_layers", None)
    keras.saving.get_custom_objects().clear()


@pytest.mark.parametrize("file", ["own.keras", "own.h5"])
def test_custom_objects_are_named_or_given(own, tmp_path, monkeypatch, random, file):
    import own_layers

    forget(monkeypatch)
    monkeypatch.chdir(tmp_path)
    images = random.uniform(0, 1, (2, 4, 4, 1)).astype(np.float32)
    expected = cx.load(own).logits(images)
    with pytest.raises(ModelError, match=r"needs code that Keras does not have: .*Triple.*--custom-objects module:name"):
        cx.load(file)
    names = [f"own_layers:{name}" for name in ("Triple", "Double", "halved")]
    path = list(sys.path)
    np.testing.assert_allclose(cx.load(file, custom_objects=names).logits(images), expected, rtol=1e-6)
    assert sys.path == path
    forget(monkeypatch)
    monkeypatch.chdir(tmp_path)
    objects = [own_layers.Triple, own_layers.Double, own_layers.halved]
    np.testing.assert_allclose(cx.load(file, custom_objects=objects).logits(images), expected, rtol=1e-6)
    mapping = {"Triple": own_layers.Triple, "halved": own_layers.halved}
    mapping |= dict.fromkeys(("Double", "acme>Double"), own_layers.Double)
    np.testing.assert_allclose(cx.load(file, custom_objects=mapping).logits(images), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("own_layers", UsageError, "Expected module:name, such as my_module:my_function, but got 'own_layers'"),
        ("own_layers:Tripel", UsageError, "has no 'Tripel'. Did you mean 'Triple'?"),
        ("nowhere:Triple", UsageError, "No module named 'nowhere', neither installed nor in the current folder"),
        ("failing_layers:Triple", cx.CnnExplainError, "Importing 'failing_layers:Triple' failed: ZeroDivisionError"),
        ("own_layers:not_callable", UsageError, "A custom object must be a class or a function, but got 3"),
        ("os.path:join; import os", UsageError, "Expected module:name"),
    ],
)
def test_a_missing_custom_object_is_reported(own, name, kind, words):
    with pytest.raises(kind) as caught:
        cx.load("own.keras", custom_objects=[name])
    assert words in str(caught.value)


def test_files_in_the_working_folder_never_shadow_installed_modules(tmp_path, model, monkeypatch):
    for folder, code in (("installed", "Mine = 3"), ("here", "raise SystemExit")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "of_one_name.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path / "installed"))
    monkeypatch.chdir(tmp_path / "here")
    model().save("plain.keras")
    with pytest.raises(UsageError, match="a class or a function, but got 3"):
        cx.load("plain.keras", custom_objects="of_one_name:Mine")
    (tmp_path / "here" / "of_another.py").write_text("raise SystemExit(5)")
    with pytest.raises(cx.CnnExplainError, match="Importing 'of_another:Mine' failed: SystemExit: 5"):
        cx.load("plain.keras", custom_objects="of_another:Mine")


PLAIN = {"height": 12, "width": 10}


@pytest.fixture
def path(model, tmp_path):
    model().save(tmp_path / "net.keras")
    return tmp_path / "net.keras"


def caffe(x):
    return x[..., ::-1] - np.float32([1, 2, 3])


def test_precedence_arguments_sidecar_guess(path, tmp_path):
    assert cx.load(path).preprocess == Preprocess(**PLAIN, assumed=("range",))
    sidecar = {"scale": 1, "mean": [1, 2, 3], "fit": "pad", "labels": list("abcde")}
    (tmp_path / "net.json").write_text(json.dumps(sidecar))
    clf = cx.load(path)
    assert clf.preprocess == Preprocess(**PLAIN, scale=1.0, mean=(1, 2, 3), fit="pad")
    assert clf.labels == tuple("abcde")
    clf = cx.load(path, preprocess={"mean": 7, "interpolation": "nearest", "labels": list("fghij")})
    assert clf.preprocess == Preprocess(**PLAIN, scale=1.0, mean=(7,), fit="pad", interpolation="nearest")
    assert clf.labels == tuple("fghij")
    assert cx.load(path, preprocess={"labels": list("fghij")}, labels=list("klmno")).labels == tuple("klmno")
    whole = Preprocess(**PLAIN, std=(2,))
    assert cx.load(path, preprocess=whole).preprocess == whole
    assert cx.load(path, preprocess=[whole, {"fit": "crop"}]).preprocess == Preprocess(**PLAIN, std=(2,), fit="crop")
    found = cx.load(path, preprocess=[caffe, {"fit": "crop"}]).preprocess
    assert found == Preprocess(**PLAIN, color="bgr", scale=1.0, mean=(1, 2, 3), fit="crop")


def test_a_mean_without_a_scale_does_not_determine_the_range(path):
    assert cx.load(path, preprocess={"mean": 0.5}).preprocess.assumed == ("range",)
    assert cx.load(path, preprocess={"scale": 1}).preprocess.assumed == ()


def test_declared_settings_override_inferred_ones():
    parts = [keras.Input((4, 4, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(3)]
    model = keras.Sequential(parts)
    assert cx.load(model).preprocess == Preprocess(4, 4, scale=1.0)
    assert cx.load(model, preprocess={"color": "bgr"}).preprocess == Preprocess(4, 4, "bgr", scale=1.0)
    assert cx.load(model, preprocess={"scale": 2}).preprocess == Preprocess(4, 4, scale=2.0)
    assert cx.load(preprocess={"fit": "pad"}).preprocess == Preprocess(28, 28, "gray", fit="pad")


def test_an_undefined_input_size_is_given_or_guessed(random):
    inputs = keras.Input((None, None, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3)(pooled))
    assert cx.load(model).preprocess == Preprocess(224, 224, assumed=("size", "range"))
    clf = cx.load(model, preprocess={"size": [20, 30]})
    assert clf.preprocess == Preprocess(20, 30, assumed=("range",))
    images = random.uniform(0, 1, (1, 20, 30, 3)).astype(np.float32)
    np.testing.assert_allclose(clf.logits(images), keras.ops.convert_to_numpy(model(images)), rtol=1e-4, atol=1e-6)


def test_preprocessing_may_be_a_file_or_function_name(path, tmp_path, own):
    (tmp_path / "said.json").write_text('{"scale": "1/2"}')
    (tmp_path / "own_pixels.py").write_text("def centered(x):\n    return x / 127.5 - 1\n")
    for name in (str(tmp_path / "said.json"), tmp_path / "said.json"):
        assert cx.load(path, preprocess=name).preprocess == Preprocess(**PLAIN, scale=0.5)
    found = cx.load(path, preprocess="own_pixels:centered").preprocess
    assert (found.low, found.high, found.assumed) == (pytest.approx(-1), pytest.approx(1), ())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"preprocess": {"colur": "rgb"}}, "Did you mean 'color'?"),
        ({"preprocess": 3}, "a mapping, a .json file or a function, but got a int"),
        ({"preprocess": "no.json"}, "There is no preprocessing file"),
        ({"preprocess": "own"}, "Expected module:name"),
        ({"preprocess": {"color": "gray"}}, r"takes \(12, 10, 3\), but is declared to take \(12, 10, 1\)"),
        ({"preprocess": {"size": 32}}, r"takes \(12, 10, 3\), but is declared to take \(32, 32, 3\)"),
        ({"labels": ["a", "b"]}, "2 labels for the 5 classes"),
        ({"labels": "no.txt"}, "There is no labels file"),
        ({"labels": 3}, "'labels' takes a list of names"),
        ({"labels": ["a", 3]}, "'labels' takes a list of names"),
        ({"weights": "net.keras"}, "Weights can only be given for models by name that take them; the file .* has its own"),
    ],
)
def test_inconsistent_settings_are_reported(path, given, words):
    with pytest.raises(UsageError, match=words):
        cx.load(path, **given)


def test_labels_and_preprocessing_reach_pictures_and_results(path, tmp_path, cli):
    (tmp_path / "net.json").write_text('{"scale": 1, "mean": 127, "std": 128, "fit": "pad", "labels": "names.txt"}')
    (tmp_path / "names.txt").write_text("ant\nbee\ncat\ndog\neel\n")
    code, out, err = cli("run", "saliency", "--model", "net.keras", "--target", "eel", "--input-fit", "crop")
    assert (code, err) == (0, "")
    assert "Cropped to the center and resized to the model's 12 rows × 10 columns: mnist:test/42." in out
    assert "eel" in out
    result = json.loads((tmp_path / "cnnexplain-out/saliency/result.json").read_text())
    assert result["images"][0]["target"] == "eel"
    assert result["input"] == {
        "height": 12,
        "width": 10,
        "color": "rgb",
        "scale": 1.0,
        "mean": [127.0],
        "std": [128.0],
        "fit": "crop",
        "crop": 1.0,
        "interpolation": "bilinear",
        "antialias": True,
        "white_level": None,
        "bands": None,
        "show_bands": None,
        "assumed": [],
    }


MODELS = """
from pathlib import Path
from cnnexplain.plugin import NamedModel, Pretrained, hookimpl

def load(weights: Path | None):
    import keras
    from cnnexplain.inputs.preprocess import Preprocess
    keras.utils.set_random_seed(3)
    layers = [keras.Input((8, 6, 3)), keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")]
    model = keras.Sequential(layers)
    if weights is not None:
        model.load_weights(weights)
    return Pretrained(model, Preprocess(8, 6, "bgr", scale=1.0), ["cat", "dog"], "f" * 64)

def broken(weights):
    return 1 / 0

def nothing(weights):
    return None

@hookimpl
def cnnexplain_models():
    return [NamedModel({name!r}, "Tells cats from dogs.", load), NamedModel({name!r} + ":broken", "None.", broken),
            NamedModel({name!r} + ":nothing", "None.", nothing)]
"""


def test_a_plugin_offers_models_by_name(install, tmp_path, cli):
    install("acme-zoo", MODELS.format(name="zoo"))
    clf = cx.load("zoo")
    assert (clf.name, clf.labels, clf.sha256) == ("zoo", ("cat", "dog"), "f" * 64)
    assert clf.preprocess == Preprocess(8, 6, "bgr", scale=1.0)
    assert cx.load("zoo", preprocess={"fit": "pad"}).preprocess == Preprocess(8, 6, "bgr", scale=1.0, fit="pad")
    clf.model.layers[-1].bias.assign([5, -5])
    clf.model.save_weights(tmp_path / "new.weights.h5")
    assert cx.load("zoo", weights=tmp_path / "new.weights.h5").model.get_weights()[1].tolist() == [5, -5]
    code, out, _ = cli("run", "saliency", "--model", "zoo", "--target", "dog")
    assert code == 0
    assert "dog" in out
    code, out, _ = cli("list")
    for words in ("zoo", "Tells cats from dogs.", "acme-zoo 1.5", "zoo:NAME", "NAME is one of broken, nothing.", "lenet"):
        assert words in out
    with pytest.raises(PluginError, match=r"acme-zoo 1.5: load\(\) of 'zoo:broken' failed: ZeroDivisionError"):
        cx.load("zoo:broken")
    with pytest.raises(PluginError, match=r"load\(\) of 'zoo:nothing' returned a NoneType; expected a Pretrained"):
        cx.load("zoo:nothing")
    with pytest.raises(UsageError, match=r"There is no model file 'zooo'. Did you mean 'zoo'\? .*'cnnexplain list'"):
        cx.load("zooo")
    with pytest.raises(UsageError, match=r"There is no weights file 'no\.h5'"):
        cx.load("zoo", weights="no.h5")


def test_duplicate_model_names_report_both_plugins(install, lenet):
    install("first-zoo", MODELS.format(name="zoo"), module="first_zoo_module")
    install("second-zoo", MODELS.format(name="zoo"), module="second_zoo_module")
    with pytest.raises(PluginError, match=r"first-zoo 1\.5 and plugin .*second-zoo 1\.5: each offers a model named 'zoo'"):
        cx.load("zoo")
    assert {problem.plugins[0].name for problem in registry.load().problems} == {"first-zoo"}
    assert "saliency" in registry.load().analyses


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lenet", "No model can be named 'lenet'"),
        ("my.keras", "No model can be named 'my.keras'"),
        ("a b", "must consist of letters, digits and"),
        ("../x", "must consist of letters, digits and"),
    ],
)
def test_an_invalid_model_name_breaks_only_its_plugin(install, name, words):
    install("bad-zoo", MODELS.format(name=name), module="bad_zoo_" + "".join(filter(str.isalnum, name)))
    (problem,) = registry.load().problems
    assert str(problem).startswith("plugin 'bad-zoo' of bad-zoo 1.5: ")
    assert words in str(problem)
    assert "saliency" in registry.load().analyses
    with pytest.raises(UsageError, match=r"There is no model file 'zoo'.*Broken: plugin 'bad-zoo'"):
        cx.load("zoo")


def test_a_plugin_may_offer_analyses_and_models(install, plugin_code):
    install("both", plugin_code("scaling") + MODELS.format(name="zoo"))
    found = registry.load()
    assert found.analyses.suppliers["scaling"] == found.models.suppliers["zoo"]


def test_a_normalization_layer_determines_the_range(random):
    for white, assumed in ((255, ()), (1, ()), (20, ("range",))):
        parts = [keras.layers.Normalization(mean=0.45 * white, variance=(0.23 * white) ** 2), keras.layers.Flatten()]
        clf = cx.load(keras.Sequential([keras.Input((6, 5, 3)), *parts, keras.layers.Dense(3)]))
        assert (clf.preprocess.high, clf.preprocess.assumed) == (1 if assumed else white, assumed)


def test_crop_share_requires_the_crop_fit(model):
    with pytest.raises(UsageError, match=r"crop of 0\.5 only with the fit 'crop', but the fit is 'stretch'"):
        cx.load(model(), preprocess={"crop": 0.5})
    cropped = {"fit": "crop", "crop": 0.5}
    assert cx.load(model(), preprocess=cropped).preprocess.crop == 0.5
    assert cx.load(model(), preprocess=[cropped, {"fit": "pad"}]).preprocess.crop == 1


def test_a_sidecar_is_not_a_model(tmp_path):
    (tmp_path / "mine.json").write_text("{}")
    with pytest.raises(UsageError, match=r"mine\.json' is a JSON file, not a model"):
        cx.load(tmp_path / "mine.json")


def test_custom_objects_may_be_none(model, tmp_path):
    model().save(tmp_path / "mine.keras")
    assert cx.load(tmp_path / "mine.keras", custom_objects=None).labels

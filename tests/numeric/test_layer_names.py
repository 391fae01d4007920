"""Layers may have any name that Keras takes, and several calls of one are told apart."""

import keras
import numpy as np
import pytest
from PIL import Image

import cnnexplain as cx
from cnnexplain.loading import model_config

layers = keras.layers

NAMES = {
    **{name: name for name in ("_c", "-c", "my conv (1)", "[0]", "größe 卷积", "50%", "a:2", "a>b", "*")},
    "c" * 300: "c" * 79 + "…",
    "a\\b": "a_b",
    "a\nb": "a_b:2",
    ".": "_.",
    "..": "_..",
    "": "_",
    "input": "input:2",
    "logits": "logits:1",
}
"""Names of layers, each with that by which it is reached."""

if keras.backend.backend() == "torch":
    # There Keras itself can't make a layer of such a name.
    NAMES = {name: reached for name, reached in NAMES.items() if name and "." not in name}


def named(*names):
    inputs = keras.Input((7, 8, 3))
    x = inputs
    for name in names:
        x = layers.Conv2D(2, 2, padding="same", activation="relu", name=name)(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Flatten()(x)))


@pytest.fixture
def images(random):
    return random.uniform(0, 1, (2, 7, 8, 3)).astype(np.float32)


def test_layers_with_any_name_are_reached(images):
    model = named(*NAMES)
    clf = cx.load(model)
    own = keras.ops.convert_to_numpy(model(images, training=False))
    np.testing.assert_allclose(clf.predict(images), own, rtol=1e-5, atol=1e-6)
    assert [layer.name for layer in clf.layers][: len(NAMES)] == list(NAMES.values())
    outputs, x = clf.activations(images, list(NAMES.values())), images
    for layer, name in zip(model.layers[1:], NAMES.values(), strict=False):
        x = layer(x)
        np.testing.assert_allclose(outputs[name], keras.ops.convert_to_numpy(x), rtol=1e-5, atol=1e-6)
    assert [clf.layer(name).name for name in NAMES if name not in ("a\nb", "input", "logits")] == [
        reached for name, reached in NAMES.items() if name not in ("a\nb", "input", "logits")
    ]
    assert np.isfinite(clf.gradient(images, np.array([0, 1]))).all()
    record = cx.explain("intermediate-outputs", clf, images, layer="all")
    assert record.arrays["output/a_b:2"].shape == (2, 7, 8, 2)


@pytest.mark.parametrize("analysis", ["gradcam", "intermediate-outputs", "deconvnet", "filters"])
def test_layers_with_any_name_work_on_the_command_line(analysis, cli, tmp_path):
    named("my conv (1)", "_c").save(tmp_path / "model.keras")
    Image.new("RGB", (8, 7), "teal").save(tmp_path / "image.png")
    image = [] if analysis == "filters" else ["image.png"]
    for name, folder in (("my conv (1)", "one"), ("_c", "other")):
        code, _, err = cli("run", analysis, "--model", "model.keras", "--layer", name, "--out", folder, *image)
        assert code == 0, err
        names = sorted(path.name for path in (tmp_path / folder / analysis).iterdir())
        picture = "image.png" if image else {"one": "kernels-my-conv-1.png", "other": "kernels-_c.png"}[folder]
        assert names == sorted(["arrays.npz", "index.html", "result.json", picture])


def twice():
    """A nested model, with a layer that it calls twice, that is called twice within another, and a layer called twice."""
    inner = keras.Input((7, 8, 3))
    conv = layers.Conv2D(3, 2, padding="same", activation="relu", name="conv")
    base = keras.Model(inner, conv(layers.Dropout(0.5, name="drop")(conv(inner))), name="base")
    middle = keras.Input((7, 8, 3))
    pair = keras.Model(middle, base(layers.Conv2D(3, 1, name="between")(base(middle))), name="pair")
    inputs = keras.Input((7, 8, 3))
    mirror = layers.Permute((1, 2, 3), name="same")
    x = layers.Concatenate(name="both")([pair(inputs), mirror(pair(mirror(inputs)))])
    return keras.Model(inputs, layers.Dense(3, name="scores")(layers.GlobalAveragePooling2D(name="mean")(x)))


def test_layers_of_a_second_call_are_numbered(images, tmp_path):
    model = twice()
    clf = cx.load(model)
    base = ["base/conv", "base/drop", "base/conv:2"]
    pair = [*base, "between", *(each.replace("base", "base:2") for each in base)]
    pairs = [f"{outer}/{each}" for outer in ("pair", "pair:2") for each in pair]
    names = [layer.name for layer in clf.layers]
    assert sorted(names) == sorted([*pairs, "same", "same:2", "both", "mean", "scores"])
    model.save(tmp_path / "model.keras")
    assert sorted(model_config.layers(model_config.read(tmp_path / "model.keras").config)) == sorted(names)
    # The steps of each call follow one another.
    inner, found = model.get_layer("pair").get_layer("base").get_layer("conv"), clf.activations(images, names)
    for outer in ("pair", "pair:2"):
        for nested in ("base", "base:2"):
            first = found[f"{outer}/{nested}/conv"]
            second = keras.ops.convert_to_numpy(inner(first))
            np.testing.assert_allclose(found[f"{outer}/{nested}/conv:2"], second, rtol=1e-5, atol=1e-6)
    assert clf._layers.parameters(next(call for call in clf._graph.calls if call.name == "pair:2/base/conv")) == 0


def test_an_option_named_layers_is_not_a_model_option(tmp_path):
    config = {"config": {"layers": [{"class_name": "Mine", "config": {"name": "mine", "layers": [4, 4]}}]}}
    assert model_config.layers(config) == ["mine"]


def siamese():
    """The same base for both halves of the image, as networks that compare two have it, a ReLU that is used everywhere."""
    relu = layers.ReLU(name="relu")
    inner = keras.Input((7, 4, 3))
    base = keras.Model(
        inner, relu(layers.Conv2D(3, 2, name="conv")(relu(layers.Conv2D(3, 2, name="first")(inner)))), name="base"
    )
    inputs = keras.Input((7, 8, 3))
    left, right = (layers.GlobalAveragePooling2D()(base(half)) for half in (inputs[:, :, :4], inputs[:, :, 4:]))
    return keras.Model(inputs, layers.Dense(3)(layers.Concatenate()([left, right])))


def test_other_calls_of_a_layer_are_named(images):
    clf = cx.load(siamese())
    shown = cx.explain("gradcam", clf, images)
    assert shown.facts["layer"][0] == "base:2/relu:2"
    warning = "The model calls 'base' several times, and 'base:2/relu:2' is shown; on other paths there is base/relu:2."
    assert warning in shown.warnings
    named = cx.explain("gradcam", clf, images, layer="base/relu:2").warnings
    assert not any("several times" in warning for warning in named)
    kernels = cx.explain("filters", clf)
    assert list(kernels.facts["shown"]) == ["base/first", "base/conv"]
    warning = "The model calls 'base' several times, and 'base/first' is shown; on other paths there are base:2/first, "
    assert kernels.warnings == (warning + "base:2/conv.",)
    both = cx.explain("intermediate-outputs", clf, images, layer="all")
    assert both.warnings == ()
    assert {"base/conv", "base:2/conv"} <= {facts["name"] for facts in both.facts["layers"][0]}
    assert cx.explain("deconvnet", clf, images).warnings == ()

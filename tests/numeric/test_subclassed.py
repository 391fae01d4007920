"""Models that are classes with a call() of their own: a nested one is one layer; one alone is told how to be mended."""

import keras
import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain.errors import ModelError

layers = keras.layers


@keras.saving.register_keras_serializable("tests")
class Block(keras.Model):
    """What training changes: batch normalization, dropout and a flip, which trains unless it is told not to."""

    def __init__(self, **names):
        super().__init__(**names)
        self.flip, self.conv = layers.RandomFlip(), layers.Conv2D(4, 3, activation="relu")
        self.norm, self.drop = layers.BatchNormalization(), layers.Dropout(0.5)

    def call(self, x, training=None):
        return self.drop(self.norm(self.conv(self.flip(x)), training=training), training=training)


class Outer(keras.Model):
    """A class within a class, which says nothing of training."""

    def __init__(self, **names):
        super().__init__(**names)
        self.block = Block()

    def call(self, x):
        return self.block(x)


class Several(keras.Model):
    def __init__(self, **names):
        super().__init__(**names)
        self.one, self.other = layers.Conv2D(4, 3), layers.Conv2D(4, 3)

    def call(self, x):
        return {"z": self.one(x), "a": self.other(x)}


class Doubled(keras.Sequential):
    def call(self, x, training=None, mask=None):
        return 2 * super().call(x, training=training)


class Tripled(keras.Model):
    """It has a graph, which is not all that it computes."""

    def __init__(self, **names):
        inputs = keras.Input((9, 8, 3))
        super().__init__(inputs, layers.Conv2D(4, 3)(inputs), **names)

    def call(self, x, training=None, mask=None):
        return 3 * super().call(x, training=training)


@keras.saving.register_keras_serializable("tests")
class Alone(keras.Model):
    def __init__(self, **names):
        super().__init__(**names)
        self.conv, self.pool = layers.Conv2D(4, 3, activation="relu"), layers.GlobalAveragePooling2D()
        self.scores = layers.Dense(3, activation="softmax")

    def call(self, x, training=None):
        return self.scores(self.pool(self.conv(x)))


def within(make):
    """A functional model that holds a functional one that holds what is nested."""
    inner, outer = keras.Input((9, 8, 3)), keras.Input((9, 8, 3))
    body = keras.Model(inner, make(inner), name="body")
    x = layers.GlobalAveragePooling2D()(body(outer))
    return keras.Model(outer, layers.Dense(3, activation="softmax")(x))


def several(x):
    found = Several(name="inner")(x)
    return layers.Subtract(name="difference")([found["z"], found["a"]])


NESTED = {
    "block": (lambda: Block(name="inner"), "body/inner"),
    "class in class": (lambda: Outer(name="inner"), "body/inner"),
    "several outputs": (lambda: several, "body/difference"),
    "sequential": (lambda: Doubled([layers.Conv2D(4, 3)], name="inner"), "body/inner"),
    "sequential with an input": (lambda: Doubled([keras.Input((9, 8, 3)), layers.Conv2D(4, 3)], name="inner"), "body/inner"),
    "functional with a call": (lambda: Tripled(name="inner"), "body/inner"),
}
"""What makes what is nested, and the layer that stands for it."""


@pytest.mark.parametrize("kind", NESTED)
def test_nested_subclassed_models_are_one_layer(kind, random):
    keras.utils.set_random_seed(1)
    make, name = NESTED[kind]
    model = within(make())
    for weight in model.weights:
        if "seed" not in weight.path:
            weight.assign(random.uniform(0.1, 0.6, weight.shape))
    clf = cx.load(model)
    images = random.uniform(0, 1, (2, 9, 8, 3)).astype(np.float32)
    own = keras.ops.convert_to_numpy(model(images, training=False))
    np.testing.assert_allclose(clf.predict(images), own, rtol=1e-5, atol=1e-6)
    assert name in [layer.name for layer in clf.layers]
    # Behind the layer all is linear: the gradient with respect to it is the class's weights, spread over its places.
    values, outputs, gradient = clf.layer_gradient(images, name, np.array([0, 2]))
    kernel, bias = model.layers[-1].get_weights()
    np.testing.assert_allclose(
        values, [(outputs[i].mean((0, 1)) @ kernel + bias)[c] for i, c in enumerate((0, 2))], rtol=1e-4
    )
    places = outputs.shape[1] * outputs.shape[2]
    for number, target in enumerate((0, 2)):
        np.testing.assert_allclose(
            gradient[number], np.broadcast_to(kernel[:, target] / places, outputs.shape[1:]), rtol=1e-4
        )
    assert cx.explain("gradcam", clf, images, layer=name).facts["layer"] == [name] * 2
    if name == "body/inner":
        with pytest.raises(ModelError, match=r"field of 'body/inner' is not known past the layer 'body/inner' \(\w+\)"):
            clf.receptive_field(name)
        with pytest.raises(ModelError, match=r"The layer 'body/inner' \(\w+\) is neither an elementwise activation"):
            clf.describe_rule(name, "deconvnet")
        for analysis, given in (("deconvnet", [images]), ("filters", [])):
            with pytest.raises(ModelError, match=r"has no convolution.*'body/inner' are not accessible.* call\(\)"):
                cx.explain(analysis, clf, *given)


def fix(error):
    """The code that a message prints."""
    return str(error.value)[str(error.value).index("i = keras") :]


def mended(model, error):
    names = {"keras": keras, "model": model, "height": 9, "width": 8, "channels": 3}
    exec(fix(error), names)
    return names["model"]


@pytest.mark.parametrize("built", [True, False])
def test_subclassed_models_get_code_that_converts_them(built, random):
    model, images = Alone(name="mine"), random.uniform(0, 1, (2, 9, 8, 3)).astype(np.float32)
    if built:
        model(images)
    with pytest.raises(ModelError, match=r"'mine' \(Alone\) has no graph of layers.*call\(\) of its own") as error:
        cx.load(model)
    assert ("keras.Input((9, 8, 3))" in fix(error)) is built
    clf = cx.load(mended(model, error))
    np.testing.assert_allclose(clf.predict(images), keras.ops.convert_to_numpy(model(images)), rtol=1e-5)
    assert [layer.kind for layer in clf.layers if layer.name != "logits"] == ["Conv2D", "GlobalAveragePooling2D", "Dense"]


def test_subclassed_models_from_files_get_the_same_advice(random, tmp_path):
    model, images = Alone(), random.uniform(0, 1, (2, 9, 8, 3)).astype(np.float32)
    model(images)
    model.save(tmp_path / "class.keras")
    with pytest.raises(ModelError, match="has no graph of layers") as error:
        cx.load(tmp_path / "class.keras", custom_objects={"tests>Alone": Alone})
    loaded = keras.models.load_model(tmp_path / "class.keras", custom_objects={"tests>Alone": Alone})
    mended(loaded, error).save(tmp_path / "graph.keras")
    clf = cx.load(tmp_path / "graph.keras")
    np.testing.assert_allclose(clf.predict(images), keras.ops.convert_to_numpy(model(images)), rtol=1e-5)


def test_unbuilt_sequential_models_ask_for_a_size(random):
    model = keras.Sequential([layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), layers.Dense(3)], name="open")
    with pytest.raises(
        ModelError, match=r"'open' .* size of its input is unknown\. .*model\.build\(\(None, height, width, channels\)\)"
    ):
        cx.load(model)
    model.build((None, 9, 8, 3))
    assert cx.load(model).logits(random.uniform(0, 1, (2, 9, 8, 3)).astype(np.float32)).shape == (2, 3)

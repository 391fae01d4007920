"""What makes probabilities of scores: softmax, sigmoids, none; one of several outputs; sizes that a model leaves open."""

import keras
import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain.errors import ModelError, UsageError

pytestmark = pytest.mark.numeric


def network(*tail, units=5, shape=(12, 10, 3), seed=0):
    """A small convolutional network whose last layers are `tail`, with weights that make its scores differ."""
    parts = [keras.layers.Conv2D(6, 3, activation="relu", name="conv"), keras.layers.GlobalAveragePooling2D(name="pool")]
    model = keras.Sequential([keras.Input(shape), *parts, *tail])
    random = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(random.normal(0, 0.7, weight.shape))
    return model


def scored(units, activation=None, **options):
    return network(keras.layers.Dense(units, activation=activation, name="scores"), **options)


@pytest.fixture
def images(random):
    return random.uniform(0, 1, (3, 12, 10, 3)).astype(np.float32)


def own(model, images):
    return keras.ops.convert_to_numpy(model(images, training=False))


def sigmoid(score):
    return 1 / (1 + np.exp(-np.asarray(score, np.float64)))


def test_one_sigmoid_unit_is_two_classes_of_opposite_scores(images):
    scores = own(scored(1), images)
    clf = cx.load(scored(1, "sigmoid"))
    assert (clf.head, clf.labels) == ("sigmoid", ("0", "1"))
    np.testing.assert_allclose(clf.logits(images), np.hstack([-scores, scores]), rtol=1e-5)
    np.testing.assert_allclose(clf.predict(images)[:, 1:], own(clf.model, images), rtol=1e-5)
    np.testing.assert_allclose(clf.predict(images).sum(axis=1), 1, rtol=1e-6)
    against, towards = (clf.gradient(images, np.full(3, target)) for target in (0, 1))
    assert np.abs(towards).max() > 1e-3
    np.testing.assert_array_equal(against, -towards)


def test_several_sigmoid_units_are_each_a_class_by_itself(images):
    scores = own(scored(4), images)
    clf = cx.load(scored(4, "sigmoid"))
    np.testing.assert_allclose(clf.logits(images), scores, rtol=1e-5)
    np.testing.assert_allclose(clf.predict(images), sigmoid(scores), rtol=1e-5)
    assert not np.allclose(clf.predict(images).sum(axis=1), 1)
    record = cx.explain("saliency", clf, images)
    assert [each.prediction for each in record.explained] == scores.argmax(axis=1).tolist()


@pytest.mark.parametrize(
    ("tail", "head"),
    [
        (lambda: [keras.layers.Dense(4, activation="sigmoid")], "sigmoid"),
        (lambda: [keras.layers.Dense(4), keras.layers.Activation("sigmoid")], "sigmoid"),
        (lambda: [keras.layers.Dense(4, activation=keras.ops.sigmoid)], "sigmoid"),
        (lambda: [keras.layers.Dense(4, activation="softmax")], "softmax"),
        (lambda: [keras.layers.Dense(4, activation=keras.ops.softmax)], "softmax"),
        (lambda: [keras.layers.Dense(4), keras.layers.Softmax()], "softmax"),
        (lambda: [keras.layers.Dense(4)], "softmax"),
    ],
)
def test_every_way_to_write_a_head_has_the_same_logits(tail, head, images):
    clf = cx.load(network(*tail()))
    np.testing.assert_allclose(clf.logits(images), own(scored(4), images), rtol=1e-5)
    assert clf.head == head


@pytest.mark.parametrize("operation", ["softmax", "sigmoid"])
def test_an_operation_can_be_the_head(operation, images):
    scores = scored(4)
    model = keras.Model(scores.inputs[0], getattr(keras.ops, operation)(scores.outputs[0]))
    clf = cx.load(model)
    np.testing.assert_allclose(clf.logits(images), own(scores, images), rtol=1e-5)
    np.testing.assert_allclose(clf.predict(images), own(model, images), rtol=1e-5)


def test_an_extreme_sigmoid_neither_overflows_nor_rounds_to_another_class():
    clf = cx.load(scored(4, "sigmoid"))
    logits = np.array([[-1000, -100, 0, 1000]], np.float64)
    np.testing.assert_allclose(clf.probabilities(logits), [[0, np.exp(-100), 0.5, 1]], rtol=1e-12)


def test_raw_scores_are_taken_as_such_where_it_is_said(images):
    odd = scored(4, "tanh")
    with pytest.raises(ModelError, match=r"activation 'tanh'.*--logits \(logits=True\)"):
        cx.load(odd)
    clf = cx.load(odd, logits=True)
    np.testing.assert_allclose(clf.logits(images), own(odd, images), rtol=1e-5)
    assert clf.head == "softmax"
    one = cx.load(scored(1), logits=True)
    np.testing.assert_allclose(one.predict(images)[:, 1:], sigmoid(own(scored(1), images)), rtol=1e-5)
    assert one.head == "sigmoid"


def test_probabilities_are_not_taken_for_scores():
    """Their gradients vanish where the model is sure."""
    with pytest.raises(UsageError, match=r"ends in a softmax \(layer 'scores'\).*leave out --logits"):
        cx.load(scored(4, "softmax"), logits=True)


def two_outputs(form):
    inputs = keras.Input((12, 10, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, activation="relu")(inputs))
    animal = keras.layers.Dense(3, activation="softmax", name="animal")(x)
    colour = keras.layers.Dense(2, activation="sigmoid", name="colour")(x)
    model = keras.Model(inputs, {"list": [animal, colour], "dict": {"which": animal, "a tint": colour}}[form])
    random = np.random.default_rng(3)
    for weight in model.weights:
        weight.assign(random.normal(0, 0.7, weight.shape))
    return model


@pytest.mark.parametrize(("form", "names"), [("list", ("animal", "colour")), ("dict", ("which", "a tint"))])
def test_one_of_several_outputs_is_explained(form, names, images):
    model = two_outputs(form)
    with pytest.raises(UsageError, match=r"has 2 outputs; choose one with --output .*(animal, colour|a tint, which)"):
        cx.load(model)
    with pytest.raises(UsageError, match=r"no output 'tnit'|no output 'coluor'"):
        cx.load(model, output={"list": "coluor", "dict": "tnit"}[form])
    outputs = model(images)
    for place, (name, head) in enumerate(zip(names, ["softmax", "sigmoid"], strict=True)):
        clf = cx.load(model, output=name)
        expected = outputs[place if form == "list" else name]
        np.testing.assert_allclose(clf.predict(images), keras.ops.convert_to_numpy(expected), rtol=1e-5)
        assert clf.head == head
        assert cx.explain("saliency", clf, images).provenance["model"]["output"] == ["animal", "colour"][place]


def test_a_model_of_any_size_is_given_one(random):
    model = network(keras.layers.Dense(4, activation="softmax"), shape=(None, None, 3))
    guessed = cx.load(model)
    assert guessed.preprocess.shape == (224, 224, 3)
    assert guessed.preprocess.assumed == ("size", "range")
    clf = cx.load(model, preprocess=cx.Preprocess(20, 14))
    images = random.uniform(0, 1, (2, 20, 14, 3)).astype(np.float32)
    np.testing.assert_allclose(clf.predict(images), own(model, images), rtol=1e-5)
    assert clf.layer("conv").shape == (18, 12, 6)
    assert clf.receptive_field("conv").rows.size == 3
    assert clf.gradient(images, [1, 2]).shape == images.shape


def test_a_size_that_is_not_the_models_is_refused():
    with pytest.raises(UsageError, match=r"takes \(12, 10, 3\), but was said to take \(10, 12, 3\)"):
        cx.load(scored(3), preprocess=cx.Preprocess(10, 12))


def test_labels_name_the_classes(images):
    clf = cx.load(scored(3, "softmax"), labels=["cat", "dog", "newt"])
    assert (clf.target("newt"), clf.labels) == (2, ("cat", "dog", "newt"))
    with pytest.raises(UsageError, match="There are 2 labels for the 3 classes"):
        cx.load(scored(3), labels=["cat", "dog"])


@pytest.mark.parametrize("units", [1, 4])
def test_all_analyses_name_the_classes_of_sigmoid_units(units, images):
    """The unit of a binary classifier stands for the last of its two classes."""
    clf = cx.load(scored(units, "sigmoid"), labels=["no", "yes"] if units == 1 else None)
    shown = cx.explain("intermediate-outputs", clf, images).facts["layers"][0]
    assert {facts["name"]: facts["unit"] for facts in shown}["scores"] == "probability"
    if units == 1:
        found = cx.explain("activation-maximization", clf, layer="scores", unit="0", steps=2, starts=1)
        assert found.facts["unit"] == ["yes"]
    occluded = cx.explain("occlusion", clf, images, target=1, patch=4, stride=4)
    np.testing.assert_allclose(occluded.arrays["probability"], sigmoid(occluded.arrays["logit"]), rtol=1e-5)

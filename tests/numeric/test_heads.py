"""What makes probabilities of scores: softmax, sigmoids, none; one of several outputs; sizes that a model leaves open."""

import json
import re

import keras
import numpy as np
import pytest
from PIL import Image
from regression import QUICK

import cnnexplain as cx
from cnnexplain.errors import ModelError, UsageError


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


def test_one_sigmoid_unit_gives_two_classes(images):
    scores = own(scored(1), images)
    clf = cx.load(scored(1, "sigmoid"))
    assert (clf.head, clf.labels) == ("sigmoid", ("0", "1"))
    np.testing.assert_allclose(clf.logits(images), np.hstack([-scores, scores]), rtol=1e-5)
    np.testing.assert_allclose(clf.predict(images)[:, 1:], own(clf.model, images), rtol=1e-5)
    np.testing.assert_allclose(clf.predict(images).sum(axis=1), 1, rtol=1e-6)
    against, towards = (clf.gradient(images, np.full(3, target)) for target in (0, 1))
    assert np.abs(towards).max() > 1e-3
    np.testing.assert_array_equal(against, -towards)


def test_several_sigmoid_units_are_independent_classes(images):
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
def test_all_forms_of_a_head_have_the_same_logits(tail, head, images):
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


def test_extreme_sigmoids_neither_overflow_nor_change_class():
    clf = cx.load(scored(4, "sigmoid"))
    logits = np.array([[-1000, -100, 0, 1000]], np.float64)
    np.testing.assert_allclose(clf.probabilities(logits), [[0, np.exp(-100), 0.5, 1]], rtol=1e-12)


def test_declared_logits_are_used(images):
    odd = scored(4, "tanh")
    with pytest.raises(ModelError, match=r"activation 'tanh'.*--logits \(logits=True\)"):
        cx.load(odd)
    clf = cx.load(odd, logits=True)
    np.testing.assert_allclose(clf.logits(images), own(odd, images), rtol=1e-5)
    assert clf.head == "softmax"
    one = cx.load(scored(1), logits=True)
    np.testing.assert_allclose(one.predict(images)[:, 1:], sigmoid(own(scored(1), images)), rtol=1e-5)
    assert one.head == "sigmoid"


def test_probabilities_are_not_mistaken_for_logits():
    """Their gradients vanish where the model is sure."""
    with pytest.raises(UsageError, match=r"ends in a softmax \(layer 'scores'\).*leave out --logits"):
        cx.load(scored(4, "softmax"), logits=True)


def two_outputs(form):
    inputs = keras.Input((12, 10, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, activation="relu")(inputs))
    animal = keras.layers.Dense(3, activation="softmax", name="animal")(x)
    color = keras.layers.Dense(2, activation="sigmoid", name="color")(x)
    model = keras.Model(inputs, {"list": [animal, color], "dict": {"which": animal, "a tint": color}}[form])
    random = np.random.default_rng(3)
    for weight in model.weights:
        weight.assign(random.normal(0, 0.7, weight.shape))
    return model


@pytest.mark.parametrize(("form", "names"), [("list", ("animal", "color")), ("dict", ("which", "a tint"))])
def test_one_of_several_outputs_is_selected(form, names, images):
    model = two_outputs(form)
    with pytest.raises(UsageError, match=r"has 2 outputs; choose one with --output .*(animal, color|a tint, which)"):
        cx.load(model)
    with pytest.raises(UsageError, match=r"no output 'tnit'|no output 'coluor'"):
        cx.load(model, output={"list": "coluor", "dict": "tnit"}[form])
    outputs = model(images)
    for place, (name, head) in enumerate(zip(names, ["softmax", "sigmoid"], strict=True)):
        clf = cx.load(model, output=name)
        expected = outputs[place if form == "list" else name]
        np.testing.assert_allclose(clf.predict(images), keras.ops.convert_to_numpy(expected), rtol=1e-5)
        assert clf.head == head
        assert cx.explain("saliency", clf, images).provenance["model"]["output"] == ["animal", "color"][place]


def test_models_of_any_size_get_a_size(random):
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


def test_wrong_sizes_are_refused():
    with pytest.raises(UsageError, match=r"takes \(12, 10, 3\), but is declared to take \(10, 12, 3\)"):
        cx.load(scored(3), preprocess=cx.Preprocess(10, 12))


def test_labels_name_the_classes(images):
    clf = cx.load(scored(3, "softmax"), labels=["cat", "dog", "newt"])
    assert (clf.target("newt"), clf.labels) == (2, ("cat", "dog", "newt"))
    with pytest.raises(UsageError, match="There are 2 labels for the 3 classes"):
        cx.load(scored(3), labels=["cat", "dog"])


@pytest.mark.slow
@pytest.mark.parametrize("units", [1, 4])
def test_every_analysis_names_sigmoid_classes(units, images):
    """The unit of a binary classifier stands for the last of its two classes."""
    clf = cx.load(scored(units, "sigmoid"), labels=["no", "yes"] if units == 1 else None)
    shown = cx.explain("intermediate-outputs", clf, images).facts["layers"][0]
    assert {facts["name"]: facts["unit"] for facts in shown}["scores"] == "probability"
    if units == 1:
        found = cx.explain("activation-maximization", clf, layer="scores", unit="0", steps=2, starts=1)
        assert found.facts["unit"] == ["yes"]
    occluded = cx.explain("occlusion", clf, images, target=1, patch=4, stride=4)
    np.testing.assert_allclose(occluded.arrays["probability"], sigmoid(occluded.arrays["logit"]), rtol=1e-5)


def average(*tails, shape=(12, 10, 3)):
    """The mean of what several tails return."""
    inputs = keras.Input(shape)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(6, 3, activation="relu")(inputs))
    model = keras.Model(inputs, keras.layers.Average()([tail(x) for tail in tails]))
    random = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(random.normal(0, 0.9, weight.shape))
    return model


def opposite(units=1):
    """[1 − p, p] of a sigmoid."""
    model = scored(units, "sigmoid")
    p = model.outputs[0]
    return keras.Model(model.inputs[0], keras.layers.Concatenate()([1 - p, p]))


def dense(units, activation):
    return keras.layers.Dense(units, activation=activation)


class Doubled(keras.layers.Dense):
    """A layer of someone else's, whose product isn't known."""


IDENTITIES = {
    "dropout": keras.layers.Dropout(0.5),
    "identity": keras.layers.Identity(),
    "linear": keras.layers.Activation("linear", dtype="float32"),
    "noise": keras.layers.GaussianNoise(0.3),
    "reshaped": lambda p: keras.layers.Reshape((4,))(keras.layers.Reshape((1, 1, 4))(p)),
    "one pixel": keras.layers.Reshape((1, 1, 4)),
    "flattened": keras.layers.Flatten(),
    "cast": lambda p: keras.ops.cast(p, "float32"),
    "squeezed": lambda p: keras.ops.squeeze(keras.ops.expand_dims(p, 1), 1),
    "clipped": lambda p: keras.ops.clip(p, 1e-7, 1 - 1e-7),
    "several": lambda p: keras.layers.Dropout(0.1)(keras.layers.Flatten()(keras.layers.Identity()(p))),
}


@pytest.mark.parametrize("name", IDENTITIES)
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_heads_are_found_behind_identity_operations(name, activation, images):
    head = scored(4, activation)
    model = keras.Model(head.inputs[0], IDENTITIES[name](head.outputs[0]))
    clf = cx.load(model)
    assert (clf.head, clf.certain) == (activation, True)
    np.testing.assert_allclose(clf.logits(images), own(scored(4), images), rtol=1e-5)
    np.testing.assert_allclose(clf.predict(images), own(model, images).reshape(3, 4), rtol=1e-5, atol=1e-6)


PROBABILISTIC = {
    "two softmaxes": lambda: average(dense(4, "softmax"), dense(4, "softmax")),
    "two sigmoids": lambda: average(dense(4, "sigmoid"), dense(4, "sigmoid")),
    "two single sigmoids": lambda: average(dense(1, "sigmoid"), dense(1, "sigmoid")),
    "opposite": opposite,
    "hard sigmoid": lambda: scored(4, "hard_sigmoid"),
    "temperature": lambda: scored(4, lambda x: keras.ops.softmax(x / 2)),
    "a layer of someone else's": lambda: network(Doubled(4, activation="softmax")),
    "means of maps": lambda: keras.Sequential(
        [keras.Input((12, 10, 3)), keras.layers.Conv2D(4, 3, activation="sigmoid"), keras.layers.GlobalAveragePooling2D()]
    ),
}
"""Models of probabilities whose scores can't be reached."""


@pytest.mark.parametrize("name", PROBABILISTIC)
def test_unreachable_logits_require_a_declaration(name, images):
    model = PROBABILISTIC[name]()
    with pytest.raises(ModelError, match="--probabilities") as refused:
        cx.load(model).logits(images)
    assert "--logits" not in str(refused.value)
    clf = cx.load(model, probabilities=True)
    p = own(model, images).astype(np.float64)
    np.testing.assert_allclose(clf.predict(images)[:, -p.shape[1] :], p, rtol=1e-5, atol=1e-7)
    assert clf.head == ("softmax" if p.shape[1] > 1 and np.allclose(p.sum(axis=1), 1) else "sigmoid")
    # The scores by their definition; those of p and of 1 − p, which can be 0.
    tiny = np.maximum(p, 1e-37)
    expected = np.log(tiny) if clf.head == "softmax" else np.log(tiny) - np.log(np.maximum(1 - p, 2.0**-25))
    np.testing.assert_allclose(clf.logits(images)[:, -p.shape[1] :], expected, rtol=1e-4, atol=1e-5)
    assert clf.certain
    record = cx.explain("saliency", clf, images)
    assert record.arrays["saliency"].any()
    shown = clf.predict(images).max(axis=1)
    np.testing.assert_allclose([each.probability for each in record.explained], shown, rtol=1e-6)


def test_mean_probabilities_are_explained_by_their_logarithm(images):
    model = PROBABILISTIC["two softmaxes"]()
    clf = cx.load(model, probabilities=True)
    gradient, step = clf.gradient(images[:1], [2]), 1e-2
    place = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
    moved = [images[:1].copy() for _ in range(2)]
    moved[0][place] += step
    moved[1][place] -= step
    high, low = (np.log(own(model, each)[0, 2].astype(np.float64)) for each in moved)
    np.testing.assert_allclose(gradient[place], (high - low) / (2 * step), rtol=2e-2)


def test_reachable_softmax_gives_exact_log_probabilities(images):
    """A softmax of a score of 200 is 0 in single precision; its logarithm is not."""
    model = scored(4, "softmax")
    model.layers[-1].bias.assign([0, 0, 0, 200])
    clf = cx.load(model, probabilities=True)
    scores = own(network(keras.layers.Dense(4)), images) + np.array([0, 0, 0, 200])
    logits = clf.logits(images)
    assert logits.min() < -150
    np.testing.assert_allclose(logits[:, :3] - logits[:, 3:], (scores[:, :3] - scores[:, 3:]) - 0, rtol=0.1)
    np.testing.assert_allclose(clf.predict(images), own(model, images), atol=1e-7)


def test_probabilities_zero_and_one_are_kept(images):
    model = average(dense(3, "softmax"), dense(3, "softmax"))
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense):
            layer.kernel.assign(np.zeros(layer.kernel.shape))
            layer.bias.assign([300, 0, -300])
    clf = cx.load(model, probabilities=True)
    np.testing.assert_array_equal(clf.predict(images), [[1, 0, 0]] * 3)
    assert np.isfinite(clf.logits(images)).all()
    assert np.isfinite(clf.gradient(images, [2, 1, 0])).all()


@pytest.mark.parametrize("name", PROBABILISTIC)
def test_probabilities_declared_as_logits_are_refused(name, images):
    with pytest.raises((UsageError, ModelError), match="--probabilities"):
        cx.load(PROBABILISTIC[name](), logits=True).logits(images)


def test_other_values_are_not_mistaken_for_probabilities():
    with pytest.raises(UsageError, match=r"go from -.* to .*, and are not probabilities; leave out --probabilities"):
        cx.load(scored(4), probabilities=True)
    with pytest.raises(UsageError, match=r"only one of .*--logits .* and --values"):
        cx.load(scored(4), logits=True, values=True)


def test_log_softmax_outputs_are_logits(images):
    model = scored(4, "log_softmax")
    clf = cx.load(model)
    assert clf.certain
    np.testing.assert_allclose(clf.predict(images), np.exp(own(model, images)), rtol=1e-5)


def segmented(activation, *, classes=3, after=None):
    """A score for each of (10, 8) pixels."""
    layers = [
        keras.layers.Conv2D(6, 3, activation="relu"),
        keras.layers.Conv2D(classes, 1, activation=activation, name="pixels"),
    ]
    model = keras.Sequential([keras.Input((12, 10, 3)), *layers, *([] if after is None else [after])])
    random = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(random.normal(0, 0.7, weight.shape))
    return model


REDUCED = {
    "mean": lambda maps: maps.mean(axis=(1, 2)),
    "max": lambda maps: maps.max(axis=(1, 2)),
    "3,2": lambda maps: maps[:, 3, 2],
}


@pytest.mark.parametrize("reduce", REDUCED)
@pytest.mark.parametrize(("activation", "classes"), [("softmax", 3), ("sigmoid", 3), ("sigmoid", 1), (None, 3)])
def test_pixel_scores_are_reduced_as_requested(reduce, activation, classes, images):
    model = segmented(activation, classes=classes)
    with pytest.raises(ModelError, match=r"is \(10, 8, \d\).*--output pixels --reduce mean, max or ROW,COLUMN"):
        cx.load(model)
    clf = cx.load(model, reduce=reduce)
    expected = REDUCED[reduce](own(model, images))
    if activation is None:
        np.testing.assert_allclose(clf.logits(images), expected, rtol=1e-4, atol=1e-5)
        return
    np.testing.assert_allclose(clf.predict(images)[:, -classes:], expected, rtol=1e-5, atol=1e-6)
    # One class for each pixel, and of the largest of each over the pixels any number.
    assert clf.head == ("softmax" if activation == "softmax" and reduce != "max" else "sigmoid")
    if reduce == "3,2":
        before = own(segmented(None, classes=classes), images)[:, 3, 2]
        np.testing.assert_allclose(clf.logits(images)[:, -classes:], before, rtol=1e-4, atol=1e-5)
    record = cx.explain("gradcam", clf, images)
    assert record.explained[0].probability == pytest.approx(clf.predict(images)[0].max())


def test_one_pixel_is_flattened(images):
    inputs = keras.Input((12, 10, 3))
    whole = keras.layers.Conv2D(4, (12, 10), activation="softmax", name="whole")(inputs)
    model = keras.Model(inputs, whole)
    clf = cx.load(model)
    np.testing.assert_allclose(clf.predict(images), own(model, images).reshape(3, 4), rtol=1e-5)
    assert cx.explain("occlusion", clf, images, patch=4, stride=4).arrays["probability"].shape[0] == 3
    assert cx.explain("intermediate-outputs", clf, images).facts["layers"]


@pytest.mark.parametrize(
    ("reduce", "error", "words"),
    [
        ((10, 2), UsageError, r"is \(10, 8, 3\) and has no pixel 10,2"),
        ("median", UsageError, "takes 'mean', 'max' or ROW,COLUMN, such as 12,7, but got 'median'"),
        ("3", UsageError, "takes 'mean', 'max' or ROW,COLUMN"),
        ((1, -2), UsageError, "takes 'mean', 'max' or ROW,COLUMN"),
    ],
)
def test_invalid_reductions_are_refused(reduce, error, words):
    with pytest.raises(error, match=words):
        cx.load(segmented("softmax"), reduce=reduce)


def test_integer_outputs_are_refused():
    head = scored(4)
    with pytest.raises(ModelError, match="is of int32; expected floating-point numbers"):
        cx.load(keras.Model(head.inputs[0], keras.ops.argmax(head.outputs[0], axis=-1)))


def test_reductions_require_pixel_scores():
    with pytest.raises(UsageError, match=r"is \(4\) and has no pixels; leave out --reduce"):
        cx.load(scored(4, "softmax"), reduce="mean")


@pytest.mark.slow
def test_every_analysis_explains_reduced_outputs(images):
    for clf in (cx.load(segmented("softmax"), reduce="mean"), cx.load(opposite(), probabilities=True)):
        for name in ("saliency", "occlusion", "rise", "intermediate-outputs", "deconvnet", "integrated-gradients"):
            options = {"dataset": None} if name == "deconvnet" else QUICK.get(name, {})
            assert cx.explain(name, clf, images[:1], **options).figure(0)


def test_the_command_line_declares_outputs(cli, tmp_path, random):
    picture = random.integers(0, 255, (12, 10, 3)).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "x.png")
    given = (picture / np.float32(255))[None]
    mean, pixels = average(dense(3, "softmax"), dense(3, "softmax")), segmented("softmax")
    mean.save(tmp_path / "mean.keras")
    pixels.save(tmp_path / "pixels.keras")
    for model, option, p in [
        ("mean.keras", ("--probabilities",), own(mean, given)[0]),
        ("pixels.keras", ("--output", "pixels", "--reduce", "2,3"), own(pixels, given)[0, 2, 3]),
        ("pixels.keras", ("--reduce", "mean"), own(pixels, given)[0].mean(axis=(0, 1))),
    ]:
        code, _, err = cli("run", "saliency", "x.png", "--model", model)
        assert (code, err.count("\n")) == (1, 1)
        assert option[-2 if len(option) > 1 else 0] in err
        code, out, _ = cli("run", "saliency", "x.png", "--model", model, *option)
        assert code == 0
        assert ("the scores explained are log p." in out) == (option[-1] in ("--probabilities", "mean"))
        assert f"│ {p.argmax()}          │ {100 * p.max():.1f}%" in out
        result = json.loads((tmp_path / "cnnexplain-out/saliency/result.json").read_text())
        assert result["images"][0]["probability"] == pytest.approx(float(p.max()), rel=1e-5)
    computed(lambda p: 100 * p, "softmax").save(tmp_path / "percentages.keras")
    for option in ((), ("--logits",), ("--probabilities",)):
        code, out, err = cli("run", "saliency", "x.png", "--model", "percentages.keras", *option)
        assert (code, out, err.count("\n")) == (2 if option else 1, "", 1)
        assert "are computed from the softmax of layer 'a' and go from 0 to 100" in err
        assert f"leave out {option[0]}" in err if option else "leave out" not in err
    code, _, err = cli("run", "saliency", "x.png", "--model", "pixels.keras", "--reduce", "median")
    assert (code, err) == (
        2,
        "Error: --reduce (reduce=) takes 'mean', 'max' or ROW,COLUMN, such as 12,7, but got 'median'.\n",
    )


def computed(function, *activations, units=4):
    """What a function makes of the outputs of dense layers with these activations."""
    inputs = keras.Input((12, 10, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(6, 3, activation="relu")(inputs))
    parts = [dense(units, activation) for activation in activations]
    for number, part in enumerate(parts):
        part.name = "abc"[number]
    model = keras.Model(inputs, function(*[part(x) for part in parts]))
    random = np.random.default_rng(2)
    for weight in model.weights:
        weight.assign(random.normal(0, 0.9, weight.shape))
    return model


def nested(model):
    inputs = keras.Input((12, 10, 3))
    return keras.Model(inputs, keras.layers.Rescaling(100.0)(model(inputs)))


def upsampled():
    parts = [
        keras.layers.Conv2D(3, 3, activation="sigmoid", name="maps"),
        keras.layers.UpSampling2D(interpolation="bilinear"),
    ]
    return keras.Sequential(
        [keras.Input((12, 10, 3)), *parts, keras.layers.GlobalMaxPooling2D(), keras.layers.Rescaling(9.0)]
    )


def confused():
    """A layer whose weights are shares: what other classes a class is mistaken for."""
    model = computed(keras.layers.Dense(3, name="confusion"), "softmax")
    shares = np.random.default_rng(0).dirichlet(np.ones(3), 4)
    model.get_layer("confusion").set_weights([shares, np.zeros(3)])
    return model


ops = keras.ops
COMPUTED = {
    # What is computed of probabilities, from what to what it goes, and of what.
    "percentages": (lambda: computed(keras.layers.Rescaling(100.0), "softmax"), 0, 100, "softmax of layer 'a'"),
    "times 100": (lambda: computed(lambda p: p * 100.0, "softmax"), 0, 100, "softmax of layer 'a'"),
    "a Lambda": (lambda: computed(keras.layers.Lambda(lambda p: 100 * p), "softmax"), 0, 100, "softmax of layer 'a'"),
    "times k": (lambda: computed(lambda p: ops.multiply(7, p), "softmax"), 0, 7, "softmax of layer 'a'"),
    "rounded": (lambda: computed(lambda p: ops.round(100 * p, 1), "softmax"), 0, 100, "softmax of layer 'a'"),
    "percentages of sigmoids": (lambda: computed(lambda p: 100 * p, "sigmoid"), 0, 100, "sigmoid of layer 'a'"),
    "of one": (lambda: computed(lambda p: 100 * p, "sigmoid", units=1), 0, 100, "sigmoid of layer 'a'"),
    "of functions": (lambda: computed(lambda p: 100 * p, ops.sigmoid), 0, 100, "sigmoid of layer 'a'"),
    "from -1 to 1": (lambda: computed(lambda p: 2 * p - 1, "sigmoid"), -1, 1, "sigmoid of layer 'a'"),
    "from 1 to 5": (lambda: computed(keras.layers.Rescaling(4.0, offset=1.0), "sigmoid"), 1, 5, "sigmoid of layer 'a'"),
    "sum": (lambda: computed(lambda p, q: p + q, "softmax", "softmax"), 0, 2, "softmax of layers 'a', 'b'"),
    "weighted": (lambda: computed(lambda p, q: 3 * p + q, "softmax", "sigmoid"), 0, 4, "softmax and the sigmoid of"),
    "sum of three": (
        lambda: computed(lambda *p: keras.layers.Add()(p), "sigmoid", "sigmoid", "sigmoid"),
        *(0, 3, "sigmoid of layers 'a', 'b', 'c'"),
    ),
    "percentages of a mean": (
        lambda: computed(lambda p, q: keras.layers.Dropout(0.1)(keras.layers.Average()([p, q]) * 100), "softmax", "softmax"),
        *(0, 100, "softmax of layers 'a', 'b'"),
    ),
    "nested": (lambda: nested(scored(4, "softmax")), 0, 100, r"softmax of layer 'sequential[_0-9]*/scores'"),
    "a softmax layer": (
        lambda: computed(lambda x: 100 * keras.layers.Softmax(name="shares")(x), None),
        *(0, 100, "softmax of layer 'shares'"),
    ),
    "after a temperature": (
        lambda: computed(lambda x: 100 * keras.layers.Softmax(name="shares")(x / 3), None),
        *(0, 100, "softmax of layer 'shares'"),
    ),
    "an operation": (lambda: computed(lambda x: 100 * ops.softmax(x), None), 0, 100, "softmax of layer"),
    "an activation": (lambda: computed(lambda p: p, lambda x: 100 * ops.softmax(x)), 0, 100, "activation of layer 'a'"),
    "a flat sigmoid": (lambda: computed(lambda p: 100 * p, lambda x: ops.sigmoid(x / 3)), 0, 100, "activation of layer 'a'"),
    "a hard sigmoid": (lambda: computed(lambda p: 100 * p, "hard_sigmoid"), 0, 100, "hard_sigmoid of layer 'a'"),
    "maps": (upsampled, 0, 9, "sigmoid of layer 'maps'"),
    "mean": (lambda: average(dense(4, "sigmoid"), dense(4, "sigmoid")), 0, 1, "sigmoid of layers 'dense"),
    "mean of one": (lambda: average(dense(1, "sigmoid"), dense(1, "sigmoid")), 0, 1, "sigmoid of layers 'dense"),
    "turned": (lambda: computed(lambda p: (p + ops.flip(p, -1)) / 2, "softmax"), 0, 0.5, "softmax of layer 'a'"),
    "opposite": (lambda: computed(lambda p: 1 - p, "sigmoid"), 0, 1, "sigmoid of layer 'a'"),
    "the larger": (lambda: computed(ops.maximum, "softmax", "softmax"), 0, 1, "softmax of"),
    "product": (
        lambda: computed(lambda p, q: p * q, "softmax", "sigmoid"),
        0,
        1,
        "softmax and the sigmoid of layers 'a', 'b'",
    ),
    "groups": (
        lambda: computed(lambda p: ops.stack([p[:, 0] + p[:, 1], p[:, 2] + p[:, 3]], axis=-1), "softmax"),
        *(0, 1, "softmax of layer 'a'"),
    ),
    "confusion": (confused, 0.0001378, 0.7468, "softmax of layer 'a'"),
}


@pytest.mark.parametrize("name", COMPUTED)
def test_functions_of_probabilities_are_not_logits(name, images):
    make, low, high, of = COMPUTED[name]
    model = make()
    words = rf"computed from the {of}.* and go from {low} to {high}: they are "
    probable = low >= 0 and high <= 1
    if not probable:
        with pytest.raises(
            UsageError, match=f"{words}neither scores nor probabilities; leave out --probabilities .*--values"
        ):
            cx.load(model, probabilities=True)
    for said in ({}, {"logits": True}):
        with pytest.raises((ModelError, UsageError)) as refused:
            cx.load(model, **said)
        text = str(refused.value)
        if name == "an activation" and not said:
            assert "ends in the activation" in text
            continue
        assert re.search(words, text)
        assert ("leave out --logits (logits=True)" in text) == bool(said)
        assert len(text) < 600
    assert cx.load(model, values=True).head == "values"
    # What is advised works, and shows what the model returns.
    if probable:
        clf = cx.load(model, probabilities=True)
    else:
        clf = eval(re.search(r"(cx\.load\(.*\))\. If", text)[1], {"cx": cx, "keras": keras, "model": model})
    outputs = own(model, images)
    shares = outputs if probable else (outputs - low) / (high - low)
    shown = clf.predict(images)[:, -shares.shape[1] :]
    np.testing.assert_allclose(shown, shares, rtol=1e-4, atol=1e-3 if name == "rounded" else 1e-6)


def wide():
    """Scores between 0 and 1 of a last layer that is linear, and their sum always the same."""
    model = scored(2)
    kernel = np.random.default_rng(0).normal(0, 0.02, 6)
    model.layers[-1].set_weights([np.stack([kernel, -kernel], axis=1), np.array([0.6, 0.4])])
    return model


SCORES = {
    "logarithms": lambda: computed(lambda x: x, "log_softmax"),
    "scaled logarithms": lambda: computed(lambda x: x / 2, "log_softmax"),
    "logarithms of probabilities": lambda: computed(ops.log, "softmax"),
    "logarithms of what isn't zero": lambda: computed(lambda p: ops.log(p + 1e-7), "softmax"),
    "logarithms of a mean": lambda: computed(lambda p, q: ops.log((p + q) / 2), "softmax", "softmax"),
    "odds": lambda: computed(lambda p: ops.log(p) - ops.log(1 - p), "sigmoid"),
    "of sigmoids": lambda: computed(keras.layers.Dense(3), "sigmoid"),
    "stacked": lambda: computed(lambda *p: keras.layers.Dense(3)(keras.layers.Concatenate()(p)), "softmax", "softmax"),
    "gated": lambda: computed(lambda x, p: x * p, None, "sigmoid"),
    "added": lambda: computed(lambda x, p: x + p, None, "sigmoid"),
    "normalized": lambda: computed(keras.layers.LayerNormalization(), "sigmoid"),
    "between 0 and 1": wide,
    "of temperature 2": lambda: computed(lambda x: x / 2, None),
    "ReLU": lambda: computed(lambda x: x, "relu"),
    "ReLU6": lambda: computed(lambda x: x, "relu6"),
    "capped": lambda: computed(lambda x: 30 * x, "tanh"),
}


def test_clipped_scores_are_recognized(images):
    for activation in (None, lambda x: ops.clip(x, 0, 1)):
        model = computed(lambda x: ops.clip(x, 0, 1), activation)
        with pytest.raises(ModelError, match="--probabilities"):
            cx.load(model).logits(images)
        clf = cx.load(model, logits=True)
        clf.logits(images)
        assert "lie between 0 and 1" in clf.doubt


@pytest.mark.parametrize("name", SCORES)
def test_logits_are_used_without_a_warning(name, images):
    model = SCORES[name]()
    clf = cx.load(model, logits=True)
    np.testing.assert_allclose(clf.logits(images), own(model, images), rtol=1e-4, atol=1e-5)
    assert clf.doubt is None
    if name in ("of sigmoids", "stacked", "between 0 and 1"):
        clf = cx.load(model)
        clf.logits(images)
        assert clf.doubt is None


class Opaque(keras.layers.Layer):
    """A head of someone else's, of which nothing is known."""

    def __init__(self, scale, **names):
        super().__init__(**names)
        self.scale, self.dense = scale, keras.layers.Dense(3)

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        return self.scale * ops.softmax(self.dense(x))


@pytest.mark.parametrize("said", [{}, {"logits": True}, {"probabilities": True}])
def test_percentages_are_recognized_by_their_sum(said, images):
    model = network(Opaque(100.0))
    with pytest.raises(
        (ModelError, UsageError), match=r"add up to 100.*\(model.inputs, model.outputs\[0\] / 100\), probab"
    ) as refused:
        cx.load(model, **said).predict(images)
    advised = re.search(r"(cx\.load\(.*\))\.", str(refused.value))[1]
    clf = eval(advised, {"cx": cx, "keras": keras, "model": model})
    np.testing.assert_allclose(clf.predict(images), own(model, images) / 100, rtol=1e-4)


def test_scores_before_an_activation_are_the_same_path():
    inputs = keras.Input((12, 10, 3))
    shares = keras.layers.Dense(3, activation="softmax", name="shares")(keras.layers.Flatten()(inputs))
    assert cx.load(keras.Model(inputs, shares)).other_calls("shares") == ()

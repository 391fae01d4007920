"""The deconvnet against an explicit NumPy version (Zeiler & Fergus 2014) and the properties of its parts."""

import re

import keras
import numpy as np
import oracles
import pictures
import pytest
from cnnexplain_plugins.deconvnet.crops import paste
from PIL import Image

import cnnexplain as cx
from cnnexplain import draw
from cnnexplain.errors import ModelError, UsageError
from cnnexplain.inputs import datasets
from cnnexplain.model.geometry.layers import Layer

RULES = ("deconvnet", "guided", "gradient")


@pytest.fixture(scope="module")
def oracle(lenet):
    return oracles.LeNet(lenet.model.get_weights())


def pasted(record, layer, rule, image, rank):
    """A projection in its place in the image."""
    fact = record.facts["strongest"][image][layer][rank]
    return paste(record.arrays[f"projection/{layer}/{rule}"][image, rank], fact["corner"], record.images.shape[1:3])


def one_hot(activations, channel):
    """The largest activation of a channel, kept alone, for each image of (N, h, w, K)."""
    seeds = np.zeros_like(activations)
    for image, each in enumerate(activations[..., channel]):
        row, column = np.unravel_index(each.argmax(), each.shape)
        seeds[image, row, column, channel] = each.max()
    return seeds


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("layer", ["relu1", "relu2"])
def test_projections_equal_a_numpy_deconvnet(lenet, oracle, noise, layer, rule):
    record = cx.explain("deconvnet", lenet, noise, dataset=noise, layer=layer, rule=rule, maps=30)
    activations = np.maximum(oracle.layers(noise)[layer.replace("relu", "conv")], 0)
    for image, facts in enumerate(record.facts["strongest"]):
        for rank, fact in enumerate(facts[layer]):
            seeds = one_hot(activations[[image]], fact["map"])
            assert fact["activation"] == pytest.approx(seeds.max(), rel=1e-4, abs=1e-6)
            # The crop holds all that there is, and lies where the unit looks: conv 5, pool 2, conv 5.
            exact = oracle.project(noise[[image]], layer, seeds, rule)[0]
            found = pasted(record, layer, rule, image, rank)
            np.testing.assert_allclose(found, exact, atol=1e-5 * max(np.abs(exact).max(), 1e-3))
            step, size = (1, 5) if layer == "relu1" else (2, 14)
            assert record.arrays[f"projection/{layer}/{rule}"].shape == (len(noise), 30, size, size, 1)
            assert fact["corner"] == [step * fact["row"], step * fact["column"]]
        values = [fact["contribution"] for fact in facts[layer]]
        assert values == sorted(values, reverse=True)
        assert sorted(fact["map"] for fact in facts[layer]) == list(range(30))


def test_rules_differ_as_defined(lenet, noise):
    record = cx.explain("deconvnet", lenet, noise, dataset=noise, layer="relu2", rule=RULES)
    maps = {rule: record.arrays[f"projection/relu2/{rule}"] for rule in RULES}
    for a, b in (("deconvnet", "guided"), ("guided", "gradient"), ("deconvnet", "gradient")):
        assert np.abs(maps[a] - maps[b]).max() > 0.01 * np.abs(maps[a]).max()


def test_gradient_rule_is_activation_times_gradient(lenet, noise):
    record = cx.explain("deconvnet", lenet, noise, dataset=noise, layer="relu2", rule="gradient", maps=2)
    for image, facts in enumerate(record.facts["strongest"]):
        fact = facts["relu2"][1]
        neuron = cx.Neuron("relu2", fact["row"], fact["column"], fact["map"])
        expected = fact["activation"] * lenet.gradient(noise[[image]], [neuron])[0]
        np.testing.assert_allclose(pasted(record, "relu2", "gradient", image, 1), expected, rtol=1e-4, atol=1e-6)


def classifier(*layers, shape=(13, 11, 2), seed=0):
    """A model that ends in three scores, with random weights."""
    channels = shape[-1]
    first = [keras.layers.Conv2D(channels, 1, use_bias=False, name="first")] if channels == 2 else []
    inputs = keras.Input((*shape[:2], 3 if channels == 2 else channels))
    x = inputs
    for layer in (*first, *layers):
        x = layer(x)
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
    random = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(random.normal(0, 0.5, weight.shape))
    return cx.load(model)


WINDOWS = [
    {"kernel_size": 3, "strides": 1, "padding": "valid"},
    {"kernel_size": 3, "strides": 1, "padding": "same"},
    {"kernel_size": (4, 3), "strides": 2, "padding": "same"},
    {"kernel_size": 2, "strides": 3, "padding": "valid"},
    {"kernel_size": 3, "dilation_rate": 2, "padding": "same"},
    {"kernel_size": 5, "strides": (2, 3), "padding": "same"},
]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("kind", ["Conv2D", "DepthwiseConv2D", "SeparableConv2D"])
def test_projection_through_a_convolution_is_its_transpose(window, kind, random):
    """⟨conv(x), y⟩ = ⟨x, convᵀ(y)⟩."""
    if kind == "SeparableConv2D" and np.ptp(window.get("strides", 1)):
        pytest.skip("Keras has no separable convolution with unequal strides.")
    filters = {"filters": 4} if kind != "DepthwiseConv2D" else {}
    layer = getattr(keras.layers, kind)(**filters, **window, use_bias=False, name="layer")
    clf = classifier(layer, shape=(13, 11, 3))
    x = random.normal(0.5, 0.2, (2, 13, 11, 3)).astype(np.float32)
    there = clf.activations(x, ["layer"])["layer"]
    y = random.normal(size=there.shape).astype(np.float32)
    for rule in RULES:
        back = clf.project(x, "layer", y, rule)
        np.testing.assert_allclose((back * x).sum((1, 2, 3)), (there * y).sum((1, 2, 3)), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(back, clf.project(0 * x, "layer", y, rule), rtol=1e-5, atol=1e-6)


def test_projection_through_max_pooling_restores_positions(random):
    clf = classifier(keras.layers.MaxPooling2D(name="pool"), shape=(10, 8, 3))
    x = random.uniform(0, 1, (2, 10, 8, 3)).astype(np.float32)
    pooled, places = oracles.pool(x)
    back = clf.project(x, "pool", pooled.astype(np.float32), "deconvnet")
    np.testing.assert_array_equal(back, oracles.unpool(pooled, places, x.shape[1:]).astype(np.float32))
    assert ((back == 0) | (back == x)).all()
    assert (back > 0).sum() == pooled.size


def test_without_relus_all_rules_agree(random):
    clf = classifier(
        keras.layers.Conv2D(4, 3, name="a"), keras.layers.AveragePooling2D(2), keras.layers.Conv2D(5, 2, name="b")
    )
    x = random.uniform(0, 1, (2, 13, 11, 3)).astype(np.float32)
    record = cx.explain("deconvnet", clf, x, rule=RULES, layer="b", maps=1)
    for image, facts in enumerate(record.facts["strongest"]):
        fact = facts["b"][0]
        neuron = cx.Neuron("b", fact["row"], fact["column"], fact["map"])
        expected = fact["activation"] * clf.gradient(x[[image]], [neuron])[0]
        for rule in RULES:
            np.testing.assert_allclose(pasted(record, "b", rule, image, 0), expected, rtol=1e-4, atol=1e-6)


def relus(form):
    """The same two convolutions with ReLUs as layers of their own, as activations, inside the convolutions, or nested."""
    if form == "fused":
        return [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.Conv2D(5, 3, activation="relu", name="top")]
    relu = (
        keras.layers.ReLU if form in ("layers", "nested") else lambda name=None: keras.layers.Activation("relu", name=name)
    )
    parts = [keras.layers.Conv2D(4, 3), relu(), keras.layers.Conv2D(5, 3), relu(name="top")]
    return [keras.Sequential([keras.Input((13, 11, 2)), *parts], name="body")] if form == "nested" else parts


@pytest.mark.parametrize("rule", RULES)
def test_every_form_of_relu_is_recognized(random, rule):
    x = random.uniform(0, 1, (2, 13, 11, 3)).astype(np.float32)
    y = random.normal(size=(2, 9, 7, 5)).astype(np.float32)
    found = {
        form: classifier(*relus(form)).project(x, "body/top" if form == "nested" else "top", y, rule)
        for form in ("fused", "layers", "activation", "nested")
    }
    for form in ("layers", "activation", "nested"):
        np.testing.assert_allclose(found[form], found["fused"], rtol=1e-4, atol=1e-5)
    plain = classifier(*relus("layers")).project(x, "top", y, "gradient")
    assert bool(np.abs(found["fused"] - plain).max() > 0.1) is (rule != "gradient")


def test_guided_rule_respects_the_ceiling_of_a_relu():
    parts = [keras.layers.ReLU(max_value=0.5, name="clipped"), keras.layers.Rescaling(1.0, name="top")]
    clf = classifier(*parts, shape=(2, 2, 3))
    x = np.array([-1, 0.2, 0.7, 0.3], np.float32).reshape(1, 2, 2, 1).repeat(3, axis=3)
    signal = np.array([1, 1, 1, -1], np.float32).reshape(1, 2, 2, 1).repeat(3, axis=3)
    for rule, expected in (("deconvnet", [1, 1, 1, 0]), ("guided", [0, 1, 0, 0]), ("gradient", [0, 1, 0, -1])):
        assert clf.project(x, "top", signal, rule)[0, ..., 0].ravel().tolist() == expected
    # The layer's own ceiling is left out: its strongest units lie beyond it.
    for rule, expected in (("deconvnet", [1, 1, 1, 0]), ("guided", [0, 1, 1, 0]), ("gradient", [0, 1, 1, -1])):
        assert clf.project(x, "clipped", signal, rule)[0, ..., 0].ravel().tolist() == expected


CLIPS = {
    "a layer": [keras.layers.Conv2D(3, 2, name="conv"), keras.layers.ReLU(max_value=6, name="top")],
    "an activation": [keras.layers.Conv2D(3, 2, name="conv"), keras.layers.Activation("relu6", name="top")],
    "in the convolution": [keras.layers.Conv2D(3, 2, activation="relu6", name="top")],
    "an operation": [keras.layers.Conv2D(3, 2, name="conv"), keras.ops.relu6],
    "clipped by hand": [keras.layers.Conv2D(3, 2, name="conv"), lambda x: keras.ops.clip(x, 0, 6)],
    "pooled": [keras.layers.Conv2D(3, 2, activation="relu6"), keras.layers.MaxPooling2D(2, 1, name="top")],
    "joined": [
        lambda x: keras.layers.Concatenate(name="top")([keras.layers.Conv2D(n, 2, activation="relu6")(x) for n in (1, 2)])
    ],
    "saturated": [keras.layers.Conv2D(3, 2, activation="hard_sigmoid", name="top")],
    "a sigmoid": [keras.layers.Conv2D(3, 2, activation="sigmoid", name="top")],
}


@pytest.mark.parametrize("form", CLIPS)
def test_clipped_units_are_ranked_before_the_clip(form):
    """All units of the first two maps are beyond the clip; the third is below it everywhere."""
    clf = classifier(*CLIPS[form], shape=(6, 5, 3))
    for index, weight in enumerate(clf.model.weights):
        # Far out, where a sigmoid is 1 in single precision.
        values = np.full(weight.shape, 2.0 if index % 2 == 0 else 20.0)
        values[..., -1] *= 0.01 if weight.shape[-1] > 1 else 1
        if "dense" not in weight.path:
            weight.assign(values)
    # Units see 2×2 pixels; brightest is what those at (3, 2) to (4, 3) see, and most so in the second image.
    images = np.full((2, 6, 5, 3), 0.1, np.float32)
    images[:, 4, 3] = [[0.5], [0.9]]
    images[:, 3, 2] = 0.4
    name = next(layer.name for layer in reversed(clf.layers) if layer.maps)
    (output, ranking) = clf.unclipped(images, [name])[name]
    np.testing.assert_array_equal(output, clf.activations(images, [name])[name])
    record = cx.explain("deconvnet", clf, images, dataset=images, layer=name, rule="gradient", maps="0,1,2")
    place = (2, 1) if form == "pooled" else (3, 2)
    for image in range(2):
        first, second, third = record.facts["strongest"][image][name]
        assert (output[image, ..., 0] == output[image, 0, 0, 0]).all()
        for fact in (first, second):
            assert (fact["row"], fact["column"]) == place
            # The signal starts as the activation's own value.
            assert fact["activation"] == output[image, 0, 0, 0] == (6 if "sig" not in form and form != "saturated" else 1)
            assert fact["unclipped"] == ranking[image, ..., fact["map"]].max() > 20 / 6
        assert (third["row"], third["column"]) == place
        assert third["activation"] == pytest.approx(output[image, ..., 2].max(), rel=1e-6)
        if form != "a sigmoid":
            assert np.abs(pasted(record, name, "gradient", image, 0)).max() > 0
    # Of the data set's images that are clipped alike the brighter comes first.
    ranks = [each["image"] for each in record.facts["over_dataset"][name][0]["strongest"]]
    assert ranks == ["array[1]", "array[0]"]


def test_clipping_changes_nothing_else(random):
    """A layer whose clipped output is used elsewhere too, and one that isn't clipped."""
    inputs = keras.Input((6, 6, 3))
    low = keras.layers.Conv2D(4, 3, activation="relu6", padding="same", name="low")(inputs)
    join = keras.layers.Concatenate(name="join")([low, keras.layers.Conv2D(4, 3, padding="same", name="high")(low)])
    clf = cx.load(keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(join))))
    clf.model.get_layer("low").bias.assign([5.0, 5.5, 6.0, 7.0])
    x = random.uniform(-1, 1, (2, 6, 6, 3)).astype(np.float32)
    found = clf.unclipped(x, ["join", "high", "low"])
    outputs = clf.activations(x, ["join", "high", "low"])
    for name, (output, _) in found.items():
        np.testing.assert_allclose(output, outputs[name], rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found["high"][0], found["high"][1])
    # The second half is computed of the clipped one.
    np.testing.assert_array_equal(found["join"][1][..., 4:], found["join"][0][..., 4:])
    np.testing.assert_array_equal(np.clip(found["join"][1][..., :4], 0, 6), found["join"][0][..., :4])
    assert (found["low"][1] > 6.5).any()


@pytest.mark.backends
def test_the_largest_values_of_maps_are_those_that_rank_their_units(random):
    clf = classifier(
        keras.layers.Conv2D(4, 3, padding="same", name="conv"),
        keras.layers.ReLU(max_value=0.1, name="clipped"),
        keras.layers.Conv2D(3, 3, activation="tanh", name="top"),
    )
    x = random.uniform(-1, 1, (3, 13, 11, 3)).astype(np.float32)
    ranking = {name: ranks for name, (_, ranks) in clf.unclipped(x, ["conv", "clipped", "top"]).items()}
    found = clf.largest_values(x, ["conv", "clipped", "top"])
    assert list(found) == list(ranking)
    assert found["clipped"].max() > 0.1
    for name, values in found.items():
        np.testing.assert_allclose(values, ranking[name].max(axis=(1, 2)), rtol=1e-5, atol=1e-6)


def test_clipping_at_other_bounds_is_not_an_activation(random):
    inputs = keras.Input((4, 4, 3))
    clipped = keras.ops.clip(keras.layers.Conv2D(3, 1, name="conv")(inputs), np.zeros(3, np.float32), 1.0)
    top = keras.layers.Conv2D(2, 1, name="top")(clipped)
    clf = cx.load(keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(top))))
    images = random.uniform(0, 1, (1, 4, 4, 3)).astype(np.float32)
    with pytest.raises(ModelError, match=r"\(Clip\) is neither an elementwise activation"):
        cx.explain("deconvnet", clf, images, layer="top", rule="guided")
    record = cx.explain("deconvnet", clf, images, layer="top", rule="gradient")
    assert record.arrays["projection/top/gradient"].any()


def silu(x):
    return x / (1 + np.exp(-x))


def test_guided_rule_uses_the_sign_of_the_slope(random):
    """A NumPy loop over two convolutions of 1×1 with SiLU, whose slope is negative below −1.28."""
    parts = [keras.layers.Conv2D(4, 1, name="a"), keras.layers.Activation("silu"), keras.layers.Conv2D(2, 1, name="b")]
    clf = classifier(*parts, keras.layers.Activation("silu", name="top"), shape=(3, 2, 3))
    for name in ("a", "b"):
        layer = clf.model.get_layer(name)
        layer.set_weights([random.normal(0, 3, weight.shape) for weight in layer.get_weights()])
    x = random.uniform(0, 1, (1, 3, 2, 3)).astype(np.float32)
    y = random.normal(size=(1, 3, 2, 2)).astype(np.float32)
    (first, shift), (second, other) = (clf.model.get_layer(name).get_weights() for name in ("a", "b"))
    expected, blocked = np.zeros((3, 2, 3)), set()
    for row, column in np.ndindex(3, 2):
        signal = y[0, row, column].astype(np.float64)
        before = x[0, row, column].astype(np.float64) @ first[0, 0] + shift
        above = silu(before) @ second[0, 0] + other
        for z, kernel in ((above, second), (before, first)):
            slope = (silu(z + 1e-6) - silu(z - 1e-6)) / 2e-6
            for unit in range(len(z)):
                blocked.add((signal[unit] > 0, slope[unit] > 0))
                signal[unit] = signal[unit] * slope[unit] if signal[unit] > 0 and slope[unit] > 0 else 0
            signal = kernel[0, 0] @ signal
        expected[row, column] = signal
    assert len(blocked) == 4
    np.testing.assert_allclose(clf.project(x, "top", y, "guided")[0], expected, rtol=1e-3, atol=1e-4)
    assert clf.describe_rule("top", "guided") == "R · f′(x) where both factors are positive at other activations (silu)"
    assert clf.describe_rule("top", "gradient") == "R · f′(x) at other activations (silu)"
    assert clf.describe_rule("a", "deconvnet") == "the gradient, as there is no activation"


def test_units_are_projected_like_their_layers(lenet, noise):
    units = np.array([[0, 3, 4, 5], [1, 2, 1, 0], [1, 7, 7, 29]])
    values = np.array([1.5, -2, 0.5], np.float32)
    found = lenet.project_units(noise[:3], ["relu1", "relu2"], units, values, "guided")
    for image, (place, row, column, channel) in enumerate(units):
        name = ("relu1", "relu2")[place]
        seeds = np.zeros((1, *lenet.layer(name).shape), np.float32)
        seeds[0, row, column, channel] = values[image]
        np.testing.assert_allclose(found[image], lenet.project(noise[[image]], name, seeds, "guided")[0], atol=1e-6)


@pytest.mark.parametrize(
    ("units", "words"),
    [
        ([[0, 3, 28, 5]], r"'relu1' has no unit 3, 28, 5: they go from 0 to \d+, \d+, \d+\."),
        ([[0, 1, 1, 1], [1, 0, 0, -1]], r"'relu2' has no unit 0, 0, -1: they go from 0 to \d+, \d+, 29\."),
        ([[2, 0, 0, 0]], r"no layer 2 for a unit: the given layers go from 0 to 1\."),
        ([[-1, 0, 0, 0]], r"no layer -1 for a unit"),
        ([[0, 0, 0]], r"an array \(1, 3\) of int64; expected integers \(N, 4\)"),
        ([[0, 0, 0, 0.5]], r"an array \(1, 4\) of float64; expected integers"),
    ],
)
def test_units_that_a_layer_lacks_are_refused(lenet, noise, units, words):
    with pytest.raises(UsageError, match=words):
        lenet.project_units(noise[: len(units)], ["relu1", "relu2"], np.array(units), np.ones(len(units)), "guided")


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (lambda: keras.layers.Activation("gelu", name="odd"), r"'odd' \(Activation with activation 'gelu'\)"),
        (lambda: keras.layers.LeakyReLU(name="odd"), r"'odd' \(LeakyReLU\)"),
        (lambda: keras.layers.ReLU(negative_slope=0.1, name="odd"), r"'odd' \(ReLU\)"),
        (lambda: keras.layers.Conv2D(3, 1, activation="tanh", name="odd"), r"'odd' \(Conv2D with activation 'tanh'\)"),
        (lambda: keras.ops.silu, r"'silu' \(Silu\)"),
    ],
)
def test_deconvnet_rule_skips_other_activations_by_name(layer, words, random):
    clf = classifier(layer(), keras.layers.Conv2D(4, 3, activation="relu", name="top"))
    x = random.uniform(0, 1, (1, 13, 11, 3)).astype(np.float32)
    with pytest.raises(ModelError, match=f"The layer {words} is an activation other than ReLU, .* Use the rule 'guided'"):
        cx.explain("deconvnet", clf, x, rule="deconvnet", layer="top")
    # By default what can be shown is, and how.
    record = cx.explain("deconvnet", clf, x, layer=["first", "top"])
    assert list(record.facts["rules"][0]["first"]) == ["deconvnet"]
    assert list(record.facts["rules"][0]["top"]) == ["guided"]
    assert "R · f′(x) where both factors are positive" in record.facts["rules"][0]["top"]["guided"]
    (warning,) = record.warnings
    assert warning.startswith("The rule 'deconvnet' is left out for top: The layer ")
    assert not pictures.overlapping(record.figure())


def test_unknown_layers_require_the_gradient_rule(random):
    class Squared(keras.layers.Layer):
        def call(self, x):
            return x**2

    clf = classifier(Squared(name="odd"), keras.layers.Conv2D(4, 3, activation="relu", name="top"))
    x = random.uniform(0, 1, (1, 13, 11, 3)).astype(np.float32)
    with pytest.raises(ModelError, match=r"The layer 'odd' \(Squared\) is neither an elementwise activation"):
        cx.explain("deconvnet", clf, x, layer="top")
    assert np.abs(cx.explain("deconvnet", clf, x, layer="top", rule="gradient").arrays["projection/top/gradient"]).max() > 0


def test_maps_are_selected_by_contribution(lenet, noise):
    """Σ A · ∂S/∂A over the map, by central differences of what scaling a map does to the logit."""
    record = cx.explain("deconvnet", lenet, noise, dataset=noise, target=3, against=5, maps=4)
    objectives = [cx.Logit(3) - cx.Logit(5)] * len(noise)
    for name in ("relu1", "relu2"):
        _, outputs, gradient = lenet.layer_gradient(noise, name, objectives)
        contributions = (outputs.astype(np.float64) * gradient).sum(axis=(1, 2))
        for image, facts in enumerate(record.facts["strongest"]):
            order = np.argsort(-contributions[image])[:4]
            assert [fact["map"] for fact in facts[name]] == order.tolist()
            expected = contributions[image][order]
            np.testing.assert_allclose([fact["contribution"] for fact in facts[name]], expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(record.facts["value"], lenet.values(noise, objectives), rtol=1e-4)
    # Those after the last convolution that a linear head reads add up to the score less the biases.
    inputs = keras.Input((5, 5, 1))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(6, 2, activation="relu", name="conv")(inputs))
    clf = cx.load(keras.Model(inputs, keras.layers.Dense(3, use_bias=False)(x)))
    image = np.linspace(0, 1, 25, dtype=np.float32).reshape(1, 5, 5, 1)
    record = cx.explain("deconvnet", clf, image, maps=6)
    total = sum(fact["contribution"] for fact in record.facts["strongest"][0]["conv"])
    assert total == pytest.approx(record.facts["value"][0], rel=1e-4)


def test_maps_are_selected_by_index(lenet, noise):
    record = cx.explain("deconvnet", lenet, noise, dataset=noise, layer="relu2", maps="17,3")
    assert [[fact["map"] for fact in facts["relu2"]] for facts in record.facts["strongest"]] == [[17, 3]] * len(noise)
    assert [fact["map"] for fact in record.facts["over_dataset"]["relu2"]] == [17, 3]
    with pytest.raises(UsageError, match="The layer 'relu1' has no feature map 30: they go from 0 to 29"):
        cx.explain("deconvnet", lenet, noise, maps="30,")


def test_sheet_shows_maps_of_the_image_and_selective_maps(random):
    clf = classifier(keras.layers.Conv2D(40, 3, activation="relu", name="top"), shape=(9, 8, 3))
    images = random.uniform(0, 1, (30, 9, 8, 3)).astype(np.float32)
    record = cx.explain("deconvnet", clf, images[:1], dataset=images, maps=3)
    shown = [fact["map"] for fact in record.facts["strongest"][0]["top"]]
    sheet = record.facts["over_dataset"]["top"]
    assert [fact["map"] for fact in sheet[:3]] == shown
    strongest = clf.activations(images, ["top"])["top"].max(axis=(1, 2)).astype(np.float64)
    top9 = np.sort(strongest, axis=0)[-9:].mean(axis=0)
    deviation = strongest.std(axis=0)
    selectivity = np.divide(top9 - strongest.mean(axis=0), deviation, out=np.zeros(40), where=deviation > 0)
    for fact in sheet:
        assert fact["selectivity"] == pytest.approx(selectivity[fact["map"]], rel=1e-3, abs=1e-3)
    others = [number for number in np.argsort(-selectivity) if number not in shown]
    assert [fact["map"] for fact in sheet[3:]] == others[:5]


def test_patches_of_large_fields_are_limited_to_half_the_image(random):
    body = [keras.layers.Conv2D(3, 3, strides=2, activation="relu", padding="same") for _ in range(5)]
    clf = classifier(*body, keras.layers.Conv2D(2, 5, padding="same", activation="relu", name="top"), shape=(140, 132, 3))
    images = random.uniform(0, 1, (3, 140, 132, 3)).astype(np.float32)
    record = cx.explain("deconvnet", clf, images[:1], dataset=images, layer="top", rule="gradient", maps=2)
    # The projection of an image is whole, a patch of the data set is not, and says how much of it there is.
    assert record.arrays["projection/top/gradient"].shape == (1, 2, 140, 132, 3)
    assert record.facts["strongest"][0]["top"][0]["corner"] == [0, 0]
    assert record.arrays["patch/top"].shape == (2, 3, 70, 66, 3)
    for number, fact in enumerate(record.facts["over_dataset"]["top"]):
        for rank, each in enumerate(fact["strongest"]):
            image = images[int(each["image"].removeprefix("array[").removesuffix("]"))]
            (top, left), middle = each["corner"], each["middle"]
            assert 0 <= top <= 70
            assert 0 <= left <= 66
            assert top <= middle[0] <= top + 69
            assert left <= middle[1] <= left + 65
            np.testing.assert_array_equal(record.arrays["patch/top"][number, rank], image[top : top + 70, left : left + 66])
            seeds = np.zeros((1, *clf.layer("top").shape), np.float32)
            seeds[0, each["row"], each["column"], fact["map"]] = each["activation"]
            whole = clf.project(image[None], "top", seeds, "gradient")[0]
            patch = record.arrays["patch_projection/top/gradient"][number, rank]
            np.testing.assert_allclose(patch, whole[top : top + 70, left : left + 66], rtol=1e-4, atol=1e-7)
            if each["activation"] > 0:
                share = (patch.astype(np.float64) ** 2).sum() / (whole.astype(np.float64) ** 2).sum()
                assert each["inside"]["gradient"] == pytest.approx(share, rel=1e-3)


def test_deep_networks_are_shown_by_stages(random):
    x = random.uniform(0, 1, (1, 16, 16, 3)).astype(np.float32)
    parts = []
    for number, stride in enumerate((1, 2, 1)):
        parts += [keras.layers.DepthwiseConv2D(3, strides=stride, padding="same", name=f"depth{number}")]
        parts += [keras.layers.Conv2D(4, 1, activation="relu6", name=f"point{number}")]
    clf = classifier(*parts, shape=(16, 16, 3))
    record = cx.explain("deconvnet", clf, x, maps=1)
    assert list(record.facts["strongest"][0]) == list(clf.stages) == ["point0", "point2"]
    assert {tuple(rules) for rules in record.facts["rules"][0].values()} == {("deconvnet", "guided")}
    words = record.analysis.finding(record, 0)
    assert words.startswith("In point2, feature map ")
    assert "contributes the most to " in words
    assert record.analysis.passes(clf, record.options) > 3
    plain = classifier(keras.layers.Conv2D(4, 3, activation="relu", name="top"), shape=(16, 16, 3))
    assert list(cx.explain("deconvnet", plain, x).facts["rules"][0]["top"]) == ["deconvnet"]


@pytest.mark.parametrize("window", WINDOWS)
def test_projections_lie_inside_the_receptive_field(window, random):
    clf = classifier(
        keras.layers.Conv2D(3, **window, activation="relu"),
        keras.layers.ZeroPadding2D(((1, 0), (0, 2))),
        keras.layers.MaxPooling2D(2, padding="same"),
        keras.layers.Conv2D(4, 2, padding="same", name="top"),
        shape=(23, 19, 3),
    )
    x = random.uniform(0, 1, (1, 23, 19, 3)).astype(np.float32)
    field = clf.receptive_field("top")
    shape = clf.layer("top").shape
    for row in range(shape[0]):
        for column in range(shape[1]):
            seeds = np.zeros((1, *shape), np.float32)
            seeds[0, row, column] = 1
            seen = np.abs(clf.project(x, "top", seeds, "deconvnet")[0]).max(axis=-1) > 0
            inside = np.zeros_like(seen)
            inside[field.rows.slice(row, 23), field.columns.slice(column, 19)] = True
            assert not (seen & ~inside).any()


def test_streamed_top_nine_equals_a_full_sort(random, monkeypatch):
    from cnnexplain_plugins.deconvnet.peaks import TOP, locate, strongest_images

    clf = classifier(keras.layers.Conv2D(6, 4, activation="relu", name="top"))
    images = random.uniform(0, 1, (40, 13, 11, 3)).astype(np.float32)
    images[25] = images[7]  # Equal activations: the earlier image comes first.
    activations = clf.activations(images, ["top"])["top"]
    monkeypatch.setattr(clf, "batch_size", 7)
    stream = cx.open_stream(images, clf)
    found = locate(clf, stream, strongest_images(clf, stream, [clf.layer("top")]), {"top": np.arange(6)})["top"]
    for channel in range(6):
        largest = activations[..., channel].max(axis=(1, 2))
        order = sorted(range(40), key=lambda image: (-largest[image], image))[:TOP]
        assert found.images[channel].tolist() == order
        # Batches of another length may round otherwise.
        np.testing.assert_allclose(found.values[channel], largest[order], rtol=1e-6)
        for image, row, column in zip(order, found.rows[channel], found.columns[channel], strict=True):
            assert activations[image, row, column, channel] == largest[image]


def test_units_are_located_if_some_batches_concern_only_one_layer(random, monkeypatch):
    from cnnexplain_plugins.deconvnet.peaks import locate, strongest_images

    clf = classifier(keras.layers.Conv2D(3, 4, name="conv"), keras.layers.ReLU(name="relu"))
    images = random.uniform(0, 1, (40, 13, 11, 3)).astype(np.float32)
    stream = cx.open_stream(images, clf)
    peaks = strongest_images(clf, stream, [clf.layer("conv"), clf.layer("relu")])
    maps = {"conv": np.arange(1), "relu": np.arange(3)}
    whole = locate(clf, stream, peaks, maps)
    monkeypatch.setattr(clf, "batch_size", 2)
    needed = np.unique([peaks["conv"].images[0], *peaks["relu"].images])
    assert any(not np.isin(needed[part], peaks["conv"].images[0]).any() for part in clf.slices(len(needed)))
    for name, units in locate(clf, stream, peaks, maps).items():
        np.testing.assert_array_equal((units.rows, units.columns), (whole[name].rows, whole[name].columns))
        np.testing.assert_allclose(units.values, whole[name].values, rtol=1e-6)


def test_patches_are_the_receptive_fields(lenet, oracle):
    # The two largest of each pooling square differ by 3e-6 at least, so that both precisions choose the same.
    images = np.random.default_rng(2).uniform(0, 1, (12, 28, 28, 1)).astype(np.float32)
    record = cx.explain("deconvnet", lenet, images[:1], dataset=images, layer="relu2")
    for number, fact in enumerate(record.facts["over_dataset"]["relu2"]):
        assert len(fact["strongest"]) == 9
        for rank, each in enumerate(fact["strongest"]):
            image = int(each["image"].removeprefix("array[").removesuffix("]"))
            # conv 5, pool 2, conv 5: unit i sees the 14 pixels from 2 i on.
            row, column = 2 * each["row"], 2 * each["column"]
            window = slice(row, row + 14), slice(column, column + 14)
            np.testing.assert_array_equal(record.arrays["patch/relu2"][number, rank], images[image][window])
            if each["activation"] > 0:
                seeds = one_hot(np.maximum(oracle.layers(images[[image]])["conv2"], 0), fact["map"])
                exact = oracle.project(images[[image]], "relu2", seeds, "deconvnet")[0][window]
                found = record.arrays["patch_projection/relu2/deconvnet"][number, rank]
                np.testing.assert_allclose(found, exact, atol=1e-5 * np.abs(exact).max())


def test_patches_beyond_the_border_are_gray(random):
    clf = classifier(keras.layers.Conv2D(1, 3, padding="same", name="top"), shape=(4, 4, 3))
    clf.model.get_layer("top").set_weights([np.ones((3, 3, 3, 1), np.float32), np.zeros(1, np.float32)])
    image = np.zeros((2, 4, 4, 3), np.float32)
    image[0, 0, 0] = 1  # Units (0, 0), (0, 1), (1, 0) and (1, 1) see it; the first is taken.
    record = cx.explain("deconvnet", clf, image, layer="top")
    assert (record.facts["strongest"][0]["top"][0]["row"], record.facts["strongest"][0]["top"][0]["column"]) == (0, 0)
    patch = record.arrays["patch/top"][0, 0, ..., 0]
    np.testing.assert_array_equal(patch, [[0.5, 0.5, 0.5], [0.5, 1, 0], [0.5, 0, 0]])
    assert record.arrays["patch/top"].shape == (1, 2, 3, 3, 3)
    assert record.facts["strongest"][0]["top"][0]["corner"] == [-1, -1]
    projection = record.arrays["patch_projection/top/deconvnet"][0, 0, ..., 0]
    np.testing.assert_array_equal(projection, [[0, 0, 0], [0, 3, 3], [0, 3, 3]])
    np.testing.assert_array_equal(record.arrays["projection/top/deconvnet"][0, 0, ..., 0], projection)
    np.testing.assert_array_equal(pasted(record, "top", "deconvnet", 0, 0)[:2, :2, 0], [[3, 3], [3, 3]])


def test_results_do_not_depend_on_the_batch_size(lenet, noise, monkeypatch):
    together = cx.explain("deconvnet", lenet, noise, dataset=noise)
    monkeypatch.setattr(lenet, "batch_size", 3)
    chunked = cx.explain("deconvnet", lenet, noise, dataset=noise)
    for name, array in together.arrays.items():
        np.testing.assert_allclose(chunked.arrays[name], array, rtol=1e-4, atol=1e-6)


def test_digits_give_the_same_result_alone(lenet):
    """The default: all 10,000 test images, of which the strongest are really the strongest."""
    seen = []
    record = cx.explain("deconvnet", lenet, "mnist:test/42", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] == 1 + 10_000 + 2 * 30 * 9
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    images = cx.read_images([f"mnist:test/{index}" for index in range(0, 10_000, 10)], lenet)
    largest = lenet.activations(images, ["relu2"])["relu2"].max(axis=(1, 2))
    for fact in record.facts["over_dataset"]["relu2"]:
        ninth = fact["strongest"][-1]["activation"]
        names = {each["image"] for each in fact["strongest"]}
        for index in np.flatnonzero(largest[:, fact["map"]] > ninth * 1.0001):
            assert f"mnist:test/{10 * index}" in names


def test_dead_maps_and_color_images_draw_without_nan(random, tmp_path):
    clf = classifier(keras.layers.Conv2D(4, 3, activation="relu", name="top"), shape=(9, 16, 2))
    clf.model.get_layer("top").bias.assign([0, 0, 0, -100.0])
    images = random.uniform(0, 1, (2, 9, 16, 3)).astype(np.float32)
    record = cx.explain("deconvnet", clf, images, rule=("guided", "deconvnet", "guided"), layer="top")
    assert record.options["rule"] == ("guided", "deconvnet", "guided")
    dead = [fact["map"] for fact in record.facts["strongest"][0]["top"]].index(3)
    assert record.facts["strongest"][0]["top"][dead]["activation"] == 0
    assert not record.arrays["projection/top/guided"][0, dead].any()
    names = [path.name for path in record.save(tmp_path / "out")]
    assert names == [
        "array-0.png",
        "array-1.png",
        "strongest-patches-top.png",
        "arrays.npz",
        "thumbnails.webp",
        "index.html",
        "result.json",
    ]
    sheet = record.overview()["strongest-patches-top"]
    assert not pictures.overlapping(sheet)
    titles = [panel.get_title(loc="left") for panel in sheet.axes]
    assert any("map 3: never active" in title for title in titles)
    assert [title for title in titles if title][:3] == [titles[0], "guided", "deconvnet"]
    # Each projection is drawn to a percentile of its own, and the smallest and the largest of nine are told.
    first = record.facts["over_dataset"]["top"][0]
    limits = [np.percentile(np.abs(each), 99.5) for each in record.arrays["patch_projection/top/guided"][0]]
    assert len(limits) == len(first["strongest"]) == 2
    assert sheet.axes[1].texts[0].get_text() == f"± {min(limits):.3g} to {max(limits):.3g}"


def drawn(figure, shape):
    """What the panels show of signals or parts of an image of that shape, with the numbers under them."""
    return [
        (panel.images[0].get_array(), [text.get_text() for text in panel.texts])
        for panel in figure.axes
        if panel.images and panel.images[0].get_array().shape[:2] == shape
    ]


def test_projections_are_drawn_at_their_place(lenet):
    """The first layer's units see 5×5 of the 28×28 pixels: tiles of these, beside what comes back to them."""
    record = cx.explain("deconvnet", lenet, "mnist:test/42", dataset=np.zeros((1, 28, 28), np.uint8), maps=3)
    figure = record.figure()
    titles = [panel.get_title(loc=side) for panel in figure.axes for side in ("left", "center")]
    for layer in ("relu1", "relu2"):
        for rank, fact in enumerate(record.facts["strongest"][0][layer]):
            assert f"map {fact['map']}: {fact['contribution']:+.2g}".replace("-", "−") in titles
            signal = record.arrays[f"projection/{layer}/deconvnet"][0, rank]
            shown = signal if layer == "relu1" else pasted(record, layer, "deconvnet", 0, rank)
            limit = np.percentile(np.abs(signal), 99.5)
            (words,) = [
                texts
                for image, texts in drawn(figure, shown.shape[:2])
                if image.ndim == 3 and np.allclose(image, draw.signed_rgb(shown, limit), atol=1e-5)
            ]
            assert any(text == f"± {limit:.3g}" for text in words)
            if layer == "relu1":
                rows, columns = (slice(*each) for each in fact["field"])
                seen = record.images[0][rows, columns][..., 0]
                assert any(np.array_equal(image, seen) for image, _ in drawn(figure, (5, 5)) if image.ndim == 2)
                place = figure.axes[0].patches[rank]
                assert place.get_bbox().bounds == pytest.approx((fact["column"] - 0.5, fact["row"] - 0.5, 5, 5))
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), record.images[0, ..., 0])
    assert len({patch.get_edgecolor() for patch in figure.axes[0].patches}) == 3
    assert not pictures.overlapping(figure)


@pytest.mark.unaided
def test_border_and_large_fields_are_drawn_at_their_place(random):
    """A layer that sees 3×3 of 100×120 pixels: a frame that small is drawn larger, about the same middle."""
    parts = [keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="low")]
    parts += [keras.layers.Conv2D(4, 27, padding="same", activation="relu", name="top")]
    clf = classifier(*parts, shape=(100, 120, 3))
    images = random.uniform(0, 1, (1, 100, 120, 3)).astype(np.float32)
    images[0, 0, 0] = 50
    record = cx.explain("deconvnet", clf, images, rule=["deconvnet", "guided"], maps=4)
    figure = record.figure()
    tiles, parts = [panel for panel in figure.axes if panel.get_title() == "input"]
    corner = False
    for layer, beside, size in (("low", tiles, 3), ("top", parts, 29)):
        for fact, place in zip(record.facts["strongest"][0][layer], beside.patches, strict=True):
            (top, bottom), (left, right) = fact["field"]
            reach = size // 2
            assert (top, bottom) == (max(fact["row"] - reach, 0), min(fact["row"] + reach + 1, 100))
            assert (left, right) == (max(fact["column"] - reach, 0), min(fact["column"] + reach + 1, 120))
            corner |= top == 0 and left == 0
            seen = np.clip(images[0, top:bottom, left:right], 0, 1)
            assert any(np.allclose(image, seen, atol=1e-6) for image, _ in drawn(figure, seen.shape[:2]))
            x0, y0, x1, y1 = place.get_bbox().extents
            assert ((x0 + x1) / 2, (y0 + y1) / 2) == ((left + right - 1) / 2, (top + bottom - 1) / 2)
    assert corner
    # A row of tiles, and three rows of parts: what is seen, and a rule each.
    assert sum(panel.get_title().startswith("map") for panel in figure.axes) == 3 * 4
    assert sum(panel.get_title(loc="left").startswith("map") for panel in figure.axes) == 4
    assert not pictures.overlapping(figure)


def test_a_single_image_has_no_sheet_of_patches(lenet):
    record = cx.explain("deconvnet", lenet, "mnist:test/42", dataset=np.zeros((1, 28, 28), np.uint8), layer="relu1")
    assert "patch/relu1" not in record.arrays
    assert record.overview() == {}


def test_empty_projections_are_reported(random):
    clf = classifier(keras.layers.Conv2D(2, 8, activation="relu", name="top"), shape=(9, 16, 3))
    clf.model.get_layer("top").bias.assign([-100.0, -100.0])
    figure = cx.explain("deconvnet", clf, random.uniform(0, 1, (1, 9, 16, 3)).astype(np.float32), layer="top").figure()
    panels = [panel for panel in figure.axes if panel.get_title().startswith("map")]
    assert [panel.texts[-1].get_text() for panel in panels] == ["no signal", "no signal"]
    for panel in panels:
        np.testing.assert_array_equal(panel.images[0].get_array(), 0.5)


def test_unknown_receptive_fields_are_reported(random):
    clf = classifier(keras.layers.Conv2DTranspose(2, 3, name="up"), keras.layers.Conv2D(2, 3, name="top"))
    record = cx.explain("deconvnet", clf, random.uniform(0, 1, (2, 13, 11, 3)).astype(np.float32), layer="top")
    (warning,) = record.warnings
    assert (
        "The receptive field of 'top' is not known past the layer 'up' (Conv2DTranspose). Whole images are shown" in warning
    )
    assert record.arrays["patch/top"].shape == (2, 2, 13, 11, 3)
    assert record.facts["strongest"][0]["top"][0]["field"] is None
    assert not pictures.overlapping(record.figure())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layer": "rellu1"}, "no layer 'rellu1'. Did you mean 'relu1'?"),
        ({"layer": "dense"}, r"'dense' \(Dense\) has no feature maps: it returns \(500\)"),
        ({"rule": "gided"}, "Did you mean 'guided'?"),
        ({"maps": 0}, "--maps takes how many feature maps to show, .* but got '0'"),
        ({"maps": "3;4"}, "but got '3;4'"),
        ({"dataset": "mnist:tset"}, "no data set 'mnist:tset'. Did you mean 'mnist:test'?"),
        ({"target": "elevn"}, "no class labeled 'elevn'"),
    ],
)
def test_invalid_requests_are_refused(lenet, options, words):
    with pytest.raises(UsageError, match=words):
        cx.explain("deconvnet", lenet, "mnist:test/42", **options)


def test_models_without_convolutions_are_refused(random):
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    with pytest.raises(ModelError, match=r"has no convolutional layer, and so no feature maps.* choose another analysis"):
        cx.explain("deconvnet", cx.load(model), np.zeros((1, 4, 4), np.uint8))


def test_broken_files_of_a_data_set_are_skipped_and_named(cli, tmp_path):
    (tmp_path / "set" / "deeper").mkdir(parents=True)
    for number in range(3):
        Image.fromarray(datasets.sample(f"mnist:test/{number}")[0]).save(tmp_path / "set" / "deeper" / f"{number}.png")
    (tmp_path / "set" / "broken.png").write_bytes(b"no image")
    code, out, err = cli(
        "run", "deconvnet", "--dataset", "set", "--rule", "guided", "--rule", "gradient", "--layer", "relu2", "--maps", 2
    )
    assert code == 0
    assert "Warning: 1 of the 4 files of the data set 'set' can't be used and were skipped: set/broken.png." in err
    assert "Note: Deconvnet and guided backpropagation partly recover the image itself" in out
    assert re.search(r"Wrote \d+ pictures, .* to cnnexplain-out/deconvnet$", out, re.MULTILINE)
    (tmp_path / "empty").mkdir()
    code, _, err = cli("run", "deconvnet", "--dataset", "empty")
    assert (code, err.splitlines()[-1][:42]) == (1, "Error: The data set 'empty' contains no im")
    (tmp_path / "empty" / "bad.png").write_bytes(b"no image")
    code, _, err = cli("run", "deconvnet", "--dataset", "empty")
    assert code == 1
    assert "None of the 1 images of 'empty' can be used; the first, 'empty/bad.png'" in err


def test_layer_type_and_shape_are_shown(lenet):
    assert lenet.layer("relu1") == Layer("relu1", "ReLU", (24, 24, 30))


@pytest.mark.parametrize("rule", RULES)
def test_operations_and_layers_agree(random, rule):
    """A residual block of `keras.ops` and operators, with augmentation in front, and of layers; each built from scratch."""

    def model(operations):
        inputs = keras.Input((9, 8, 3))
        x = keras.layers.RandomFlip()(inputs) / 2.0 if operations else keras.layers.Rescaling(0.5)(inputs)
        first = keras.layers.Conv2D(4, 3, padding="same")
        x = keras.ops.relu(first(x)) if operations else keras.layers.ReLU()(first(x))
        second = keras.layers.Conv2D(4, 3, padding="same", activation="relu")
        y = second(inputs=x) if operations else second(x)
        x = x + y if operations else keras.layers.Add()([x, y])
        x = keras.activations.relu(x - 0.1) if operations else keras.layers.ReLU()(keras.layers.Rescaling(1.0, -0.1)(x))
        made = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten(name="flat")(x)))
        values = np.random.default_rng(1)
        for weight in made.weights:
            weight.assign(values.normal(0, 0.4, weight.shape))
        return cx.load(made)

    x = random.uniform(0, 1, (2, 9, 8, 3)).astype(np.float32)
    y = random.normal(size=(2, 288)).astype(np.float32)
    by_operations, by_layers = (model(each).project(x, "flat", y, rule) for each in (True, False))
    assert np.abs(by_layers).max() > 0.1
    np.testing.assert_allclose(by_operations, by_layers, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rule", RULES)
def test_precision_may_change_at_a_relu(random, rule):
    def model(half):
        precision = {"dtype": "mixed_float16"} if half else {}
        layers = [keras.layers.Conv2D(4, 3, **precision), keras.layers.ReLU(dtype="float32", name="top")]
        clf = classifier(*layers, shape=(8, 7, 3))
        return clf.project(x, "top", y, rule)

    x = random.uniform(0, 1, (1, 8, 7, 3)).astype(np.float32)
    y = random.normal(size=(1, 6, 5, 4)).astype(np.float32)
    np.testing.assert_allclose(model(True), model(False), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("activation", [keras.layers.LeakyReLU(name="odd"), keras.ops.gelu])
def test_convolutions_are_shown_with_their_activation(activation, random):
    """By default what follows the convolution is shown, under the rule that is defined for it."""
    clf = classifier(keras.layers.Conv2D(4, 3), activation, shape=(9, 8, 3))
    record = cx.explain("deconvnet", clf, random.uniform(0, 1, (1, 9, 8, 3)).astype(np.float32))
    (rules,) = record.facts["rules"][0].values()
    assert list(rules) == ["guided"]
    assert list(record.facts["rules"][0]) in (["odd"], ["gelu"])

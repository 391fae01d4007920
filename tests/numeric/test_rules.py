"""Rules for how a signal passes a layer: those for ReLUs, and one of a plugin's, against what the papers define."""

import keras
import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain.errors import ModelError, UsageError
from cnnexplain.plugin import identity_with_pullback, with_pullback

pytestmark = pytest.mark.backends

EPSILON = 0.01
"""So large that forgetting it shows."""


def epsilon_rule(call, epsilon=EPSILON):
    """The ε-rule of layer-wise relevance propagation (Bach et al. 2015, equation 58): activations pass R unchanged."""
    if call.linear is None:
        if call.activation is not None:
            return with_pullback(call.activation.function, lambda _, signal: signal)
        return None
    share = with_pullback(call.activate, lambda z, signal: signal / (z + keras.ops.where(z < 0, -epsilon, epsilon)))
    times_input = identity_with_pullback(lambda x, signal: x * signal)
    return lambda x: share(call.linear(times_input(x)))


def exact_rule(call):
    return epsilon_rule(call, 0.0)


def network(activation="relu", *, bias=True, separate=False):
    """Two convolutions, one of stride 2, and two dense layers; `separate` puts the activations into layers of their own."""
    options = {"use_bias": bias, "bias_initializer": "random_normal"}
    keras.utils.set_random_seed(3)

    def after(name):
        return [keras.layers.Activation(activation, name=f"{name}_act")] if separate else []

    inside = None if separate else activation
    return keras.Sequential(
        [
            keras.Input((6, 5, 2)),
            keras.layers.Conv2D(3, 3, padding="same", activation=inside, name="one", **options),
            *after("one"),
            keras.layers.Conv2D(4, 2, strides=2, activation=inside, name="two", **options),
            *after("two"),
            keras.layers.Flatten(),
            keras.layers.Dense(7, activation=inside, name="three", **options),
            *after("three"),
            keras.layers.Dense(3, activation="softmax", name="four", **options),
        ]
    )


def matrix(layer, shape):
    """A linear layer without its bias and activation as a matrix (inputs, outputs), row by row."""
    units = np.eye(int(np.prod(shape)), dtype=np.float32).reshape(-1, *shape)
    if isinstance(layer, keras.layers.Dense):
        return units @ np.array(layer.kernel)
    made = keras.ops.conv(units, np.array(layer.kernel), strides=layer.strides, padding=layer.padding)
    return np.array(keras.ops.convert_to_numpy(made)).reshape(len(units), -1)


def slow_epsilon(model, image, target, epsilon):
    """The ε-rule for a chain of convolutions, ReLUs and dense layers, a sum over every pair of units, as in the paper."""
    steps, a, shape = [], image.astype(np.float64).ravel(), image.shape
    layers = [layer for layer in model.layers if layer.weights]
    for layer in layers:
        weights = matrix(layer, shape).astype(np.float64)
        shape = tuple(layer.output.shape[1:])
        bias = np.array(layer.bias if layer.bias is not None else [0.0])
        z = a @ weights + (np.tile(bias, weights.shape[1] // len(bias)))
        steps.append((a, weights, z))
        a, last = np.maximum(z, 0), z
        # Flatten follows the last convolution.
        if layer.name == "two":
            shape = (weights.shape[1],)
    relevance = np.where(np.arange(len(last)) == target, last, 0)
    for a, weights, z in reversed(steps):
        below = np.zeros_like(a)
        for i in range(len(a)):
            for j in range(len(z)):
                below[i] += a[i] * weights[i, j] * relevance[j] / (z[j] + (epsilon if z[j] >= 0 else -epsilon))
        relevance = below
    return relevance.reshape(image.shape), last[target]


@pytest.mark.parametrize("separate", [False, True])
def test_epsilon_rule_of_a_plugin_equals_the_paper(random, separate):
    model = network(separate=separate)
    clf = cx.load(model)
    images = random.uniform(0, 1, (3, 6, 5, 2)).astype(np.float32)
    targets = np.array([0, 2, 1])
    scores = clf.logits(images)[range(3), targets]
    found = clf.backpropagate(images, targets, epsilon_rule) * scores[:, None, None, None]
    for place, target in enumerate(targets):
        expected, score = slow_epsilon(model, images[place], target, EPSILON)
        np.testing.assert_allclose(scores[place], score, rtol=1e-4)
        np.testing.assert_allclose(found[place], expected, atol=2e-4 * np.abs(expected).max())
    # The rule is linear in the signal, so that the score may stand at its beginning as well.
    scaled = [float(score) * cx.Logit(int(target)) for score, target in zip(scores, targets, strict=True)]
    np.testing.assert_allclose(clf.backpropagate(images, scaled, epsilon_rule), found, rtol=1e-4, atol=1e-6)


def test_relevance_is_conserved_without_biases_and_without_epsilon(random):
    """The relevance of all pixels adds up to the score that it comes from; with ε a part is absorbed."""
    clf = cx.load(network(bias=False))
    images = random.uniform(0, 1, (4, 6, 5, 2)).astype(np.float32)
    targets = np.array([0, 1, 2, 0])
    scores = clf.logits(images)[range(4), targets]
    relevance = clf.backpropagate(images, targets, exact_rule) * scores[:, None, None, None]
    np.testing.assert_allclose(relevance.sum(axis=(1, 2, 3)), scores, rtol=1e-3)
    absorbed = clf.backpropagate(images, targets, epsilon_rule) * scores[:, None, None, None]
    assert (np.abs(absorbed.sum(axis=(1, 2, 3)) - scores) > 1e-3 * np.abs(scores)).all()


def test_epsilon_rule_reduces_to_gradient_x_input(random):
    """What is known of networks of ReLUs (Ancona et al. 2018, proposition 1)."""
    clf = cx.load(network(bias=False))
    images = random.uniform(0, 1, (2, 6, 5, 2)).astype(np.float32)
    targets = np.array([2, 1])
    scores = clf.logits(images)[range(2), targets]
    relevance = clf.backpropagate(images, targets, exact_rule) * scores[:, None, None, None]
    expected = clf.gradient(images, targets) * images
    np.testing.assert_allclose(relevance, expected, atol=1e-3 * np.abs(expected).max())


def no_rule(call):
    assert call.name


def guided(call):
    """Guided back-propagation as the author of a plugin would write it, for ReLUs without a ceiling."""
    if call.activation is None or not call.activation.relu:
        return None
    relu = with_pullback(call.activation.function, lambda x, signal: keras.ops.where((x > 0) & (signal > 0), signal, 0))
    return lambda x: relu(call.before(x))


@pytest.mark.parametrize("separate", [False, True])
def test_rules_by_name_and_of_a_plugin_agree(random, separate):
    clf = cx.load(network(separate=separate))
    images = random.uniform(0, 1, (3, 6, 5, 2)).astype(np.float32)
    targets, gradient = np.array([0, 1, 2]), clf.gradient(images, np.array([0, 1, 2]))
    for rule in ("gradient", no_rule):
        np.testing.assert_allclose(clf.backpropagate(images, targets, rule), gradient, rtol=1e-5, atol=1e-7)
    by_name = clf.backpropagate(images, targets, "guided")
    assert np.abs(by_name - gradient).max() > 1e-3
    np.testing.assert_allclose(clf.backpropagate(images, targets, guided), by_name, rtol=1e-5, atol=1e-7)
    # The same signal begun at the scores by hand.
    seeds = np.eye(3, dtype=np.float32)[targets]
    for rule in ("guided", "deconvnet", guided):
        expected = clf.project(images, "logits", seeds, rule)
        np.testing.assert_allclose(clf.backpropagate(images, targets, rule), expected, rtol=1e-5, atol=1e-7)


def test_rules_apply_at_branches_and_operations(random):
    """An operation of two tensors is one call with two inputs, each of which a rule may give its share."""

    def share(call):
        if call.kind != "Add":
            return epsilon_rule(call, 1e-7)
        gate = identity_with_pullback(lambda x, signal: x * signal)
        own = with_pullback(lambda z: z * 1, lambda z, signal: signal / z)
        return lambda values: own(call.function([gate(value) for value in values]))

    keras.utils.set_random_seed(1)
    inputs = keras.Input((4, 4, 1))
    x = keras.layers.Flatten()(inputs)
    # Weights of which no sum is 0, where there would be nothing to share.
    positive = keras.initializers.RandomUniform(0.1, 1)
    halves = [keras.layers.Dense(5, use_bias=False, activation="relu", kernel_initializer=positive)(x) for _ in range(2)]
    model = keras.Model(inputs, keras.layers.Dense(2, use_bias=False)(keras.layers.Add()(halves)))
    clf = cx.load(model, logits=True)
    images = random.uniform(0.1, 1, (2, 4, 4, 1)).astype(np.float32)
    scores = clf.logits(images)[:, 1]
    relevance = clf.backpropagate(images, np.array([1, 1]), share) * scores[:, None, None, None]
    np.testing.assert_allclose(relevance.sum(axis=(1, 2, 3)), scores, rtol=1e-3)


def test_unknown_rules_are_refused(random):
    clf = cx.load(network("gelu"))
    images = random.uniform(0, 1, (1, 6, 5, 2)).astype(np.float32)
    with pytest.raises(UsageError, match=r"There is no rule 'guide'.*Did you mean 'guided'"):
        clf.backpropagate(images, np.array([0]), "guide")
    with pytest.raises(ModelError, match="an activation other than ReLU, for which the rule 'deconvnet' is not defined"):
        clf.backpropagate(images, np.array([0]), "deconvnet")


@pytest.mark.parametrize("rule", ["deconvnet", "guided", "gradient"])
def test_clipped_activations_inside_and_outside_layers_agree(random, rule):
    """Also where the signal at the projected layer is negative, or at units that are 0."""

    def signals(separate):
        keras.utils.set_random_seed(0)
        conv = keras.layers.Conv2D(3, 3, activation=None if separate else "relu6", name="conv")
        own = [keras.layers.ReLU(6, name="relu")] if separate else []
        end = [keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")]
        clf = cx.load(keras.Sequential([keras.Input((6, 6, 1)), conv, *own, *end]))
        return clf.project(images, "relu" if separate else "conv", seeds, rule)

    images = random.uniform(0, 1, (2, 6, 6, 1)).astype(np.float32)
    seeds = random.normal(size=(2, 4, 4, 3)).astype(np.float32)
    np.testing.assert_allclose(signals(False), signals(True), rtol=1e-5, atol=1e-6)


def test_rules_may_read_weights(random):
    """The rule "the signal stops at layers with weights, as ones", of a whole layer and its activation."""

    def rule(call):
        if call.linear is None:
            return None
        return with_pullback(call.function, lambda x, signal: keras.ops.ones_like(x) + 0 * keras.ops.sum(signal))

    clf = cx.load(network())
    images = random.uniform(size=(2, 6, 5, 2)).astype(np.float32)
    np.testing.assert_array_equal(clf.backpropagate(images, [0, 1], rule), np.ones_like(images))


def test_boolean_pullbacks_are_refused(random):
    """TensorFlow makes a logical "and" of a product of numbers and truth values."""

    def rule(call):
        if call.activation is None:
            return None
        relu = with_pullback(call.activation.function, lambda x, signal: (x > 0) & (signal > 0))
        return lambda x: relu(call.before(x))

    clf = cx.load(network())
    with pytest.raises(ModelError, match="returned booleans"):
        clf.backpropagate(random.uniform(size=(1, 6, 5, 2)).astype(np.float32), [0], rule)

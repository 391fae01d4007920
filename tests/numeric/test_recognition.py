"""Activations are known by what they compute, however they are written."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import cnnexplain as cx
from cnnexplain.errors import ModelError
from cnnexplain.model.head.output_functions import head_name, keeps_probabilities
from cnnexplain.model.structure import recognition
from cnnexplain.model.structure.activations import FUNCTIONS, activation


def native(name):
    """The backend's own function."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return getattr(tf.nn, name)
    if keras.backend.backend() == "jax":
        import jax

        return getattr(jax.nn, name)
    import torch

    return {"softmax": lambda x: torch.softmax(x, -1), "sigmoid": torch.sigmoid, "relu": torch.relu}[name]


class Called:
    """What can be called, is no function and has no hash."""

    __hash__ = None

    def __eq__(self, other):
        return False

    def __call__(self, x):
        return ops.maximum(x, 0)


def refused(_):
    raise RuntimeError("not for numbers")


@pytest.mark.parametrize(
    ("function", "name", "ceiling"),
    [
        (keras.activations.relu, "relu", None),
        (lambda x: ops.maximum(x, 0), "relu", None),
        (Called(), "relu", None),
        (layers.ReLU(), "relu", None),
        (layers.ReLU(max_value=6), "relu6", 6),
        (lambda x: ops.clip(x, 0, 6), "relu6", 6),
        (lambda x: ops.clip(x, 0, 2.5), "relu", 2.5),
        (lambda x: x * ops.sigmoid(x), "silu", None),
        (lambda x: ops.log(1 + ops.exp(x)), "softplus", None),
        (layers.LeakyReLU(0.2), "leaky_relu", None),
        (layers.LeakyReLU(0.1), "LeakyReLU", None),
        (lambda x: x, "linear", None),
        (layers.Identity(), "linear", None),
    ],
)
def test_elementwise_functions_are_recognized(function, name, ceiling):
    if isinstance(function, keras.Layer):
        function(np.zeros((1, 3), np.float32))
    found = recognition.elementwise(function, FUNCTIONS)
    assert (found.name, found.ceiling) == (name, ceiling)
    assert recognition.elementwise(function, FUNCTIONS) == found


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x - ops.mean(x),
        lambda x: ops.maximum(x, 0) + 0 * x + 1e-3 * ops.mean(x, axis=-1, keepdims=True),
        lambda x: ops.maximum(x, 0) * ops.max(ops.abs(x)) / 6e4,
        keras.activations.softmax,
        lambda x: x[:, :1],
        lambda x: "text",
        refused,
        "relu",
        layers.Dense(3),
        layers.PReLU(),
    ],
)
def test_other_functions_are_not_recognized(function):
    assert recognition.elementwise(function, FUNCTIONS) is None


@pytest.mark.parametrize(
    "function", [lambda x: ops.relu(x) + 0.01, lambda x: ops.maximum(x, 0.005), lambda x: ops.relu(x - 0.01)]
)
def test_near_relus_are_not_recognized_as_relus(function):
    assert recognition.elementwise(function, FUNCTIONS).name == "<lambda>"


@pytest.mark.parametrize("classes", [1, 2, 5])
@pytest.mark.parametrize("form", ["flat", "one pixel", "pixels"])
def test_heads_are_recognized_by_their_function(classes, form):
    shape = {"flat": (classes,), "one pixel": (1, 1, classes), "pixels": (3, 4, classes)}[form]
    known = {
        "softmax": [native("softmax"), ops.softmax, lambda x: ops.exp(x) / ops.sum(ops.exp(x), -1, keepdims=True)],
        "sigmoid": [native("sigmoid"), ops.sigmoid, lambda x: 1 / (1 + ops.exp(-x))],
        "log_softmax": [ops.log_softmax],
        "linear": [lambda x: x],
        "": [
            *(lambda x: ops.softmax(x / 2), lambda x: ops.softmax(x, axis=0), ops.hard_sigmoid, ops.tanh),
            *(lambda x: ops.sigmoid(1.01 * x), lambda x: ops.softmax(x) * 0.99 + 0.005, refused),
        ],
    }
    for name, functions in known.items():
        for function in functions:
            # A softmax of one class alone is always 1, whatever it is made of.
            if classes > 1 or name != "":
                assert head_name(function, shape) == name, (name, function)
    if form == "pixels" and classes > 1:
        assert head_name(lambda x: ops.softmax(x, axis=1), shape) == ""


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_half_precision_is_recognized(dtype):
    assert head_name(ops.softmax, (5,), dtype=dtype) == "softmax"
    assert head_name(lambda x: ops.softmax(x / 1.2), (5,), dtype=dtype) == ""
    assert keeps_probabilities(lambda x: ops.cast(x, "float32"), (5,), dtype=dtype)


def test_identity_on_probabilities_is_recognized():
    for function in (
        lambda x: x,
        lambda x: ops.clip(x, 0, 1),
        lambda x: ops.clip(x, 1e-7, 1),
        lambda x: ops.reshape(x, (-1, 1, 4)),
    ):
        assert keeps_probabilities(function, (4,))
    for function in (
        lambda x: ops.clip(x, 0.01, 0.99),
        lambda x: x[:, ::-1],
        lambda x: 1 - x,
        lambda x: x / ops.sum(x, -1, keepdims=True),
    ):
        assert not keeps_probabilities(function, (4,))
    # A layer that takes the whole of a map alone.
    assert keeps_probabilities(layers.Reshape((54, 2)), (6, 9, 2))


def network(relu):
    inputs = keras.Input((12, 10, 3))
    x = layers.Conv2D(6, 3, activation=relu, name="conv")(inputs)
    x = layers.Activation(relu, name="again")(layers.Conv2D(6, 3)(x))
    model = keras.Model(inputs, layers.Dense(4, activation="softmax", name="scores")(layers.GlobalAveragePooling2D()(x)))
    random = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(random.normal(0, 0.7, weight.shape))
    return model


@pytest.mark.parametrize("make", [lambda: native("relu"), layers.ReLU, lambda: lambda x: ops.maximum(x, 0)])
@pytest.mark.parametrize("rule", ["deconvnet", "guided"])
def test_backward_rules_apply_to_every_form_of_relu(make, rule, random):
    images = random.uniform(0, 1, (2, 12, 10, 3)).astype(np.float32)
    usual, clf = cx.load(network("relu")), cx.load(network(make()))
    assert [found.relu for call in clf._graph.calls if (found := activation(call))] == [True, True]
    seeds = np.ones((2, 4), np.float32)
    assert clf.describe_rule("logits", rule) == usual.describe_rule("logits", rule)
    np.testing.assert_array_equal(clf.project(images, "logits", seeds, rule), usual.project(images, "logits", seeds, rule))


def test_non_elementwise_activations_are_refused_by_name():
    def normalized(x):
        return x / (1 + ops.max(ops.abs(x)))

    with pytest.raises(ModelError, match=r"Conv2D with activation 'normalized'.* is neither an elementwise activation"):
        cx.load(network(normalized)).describe_rule("logits", "guided")

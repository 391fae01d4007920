"""Batch normalizations folded into convolutions, against the layers of Keras."""

import keras
import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain import backend
from cnnexplain.model.structure.folding import folded

pytestmark = [pytest.mark.unaided, pytest.mark.backends]

layers = keras.layers


def normalized_network(random):
    """Convolutions of all kinds before normalizations, which differ in what they learn, with random weights."""
    start = x = keras.Input((9, 8, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False, name="conv")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", dilation_rate=2, name="depthwise")(layers.ReLU()(x))
    x = layers.BatchNormalization(scale=False, axis=3, name="unscaled")(x)
    x = layers.Conv2D(6, 1, groups=2, name="grouped")(layers.ReLU(6.0)(x))
    x = layers.BatchNormalization(center=False, name="uncentered")(x)
    x = both = layers.Conv2D(6, 2, padding="same", name="read_twice")(x)
    x = layers.Add()([layers.BatchNormalization(name="after_branch")(x), both])
    x = layers.Conv2D(5, 2, activation="relu", name="activated")(x)
    x = layers.BatchNormalization(name="after_relu")(x)
    model = keras.Model(start, layers.Dense(3)(layers.Flatten()(x)))
    model.set_weights([random.uniform(0.2, 1, each.shape) * random.choice([-1, 1]) for each in model.get_weights()])
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.moving_variance.assign(random.uniform(0.1, 3, layer.moving_variance.shape))
    return cx.load(model)


def squares(outputs, images):
    return sum(keras.ops.sum(y**2, axis=tuple(range(1, len(y.shape)))) for y in outputs(images).values())


@pytest.mark.parametrize("names", [("logits",), ("logits", "conv"), ("norm", "grouped"), ("unscaled", "uncentered")])
def test_outputs_and_gradients_are_those_of_the_layers(random, names):
    clf = normalized_network(random)
    images = random.normal(size=(3, 9, 8, 3)).astype(np.float32)

    def found(outputs, images):
        return backend.current().value_and_gradient(lambda x: [squares(outputs, x), *outputs(x).values()])(images)

    values, gradient, *outputs = clf.compiled(found, names, [images.shape[1:]])([images], [])
    expected = clf.activations(images, list(names))
    for name, output in zip(names, outputs, strict=True):
        np.testing.assert_allclose(output, expected[name], rtol=1e-4, atol=1e-4 * np.abs(expected[name]).max())
    total = clf.differentiable(lambda outputs, _: squares(lambda _: outputs, None), names)(images)
    np.testing.assert_allclose(values, total[0], rtol=1e-4)
    np.testing.assert_allclose(gradient, total[1], rtol=1e-3, atol=1e-4 * np.abs(total[1]).max())


def test_only_convolutions_read_by_a_normalization_alone_are_changed(random):
    clf = normalized_network(random)
    graph = clf._graph
    for names, changed in [
        (("logits",), {"conv", "norm", "depthwise", "unscaled", "grouped", "uncentered"}),
        (("logits", "conv"), {"depthwise", "unscaled", "grouped", "uncentered"}),
        (("norm",), {"conv", "norm"}),
        (("input",), set()),
    ]:
        calls = zip(graph.calls, folded(graph, names).calls, strict=True)
        assert {before.name for before, after in calls if after is not before} == changed


@pytest.mark.parametrize(
    ("layer", "weight"),
    [("conv", "kernel"), *(("norm", each) for each in ("gamma", "beta", "moving_mean", "moving_variance"))],
)
def test_new_weights_are_used(layer, weight, random):
    clf = normalized_network(random)
    images = random.normal(size=(2, 9, 8, 3)).astype(np.float32)
    compiled = clf.compiled(lambda outputs, x: list(outputs(x).values()), ["norm"], [images.shape[1:]])
    (before,) = compiled([images], [])
    variable = getattr(clf.model.get_layer(layer), weight)
    variable.assign(random.uniform(0.5, 2, variable.shape))
    assert np.abs(compiled([images], [])[0] - before).max() > 0.1
    np.testing.assert_allclose(compiled([images], [])[0], clf.activations(images, ["norm"])["norm"], rtol=1e-4, atol=1e-4)

"""Random functional models: the twin computes what they do, fields hold what is seen, and they stay as they were."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cnnexplain as cx
from cnnexplain.errors import CnnExplainError

pytestmark = pytest.mark.slow

layers, ops = keras.layers, keras.ops
NAMES = ["_c", "-c", "a (1)", "[0]", "ü", "c" * 300, "input", "logits", "a:2", "50%", "*", "a\\b", "tab\there"]
SHAPE = (9, 10, 3)


class Block(keras.Model):
    """A class of its own within the graph, with a loss and what training changes."""

    def __init__(self, width, **names):
        super().__init__(**names)
        self.conv, self.drop = layers.Conv2D(width, 2, padding="same", activity_regularizer="l2"), layers.Dropout(0.5)
        self.flip = layers.RandomFlip()

    def call(self, x, training=None):
        self.add_loss(ops.mean(x))
        return ops.tanh(self.drop(self.conv(self.flip(x)), training=training))


class Graph:
    """A model that grows: each step takes feature maps made so far."""

    def __init__(self, draw):
        self.draw, self.inputs = draw, keras.Input(SHAPE)
        self.made, self.names, self.shared = [self.inputs], list(NAMES), {}

    def one_of(self, choices):
        return self.draw(st.sampled_from(choices))

    def name(self):
        return (
            self.names.pop(self.draw(st.integers(0, len(self.names) - 1)))
            if self.names and self.draw(st.booleans())
            else None
        )

    def width(self, x):
        return x.shape[-1]

    def add(self):
        x = self.one_of(self.made)
        y = self.one_of(STEPS)(self, x)
        # So small, nothing is left to pad or crop.
        if y is not None and min(y.shape[1:3]) > 0:
            self.made.append(y)

    def model(self):
        joined = [layers.GlobalAveragePooling2D()(x) for x in self.made[-2:]]
        x = layers.Concatenate()(joined) if len(joined) > 1 else joined[0]
        return keras.Model(
            self.inputs, layers.Dense(3, activation=self.one_of([None, "softmax", "sigmoid"]), name="scores")(x)
        )

    def convolution(self, x):
        options = {"padding": self.one_of(["same", "valid"]), "strides": self.one_of([1, 2]), "name": self.name()}
        size = self.draw(st.integers(1, max(1, min(3, *x.shape[1:3]))))
        kind = self.one_of([layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D])
        first = [] if kind is layers.DepthwiseConv2D else [self.one_of([2, 3])]
        return kind(*first, size, activation=self.one_of([None, "relu", "gelu"]), **options)(x)

    def pooling(self, x):
        if min(x.shape[1:3]) < 2:
            return None
        kind = self.one_of([layers.MaxPooling2D, layers.AveragePooling2D])
        return kind(2, strides=self.one_of([1, 2]), padding=self.one_of(["same", "valid"]), name=self.name())(x)

    def same(self, x):
        kinds = ["RandomFlip", "RandomErasing", "RandomGrayscale", "RandomShear", "RandAugment", "RandomInvert", "Identity"]
        return getattr(layers, self.one_of(kinds))(name=self.name())(x) if self.width(x) == 3 else None

    def pointwise(self, x):
        made = [layers.ReLU(), layers.BatchNormalization(), layers.Rescaling(0.5, 0.1), layers.Dropout(0.5), layers.Dense(2)]
        made += [layers.LayerNormalization(), layers.ActivityRegularization(l2=0.1), layers.PReLU(shared_axes=[1, 2])]
        return self.one_of(made)(x)

    def joined(self, x):
        alike = [y for y in self.made if y.shape == x.shape]
        return self.one_of([layers.Add(), layers.Maximum(), layers.Concatenate(), layers.Multiply()])(
            [x, self.one_of(alike)]
        )

    def moved(self, x):
        height, width, channels = x.shape[1:]
        return self.one_of(
            [
                lambda: layers.ZeroPadding2D(((1, 0), (2, 1)))(x),
                lambda: layers.Cropping2D(((1, 0), (0, 1)))(x) if min(height, width) > 2 else None,
                lambda: layers.CenterCrop(max(1, height - 2), max(1, width - 1))(x),
                lambda: layers.Resizing(max(1, height // 2), max(1, width // 2))(x),
                lambda: layers.UpSampling2D(2)(x) if max(height, width) < 12 else None,
                lambda: layers.Permute((2, 1, 3))(x),
                lambda: ops.flip(x, axis=1),
                lambda: ops.roll(x, 1, axis=2),
                lambda: ops.stack(ops.unstack(x, axis=-1)[::-1], axis=-1),
                lambda: layers.Concatenate()(ops.split(x, channels, axis=-1)) if channels > 1 else None,
                lambda: layers.Reshape((height, width, channels))(layers.Reshape((height * width, channels))(x)),
                lambda: ops.transpose(ops.transpose(x, (0, 3, 1, 2)), (0, 2, 3, 1)),
                lambda: ops.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)), mode="reflect") if height > 2 else None,
                lambda: x[:, ::2],
                lambda: ops.tile(x, (1, 1, 1, 2)),
            ]
        )()

    def attention(self, x):
        height, width, channels = x.shape[1:]
        tokens = layers.Reshape((height * width, channels))(x)
        tokens = layers.Add()([tokens, layers.MultiHeadAttention(1, 2)(tokens, tokens)])
        return layers.Reshape((height, width, channels), name=self.name())(tokens)

    def nested(self, x):
        inner = keras.Input(x.shape[1:])
        y = layers.Conv2D(2, 1, activation="relu", name=self.name())(inner)
        model = self.shared.setdefault(x.shape, keras.Model(inner, layers.Add()([y, layers.Conv2D(2, 1)(inner)])))
        return model(x)

    def again(self, x):
        layer = self.shared.setdefault(self.width(x), layers.Conv2D(2, 1, activation="relu"))
        return layer(x)

    def block(self, x):
        return Block(2)(x)


STEPS = [
    *(Graph.convolution, Graph.pooling, Graph.same, Graph.pointwise, Graph.joined, Graph.moved, Graph.moved),
    *(Graph.attention, Graph.nested, Graph.again, Graph.block),
]


def state(model):
    """What must stay: nodes, losses, variables."""
    every = [model, *model._flatten_layers(include_self=False)]
    nodes = [(len(layer._inbound_nodes), len(layer._outbound_nodes), list(map(id, layer._losses))) for layer in every]
    return nodes, [np.array(keras.ops.convert_to_numpy(variable)) for variable in model.variables]


@pytest.fixture(autouse=True)
def step_by_step(monkeypatch):
    """To trace a model takes TensorFlow a hundred times as long as to run it once."""
    if keras.backend.backend() != "tensorflow":
        return

    def compiled(function, *declared):
        def call(*arrays):
            with keras.StatelessScope():
                found = function(*(ops.convert_to_tensor(np.asarray(array, np.float32)) for array in arrays))
            return [np.asarray(each) for each in found]

        return call

    monkeypatch.setattr("cnnexplain.backend.tensorflow.compiled", compiled)


@given(st.data(), st.integers(1, 6), st.integers(0, 999))
def test_random_graphs_equal_their_models(data, steps, seed):
    keras.utils.set_random_seed(seed)
    graph = Graph(data.draw)
    for _ in range(steps):
        graph.add()
    model, random = graph.model(), np.random.default_rng(seed)
    images = random.uniform(0, 1, (2, *SHAPE)).astype(np.float32)
    before = state(model)
    clf = cx.load(model)
    predicted = clf.predict(images)
    outputs = clf.activations(images, [layer.name for layer in clf.layers])
    for layer in clf.layers:
        assert outputs[layer.name].shape[1:] == layer.shape, layer
    assert_slope(clf, images[:1], random)
    for layer in [layer for layer in clf.layers if layer.sides is not None][-3:]:
        assert_field(clf, layer, images[:1], random)
    for rule in ("deconvnet", "guided"):
        try:
            clf.describe_rule(clf.layers[-1].name, rule)
        except CnnExplainError as error:
            assert "layer" in str(error)  # noqa: PT017
    for now, then in zip(state(model), before, strict=True):
        for one, other in zip(now, then, strict=True):
            np.testing.assert_equal(one, other)
    own = keras.ops.convert_to_numpy(model(images, training=False))
    shown = clf.logits(images) if model.layers[-1].activation is keras.activations.linear else predicted
    np.testing.assert_allclose(shown, own, rtol=1e-4, atol=1e-5)


def assert_slope(clf, image, random):
    """The gradient along a random direction is the difference quotient, where no kink lies between."""
    direction = random.normal(size=image.shape).astype(np.float32)
    slope = float((clf.gradient(image, [1]) * direction).sum())
    step = 1e-2
    ends = [clf.logits(image + sign * step * direction)[0, 1] for sign in (1, 0, -1)]
    right, left = (ends[0] - ends[1]) / step, (ends[1] - ends[2]) / step
    if abs(right - left) < 0.02 * (abs(right) + abs(left)):
        np.testing.assert_allclose(slope, (right + left) / 2, rtol=0.05, atol=0.01)


def assert_field(clf, layer, image, random):
    """No pixel outside the receptive field of a unit changes it."""
    try:
        field = clf.receptive_field(layer.name)
    except CnnExplainError as error:
        assert "is not known past the layer" in str(error)  # noqa: PT017
        return
    row, column = (int(random.integers(side)) for side in layer.sides)
    changed = random.uniform(0, 1, image.shape).astype(np.float32)
    seen = field.rows.slice(row, SHAPE[0]), field.columns.slice(column, SHAPE[1])
    changed[0][seen] = image[0][seen]
    one, other = (layer.as_maps(clf.activations(each, [layer.name])[layer.name]) for each in (image, changed))
    np.testing.assert_allclose(one[0, row, column], other[0, row, column], rtol=1e-4, atol=1e-5)

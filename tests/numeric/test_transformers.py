# ruff: noqa: PLW0108  # Each call makes a layer.
"""Tokens stand for places: which, however they were made, and Grad-CAM and intermediate outputs on their grid."""

import functools
from dataclasses import replace

import keras
import numpy as np
import oracles
import pytest

import cnnexplain as cx
from cnnexplain.errors import UsageError
from cnnexplain.model.geometry.axes import Axis
from cnnexplain.verification.subjects import subjects

layers, ops = keras.layers, keras.ops
SHAPE, ROWS, COLUMNS, WIDTH = (16, 12, 3), 4, 3, 8


class Tokens(layers.Layer):
    """A class token and two registers before the patches, one behind, and positions added to all of them."""

    def __init__(self, before, after=0, **names):
        super().__init__(**names)
        self.before, self.after = before, after

    def build(self, shape):
        count = self.before + self.after
        self.more = self.add_weight(shape=(1, count, shape[-1]), initializer="normal", name="more")
        self.positions = self.add_weight(shape=(1, count + shape[1], shape[-1]), initializer="normal", name="positions")

    def call(self, x):
        more = ops.tile(self.more, (ops.shape(x)[0], 1, 1))
        return ops.concatenate([more[:, : self.before], x, more[:, self.before :]], axis=1) + self.positions


class Positions(layers.Layer):
    """Keras' example: an embedding of the numbers of the patches."""

    def __init__(self, count, **names):
        super().__init__(**names)
        self.count, self.embedding = count, layers.Embedding(count, WIDTH)

    def build(self, shape):
        self.embedding.build((self.count,))

    def call(self, x):
        return x + self.embedding(ops.arange(self.count))


class Patches(layers.Layer):
    """Keras' example too; `turned` goes through the image column by column."""

    def __init__(self, turned=False, **names):
        super().__init__(**names)
        self.turned = turned

    def call(self, x):
        patches = ops.image.extract_patches(x, 4)
        patches = ops.transpose(patches, (0, 2, 1, 3)) if self.turned else patches
        return ops.reshape(patches, (-1, ROWS * COLUMNS, 48))

    def compute_output_shape(self, shape):
        return shape[0], ROWS * COLUMNS, 48


class Embedded(layers.Layer):
    """All in one: a convolution, its maps as tokens, a class token before them."""

    def __init__(self, **names):
        super().__init__(**names)
        self.conv, self.tokens = layers.Conv2D(WIDTH, 4, strides=4), Tokens(1)

    def build(self, shape):
        self.conv.build(shape)
        self.tokens.build((None, ROWS * COLUMNS, WIDTH))

    def call(self, x):
        return self.tokens(ops.reshape(self.conv(x), (-1, ROWS * COLUMNS, WIDTH)))

    def compute_output_shape(self, shape):
        return shape[0], ROWS * COLUMNS + 1, WIDTH


def block(x, name):
    y = layers.LayerNormalization(name=f"{name}_norm1")(x)
    x = layers.Add(name=f"{name}_sum1")([x, layers.MultiHeadAttention(2, 4, name=f"{name}_attention")(y, y)])
    y = layers.Dense(12, activation="gelu", name=f"{name}_wide")(layers.LayerNormalization(name=f"{name}_norm2")(x))
    return layers.Add(name=f"{name}_sum2")([x, layers.Dense(WIDTH, name=f"{name}_narrow")(y)])


def by_hand(x, name):
    """Attention of operations alone: heads as an axis."""
    y = ops.reshape(layers.Dense(3 * WIDTH)(layers.LayerNormalization(name=f"{name}_norm1")(x)), (-1, 12, 3, 2, 4))
    q, k, v = ops.unstack(ops.transpose(y, (2, 0, 3, 1, 4)), axis=0)
    weights = ops.softmax(ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))), axis=-1)
    y = ops.reshape(ops.transpose(ops.matmul(weights, v), (0, 2, 1, 3)), (-1, 12, WIDTH))
    return layers.Add(name=f"{name}_sum2")([layers.Dense(WIDTH)(y), x])


def mixing(x, name):
    y = layers.Permute((2, 1))(layers.LayerNormalization()(x))
    y = layers.Permute((2, 1))(layers.Dense(12)(layers.Dense(20, activation="gelu")(y)))
    x = layers.Add()([y, x])
    y = layers.Dense(WIDTH)(layers.Dense(20, activation="gelu")(layers.LayerNormalization()(x)))
    return layers.Add(name=f"{name}_sum2")([x, y])


def convolved(x):
    return layers.Reshape((-1, WIDTH))(layers.Conv2D(WIDTH, 4, strides=4, name="patch")(x))


def reshaped(x):
    x = layers.Permute((1, 3, 2, 4, 5))(layers.Reshape((ROWS, 4, COLUMNS, 4, 3))(x))
    return layers.Dense(WIDTH, name="patch")(layers.Reshape((ROWS * COLUMNS, 48))(x))


def channels_first(x):
    x = ops.transpose(layers.Conv2D(WIDTH, 4, strides=4, name="patch")(x), (0, 3, 1, 2))
    return ops.transpose(ops.reshape(x, (-1, WIDTH, 12)), (0, 2, 1))


def first(x):
    return x[:, 0]


def mean(x):
    return layers.GlobalAveragePooling1D()(x)


ADDED = {
    "class": lambda x: Tokens(1, name="tokens")(x),
    "registers": lambda x: Tokens(3, 1, name="tokens")(x),
    "positions": lambda x: Positions(12, name="tokens")(x),
    "zeros": lambda x: ops.pad(x, ((0, 0), (1, 0), (0, 0))),
    "zeros like": lambda x: ops.concatenate([ops.zeros_like(x[:, :1]) + 1, x], axis=1),
    "ones like": lambda x: layers.Concatenate(axis=1)([ops.ones_like(x[:, :2]), x, ops.full_like(x[:, :1], 0.5)]),
    "learned": lambda x: layers.Concatenate(axis=1)([layers.Dense(WIDTH)(ops.full_like(x[:, -1:], 1.0)), x]),
    "nothing": lambda x: x,
}
STYLES = {
    # How patches are made, what is put to them, a block, the head; the layer that is taken; and where the patches stand.
    "class token": (convolved, "class", block, first, "b_norm1", range(1, 13)),
    "registers": (convolved, "registers", block, first, "b_norm1", range(3, 15)),
    "class token of zeros": (convolved, "zeros like", block, first, "b_norm1", range(1, 13)),
    "tokens of ones": (convolved, "ones like", block, first, "b_norm1", range(2, 14)),
    "class token of a layer": (convolved, "learned", block, first, "b_norm1", range(1, 13)),
    "mean": (lambda x: layers.Dense(WIDTH)(Patches()(x)), "positions", block, mean, "norm", range(12)),
    "patches by a reshape": (reshaped, "positions", block, mean, "norm", range(12)),
    "all of one layer": (lambda x: Embedded(name="patch")(x), "nothing", block, first, "b_norm1", range(1, 13)),
    "channels first": (channels_first, "zeros", block, first, "b_norm1", range(1, 13)),
    "column by column": (
        lambda x: layers.Dense(WIDTH)(Patches(turned=True)(x)),
        *("positions", block, mean, "norm"),
        [column * ROWS + row for row in range(ROWS) for column in range(COLUMNS)],
    ),
    "attention by hand": (convolved, "nothing", by_hand, mean, "norm", range(12)),
    "mixer": (convolved, "nothing", mixing, mean, "norm", range(12)),
}

ALIKE = (
    "class token of zeros",
    "tokens of ones",
    "class token of a layer",
    "patches by a reshape",
    "channels first",
    "mixer",
)
"""Other ways to write one of the other networks."""


def transformer(style, blocks="b"):
    keras.utils.set_random_seed(7)
    embed, added, make, head, _, _ = STYLES[style]
    inputs = keras.Input(SHAPE)
    x = ADDED[added](embed(inputs))
    for name in blocks:
        x = make(x, name)
    x = head(layers.LayerNormalization(name="norm")(x))
    return keras.Model(inputs, layers.Dense(3, name="scores")(x))


@functools.cache
def classifier(style, blocks="b"):
    """Shared by the tests, so that its compiled functions are."""
    return cx.load(transformer(style, blocks))


@pytest.fixture
def images(random):
    return random.uniform(0, 1, (2, *SHAPE)).astype(np.float32)


def differences(clf, image, name, target):
    """∂S/∂A of a token layer by central differences: the rest of the network is given other tokens."""
    tail = clf._graph.tail(name, ["logits"])
    a = clf.activations(image, [name])[name][0].astype(np.float64)
    step = 1e-2
    moves = step * np.eye(a.size).reshape(-1, *a.shape)
    many = np.repeat(image, len(moves), axis=0)

    def scores(tokens):
        (found,) = tail(ops.convert_to_tensor(tokens.astype(np.float32)), ops.convert_to_tensor(many))
        return keras.ops.convert_to_numpy(found)[:, target].astype(np.float64)

    return a, ((scores(a + moves) - scores(a - moves)) / (2 * step)).reshape(a.shape)


@pytest.mark.parametrize("style", STYLES)
def test_tokens_are_mapped_to_positions(style):
    *_, name, order = STYLES[style]
    grid = classifier(style).layer(name).grid
    assert (grid.rows, grid.columns, list(grid.tokens)) == (ROWS, COLUMNS, list(order))


@pytest.mark.parametrize(
    "style", [pytest.param(style, marks=[pytest.mark.slow] if style in ALIKE else []) for style in STYLES]
)
def test_grad_cam_of_tokens_equals_maps_on_the_grid(style, images):
    *_, name, order = STYLES[style]
    clf = classifier(style, "ab" if style == "class token" else "b")
    np.testing.assert_allclose(clf.logits(images), keras.ops.convert_to_numpy(clf.model(images)), rtol=1e-4, atol=1e-5)
    grid = clf.layer(name).grid
    assert (grid.rows, grid.columns, list(grid.tokens)) == (ROWS, COLUMNS, list(order))
    record = cx.explain("gradcam", clf, images, target=1)
    assert record.facts["layer"] == [name] * 2
    a, g = differences(clf, images[:1], name, 1)
    maps, gradients = (each[list(order)].reshape(ROWS, COLUMNS, -1) for each in (a, g))
    assert np.abs(gradients).max() > 1e-3
    expected = oracles.grad_cam(maps, gradients)
    np.testing.assert_allclose(record.arrays["evidence"][0], expected, rtol=2e-2, atol=2e-3 * np.abs(expected).max())
    np.testing.assert_allclose(
        record.arrays["map"][0], oracles.bilinear(record.arrays["cam"][0], *SHAPE[:2]), rtol=1e-4, atol=1e-6
    )


def test_after_the_last_attention_only_the_class_token_matters(images):
    """So the last block's output would give an empty map, and is shown where it is asked for."""
    clf = classifier("class token")
    _, _, gradient = clf.layer_gradient(images, "b_sum2", np.array([0, 1]))
    assert not gradient[:, 1:].any()
    assert gradient[:, 0].any()
    record = cx.explain("gradcam", clf, images, layer="b_sum2")
    assert not record.arrays["map"].any()
    assert any("zero everywhere" in warning for warning in record.warnings)


@pytest.mark.parametrize("method", ["gradcam++", "layercam", "scorecam"])
def test_other_methods_use_the_same_grid(method, images):
    clf = classifier("registers")
    record = cx.explain("gradcam", clf, images[:1], method=method, target=1)
    assert record.arrays["evidence"].shape == (1, ROWS, COLUMNS)
    a = clf.activations(images[:1], ["b_norm1"])["b_norm1"]
    _, _, g = clf.layer_gradient(images[:1], "b_norm1", np.array([1]))
    maps, gradients = (each[0, 3:15].reshape(ROWS, COLUMNS, -1).astype(np.float64) for each in (a, g))
    if method == "scorecam":
        expected = oracles.score_cam(maps, images[0], lambda x: clf.predict(np.asarray(x, np.float32))[:, 1])
    else:
        expected = oracles.BY_GRADIENT[method](maps, gradients)
    np.testing.assert_allclose(record.arrays["evidence"][0], expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.mark.backends
@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "layercam", "scorecam"])
def test_maps_of_tokens_are_verified(method, images):
    """By differences of scores for changed tokens; a map of the wrong tokens fails."""
    clf = classifier("registers")
    record = cx.explain("gradcam", clf, images[:1], method=method, target=1)
    (subject,) = subjects(record, clf, [cx.Logit(1)])
    checks = {check.name: check for check in record.analysis.checks}
    assert checks["evidence"].run(subject).passed
    assert checks["map"].run(subject).passed
    wrong = replace(record, arrays={**record.arrays, "evidence": np.roll(record.arrays["evidence"], 1, axis=2)})
    assert checks["evidence"].run(replace(subject, record=wrong)).passed is False


def test_token_maps_are_shown_on_their_grid(images):
    clf = classifier("registers")
    record = cx.explain("intermediate-outputs", clf, images, layer=["b_sum1", "b_norm1"])
    facts = record.facts["layers"][0][0]
    assert (facts["shape"], facts["grid"]) == ([16, WIDTH], [ROWS, COLUMNS, 3])
    output = record.arrays["output/b_sum1"]
    np.testing.assert_array_equal(output, clf.activations(images, ["b_sum1"])["b_sum1"])
    panel = record.analysis.panels(record, 0)[0]
    assert "b_sum1 (Add), 16 × 8 on 4×3: 0 of 8 maps dead" in panel.title
    best = facts["shown"][0]
    np.testing.assert_array_equal(panel.maps[0], output[0, 3:15, best].reshape(ROWS, COLUMNS))
    assert record.figure(0) is not None
    turned = classifier("column by column")
    assert cx.explain("intermediate-outputs", turned, images, layer=["b_sum1"]).facts["layers"][0][0]["grid"] is None


def test_deep_transformers_show_blocks(images):
    clf = classifier("class token", "ab")
    names = [facts["name"] for facts in cx.explain("intermediate-outputs", clf, images).facts["layers"][0]]
    assert {"patch", "a_sum2", "b_sum2", "scores"} <= set(names)


def test_receptive_fields_of_patches_and_attention(images):
    clf = classifier("attention by hand")
    for name in ("patch", "b_norm1"):
        assert clf.receptive_field(name).rows == Axis(0, 4, 4)
    other = classifier("patches by a reshape")
    assert other.receptive_field("patch").columns == Axis(0, 4, 4)


def windows():
    """As in Swin: windows of a shifted image in the place of images, put together again, and patches merged."""
    keras.utils.set_random_seed(7)
    inputs = keras.Input((16, 16, 3))
    maps = layers.Conv2D(WIDTH, 2, strides=2, name="patch")(inputs)
    x = ops.reshape(ops.roll(maps, (-2, -2), axis=(1, 2)), (-1, 2, 4, 2, 4, WIDTH))
    x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, 16, WIDTH))
    x = layers.MultiHeadAttention(2, 4, name="attention")(x, layers.LayerNormalization(name="in_windows")(x))
    x = ops.transpose(ops.reshape(x, (-1, 2, 2, 4, 4, WIDTH)), (0, 1, 3, 2, 4, 5))
    x = layers.Add(name="sum")([maps, ops.roll(ops.reshape(x, (-1, 8, 8, WIDTH)), (2, 2), axis=(1, 2))])
    x = layers.Concatenate(name="merged")([x[:, i::2, j::2] for j in range(2) for i in range(2)])
    x = layers.LayerNormalization(name="tokens")(layers.Reshape((16, 4 * WIDTH))(x))
    return keras.Model(inputs, layers.Dense(3, name="scores")(layers.GlobalAveragePooling1D()(x)))


def test_window_batches_are_refused_by_name(random):
    clf = cx.load(windows())
    images = random.uniform(0, 1, (2, 16, 16, 3)).astype(np.float32)
    np.testing.assert_allclose(clf.logits(images), keras.ops.convert_to_numpy(clf.model(images)), rtol=1e-4, atol=1e-5)
    assert not {"attention", "in_windows"} & {layer.name for layer in clf.layers}
    for analysis in ("gradcam", "intermediate-outputs"):
        with pytest.raises(UsageError, match=r"'in_windows' \(LayerNormalization\) holds windows of an image"):
            cx.explain(analysis, clf, images, layer="in_windows")
    record = cx.explain("gradcam", clf, images)
    assert record.facts["layer"] == ["tokens"] * 2
    assert record.arrays["evidence"].shape == (2, 4, 4)
    assert {layer.name: layer.maps for layer in clf.layers}["sum"]


def test_tokens_without_positions_are_named(images):
    inputs = keras.Input(SHAPE)
    x = layers.MaxPooling1D(2, name="pool")(convolved(inputs))
    x = layers.GlobalAveragePooling1D()(layers.Dense(WIDTH, name="late")(x))
    clf = cx.load(keras.Model(inputs, layers.Dense(3, name="scores")(x)))
    record = cx.explain("gradcam", clf, images)
    assert "instead of later ones, such as 'late': the rows and columns of their outputs are unknown" in record.warnings[0]
    with pytest.raises(UsageError, match=r"'late' \(Dense\) returns \(6, 8\), whose rows and columns are unknown"):
        cx.explain("gradcam", clf, images, layer="late")


def test_attention_heads_are_not_feature_maps():
    clf = classifier("attention by hand")
    assert [layer.name for layer in clf.layers if layer.maps] == ["patch"]

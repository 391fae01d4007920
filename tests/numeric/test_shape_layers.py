# ruff: noqa: PLW0108  # Each call makes a layer.
"""Layers that augment, crop, resize or reshape: what they do in inference mode, what is seen through them, and the rules."""

import keras
import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain.errors import ModelError, UsageError

pytestmark = pytest.mark.backends

layers, ops = keras.layers, keras.ops
NEW = tuple(map(int, keras.__version__.split(".")[:2])) >= (3, 15)
"""Before, Keras had no adaptive pooling, and computed some of these operations in no model."""
SHAPE = (12, 16, 3)

AUGMENTING = {
    **{
        kind: {} for kind in ("AugMix", "CutMix", "MixUp", "RandAugment", "Solarization", "RandomColorJitter", "RandomShear")
    },
    **{kind: {} for kind in ("RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGaussianBlur")},
    **{kind: {} for kind in ("RandomGrayscale", "RandomInvert", "RandomPerspective", "ActivityRegularization", "Identity")},
    **{kind: {"factor": 0.5} for kind in ("RandomBrightness", "RandomColorDegeneration", "RandomContrast", "RandomHue")},
    **{kind: {"factor": 0.5} for kind in ("RandomRotation", "RandomSaturation", "RandomSharpness")},
    "RandomPosterization": {"factor": 4},
    "RandomTranslation": {"height_factor": 0.3, "width_factor": 0.3},
    "RandomZoom": {"height_factor": 0.3},
    **{kind: {"rate": 0.5} for kind in ("AlphaDropout", "Dropout", "GaussianDropout", "SpatialDropout2D")},
    "GaussianNoise": {"stddev": 0.5},
    # It says that it returns 6 × 5, which it does in training alone.
    "RandomCrop": {"height": 6, "width": 5},
}
"""Layers that return what they are given in inference mode, with what they need."""

MOVING = {
    "cropping": lambda x: layers.Cropping2D(((1, 2), (3, 0)))(x),
    "center crop": lambda x: layers.CenterCrop(7, 9)(x),
    "zero padding": lambda x: layers.ZeroPadding2D(((2, 1), (0, 3)))(x),
    "pad": lambda x: ops.pad(x, ((0, 0), (2, 1), (0, 3), (0, 0))),
    "bgr": lambda x: ops.flip(x, axis=-1),
    "every other": lambda x: x[:, ::2, 1::3],
    "stack": lambda x: ops.stack([x[..., 2], x[..., 0], x[..., 1]], axis=-1),
    "stack of copies": lambda x: layers.Reshape((12, 16, 6))(ops.stack([x, x], axis=-1)),
    "unstack": lambda x: ops.stack(ops.unstack(x, axis=-1)[:2], axis=-1),
    "split": lambda x: layers.Concatenate()(ops.split(x, 3, axis=-1)[::-1]),
    "squeeze": lambda x: ops.squeeze(ops.expand_dims(x, 1), 1),
    "through sequences": lambda x: layers.Reshape((12, 16, 3))(layers.Reshape((192, 3))(x)),
    "through channels first": lambda x: ops.transpose(ops.transpose(x, (0, 3, 1, 2)), (0, 2, 3, 1)),
    "twice transposed": lambda x: layers.Permute((2, 1, 3))(layers.Permute((2, 1, 3))(x)),
    "repeat of channels": lambda x: ops.repeat(x, 2, axis=-1),
    "space to depth": lambda x: layers.Reshape((6, 8, 12))(
        ops.transpose(layers.Reshape((6, 2, 8, 2, 3))(x), (0, 1, 3, 2, 4, 5))
    ),
    "patches": lambda x: ops.image.extract_patches(x, (3, 4)),
    "resizing to a half": lambda x: layers.Resizing(6, 8)(x),
    "resizing to a third": lambda x: layers.Resizing(4, 16)(x),
    "resizing to the same": lambda x: layers.Resizing(12, 16)(x),
    "nearest resizing": lambda x: layers.Resizing(6, 8, interpolation="nearest")(x),
    "resize": lambda x: ops.image.resize(x, (6, 4)),
    "stacked as batches, one taken": lambda x: ops.stack([x, 2 * x], axis=0)[1],
    "stacked as batches and taken apart": lambda x: layers.Add()(ops.unstack(ops.stack([x, 2 * x], axis=0), 2, axis=0)),
    "stacked as batches, mean": lambda x: ops.mean(ops.stack([x, 2 * x]), axis=0),
    "stacked as batches, maximum": lambda x: ops.max(ops.stack([x, ops.flip(x, axis=-1)]), axis=-5),
    "one stacked as a batch": lambda x: ops.squeeze(ops.stack([x], axis=0), axis=0),
    "stacked as batches, then as channels": lambda x: layers.Reshape((12, 16, 6))(
        ops.transpose(ops.stack([x, x], axis=0), (1, 2, 3, 0, 4))
    ),
    "one of two": lambda x: ops.split(x, 2, axis=1)[1],
    **(
        {
            "tile of channels": lambda x: ops.tile(x, (1, 1, 1, 2)),
            "overlapping patches": lambda x: ops.image.extract_patches(x, (4, 4), strides=(2, 3)),
        }
        if NEW
        else {}
    ),
}
"""What moves numbers, or is linear, in regular steps."""

UNKNOWN = {
    "enlarging crop": (lambda x: layers.CenterCrop(20, 20)(x), "CenterCrop"),
    "transposed": (lambda x: layers.Permute((2, 1, 3))(x), "Permute"),
    "one below the other": (
        lambda x: layers.Concatenate(axis=1)([layers.Conv2D(3, 3, padding="same")(x), layers.Conv2D(3, 1)(x)]),
        "Concatenate",
    ),
    "transposed convolution": (lambda x: layers.Conv2DTranspose(3, 3)(x), "Conv2DTranspose"),
    **({"adaptive": (lambda x: layers.AdaptiveAveragePooling2D(5)(x), "AdaptiveAveragePooling2D")} if NEW else {}),
}
"""What is linear too, but of which it is not known what the units see."""


def network(between):
    keras.utils.set_random_seed(3)
    inputs = keras.Input(SHAPE)
    x = between(inputs)
    x = layers.Conv2D(3, 2, strides=2, activation="relu", name="top", bias_initializer="ones")(x)
    model = keras.Model(inputs, layers.Dense(3, name="scores")(layers.GlobalAveragePooling2D()(x)))
    for weight in model.get_layer("top").weights:
        weight.assign(np.abs(keras.ops.convert_to_numpy(weight)) + 0.1)
    return model


def assert_seen(clf, name="top"):
    """A unit has a gradient at pixels of its receptive field alone, up to its borders."""
    field, shape = clf.receptive_field(name), clf.layer(name).shape
    image = np.random.default_rng(1).uniform(0.1, 1, (1, *clf.preprocess.shape)).astype(np.float32)
    for row, column in {(0, 0), (shape[0] // 2, shape[1] // 2), (shape[0] - 1, shape[1] - 1)}:
        units = [cx.Neuron(name, row, column, channel) for channel in range(min(shape[2], 12))]
        gradient = clf.gradient(np.repeat(image, len(units), axis=0), units)
        seen = (gradient != 0).any(axis=(0, 3))
        expected = field.rows.slice(row, len(seen)), field.columns.slice(column, len(seen[0]))
        # In the padding nothing is seen.
        for pixels, along in zip(expected if seen.any() else (), (seen.any(axis=1), seen.any(axis=0)), strict=False):
            found = np.flatnonzero(along)
            assert (found.min(), found.max() + 1) == (pixels.start, pixels.stop), (row, column)
        assert seen.any() or any(pixels.start == pixels.stop for pixels in expected)


def assert_computes(clf):
    images = np.random.default_rng(2).uniform(0, 1, (2, *SHAPE)).astype(np.float32)
    own = keras.ops.convert_to_numpy(clf.model(images, training=False))
    np.testing.assert_allclose(clf.logits(images), own, rtol=1e-4, atol=1e-5)
    outputs = clf.activations(images, [layer.name for layer in clf.layers])
    assert {layer.name: outputs[layer.name].shape[1:] for layer in clf.layers} == {
        layer.name: layer.shape for layer in clf.layers
    }
    return images


def test_augmentation_layers_are_skipped_at_inference():
    known = [kind for kind in AUGMENTING if hasattr(layers, kind)]
    if keras.backend.backend() == "jax":
        # There Keras warns of a type that JAX doesn't have.
        known.remove("MixUp")

    def between(x):
        for kind in known:
            x = getattr(layers, kind)(**AUGMENTING[kind], name=kind)(x)
        return x

    clf = cx.load(network(between))
    images = assert_computes(clf)
    for kind, found in clf.activations(images, known).items():
        np.testing.assert_array_equal(found, images, err_msg=kind)
        assert clf.layer(kind).shape == SHAPE
    assert_seen(clf)
    assert clf.describe_rule("top", "deconvnet") == "R where R > 0 at ReLUs"


@pytest.mark.parametrize("kind", MOVING)
def test_rearranging_layers_are_transparent(kind):
    clf = cx.load(network(MOVING[kind]))
    assert_computes(clf)
    assert_seen(clf)
    assert clf.describe_rule("top", "deconvnet") == "R where R > 0 at ReLUs"


@pytest.mark.parametrize("kind", UNKNOWN)
def test_layers_of_unknown_geometry_are_named(kind):
    between, name = UNKNOWN[kind]
    clf = cx.load(network(between))
    assert_computes(clf)
    with pytest.raises(ModelError, match=rf"field of 'top' is not known past the layer '\w+' \({name}\)"):
        clf.receptive_field("top")
    assert clf.describe_rule("top", "deconvnet") == "R where R > 0 at ReLUs"


def twice(x, back):
    """A convolution that is given images and mirrored images in one batch."""
    both = ops.reshape(ops.stack([x, ops.flip(x, axis=2)], axis=0), (-1, *SHAPE))
    shared = layers.Conv2D(4, 3, name="shared")(both)
    return back(ops.reshape(shared, (2, -1, 10, 14, 4)))


BACK = {
    "mean": lambda both: ops.mean(both, axis=0),
    "maximum": lambda both: ops.max(both, axis=0),
    "taken apart": lambda both: layers.Add()(ops.unstack(both, 2, axis=0)),
    "one of them": lambda both: both[1],
}


@pytest.mark.parametrize("back", BACK)
def test_stacked_images_are_explained_one_by_one(back):
    model = network(lambda x: twice(x, BACK[back]))
    clf = cx.load(model)
    images = assert_computes(clf)
    assert "shared" not in {layer.name for layer in clf.layers}
    assert [layer.name for layer in clf.convolutions] == ["top"]
    with pytest.raises(UsageError, match=r"'shared' \(Conv2D\) holds windows of an image as if they were images"):
        clf.layer("shared")
    shared = model.get_layer("shared")
    one, other = (keras.ops.convert_to_numpy(shared(each)) for each in (images, images[:, :, ::-1].copy()))
    joined = {"mean": (one + other) / 2, "maximum": np.maximum(one, other), "taken apart": one + other, "one of them": other}
    top = keras.ops.convert_to_numpy(model.get_layer("top")(joined[back]))
    np.testing.assert_allclose(clf.activations(images, ["top"])["top"], top, rtol=1e-4, atol=1e-5)
    # One image's explanation is the same beside others.
    record, alone = (cx.explain("gradcam", clf, each, layer="top", target=1) for each in (images, images[1:]))
    np.testing.assert_allclose(record.arrays["evidence"][1:], alone.arrays["evidence"], rtol=1e-4, atol=1e-6)
    cx.explain("intermediate-outputs", clf, images)
    with pytest.raises(ModelError, match=r"not known past the layer '\w+' \(Reshape\)"):
        clf.receptive_field("top")


def test_split_batches_are_explained_one_by_one():
    clf = cx.load(network(lambda x: layers.Add()(ops.split(ops.concatenate([x, 2 * x], axis=0), 2, axis=0))))
    assert_computes(clf)
    assert_seen(clf)


@pytest.mark.parametrize("make", [lambda: layers.AutoContrast((0, 1)), lambda: layers.Softmax()])
def test_nonlinear_layers_are_refused_by_name(make):
    clf = cx.load(network(make()))
    assert_computes(clf)
    with pytest.raises(ModelError, match=r"The layer '\w+' \((AutoContrast|Softmax)\) is neither"):
        clf.describe_rule("top", "deconvnet")


def test_rules_pass_rearranging_layers_like_the_gradient(random):
    """The signal behind them is that of a network without them, moved back."""
    plain = network(lambda x: x)
    moved = network(lambda x: ops.stack(ops.unstack(layers.Cropping2D(((2, 0), (0, 4)))(x), axis=-1)[::-1], axis=-1))
    image = random.uniform(0, 1, (1, *SHAPE)).astype(np.float32)
    seeds = random.normal(size=(1, 5, 6, 3)).astype(np.float32)
    for layer, other in zip(moved.weights, plain.weights, strict=True):
        layer.assign(other)
    found = cx.load(moved).project(image, "top", seeds, "deconvnet")
    shorter = keras.Model(
        inputs := keras.Input((10, 12, 3)), plain.get_layer("scores")(plain.layers[2](plain.get_layer("top")(inputs)))
    )
    inner = cx.load(shorter).project(np.ascontiguousarray(image[:, 2:, :12, ::-1]), "top", seeds, "deconvnet")
    expected = np.zeros_like(image)
    expected[:, 2:, :12] = inner[..., ::-1]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert np.abs(found).max() > 0


class Shorter(layers.Layer):
    """It says that it returns less than it does."""

    def call(self, x):
        return x

    def compute_output_shape(self, shape):
        return shape[0], 5, 4, shape[3]


class Conv2D(layers.Layer):
    """Someone's own, which has the name of a layer of Keras."""

    def call(self, x):
        return ops.flip(x, axis=1)


def test_layers_with_a_wrong_output_shape_are_named():
    clf = cx.load(network(Shorter(name="odd")))
    images = np.zeros((1, *SHAPE), np.float32)
    with pytest.raises(
        ModelError, match=r"'odd' \(Shorter\) declares the output shape \(5, 4, 3\), but returns \(12, 16, 3\)"
    ):
        clf.activations(images, ["odd"])


def test_foreign_classes_are_not_mistaken_for_keras_classes():
    clf = cx.load(network(Conv2D(name="odd")))
    with pytest.raises(ModelError, match=r"not known past the layer 'odd' \(Conv2D\)"):
        clf.receptive_field("top")
    with pytest.raises(ModelError, match=r"'odd' \(Conv2D\) is neither"):
        clf.describe_rule("top", "deconvnet")

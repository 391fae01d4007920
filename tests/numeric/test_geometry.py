"""Receptive fields by hand."""

import keras
import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain.errors import ModelError
from cnnexplain.model.geometry.axes import Axis, Field


def field(*layers, name="top", shape=(20, 30, 1)):
    inputs = keras.Input(shape)
    x = inputs
    for layer in layers:
        x = layer(x)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    return cx.load(model).receptive_field(name)


def test_receptive_fields_of_the_lenet(lenet):
    """A 5×5 kernel, 2×2 pooling and again: 5, 6, 6 + 4 · 2 = 14, 14 + 2 = 16 pixels, at steps of 1, 2, 2 and 4."""
    for name, step, size in (("conv1", 1, 5), ("relu1", 1, 5), ("pool1", 2, 6), ("conv2", 2, 14), ("pool2", 4, 16)):
        assert lenet.receptive_field(name) == Field(Axis(0, step, size), Axis(0, step, size))
    for name in ("flatten", "dense", "probabilities", "logits"):
        assert lenet.receptive_field(name) == Field(Axis(0, 0, 28), Axis(0, 0, 28))
    assert lenet.receptive_field("input") == Field(Axis(0, 1, 1), Axis(0, 1, 1))


def test_padding_stride_and_dilation():
    # 20 rows, stride 2: 10 units need 2 · 9 + 3 − 20 = 1 pixel of padding, put behind. 30 columns, stride 3: none.
    found = field(keras.layers.Conv2D(1, 3, strides=(2, 3), padding="same", name="top"))
    assert found == Field(Axis(0, 2, 3), Axis(0, 3, 3))
    # A kernel of 3 with dilation 4 spans 9 pixels, 4 of them before.
    assert field(keras.layers.Conv2D(1, 3, dilation_rate=4, padding="same", name="top")).rows == Axis(-4, 1, 9)
    padded = field(keras.layers.ZeroPadding2D(((2, 1), (0, 3))), keras.layers.AveragePooling2D(2, name="top"))
    assert padded == Field(Axis(-2, 2, 2), Axis(0, 2, 2))
    cropped = field(keras.layers.Cropping2D(((3, 1), (5, 2))), keras.layers.MaxPooling2D(2, strides=1, name="top"))
    assert cropped == Field(Axis(3, 1, 2), Axis(5, 1, 2))


def test_branches_give_the_union():
    inputs = keras.Input((16, 16, 3))
    narrow = keras.layers.Conv2D(2, 1)(inputs)
    wide = keras.layers.Conv2D(2, 5, padding="same")(inputs)
    joined = keras.layers.Add(name="sum")([narrow, wide])
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(joined)
    model = keras.Model(inputs, keras.layers.Dense(2)(pooled))
    clf = cx.load(model)
    assert clf.receptive_field("sum").rows == Axis(-2, 1, 5)
    assert clf.receptive_field("pool").columns == Axis(0, 0, 16)


def test_fields_are_clipped_at_the_border():
    axis = Axis(-2, 3, 5)
    assert [axis.slice(unit, 10) for unit in range(4)] == [slice(0, 3), slice(1, 6), slice(4, 9), slice(7, 10)]
    assert Axis(0, 0, 28).slice(5, 28) == slice(0, 28)


def test_crops_are_gray_beyond_the_border(random):
    """The image in a wide border; where the field is larger than the image, the image with gray where it isn't seen."""
    image = random.uniform(0, 1, (6, 5, 3)).astype(np.float32)
    gray = np.array([-1, -2, -3], np.float32)
    wide = np.tile(gray, (26, 25, 1))
    wide[10:16, 10:15] = image
    small = Field(Axis(-2, 2, 4), Axis(-1, 1, 3))
    for row, column in ((0, 0), (1, 2), (3, 4)):
        top, left = 10 - 2 + 2 * row, 10 - 1 + column
        np.testing.assert_array_equal(small.cut(image, row, column, gray), wide[top : top + 4, left : left + 3])
    large = Field(Axis(-7, 2, 9), Axis(-1, 1, 3))
    seen = np.tile(gray, (6, 3, 1))
    seen[0:4] = image[0:4, 1:4]
    np.testing.assert_array_equal(large.cut(image, 1, 2, gray), seen)
    seen = np.tile(gray, (6, 3, 1))
    seen[1:] = image[1:, 1:4]
    np.testing.assert_array_equal(large.cut(image, 4, 2, gray), seen)


def test_layers_of_unknown_geometry_are_named():
    with pytest.raises(ModelError, match=r"field of 'top' is not known past the layer 'odd' \(Conv2DTranspose\)"):
        field(keras.layers.Conv2DTranspose(1, 3, name="odd"), keras.layers.Conv2D(1, 3, name="top"))


def test_only_pixels_inside_the_field_change_the_unit(random):
    inputs = keras.Input((17, 15, 1))
    x = keras.layers.Conv2D(2, 3, strides=2, padding="same")(inputs)
    x = keras.layers.Conv2D(2, 3, padding="same", name="top")(x)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    for weight in model.weights:
        weight.assign(np.abs(random.normal(1, 0.1, weight.shape)))
    clf = cx.load(model)
    image = random.uniform(0, 1, (1, 17, 15, 1)).astype(np.float32)
    for row, column in ((0, 0), (4, 3), (8, 7)):
        gradient = clf.gradient(image, [cx.Neuron("top", row, column, 0)])[0, ..., 0] != 0
        expected = np.zeros((17, 15), bool)
        found = clf.receptive_field("top")
        expected[found.rows.slice(row, 17), found.columns.slice(column, 15)] = True
        np.testing.assert_array_equal(gradient, expected)


def test_spatial_concatenation_is_refused_by_name():
    inputs = keras.Input((12, 12, 3))
    narrow, whole = keras.layers.Conv2D(2, 1)(inputs), keras.layers.Conv2D(2, 12)(inputs)
    one, other = keras.layers.Conv2D(2, 3)(inputs), keras.layers.Conv2D(2, 3, strides=2)(inputs)
    other = keras.layers.ZeroPadding2D(((0, 0), (0, 5)))(other)
    for top in (keras.layers.Add(name="top")([narrow, whole]), keras.layers.Concatenate(axis=1, name="top")([one, other])):
        clf = cx.load(keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(top))))
        with pytest.raises(ModelError, match="field of 'top' is not known past the layer 'top'"):
            clf.receptive_field("top")


def test_layers_with_several_outputs():
    inputs = keras.Input((12, 12, 3))
    left, right = keras.ops.split(keras.layers.Conv2D(4, 3)(inputs), 2, axis=-1)
    top = keras.layers.Conv2D(2, 3, name="top")(keras.layers.Concatenate()([left, right]))
    clf = cx.load(keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(top))))
    assert clf.receptive_field("top").rows == Axis(0, 1, 5)
    image = np.linspace(0, 1, 432, dtype=np.float32).reshape(1, 12, 12, 3)
    assert not cx.explain("deconvnet", clf, image, layer="top").warnings


@pytest.mark.parametrize(("axis", "size"), [(-1, 3), ((1, 2, 3), 12)])
def test_layer_normalization_over_positions_sees_all(axis, size):
    inputs = keras.Input((12, 12, 3))
    x = keras.layers.LayerNormalization(axis=axis, name="top")(keras.layers.Conv2D(4, 3)(inputs))
    clf = cx.load(keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x))))
    assert clf.receptive_field("top").rows.size == size

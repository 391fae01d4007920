# ruff: noqa: PLW0108  # Each call makes a layer.
"""Receptive fields past layers that resize, against the change that every single pixel makes."""

import keras
import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain.model.geometry.axes import Axis, Field, Spans

layers, ops = keras.layers, keras.ops
SHAPE = (12, 16, 2)
TORCH = keras.backend.backend() == "torch"


def conv(x, size=3, strides=1, name=None, **options):
    return layers.Conv2D(2, size, strides=strides, name=name, **options)(x)


def branches(x):
    """As in a U-Net: what was halved is enlarged again and joined to what it was before."""
    before = conv(x, padding="same", name="before")
    deep = conv(layers.MaxPooling2D(2)(before), padding="same", name="deep")
    up = layers.UpSampling2D(2, interpolation="bilinear", name="up")(deep)
    return layers.Concatenate(name="joined")([before, up])


WAYS = {
    "twice": lambda x: layers.Resizing(24, 32)(x),
    "by half again": lambda x: layers.Resizing(18, 24)(x),
    "three times": lambda x: layers.Resizing(36, 48)(x),
    "to a half": lambda x: layers.Resizing(6, 8)(x),
    "to 0.7": lambda x: layers.Resizing(8, 11)(x),
    "a pixel less": lambda x: layers.Resizing(11, 15)(x),
    "one unit": lambda x: layers.Resizing(1, 1, interpolation="bicubic")(x),
    "to 0.7, nearest": lambda x: layers.Resizing(8, 11, interpolation="nearest")(x),
    "by half again, nearest": lambda x: layers.Resizing(18, 24, interpolation="nearest")(x),
    "twice, bicubic": lambda x: layers.Resizing(24, 32, interpolation="bicubic")(x),
    "to 0.7, bicubic": lambda x: layers.Resizing(8, 11, interpolation="bicubic")(x),
    "to a third and a half, bicubic": lambda x: layers.Resizing(4, 8, interpolation="bicubic")(x),
    "the same, bicubic": lambda x: layers.Resizing(12, 16, interpolation="bicubic")(x),
    "to a half, smoothed": lambda x: layers.Resizing(6, 8, antialias=True)(x),
    "to 0.7, smoothed": lambda x: layers.Resizing(8, 11, antialias=True)(x),
    "to 0.3, bicubic, smoothed": lambda x: layers.Resizing(4, 5, interpolation="bicubic", antialias=True)(x),
    "twice, smoothed": lambda x: layers.Resizing(24, 32, antialias=True)(x),
    "nearest, smoothed": lambda x: layers.Resizing(7, 9, interpolation="nearest", antialias=True)(x),
    "cropped": lambda x: layers.Resizing(8, 8, crop_to_aspect_ratio=True)(x),
    "cropped, nearest": lambda x: layers.Resizing(5, 9, crop_to_aspect_ratio=True, interpolation="nearest")(x),
    "cropped, bicubic": lambda x: layers.Resizing(20, 9, crop_to_aspect_ratio=True, interpolation="bicubic")(x),
    "cropped to the size": lambda x: layers.Resizing(12, 12, crop_to_aspect_ratio=True)(x),
    "padded": lambda x: layers.Resizing(8, 8, pad_to_aspect_ratio=True)(x),
    "padded, nearest": lambda x: layers.Resizing(9, 20, pad_to_aspect_ratio=True, interpolation="nearest")(x),
    "padded, smoothed": lambda x: layers.Resizing(5, 9, pad_to_aspect_ratio=True, antialias=True)(x),
    "upsampling": lambda x: layers.UpSampling2D((2, 3))(x),
    "upsampling, bilinear": lambda x: layers.UpSampling2D((2, 3), interpolation="bilinear")(x),
    "upsampling, bicubic": lambda x: layers.UpSampling2D(2, interpolation="bicubic")(x),
    "operation": lambda x: ops.image.resize(x, (17, 7)),
    "operation, all said": lambda x: ops.image.resize(x, (9, 9), "bicubic", True, crop_to_aspect_ratio=True),
    "after strides": lambda x: layers.Resizing(9, 11)(conv(x, strides=2)),
    "after strides and padding": lambda x: layers.UpSampling2D(2, interpolation="bilinear")(conv(x, 5, 2, padding="same")),
    "after a crop": lambda x: layers.Resizing(10, 20)(conv(layers.Cropping2D(((2, 1), (3, 0)))(x), padding="same")),
    "two of them": lambda x: layers.Resizing(10, 13)(conv(layers.UpSampling2D(2)(conv(x, strides=2)))),
    "there and back": lambda x: layers.Resizing(12, 16)(layers.Resizing(5, 7, antialias=True)(x)),
    "branches": branches,
    "sum of both": lambda x: layers.Add()([layers.Resizing(6, 8)(x), layers.Resizing(6, 8, antialias=True)(x)]),
    "pooled": lambda x: layers.AveragePooling2D(3, 2, padding="same")(layers.Resizing(17, 19)(x)),
    "dilated": lambda x: conv(layers.UpSampling2D(2)(x), dilation_rate=2, padding="same"),
    "padded with zeros": lambda x: layers.ZeroPadding2D(((3, 0), (1, 4)))(layers.Resizing(9, 9)(x)),
    "mirrored": lambda x: ops.flip(x, axis=2),
    "rolled": lambda x: ops.roll(x, 3, axis=1),
    "mirrored at the border": lambda x: ops.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect"),
    "doubled": lambda x: ops.tile(x, (1, 2, 1, 1)),
    "one below the other": lambda x: layers.Concatenate(axis=1)([x, x]),
    "one below the mirrored other": lambda x: layers.Concatenate(axis=1)([x, ops.flip(x, axis=1)]),
    "mirrored and enlarged": lambda x: layers.UpSampling2D(2)(ops.flip(x, axis=1)),
    "stacked as batches": lambda x: ops.mean(ops.stack([x, ops.flip(x, axis=1)], axis=0), axis=0),
    "resized tokens": lambda x: layers.Reshape((9, 9, 2))(layers.Reshape((81, 2))(layers.Resizing(9, 9)(x))),
}
if not TORCH:
    # There Keras has no such interpolation.
    WAYS |= {
        "lanczos": lambda x: layers.Resizing(9, 30, interpolation="lanczos3")(x),
        "lanczos, smoothed": lambda x: layers.Resizing(5, 7, interpolation="lanczos5", antialias=True)(x),
    }


def network(between, shape=SHAPE):
    keras.utils.set_random_seed(5)
    inputs = keras.Input(shape)
    x = conv(between(inputs), 2, name="top", padding="same")
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    for weight in model.weights:
        weight.assign(np.random.default_rng(len(weight.shape)).uniform(0.5, 1.5, weight.shape))
    return model


def influence(clf, names):
    """Of each layer (h, w, H, W): whether a unit changes with a pixel of an image of noise."""
    height, width, channels = clf.preprocess.shape
    noise = np.random.default_rng(0).uniform(0.4, 0.6, (1, height, width, channels)).astype(np.float32)
    changed = np.repeat(noise, height * width, axis=0)
    for place, (row, column) in enumerate(np.ndindex(height, width)):
        changed[place, row, column] += 8
    before, after = clf.activations(noise, names), clf.activations(changed, names)
    found = {}
    for name in names:
        change = np.abs(after[name] - before[name]).max(axis=-1)
        # What is known to seven digits.
        found[name] = (change > 1e-5 * change.max()).reshape(height, width, *change.shape[1:]).transpose(2, 3, 0, 1)
    return found


def assert_exact(clf, names):
    """Of every unit the field is the bounding box of the pixels that change it.

    Windows in regular steps may be larger at the border, where a kernel reaches over what was cropped or skipped.
    """
    for name, seen in influence(clf, names).items():
        field = clf.receptive_field(name)
        for row, column in np.ndindex(*seen.shape[:2]):
            box = field.rows.slice(row, seen.shape[2]), field.columns.slice(column, seen.shape[3])
            if not seen[row, column].any():
                assert any(each.start == each.stop for each in box), (name, row, column)
                continue
            for axis, pixels, side in zip((field.rows, field.columns), box, (1, 0), strict=True):
                first, *_, last = np.flatnonzero(seen[row, column].any(axis=side))[[0, -1]]
                assert pixels.start <= first
                assert last < pixels.stop
                if isinstance(axis, Spans):
                    assert (pixels.start, pixels.stop) == (first, last + 1), (name, row, column, field)
        for axis, side in ((field.rows, 0), (field.columns, 1)):
            sizes = [axis.slice(unit, 99).stop - axis.slice(unit, 99).start for unit in range(seen.shape[side])]
            assert max(sizes) <= axis.size
            assert isinstance(axis, Axis) or max(sizes) == axis.size


@pytest.mark.parametrize("way", WAYS)
def test_fields_are_the_pixels_that_change_a_unit(way):
    clf = cx.load(network(WAYS[way]))
    assert_exact(clf, [layer.name for layer in clf.layers if layer.maps])


def test_regular_and_irregular_steps():
    """Bilinear, twice the size: unit i lies at i / 2 − ¼, between two pixels, of which a kernel of 2 reads 2 or 3."""
    clf = cx.load(network(lambda x: layers.Resizing(24, 8, name="resized")(x)))
    resized, top = clf.receptive_field("resized"), clf.receptive_field("top")
    # The columns, halved, go on in steps of two.
    assert resized.columns == Axis(0, 2, 2)
    assert resized.rows.plain()[:5] == [[0, 1], [0, 2], [0, 2], [1, 3], [1, 3]]
    assert resized.rows.plain()[-1] == [11, 12]
    assert top.rows.plain()[:4] == [[0, 2], [0, 2], [0, 3], [1, 3]]
    assert (resized.rows.size, top.rows.size, top.whole) == (2, 3, False)


def test_inverse_shifts_keep_steps():
    clf = cx.load(network(lambda x: ops.roll(layers.Identity()(ops.roll(conv(x, strides=2), 2, axis=1)), -2, axis=1)))
    assert clf.receptive_field("top") == Field(Axis(0, 2, 5), Axis(0, 2, 5))


def test_global_units_see_the_whole_image():
    clf = cx.load(network(lambda x: layers.Resizing(3, 3)(layers.AveragePooling2D((12, 16))(x))))
    assert clf.receptive_field("top").whole


def test_patches_have_the_size_of_the_largest_field(random):
    """What a unit sees of the image; at the first border it is put at the end, as with padding, and gray beyond."""
    image, gray = random.uniform(0, 1, (6, 4, 3)).astype(np.float32), np.array([-1, -2, -3], np.float32)
    field = Field(Spans((0, 0, 1, 4, 0), (2, 3, 4, 6, 0)), Axis(0, 0, 4))
    assert field.rows.size == 3
    found = [field.cut(image, row, 0, gray) for row in range(5)]
    assert {patch.shape for patch in found} == {(3, 4, 3)}
    np.testing.assert_array_equal(found[0][1:], image[:2])
    np.testing.assert_array_equal(found[1], image[:3])
    np.testing.assert_array_equal(found[2], image[1:4])
    np.testing.assert_array_equal(found[3][:2], image[4:])
    for beyond in (found[0][0], found[3][2], found[4][0], found[4][2]):
        np.testing.assert_array_equal(beyond, np.tile(gray, (4, 1)))


def test_analyses_show_receptive_fields(tmp_path, random):
    """Facts, patches, projections, pictures and pages of a layer without regular steps, saved and read again."""
    inputs = keras.Input((24, 32, 3))
    x = layers.Activation("relu", name="act")(conv(branches(inputs), name="own"))
    clf = cx.load(keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x))))
    field = clf.receptive_field("act")
    size = field.rows.size, field.columns.size
    images = random.uniform(0, 1, (2, 24, 32, 3)).astype(np.float32)
    dataset = random.integers(0, 255, (10, 24, 32, 3)).astype(np.uint8)

    record = cx.explain("deconvnet", clf, images, layer="act", dataset=dataset)
    assert record.arrays["projection/act/deconvnet"].shape[2:4] == size
    for each in record.facts["strongest"][0]["act"]:
        rows, columns = field.rows.slice(each["row"], 24), field.columns.slice(each["column"], 32)
        assert each["field"] == [[rows.start, rows.stop], [columns.start, columns.stop]]
        assert each["middle"] == [(rows.start + rows.stop - 1) / 2, (columns.start + columns.stop - 1) / 2]
    record.figure()
    record.overview()

    record = cx.explain("intermediate-outputs", clf, images, layer=["own", "before"])
    record.save(tmp_path)
    record = cx.Record.load(tmp_path)
    fields = {each["name"]: each["field"] for each in record.facts["layers"][0]}
    assert fields["own"] == [field.rows.plain(), field.columns.plain()]
    assert fields["before"] == [[-1, 1, 3], [-1, 1, 3]]
    assert record.analysis.panels(record, 0)[0].field in fields.values()

    record = cx.explain("filters", clf, layer="own", dataset=dataset)
    assert record.facts["field"]["own"] == fields["own"]
    assert record.arrays["patch/own"].shape[2:4] == size
    assert "image/own" not in record.arrays
    best = record.facts["strongest"]["own"][0]["patches"][0]
    image = np.asarray(cx.open_stream(dataset, clf).pick([int(best["image"][6:-1])]))[0]
    expected = field.cut(image, best["row"], best["column"], clf.preprocess.gray)
    np.testing.assert_array_equal(record.arrays["patch/own"][0, 0], expected)
    record.overview()

    (shift,) = set(cx.explain("gradcam", clf, images, layer="up").facts["shift"])
    assert shift == 0.5

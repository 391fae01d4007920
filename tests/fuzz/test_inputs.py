"""Generated inputs: fixed values, arrays of bands, operations before the first layer, sizes of pictures, sidecars."""

import io
import json

import hypothesis.strategies as st
import keras
import numpy as np
import pytest
from campaign import CASES, assert_plain
from hypothesis import given, settings
from keras import layers
from PIL import Image

import cnnexplain as cx
from cnnexplain.errors import CnnExplainError
from cnnexplain.inputs import decode, large_images
from cnnexplain.inputs.preprocess import Preprocess

pytestmark = pytest.mark.slow

LONGEST = 600
"""Characters of an error."""


def plain(error):
    """An error in a line or two."""
    assert len(str(error)) <= LONGEST, str(error)
    assert str(error).strip()


@pytest.fixture(scope="module")
def pair():
    image, meta, site = (
        keras.Input((6, 5, 3), name="image"),
        keras.Input((3,), name="meta"),
        keras.Input((), dtype="int32", name="site"),
    )
    x = layers.Concatenate()([layers.Flatten()(image), meta, layers.Embedding(4, 2)(site)])
    return keras.Model([image, meta, site], layers.Dense(2, activation="softmax")(x))


@pytest.fixture(scope="module")
def five():
    return keras.Sequential([keras.Input((4, 3, 5)), layers.Flatten(), layers.Dense(2, activation="softmax")])


@pytest.fixture(scope="module")
def fives(five):
    said = [{}, {"show_bands": [4, 0, 2]}, {"scale": 3, "mean": [1.0] * 5}, {"antialias": False, "fit": "pad"}]
    return [cx.load(five, preprocess=each) for each in said]


NUMBERS = st.one_of(st.integers(-(10**30), 10**30), st.floats(), st.booleans(), st.integers(0, 3))
VALUES = st.one_of(
    NUMBERS,
    st.text(max_size=40),
    st.none(),
    st.recursive(NUMBERS, lambda inner: st.lists(inner, max_size=4), max_leaves=8),
    st.lists(st.integers(0, 3), min_size=3, max_size=3),
    st.dictionaries(st.text(max_size=3), NUMBERS, max_size=2),
    st.sampled_from(
        [
            "1,2,3",
            "[1, 2, 3]",
            "nan,1,2",
            "1e400",
            "-0",
            "0x10",
            "²",
            "٣",
            "1_0",
            "a.npy",
            "b.json",
            "c.csv",
            "d.npz",
            "\0.npy",
        ]
    ),
)
NAMES = st.one_of(st.sampled_from(["meta", "site", "image", "Meta", ""]), st.text(max_size=8))


@given(st.dictionaries(NAMES, VALUES, max_size=3), st.one_of(st.none(), NAMES))
def test_invalid_values_give_one_line(pair, values, wanted):
    try:
        clf = cx.load(pair, fixed=values, input=wanted)
    except CnnExplainError as error:
        plain(error)
    else:
        assert clf.predict(np.zeros((2, 6, 5, 3), np.float32)).shape == (2, 2)


@given(st.binary(max_size=80), st.sampled_from([".npy", ".npz", ".json", ".csv"]), st.data())
def test_files_of_values_are_read_or_give_one_line(pair, tmp_path_factory, noise, suffix, data):
    path = tmp_path_factory.getbasetemp() / f"values{suffix}"
    whole = io.BytesIO()
    if suffix == ".npy":
        np.save(whole, np.array(data.draw(st.lists(st.floats(width=32), max_size=4)), np.float32))
    elif suffix == ".npz":
        np.savez(
            whole,
            **{
                name: np.arange(3)
                for name in data.draw(st.lists(st.sampled_from(["meta", "a", "b"]), max_size=3, unique=True))
            },
        )
    else:
        whole.write(
            data.draw(
                st.sampled_from([b"[1, 2, 3]", b"1,2,3", b"1;2;3", b"[[1],[2],[3]]", b"{}", b"[" * 5000, b"\xff\xfe", b""])
            )
        )
    content = bytearray(whole.getvalue())
    place = data.draw(st.integers(0, len(content)))
    content[place : place + data.draw(st.sampled_from([0, 1, len(noise)]))] = data.draw(st.sampled_from([b"", noise]))
    path.write_bytes(content)
    try:
        cx.load(pair, fixed={"meta": path, "site": 1})
    except CnnExplainError as error:
        plain(error)


@given(st.data())
def test_band_arrays_are_read_or_give_one_line(fives, tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "bands.npy"
    shape = data.draw(
        st.sampled_from([(4, 3, 5), (5, 4, 3), (8, 6, 5), (4, 3), (5,), (0, 3, 5), (1, 1, 5), (4, 3, 5, 1), (5, 5, 5)])
    )
    dtype = data.draw(st.sampled_from(["u1", "<u2", ">u2", "f2", "f4", ">f8", "i8", "?", "c8", "U2", "M8[s]", "O"]))
    array = np.zeros(shape, dtype) if dtype != "O" else np.full(shape, None, object)
    if array.dtype.kind == "f" and array.size:
        array.flat[0] = data.draw(st.sampled_from([0, 1, np.nan, np.inf, -5]))
    whole = io.BytesIO()
    np.save(whole, array, allow_pickle=True)
    content = bytearray(whole.getvalue())
    if data.draw(st.booleans()):
        place = data.draw(st.integers(0, max(0, len(content) - 1)))
        content[place : place + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    path.write_bytes(content)
    clf = fives[data.draw(st.integers(0, len(fives) - 1))]
    try:
        batch = cx.read_images(path, clf)
    except CnnExplainError as error:
        plain(error)
    else:
        assert np.isfinite(np.asarray(batch)).all()
        assert batch.shape == (1, 4, 3, 5)


# Each with what its ends are brought to: a factor and a shift of shares from 0 to 1.
TARGETS = [(1, 0), (2, -1), (1, -0.5), (1 / 0.226, -0.449 / 0.226), (255, -115), (4, -2)]
RANGES = [(0, 255), (0, 1), (-1, 1)]


@settings(max_examples=max(10, CASES // 4))
@given(
    st.sampled_from(TARGETS),
    st.sampled_from(RANGES),
    st.lists(st.sampled_from(["pad", "flip", "split", "idle", "nest"]), max_size=2),
    st.booleans(),
)
def test_the_inferred_range_is_the_true_one(target, ends, others, halves):
    """What brings a range to a usual one is recognized or left a guess, and never taken for another range."""
    (factor, shift), (low, high) = target, ends
    inputs = keras.Input((6, 5, 3))
    x = inputs
    for other in others:
        x = {
            "pad": layers.ZeroPadding2D(1),
            "flip": lambda x: x[..., ::-1],
            "split": lambda x: layers.Concatenate()(keras.ops.split(x, 3, axis=-1)),
            "idle": layers.RandomFlip(),
            "nest": keras.Sequential([keras.Input(x.shape[1:]), layers.Dropout(0.5)]),
        }[other](x)
    scale = factor / (high - low)
    offset = shift - low * scale
    x = (x + offset / scale) * scale if halves else layers.Rescaling(scale, offset)(x)
    found = cx.load(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(layers.Conv2D(2, 3)(x)))), logits=True).preprocess
    if "range" not in found.assumed:
        assert (found.low, found.high) == pytest.approx(ends)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.integers(1, 40), st.data())
def test_pictures_of_any_size_are_resized_to_any_size(height, width, tall, wide, data):
    fit, interpolation = (
        data.draw(st.sampled_from(["stretch", "crop", "pad"])),
        data.draw(st.sampled_from(["bilinear", "bicubic", "nearest"])),
    )
    crop = data.draw(st.sampled_from([1.0, 0.875, 0.01])) if fit == "crop" else 1.0
    picture = np.random.default_rng(height).uniform(0, 1, (height, width, 3)).astype(np.float32)
    for antialias in (False, True):
        preprocess = Preprocess(tall, wide, fit=fit, crop=crop, interpolation=interpolation, antialias=antialias)
        image, _ = preprocess.apply(picture)
        assert image.shape == (tall, wide, 3)
        assert np.isfinite(image).all()
        if interpolation != "bicubic":
            assert image.min() >= -1e-6
            assert image.max() <= 1 + 1e-6
        if preprocess.samples and not preprocess.keeps(height, width):
            rows, columns, grid = preprocess.grid(height, width).needed()
            np.testing.assert_array_equal(
                grid.sample(picture[rows][:, columns]), preprocess.grid(height, width).sample(picture)
            )


@settings(max_examples=max(10, CASES // 4))
@given(st.data())
def test_large_and_small_images_give_the_same_pixels(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "large.png"
    size = data.draw(st.tuples(st.integers(20, 90), st.integers(20, 90)))
    exif = Image.Exif()
    exif[0x0112] = data.draw(st.integers(1, 8))
    mode = data.draw(st.sampled_from(["L", "RGB", "RGBA", "I;16", "P"]))
    values = np.random.default_rng(size[0]).integers(0, 256, (size[1], size[0]))
    picture = (
        Image.fromarray((values * 257).astype(np.uint16))
        if mode == "I;16"
        else Image.fromarray(values.astype(np.uint8)).convert(mode)
    )
    picture.save(path, exif=exif)
    fit = data.draw(st.sampled_from(["stretch", "crop", "pad"]))
    clf = cx.load(keras.Sequential([keras.Input((7, 9, 3)), layers.Flatten(), layers.Dense(2)]), logits=True)
    clf.preprocess = Preprocess(
        7, 9, fit=fit, antialias=False, interpolation=data.draw(st.sampled_from(["bilinear", "nearest"]))
    )
    whole = np.asarray(cx.read_images(path, clf))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "LARGE", 50)
        patch.setattr(large_images, "BLOCK", data.draw(st.integers(30, 2000)))
        np.testing.assert_allclose(np.asarray(cx.read_images(path, clf)), whole, atol=1e-6)


KEYS = st.fixed_dictionaries(
    {},
    optional={
        "antialias": st.one_of(st.booleans(), VALUES),
        "show_bands": st.one_of(st.lists(st.integers(0, 5), max_size=4), VALUES),
        "color": st.sampled_from(["bands", "rgb", "gray", 3]),
        "mean": st.one_of(st.lists(NUMBERS, max_size=6), VALUES),
        "std": st.lists(st.floats(0.01, 9), min_size=4, max_size=5),
        "fixed": VALUES,
        "white_level": NUMBERS,
    },
)


@given(KEYS)
def test_any_sidecar_is_used_or_gives_one_line(five, said):
    try:
        preprocess = cx.load(five, preprocess=said).preprocess
    except CnnExplainError as error:
        plain(error)
    else:
        assert preprocess.channels == 5
        json.dumps([float(preprocess.low), float(preprocess.high)])


@settings(max_examples=max(10, CASES // 10))
@given(
    typed=st.lists(
        st.one_of(
            st.sampled_from(["meta=1,2,3", "site=2", "site=-1", "meta=1", "image=1", "meta=x.npy", "=", "meta"]),
            st.text(max_size=12),
        ),
        max_size=3,
    )
)
def test_any_command_line_gives_a_result_or_one_line(pair, cli, typed, tmp_path):
    (tmp_path / "m.keras").exists() or pair.save(tmp_path / "m.keras")
    before = sorted(tmp_path.iterdir())
    arguments = [part for text in typed for part in ("--fixed", text)]
    code, out, errors = cli("run", "saliency", "--model", "m.keras", "--input-antialias", "true", *arguments)
    assert_plain(code, errors if code else out, codes=(0, 1, 2))
    if code:
        assert [path for path in sorted(tmp_path.iterdir()) if path.name != "cnnexplain-out"] == [
            path for path in before if path.name != "cnnexplain-out"
        ]

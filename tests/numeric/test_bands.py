"""Inputs of other channels than gray or colors, and of no axis of channels."""

import json

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

import cnnexplain as cx
from cnnexplain import draw
from cnnexplain.errors import ImageError, ModelError, UsageError
from cnnexplain.inputs import bands
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.plugin import registry

SHAPE = (12, 10, 13)


def model(shape=SHAPE, before=lambda x: x):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape)
    x = layers.MaxPooling2D()(layers.Conv2D(4, 3, activation="relu", name="conv")(before(inputs)))
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Flatten()(x)))


@pytest.fixture
def images(random):
    return random.uniform(0, 1, (3, *SHAPE)).astype(np.float32)


@pytest.mark.parametrize("channels", [2, 4, 5, 13])
def test_scores_and_gradients_equal_the_model(channels, random):
    built = model((12, 10, channels))
    images = random.uniform(0, 1, (3, 12, 10, channels)).astype(np.float32)
    clf = cx.load(built)
    np.testing.assert_allclose(clf.predict(images), built.predict(images, verbose=0), rtol=1e-4)
    record = cx.explain("gradient-x-input", clf, images)
    assert record.arrays["attribution"].shape == images.shape
    # Products with the gradient add up to the score but for the biases, which are zero here.
    logits = clf.logits(images).max(axis=1)
    np.testing.assert_allclose(record.arrays["attribution"].sum(axis=(1, 2, 3)), logits, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_every_analysis_works_and_draws(images, tmp_path):
    images, clf = images[:1], cx.load(model())
    for analysis in registry.load().analyses.values():
        given = images if "images" in analysis.inputs else None
        looked = {"dataset": images} if "dataset" in analysis.inputs else {}
        record = cx.explain(analysis.name, clf, given, **looked, **analysis.trial)
        record.save(tmp_path / analysis.name, dpi=20)


def test_options_that_need_color_are_refused(images):
    clf = cx.load(model())
    with pytest.raises(UsageError, match="'maco' is for pictures in gray or color, but the model takes 13 bands"):
        cx.explain("activation-maximization", clf, regularization="maco", steps=1)
    with pytest.raises(UsageError, match="leave it out for a model with bands"):
        cx.explain("activation-maximization", clf, judge="lenet", steps=1)
    with pytest.raises(UsageError, match="'spectrum' is for pictures in gray or color"):
        cx.explain("inversion", clf, images[:1], parametrization="spectrum")


@pytest.mark.parametrize("form", ["npy", "bands first", "pages", "uint16"])
def test_files_are_scaled_as_declared(form, tmp_path, random):
    values = random.integers(0, 10_000, SHAPE).astype(np.uint16)
    path = tmp_path / ("x.tiff" if form == "pages" else "x.npy")
    if form == "pages":
        pages = [Image.fromarray(page) for page in np.moveaxis(values, -1, 0)]
        pages[0].save(path, save_all=True, append_images=pages[1:])
    else:
        array = np.moveaxis(values, -1, 0) if form == "bands first" else values
        np.save(path, array if form == "uint16" else array.astype(np.float64))
    said = {"scale": "1/10000", "mean": list(np.arange(13) / 100), "std": [2.0] * 13}
    clf = cx.load(model(), preprocess=said)
    expected = (values / 10_000 - np.arange(13) / 100) / 2
    np.testing.assert_allclose(np.asarray(cx.read_images(path, clf))[0], expected, rtol=1e-4, atol=1e-6)
    plain = cx.load(model())
    np.testing.assert_allclose(np.asarray(cx.read_images(path, plain))[0], values)
    assert "range" in plain.preprocess.assumed
    small = cx.load(model((6, 5, 13)))
    shrunk = np.asarray(cx.read_images(path, small))[0]
    # Not clipped to 1 as pictures are.
    assert shrunk.max() > 3000
    np.testing.assert_allclose(shrunk.mean(axis=(0, 1)), values.mean(axis=(0, 1)), rtol=0.1)


def test_a_picture_with_transparency_has_four_channels(tmp_path, random):
    pixels = random.integers(0, 256, (12, 10, 4)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    clf = cx.load(model((12, 10, 4)), preprocess={"scale": "1/255"})
    np.testing.assert_allclose(np.asarray(cx.read_images(tmp_path / "x.png", clf))[0], pixels / 255, rtol=1e-5)


def test_the_input_range_is_the_declared_one():
    shares = cx.load(model(), preprocess={"scale": "1/10000"}).preprocess
    assert (shares.low, shares.high) == pytest.approx((0, 1))
    assert shares.gray == pytest.approx(np.full(13, 0.5))
    deviations = cx.load(model(), preprocess={"scale": 1, "mean": [500.0] * 13, "std": [200.0] * 13}).preprocess
    assert (deviations.low, deviations.high) == (-2, 2)
    white = cx.load(model(), preprocess={"scale": 1, "white_level": 4095}).preprocess
    assert white.high == 4095
    told = cx.load(model(before=lambda x: x / 127.5 - 1)).preprocess
    assert (told.low, told.high, told.assumed) == (0, 255, ())


def test_false_color_bands_are_selected_and_stretched(images, tmp_path):
    clf = cx.load(model(), preprocess={"show_bands": "3,2,1"})
    images[0, ..., 2] = 0.25
    record = cx.explain("saliency", clf, images)
    shown = draw.image_rgb(record, record.images[0])
    red = images[0, ..., 3]
    low, high = np.percentile(red, 2), np.percentile(red, 98)
    np.testing.assert_allclose(shown[..., 0], np.clip((red - low) / (high - low), 0, 1), atol=1e-5)
    # A constant band is shown where it lies in the input range, here 0 to 1.
    np.testing.assert_allclose(shown[..., 1], 0.25)
    # One picture does not depend on its neighbors.
    np.testing.assert_array_equal(draw.image_rgb(record, record.images)[1], draw.image_rgb(record, record.images[1]))
    figure = record.figure()
    words = " ".join(text.get_text() for text in [*figure.texts, figure._suptitle])
    assert "bands 3, 2, 1 as red, green, blue" in words
    assert "each stretched between its 2nd and 98th percentile" in words.replace("\n", " ")
    record.save(tmp_path / "out")
    assert cx.Record.load(tmp_path / "out").preprocess.show_bands == (3, 2, 1)
    assert (
        draw.image_rgb(cx.explain("saliency", cx.load(model(), preprocess={"show_bands": 5}), images), images[0]).shape[-1]
        == 1
    )


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"show_bands": [3, 2, 13]}, "one or three bands from 0 to 12 as show_bands, but got 3, 2, 13"),
        ({"show_bands": "3,2"}, "three numbers or one"),
        ({"show_bands": -1}, "three numbers or one"),
        ({"mean": [1, 2, 3]}, "one for each of the 13 channels"),
        ({"mean": 3.5e38}, "inputs range from -inf to -inf; expected finite"),
        ({"color": "rgb"}, r"is declared to take \(12, 10, 3\)"),
    ],
)
def test_inconsistent_settings_are_reported(said, words):
    with pytest.raises(UsageError, match=words):
        cx.load(model(), preprocess=said)
    with pytest.raises(UsageError, match="show_bands only if the color is 'bands'"):
        Preprocess(9, 9, show_bands=(0,))
    with pytest.raises(UsageError, match="a number of bands"):
        Preprocess(9, 9, "bands")


def test_other_files_are_refused(tmp_path, random):
    clf = cx.load(model())
    np.save(tmp_path / "few.npy", np.zeros((12, 10, 3)))
    np.save(tmp_path / "nan.npy", np.full(SHAPE, np.nan))
    np.save(tmp_path / "complex.npy", np.zeros(SHAPE, complex))
    np.save(tmp_path / "pickled.npy", np.array([{}], object), allow_pickle=True)
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00{'descr'")
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (100000, 100000, 13), }"
    (tmp_path / "huge.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    Image.fromarray(random.integers(0, 256, (12, 10, 3)).astype(np.uint8)).save(tmp_path / "rgb.png")
    for path in [*tmp_path.iterdir(), "mnist:test/0"]:
        with pytest.raises(ImageError) as raised:
            cx.read_images([path], clf)
        assert len(str(raised.value)) < 300
    np.save(tmp_path / "fine.npy", np.zeros(SHAPE))
    with pytest.raises(ImageError, match="can't be swapped in bands"):
        cx.read_images([tmp_path / "fine.npy"], clf, invert=True)


def test_the_command_line_reads_a_folder_of_arrays(tmp_path, cli, images):
    model().save(tmp_path / "m.keras")
    (tmp_path / "tiles").mkdir()
    for number, image in enumerate(images):
        np.save(tmp_path / f"tiles/{number}.npy", image)
    run = ("run", "saliency", "tiles", "--model", "m.keras", "--show-bands")
    code, out, _ = cli(*run, "3,2,1")
    assert code == 0
    assert "the values of the files are used unchanged" in " ".join(out.split())
    result = json.loads((tmp_path / "cnnexplain-out/saliency/result.json").read_text())
    assert (result["input"]["bands"], result["input"]["show_bands"]) == (13, [3, 2, 1])
    assert cli(*run, "4,2,1", "--resume")[0] == 2
    assert "takes three numbers or one" in cli(*run, "4,2")[2]
    (tmp_path / "cnnexplain.toml").write_text('show-bands = "5"\n')
    assert cli(*run[:-1])[0] == 0
    result = json.loads((tmp_path / "cnnexplain-out/saliency/result.json").read_text())
    assert result["input"]["show_bands"] == [5]
    assert cli("run", "filters", "--model", "m.keras", "--dataset", "tiles")[0] == 0
    code, out, _ = cli("doctor", "m.keras", "tiles")
    assert "13 bands; pictures show band 5 as gray" in " ".join(out.split())


@pytest.mark.parametrize(
    "before",
    [
        layers.Reshape((12, 10, 1)),
        lambda x: keras.ops.expand_dims(x, -1),
        lambda x: x[..., None],
        lambda x: layers.Reshape((12, 10, 1))(x / 255),
    ],
    ids=["layer", "operation", "index", "scaled"],
)
def test_inputs_without_a_channel_axis_get_one(before, random, tmp_path):
    built = model((12, 10), before)
    clf = cx.load(built)
    images = random.uniform(0, clf.preprocess.high, (3, 12, 10)).astype(np.float32)
    assert clf.preprocess.shape == (12, 10, 1)
    np.testing.assert_allclose(clf.predict(images[..., None]), built.predict(images, verbose=0), rtol=1e-4)
    record = cx.explain("saliency", clf, images)
    assert record.arrays["saliency"].shape == images.shape
    assert clf.gradient(images[..., None], [0, 1, 2]).shape == (3, 12, 10, 1)
    if clf.preprocess.high == 1:
        assert clf.receptive_field("conv").rows.size == 3


def test_flipped_images_are_not_treated_as_channels(random):
    built = model((12, 10), lambda x: x[:, ::-1, :, None])
    images = random.uniform(0, 1, (3, 12, 10)).astype(np.float32)
    np.testing.assert_allclose(cx.load(built).predict(images[..., None]), built.predict(images, verbose=0), rtol=1e-4)


@pytest.mark.parametrize("shape", [(3, 12, 10), (1, 28, 28), (13, 64, 64)])
def test_channels_first_remain_refused(shape):
    inputs = keras.Input(shape)
    built = keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Flatten()(inputs)))
    with pytest.raises(ModelError, match="channels first"):
        cx.load(built)


def test_stretching_equals_hand_computation():
    values = np.arange(101, dtype=np.float32).reshape(1, 101, 1)
    shown = bands.stretched(values, np.zeros(1), np.ones(1))
    assert shown[0, [0, 2, 50, 98, 100], 0].tolist() == pytest.approx([0, 0, 0.5, 1, 1])

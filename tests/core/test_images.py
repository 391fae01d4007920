"""Images of every kind → the model's input."""

import hashlib
import struct

import numpy as np
import pytest
from PIL import Image

import cnnexplain as cx
from cnnexplain import datasets
from cnnexplain.errors import ImageError, UsageError
from cnnexplain.images import find


@pytest.fixture
def ramp():
    """28×28 bytes, all different along a row, on a black border."""
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:-4, 4:-4] = np.arange(20) * 12 + np.arange(20)[:, None]
    return pixels


def read(path, lenet):
    return cx.read_images([path], lenet)[0, ..., 0]


def test_a_sample_is_the_data_sets_image_in_the_models_range(lenet):
    batch = cx.read_images(["mnist:test/42", "mnist:train/7"], lenet)
    assert (batch.shape, batch.dtype) == ((2, 28, 28, 1), np.float32)
    digit = datasets.mnist("test")[0][42]
    np.testing.assert_array_equal(batch[0, ..., 0], digit / np.float32(255))
    source = batch.sources[0]
    assert (source.name, source.inverted, source.resized) == ("mnist:test/42", False, False)
    assert source.sha256 == hashlib.sha256(digit.tobytes()).hexdigest()


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "tiff", "webp"])
def test_lossless_formats_give_the_pixels(lenet, tmp_path, ramp, suffix):
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(ramp).save(path, **({"lossless": True} if suffix == "webp" else {}))
    np.testing.assert_allclose(read(path, lenet), ramp / 255, atol=1e-6)
    assert cx.read_images([path], lenet).sources[0].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_jpeg_is_read_nearly_as_it_was(lenet, tmp_path, ramp):
    Image.fromarray(ramp).save(tmp_path / "x.jpg", quality=100)
    np.testing.assert_allclose(read(tmp_path / "x.jpg", lenet), ramp / 255, atol=0.02)


def test_sixteen_bits_keep_their_depth(lenet, tmp_path, ramp):
    deep = ramp.astype(np.uint16) * 257 + 3
    for suffix in ("png", "tiff"):
        Image.fromarray(deep).save(tmp_path / f"x.{suffix}")
        np.testing.assert_allclose(read(tmp_path / f"x.{suffix}", lenet), deep / 65535, atol=1e-6)


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_floating_point_pixels_are_white_at_1_255_or_65535(lenet, tmp_path, ramp, white):
    values = (ramp / 255 * white).astype(np.float32)
    values[14, 14] = white
    Image.fromarray(values).save(tmp_path / "x.tiff")
    np.testing.assert_allclose(read(tmp_path / "x.tiff", lenet), values / white, atol=1e-6)


def test_palette_and_one_bit(lenet, tmp_path, ramp):
    grey = Image.fromarray(ramp)
    grey.convert("P").save(tmp_path / "p.png")
    np.testing.assert_allclose(read(tmp_path / "p.png", lenet), ramp / 255, atol=0.01)
    Image.fromarray(ramp > 100).save(tmp_path / "b.png")
    np.testing.assert_array_equal(read(tmp_path / "b.png", lenet), ramp > 100)


def test_colour_becomes_grey_by_its_luminance(lenet, tmp_path):
    pixels = np.zeros((28, 28, 3), np.uint8)
    pixels[10:12, 10:14], pixels[12:14, 10:14] = (255, 0, 0), (0, 255, 0)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    found = read(tmp_path / "x.png", lenet)
    np.testing.assert_allclose(found[[10, 12], 10], [0.299, 0.587], atol=1e-6)


def test_grey_becomes_three_equal_channels(model, tmp_path):
    pixels = np.arange(120, dtype=np.uint8).reshape(12, 10)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    batch = cx.read_images([tmp_path / "x.png"], cx.load(model()))
    assert batch.shape == (1, 12, 10, 3)
    for channel in range(3):
        np.testing.assert_allclose(batch[0, ..., channel], pixels / 255, atol=1e-6)


@pytest.mark.parametrize(("ink", "ground"), [(0, 1), (255, 0)])
def test_what_is_transparent_contrasts_with_what_is_visible(lenet, tmp_path, ramp, ink, ground):
    rgba = np.full((28, 28, 4), ink, np.uint8)
    rgba[..., 3] = ramp
    Image.fromarray(rgba).save(tmp_path / "x.png")
    found = cx.read_images([tmp_path / "x.png"], lenet, invert=False)[0, ..., 0]
    assert found[0, 0] == ground
    np.testing.assert_allclose(found, ground + (ink / 255 - ground) * ramp / 255, atol=1e-5)


def test_exif_rotation_is_applied(lenet, tmp_path, ramp):
    upright = {
        1: ramp,
        2: ramp[:, ::-1],
        3: np.rot90(ramp, 2),
        4: ramp[::-1],
        5: ramp.T,
        6: np.rot90(ramp, -1),
        7: np.rot90(ramp, 2).T,
        8: np.rot90(ramp),
    }
    for orientation, seen in upright.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(ramp).save(tmp_path / "x.png", exif=exif)
        np.testing.assert_allclose(read(tmp_path / "x.png", lenet), seen / 255, atol=1e-6)


def test_a_dark_digit_on_light_is_inverted_unless_told_otherwise(lenet, tmp_path, ramp):
    Image.fromarray(255 - ramp).save(tmp_path / "x.png")
    batch = cx.read_images([tmp_path / "x.png"], lenet)
    np.testing.assert_allclose(batch[0, ..., 0], ramp / 255, atol=1e-6)
    assert batch.sources[0].inverted
    kept = cx.read_images([tmp_path / "x.png"], lenet, invert=False)
    np.testing.assert_allclose(kept[0, ..., 0], 1 - ramp / 255, atol=1e-6)
    assert not kept.sources[0].inverted


def test_a_photograph_for_another_model_is_never_inverted_unasked(model, tmp_path):
    pixels = np.full((12, 10, 3), 250, np.uint8)
    pixels[5:7] = 10
    Image.fromarray(pixels).save(tmp_path / "x.png")
    clf = cx.load(model())
    np.testing.assert_allclose(cx.read_images([tmp_path / "x.png"], clf)[0], pixels / 255, atol=1e-6)
    np.testing.assert_allclose(cx.read_images([tmp_path / "x.png"], clf, invert=True)[0], 1 - pixels / 255, atol=1e-6)


def test_folders_and_globs_are_sorted_and_other_files_left_out(tmp_path, ramp):
    (tmp_path / "deep").mkdir()
    for name in ("b.png", "a.PNG", "deep/c.png"):
        Image.fromarray(ramp).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    assert find([tmp_path]) == [str(tmp_path / "a.PNG"), str(tmp_path / "b.png")]
    assert find([f"{tmp_path}/**/*.png"]) == [str(tmp_path / "b.png"), str(tmp_path / "deep/c.png")]


def test_a_file_is_taken_before_a_sample_of_the_same_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mnist:test").mkdir()
    (tmp_path / "mnist:test/7").write_text("a file")
    assert find(["mnist:test/7", "mnist:test/8"]) == ["mnist:test/7", "mnist:test/8"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mnist:tset/42", "Did you mean 'mnist:test/42'?"),
        ("mnits:train/1", "Did you mean 'mnist:train/1'?"),
        ("mnist:test/10000", "mnist:test/9999"),
        ("mnist:test/-1", "mnist:test/0"),
        ("mnist:test", "mnist:test/0"),
        ("sevn.png", "Did you mean 'seven.png'?"),
        ("*.jpeg", "No file matches"),
    ],
)
def test_what_does_not_exist_is_named_with_what_does(tmp_path, monkeypatch, digit_file, name, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=name.replace("*", r"\*")) as error:
        find([name])
    assert words in str(error.value)


def test_other_tags_of_a_photograph_do_not_matter(lenet, tmp_path, ramp):
    exif = Image.Exif()
    exif[0x0112], exif[0x0128] = 3, 7
    # The resolution unit as a LONG of more than Pillow would write again.
    data = exif.tobytes().replace(
        b"\x28\x01\x03\x00\x01\x00\x00\x00\x07\x00\x00\x00", struct.pack("<HHII", 0x0128, 4, 1, 70_000)
    )
    data = data.replace(b"\x01\x28\x00\x03\x00\x00\x00\x01\x00\x07\x00\x00", struct.pack(">HHII", 0x0128, 4, 1, 70_000))
    assert struct.pack(">I", 70_000) in data or struct.pack("<I", 70_000) in data
    Image.fromarray(ramp).save(tmp_path / "x.png", exif=data)
    np.testing.assert_allclose(read(tmp_path / "x.png", lenet), np.rot90(ramp, 2) / 255, atol=1e-6)


def test_a_blank_page_is_no_digit(lenet, tmp_path):
    page = np.linspace(200, 190, 90_000).reshape(300, 300).astype(np.uint8)
    Image.fromarray(page).save(tmp_path / "page.png")
    with pytest.raises(ImageError, match="nothing that stands out"):
        cx.read_images([tmp_path / "page.png"], lenet)


def test_names_that_are_too_long_or_empty_are_refused():
    with pytest.raises(UsageError, match="File name too long"):
        find(["x" * 300 + ".png"])
    with pytest.raises(UsageError, match="empty name"):
        find([""])


def test_a_batch_can_not_be_changed_under_its_sources(lenet):
    batch = cx.read_images(["mnist:test/0"], lenet)
    with pytest.raises(ValueError, match="read-only"):
        batch *= 0
    assert batch[:, :14].sources == ()


def test_picking_images_keeps_their_sources(lenet):
    batch = cx.read_images([f"mnist:test/{i}" for i in range(4)], lenet)
    assert [s.name for s in batch[1:3].sources] == ["mnist:test/1", "mnist:test/2"]
    assert [s.name for s in batch[[3, 0]].sources] == ["mnist:test/3", "mnist:test/0"]
    assert [s.name for s in batch[np.array([True, False, False, True])].sources] == ["mnist:test/0", "mnist:test/3"]
    assert (batch * 0.5).sources == ()
    record = cx.explain("saliency", lenet, batch[2:])
    assert [e.source.name for e in record.explained] == ["mnist:test/2", "mnist:test/3"]


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 1), (1, 28, 28), (1, 28, 28, 1)])
def test_arrays_of_pixels_are_scaled_and_arrays_of_inputs_are_not(lenet, shape):
    pixels = datasets.mnist("test")[0][3].reshape(shape)
    as_pixels = cx.explain("saliency", lenet, pixels)
    as_inputs = cx.explain("saliency", lenet, pixels / 255)
    np.testing.assert_array_equal(as_pixels.images, as_inputs.images)
    assert as_pixels.images.max() <= 1
    assert as_pixels.explained[0].source.name == "array[0]"


def test_a_path_or_several_can_be_explained_at_once(lenet, digit_file):
    assert len(cx.explain("saliency", lenet, digit_file)) == 1
    assert len(cx.explain("saliency", lenet, [str(digit_file), "mnist:test/1"])) == 2


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((1, 28, 28, 1), np.nan), "not finite"),
        (np.full((1, 28, 28, 1), 200.0), "from 200 to 200, but the model's input ranges from 0 to 1"),
        (np.full((1, 28, 28, 1), -1), "from -1 to -1"),
        (np.zeros((0, 28, 28, 1)), "no image"),
        (np.full((1, 28, 28, 1), "x"), "expected uint8"),
    ],
)
def test_arrays_that_would_be_explained_wrongly_are_refused(lenet, array, words):
    with pytest.raises(ImageError, match=words):
        cx.explain("saliency", lenet, array)


def test_an_array_of_the_wrong_shape_is_refused(lenet):
    with pytest.raises(UsageError, match=r"shape \(3, 32, 32\); the model takes \(N, 28, 28, 1\)"):
        cx.explain("saliency", lenet, np.zeros((3, 32, 32)))


def test_a_mask_over_pixels_gives_plain_numbers(lenet):
    batch = cx.read_images(["mnist:test/0", "mnist:test/1"], lenet)
    assert batch[batch > 0.5].sources == ()
    assert (batch[batch > 0.5] > 0.5).all()
    assert batch[np.array([False, True])].sources == batch.sources[1:]

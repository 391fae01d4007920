"""Images of every kind → the model's input."""

import hashlib
import struct

import numpy as np
import pytest
from PIL import Image

import cnnexplain as cx
from cnnexplain.errors import ImageError, UsageError
from cnnexplain.inputs import datasets, decode, decoding_memory, images, tiff_files
from cnnexplain.inputs.images import find
from cnnexplain.inputs.preprocess import Preprocess


@pytest.fixture
def ramp():
    """28×28 bytes, all different along a row, on a black border."""
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:-4, 4:-4] = np.arange(20) * 12 + np.arange(20)[:, None]
    return pixels


@pytest.fixture
def mnist():
    """How digits are read."""
    return Preprocess(28, 28, "gray", fit="digit")


def read(path, mnist):
    return cx.read_images([path], mnist)[0, ..., 0]


def test_samples_are_scaled_to_the_models_range(mnist):
    batch = cx.read_images(["mnist:test/42", "mnist:train/7"], mnist)
    assert (batch.shape, batch.dtype) == ((2, 28, 28, 1), np.float32)
    digit = datasets.mnist("test")[0][42]
    np.testing.assert_array_equal(batch[0, ..., 0], digit / np.float32(255))
    source = batch.sources[0]
    assert (source.name, source.inverted, source.resized) == ("mnist:test/42", False, False)
    assert source.sha256 == hashlib.sha256(digit.tobytes()).hexdigest()


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "tiff", "webp"])
def test_lossless_formats_give_the_pixels(mnist, tmp_path, ramp, suffix):
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(ramp).save(path, **({"lossless": True} if suffix == "webp" else {}))
    np.testing.assert_allclose(read(path, mnist), ramp / 255, atol=1e-6)
    assert cx.read_images([path], mnist).sources[0].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_jpeg_is_read_within_tolerance(mnist, tmp_path, ramp):
    Image.fromarray(ramp).save(tmp_path / "x.jpg", quality=100)
    np.testing.assert_allclose(read(tmp_path / "x.jpg", mnist), ramp / 255, atol=0.02)


def test_sixteen_bits_keep_their_depth(mnist, tmp_path, ramp):
    deep = ramp.astype(np.uint16) * 257 + 3
    for suffix in ("png", "tiff"):
        Image.fromarray(deep).save(tmp_path / f"x.{suffix}")
        np.testing.assert_allclose(read(tmp_path / f"x.{suffix}", mnist), deep / 65535, atol=1e-6)


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_white_level_of_floating_point_pixels(mnist, tmp_path, ramp, white):
    values = (ramp / 255 * white).astype(np.float32)
    values[14, 14] = white
    Image.fromarray(values).save(tmp_path / "x.tiff")
    np.testing.assert_allclose(read(tmp_path / "x.tiff", mnist), values / white, atol=1e-6)


def test_palette_and_one_bit_images(mnist, tmp_path, ramp):
    gray = Image.fromarray(ramp)
    gray.convert("P").save(tmp_path / "p.png")
    np.testing.assert_allclose(read(tmp_path / "p.png", mnist), ramp / 255, atol=0.01)
    Image.fromarray(ramp > 100).save(tmp_path / "b.png")
    np.testing.assert_array_equal(read(tmp_path / "b.png", mnist), ramp > 100)


def test_color_is_converted_to_gray_by_luminance(mnist, tmp_path):
    pixels = np.zeros((28, 28, 3), np.uint8)
    pixels[10:12, 10:14], pixels[12:14, 10:14] = (255, 0, 0), (0, 255, 0)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    found = read(tmp_path / "x.png", mnist)
    np.testing.assert_allclose(found[[10, 12], 10], [0.299, 0.587], atol=1e-6)


@pytest.mark.parametrize(("ink", "ground"), [(0, 1), (255, 0)])
def test_transparent_pixels_contrast_with_visible_ones(mnist, tmp_path, ramp, ink, ground):
    rgba = np.full((28, 28, 4), ink, np.uint8)
    rgba[..., 3] = ramp
    Image.fromarray(rgba).save(tmp_path / "x.png")
    found = cx.read_images([tmp_path / "x.png"], mnist, invert=False)[0, ..., 0]
    assert found[0, 0] == ground
    np.testing.assert_allclose(found, ground + (ink / 255 - ground) * ramp / 255, atol=1e-5)


TURNS = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: np.rot90(stored, 2),
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).swapaxes(0, 1),
    8: np.rot90,
}
"""How what a file holds is turned to be upright, by its EXIF orientation."""


def test_exif_rotation_is_applied(mnist, tmp_path, ramp):
    for orientation, turn in TURNS.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(ramp).save(tmp_path / "x.png", exif=exif)
        np.testing.assert_allclose(read(tmp_path / "x.png", mnist), turn(ramp) / 255, atol=1e-6)


def test_dark_digits_are_inverted_by_default(mnist, tmp_path, ramp):
    Image.fromarray(255 - ramp).save(tmp_path / "x.png")
    batch = cx.read_images([tmp_path / "x.png"], mnist)
    np.testing.assert_allclose(batch[0, ..., 0], ramp / 255, atol=1e-6)
    assert batch.sources[0].inverted
    kept = cx.read_images([tmp_path / "x.png"], mnist, invert=False)
    np.testing.assert_allclose(kept[0, ..., 0], 1 - ramp / 255, atol=1e-6)
    assert not kept.sources[0].inverted


def test_folders_and_globs_are_sorted_and_skip_other_files(tmp_path, ramp):
    (tmp_path / "deep").mkdir()
    for name in ("b.png", "a.PNG", "deep/c.png"):
        Image.fromarray(ramp).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    assert find([tmp_path]) == [str(tmp_path / name) for name in ("a.PNG", "b.png", "deep/c.png")]
    assert find([f"{tmp_path}/**/*.png"]) == [str(tmp_path / "b.png"), str(tmp_path / "deep/c.png")]


def test_files_take_precedence_over_samples(tmp_path, monkeypatch):
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
def test_missing_images_suggest_existing_ones(tmp_path, monkeypatch, digit_file, name, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=name.replace("*", r"\*")) as error:
        find([name])
    assert words in str(error.value)


def test_other_exif_tags_are_ignored(mnist, tmp_path, ramp):
    exif = Image.Exif()
    exif[0x0112], exif[0x0128] = 3, 7
    # The resolution unit as a LONG of more than Pillow would write again.
    data = exif.tobytes().replace(
        b"\x28\x01\x03\x00\x01\x00\x00\x00\x07\x00\x00\x00", struct.pack("<HHII", 0x0128, 4, 1, 70_000)
    )
    data = data.replace(b"\x01\x28\x00\x03\x00\x00\x00\x01\x00\x07\x00\x00", struct.pack(">HHII", 0x0128, 4, 1, 70_000))
    assert struct.pack(">I", 70_000) in data or struct.pack("<I", 70_000) in data
    Image.fromarray(ramp).save(tmp_path / "x.png", exif=data)
    np.testing.assert_allclose(read(tmp_path / "x.png", mnist), np.rot90(ramp, 2) / 255, atol=1e-6)


def test_a_blank_page_is_refused(mnist, tmp_path):
    page = np.linspace(200, 190, 90_000).reshape(300, 300).astype(np.uint8)
    Image.fromarray(page).save(tmp_path / "page.png")
    with pytest.raises(ImageError, match="shows only background: there is no digit to explain"):
        cx.read_images([tmp_path / "page.png"], mnist)


def test_names_that_are_too_long_or_empty_are_refused():
    with pytest.raises(UsageError, match="File name too long"):
        find(["x" * 300 + ".png"])
    with pytest.raises(UsageError, match="empty name"):
        find([""])


def test_image_batches_are_read_only(mnist):
    batch = cx.read_images(["mnist:test/0"], mnist)
    with pytest.raises(ValueError, match="read-only"):
        batch *= 0
    assert batch[:, :14].sources == ()


def test_masked_arrays_become_plain_arrays(mnist):
    batch = cx.read_images(["mnist:test/0", "mnist:test/1"], mnist)
    assert batch[batch > 0.5].sources == ()
    assert (batch[batch > 0.5] > 0.5).all()
    assert batch[np.array([False, True])].sources == batch.sources[1:]


@pytest.fixture(scope="module")
def photograph():
    """1,000×700 pixels with detail of every size."""
    random = np.random.default_rng(0)
    layers = [
        Image.fromarray(random.integers(0, 256, (side, side, 3), np.uint8)).resize((1000, 700), Image.Resampling.BICUBIC)
        for side in (3, 10, 30, 100, 300)
    ]
    return np.mean([np.asarray(layer, np.float32) for layer in layers], axis=0).astype(np.uint8)


@pytest.fixture(scope="module")
def palette(photograph):
    """The photograph in 64 colors."""
    return Image.fromarray(photograph).quantize(64, dither=Image.Dither.NONE)


SHARP = {"height": 30, "width": 40}


@pytest.mark.parametrize(
    "preprocess",
    [
        Preprocess(**SHARP),
        Preprocess(**SHARP, fit="crop", crop=0.875),
        Preprocess(**SHARP, fit="pad"),
        Preprocess(**SHARP, color="gray", interpolation="bicubic"),
    ],
)
@pytest.mark.parametrize(
    "kind", ["png", "jpg", "turned.jpg", "alpha.png", "deep.png", "deep.tiff", "real.tiff", "palette.png"]
)
def test_large_photographs_are_read_like_small_ones(tmp_path, photograph, palette, preprocess, kind, monkeypatch):
    path, options = tmp_path / f"x.{kind}", {}
    picture = Image.fromarray(photograph)
    if kind == "turned.jpg":
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = 6
    elif kind == "alpha.png":
        picture.putalpha(picture.getchannel(1))
    elif kind.startswith("deep"):
        picture = Image.fromarray(photograph[..., 0].astype(np.uint16) * 257)
    elif kind == "real.tiff":
        picture = Image.fromarray(photograph[..., 0].astype(np.float32) / 255)
    elif kind == "palette.png":
        picture = palette
    picture.save(path, **options, compress_level=1)
    whole, source = images.read(str(path), preprocess, None)
    assert source.resized
    sizes = []
    apply = Preprocess.apply
    monkeypatch.setattr(decode, "LARGE", 20_000)
    monkeypatch.setattr(
        Preprocess, "apply", lambda self, found, *rest: sizes.append(found.shape) or apply(self, found, *rest)
    )
    shrunk, again = images.read(str(path), preprocess, None)
    assert again == source
    assert sizes[0][0] * sizes[0][1] < 20_000
    least = 1 if preprocess.fit == "pad" else 2
    assert sizes[0][0] >= least * 30
    assert sizes[0][1] >= least * 40
    assert np.abs(whole - shrunk).max() <= 0.03
    assert np.abs(whole - shrunk).mean() <= 0.005


def test_large_photographs_of_digits_are_read_like_small_ones(mnist, tmp_path, ramp, monkeypatch):
    Image.fromarray(255 - ramp).resize((1100, 1100), Image.Resampling.BILINEAR).save(tmp_path / "x.png", compress_level=1)
    monkeypatch.setattr(decode, "LARGE", 290_000)
    shrunk = cx.read_images(tmp_path / "x.png", mnist)
    monkeypatch.setattr(decode, "LARGE", 10**9)
    whole = cx.read_images(tmp_path / "x.png", mnist)
    assert shrunk.sources == whole.sources
    assert shrunk.sources[0].inverted
    np.testing.assert_allclose(shrunk, whole, atol=0.02)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_large_photographs_follow_their_orientation(tmp_path, photograph, monkeypatch, suffix):
    preprocess = Preprocess(**SHARP, fit="crop")
    monkeypatch.setattr(decode, "LARGE", 20_000)
    for orientation, turn in TURNS.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(photograph).save(tmp_path / f"x.{suffix}", exif=exif, compress_level=1)
        upright, _ = preprocess.apply(turn(photograph).astype(np.float32) / 255)
        found, _ = images.read(str(tmp_path / f"x.{suffix}"), preprocess, None)
        np.testing.assert_allclose(found, upright, atol=0.04)


def test_edges_are_not_shifted(tmp_path, monkeypatch):
    """A side that no factor divides: lines at known places are found there to a tenth of a pixel."""
    pixels = np.zeros((1237, 1611), np.uint8)
    pixels[800:] = 255
    pixels[:, 1200:] = 255
    monkeypatch.setattr(decode, "LARGE", 100_000)
    preprocess = Preprocess(30, 40, "gray")
    for suffix in ("png", "jpg"):
        Image.fromarray(pixels).save(tmp_path / f"x.{suffix}")
        found = images.read(str(tmp_path / f"x.{suffix}"), preprocess, None)[0][..., 0]
        assert 30 - found[:, 0].sum() == pytest.approx(800 / 1237 * 30, abs=0.1)
        assert 40 - found[0].sum() == pytest.approx(1200 / 1611 * 40, abs=0.1)


def test_transparent_pixels_are_averaged_as_displayed(tmp_path, monkeypatch):
    """Red that isn't seen is not mixed with what is."""
    rgba = np.zeros((400, 400, 4), np.uint8)
    rgba[::2] = (255, 0, 0, 0)
    rgba[1::2] = (0, 0, 200, 255)
    Image.fromarray(rgba).save(tmp_path / "x.png")
    monkeypatch.setattr(decode, "LARGE", 100_000)
    found = images.read(str(tmp_path / "x.png"), Preprocess(20, 20), None)[0]
    # Half of the light is the white ground's.
    np.testing.assert_allclose(found[5:-5, 5:-5], np.broadcast_to([0.5, 0.5, (200 / 255 + 1) / 2], (10, 10, 3)), atol=0.01)


def test_extremes_of_large_16_bit_images_are_kept(tmp_path, monkeypatch):
    values = np.zeros((400, 400), np.float32)
    values[::20, ::20] = 80
    Image.fromarray(values).save(tmp_path / "x.tiff")
    monkeypatch.setattr(decode, "LARGE", 100_000)
    found = images.read(str(tmp_path / "x.tiff"), Preprocess(20, 20, "gray"), None)[0]
    # The means are below 1, but the whole is on the scale of 255.
    assert found.mean() == pytest.approx(80 / 400 / 255, rel=1e-3)
    values[7, 7] = np.nan
    Image.fromarray(values).save(tmp_path / "x.tiff")
    with pytest.raises(ImageError, match="not finite"):
        images.read(str(tmp_path / "x.tiff"), Preprocess(20, 20, "gray"), None)


def test_nearest_sampling_does_not_average(tmp_path, random, monkeypatch):
    pixels = random.choice(np.array([0, 255], np.uint8), (400, 500))
    monkeypatch.setattr(decode, "LARGE", 20_000)
    for suffix in ("png", "jpg"):
        Image.fromarray(pixels).save(tmp_path / f"x.{suffix}", **({"quality": 100} if suffix == "jpg" else {}))
        found = images.read(str(tmp_path / f"x.{suffix}"), Preprocess(20, 30, "gray", interpolation="nearest"), None)[0]
        assert np.minimum(found, 1 - found).max() < 0.02
        assert 0.3 < found.mean() < 0.7


def test_narrow_images_are_cropped_before_resizing(tmp_path, monkeypatch):
    pixels = np.zeros((40, 20_000), np.uint8)
    pixels[:, 9_980:10_000] = 255
    Image.fromarray(pixels).save(tmp_path / "x.png")
    monkeypatch.setattr(decode, "LARGE", 100_000)
    found, source = images.read(str(tmp_path / "x.png"), Preprocess(20, 20, "gray", fit="crop"), None)
    np.testing.assert_array_equal(found[..., 0].round(), np.repeat([[1, 0]], 10, axis=1).repeat(20, axis=0))
    assert source.resized


@pytest.mark.parametrize(
    ("suffix", "how", "taken"),
    [
        ("webp", {}, 16),
        ("jpg", {"progressive": True, "subsampling": 0}, 6 + 4 / 4),
        ("jpg", {"progressive": True, "subsampling": 2}, 3 + 4 / 4),
        ("png", {}, 4),
        ("tiff", {"compression": "tiff_lzw", "strip_size": 1 << 30}, 4),
    ],
)
def test_oversized_images_are_refused_before_decoding(tmp_path, monkeypatch, suffix, how, taken):
    """By the bytes that a pixel takes: those of the whole decoded, of coefficients, of canvases."""
    photograph = np.zeros((400, 400, 3), np.uint8)
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(photograph).save(path, **how)
    monkeypatch.setattr(decode, "LARGE", 10_000)
    monkeypatch.setattr(tiff_files, "MAX_PIECE", 10_000)
    around = 400 * 8 + (path.stat().st_size if suffix == "tiff" else 0)
    preprocess = Preprocess(48, 48)
    monkeypatch.setattr(decoding_memory, "MEMORY", int(taken * 160_000) + around)
    assert images.read(str(path), preprocess, None)[0].shape == (48, 48, 3)
    monkeypatch.setattr(decoding_memory, "MEMORY", int(0.95 * taken * 160_000))
    with pytest.raises(ImageError, match=r"Decoding the image '.*' of 400×400 pixels takes .*save it as a plain"):
        images.read(str(path), preprocess, None)


def test_single_column_images_are_refused(tmp_path, monkeypatch):
    """Pillow has 8 bytes for each row besides."""
    Image.new("L", (1, 30_000)).save(tmp_path / "x.png")
    monkeypatch.setattr(decode, "LARGE", 10_000)
    monkeypatch.setattr(decoding_memory, "MEMORY", 200_000)
    with pytest.raises(ImageError, match="of 1×30000 pixels"):
        images.read(str(tmp_path / "x.png"), Preprocess(4, 4), None)


@pytest.mark.parametrize("orientation", TURNS)
def test_center_crop_of_rotated_images_is_exact(tmp_path, monkeypatch, orientation):
    """Of 47 rows and 33 columns a model sees 20 and 20 in the middle, which no half pixel divides."""
    stored = np.arange(47 * 33, dtype=np.uint16).reshape(47, 33) * 40
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "x.png", exif=exif)
    preprocess = Preprocess(20, 20, "gray", fit="crop", crop=20 / 33)
    whole = images.read(str(tmp_path / "x.png"), preprocess, None)[0]
    monkeypatch.setattr(decode, "LARGE", 100)
    np.testing.assert_allclose(images.read(str(tmp_path / "x.png"), preprocess, None)[0], whole, atol=1e-6)
    np.testing.assert_allclose(
        whole, preprocess.apply(TURNS[orientation](stored)[..., None] / np.float32(65535))[0], atol=1e-6
    )

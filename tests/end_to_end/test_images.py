"""Images of every kind → the model's input."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnnexplain as cx
from cnnexplain.errors import ImageError, UsageError
from cnnexplain.inputs import datasets


def test_gray_becomes_three_equal_channels(model, tmp_path):
    pixels = np.arange(120, dtype=np.uint8).reshape(12, 10)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    batch = cx.read_images([tmp_path / "x.png"], cx.load(model()))
    assert batch.shape == (1, 12, 10, 3)
    for channel in range(3):
        np.testing.assert_allclose(batch[0, ..., channel], pixels / 255, atol=1e-6)


"""How what a file holds is turned to be upright, by its EXIF orientation."""


def test_photographs_are_not_inverted_by_default(model, tmp_path):
    pixels = np.full((12, 10, 3), 250, np.uint8)
    pixels[5:7] = 10
    Image.fromarray(pixels).save(tmp_path / "x.png")
    clf = cx.load(model())
    np.testing.assert_allclose(cx.read_images([tmp_path / "x.png"], clf)[0], pixels / 255, atol=1e-6)
    np.testing.assert_allclose(cx.read_images([tmp_path / "x.png"], clf, invert=True)[0], 1 - pixels / 255, atol=1e-6)


def test_indexing_images_keeps_their_sources(lenet):
    batch = cx.read_images([f"mnist:test/{i}" for i in range(4)], lenet)
    assert [s.name for s in batch[1:3].sources] == ["mnist:test/1", "mnist:test/2"]
    assert [s.name for s in batch[[3, 0]].sources] == ["mnist:test/3", "mnist:test/0"]
    assert [s.name for s in batch[np.array([True, False, False, True])].sources] == ["mnist:test/0", "mnist:test/3"]
    assert (batch * 0.5).sources == ()
    record = cx.explain("saliency", lenet, batch[2:])
    assert [e.source.name for e in record.explained] == ["mnist:test/2", "mnist:test/3"]


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 1), (1, 28, 28), (1, 28, 28, 1)])
def test_pixel_arrays_are_scaled_and_input_arrays_are_not(lenet, shape):
    pixels = datasets.mnist("test")[0][3].reshape(shape)
    as_pixels = cx.explain("saliency", lenet, pixels)
    as_inputs = cx.explain("saliency", lenet, pixels / 255)
    np.testing.assert_array_equal(as_pixels.images, as_inputs.images)
    assert as_pixels.images.max() <= 1
    assert as_pixels.explained[0].source.name == "array[0]"


def test_one_or_several_paths_are_explained(lenet, digit_file):
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
def test_ambiguous_arrays_are_refused(lenet, array, words):
    with pytest.raises(ImageError, match=words):
        cx.explain("saliency", lenet, array)


def test_an_array_of_the_wrong_shape_is_refused(lenet):
    with pytest.raises(UsageError, match=r"shape \(3, 32, 32\); the model takes \(N, 28, 28, 1\)"):
        cx.explain("saliency", lenet, np.zeros((3, 32, 32)))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells the peak of a process")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "most"),
    [
        ("RGB.jpg", 100),
        ("RGB.png", 450),
        ("RGBA.png", 450),
        ("P.png", 200),
        ("I;16.png", 300),
        ("RGB.bmp", 450),
        ("P.gif", 200),
        ("RGB.tiff", 150),
        ("RGBA.lzw.tiff", 150),
    ],
)
def test_a_hundred_megapixels_are_read_in_bounded_memory(tmp_path, shell, folder, kind, most):
    mode, *_, suffix = kind.split(".")
    small = Image.effect_noise((125, 100), 80)
    deep = Image.fromarray(np.asarray(small, np.uint16) * 257) if mode == "I;16" else small.convert(mode)
    path, how = tmp_path / f"x.{suffix}", {"compress_level": 1} if suffix == "png" else {}
    how |= {"compression": "tiff_lzw"} if "lzw" in kind else {}
    deep.resize((12_500, 8_000), Image.Resampling.NEAREST).save(path, **how)
    done = shell(folder / "tests/programs/image_memory.py", path)
    assert done.returncode == 0, done.stderr
    # What is decoded is there at the peak, unless it is decoded at an eighth of its size, or strip by strip.
    assert (5 if suffix in ("jpg", "tiff") else 90) < float(done.stdout) < most

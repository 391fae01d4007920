"""Files of more than 8 bits: which value is white."""

import numpy as np
import pytest
from files import png, tiff
from PIL import Image

from cnnexplain.errors import ImageError, UsageError
from cnnexplain.inputs import decode, images, large_images
from cnnexplain.inputs.bit_depth import misread
from cnnexplain.inputs.preprocess import Preprocess

both = pytest.mark.usefixtures("small_blocks")


@pytest.fixture(params=[decode.LARGE, 100], ids=["small", "large"])
def small_blocks(request, monkeypatch):
    """Both ways in which images are decoded: as a whole, and in blocks of a few rows as large ones are."""
    monkeypatch.setattr(decode, "LARGE", request.param)
    monkeypatch.setattr(large_images, "BLOCK", 100)


def values(channels, highest=4012, side=24):
    """A smooth picture of 12-bit numbers."""
    ramp = np.linspace(0, 1, side)
    planes = [ramp[:, None] * ramp, ramp[:, None] * ramp[::-1], np.broadcast_to(ramp, (side, side)), np.ones((side, side))]
    return np.round(highest * np.stack(planes[:channels], axis=-1)).astype(np.uint16)


def read(path, color="gray", **said):
    return images.read(str(path), Preprocess(24, 24, color, **said), None)


def write(folder, data, suffix):
    path = folder / f"x.{suffix}"
    path.write_bytes(data)
    return path


GRAY = {
    "gray.png": png,
    "little.tiff": tiff,
    "big.tiff": lambda v: tiff(v, ">"),
    "strips.tiff": lambda v: tiff(v, rows=5),
    "deflated.tiff": lambda v: tiff(v, deflate=True, rows=5),
    "deflated-big.tiff": lambda v: tiff(v, ">", deflate=True, rows=5),
    "tiles.tiff": lambda v: tiff(v, tile=16, deflate=True),
    "signed.tiff": lambda v: tiff(v.astype(np.int16)),
    "long.tiff": lambda v: tiff(v.astype(np.int32)),
    "real.tiff": lambda v: tiff(v.astype(np.float32)),
}

COLORED = {
    "rgb.png": (3, png),
    "rgba.png": (4, png),
    "rgb.tiff": (3, tiff),
    "rgb-big.tiff": (3, lambda v: tiff(v, ">")),
    "rgba.tiff": (4, tiff),
    "deflated.tiff": (3, lambda v: tiff(v, deflate=True, rows=5)),
    "deflated-big.tiff": (3, lambda v: tiff(v, ">", deflate=True, rows=5)),
    "tiles.tiff": (3, lambda v: tiff(v, tile=16, deflate=True)),
}


@both
@pytest.mark.parametrize("kind", GRAY)
def test_twelve_bits_in_16_bit_files_give_a_warning_and_scale_as_declared(tmp_path, kind):
    pixels = values(1)
    path = write(tmp_path, GRAY[kind](pixels), kind)
    dark, source = read(path)
    np.testing.assert_allclose(dark, pixels / 65535, atol=1e-6)
    (warning,) = misread([source])
    assert warning.startswith(f"The highest value of {path} is 4,012, but 65,535 was used as white.")
    assert "If it contains 12-bit data, use --input-white-level 4095 (white_level=4095)." in warning
    right, source = read(path, white_level=4095)
    np.testing.assert_allclose(right, pixels / 4095, atol=1e-6)
    assert not list(misread([source]))


@both
@pytest.mark.parametrize("kind", COLORED)
def test_color_files_of_twelve_bits(tmp_path, kind):
    channels, written = COLORED[kind]
    pixels = values(channels)
    if channels == 4:
        pixels[..., 3] = 65535
    path = write(tmp_path, written(pixels), kind)
    dark, source = read(path, "rgb")
    np.testing.assert_allclose(dark, pixels[..., :3] / 65535, atol=1 / 255)
    (warning,) = misread([source])
    # Of colors the high bytes tell.
    assert "is 4,095, but 65,535 was used as white" in warning
    right, source = read(path, "rgb", white_level=4095)
    np.testing.assert_allclose(right, pixels[..., :3] / 4095, atol=0.51 / 255)
    assert not list(misread([source]))


@both
def test_gray_files_with_alpha(tmp_path):
    pixels = np.concatenate([values(1), np.full((24, 24, 1), 65535, np.uint16)], axis=-1)
    pixels[:12, :, 1] = 0
    path = write(tmp_path, png(pixels), "la.png")
    right, _ = read(path, white_level=4095)
    np.testing.assert_allclose(right[12:], pixels[12:, :, :1] / 4095, atol=0.51 / 255)
    # What is transparent shows the ground.
    assert set(np.unique(right[:11])) <= {0.0, 1.0}


@both
def test_metadata_of_the_file_is_used(tmp_path):
    pixels = values(1)
    for tags in ({"t281": 4095}, {"t341": 4095}, {"t280": 0, "t281": 4095}):
        path = write(tmp_path, tiff(pixels, **tags), "tiff")
        found, source = read(path)
        np.testing.assert_allclose(found, pixels / 4095, atol=1e-6)
        assert not list(misread([source]))
    # The highest value of those that are there says nothing of white, and one that is exceeded is wrong.
    for tags in ({"t281": 4012}, {"t281": 1023}):
        found, source = read(write(tmp_path, tiff(pixels, **tags), "tiff"))
        np.testing.assert_allclose(found, pixels / 65535, atol=1e-6)
        assert list(misread([source]))


@both
def test_twelve_bit_samples_are_scaled_to_their_range(tmp_path):
    pixels = values(1)
    flat = pixels.reshape(-1, 2)
    packed = np.stack([flat[:, 0] >> 4, (flat[:, 0] & 15) << 4 | flat[:, 1] >> 8, flat[:, 1] & 255], axis=-1).astype(
        np.uint8
    )
    whole = tiff(packed.reshape(24, 36, 1), t256=24, t258=12)
    found, source = read(write(tmp_path, whole, "tiff"))
    np.testing.assert_allclose(found, pixels / 4095, atol=1e-6)
    assert not list(misread([source]))


@both
@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_white_is_zero_is_supported(tmp_path, deflate, dtype):
    pixels = values(1, highest=65535).astype(dtype)
    path = write(tmp_path, tiff(pixels, deflate=deflate, rows=5, t262=0), "tiff")
    np.testing.assert_allclose(read(path)[0], 1 - pixels / 65535, atol=1e-6)


@both
@pytest.mark.parametrize(
    ("highest", "bits"), [(200, 8), (255, 8), (256, 10), (1023, 10), (3000, 12), (16000, 14), (20000, 15), (32767, 15)]
)
def test_warnings_name_the_number_of_bits(tmp_path, highest, bits):
    _, source = read(write(tmp_path, png(values(1, highest)), "png"))
    (warning,) = misread([source])
    assert f"{bits}-bit data, use --input-white-level {2**bits - 1} " in warning


@both
def test_planar_16_bit_files_are_right_or_refused(tmp_path):
    """Pillow takes them for planes of 8 bits where they are not compressed."""
    pixels = values(3)
    path = write(tmp_path, tiff(pixels, planar=True, deflate=True), "tiff")
    np.testing.assert_allclose(read(path, "rgb")[0], pixels / 65535, atol=1 / 255)
    with pytest.raises(ImageError, match="save it as 16-bit RGB"):
        read(path, "rgb", white_level=4095)
    for order in "<>":
        with pytest.raises(ImageError, match="separate planes"):
            read(write(tmp_path, tiff(pixels, order, planar=True), "tiff"), "rgb")
    eight = tiff((pixels >> 4).astype(np.uint8), planar=True)
    np.testing.assert_allclose(read(write(tmp_path, eight, "tiff"), "rgb")[0], (pixels >> 4) / 255, atol=1e-6)


@both
def test_full_range_and_dark_images_give_no_warning(tmp_path):
    _, bright = read(write(tmp_path, png(values(1, 40_000)), "png"))
    _, dark = read(write(tmp_path, png(values(1, 3000)), "png"))
    _, real = read(write(tmp_path, tiff(values(1, 3000).astype(np.float32) / 65535), "tiff"))
    assert not list(misread([bright]))
    assert not list(misread([bright, dark]))
    assert not list(misread([real]))
    (warning,) = misread([dark] * 5)
    assert warning.startswith(f"The highest value of {', '.join([dark.name] * 3)} and 2 more is 3,000")
    assert "If they contain 12-bit" in warning


@both
def test_values_above_the_white_level_are_clipped_with_a_warning(tmp_path):
    path = write(tmp_path, png(values(1)), "png")
    found, source = read(path, white_level=1023)
    np.testing.assert_allclose(found, np.minimum(values(1) / 1023, 1), atol=1e-6)
    (warning,) = misread([source])
    assert "has values up to 4,012, above the white level of 1,023" in warning


@both
def test_slightly_exceeding_floats_are_clipped_and_others_refused(tmp_path):
    pixels = values(1, 1).astype(np.float32) * 1.0005
    pixels[0, 0] = -0.0005
    np.testing.assert_allclose(read(write(tmp_path, tiff(pixels), "tiff"))[0], np.clip(pixels, 0, 1), atol=1e-6)
    for wrong in (-0.5, 70_000):
        pixels[0, 0] = wrong
        with pytest.raises(ImageError, match="--input-white-level"):
            read(write(tmp_path, tiff(pixels), "tiff"))
    found, _ = read(write(tmp_path, tiff(pixels), "tiff"), white_level=70_000)
    assert found.max() == 1


@both
def test_floats_up_to_4095_give_a_warning(tmp_path):
    _, source = read(write(tmp_path, tiff(values(1, 2).astype(np.float32)), "tiff"))
    (warning,) = misread([source])
    assert "is 2, but 255 was used as white. If another value is white, use --input-white-level" in warning


@both
def test_eight_bits_do_not_depend_on_the_white_level(tmp_path):
    pixels = (values(1) >> 4).astype(np.uint8)
    Image.fromarray(pixels[..., 0]).save(tmp_path / "x.png")
    np.testing.assert_allclose(read(tmp_path / "x.png", white_level=4095)[0], pixels / 255, atol=1e-6)


@pytest.mark.parametrize("wrong", [0, -1, np.nan, "x", True])
def test_the_white_level_must_be_positive(wrong):
    with pytest.raises(UsageError, match="number above 0 as white_level"):
        Preprocess(2, 2, white_level=wrong)


@pytest.mark.parametrize("channels", [0, 1, 3])
def test_white_level_of_array_files(tmp_path, channels):
    """NumPy's files are read as image files of that many bits are."""
    path = tmp_path / "x.npy"
    deep = values(channels or 1)
    shape = deep.shape if channels else deep.shape[:2]
    for array, said, white in (
        ((deep >> 4).astype(np.uint8), None, 255),
        (deep, 4095, 4095),
        (deep, None, 65535),
        (deep.astype(np.int32), 4095, 4095),
        (deep.astype(np.float64) / 4012, None, 1),
        ((deep >> 4).astype(np.float32) * 255 / 250, None, 255),
        (deep > 2000, None, 1),
    ):
        np.save(path, array.reshape(shape))
        found, source = read(path, "rgb", white_level=said)
        np.testing.assert_allclose(found, np.broadcast_to(array.astype(np.float64) / white, (24, 24, 3)), atol=1e-6)
        assert len(list(misread([source]))) == (white == 65535)
    for wrong in (
        np.zeros(5),
        np.zeros((2, 2, 2)),
        np.zeros((0, 3)),
        np.full((2, 2), np.nan),
        np.full((2, 2), -1),
        deep * 1j,
    ):
        np.save(path, wrong)
        with pytest.raises(ImageError):
            read(path)
    np.save(path, np.array([{}]), allow_pickle=True)
    with pytest.raises(ImageError):
        read(path)

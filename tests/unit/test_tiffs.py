"""TIFF files that are decoded strip by strip: what Pillow decodes of them as a whole."""

import numpy as np
import pytest
from files import tiff
from PIL import Image

from cnnexplain.inputs import decode, images, tiff_files
from cnnexplain.inputs.preprocess import Preprocess

SIZE = (75, 61)


@pytest.fixture
def picture(random):
    return Image.fromarray(random.integers(0, 256, (8, 9, 3), np.uint8)).resize(SIZE, Image.Resampling.BICUBIC)


def parts(path):
    """A file decoded by boxes of odd sizes, and as a whole."""
    with path.open("rb") as file, Image.open(file) as image:
        pieces = tiff_files.strips(image, file)
        assert pieces is not None
        assert pieces.size == (image.tag_v2[256], image.tag_v2[257])
        width, height = pieces.size
        made = Image.new("F" if image.mode.startswith(("I", "F")) else "RGBA", pieces.size)
        for top in range(0, height, 13):
            for left in range(0, width, 40):
                box = (left, top, min(left + 40, width), min(top + 13, height))
                made.paste(pieces.crop(box).convert(made.mode), box[:2])
    with Image.open(path) as whole:
        return np.asarray(made), np.asarray(whole.convert(made.mode))


COMPRESSIONS = [None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"]


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "CMYK", "I;16", "I;16B", "F", "1"])
def test_modes_and_compressions(tmp_path, picture, mode, compression):
    if compression == "jpeg" and mode not in ("L", "RGB", "CMYK"):
        pytest.skip("no JPEG")
    if mode.startswith("I"):
        picture = Image.fromarray(np.asarray(picture.convert("L"), np.uint16) * 257).convert(mode)
    picture.convert(mode).save(tmp_path / "x.tiff", compression=compression, strip_size=10 * SIZE[0])
    found, expected = parts(tmp_path / "x.tiff")
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
def test_fax_compression(tmp_path, picture, compression):
    picture.convert("1").save(tmp_path / "x.tiff", compression=compression)
    found, expected = parts(tmp_path / "x.tiff")
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("how", [{}, {"rows": 7}, {"rows": 7, "deflate": True}, {"tile": 16}, {"tile": 32, "deflate": True}])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_byte_orders_in_strips_and_tiles(tmp_path, random, order, how, channels, dtype):
    pixels = random.integers(0, np.iinfo(dtype).max, (SIZE[1], SIZE[0], channels)).astype(dtype)
    (tmp_path / "x.tiff").write_bytes(tiff(pixels, order, **how))
    found, expected = parts(tmp_path / "x.tiff")
    np.testing.assert_array_equal(found, expected)


def test_planar_files_and_large_strips_are_decoded_at_once(tmp_path, random, monkeypatch):
    pixels = random.integers(0, 256, (SIZE[1], SIZE[0], 3)).astype(np.uint8)
    monkeypatch.setattr(tiff_files, "MAX_PIECE", 1000)
    for data in (tiff(pixels, planar=True, deflate=True), tiff(pixels, deflate=True)):
        (tmp_path / "x.tiff").write_bytes(data)
        with (tmp_path / "x.tiff").open("rb") as file, Image.open(file) as image:
            assert tiff_files.strips(image, file) is None


@pytest.mark.parametrize("limit", [10**9, 100], ids=["small", "large"])
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(tmp_path, picture, orientation, compression, limit, monkeypatch):
    monkeypatch.setattr(decode, "LARGE", limit)
    exif = Image.Exif()
    exif[0x0112] = orientation
    names = []
    for suffix in ("png", "tiff"):
        how = {"compression": compression, "strip_size": 10 * SIZE[0]} if suffix == "tiff" else {}
        names.append(str(tmp_path / f"x.{suffix}"))
        picture.save(names[-1], exif=exif, **how)
    for fit in ("stretch", "crop"):
        one, other = (images.read(name, Preprocess(20, 26, fit=fit), None)[0] for name in names)
        np.testing.assert_allclose(one, other, atol=0.01)

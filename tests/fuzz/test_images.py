"""Generated image files: formats, modes, sizes, damage and names, read in Python and on the command line."""

import io
import resource
import struct
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from campaign import CASES, assert_plain
from files import png, tiff
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image, UnidentifiedImageError

from cnnexplain.errors import CnnExplainError, ImageError
from cnnexplain.inputs import bit_depth, decode, images, large_images
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.loading import loader

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "WEBP": ("RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "GIF": ("1", "L", "P", "RGB", "RGBA"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"),
}
COMPRESSIONS = ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits")

SUFFIXES = ("png", "jpg", "JPEG", "jfif", "webp", "bmp", "gif", "tif", "TIFF", "txt", "")

MEMORY = 400 << 20
"""By how many bytes the whole campaign may grow."""

preprocesses = st.builds(
    Preprocess,
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(["rgb", "bgr", "gray"]),
    fit=st.sampled_from(["stretch", "crop", "pad", "digit"]),
    interpolation=st.sampled_from(["bilinear", "bicubic", "nearest"]),
    white_level=st.sampled_from([None, None, 1, 255, 4095, 1e9]),
)


@st.composite
def files(draw):
    """The bytes of an image that Pillow or we write."""
    width, height = draw(st.tuples(st.integers(1, 70), st.integers(1, 70)))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if draw(st.booleans()):
        channels = draw(st.sampled_from([1, 2, 3, 4]))
        kind = draw(st.sampled_from([np.uint8, np.uint16, np.int16, np.int32, np.float32]))
        most = draw(st.sampled_from([1, 255, 4095, 65535]))
        pixels = (random.random((height, width, channels)) * min(most, 2**15 if kind is np.int16 else 2**16)).astype(kind)
        if kind is np.uint16 and draw(st.booleans()):
            return png(pixels)
        how = draw(
            st.fixed_dictionaries(
                {"order": st.sampled_from("<>"), "deflate": st.booleans(), "planar": st.booleans()},
                optional={
                    "rows": st.integers(1, 80),
                    "tile": st.sampled_from([16, 32]),
                    "t262": st.integers(0, 8),
                    "t274": st.integers(0, 9),
                    "t281": st.sampled_from([1, 255, 4095, 65535]),
                },
            )
        )
        return tiff(pixels, **how)
    name = draw(st.sampled_from(list(MODES)))
    mode = draw(st.sampled_from(MODES[name]))
    image = Image.fromarray(random.integers(0, 256, (height, width, 3)).astype(np.uint8))
    image = image.convert("L").convert(mode) if mode in ("I", "F", "I;16") else image.convert(mode)
    options = {"exif": draw(exifs(name))} if name in ("PNG", "JPEG", "WEBP", "TIFF") else {}
    if name == "TIFF":
        options |= {"compression": draw(st.sampled_from(COMPRESSIONS)), "strip_size": draw(st.sampled_from([100, 1 << 16]))}
    if name == "JPEG":
        options |= {"progressive": draw(st.booleans()), "subsampling": draw(st.integers(0, 2))}
    if name in ("GIF", "PNG", "WEBP", "TIFF") and mode not in ("I", "F", "I;16", "LA", "CMYK", "1") and draw(st.booleans()):
        options |= {"save_all": True, "append_images": [image.transpose(Image.Transpose.ROTATE_180)]}
    if mode == "P" and name in ("PNG", "GIF"):
        options |= {"transparency": draw(st.integers(0, 255))}
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


@st.composite
def exifs(draw, name):
    exif = Image.Exif()
    # Of TIFF files the library refuses to write others.
    exif[0x0112] = draw(st.integers(1, 8) if name == "TIFF" else st.integers(0, 9))
    return exif


@st.composite
def damaged(draw, whole):
    """Bytes of a file that are changed, cut, repeated or put in."""
    data = bytearray(draw(whole))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        how = draw(st.sampled_from(["change", "cut", "insert", "zero", "large"]))
        if how == "change":
            data[place : place + 1] = bytes([draw(st.integers(0, 255))])
        elif how == "cut":
            del data[place : place + draw(st.sampled_from([1, 10, 10**6]))]
        elif how == "insert":
            data[place:place] = draw(st.binary(max_size=20))
        else:
            data[place : place + 4] = (b"\0" if how == "zero" else b"\xff") * 4
    # So that a changed byte of a PNG is not just a wrong checksum.
    return mended(bytes(data)) if draw(st.booleans()) else bytes(data)


@contextmanager
def emptied():
    """A folder of a case of its own."""
    with TemporaryDirectory() as folder:
        yield Path(folder)


def mended(data):
    """A PNG with checksums that are right."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        return data
    found, place = data[:8], 8
    while place + 12 <= len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        if length > len(data):
            break
        body = data[place + 4 : place + 8 + length]
        found += data[place : place + 4] + body + struct.pack(">I", zlib.crc32(body))
        place += 12 + length
    return found + data[place:]


def attempted(call):
    """What a call returns; None where it is refused in a line."""
    try:
        return call()
    except CnnExplainError as error:
        text = str(error)
    assert "\n" not in text
    assert len(text) <= 500, text
    return None


def check(path, preprocess):
    """A file is read as numbers in range, or refused in a line; twice to the same."""
    before = path.read_bytes()
    read = attempted(lambda: images.read(str(path), preprocess, None))
    if read is not None:
        found, source = read
        assert found.shape == preprocess.shape
        assert found.dtype == np.float32
        assert found.min() >= preprocess.low - 1e-5
        assert found.max() <= preprocess.high + 1e-5
        for warning in bit_depth.misread([source]):
            assert len(warning) <= 500
        np.testing.assert_array_equal(images.read(str(path), preprocess, None)[0], found)
    assert path.read_bytes() == before


@settings(max_examples=2 * CASES)
@given(data=st.data(), large=st.booleans(), preprocess=preprocesses)
def test_every_file_is_read_or_gives_one_line(data, large, preprocess):
    with pytest.MonkeyPatch.context() as patch:
        if large:
            patch.setattr(decode, "LARGE", 300)
            patch.setattr(large_images, "BLOCK", data.draw(st.sampled_from([64, 1000])))
        with emptied() as folder:
            path = folder / "x.png"
            path.write_bytes(data.draw(damaged(files())))
            check(path, preprocess)


@settings(max_examples=CASES)
@given(
    whole=files(),
    preprocess=preprocesses.filter(lambda each: each.fit in ("stretch", "crop") and each.interpolation != "nearest"),
)
def test_large_files_are_read_like_small_ones(whole, preprocess):
    """In blocks and as a whole a file is refused alike, or nearly the same."""
    with suppress(UnidentifiedImageError), Image.open(io.BytesIO(whole)) as image:
        # On which ground what is transparent is shown may turn on a hair.
        assume(not image.has_transparency_data)
    with emptied() as folder, pytest.MonkeyPatch.context() as patch:
        path = folder / "x.tiff"
        path.write_bytes(whole)
        found = []
        for limit in (10**9, 1):
            patch.setattr(decode, "LARGE", limit)
            patch.setattr(large_images, "BLOCK", 97)
            try:
                found.append(images.read(str(path), preprocess, False)[0] / (preprocess.high - preprocess.low))
            except ImageError as error:
                found.append(str(error))
        if isinstance(found[0], str):
            assert found[0] == found[1]
        else:
            # A picture of noise is made smaller in two steps instead of one; where it isn't made smaller, nothing differs.
            assert abs(found[0].mean() - found[1].mean()) <= 0.1


def test_formats_follow_the_bytes_and_huge_sizes_are_refused(tmp_path):
    """Sizes in headers that nothing follows are refused before the memory is taken."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    huge = [
        png(np.zeros((1, 1, 1), np.uint16))[:16] + struct.pack(">II", side, other) + bytes(40)
        for side, other in ((10_000, 10_000), (65_535, 65_535), (2**31 - 1, 1), (1, 100_000_000))
    ]
    huge.append(tiff(np.zeros((1, 1, 1), np.uint8), t256=10_000, t257=10_000))
    huge.append(b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + bytes(40))
    huge.append(b"BM" + struct.pack("<IHHIIiiHHII", 100, 0, 0, 54, 40, 10_000, 10_000, 1, 24, 0, 0) + bytes(40))
    for number, data in enumerate(huge):
        path = tmp_path / f"{number}.png"
        path.write_bytes(data)
        with pytest.raises(ImageError):
            images.read(str(path), Preprocess(8, 8), None)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < MEMORY


NAMES = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=40)


def test_files_with_any_name_in_any_folder(cli, tmp_path, lenet, monkeypatch):
    monkeypatch.setattr(loader, "load", lambda *_, **__: lenet)

    @settings(max_examples=max(1, CASES // 8))
    @given(
        names=st.lists(st.tuples(NAMES, NAMES, st.sampled_from(SUFFIXES)), min_size=1, max_size=3),
        whole=damaged(files()),
        given=st.sampled_from(["file", "folder", "glob", "deep"]),
    )
    def read(names, whole, given):
        with emptied() as folder:
            written = {}
            for directory, name, suffix in names:
                path = folder / directory / f"{name}.{suffix}"
                try:
                    path.parent.mkdir(exist_ok=True)
                    path.write_bytes(whole)
                except OSError:
                    continue
                written[path] = whole
            places = {"folder": folder, "glob": f"{folder}/*/*", "deep": f"{folder}/**/*.png"}
            shown = [places[given]] if given in places else [*written]
            code, out, err = cli("run", "saliency", "--dpi", "20", "--out", tmp_path / "o", "--", *shown)
            assert_plain(code, out + err, codes=(0, 1, 2))
            assert {path: path.read_bytes() for path in written} == written

    read()


@settings(max_examples=CASES)
@given(
    array=st.sampled_from([np.uint8, np.uint16, np.int8, np.int64, np.float16, np.float64, np.bool_, np.complex64, object]),
    shape=st.lists(st.integers(0, 13), max_size=5).map(tuple) | st.just((2, 12, 10, 3)) | st.just((12, 10, 3)),
    highest=st.sampled_from([0, 1, 1.5, 255, 4095, np.nan, np.inf, -1]),
    white_level=st.sampled_from([None, 255, 4095]),
)
def test_arrays_are_accepted_or_give_one_line(array, shape, highest, white_level):
    class Known:
        preprocess = Preprocess(12, 10, white_level=white_level)

    with np.errstate(all="ignore"):
        values = np.full(shape, highest).astype(array)
    batch = attempted(lambda: images.as_batch(values, Known))
    if batch is not None:
        assert batch.shape[1:] == (12, 10, 3)
        assert batch.min() >= -1e-3
        assert batch.max() <= 1 + 1e-3

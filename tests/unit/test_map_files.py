"""Maps of other tools: damaged files, other shapes and other values are refused in one line."""

import io
import zipfile

import numpy as np
import pytest

from cnnexplain.errors import UsageError
from cnnexplain.evaluation import map_files

SHAPE = (2, 4, 3)


def member(array=None, header=None, version=1):
    """The bytes of an array as .npy, or of a header without data."""
    if header is not None:
        text = header.encode().ljust(118) + b"\n"
        return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(2 if version == 1 else 4, "little") + text
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def archive(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name.replace("_npy", ".npy"), data)
    return stream.getvalue()


def damaged():
    """An archive with other bytes in the middle of its compressed data."""
    data = bytearray(archive(maps_npy=member(np.random.default_rng(0).normal(size=SHAPE))))
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(range(190, 254))
    return bytes(data)


def claimed(shape, descr="<f8", version=1):
    return member(header=f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}", version=version)


FILES = {
    "not an array": (".npz", archive(notes=b"hello"), "does not contain an array of numbers: .*magic"),
    "empty": (".npz", archive(maps_npy=b""), "does not contain an array of numbers"),
    "no member": (".npz", archive(), "contains 0 arrays"),
    "huge": (".npz", archive(maps_npy=claimed((10**15,))), r"have the shape \(1000000000000000,\); expected \(2, 4, 3\)"),
    "huge, version 2": (".npz", archive(maps_npy=claimed((10**15,), version=2)), "have the shape"),
    "long texts": (".npz", archive(maps_npy=claimed(SHAPE, "<U99999999")), "are <U99999999; expected real numbers"),
    "without data": (".npz", archive(maps_npy=claimed(SHAPE)), "does not contain an array of numbers"),
    "corrupt": (".npz", damaged(), "does not contain an array of numbers"),
    "huge array": (".npy", claimed((10**15,)), "does not contain an array of numbers"),
    "truncated": (".npy", member(np.ones(SHAPE))[:-9], "does not contain an array of numbers"),
    "text": (".npy", b"hello", "does not contain an array of numbers"),
    "objects": (".npy", claimed(SHAPE, "|O"), "does not contain an array of numbers"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_damaged_file_is_refused_in_one_line(kind, tmp_path):
    suffix, data, words = FILES[kind]
    path = tmp_path / f"maps{suffix}"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=words) as caught:
        map_files.maps("lime", path, *SHAPE[:1], SHAPE[1:])
    assert "\n" not in str(caught.value)


class Tensor:
    def __array__(self, *_, **__):
        raise RuntimeError("call detach() first")


ARRAYS = {
    "ragged": ([[1], [1, 2]], "The maps of 'lime' are not an array of numbers: ValueError: "),
    "a tensor": (Tensor(), "are not an array of numbers: RuntimeError: call detach"),
    "texts": (np.full(SHAPE, "a"), "are <U1; expected real numbers"),
    "complex": (np.ones(SHAPE, complex), "are complex128; expected real numbers"),
    "nothing": (None, "have the shape"),
    "not finite": (np.where(np.arange(24).reshape(SHAPE) == 13, np.nan, 1), "Map 1 of 'lime' contains .* not finite"),
    "huge": (np.full(SHAPE, -1e200), r"Map 0 of 'lime' contains a magnitude of 1e\+200; expected at most 1e\+30\. Divide"),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_other_arrays_are_refused(kind):
    given, words = ARRAYS[kind]
    with pytest.raises(UsageError, match=words):
        map_files.maps("lime", given, *SHAPE[:1], SHAPE[1:])


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.float16, np.float32, np.float64])
def test_maps_are_read_from_arrays_and_files(dtype, tmp_path, random):
    maps = random.integers(0, 2, SHAPE).astype(dtype)
    np.save(tmp_path / "maps.npy", maps[..., None])
    np.savez_compressed(tmp_path / "one.npz", maps)
    np.savez(tmp_path / "named.npz", lime=maps, other=1 - maps.astype(int))
    for given in (maps, maps.tolist(), *(tmp_path / name for name in ("maps.npy", "one.npz", "named.npz"))):
        found = map_files.maps("lime", given, *SHAPE[:1], SHAPE[1:])
        assert found.dtype.kind == "f"
        np.testing.assert_array_equal(found, maps)

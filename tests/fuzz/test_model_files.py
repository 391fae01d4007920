"""Model files from anywhere: changed descriptions, weights, archives and bytes, and files of Keras 2 among them."""

import copy
import io
import json
import resource
import shutil
import zipfile

import h5py
import keras
import pytest
from campaign import assert_plain
from hypothesis import given
from hypothesis import strategies as st
from modelfiles import layer

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

GROWTH = 2 << 20
"""KiB that a case may take: the bombs take more; of a damaged text HDF5 itself takes as much as its length says."""

LOGGER = layer("CSVLogger", "logger", module="keras.callbacks", filename="made.csv")
VALUES = [None, True, -1, 0, 1, 2.5, 10**8, 10**30, 1e308, float("nan"), "", "relu", "x" * 5000, "\0", "a/b", [], [[]], {}]
VALUES += [[10**8, 10**8], [None, 20_000, 20_000, 3], {"class_name": "x"}, {"class_name": 3, "config": []}, LOGGER]
VALUES += [{"class_name": "function", "config": name, "module": home} for name, home in (("eval", "builtins"), ("x", 3))]
VALUES += [{"class_name": "__tensor__", "config": {"value": [1], "dtype": "x"}}]
VALUES += [layer("ZeroPadding2D", "z", padding=9000), layer("UpSampling2D", "u", size=10**6)]
VALUES += [layer("Dense", "d", units=10**9), {"class_name": "Lambda", "config": {}}]


def places(value, path=()):
    """Where something stands in a description."""
    yield path
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(each, (*path, key))


def changed(config, draw):
    """A description with up to three changes."""
    config = copy.deepcopy(config)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([each for each in places(config) if each]))
        *above, key = path
        inner = config
        for each in above:
            inner = inner[each]
        how = draw(st.sampled_from(["replace", "replace", "remove", "repeat"]))
        if how == "replace":
            inner[key] = copy.deepcopy(draw(st.sampled_from(VALUES)))
        elif how == "remove":
            del inner[key]
        elif isinstance(inner, list):
            inner.extend([inner[key]] * draw(st.sampled_from([1, 2, 5000])))
        else:
            inner["novel"] = inner[key]
        if len(list(places(config))) < 2:
            break
    return config


def damaged(data, draw):
    """The bytes of a file with some changed, left out or put in."""
    place = draw(st.integers(0, len(data) - 1))
    length = draw(st.sampled_from([1, 1, 2, 8, 400, len(data)]))
    put = draw(st.sampled_from([b"", b"\0", b"\xff" * 8, b"PK\5\6", b"9" * 20]))
    return data[:place] + put + data[place + (length if draw(st.booleans()) else len(put)) :]


@pytest.fixture(scope="module")
def files(tmp_path_factory, request):
    """The files that are changed, as Keras 3 and Keras 2 wrote them."""
    folder = tmp_path_factory.mktemp("models")
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu", padding="same")(inputs / 127.5 - 1)
    x = keras.layers.Add()([x, keras.layers.BatchNormalization()(x)])
    body = keras.Sequential([keras.Input((8, 8, 4)), keras.layers.DepthwiseConv2D(3), keras.layers.GlobalMaxPooling2D()])
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(keras.layers.Dropout(0.1)(body(x))))
    model.save(folder / "new.keras")
    parts = [keras.layers.Conv2D(4, 3), keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
    keras.Sequential([keras.Input((8, 8, 3)), *parts]).save(folder / "new.h5")
    for name in ("operations.h5", "teachable.h5", "frozen.keras", "sequences.h5"):
        shutil.copy(request.config.rootpath / "tests/keras2" / name, folder)
    return folder


def tried(cli, path, data):
    """Loads a file with the command line, and sees that it fails plainly or not at all."""
    path.write_bytes(data)
    before = set(path.parent.iterdir())
    code, _, err = cli("list", "--classes", "--model", path)
    assert_plain(code, err if code else "")
    assert path.read_bytes() == data
    assert set(path.parent.iterdir()) == before


def rewritten(path, change):
    """The bytes of a model file with another description."""
    if path.suffix == ".h5":
        stored = io.BytesIO(path.read_bytes())
        with h5py.File(stored, "r+") as file:
            file.attrs["model_config"] = json.dumps(change(json.loads(file.attrs["model_config"])))
        return stored.getvalue()
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["config.json"] = json.dumps(change(json.loads(parts["config.json"]))).encode()
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return stored.getvalue()


NAMES = ["new.keras", "new.h5", "operations.h5", "teachable.h5", "frozen.keras", "sequences.h5"]


@given(data=st.data())
def test_changed_configs_load_or_give_one_line(data, files, tmp_path, cli):
    name = data.draw(st.sampled_from(NAMES))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tried(cli, tmp_path / f"net{(files / name).suffix}", rewritten(files / name, lambda config: changed(config, data.draw)))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < GROWTH
    assert not (tmp_path / "made.csv").exists()


@given(data=st.data())
def test_changed_bytes_load_or_give_one_line(data, files, tmp_path, cli):
    name = data.draw(st.sampled_from(NAMES))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tried(cli, tmp_path / f"net{(files / name).suffix}", damaged((files / name).read_bytes(), data.draw))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < GROWTH


STARTS = [b"", b"PK\3\4", b"\x89HDF\r\n\x1a\n", b"\x80\4", b"\0\0\0\0TFL3", b"\x89PNG", b"{", b"\n\3"]
ENDINGS = ["", ".keras", ".h5", ".hdf5", ".pb", ".tflite", ".onnx", ".zip", ".pth", ".KERAS", ".x"]
INSIDE = ["saved_model.pb", "config.json", "model.weights.h5", "x.index", "model.json", "a.keras"]


@given(data=st.data())
def test_any_file_or_folder_gives_one_line(data, tmp_path, cli):
    start = data.draw(st.sampled_from(STARTS))
    ending = data.draw(st.sampled_from(ENDINGS))
    path = tmp_path / f"some{ending}"
    shutil.rmtree(path, ignore_errors=True)
    path.unlink(missing_ok=True)
    if data.draw(st.booleans()):
        path.write_bytes(start + data.draw(st.binary(max_size=200)))
    else:
        path.mkdir()
        for name in data.draw(st.sets(st.sampled_from(INSIDE))):
            (path / name).write_bytes(start)
    code, _, err = cli("list", "--classes", "--model", path)
    assert_plain(code, err, codes=(1, 2))
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()

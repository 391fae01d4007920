"""Sidecars and labels from anywhere."""

import json

import keras
import pytest
from campaign import assert_plain
from hypothesis import given
from hypothesis import strategies as st

from cnnexplain.loading import sidecar

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

NUMBERS = [True, -1, 0, 1, 8192, 10**30, 1e308, float("inf"), float("nan"), [1, 2], [0.5] * 3, [1e308] * 3]
TEXTS = ["", "1/255", "1/0", "rgb", "x" * 5000, "\0", "\ud800", "../labels.txt", "labels.txt", ".", "9" * 5000]
ODD = st.sampled_from([*NUMBERS, *TEXTS, None, [], {}, {"a": 1}, ["a", "b", "c"]])
SIMPLE = ODD | st.integers() | st.floats() | st.text(max_size=8)
VALUE = st.recursive(SIMPLE, lambda inner: st.lists(inner, max_size=4), max_leaves=8)
KEY = st.sampled_from([*sidecar.KEYS, "colur", "Size", "", "x" * 2000])


@pytest.fixture
def net(tmp_path):
    parts = [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
    keras.Sequential(parts).save(tmp_path / "net.keras")
    return tmp_path / "net.keras"


def tried(cli, net, data):
    path = net.with_suffix(".json")
    path.write_bytes(data)
    before = {each: each.read_bytes() for each in net.parent.iterdir() if each.is_file()}
    code, _, err = cli("list", "--classes", "--model", net)
    assert_plain(code, err if code else "")
    assert {each: each.read_bytes() for each in net.parent.iterdir() if each.is_file()} == before


@given(said=st.dictionaries(KEY, VALUE, max_size=4))
def test_changed_sidecars_load_or_give_one_line(said, net, cli):
    tried(cli, net, json.dumps(said).encode())


DEEP = st.sampled_from([b"[" * 100_000, b'{"size":' * 5000, b"9" * 6000, b"\xef\xbb\xbf{}", b"{} {}"])


@given(data=st.binary(max_size=60) | DEEP)
def test_any_sidecar_bytes_load_or_give_one_line(data, net, cli):
    tried(cli, net, data)


@given(data=st.binary(max_size=60) | st.text(max_size=30).map(lambda text: text.encode(errors="ignore")))
def test_any_label_bytes_load_or_give_one_line(data, net, cli):
    (net.parent / "labels.txt").write_bytes(data)
    tried(cli, net, b'{"labels": "labels.txt"}')

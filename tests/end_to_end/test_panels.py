"""The panels of small maps as pages hold them, decoded again, and what is said of a plugin that breaks their contract."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import cnnexplain as cx
from cnnexplain.errors import PluginError
from cnnexplain.numerics.interpolation import averaged
from cnnexplain.plugin import Panel
from cnnexplain.rendering import panels


@pytest.fixture(scope="module")
def record(lenet):
    return cx.explain("saliency", lenet, "mnist:test/42")


def encoded(record, *given):
    return panels.encoded(replace(record, analysis=replace(record.analysis, panels=lambda *_: given)), 0)


def decoded(group):
    """The maps (K, h, w) of a group, as a page reads them from its sprite."""
    data = base64.b64decode(group["sprite"].removeprefix("data:image/webp;base64,"))
    with Image.open(io.BytesIO(data)) as picture:
        levels = np.asarray(picture.convert("L"), float)
    height, width = group["height"], group["width"]
    maps = levels.reshape(levels.shape[0] // height, height, group["columns"], width).swapaxes(1, 2)
    maps = maps.reshape(-1, height, width)[: group["count"]]
    low, high = (np.array(group[end])[:, None, None] for end in ("low", "high"))
    return low + maps / panels.LEVELS * (high - low)


def test_panel_maps_are_quantized_within_tolerance(record, random):
    maps = random.normal(0, [[[1.0]], [[100.0]], [[0.0]], [[5.0]], [[0.01]]], (5, 7, 9)).astype(np.float32)
    names = ["a", "b", "c", "d", "e"]
    values, field = [1, 2, 3.00004, 4, -5], [[0, 1, 5], [-2, 3, 7]]
    (found,) = encoded(record, Panel("five", maps, names, "volts", values, "logits", 3, field))
    read = np.concatenate([decoded(group) for group in found["groups"]])
    assert [group["count"] for group in found["groups"]] == [3, 2]
    for one, wanted in zip(read, maps, strict=True):
        np.testing.assert_allclose(one, wanted, atol=np.ptp(wanted) / panels.LEVELS / 1.9 + 1e-9)
    assert (found["names"], found["unit"], found["valueUnit"]) == (names, "volts", "logits")
    assert (found["values"], found["field"]) == ([1, 2, 3, 4, -5], field)
    assert (found["signed"], found["height"], found["width"]) == (True, 7, 9)
    assert found["limit"] == pytest.approx(np.percentile(np.abs(maps), 99.5), rel=1e-3)


def test_large_maps_are_averaged_over_blocks():
    maps = np.arange(2 * 5 * 7, dtype=np.float32).reshape(2, 5, 7)
    found = averaged(maps, 3)
    assert found.shape == (2, 2, 3)
    for number in range(2):
        for row in range(2):
            for column in range(3):
                block = maps[number, 3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
                assert found[number, row, column] == pytest.approx(block.mean())
    np.testing.assert_array_equal(averaged(maps, 1), maps)


def test_a_page_keeps_few_pixels_of_large_maps(record, random):
    maps = random.uniform(0, 1, (30, 112, 90)).astype(np.float32)
    (found,) = encoded(record, Panel("large", maps, [str(k) for k in range(30)], "activation", shown=10))
    large, small = found["groups"]
    assert (large["block"], large["height"], large["width"]) == (3, 38, 30)
    assert (small["block"], small["height"], small["width"]) == (6, 19, 15)
    np.testing.assert_allclose(decoded(large), averaged(maps[:10], 3), atol=1 / panels.LEVELS)
    assert found["signed"] is False
    assert len(large["sprite"]) < 15_000


def test_an_analysis_without_panels_has_none(record):
    assert panels.encoded(record, 0) == []


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        (Panel("p", np.zeros((2, 3, 3), np.float32), ["a"], "u"), "1 names and 1 values for maps of shape"),
        (Panel("p", np.zeros((3, 3), np.float32), ["a", "b", "c"], "u"), r"maps of shape \(3, 3\) in 'p'"),
        (Panel("p", np.zeros((1, 3, 3), np.float32), ["a"], "u", [1, 2]), "1 names and 2 values"),
        (Panel("p", np.full((1, 3, 3), np.nan, np.float32), ["a"], "u"), "of finite numbers"),
        (Panel("p", np.zeros((0, 3, 3), np.float32), [], "u"), "0 names"),
        ("a panel", "expected a list of Panel"),
    ],
)
def test_broken_panels_are_reported_by_the_analysis_name(record, given, cause):
    with pytest.raises(PluginError, match=rf"panels\(\) of 'saliency' .*{cause}"):
        encoded(record, given)


def test_an_exception_in_panels_is_reported_with_its_cause(record):
    def broken(record, index):
        raise KeyError("maps")

    with pytest.raises(PluginError, match=r"panels\(\) of 'saliency' failed: KeyError: 'maps'"):
        panels.encoded(replace(record, analysis=replace(record.analysis, panels=broken)), 0)

"""Small pictures of images, with what was found over them, on sheets."""

import numpy as np
import pages
import pytest
from PIL import Image

from cnnexplain import draw
from cnnexplain.errors import PluginError
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.rendering import thumbnails
from cnnexplain.results import index_files


def cells(folder, written, count):
    """Each image's cell, (H, W, 3)."""
    height, width, columns = written["height"], written["width"], written["columns"]
    found = []
    for number in range(count):
        sheet = np.asarray(Image.open(folder / written["files"][number // thumbnails.EACH]).convert("RGB"))
        row, column = divmod(number % thumbnails.EACH, columns)
        found.append(sheet[row * height : (row + 1) * height, column * width : (column + 1) * width])
    return found


def test_thumbnails_are_at_their_place_with_overlay(tmp_path, monkeypatch):
    monkeypatch.setattr(thumbnails, "EACH", 4)
    record = pages.record([f"{number}.png" for number in range(7)])
    written = index_files.write_thumbnails(record, tmp_path, "small")
    assert written == {"files": ["small.webp", "small-2.webp"], "height": pages.HEIGHT, "width": pages.WIDTH, "columns": 2}
    for number, cell in enumerate(cells(tmp_path, written, 7)):
        values = record.arrays["signed_map"][number]
        expected = draw.overlay_rgb(record, number, values, limit=draw.percentile_limit(values), signed=True)
        np.testing.assert_array_equal(cell, np.round(255 * expected).astype(np.uint8))


def test_thumbnails_without_maps_are_the_reduced_images(tmp_path):
    images = np.zeros((2, 300, 600, 3), np.float32)
    images[1, :, 300:, 1] = 1
    record = pages.record(
        ["one.png", "two.png"],
        made=pages.analysis(maps={}),
        images=images,
        preprocess=Preprocess(300, 600, "rgb"),
        arrays={"other": np.zeros((2, 3), np.float32)},
    )
    written = index_files.write_thumbnails(record, tmp_path, "small")
    assert (written["height"], written["width"]) == (64, 128)
    black, half = cells(tmp_path, written, 2)
    assert black.max() < 10
    assert half[:, :60].max() < 40
    assert np.abs(half[:, 70:].astype(int) - [0, 255, 0]).max() < 40


def test_overlays_are_checked(tmp_path):
    bent = pages.analysis(overlay=lambda record, index: np.zeros((2, 2)))
    with pytest.raises(PluginError, match=r"overlay\(\) of 'made-map' returned float64 of shape \(2, 2\); expected an"):
        index_files.write_thumbnails(pages.record(made=bent), tmp_path, "small")
    endless = pages.analysis(overlay=lambda record, index: range(10**9))
    with pytest.raises(PluginError, match=r"overlay\(\) of 'made-map' returned range\(0, 1000000000\); expected an array"):
        index_files.write_thumbnails(pages.record(made=endless), tmp_path, "small")
    failing = pages.analysis(overlay=lambda record, index: record.arrays["nothing"])
    with pytest.raises(PluginError, match=r"overlay\(\) of 'made-map' failed: KeyError"):
        index_files.write_thumbnails(pages.record(made=failing), tmp_path, "small")

"""The vocabulary of the pictures."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

import cnnexplain as cx
from cnnexplain import draw


@pytest.fixture(scope="module")
def record(lenet):
    return cx.explain("saliency", lenet, "mnist:test/42")


def test_tiles_stand_in_reading_order_with_lines_between_them(random):
    maps = random.normal(size=(5, 3, 4))
    grid = draw.tiles(maps, 2)
    assert grid.shape == (3 * 3 + 2, 2 * 4 + 1)
    for number, each in enumerate(maps):
        row, column = number // 2 * 4, number % 2 * 5
        np.testing.assert_array_equal(grid[row : row + 3, column : column + 4], each.astype(np.float32))
    assert np.isnan(grid[3]).all()
    assert np.isnan(grid[:, 4]).all()
    assert np.isnan(grid[8:, 5:]).all()
    colours = draw.tiles(np.zeros((3, 64, 64, 3)), 3, gap=1)
    assert colours.shape == (64, 3 * 64 + 2 * 2, 3)
    assert colours[:, 64:66].min() == 1
    assert colours.sum() == 64 * 4 * 3


def test_signed_maps_are_white_at_zero_and_signals_too(record):
    figure, (panel,) = draw.row(1, record, bars=[0])
    draw.signed(panel, np.array([[-1.0, 0, 0.5]]), "logits")
    assert panel.images[0].get_clim() == (-1, 1)
    assert figure.axes[1].get_ylabel() == "logits"
    colours = draw.signal(np.array([[-1.0], [0], [1]]), 1)
    assert colours[1].min() > 0.96
    assert colours[0, 2] > colours[0, 0]
    assert colours[2, 0] > colours[2, 2]
    np.testing.assert_allclose(draw.signal(np.array([[-1.0, 0, 3]]), 1), [[0, 0.5, 1]])


def test_maps_of_zeros_draw_without_nan(record):
    figure, (left, right) = draw.row(2, record, bars=[0, 1])
    draw.signed(left, np.zeros((3, 3)), "u")
    draw.unsigned(right, np.zeros((3, 3)), "u")
    figure.canvas.draw()
    assert left.images[0].get_clim() == (-1, 1)
    assert right.images[0].get_clim() == (0, 1)


def test_the_note_stands_under_the_panels_and_makes_room_for_itself(record):
    note = "One sentence that is long enough to need a second line, since the sheet is only five inches wide. " * 2
    noted = replace(record, analysis=replace(record.analysis, note=note.strip()))
    bare = replace(record, analysis=replace(record.analysis, note=""))
    plain, figure = draw.sheet(bare, 5, 2), draw.sheet(noted, 5, 2)
    words = figure.texts[0].get_text()
    assert words.replace("\n", " ") == note.strip()
    assert words.count("\n") >= 2
    assert figure.get_figheight() > plain.get_figheight()
    panel = draw.panel(figure, 0, 0, 5, 2)
    renderer = FigureCanvasAgg(figure).get_renderer()
    box = figure.texts[0].get_window_extent(renderer)
    assert box.y1 < panel.get_window_extent(renderer).y0
    assert box.x0 > 0
    assert box.x1 < figure.bbox.x1
    assert box.y0 > 0

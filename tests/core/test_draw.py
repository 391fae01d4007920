"""The vocabulary of the pictures."""

from dataclasses import replace

import numpy as np
import pictures
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

import cnnexplain as cx
from cnnexplain import draw
from cnnexplain.preprocess import Preprocess


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


def test_a_map_with_extreme_pixels_is_drawn_to_a_high_percentile_and_the_bar_tells_what_lies_beyond(record):
    values = np.arange(1000, dtype=np.float64).reshape(25, 40)
    values.flat[-1] = 1e6
    # Of a thousand values from 0, the 99.5th percentile lies at place 0.995 · 999.
    assert draw.ceiling(values) == pytest.approx(994.005)
    assert draw.ceiling(-values) == draw.ceiling(values)
    figure, (left, middle, right) = draw.row(3, record, bars=[0, 1, 2])
    draw.unsigned(left, values, "u", limit=draw.ceiling(values))
    draw.signed(middle, -values, "u", limit=draw.ceiling(values))
    draw.unsigned(right, values, "u")
    assert [panel.images[0].get_clim() for panel in (left, middle, right)] == [
        (0, pytest.approx(994.005)),
        (pytest.approx(-994.005), pytest.approx(994.005)),
        (0, 1e6),
    ]
    bars = figure.axes[3:]
    assert [bar.get_ylabel() for bar in bars] == ["u\n0.5% beyond", "u\n0.5% beyond", "u"]
    assert not pictures.overlapping(figure)
    assert [panel.images[0].colorbar.extend for panel in (left, middle, right)] == ["max", "both", "neither"]
    # What stands beside a bar does not reach the next panel.
    for bar, panel in zip(bars, (middle, right), strict=False):
        assert bar.get_tightbbox().x1 < panel.get_window_extent().x0


def test_a_map_that_is_nearly_all_zero_or_constant_has_a_scale_all_the_same():
    values = np.zeros((40, 40))
    assert draw.ceiling(values) == 1
    values[3, 3] = -5
    assert draw.ceiling(values) == 5
    assert draw.ceiling(np.full((1, 1), 2.0)) == 2
    assert draw.ceiling(np.array([[1.0, np.nan]])) == pytest.approx(1)


def test_smoothing_spreads_a_pixel_as_a_gaussian_and_leaves_small_and_constant_maps():
    values = np.zeros((150, 100))
    values[70, 40] = 1
    smooth = draw.smoothed(values)
    assert smooth.sum() == pytest.approx(1, rel=1e-4)
    rows, columns = np.mgrid[:150, :100]
    # The longer side's 150 pixels by 75 are a standard deviation of 2, along both axes.
    assert (smooth * (rows - 70) ** 2).sum() == pytest.approx(4, rel=0.01)
    assert (smooth * (columns - 40) ** 2).sum() == pytest.approx(4, rel=0.01)
    np.testing.assert_allclose(draw.smoothed(np.ones((150, 100))), 1, rtol=1e-6)
    small = np.eye(28)
    assert draw.smoothed(small) is small


def test_an_overlay_is_the_image_in_grey_where_the_map_is_zero_and_its_colour_at_the_limit(record):
    values = np.zeros((28, 28))
    values[0, 0], values[0, 1] = 3, 2
    _, (panel,) = draw.row(1, record)
    draw.overlay(panel, record, 0, values, limit=2)
    pixels = panel.images[0].get_array()
    brightest = [0.988362, 0.998364, 0.644924]
    np.testing.assert_allclose(pixels[0, :2], [brightest, brightest], atol=1e-5)
    np.testing.assert_allclose(pixels[1:], np.repeat(draw.shown(record, record.images[0])[1:], 3, axis=-1), atol=1e-6)


LABELS = ("tabby, tabby cat", "crane", "crane, bird", "lynx, catamount", "tench", ", odd", "", *"abc")


@pytest.mark.parametrize(
    ("index", "name"), [(0, "tabby"), (1, "crane"), (2, "crane, bird"), (3, "lynx"), (4, "tench"), (5, ", odd"), (6, "")]
)
def test_a_class_is_called_by_its_first_name_where_no_other_is(record, index, name):
    assert draw.name(replace(record, labels=LABELS), index) == name


def test_names_in_an_objective_and_of_a_source(record):
    named = replace(record, labels=LABELS)
    assert draw.named(named, "tabby, tabby cat − lynx, catamount") == "tabby − lynx"
    assert draw.named(named, "−0.5 · tabby, tabby cat + tench") == "−0.5 · tabby + tench"
    assert draw.named(named, "conv2:3") == "conv2:3"
    assert draw.source("mnist:test/42") == "mnist:test/42"
    assert draw.source("/home/someone/pictures/cat.jpg") == "cat.jpg"
    assert draw.source("array[3]") == "array[3]"


@pytest.mark.parametrize("tail", [False, True])
def test_text_is_cut_to_the_inches_that_it_has(tail):
    text = "wide W and narrow i " * 8
    cut = draw.fit(text, 2, 9, tail=tail)
    assert 1.8 < draw.text_width(cut, 9) <= 2
    assert cut.strip("…") in text
    assert (cut[-1] if not tail else cut[0]) == "…"
    assert draw.fit("short", 2, 9) == "short"
    assert draw.fit("short", 0, 9) == "…"


def test_long_names_stay_within_the_figure_and_off_each_other(record):
    """Labels, a file and a target of many wide letters, over the narrowest sheet."""
    long = "W" * 300
    first = replace(record.explained[0], source=replace(record.explained[0].source, name=f"/folder/{long}.jpg"), target=1)
    hostile = replace(record, labels=tuple(f"{long} {i}" for i in range(10)), explained=(first,))
    figure, panels = draw.row(2, hostile)
    for panel in panels:
        draw.image(panel, hostile, 0)
        draw.title(panel, long)
        draw.below(panel, long)
    draw.caption(figure, hostile, 0)
    assert figure.get_suptitle().count("(") == 2
    assert not pictures.overlapping(figure)


@pytest.mark.parametrize("shape", [(4, 80, 3), (80, 4, 1), (1, 1, 1), (30, 40, 3)])
def test_images_of_any_shape_have_their_words_inside_the_figure_and_apart(record, random, shape):
    preprocess = Preprocess(*shape[:2], "grey" if shape[2] == 1 else "rgb")
    saliency = random.lognormal(-6, 2, (1, *shape[:2])).astype(np.float32)
    images = random.uniform(0, 1, (1, *shape)).astype(np.float32)
    for options in ({"crops": "one"}, {"crops": "ten"}):
        made = replace(record, preprocess=preprocess, images=images, arrays={"saliency": saliency}, options=options)
        assert not pictures.overlapping(made.figure(0))


def test_maps_of_zeros_draw_without_nan(record):
    figure, (left, right) = draw.row(2, record, bars=[0, 1])
    draw.signed(left, np.zeros((3, 3)), "u")
    draw.unsigned(right, np.zeros((3, 3)), "u")
    assert not pictures.overlapping(figure)
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

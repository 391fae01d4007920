"""The vocabulary of the pictures."""

import inspect
import re
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pictures
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from cnnexplain import draw
from cnnexplain.errors import UsageError
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.matplotlib_settings import drawing
from cnnexplain.results.record import Record


def test_plugins_use_only_documented_names(folder):
    for name in draw.__all__:
        value = getattr(draw, name)
        assert isinstance(value, int | float | str | draw.Palette | draw.Style) or inspect.getdoc(value), name
    files = [*(folder / "plugins").rglob("*.py"), *(folder / "examples").rglob("*.py"), *(folder / "docs").rglob("*.py")]
    used = {name for file in files for name in re.findall(r"\bdraw\.([A-Za-z_]+)", file.read_text())}
    assert len(used) > 20
    assert used <= {*draw.__all__}


@pytest.fixture(scope="module")
def record():
    """The saliency of one digit."""
    return Record.load(Path(__file__).parent.parent / "earlier/saliency")


def test_tiles_are_in_reading_order_with_separators(random):
    maps = random.normal(size=(5, 3, 4))
    grid = draw.tiles(maps, 2)
    assert grid.shape == (3 * 3 + 2, 2 * 4 + 1)
    for number, each in enumerate(maps):
        row, column = number // 2 * 4, number % 2 * 5
        np.testing.assert_array_equal(grid[row : row + 3, column : column + 4], each.astype(np.float32))
    assert np.isnan(grid[3]).all()
    assert np.isnan(grid[:, 4]).all()
    assert np.isnan(grid[8:, 5:]).all()
    colors = draw.tiles(np.zeros((3, 64, 64, 3)), 3, gap=1)
    assert colors.shape == (64, 3 * 64 + 2 * 2, 3)
    assert colors[:, 64:66].min() == 1
    assert colors.sum() == 64 * 4 * 3


def test_signed_maps_and_signals_are_white_at_zero(record):
    figure, (panel,) = draw.row(1, record, bars=[0])
    draw.signed_map(panel, np.array([[-1.0, 0, 0.5]]), "logits")
    assert panel.images[0].get_clim() == (-1, 1)
    assert figure.axes[1].get_ylabel() == "logits"
    colors = draw.signed_rgb(np.array([[-1.0], [0], [1]]), 1)
    assert colors[1].min() > 0.96
    assert colors[0, 2] > colors[0, 0]
    assert colors[2, 0] > colors[2, 2]
    np.testing.assert_allclose(draw.signed_rgb(np.array([[-1.0, 0, 3]]), 1), [[0, 0.5, 1]])


def test_outliers_are_clipped_at_a_percentile_and_shown_on_the_color_bar(record):
    values = np.arange(1000, dtype=np.float64).reshape(25, 40)
    values.flat[-1] = 1e6
    # Of a thousand values from 0, the 99.5th percentile lies at place 0.995 · 999.
    assert draw.percentile_limit(values) == pytest.approx(994.005)
    assert draw.percentile_limit(-values) == draw.percentile_limit(values)
    figure, (left, middle, right) = draw.row(3, record, bars=[0, 1, 2])
    draw.unsigned_map(left, values, "u", limit=draw.percentile_limit(values))
    draw.signed_map(middle, -values, "u", limit=draw.percentile_limit(values))
    draw.unsigned_map(right, values, "u")
    assert [panel.images[0].get_clim() for panel in (left, middle, right)] == [
        (0, pytest.approx(994.005)),
        (pytest.approx(-994.005), pytest.approx(994.005)),
        (0, 1e6),
    ]
    bars = figure.axes[3:]
    assert [bar.get_ylabel() for bar in bars] == ["u\n0.5% clipped", "u\n0.5% clipped", "u"]
    assert not pictures.overlapping(figure)
    assert [panel.images[0].colorbar.extend for panel in (left, middle, right)] == ["max", "both", "neither"]
    # What stands beside a bar does not reach the next panel.
    for bar, panel in zip(bars, (middle, right), strict=False):
        assert bar.get_tightbbox().x1 < panel.get_window_extent().x0


def test_sparse_and_constant_maps_have_a_scale():
    values = np.zeros((40, 40))
    assert draw.percentile_limit(values) == 1
    values[3, 3] = -5
    assert draw.percentile_limit(values) == 5
    assert draw.percentile_limit(np.full((1, 1), 2.0)) == 2
    assert draw.percentile_limit(np.array([[1.0, np.nan]])) == pytest.approx(1)


def test_smoothing_is_gaussian_and_keeps_small_and_constant_maps():
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


@pytest.fixture
def photograph(record, random):
    """A record of one image in color, of 6×8 pixels, and the image."""
    preprocess = Preprocess(6, 8)
    image = random.uniform(0, 1, (6, 8, 3)).astype(np.float32)
    return replace(record, preprocess=preprocess, images=image[None]), image


@pytest.mark.parametrize("signed", [False, True])
def test_overlay_is_transparent_near_zero_and_opaque_at_large_values(photograph, signed):
    record, image = photograph
    values = np.linspace(-1.2 if signed else 0, 1.2, 48).reshape(6, 8)
    found = draw.overlay_rgb(record, 0, values, limit=1, signed=signed)
    colors = mpl.colormaps["RdBu_r" if signed else "viridis"]
    for place, value in np.ndenumerate(values):
        strength = min(abs(value), 1.0)
        opacity = 0.9 * strength**2 * (3 - 2 * strength)
        shown = colors(0.5 + np.sign(value) * (0.15 + 0.25 * strength) if signed else strength)[:3]
        # The colors come in 256 steps.
        np.testing.assert_allclose(found[place], image[place] * (1 - opacity) + opacity * np.array(shown), atol=0.02)
    small = np.full((6, 8), 0.05) * (-1 if signed else 1)
    np.testing.assert_allclose(draw.overlay_rgb(record, 0, small, limit=1, signed=signed), image, atol=0.01)


def test_overlay_of_gray_images_zeros_and_a_given_limit(record):
    values = np.zeros((28, 28))
    image = np.repeat(draw.image_rgb(record, record.images[0]), 3, axis=-1)
    for signed in (False, True):
        np.testing.assert_allclose(draw.overlay_rgb(record, 0, values, signed=signed), image, atol=1e-3)
    values[3, 4] = -7
    brought = draw.overlay_rgb(record, 0, values, signed=True)[3, 4]
    np.testing.assert_allclose(brought, draw.overlay_rgb(record, 0, values, limit=7, signed=True)[3, 4])
    assert brought[2] > brought[0] + 0.3


def test_opacity_and_lightness_increase_with_magnitude():
    unsigned, signed = draw.overlay_colormap(), draw.overlay_colormap(signed=True)
    assert unsigned.shape == signed.shape == (256, 4)
    assert (np.diff(unsigned[:, 3]) > 0).all()
    assert (np.diff(signed[128:, 3]) > 0).all()
    np.testing.assert_allclose(signed[::-1, 3], signed[:, 3], atol=1e-6)
    assert unsigned[-1, 3] == pytest.approx(0.9, abs=1e-3)
    light = unsigned[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light) > -1e-3).all()


def test_contours_surround_the_strongest_tenth_on_request(photograph):
    record, _ = photograph
    values = np.zeros((6, 8))
    values[1:3, 2:4], values[5] = [[-4, 5], [3, 4]], 1
    for contours in (False, True):
        _, (panel,) = draw.row(1, record)
        with draw.use_style(draw.Style(contours=contours)):
            draw.overlay(panel, record, 0, values, signed=True)
        lines = [path.vertices for each in panel.collections for path in each.get_paths() if len(path.vertices)]
        assert len(lines) == (2 if contours else 0)
        for line in lines:
            assert line.min() >= 0
            assert (line.max(axis=0) <= [4, 4]).all()
    for flat in (np.ones((6, 8)), np.zeros((6, 8)), np.ones((1, 5))):
        draw.contour(panel, flat)
    assert len(panel.collections) == 2


def test_coarse_maps_are_enlarged_by_clipped_cubic_convolution(random):
    def at(values, x):
        """Keys 1981, equation 15, with the outermost values going on."""
        found, first = 0.0, int(np.floor(x)) - 1
        for place in range(first, first + 4):
            d = abs(x - place)
            weight = 1.5 * d**3 - 2.5 * d**2 + 1 if d <= 1 else -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
            found = found + weight * values[min(max(place, 0), len(values) - 1)]
        return found

    for shape, (height, width) in (((3, 2), (9, 8)), ((1, 4), (5, 12)), ((7, 7), (50, 40))):
        values = random.uniform(-1, 1, shape)
        exact = [
            [
                at([at(each, (j + 0.5) * shape[1] / width - 0.5) for each in values], (i + 0.5) * shape[0] / height - 0.5)
                for j in range(width)
            ]
            for i in range(height)
        ]
        expected = np.clip(exact, values.min(), values.max())
        np.testing.assert_allclose(draw.enlarged(values, height, width), expected, atol=1e-6)
    np.testing.assert_allclose(draw.enlarged(np.full((3, 3), 2.5), 11, 7), 2.5)


def test_regions_show_sums_over_pixels(random):
    values = random.normal(size=(7, 10))
    found = draw.region_sums(values, 4)
    for row, column in np.ndindex(7, 10):
        top, left = row // 4 * 4, column // 4 * 4
        assert found[row, column] == pytest.approx(values[top : top + 4, left : left + 4].sum(), abs=1e-5)
    np.testing.assert_allclose(draw.region_sums(values, 1), values, rtol=1e-6)
    assert [draw.region_side(np.zeros(shape)) for shape in ((28, 28), (224, 224), (100, 60))] == [1, 16, 7]
    with draw.use_style(draw.Style(regions=3)):
        assert draw.region_side(np.zeros((28, 28))) == 3
    with pytest.raises(UsageError, match="at least 1 pixel wide, but got 0"):
        draw.Style(regions=0)


LABELS = ("tabby, tabby cat", "crane", "crane, bird", "lynx, catamount", "tench", ", odd", "", *"abc")


@pytest.mark.parametrize(
    ("index", "name"), [(0, "tabby"), (1, "crane"), (2, "crane, bird"), (3, "lynx"), (4, "tench"), (5, ", odd"), (6, "")]
)
def test_class_names_are_shortened_if_unique(record, index, name):
    assert draw.class_name(replace(record, labels=LABELS), index) == name


def test_names_of_objectives_and_sources(record):
    named = replace(record, labels=LABELS)
    assert draw.objective_name(named, "tabby, tabby cat − lynx, catamount") == "tabby − lynx"
    assert draw.objective_name(named, "−0.5 · tabby, tabby cat + tench") == "−0.5 · tabby + tench"
    assert draw.objective_name(named, "conv2:3") == "conv2:3"
    assert draw.source_name("mnist:test/42") == "mnist:test/42"
    assert draw.source_name("/home/someone/pictures/cat.jpg") == "cat.jpg"
    assert draw.source_name("array[3]") == "array[3]"


@pytest.mark.parametrize("tail", [False, True])
def test_text_is_truncated_to_its_width(tail):
    text = "wide W and narrow i " * 8
    cut = draw.fit_text(text, 2, 9, tail=tail)
    assert 1.8 < draw.text_width(cut, 9) <= 2
    assert cut.strip("…") in text
    assert (cut[-1] if not tail else cut[0]) == "…"
    assert draw.fit_text("short", 2, 9) == "short"
    assert draw.fit_text("short", 0, 9) == "…"


def test_long_names_fit_and_do_not_overlap(record):
    """Labels, a file and a target of many wide letters, over the narrowest sheet."""
    long = "W" * 300
    first = replace(record.explained[0], source=replace(record.explained[0].source, name=f"/folder/{long}.jpg"), target=1)
    hostile = replace(record, labels=tuple(f"{long} {i}" for i in range(10)), explained=(first,))
    figure, panels = draw.row(2, hostile)
    for panel in panels:
        draw.input_image(panel, hostile, 0)
        draw.title(panel, long)
        draw.text_below(panel, long)
    draw.caption(figure, hostile, 0)
    assert figure.get_suptitle().count("(") == 2
    assert not pictures.overlapping(figure)


@pytest.mark.parametrize("shape", [(4, 80, 3), (80, 4, 1), (1, 1, 1), (30, 40, 3)])
def test_texts_fit_for_images_of_any_shape(record, random, shape):
    preprocess = Preprocess(*shape[:2], "gray" if shape[2] == 1 else "rgb")
    saliency = random.lognormal(-6, 2, (1, *shape[:2])).astype(np.float32)
    images = random.uniform(0, 1, (1, *shape)).astype(np.float32)
    for options in ({"crops": "one"}, {"crops": "ten"}):
        made = replace(record, preprocess=preprocess, images=images, arrays={"saliency": saliency}, options=options)
        assert not pictures.overlapping(made.figure(0))


def test_maps_of_zeros_draw_without_nan(record):
    figure, (left, right) = draw.row(2, record, bars=[0, 1])
    draw.signed_map(left, np.zeros((3, 3)), "u")
    draw.unsigned_map(right, np.zeros((3, 3)), "u")
    assert not pictures.overlapping(figure)
    assert left.images[0].get_clim() == (-1, 1)
    assert right.images[0].get_clim() == (0, 1)


def test_notes_are_placed_below_the_panels(record):
    note = "One sentence that is long enough to need a second line, since the sheet is only five inches wide. " * 2
    noted = replace(record, analysis=replace(record.analysis, limitations=note.strip()))
    bare = replace(record, analysis=replace(record.analysis, limitations=""))
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


def test_settings_that_a_plugin_changes_do_not_reach_the_next_picture_or_the_user():
    with mpl.rc_context({"font.size": 7}):
        with drawing():
            for _ in range(2):
                with drawing():
                    assert mpl.rcParams["font.size"] == 10
                    mpl.rcParams["font.size"] = 20
        assert mpl.rcParams["font.size"] == 7

"""Pictures as pixels and PNG files: the same pixels as Matplotlib and Pillow would write."""

import io
import threading
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from cnnexplain.draw.tickless import tickless_axes
from cnnexplain.matplotlib_settings import drawing
from cnnexplain.rendering import png_file, raster
from cnnexplain.results.record import Record


@pytest.fixture(scope="module")
def record():
    """The saliency of one digit."""
    return Record.load(Path(__file__).parent.parent / "earlier/saliency")


def by_matplotlib(figure, dpi):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return np.asarray(Image.open(buffer).convert("RGB"))


def check(make, dpi=60, times=4):
    """Compares the pixels of several equal figures; from the third on, texts are copied."""
    with drawing():
        expected = by_matplotlib(make(), dpi)
        for _ in range(times):
            np.testing.assert_array_equal(raster.pixels(make(), dpi), expected)


@pytest.mark.parametrize("largest", [raster.SMALL, 0], ids=["kept", "too-large-to-keep"])
def test_pixels_equal_matplotlib(record, monkeypatch, largest):
    monkeypatch.setattr(raster, "SMALL", largest)
    check(lambda: record.figure(0))


def test_text_is_reused_only_at_the_same_place():
    def figure(background, text, **settings):
        made = Figure((3, 1), facecolor="white")
        made.text(0, 0, background, fontsize=30, color="red")
        made.text(settings.pop("x", 0.1), 0.3, text, **{"fontsize": 12} | settings)
        return made

    # The order matters: each of them could be taken for one before.
    for settings in (
        {},
        {"x": 0.103},
        {"color": "blue"},
        {"alpha": 0.5},
        {"fontsize": 13},
        {"fontweight": "bold"},
        {"rotation": 5},
        {"antialiased": False},
        {"clip_on": True, "clip_box": mpl.transforms.Bbox([[0, 0], [40, 60]])},
    ):
        for background in ("", "", "", "behind", ""):
            check(lambda: figure(background, "text", **settings), times=1)  # noqa: B023
    check(lambda: figure("", "$x^2$"))
    check(lambda: figure("", ""))


def test_a_figure_is_not_changed(record):
    figure = record.figure(0)
    canvas, dpi = figure.canvas, figure.dpi
    raster.pixels(figure, 40)
    assert figure.canvas is canvas
    assert figure.dpi == dpi


def test_threads_have_separate_renderers(record):
    expected = raster.pixels(record.figure(0), 40).copy()
    wrong = []

    def draw_several():
        wrong.extend(1 for _ in range(3) if not np.array_equal(raster.pixels(record.figure(0), 40), expected))

    threads = [threading.Thread(target=draw_several) for _ in range(2)]
    with drawing():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_transparent_figures_have_four_channels():
    figure = Figure((1, 1), facecolor="none")
    pixels = raster.pixels(figure, 20)
    assert pixels.shape == (20, 20, 4)
    assert not pixels[..., 3].any()


@pytest.mark.parametrize("shape", [(1, 1, 3), (600, 5, 3), (257, 3, 4), (256, 2, 3)])
def test_a_png_file_has_the_pixels_and_the_resolution(random, shape):
    pixels = random.integers(0, 256, shape, dtype=np.uint8)
    # The pixels of a figure are a part of the renderer's memory, with gaps.
    gaps = np.repeat(pixels, 2, axis=2)[..., ::2]
    for given in (pixels, gaps):
        read = Image.open(io.BytesIO(png_file.encoded(given, 130)))
        np.testing.assert_array_equal(np.asarray(read), pixels)
        assert read.info["dpi"] == pytest.approx((130, 130), abs=0.01)


def test_tickless_axes_equal_ordinary_ones():
    def figure(tickless):
        made = Figure((3, 2), facecolor="white")
        place = (0.2, 0.2, 0.7, 0.7)
        if tickless:
            with tickless_axes(made, place) as axes:
                axes.tick_params(labelsize=6)
        else:
            axes = made.add_axes(place)
            axes.tick_params(labelsize=6)
        axes.plot([0, 3], [1, 2])
        return made

    with drawing():
        np.testing.assert_array_equal(by_matplotlib(figure(tickless=True), 60), by_matplotlib(figure(tickless=False), 60))

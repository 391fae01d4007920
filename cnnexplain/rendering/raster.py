"""Figures as pixels, drawn by Matplotlib's Agg renderer, which here remembers the texts that many pictures share."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from PIL import Image

if TYPE_CHECKING:
    from jaxtyping import UInt8, UInt32
    from matplotlib.figure import Figure

WHITE = 0xFFFFFFFF
"""The four bytes of an opaque white pixel."""

TEXTS, SMALL = 256, 1 << 24
"""Number of texts that a renderer remembers, and pixels of the largest renderer that is kept for the next picture."""


def pixels(figure: Figure, dpi: int) -> UInt8[np.ndarray, "H W C"]:
    """A figure as RGB, or RGBA if parts of it are transparent. The figure itself is not changed.

    Raises:
        Exception: Whatever an artist of the figure raises.
    """
    given = figure.canvas
    drawn: list[memoryview] = []
    try:
        _Canvas(figure)
        figure.savefig(drawn, format="raw", dpi=dpi)  # type: ignore[arg-type]
    finally:
        figure.set_canvas(given)
    shown = np.asarray(drawn[0])
    # Pillow copies three channels of four several times faster than NumPy.
    return np.asarray(Image.fromarray(shown).convert("RGB")) if shown[..., 3].min() == 255 else shown


class _Renderer(RendererAgg):
    """A renderer that copies the pixels of a text that it has drawn before at the same place on white.

    A text takes most of the time of a picture, and the pictures of an analysis share their titles and notes.
    """

    def __init__(self, width: float, height: float, dpi: float) -> None:
        super().__init__(width, height, dpi)  # type: ignore[no-untyped-call]
        # None marks a text that was drawn once. Most texts are never drawn a second time, and are not worth a copy.
        self._texts: dict[tuple[Any, ...], tuple[tuple[slice, slice], UInt32[np.ndarray, "h w"]] | None] = {}

    def draw_text(
        self, gc: Any, x: float, y: float, s: str, prop: Any, angle: float, ismath: Any = False, mtext: Any = None
    ) -> None:
        key = (s, prop.copy(), x, y, angle, gc.get_rgb(), gc.get_alpha(), gc.get_antialiased())
        plain = not ismath and gc.get_clip_rectangle() is None and gc.get_clip_path() == (None, None)
        if not plain or _shaping(mtext) != _shaping(None):
            super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)  # type: ignore[no-untyped-call]
            return
        shown = np.asarray(self.buffer_rgba()).view(np.uint32)[..., 0]  # type: ignore[no-untyped-call]
        remembered = self._texts.get(key)
        if remembered is not None and (shown[remembered[0]] == WHITE).all():
            shown[remembered[0]] = remembered[1]
            return
        before = shown.copy() if key in self._texts else None
        super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)  # type: ignore[no-untyped-call]
        if before is None:
            if len(self._texts) >= TEXTS:
                self._texts.clear()
            self._texts[key] = None
            return
        changed = shown != before
        if changed.any():
            place = _extent(changed.any(axis=1)), _extent(changed.any(axis=0))
            if (before[place] == WHITE).all():
                self._texts[key] = place, shown[place].copy()


def _shaping(text: Any) -> tuple[Any, ...]:
    """The settings of a text, besides its font, that change its glyphs. Older versions of Matplotlib have none."""
    return tuple(getattr(text, name)() if hasattr(text, name) else None for name in ("get_fontfeatures", "get_language"))


def _extent(marked: Any) -> slice:
    """The part of an axis from the first to the last marked place."""
    places = np.flatnonzero(marked)
    return slice(int(places[0]), int(places[-1]) + 1)


class _Kept(threading.local):
    """The renderer of the last picture of a thread, which the next one of the same size uses too."""

    renderer: _Renderer | None = None


_kept = _Kept()


class _Canvas(FigureCanvasAgg):
    """A canvas whose renderer outlives it, and whose raw output is the memory of the renderer."""

    def print_raw(self, filename_or_obj: Any, **_: Any) -> None:
        self.draw()  # type: ignore[no-untyped-call]
        filename_or_obj.append(self.renderer.buffer_rgba())

    def get_renderer(self) -> RendererAgg:
        width, height = self.get_width_height(physical=True)
        kept = _kept.renderer
        if kept is None or (kept.width, kept.height, kept.dpi) != (width, height, self.figure.dpi):
            kept = _Renderer(width, height, self.figure.dpi)
            _kept.renderer = kept if width * height <= SMALL else None
        return kept

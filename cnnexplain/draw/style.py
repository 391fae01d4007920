"""Colormaps and options of pictures, and the current style."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import matplotlib as mpl

from cnnexplain.errors import UsageError, shown, suggest


@dataclass(frozen=True)
class Palette:
    """The colormaps for maps, by their Matplotlib names.

    Args:
        unsigned: Colormap of maps that start at 0. The default is perceptually uniform, works for color-blind readers and
            is visible both on photographs and on black.
        signed: Colormap of signed maps. The default is blue below zero, white at zero and red above, which color-blind
            readers can tell apart.

    Raises:
        UsageError: Matplotlib has no such colormap.
    """

    unsigned: str = "viridis"
    signed: str = "RdBu_r"

    def __post_init__(self) -> None:
        for name in (self.unsigned, self.signed):
            if name not in mpl.colormaps:
                raise UsageError(f"Matplotlib has no colormap '{name}'.{suggest(name, mpl.colormaps)}")


DEFAULT_PALETTE = Palette()
"""The colormaps of pictures, unless others are chosen."""


@dataclass(frozen=True)
class Style:
    """How maps are drawn.

    Args:
        palette: The colormaps.
        contours: Whether to outline the strongest tenth of the pixels of a map that is drawn over an image.
        regions: Side length in pixels of the squares over which attributions are summed; None to derive it from the image.

    Raises:
        UsageError: `regions` is less than 1.
    """

    palette: Palette = DEFAULT_PALETTE
    contours: bool = False
    regions: int | None = None

    def __post_init__(self) -> None:
        if self.regions is not None and self.regions < 1:
            raise UsageError(f"Regions are at least 1 pixel wide, but got {shown(self.regions)}.")


DEFAULT_STYLE = Style()
"""The style of pictures, unless another is chosen."""

_style = ContextVar("style", default=DEFAULT_STYLE)


def current_style() -> Style:
    """The current style."""
    return _style.get()


def current_palette() -> Palette:
    """The current colormaps."""
    return current_style().palette


@contextmanager
def use_style(chosen: Style | Palette) -> Iterator[None]:
    """Draws with this style, or with these colormaps, inside the `with` block."""
    token = _style.set(Style(chosen) if isinstance(chosen, Palette) else chosen)
    try:
        yield
    finally:
        _style.reset(token)

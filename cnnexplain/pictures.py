"""How pictures are written: their format and resolution."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnexplain.errors import OutputError, UsageError, suggest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")
MIN_DPI, MAX_DPI = 20, 1200


@dataclass(frozen=True)
class Pictures:
    """How pictures are written.

    Args:
        format: "png", "svg" or "pdf".
        dpi: Pixels per inch, from 20 to 1200; in an SVG or PDF of the images within it alone.

    Raises:
        UsageError: A value is none of these.
    """

    format: str = "png"
    dpi: int = 130

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise UsageError(
                f"Pictures are written as {', '.join(FORMATS)}, but '{self.format}' was asked for."
                f"{suggest(str(self.format), FORMATS)}"
            )
        if not isinstance(self.dpi, int) or not MIN_DPI <= self.dpi <= MAX_DPI:
            raise UsageError(f"Pictures take a whole number from {MIN_DPI} to {MAX_DPI} as dpi, but got {self.dpi!r}.")

    def save(self, figure: Figure, path: Path) -> None:
        """Writes a figure, the same bytes each time: without the date, and with ids that are not random.

        Raises:
            OutputError: At this dpi it would have more pixels than Matplotlib can draw.
        """
        import matplotlib as mpl

        undated: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(self.format, {})
        inches = " × ".join(f"{side:.3g}" for side in figure.get_size_inches())
        if self.format == "png" and max(figure.get_size_inches()) * self.dpi >= 2**16:
            raise OutputError(f"A picture of {inches} inches is too large for {self.dpi} dpi; choose a smaller --dpi.")
        with mpl.rc_context({"svg.hashsalt": "cnnexplain"}):
            figure.savefig(path, format=self.format, dpi=self.dpi, metadata=undated)

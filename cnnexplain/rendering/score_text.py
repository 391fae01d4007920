"""Scores as text, the same on pages and in the terminal."""

from __future__ import annotations

import math


def number(value: float | None) -> str:
    """A score with three decimals, or with at least four significant digits from 1000 on and below 0.001.

    A dash stands for a score that is not defined.
    """
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0 or 0.001 <= abs(value) < 1000:
        text = f"{value:.3f}"
    else:
        text = f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.4g}"
    return text.replace("-", "−")

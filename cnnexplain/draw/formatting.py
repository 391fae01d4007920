"""Numbers as text: significant digits, a true minus sign, percentages."""

from __future__ import annotations


def number(value: float, digits: int = 3) -> str:
    """A number with `digits` significant digits, at least all before the decimal point, and a true minus sign: "−1.23"."""
    # −0.0 is written as 0.
    value = value or 0
    return (f"{value:.0f}" if abs(value) >= 10**digits - 0.5 else f"{value:.{digits}g}").replace("-", "−")


def signed_number(value: float, digits: int = 2) -> str:
    """A number with a plus sign if it is positive, such as a contribution: "+1.2", "0", "−150"."""
    return ("+" if value > 0 else "") + number(value, digits)


def number_pair(before: float, after: float) -> tuple[str, str]:
    """Two numbers with enough significant digits to distinguish them: "58.12" and "58.09"."""
    # Two different single-precision numbers differ within nine digits.
    for digits in range(3, 10):
        words = number(before, digits), number(after, digits)
        if words[0] != words[1] or before == after:
            break
    return words


def correlation(value: float) -> str:
    """A correlation with two decimal places: "0.61", "−0.05", "0.00"."""
    # −0.0 is written as 0.00.
    return f"{round(value, 2) or 0:.2f}".replace("-", "−")


def probability(value: float) -> str:
    """A probability, such as "99.3%"; a bound, such as "> 99.9%", if it would round to 0% or 100%."""
    if 0.9995 <= value < 1:
        return "> 99.9%"
    if 0 < value < 0.0005:
        return "< 0.1%"
    return f"{100 * value:.1f}%"


def percent(share: float) -> str:
    """A fraction from −1 to 1 as a percentage: "38%"; with two significant digits below 0.1: "0.7%"."""
    return f"{100 * share:.0f}%" if share >= 0.0995 else f"{100 * share:.2g}%".replace("-", "−")

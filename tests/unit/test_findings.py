"""The words for what was found."""

import numpy as np
import pytest

from cnnexplain.draw import findings, formatting


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [
        (0, 0, "the upper left"),
        (0, 10, "the upper middle"),
        (99, 29, "the lower right"),
        (50, 0, "the left"),
        (50, 29, "the right"),
        (33, 15, "the middle"),
        (32, 15, "the upper middle"),
        (66, 9, "the left"),
        (67, 15, "the lower middle"),
    ],
)
def test_positions_are_named_by_ninths(row, column, words):
    """A third of 100 rows ends within row 33, a third of 30 columns with column 9."""
    assert findings.ninth(row, column, (100, 30)) == words
    assert findings.place(row, column, (100, 30, 3)) == f"{words}, around row {row}, column {column}"


def test_peaks_are_those_of_the_magnitude_or_of_squares():
    values = np.zeros((12, 12))
    values[2, 9], values[8, 3] = 1, -2
    assert findings.peak_place(values) == "the lower left, around row 8, column 3"
    values[8:12, 0:4] = -2
    assert findings.peak_place(values, 4) == "the lower left, around row 10, column 2"


def test_the_share_of_the_strongest_tenth():
    assert findings.concentration(np.ones((10, 10))) == pytest.approx(0.1)
    assert findings.concentration(np.zeros((5, 4))) == pytest.approx(0.1)
    values = np.ones((10, 10))
    values[0] = -9
    assert findings.concentration(values) == pytest.approx(90 / 180)
    values[1:] = 0
    assert findings.concentration(values) == 1


@pytest.mark.parametrize(
    ("value", "words"),
    [(-1.2345, "−1.23"), (0.5, "0.5"), (-12345.6, "−12346"), (1.5e-7, "1.5e−07"), (0, "0"), (999.7, "1000")],
)
def test_numbers_have_three_digits(value, words):
    assert formatting.number(value) == words


@pytest.mark.parametrize(
    ("value", "words"), [(0.0123, "+0.012"), (-0.5, "−0.5"), (123.4, "+123"), (-99.7, "−100"), (0, "0"), (-0.0, "0")]
)
def test_contributions_have_two_digits_and_a_sign(value, words):
    assert formatting.signed_number(value) == words


@pytest.mark.parametrize(
    ("share", "words"), [(0.384, "38%"), (0.007, "0.7%"), (0, "0%"), (1, "100%"), (0.0996, "10%"), (0.0123, "1.2%")]
)
def test_shares_are_worded(share, words):
    assert formatting.percent(share) == words


def test_largest_attribution_of_a_pixel_or_square():
    values = np.zeros((12, 12))
    values[2, 9] = -0.5
    assert findings.largest_attribution(values, 1) == (
        "the attribution of largest magnitude, −0.5, is that of the pixel at the upper right, around row 2, column 9"
    )
    values[0:4, 8:12] = -0.5
    assert findings.largest_attribution(values, 4) == (
        "the attribution of largest magnitude, −0.5, is that of the 4×4 pixels at the upper right, around row 2, column 10"
    )


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (7.4, 2.5, ("7.4", "2.5")),
        (58.12, 58.09, ("58.12", "58.09")),
        (58.1, 58.1, ("58.1", "58.1")),
        (-0.5004, -0.5003, ("−0.5004", "−0.5003")),
        (0, -2e-9, ("0", "−2e−09")),
        (3e-9, -3e-9, ("3e−09", "−3e−09")),
        (1000000.5, 1000000, ("1000000.5", "1000000")),
        (float(np.float32(58.12)), float(np.nextafter(np.float32(58.12), np.float32(0))), ("58.119999", "58.119995")),
    ],
)
def test_compared_numbers_have_enough_digits_to_differ(before, after, words):
    assert formatting.number_pair(before, after) == words
    assert formatting.number_pair(after, before) == words[::-1]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [(2.1, -3.4, "goes from 2.1 to −3.4"), (58.12, 58.09, "goes from 58.12 to 58.09"), (-2, -2, "stays at −2")],
)
def test_score_changes_are_worded(before, after, words):
    assert findings.change(before, after) == words


def test_the_largest_contribution_is_named():
    assert findings.most_telling([1, 3, -9]) == 1
    assert findings.most_telling([0, -1, -9]) == 2
    assert findings.most_telling([-2, -1]) == 0

"""The words for what was found."""

from dataclasses import replace

import keras
import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain import findings


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
def test_ninths_of_an_image(row, column, words):
    """A third of 100 rows ends within row 33, a third of 30 columns with column 9."""
    assert findings.side(row, column, (100, 30)) == words
    assert findings.place(row, column, (100, 30, 3)) == f"{words}, around row {row}, column {column}"


def test_the_peak_of_a_map_is_that_of_its_magnitude_or_the_middle_of_its_square():
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
def test_numbers_have_three_digits_and_a_minus_sign(value, words):
    assert findings.number(value) == words


@pytest.mark.parametrize(
    ("value", "words"), [(0.0123, "+0.012"), (-0.5, "−0.5"), (123.4, "+123"), (-99.7, "−100"), (0, "0"), (-0.0, "0")]
)
def test_contributions_have_two_digits_and_a_sign(value, words):
    assert findings.signed(value) == words


@pytest.mark.parametrize(
    ("share", "words"), [(0.384, "38%"), (0.007, "0.7%"), (0, "0%"), (1, "100%"), (0.0996, "10%"), (0.0123, "1.2%")]
)
def test_shares(share, words):
    assert findings.percent(share) == words


def test_the_largest_attribution_is_of_a_pixel_or_of_a_square():
    values = np.zeros((12, 12))
    values[2, 9] = -0.5
    assert findings.largest(values, 1) == (
        "the attribution of largest magnitude, −0.5, is that of the pixel at the upper right, around row 2, column 9"
    )
    values[0:4, 8:12] = -0.5
    assert findings.largest(values, 4) == (
        "the attribution of largest magnitude, −0.5, is that of the 4×4 pixels at the upper right, around row 2, column 10"
    )


def test_what_is_explained_is_called_as_in_pictures(lenet):
    record = cx.explain("saliency", lenet, "mnist:test/42", target=4, against=9)
    assert findings.target(record, 0) == "'4 − 9'"
    plain = cx.explain("saliency", lenet, "mnist:test/42", target=9)
    assert findings.target(plain, 0) == "'9'"
    nothing = replace(plain, explained=(replace(plain.explained[0], target=None),))
    assert findings.target(nothing, 0) == "'4'"


ZERO = {
    "saliency": ({}, "No pixel changes the score of '0': the map is zero everywhere."),
    "smoothgrad": ({"samples": 2}, "Under noise no pixel changes the score of '0': the map is zero everywhere."),
    "gradient-x-input": (
        {},
        "The attributions for '0' add up to 0 logits, the score less that of the baseline is 0; all attributions are 0.",
    ),
    "integrated-gradients": (
        {"steps": 2},
        "From the baseline to the image the score of '0' stays at 0; all attributions are 0.",
    ),
    "occlusion": ({"compare": "none"}, "Nowhere does hiding a square of 2×2 pixels lower the score of '0', 0."),
    "rise": ({"masks": 4}, "The probability of '0' is 0.5 under every mask: the map is zero everywhere."),
    "deconvnet": ({}, "In conv, none of the feature maps shown contributes to '0'."),
    "intermediate-outputs": (
        {},
        "At conv no map contributes to the score of '0' (activation × gradient); none of the 2 maps is dead.",
    ),
}


@pytest.mark.parametrize("analysis", ZERO)
def test_a_map_of_zeros_has_no_peak(analysis, random):
    """The first place of a map without any peak says nothing."""
    network = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(2, 3, name="conv"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, kernel_initializer="zeros", name="scores"),
        ]
    )
    options, words = ZERO[analysis]
    images = random.uniform(0, 1, (1, 8, 8, 1)).astype(np.float32)
    record = cx.explain(analysis, cx.load(network, logits=True), images, **options)
    assert record.finding() == words

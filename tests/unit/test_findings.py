"""The words for what was found."""

import re
from dataclasses import replace

import keras
import numpy as np
import pytest

import cnnexplain as cx
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
def test_ninths_of_an_image(row, column, words):
    """A third of 100 rows ends within row 33, a third of 30 columns with column 9."""
    assert findings.ninth(row, column, (100, 30)) == words
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
    assert formatting.number(value) == words


@pytest.mark.parametrize(
    ("value", "words"), [(0.0123, "+0.012"), (-0.5, "−0.5"), (123.4, "+123"), (-99.7, "−100"), (0, "0"), (-0.0, "0")]
)
def test_contributions_have_two_digits_and_a_sign(value, words):
    assert formatting.signed_number(value) == words


@pytest.mark.parametrize(
    ("share", "words"), [(0.384, "38%"), (0.007, "0.7%"), (0, "0%"), (1, "100%"), (0.0996, "10%"), (0.0123, "1.2%")]
)
def test_shares(share, words):
    assert formatting.percent(share) == words


def test_the_largest_attribution_is_of_a_pixel_or_of_a_square():
    values = np.zeros((12, 12))
    values[2, 9] = -0.5
    assert findings.largest_attribution(values, 1) == (
        "the attribution of largest magnitude, −0.5, is that of the pixel at the upper right, around row 2, column 9"
    )
    values[0:4, 8:12] = -0.5
    assert findings.largest_attribution(values, 4) == (
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
        "The attributions for '0' add up to 0 logits; the score minus the baseline's is 0; all attributions are 0.",
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
def test_two_numbers_have_the_digits_in_which_they_differ(before, after, words):
    assert formatting.number_pair(before, after) == words
    assert formatting.number_pair(after, before) == words[::-1]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [(2.1, -3.4, "goes from 2.1 to −3.4"), (58.12, 58.09, "goes from 58.12 to 58.09"), (-2, -2, "stays at −2")],
)
def test_a_score_changes_or_stays(before, after, words):
    assert findings.change(before, after) == words


def signed(scale):
    """Positive feature maps, each of which adds `scale` times its mean to the first score."""
    network = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(2, 3, activation="relu", name="conv"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, name="scores"),
        ]
    )
    network.layers[0].set_weights([np.full((3, 3, 1, 2), 1 / 9, np.float32), np.zeros(2, np.float32)])
    network.layers[-1].set_weights([np.full((2, 2), scale, np.float32) * [[1, 0], [2, 0]], np.zeros(2, np.float32)])
    return network


OF_A_SIGN = {
    # What is found in a map of positive values of a score that all of them raise, and of one that all lower.
    "deconvnet": (
        {},
        r"feature map 1 contributes the most to '0' \(\+",
        r"none of .* raises .* map 1 lowers it the most \(−",
    ),
    "intermediate-outputs": (
        {},
        r"map 1 contributes most to the score of '0': \+",
        r"no map raises the score of '0'; map 1 lowers it the most: −",
    ),
    "gradient-x-input": (
        {},
        r"add up to \+.* baseline's is \+.* magnitude, \+",
        r"add up to −.* baseline's is −.* magnitude, −",
    ),
    "integrated-gradients": ({"steps": 2}, r"goes from 0 to \d.* magnitude, \+", r"goes from 0 to −\d.* magnitude, −"),
    "rise": (
        {"of": "logit", "masks": 300, "seed": 1},
        r"raises the logit of '0' the most, by \d",
        r"No pixel raises the logit of '0' when it is shown; the one at .*, lowers it the least, by \d",
    ),
    "occlusion": (
        {"patch": 2, "stride": 2, "compare": "none", "fill": "black"},
        r"lowers the score of '0' the most: (\S+) → (?!−)",
        r"raises the score of '0' the least, as all of them do: −\S+ → −",
    ),
}


@pytest.mark.parametrize("scale", [1, -1, 1e-9, -1e-9])
@pytest.mark.parametrize("analysis", OF_A_SIGN)
def test_a_finding_reads_right_for_every_sign(analysis, scale):
    """Nothing is said to be raised by a negative number, nor to be lowered where it rises."""
    options, positive, negative = OF_A_SIGN[analysis]
    images = np.full((1, 8, 8, 1), 0.5, np.float32)
    record = cx.explain(analysis, cx.load(signed(scale), logits=True), images, target=0, **options)
    words = record.finding()
    assert re.search(positive if scale > 0 else negative, words), words
    assert not re.search(r"\bby −|by 0 |from (\S+) to \1[.;]|: (\S+) → \2\b", words), words


@pytest.mark.parametrize(
    ("target", "peak", "words"),
    [
        ("up", 0.012, "Showing PLACE, raises 'value' the most, by 0.012 (standard error 0.001) from a mean of 58.1 years"),
        ("up", -0.012, "No pixel raises 'value' when it is shown; the one at PLACE, lowers it the least, by 0.012 "),
        ("down", 0.012, "Showing PLACE, lowers 'value' the most, by 0.012 (standard error 0.001) from a mean of 58.1 years"),
        ("down", -0.012, "No pixel lowers 'value' when it is shown; the one at PLACE, raises it the least, by 0.012 "),
        ("up", -1e-9, "No pixel raises 'value' when it is shown; the one at PLACE, lowers it the least, by 1e−09 "),
    ],
)
def test_rise_tells_a_gain_from_a_loss(target, peak, words):
    network = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    clf = cx.load(network, values=True, unit="years")
    record = cx.explain("rise", clf, np.full((1, 8, 8, 1), 0.5, np.float32), target=target, masks=4)
    gain = np.full((1, 8, 8), peak - 1, np.float32)
    gain[0, 1, 6] = peak
    mean = 58.1 if target == "up" else -58.1
    facts = {**record.facts, "peak": [peak], "peak_pixel": [[1, 6]], "relative_error": [0.1], "masked_logit": [mean]}
    arrays = {**record.arrays, "gain": gain, "standard_error": np.full((1, 8, 8), 0.001, np.float32)}
    found = replace(record, facts=facts, arrays=arrays).finding()
    assert found.startswith(words.replace("PLACE", "the upper right, around row 1, column 6")), found


def test_of_contributions_the_one_that_raises_or_else_lowers_the_most_is_named():
    assert findings.most_telling([1, 3, -9]) == 1
    assert findings.most_telling([0, -1, -9]) == 2
    assert findings.most_telling([-2, -1]) == 0

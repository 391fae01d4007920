"""The words for what was found."""

import re
from dataclasses import replace

import keras
import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain.draw import findings


def test_findings_and_pictures_name_the_target_alike(lenet):
    record = cx.explain("saliency", lenet, "mnist:test/42", target=4, against=9)
    assert findings.target(record, 0) == "'4 − 9'"
    plain = cx.explain("saliency", lenet, "mnist:test/42", target=9)
    assert findings.target(plain, 0) == "'9'"
    nothing = replace(plain, explained=(replace(plain.explained[0], target=None),))
    assert findings.target(nothing, 0) == "'4'"


ZERO = {
    "saliency": ({}, "No pixel changes the score of '0': the map is zero everywhere."),
    "smoothgrad": ({"samples": 2}, "Under noise, no pixel changes the score of '0': the map is zero everywhere."),
    "gradient-x-input": (
        {},
        "The attributions for '0' add up to 0 logits; the score minus the baseline's is 0; all attributions are 0.",
    ),
    "integrated-gradients": (
        {"steps": 2},
        "From the baseline to the image, the score of '0' stays at 0; all attributions are 0.",
    ),
    "occlusion": ({"compare": "none"}, "Nowhere does hiding a square of 2×2 pixels lower the score of '0', 0."),
    "rise": ({"masks": 4}, "The probability of '0' is 0.5 under every mask: the map is zero everywhere."),
    "deconvnet": ({}, "In conv, none of the feature maps shown contributes to '0'."),
    "intermediate-outputs": (
        {},
        "At conv, no map contributes to the score of '0' (activation × gradient); none of the 2 maps is dead.",
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
        r"No pixel raises the logit of '0' when it is visible; the one at .*, lowers it the least, by \d",
    ),
    "occlusion": (
        {"patch": 2, "stride": 2, "compare": "none", "fill": "black"},
        r"lowers the score of '0' the most: (\S+) → (?!−)",
        r"raises the score of '0' the least \(every position raises it\): −\S+ → −",
    ),
}


@pytest.mark.parametrize("scale", [1, -1, 1e-9, -1e-9])
@pytest.mark.parametrize("analysis", OF_A_SIGN)
def test_findings_are_worded_for_every_sign(analysis, scale):
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
        ("up", -0.012, "No pixel raises 'value' when it is visible; the one at PLACE, lowers it the least, by 0.012 "),
        ("down", 0.012, "Showing PLACE, lowers 'value' the most, by 0.012 (standard error 0.001) from a mean of 58.1 years"),
        ("down", -0.012, "No pixel lowers 'value' when it is visible; the one at PLACE, raises it the least, by 0.012 "),
        ("up", -1e-9, "No pixel raises 'value' when it is visible; the one at PLACE, lowers it the least, by 1e−09 "),
    ],
)
def test_rise_findings_distinguish_gain_and_loss(target, peak, words):
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

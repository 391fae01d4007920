"""Tests of the Shapley values: the definition as a sum over all sets of squares, their axioms, and the conformance tests."""

import itertools
import math

import cnnexplain as cx
import keras
import numpy as np
import pytest
from cnnexplain.testing import conformance

test_conformance = conformance("shapley")

SIZE = (6, 9, 3)
"""Rows, columns and channels of the images: 4 × 6 squares with `squares=4`, 2 × 3 squares with `squares=2`."""


def classifier(*layers):
    """A classifier with these layers and random weights."""
    model = keras.Sequential([keras.Input(SIZE), *layers])
    random = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(random.normal(0, 0.4, weight.shape))
    return cx.load(model, logits=True, preprocess=cx.Preprocess(*SIZE[:2]))


@pytest.fixture
def images():
    return np.random.default_rng(1).uniform(size=(2, *SIZE)).astype("float32")


def squared():
    """A classifier whose scores are squares of weighted sums: at most two squares of the image interact."""
    return classifier(keras.layers.Flatten(), keras.layers.Dense(3), keras.layers.Lambda(keras.ops.square))


def network():
    """A small convolutional classifier."""
    return classifier(
        keras.layers.Conv2D(4, 3, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(6, activation="relu"),
        keras.layers.Dense(3),
    )


def exact(clf, image, target, color):
    """The Shapley values of 2 × 3 squares of 3 × 3 pixels: the weighted sum over all sets of the other squares."""
    count = 6
    subsets = [frozenset(each) for size in range(count + 1) for each in itertools.combinations(range(count), size)]
    revealed = np.full((len(subsets), *SIZE), color, np.float32)
    for number, subset in enumerate(subsets):
        for square in subset:
            top, left = 3 * (square // 3), 3 * (square % 3)
            revealed[number, top : top + 3, left : left + 3] = image[top : top + 3, left : left + 3]
    score = dict(zip(subsets, clf.logits(revealed)[:, target].astype(float), strict=True))
    values = np.zeros(count)
    for square in range(count):
        for subset in subsets:
            if square not in subset:
                weight = math.factorial(len(subset)) * math.factorial(count - len(subset) - 1) / math.factorial(count)
                values[square] += weight * (score[subset | {square}] - score[subset])
    return values


@pytest.mark.parametrize(("fill", "color"), [("black", 0), ("gray", 0.5), ("white", 1)])
def test_interactions_of_two_squares_are_exact(images, fill, color):
    clf = squared()
    record = cx.explain("shapley", clf, images, target=[0, 2], squares=2, permutations=3, fill=fill)
    for image, target, value in zip(images, [0, 2], record.arrays["value"], strict=True):
        np.testing.assert_allclose(value, exact(clf, image, target, color), atol=1e-3)


def test_values_of_a_network_are_within_their_standard_errors(images):
    clf = network()
    record = cx.explain("shapley", clf, images, target=1, squares=2, permutations=200, fill="mean")
    for image, value, error in zip(images, record.arrays["value"], record.arrays["error"], strict=True):
        expected = exact(clf, image, 1, image.mean(axis=(0, 1)))
        assert (np.abs(value - expected) < 5 * error + 1e-5).all()
        assert (error > 0).any()
        assert (error < 0.1 * np.abs(expected).max()).all()


def test_values_sum_to_the_difference_from_the_filled_image(images):
    clf = network()
    record = cx.explain("shapley", clf, images, target=0, squares=4, permutations=2)
    scores = clf.logits(images)[:, 0], clf.logits(np.zeros_like(images))[:, 0]
    np.testing.assert_allclose(record.facts["logit"], scores[0], atol=1e-5)
    np.testing.assert_allclose(record.facts["filled_logit"], scores[1], atol=1e-5)
    np.testing.assert_allclose(record.arrays["value"].sum(axis=1), scores[0] - scores[1], atol=1e-4)


def test_a_square_without_effect_gets_zero(images):
    clf = classifier(keras.layers.Cropping2D(((0, 3), (0, 0))), keras.layers.Flatten(), keras.layers.Dense(3))
    record = cx.explain("shapley", clf, images, target=0, squares=2, permutations=2)
    assert not record.arrays["value"][:, 3:].any()
    assert record.arrays["value"][:, :3].any()


def test_each_pixel_of_the_map_has_the_value_of_its_square(images):
    record = cx.explain("shapley", network(), images, squares=4, permutations=2)
    assert (record.facts["rows"], record.facts["columns"]) == ([4, 4], [6, 6])
    corners = [(0, 0, 0), (0, 8, 5), (5, 0, 18), (5, 8, 23)]
    for row, column, square in corners:
        np.testing.assert_array_equal(record.arrays["shapley"][:, row, column], record.arrays["value"][:, square])


def test_more_squares_than_pixels_are_rejected(images):
    with pytest.raises(cx.UsageError, match="at most the shorter side of the image, 6 pixels, but got 7"):
        cx.explain("shapley", network(), images, squares=7)

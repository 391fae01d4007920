"""Shapley values against the sum over all sets of squares that defines them, against their axioms, and as a plugin."""

import itertools
import math

import cnnexplain as cx
import keras
import numpy as np
import pytest
from cnnexplain.testing import conformance

test_conformance = conformance("shapley")

SIZE = (6, 9, 3)
"""Four rows and six columns of squares where four go along the shorter side; two and three where two do."""


def classifier(*layers):
    """A model of these layers with random weights."""
    model = keras.Sequential([keras.Input(SIZE), *layers])
    random = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(random.normal(0, 0.4, weight.shape))
    return cx.load(model, logits=True, preprocess=cx.Preprocess(*SIZE[:2]))


@pytest.fixture
def images():
    return np.random.default_rng(1).uniform(size=(2, *SIZE)).astype("float32")


def squared():
    """Scores that are the square of a weighted sum: no more than two squares of the image act together."""
    return classifier(keras.layers.Flatten(), keras.layers.Dense(3), keras.layers.Lambda(keras.ops.square))


def network():
    return classifier(
        keras.layers.Conv2D(4, 3, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(6, activation="relu"),
        keras.layers.Dense(3),
    )


def exact(clf, image, target, color):
    """The Shapley values of 2 × 3 squares of 3 × 3 pixels: the sum over all sets of the others, weighed as Shapley did."""
    count = 6
    subsets = [frozenset(each) for size in range(count + 1) for each in itertools.combinations(range(count), size)]
    shown = np.full((len(subsets), *SIZE), color, np.float32)
    for number, subset in enumerate(subsets):
        for square in subset:
            top, left = 3 * (square // 3), 3 * (square % 3)
            shown[number, top : top + 3, left : left + 3] = image[top : top + 3, left : left + 3]
    score = dict(zip(subsets, clf.logits(shown)[:, target].astype(float), strict=True))
    values = np.zeros(count)
    for square in range(count):
        for subset in subsets:
            if square not in subset:
                weight = math.factorial(len(subset)) * math.factorial(count - len(subset) - 1) / math.factorial(count)
                values[square] += weight * (score[subset | {square}] - score[subset])
    return values


@pytest.mark.parametrize(("fill", "color"), [("black", 0), ("gray", 0.5), ("white", 1)])
def test_what_two_squares_do_together_is_exact(images, fill, color):
    clf = squared()
    record = cx.explain("shapley", clf, images, target=[0, 2], squares=2, permutations=3, fill=fill)
    for image, target, found in zip(images, [0, 2], record.arrays["value"], strict=True):
        np.testing.assert_allclose(found, exact(clf, image, target, color), atol=1e-3)


def test_a_network_s_values_are_found_within_their_errors(images):
    clf = network()
    record = cx.explain("shapley", clf, images, target=1, squares=2, permutations=200, fill="mean")
    for image, found, error in zip(images, record.arrays["value"], record.arrays["error"], strict=True):
        expected = exact(clf, image, 1, image.mean(axis=(0, 1)))
        assert (np.abs(found - expected) < 5 * error + 1e-5).all()
        assert (error > 0).any()
        assert (error < 0.1 * np.abs(expected).max()).all()


def test_the_values_add_up_to_what_the_image_has_more_than_a_filled_one(images):
    clf = network()
    record = cx.explain("shapley", clf, images, target=0, squares=4, permutations=2)
    scores = clf.logits(images)[:, 0], clf.logits(np.zeros_like(images))[:, 0]
    np.testing.assert_allclose(record.facts["logit"], scores[0], atol=1e-5)
    np.testing.assert_allclose(record.facts["filled_logit"], scores[1], atol=1e-5)
    np.testing.assert_allclose(record.arrays["value"].sum(axis=1), scores[0] - scores[1], atol=1e-4)


def test_a_square_that_the_model_does_not_look_at_gets_nothing(images):
    clf = classifier(keras.layers.Cropping2D(((0, 3), (0, 0))), keras.layers.Flatten(), keras.layers.Dense(3))
    record = cx.explain("shapley", clf, images, target=0, squares=2, permutations=2)
    assert not record.arrays["value"][:, 3:].any()
    assert record.arrays["value"][:, :3].any()


def test_the_map_shows_each_square_its_value(images):
    record = cx.explain("shapley", network(), images, squares=4, permutations=2)
    assert (record.facts["rows"], record.facts["columns"]) == ([4, 4], [6, 6])
    corners = [(0, 0, 0), (0, 8, 5), (5, 0, 18), (5, 8, 23)]
    for row, column, square in corners:
        np.testing.assert_array_equal(record.arrays["shapley"][:, row, column], record.arrays["value"][:, square])


def test_more_squares_than_pixels_are_refused(images):
    with pytest.raises(cx.UsageError, match="up to the image's shorter side, 6, but got 7"):
        cx.explain("shapley", network(), images, squares=7)

"""The metrics against slow versions written from the papers, and where their scores are known."""

import itertools

import numpy as np
import pytest
from functions import SHAPE, formula, weights_and_images

import cnnexplain as cx
from cnnexplain.evaluation import scoring
from cnnexplain.plugin import registry


def nothing(images, target=None, classifier=None):
    raise AssertionError("This metric explains nothing again.")


def score(name, classifier, image, maps, target=0, *, mask=None, explain=nothing, seed=0):
    """The scores of maps of an image."""
    metric, plugin = registry.load().metrics.pick(name)
    sample = scoring.Sample(0, image, target, np.asarray(maps, np.float64), mask, explain)
    return scoring.scores(metric, plugin, classifier, sample, seed)


def softmax(logits):
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def blurred(image):
    """Each pixel as a weighted mean of all, by its own Gaussian."""
    height, width = image.shape[:2]
    sigma = min(height, width) / 8
    rows, columns = np.mgrid[:height, :width]
    out = np.zeros_like(image, np.float64)
    for i in range(height):
        for j in range(width):
            weights = np.exp(-((rows - i) ** 2 + (columns - j) ** 2) / (2 * sigma**2))
            out[i, j] = (weights[..., None] * image).sum(axis=(0, 1)) / weights.sum()
    return out


def curve(classifier, start, end, order, steps, target):
    """The logit and the probability while pixels are replaced one after the other; images of whole steps are kept."""
    image, points = start.copy(), []
    for number in range(len(order) + 1):
        if number:
            row, column = order[number - 1]
            image[row, column] = end[row, column]
        if number in {round(step * len(order) / steps) for step in range(steps + 1)}:
            logits = classifier.logits(image[None].astype(np.float32))[0].astype(np.float64)
            points.append((number / len(order), logits[target], softmax(logits)[target]))
    return np.array(points)


def area(points):
    return sum((b[0] - a[0]) * (a[1:] + b[1:]) / 2 for a, b in itertools.pairwise(points))


@pytest.mark.backends
@pytest.mark.parametrize("name", ["deletion", "insertion"])
@pytest.mark.parametrize("color", [False, True])
def test_the_areas_equal_pixel_by_pixel_replacement(name, color, random, lenet, noise):
    if color:
        weights, images = weights_and_images()
        classifier, image, target = formula(weights, bias=0.7), images[0], 2
    else:
        classifier, image, target = lenet, noise[0], 3
    maps = random.normal(size=(3, *image.shape[:2]))
    found = score(name, classifier, image, maps, target)
    for fill, baseline in {
        "black": np.broadcast_to(classifier.preprocess.black, image.shape),
        "blur": blurred(image),
    }.items():
        ends = (image, baseline) if name == "deletion" else (baseline, image)
        for number, each in enumerate(maps):
            order = sorted(np.ndindex(each.shape), key=lambda place, each=each: -each[place])
            logit, probability = area(curve(classifier, *ends, order, min(28, len(order)), target))
            assert found[f"logit, {fill}"][number] == pytest.approx(logit, rel=1e-4, abs=1e-5)
            if classifier.head != "values":
                assert found[f"probability, {fill}"][number] == pytest.approx(probability, rel=1e-4, abs=1e-6)


def test_numbers_by_hand():
    """S = 3 x₁ + x₂ at x = (1, 1): pixels go from S = 4; the larger one first leaves 1, the smaller one first 3."""
    weights = np.zeros((*SHAPE, 2), np.float32)
    weights[0, 1, 0, 0], weights[3, 0, 0, 0] = 3, 1
    image = np.zeros(SHAPE, np.float32)
    image[0, 1, 0] = image[3, 0, 0] = 1
    classifier = formula(weights, preprocess=cx.Preprocess(*SHAPE[:2]))
    maps = np.zeros((2, *SHAPE[:2]))
    maps[0, 0, 1], maps[0, 3, 0] = 2, 1
    maps[1, 0, 1], maps[1, 3, 0] = 1, 2
    pixels = SHAPE[0] * SHAPE[1]
    # Whole pixels are the steps of a small image: after the first one, 1 or 3 is left; then 0.
    assert pixels <= 28
    deleted = np.array([4 / 2 + 1, 4 / 2 + 3]) / pixels
    np.testing.assert_allclose(score("deletion", classifier, image, maps)["logit, black"], deleted, rtol=1e-5)
    inserted = np.array([3, 1]) / pixels + 4 * (pixels - 2 + 1 / 2) / pixels
    np.testing.assert_allclose(score("insertion", classifier, image, maps)["logit, black"], inserted, rtol=1e-5)


def test_a_map_of_equal_values_is_ranked_at_random_but_alike_for_all_methods(lenet, noise):
    maps = np.zeros((2, 28, 28))
    first, again, other = (score("deletion", lenet, noise[0], maps, 3, seed=seed)["logit, black"] for seed in (0, 0, 1))
    assert first[0] == first[1]
    np.testing.assert_array_equal(first, again)
    assert first[0] != other[0]


def test_a_score_does_not_depend_on_the_other_methods(lenet, noise, random):
    maps = random.normal(size=(3, 28, 28))
    together = score("insertion", lenet, noise[0], maps, 3)
    alone = score("insertion", lenet, noise[0], maps[1:2], 3)
    for name, values in together.items():
        np.testing.assert_allclose(values[1], alone[name][0], rtol=1e-5)


def test_a_model_of_values_has_no_probabilities():
    weights, images = weights_and_images()
    classifier = formula(weights, bias=0.7)
    if classifier.head != "values":
        classifier = cx.load(classifier.model, values=True)
    found = score("deletion", classifier, images[0], np.zeros((2, *SHAPE[:2])))
    assert np.isnan(found["probability, black"]).all()
    assert np.isfinite(found["logit, black"]).all()


def test_no_image_is_evaluated_twice(lenet, noise, random, monkeypatch):
    seen = []
    logits = type(lenet).logits
    monkeypatch.setattr(type(lenet), "logits", lambda self, images: seen.append(images) or logits(self, images))
    score("deletion", lenet, noise[0], random.normal(size=(5, 28, 28)), 3)
    # 27 images for each map between the two ends, for each fill.
    assert sum(map(len, seen)) == 2 * (5 * 27 + 2)
    images = np.concatenate(seen)
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images) - 1

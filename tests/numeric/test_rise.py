"""RISE against its definition (Petsiuk et al. 2018, section 3), one mask after the other."""

from itertools import product

import keras
import numpy as np
import pytest
from functions import SHAPE as SMALL
from functions import formula

import cnnexplain as cx
from cnnexplain.errors import UsageError


def enlarged(grid, top, left, cell, size):
    """A mask (H, W): the grid brought to (rows + 1) · cell pixels, bilinear, then cut out, pixel by pixel."""
    mask = np.zeros(size)
    for i, j in np.ndindex(*size):
        places = []
        for at, start, number, side in zip((i, j), (top, left), grid.shape, cell, strict=True):
            center = (at + start + 0.5) * number / ((number + 1) * side) - 0.5
            places.append(min(max(center, 0), number - 1))
        (y, x), (y0, x0) = places, map(int, places)
        y1, x1 = min(y0 + 1, grid.shape[0] - 1), min(x0 + 1, grid.shape[1] - 1)
        above = grid[y0, x0] * (1 - x + x0) + grid[y0, x1] * (x - x0)
        below = grid[y1, x0] * (1 - x + x0) + grid[y1, x1] * (x - x0)
        mask[i, j] = above * (1 - y + y0) + below * (y - y0)
    return mask


def drawn(count, shape, cell, size, keep, seed):
    """The masks that a seed stands for: first all grids, then all shifts."""
    random = np.random.default_rng(seed)
    grids = random.random((count, *shape)) < keep
    shifts = random.integers(0, cell, (count, 2))
    return [enlarged(grid, *shift, cell, size) for grid, shift in zip(grids, shifts, strict=True)]


@pytest.mark.parametrize(
    ("options", "grid", "cell", "keep"),
    [
        ({"cells": 3}, (4, 3), (3, 4), 0.5),
        ({"keep": 0.3}, (4, 3), (3, 4), 0.3),
        ({"cells": 1, "keep": 0.6}, (1, 1), (12, 10), 0.6),
        ({"cells": 10}, (12, 10), (1, 1), 0.5),
        ({"cells": 3, "of": "logit"}, (4, 3), (3, 4), 0.5),
    ],
)
def test_maps_equal_the_oracle(model, random, options, grid, cell, keep):
    """12×10 pixels that are black at −1: hiding goes to black, not to the number 0."""
    clf = cx.load(model(), preprocess=cx.Preprocess(12, 10, scale=2 / 255, mean=(1.0,)))
    images = random.uniform(-1, 1, (2, 12, 10, 3)).astype(np.float32)
    record = cx.explain("rise", clf, images, target=[3, 1], masks=9, seed=4, **options)
    masks = drawn(9, grid, cell, (12, 10), keep, 4)
    assert record.facts["cells"] == [list(grid)] * 2
    for index, (image, target) in enumerate(zip(images, [3, 1], strict=True)):
        shown = np.stack([mask[..., None] * image + (mask[..., None] - 1) for mask in masks])
        probabilities, logits = clf.predict(np.float32(shown))[:, target], clf.logits(np.float32(shown))[:, target]
        found = np.float64(logits if options.get("of") == "logit" else probabilities)
        saliency = sum(f * mask for f, mask in zip(found, masks, strict=True)) / (9 * keep)
        covariance = sum((f - found.mean()) * mask for f, mask in zip(found, masks, strict=True)) / 8
        terms = np.stack([(f - found.mean()) * (mask - keep) for f, mask in zip(found, masks, strict=True)]) / keep
        assert np.ptp(found) > 0.01
        np.testing.assert_allclose(record.arrays["saliency"][index], saliency, atol=1e-5)
        np.testing.assert_allclose(record.arrays["gain"][index], covariance / keep, atol=1e-5)
        error = terms.std(axis=0) / 3
        np.testing.assert_allclose(record.arrays["standard_error"][index], error, atol=1e-5)
        facts = {name: fact[index] for name, fact in record.facts.items()}
        assert facts["probability"] == pytest.approx(clf.predict(image[None])[0, target], rel=1e-4)
        assert facts["logit"] == pytest.approx(clf.logits(image[None])[0, target], rel=1e-4)
        assert facts["masked_probability"] == pytest.approx(probabilities.mean(), rel=1e-4)
        assert facts["masked_logit"] == pytest.approx(logits.mean(), rel=1e-4)
        gain = covariance / keep
        assert facts["relative_error"] == pytest.approx(np.sqrt((error**2).mean() / (gain**2).mean()), rel=1e-3)
        assert facts["peak"] == pytest.approx(gain.max(), abs=1e-5)
        assert record.arrays["gain"][index][tuple(facts["peak_pixel"])] == pytest.approx(facts["peak"])


@pytest.fixture
def linear(random):
    """A model whose first probability is 1/2 + Σ w x, its black −1; the weights, and an image."""
    weights = random.uniform(-0.006, 0.006, (*SMALL, 1)).astype(np.float32)
    clf = formula(np.concatenate([weights, -weights], axis=-1), keras.ops.log, bias=0.5)
    return clf, weights[..., 0].astype(np.float64), random.uniform(-1, 2, (1, *SMALL)).astype(np.float32)


def test_expectation_for_a_linear_probability(linear):
    """Over all 64 grids of 3×2 cells and all 4 shifts: S(λ) = f(black) + Σ w (x − black) E[M(μ) M(λ)] / p."""
    clf, weights, image = linear
    masks = [
        enlarged(np.reshape(bits, (3, 2)), top, left, (2, 2), SMALL[:2])
        for bits in product((0, 1), repeat=6)
        for top, left in product((0, 1), repeat=2)
    ]
    np.testing.assert_allclose(np.mean(masks, axis=0), 0.5)
    together = np.mean([np.multiply.outer(mask, mask) for mask in masks], axis=0)
    lit = (weights * (image[0] + 1)).sum(axis=-1)
    black = 0.5 - weights.sum()
    exact = black + np.tensordot(lit, together, 2) / 0.5
    mean = black + lit.sum() / 2
    record = cx.explain("rise", clf, image, target=0, masks=4000, cells=2)
    assert record.facts["masked_probability"][0] == pytest.approx(mean, abs=5e-3)
    error = record.arrays["standard_error"][0]
    away = (record.arrays["gain"][0] - (exact - mean)) / error
    assert np.abs(away).max() < 4
    assert np.abs(exact - mean).max() > 10 * error.max()
    np.testing.assert_allclose(record.arrays["saliency"][0], exact, atol=0.05)
    # Of the two classes the one gains what the other loses.
    other = cx.explain("rise", clf, image, target=1, masks=4000, cells=2).arrays["gain"][0]
    np.testing.assert_allclose(other, -record.arrays["gain"][0], atol=1e-5)


def test_standard_error_matches_other_seeds(linear):
    clf, _, image = linear
    records = [cx.explain("rise", clf, image, target=0, masks=100, cells=2, seed=seed) for seed in range(60)]
    spread = np.std([record.arrays["gain"][0] for record in records], axis=0, ddof=1)
    told = np.mean([record.arrays["standard_error"][0] for record in records], axis=0)
    np.testing.assert_allclose(spread, told, rtol=0.35)
    assert np.mean(spread) == pytest.approx(np.mean(told), rel=0.15)


def test_constant_models_have_no_gain(model, random):
    constant = model()
    constant.layers[-1].kernel.assign(np.zeros((8, 5)))
    record = cx.explain("rise", cx.load(constant), random.uniform(0, 1, (1, 12, 10, 3)), masks=20, cells=3)
    assert np.abs(record.arrays["gain"]).max() < 1e-7
    assert record.arrays["standard_error"].max() < 1e-7
    # The paper's map is the probability times how often each pixel happens to be shown.
    assert np.ptp(record.arrays["saliency"]) > 0.01
    record.figure().canvas.draw()


def test_results_depend_only_on_the_seed(model, random):
    clf, images = cx.load(model()), random.uniform(0, 1, (1, 12, 10, 3))
    first, again, other = (
        cx.explain("rise", clf, images, masks=10, cells=3, seed=seed).arrays["gain"] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-4


def test_results_do_not_depend_on_the_batch(model, random, monkeypatch):
    clf = cx.load(model())
    images = random.uniform(0, 1, (3, 12, 10, 3)).astype(np.float32)
    options = {"masks": 5, "cells": 4, "target": 2}
    alone = [cx.explain("rise", clf, images[i : i + 1], **options) for i in range(3)]
    together = cx.explain("rise", clf, images, **options)
    monkeypatch.setattr(clf, "batch_size", 4)
    seen = []
    chunked = cx.explain("rise", clf, images, progress=lambda *done: seen.append(done), **options)
    # In a batch of four, there is one copy of each image.
    assert seen == [(3, 15), (6, 15), (9, 15), (12, 15), (15, 15)]
    for index, record in enumerate(alone):
        for name, array in record.arrays.items():
            for other in (together, chunked):
                np.testing.assert_allclose(other.arrays[name][index], array[0], rtol=1e-3, atol=1e-5)


def test_strokes_of_a_digit_gain_the_most(lenet):
    """The probability of a four rises where its strokes are shown, and the corners say nothing."""
    record = cx.explain("rise", lenet, "mnist:test/42", masks=400)
    gain, error = record.arrays["gain"][0], record.arrays["standard_error"][0]
    row, column = record.facts["peak_pixel"][0]
    assert record.images[0, row - 2 : row + 3, column - 2 : column + 3].max() > 0.9
    assert gain[row, column] > 10 * error[row, column]
    assert np.abs(gain[[0, 0, 27, 27], [0, 27, 0, 27]]).max() < gain.max() / 4
    assert record.facts["cells"] == [[4, 4]]
    assert record.warnings == ()


def test_too_few_masks_give_a_warning(lenet):
    record = cx.explain("rise", lenet, "mnist:test/1", masks=5)
    assert record.facts["relative_error"][0] > 0.5
    assert any("--masks" in warning for warning in record.warnings)
    # One noisy map among several is told of, too.
    both = cx.explain("rise", lenet, ["mnist:test/1", "mnist:test/3"], masks=34)
    noisy, clear = both.facts["relative_error"]
    assert noisy > 0.55 > 0.5 > clear
    assert len(both.warnings) == 1


def test_noisy_maps_give_a_warning_and_suggest_the_logit(random):
    """A score that is another, as if at random, for every mask: no pixel raises it."""
    weights = random.normal(0, 30, (12, 10, 3, 2)).astype(np.float32)
    clf = formula(weights, keras.ops.sin, preprocess=cx.Preprocess(12, 10))
    image = random.uniform(0, 1, (1, 12, 10, 3)).astype(np.float32)
    for of in ("probability", "logit"):
        record = cx.explain("rise", clf, image, target=0, masks=200, cells=5, of=of)
        assert record.facts["relative_error"][0] > 0.8
        (warning,) = record.warnings
        assert warning.startswith("More than half of this map is noise: its standard error is ")
        assert ("--of logit" in warning) == (of == "probability")
        mean = f"{record.facts[f'masked_{of}'][0]:.3g}".replace("-", "−")
        assert record.analysis.finding(record, 0) == (
            f"Under 200 masks, the {of} of '0' is {mean} on average; the map is mostly noise."
        )


def test_rare_classes_suggest_the_logit(lenet):
    rare = cx.explain("rise", lenet, "mnist:test/42", target=5, masks=300)
    assert rare.facts["masked_probability"][0] < 0.01
    assert "below 1%" in rare.warnings[-1]
    logit = cx.explain("rise", lenet, "mnist:test/42", target=5, masks=300, of="logit")
    assert not logit.warnings
    assert logit.facts["masked_probability"] == rare.facts["masked_probability"]
    assert logit.analysis.unit("gain", logit.options) == "logits"
    mean = f"{logit.facts['masked_logit'][0]:.3g}".replace("-", "−")
    titles = [panel.get_title() for panel in logit.figure(0).axes]
    assert f"gain over logit {mean}" in titles
    row, column = logit.facts["peak_pixel"][0]
    words = logit.analysis.finding(logit, 0)
    assert words.endswith(f"from a mean of {mean} under the masks.")
    assert f"around row {row}, column {column}, raises the logit of '5' the most, by " in words


def test_large_images_have_seven_cells():
    """Along the shorter side, of 56 pixels, and along one of 80 as many of that size: 7 · 80 / 56 = 10."""
    for size, cells in (((56, 80), [7, 10]), ((80, 56), [10, 7])):
        clf = formula(np.zeros((*size, 3, 2), np.float32), preprocess=cx.Preprocess(*size))
        record = cx.explain("rise", clf, np.zeros((1, *size, 3), np.float32), masks=2)
        assert record.facts["cells"] == [cells]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cells": 11}, "--cells 11 is too many for images of 12×10 pixels; use at most 10."),
        ({"masks": 1}, "--masks takes a number from 2"),
        ({"keep": 1.0}, "--keep takes a number from 0.01 to 0.99"),
    ],
)
def test_invalid_options_are_refused(model, random, options, said):
    with pytest.raises(UsageError) as caught:
        cx.explain("rise", cx.load(model()), random.uniform(0, 1, (1, 12, 10, 3)), **options)
    assert said in str(caught.value)


def test_pictures_are_centered_on_zero(model, random):
    record = cx.explain("rise", cx.load(model()), random.uniform(0, 1, (2, 12, 10, 3)), masks=30, cells=3)
    panels = {panel.get_title(): panel for panel in record.figure(1).axes if panel.get_title()}
    title = next(title for title in panels if title.startswith("gain over") and title.endswith("%"))
    assert list(panels) == ["input", title, "gain over input", "standard error, 30 masks"]
    shown = panels[title].images[0]
    np.testing.assert_array_equal(shown.get_array(), record.arrays["gain"][1])
    most = np.abs(record.arrays["gain"][1]).max()
    assert shown.get_clim() == pytest.approx((-most, most))

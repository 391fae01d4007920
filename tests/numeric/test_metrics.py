"""The metrics against slow versions written from the papers, and where their scores are known."""

import itertools
import math
import zlib

import keras
import numpy as np
import pytest
from cnnexplain_plugins.metrics import imputation, multigrid
from functions import SHAPE, formula, weights_and_images

import cnnexplain as cx
from cnnexplain import checks
from cnnexplain.evaluation import scoring
from cnnexplain.plugin import registry


def nothing(images, target=None, classifier=None):
    raise AssertionError("This metric explains nothing again.")


def score(name, classifier, image, maps, target=0, *, mask=None, explain=nothing, seed=0):
    """The scores of maps of an image."""
    metric, plugin = registry.load().metrics.pick(name)
    sample = scoring.Sample(image, target, np.asarray(maps, np.float64), mask, explain)
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
            assert found[f"{fill}, logit"][number] == pytest.approx(logit, rel=1e-4, abs=1e-5)
            if classifier.head != "values":
                assert found[fill][number] == pytest.approx(probability, rel=1e-4, abs=1e-6)


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
    np.testing.assert_allclose(score("deletion", classifier, image, maps)["black, logit"], deleted, rtol=1e-5)
    inserted = np.array([3, 1]) / pixels + 4 * (pixels - 2 + 1 / 2) / pixels
    np.testing.assert_allclose(score("insertion", classifier, image, maps)["black, logit"], inserted, rtol=1e-5)


def test_a_map_of_equal_values_is_ranked_at_random_but_alike_for_all_methods(lenet, noise):
    maps = np.zeros((2, 28, 28))
    first, again, other = (score("deletion", lenet, noise[0], maps, 3, seed=seed)["black, logit"] for seed in (0, 0, 1))
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
    assert np.isnan(found["black"]).all()
    assert np.isfinite(found["black, logit"]).all()


def test_no_image_is_evaluated_twice(lenet, noise, random, monkeypatch):
    seen = []
    logits = type(lenet).logits
    monkeypatch.setattr(type(lenet), "logits", lambda self, images: seen.append(images) or logits(self, images))
    score("deletion", lenet, noise[0], random.normal(size=(5, 28, 28)), 3)
    # 27 images for each map between the two ends, for each fill.
    assert sum(map(len, seen)) == 2 * (5 * 27 + 2)
    images = np.concatenate(seen)
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images) - 1


def linear():
    """The classifier with the logits Σ w x, its weights, an image, and the exact attributions to a black baseline."""
    weights, images = weights_and_images()
    return formula(weights), weights, images[0], (weights[..., 2] * (images[0] + 1)).sum(axis=-1)


@pytest.mark.backends
def test_pixel_flipping_equals_pixel_by_pixel_replacement(lenet, noise, random):
    maps = random.normal(size=(2, 28, 28))
    found = score("pixel-flipping", lenet, noise[0], maps, 3)
    generator = seeded("pixel-flipping", noise[0])
    generator.permutation(28 * 28)
    flipped = generator.uniform(size=(28, 28, 1)).astype(np.float32)
    for number, each in enumerate(maps):
        order = sorted(np.ndindex(each.shape), key=lambda place, each=each: -each[place])
        falls = {}
        for name, path in (("MoRF", order), ("LeRF", order[::-1])):
            logits = curve(lenet, noise[0], flipped, path, 28, 3)[:, 1]
            falls[name] = np.mean(logits[0] - logits)
            assert found[name][number] == pytest.approx(falls[name], rel=1e-4, abs=1e-4)
        assert found["gap"][number] == pytest.approx(falls["MoRF"] - falls["LeRF"], abs=2e-4)


def seeded(name, image):
    """The generator that a metric gets for an image."""
    values = np.ascontiguousarray(image, np.float32).tobytes()
    return np.random.default_rng([0, zlib.crc32(values), zlib.crc32(name.encode())])


@pytest.mark.backends
def test_mu_fidelity_equals_the_correlation_over_the_same_subsets(lenet, noise, random):
    maps = random.normal(size=(2, 28, 28))
    found = score("mu-fidelity", lenet, noise[0], maps, 3)
    draws = seeded("mu-fidelity", noise[0]).random((128, 784))
    sums, falls = [], {"logit": [], "probability": []}
    before = lenet.logits(noise[:1])[0].astype(np.float64)
    for draw in draws:
        image, chosen = noise[0].copy(), np.argsort(draw) < 157
        image[chosen.reshape(28, 28)] = 0
        after = lenet.logits(image[None])[0].astype(np.float64)
        sums.append([each.ravel()[chosen].sum() for each in maps])
        falls["logit"].append(before[3] - after[3])
        falls["probability"].append(softmax(before)[3] - softmax(after)[3])
    for name, values in falls.items():
        for number in range(2):
            exact = np.corrcoef(np.array(sums)[:, number], values)[0, 1]
            assert found[name][number] == pytest.approx(exact, abs=1e-4)


def test_exact_attributions_have_perfect_fidelity():
    classifier, _, image, exact = linear()
    maps = np.stack([exact, 2 * exact, -exact, np.ones_like(exact)])
    fidelity = score("mu-fidelity", classifier, image, maps, 2)["logit"]
    np.testing.assert_allclose(fidelity[:3], [1, 1, -1], atol=1e-5)
    # The sum of a constant over subsets of a fixed size never changes.
    assert np.isnan(fidelity[3])
    found = score("infidelity", classifier, image, maps, 2)
    # A map with the wrong sign is not a multiple of the right one.
    np.testing.assert_allclose(found["scaled"][:3], [0, 0, 1], atol=1e-5)
    assert found["scaled"][3] > 0.1
    assert found["unscaled"][0] == pytest.approx(0, abs=1e-8)
    # Twice the exact attributions miss each fall by its own size, minus the exact ones by twice as much.
    assert found["unscaled"][2] == pytest.approx(4 * found["unscaled"][1], rel=1e-3)
    residual = score("completeness", classifier, image, maps, 2)["residual"]
    np.testing.assert_allclose(residual[:3], [0, 1, 2], atol=1e-4)


@pytest.mark.backends
def test_infidelity_equals_its_definition_over_the_same_squares(lenet, noise, random):
    maps = random.normal(size=(2, 28, 28))
    maps = np.concatenate([maps, -maps])
    found = score("infidelity", lenet, noise[0], maps, 3)
    generator = seeded("infidelity", noise[0])
    sides = generator.integers(1, 10, 128, endpoint=True)
    tops = generator.integers(0, 28 - sides, endpoint=True)
    lefts = generator.integers(0, 28 - sides, endpoint=True)
    before = float(lenet.logits(noise[:1])[0, 3])
    sums, falls = np.zeros((4, 128)), np.zeros(128)
    for number, (top, left, side) in enumerate(zip(tops, lefts, sides, strict=True)):
        image = noise[0].copy()
        image[top : top + side, left : left + side] = 0
        falls[number] = before - float(lenet.logits(image[None])[0, 3])
        sums[:, number] = maps[:, top : top + side, left : left + side].sum(axis=(1, 2))
    total, factors = (falls**2).sum(), []
    for number in range(4):
        assert found["unscaled"][number] == pytest.approx(np.mean((sums[number] - falls) ** 2), rel=1e-4)
        (factor,), (rest,), *_ = np.linalg.lstsq(sums[number][:, None], falls, rcond=None)
        factors.append(factor)
        assert found["scaled"][number] == pytest.approx(rest / total if factor > 0 else 1, rel=1e-4)
        assert rest == pytest.approx(((factor * sums[number] - falls) ** 2).sum(), rel=1e-6)
    assert min(factors) < 0 < max(factors)


def test_scaled_infidelity_does_not_depend_on_the_unit_of_the_map(lenet, noise, random):
    values = random.normal(size=(28, 28))
    found = score("infidelity", lenet, noise[0], np.stack([values, 1e30 * values, 1e-300 * values]), 3)["scaled"]
    np.testing.assert_allclose(found, found[0], rtol=1e-9)


def test_sparseness_and_complexity_by_hand(lenet, noise):
    single, equal, signed = np.zeros((3, 28, 28))
    single[3, 5], equal[:] = -2, 0.1
    signed[0, :3] = 1, -2, 3
    maps = np.stack([single, equal, signed, np.zeros((28, 28))])
    gini = score("sparseness", lenet, noise[0], maps)["Gini"]
    # By the definition as the mean difference of all pairs, relative to twice the mean.
    flat = np.abs(maps.reshape(4, -1))
    pairs = [np.abs(each[:, None] - each).mean() / (2 * each.mean()) for each in flat[:3]]
    np.testing.assert_allclose(gini[:3], pairs, atol=1e-12)
    assert gini[0] == pytest.approx(1 - 1 / 784)
    entropy = score("complexity", lenet, noise[0], maps)["entropy"]
    shares = np.array([1, 2, 3]) / 6
    np.testing.assert_allclose(entropy[:3], [0, math.log(784), -(shares * np.log(shares)).sum()], atol=1e-12)
    assert np.isnan(gini[3])
    assert np.isnan(entropy[3])


def test_completeness_of_integrated_gradients_is_its_convergence_delta(lenet, noise):
    record = cx.explain("integrated-gradients", lenet, noise[:1], target=3, steps=8)
    found = score("completeness", lenet, noise[0], record.arrays["pixel_attribution"], 3)["residual"]
    np.testing.assert_allclose(found, record.facts["relative_convergence_delta"], atol=1e-5)


def test_completeness_is_not_defined_if_the_logits_are_equal(lenet):
    black = np.zeros((28, 28, 1), np.float32)
    assert np.isnan(score("completeness", lenet, black, np.ones((2, 28, 28)))["residual"]).all()


def test_completeness_is_not_defined_if_the_logits_differ_by_rounding_only():
    weights = np.zeros((*SHAPE, 2), np.float32)
    weights[0, 0, 0, 0], maps = 1, np.ones((2, *SHAPE[:2]))
    classifier = formula(weights, bias=1.0, preprocess=cx.Preprocess(*SHAPE[:2]))
    residuals = []
    for value in (1e-6, 1e-5, 1e-3):
        image = np.zeros(SHAPE, np.float32)
        image[0, 0, 0] = value
        residuals.append(score("completeness", classifier, image, maps)["residual"][0])
    assert np.isnan(residuals[:2]).all()
    assert residuals[2] == pytest.approx((12 - 1e-3) / 1e-3, rel=1e-3)


def test_max_sensitivity_is_the_largest_change_of_the_map(lenet, noise):
    """Of the methods x, 3 x², and a constant; and of a method that can't explain again."""
    seen = []

    def methods(images):
        return np.stack([images[..., 0], 3 * images[..., 0] ** 2, np.ones_like(images[..., 0])]).astype(np.float64)

    def explain(images, target=None, classifier=None):
        seen.append((images, target, classifier))
        return np.concatenate([methods(images), np.full((1, *images.shape[:3]), np.nan)])

    maps = np.concatenate([methods(noise[:1])[:, 0], np.ones((1, 28, 28))])
    found = score("max-sensitivity", lenet, noise[0], maps, 3, explain=explain)["relative"]
    ((copies, target, classifier),) = seen
    assert (target, classifier) == (None, None)
    assert copies.shape == (10, 28, 28, 1)
    assert 0.019 < np.abs(copies - noise[0]).max() <= 0.0201
    for number in range(3):
        changes = [np.linalg.norm(methods(copy[None])[number, 0] - maps[number]) for copy in copies]
        assert found[number] == pytest.approx(max(changes) / np.linalg.norm(maps[number]), rel=1e-5)
    assert found[2] == 0
    assert np.isnan(found[3])


def slow_ssim(first, second):
    """Wang et al. 2004, equation 13, for each 7×7 window of values from 0 to 1."""
    c1, c2, values = 0.01**2, 0.03**2, []
    for i in range(first.shape[0] - 6):
        for j in range(first.shape[1] - 6):
            a, b = first[i : i + 7, j : j + 7].ravel(), second[i : i + 7, j : j + 7].ravel()
            covariance = np.cov(a, b)
            top = (2 * a.mean() * b.mean() + c1) * (2 * covariance[0, 1] + c2)
            values.append(top / ((a.mean() ** 2 + b.mean() ** 2 + c1) * (covariance[0, 0] + covariance[1, 1] + c2)))
    return np.mean(values)


def test_random_logit_compares_with_the_map_of_another_class(lenet, noise, random):
    maps, again, seen = random.normal(size=(3, 28, 28)), random.normal(size=(3, 28, 28)), []
    again[1] = 5 * maps[1]

    def explain(images, target=None, classifier=None):
        seen.append(target)
        return again[:, None] if len(images) == 1 else None

    found = score("random-logit", lenet, noise[0], maps, 3, explain=explain)["SSIM"]
    assert seen[0] in set(range(10)) - {3}
    for number in (0, 2):
        scaled = np.stack([each[number] / np.abs(each[number]).max() for each in (maps, again)])
        scaled = (scaled - scaled.min()) / (scaled.max() - scaled.min())
        assert found[number] == pytest.approx(slow_ssim(*scaled), rel=1e-6)
    # A method that does not depend on the class has the same map but for its scale.
    assert found[1] == pytest.approx(1)


def test_a_map_that_changes_its_sign_with_the_class_is_not_similar(lenet, noise, random):
    smooth = np.add.outer(np.sin(np.arange(28) / 3), np.cos(np.arange(28) / 5))
    maps = np.stack([random.normal(size=(28, 28)), smooth, np.ones((28, 28))])
    found = score("random-logit", lenet, noise[0], maps, 3, explain=lambda *_, **__: -maps[:, None])["SSIM"]
    assert found[0] < -0.5
    assert (found[1:] < 0.1).all()


@pytest.mark.parametrize("shape", [(1, 9, 3), (9, 1, 3), (1, 1, 3)])
def test_random_logit_of_inputs_with_a_side_of_one_pixel(shape, random):
    classifier = formula(random.normal(size=(*shape, 3)).astype(np.float32), preprocess=cx.Preprocess(*shape[:2]))
    maps = random.uniform(0.1, 1, (1, *shape[:2]))
    found = score("random-logit", classifier, np.ones(shape, np.float32), maps, explain=lambda *_, **__: maps[:, None])
    assert found["SSIM"] == pytest.approx(1)


@pytest.mark.parametrize("values", [False, True])
def test_random_logit_needs_two_outputs(values, random):
    model = keras.Sequential([keras.Input((4, 3, 3)), keras.layers.Flatten(), keras.layers.Dense(1 + values)])
    classifier = cx.load(model, values=True, preprocess=cx.Preprocess(4, 3))
    maps, seen = random.uniform(0.1, 1, (1, 4, 3)), []

    def explain(images, target=None, classifier=None):
        seen.append(target)
        return maps[:, None]

    for target in range(2 + 2 * values):
        found = score("random-logit", classifier, np.ones((4, 3, 3), np.float32), maps, target, explain=explain)
        assert found["SSIM"] == pytest.approx(1 if values else np.nan, nan_ok=True)
    # Of two values, the other one is compared, for what decreases it as well.
    assert seen == ([1, 0, 3, 2] if values else [])


@pytest.mark.backends
def test_the_controls_do_not_depend_on_the_class(lenet, noise):
    board = cx.benchmark(["saliency"], lenet, noise[:1], metrics=["random-logit", "max-sensitivity"])
    similar = dict(zip(board.methods, board.scores("random-logit")[0], strict=True))
    assert [similar[name] for name in ("random", "sobel", "gaussian")] == pytest.approx([1, 1, 1])
    assert similar["saliency"] < 0.9
    assert board.scores("max-sensitivity")[0, list(board.methods).index("gaussian")] == 0


def weighted(images, classifier):
    """Maps that depend on the image and the weights: of two methods, and of one that ignores the weights."""
    weights = np.resize(classifier.model.get_weights()[0], (28, 28))
    values = images[..., 0].astype(np.float64)
    return np.stack([weights * values, np.abs(weights) + values**2, values])


def explains_with(lenet):
    def explain(images, target=None, classifier=None):
        found = weighted(images, classifier or lenet)
        unknown, constant = np.full_like(found[:1], np.nan), np.ones_like(found[:1])
        return np.concatenate([found, unknown, constant])

    return explain


@pytest.mark.backends
def test_smprt_equals_the_public_check_of_each_method(lenet, noise):
    explain = explains_with(lenet)
    found = score("smprt", lenet, noise[0], explain(noise[:1])[:, 0], 3, explain=explain)
    for number in range(3):
        expected = checks.smprt(
            lambda images, classifier, number=number: weighted(images, classifier)[number],
            lenet,
            noise[:1],
            seeded("smprt", noise[0]),
            depths=(0.5, 1.0),
        )
        half, whole = found["lower half"][number], found["all layers"][number]
        assert (half, whole) == pytest.approx(np.abs(expected), abs=1e-9)
    assert found["all layers"][2] == pytest.approx(1)
    assert found["all layers"][0] < 0.9
    assert np.isnan(found["all layers"][3:]).all()


@pytest.mark.backends
def test_emprt_is_the_relative_rise_of_the_entropy(lenet, noise):
    explain, network = explains_with(lenet), checks.shuffled(lenet)
    found = score("emprt", lenet, noise[0], explain(noise[:1])[:, 0], 3, explain=explain)["rise"]
    for number in range(3):
        entropies = []
        for classifier in (lenet, network):
            counts, _ = np.histogram(weighted(noise[:1], classifier)[number], 100)
            entropies.append(-sum(count / 784 * math.log(count / 784) for count in counts if count))
        assert found[number] == pytest.approx((entropies[1] - entropies[0]) / entropies[0], abs=1e-9)
    assert found[2] == 0
    assert np.isnan(found[3:]).all()


@pytest.mark.backends
def test_the_shuffled_network_is_compiled_once_and_has_the_weights_of_the_check(lenet, noise):
    """Whatever was asked for before, and without a change of the user's model."""
    before, network = lenet.logits(noise), checks.shuffled_network(lenet, 1.0)
    for share in (0.5, 1.0, 1.0, 0.5):
        assert checks.shuffled_network(lenet, share) is network
        expected = checks.shuffled(lenet, share)
        for found, weight in zip(network.model.get_weights(), expected.model.get_weights(), strict=True):
            np.testing.assert_array_equal(found, weight)
        # The compiled function reads the weights at each call.
        np.testing.assert_allclose(network.logits(noise), expected.logits(noise), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(lenet.logits(noise), before)


@pytest.mark.backends
def test_the_shuffled_network_follows_the_weights_of_the_model(lenet, monkeypatch):
    """Also after a call that was interrupted."""
    model = keras.models.clone_model(lenet.model)
    model.set_weights(lenet.model.get_weights())
    classifier = cx.load(model)
    network = checks.shuffled_network(classifier, 0.5)
    model.set_weights([2 * weight + 1 for weight in model.get_weights()])

    def check():
        expected = checks.shuffled(classifier, 0.5)
        assert checks.shuffled_network(classifier, 0.5) is network
        for found, weight in zip(network.model.get_weights(), expected.model.get_weights(), strict=True):
            np.testing.assert_array_equal(found, weight)

    def interrupted(weights):
        for variable, weight in list(zip(network.model.weights, weights, strict=True))[:2]:
            variable.assign(weight)
        raise KeyboardInterrupt

    check()
    with monkeypatch.context() as patch:
        patch.setattr(network.model, "set_weights", interrupted)
        with pytest.raises(KeyboardInterrupt):
            checks.shuffled_network(classifier, 1.0)
    check()


def test_emprt_of_maps_that_hardly_vary(lenet, noise):
    maps = np.stack([1 + 1e-15 * (noise[0, ..., 0] > 0.5), 1e-320 * noise[0, ..., 0].astype(np.float64)])
    found = score("emprt", lenet, noise[0], maps, 3, explain=lambda *_, **__: maps[:, None])["rise"]
    np.testing.assert_array_equal(found, 0)


def test_the_controls_do_not_depend_on_the_weights(lenet, noise):
    weights = [each.copy() for each in lenet.model.get_weights()]
    board = cx.benchmark(["saliency"], lenet, noise[:1], metrics=["smprt", "emprt"])
    similar, rises = (dict(zip(board.methods, board.scores(name)[0], strict=True)) for name in ("smprt", "emprt"))
    for name in ("random", "sobel", "gaussian", "|input − black|"):
        assert (similar[name], rises[name]) == pytest.approx((1, 0))
    assert similar["saliency"] < 0.9
    assert np.isfinite(rises["saliency"])
    for before, after in zip(weights, lenet.model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def solved(image, removed):
    """The linear system of Rong et al. 2022, one equation for each removed pixel, by elimination."""
    places = {place: number for number, place in enumerate(zip(*np.nonzero(removed), strict=True))}
    matrix, right = np.zeros((len(places), len(places))), np.zeros((len(places), image.shape[-1]))
    for (row, column), number in places.items():
        for down, across in itertools.product((-1, 0, 1), repeat=2):
            other = (row + down, column + across)
            if (down, across) == (0, 0) or not (0 <= other[0] < image.shape[0] and 0 <= other[1] < image.shape[1]):
                continue
            weight = 1 / 12 if down and across else 1 / 6
            matrix[number, number] += weight
            if other in places:
                matrix[number, places[other]] -= weight
            else:
                right[number] += weight * image[other]
    # Elimination within the band of the matrix; weights that sum to 1 need no pivoting.
    band = 2 * image.shape[1] + 2
    for number in range(len(right)):
        below = slice(number + 1, number + band)
        factors = matrix[below, number] / matrix[number, number]
        matrix[below, below] -= factors[:, None] * matrix[number, below]
        right[below] -= factors[:, None] * right[number]
    for number in range(len(right))[::-1]:
        beyond = slice(number + 1, number + band)
        right[number] = (right[number] - matrix[number, beyond] @ right[beyond]) / matrix[number, number]
    filled = image.astype(np.float64).copy()
    filled[removed] = right
    return filled


@pytest.mark.parametrize("channels", [1, 3])
def test_imputation_solves_the_papers_linear_system(channels, random):
    image = random.uniform(-1, 2, (13, 18, channels)).astype(np.float32)
    removed = np.zeros((4, 13, 18), bool)
    removed[0, 2:9, 3:15] = removed[1, :, 1:] = True
    removed[2] = random.random((13, 18)) < 0.9
    removed[3, 5, 5] = True
    noise = random.normal(size=image.shape)
    found = imputation.imputed(image, removed, np.zeros_like(image))
    for number in range(4):
        np.testing.assert_allclose(found[number], solved(image, removed[number]), atol=1e-3)
        np.testing.assert_array_equal(found[number][~removed[number]], image[~removed[number]])
    assert np.abs(imputation.imputed(np.full_like(image, 0.3), removed, noise * 0) - 0.3).max() < 1e-6
    noisy = imputation.imputed(image, removed, noise)
    np.testing.assert_allclose(noisy - found, removed[..., None] * noise, atol=1e-5)


@pytest.mark.parametrize("shape", [(33, 40), (1, 17), (5, 5)])
def test_imputation_of_large_regions(shape, random):
    image = random.uniform(-1, 2, (*shape, 1)).astype(np.float32)
    removed = random.random((3, *shape)) < np.array([0.9, 0.5, 0])[:, None, None]
    removed[2] = True
    removed[:, 0, 0] = removed[2, -1, -1] = False
    found = imputation.imputed(image, removed, np.zeros_like(image))
    for number in range(3):
        np.testing.assert_allclose(found[number], solved(image, removed[number]), atol=1e-3)


@pytest.mark.parametrize("shape", [(300, 1), (600, 2), (1000, 4), (400, 8)])
@pytest.mark.parametrize("share", [0.9, 1])
def test_imputation_of_elongated_images(shape, share, random):
    image = random.uniform(-1, 2, (*shape, 1)).astype(np.float32)
    image[: shape[0] // 2] *= 0.2
    removed = random.random(shape) < share
    ends = shape[0] // 20
    removed[:ends] = removed[-ends:] = False
    expected = solved(image, removed)
    for swapped in (False, True):
        inputs = [np.swapaxes(each, 0, 1) if swapped else each for each in (image, removed)]
        found = imputation.imputed(inputs[0], inputs[1][None], np.zeros_like(inputs[0]))[0]
        np.testing.assert_allclose(np.swapaxes(found, 0, 1) if swapped else found, expected, atol=1.5e-3)


def test_imputation_far_from_zero_is_as_exact(random):
    image = random.uniform(-1, 2, (13, 18, 1)).astype(np.float32)
    removed = random.random((1, 13, 18)) < 0.9
    near, far = (imputation.imputed(each, removed, np.zeros_like(image)) for each in (image, image + 1e4))
    np.testing.assert_allclose(far - 1e4, near, atol=5e-3)
    np.testing.assert_array_equal(far[0][~removed[0]], (image + 1e4)[~removed[0]])


def test_imputation_of_a_single_pixel_removes_nothing():
    image = np.full((1, 1, 1), 0.5, np.float32)
    np.testing.assert_array_equal(imputation.imputed(image, np.zeros((2, 1, 1), bool), image), 0.5)


def test_imputation_that_does_not_converge_is_an_error(random, monkeypatch):
    monkeypatch.setattr(imputation, "MOST", 2)
    removed = random.random((1, 13, 18)) < 0.9
    with pytest.raises(cx.errors.CnnExplainError, match="not solved in 2 steps"):
        imputation.imputed(random.uniform(size=(13, 18, 1)), removed, np.zeros((13, 18, 1)))


def test_coarse_residuals_are_the_transpose_of_interpolated_corrections(random):
    """As conjugate gradients need a symmetric preconditioner."""
    coarse, fine = random.normal(size=(4, 5, 2)), random.normal(size=(7, 10, 2))
    np.testing.assert_allclose(
        (multigrid.interpolated(coarse, fine.shape) * fine).sum(), (coarse * multigrid.restricted(fine)).sum()
    )


@pytest.mark.backends
def test_road_removes_the_most_and_the_least_relevant_pixels(random):
    classifier, _, image, _ = linear()
    maps = random.normal(size=(2, *SHAPE[:2]))
    found = score("road", classifier, image, maps, 2)
    generator = seeded("road", image)
    generator.permutation(12)
    noise = 0.01 * 3 * generator.normal(size=SHAPE)
    for number, each in enumerate(maps):
        order = sorted(np.ndindex(each.shape), key=lambda place, each=each: -each[place])
        means = {}
        for name, path in (("MoRF", order), ("LeRF", order[::-1])):
            values = []
            for count in (1, 4, 6, 8, 11):
                removed = np.zeros(each.shape, bool)
                removed[tuple(np.transpose(path[:count]))] = True
                copy = solved(image, removed) + removed[..., None] * noise
                values.append(softmax(classifier.logits(copy[None].astype(np.float32))[0].astype(np.float64))[2])
            means[name] = np.mean(values)
            assert found[name][number] == pytest.approx(means[name], abs=1e-3)
        assert found["gap"][number] == pytest.approx(means["LeRF"] - means["MoRF"], abs=2e-3)

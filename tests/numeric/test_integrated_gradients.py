"""Integrated gradients against the definition and the axioms of Sundararajan, Taly, Yan 2017."""

import json

import keras
import numpy as np
import oracles
import pytest
from functions import RANGE, SHAPE, formula, weights_and_images

import cnnexplain as cx
from cnnexplain import Logit, draw
from cnnexplain.errors import UsageError


@pytest.fixture(scope="module")
def oracle(lenet):
    return oracles.LeNet(lenet.model.get_weights())


@pytest.fixture(scope="module")
def digits(lenet):
    return cx.read_images(["mnist:test/42", "mnist:test/8", "mnist:test/0"], lenet)


def test_three_steps_equal_hand_computation(lenet, oracle, noise):
    """Gauss and Legendre's rule of three places, from a table: the gradients of the oracle in float64."""
    record = cx.explain("integrated-gradients", lenet, noise, target=[3, 8, 1, 4], steps=3, baseline="0.25")
    for index, (image, target) in enumerate(zip(noise.astype(np.float64), [3, 8, 1, 4], strict=True)):
        places = [0.5 - np.sqrt(0.15), 0.5, 0.5 + np.sqrt(0.15)]
        gradients = oracle.gradient(np.stack([0.25 + place * (image - 0.25) for place in places]), [target] * 3)
        exact = (image - 0.25) * np.tensordot([5 / 18, 8 / 18, 5 / 18], gradients, 1)
        np.testing.assert_allclose(record.arrays["attribution"][index], exact, atol=1e-4 * np.abs(exact).max())
        np.testing.assert_allclose(record.arrays["pixel_attribution"][index], record.arrays["attribution"][index, ..., 0])
        scores = oracle.logits(np.stack([image, np.full_like(image, 0.25)]))[:, target]
        facts = {name: fact[index] for name, fact in record.facts.items()}
        assert [facts["logit"], facts["baseline_logit"]] == pytest.approx(scores, rel=1e-4)
        assert facts["difference"] == pytest.approx(scores[0] - scores[1], rel=1e-3)
        assert facts["sum"] == pytest.approx(exact.sum(), abs=1e-3)
        assert facts["convergence_delta"] == pytest.approx(exact.sum() - scores[0] + scores[1], abs=2e-3)
        assert facts["relative_convergence_delta"] == pytest.approx(abs(facts["convergence_delta"] / facts["difference"]))
    assert min(map(abs, record.facts["convergence_delta"])) > 1e-3


@pytest.mark.parametrize(
    ("baseline", "behind"),
    [("black", -1), ("white", 2), ("gray", 0.5), ("1.25", 1.25), ("mean", "mean"), ("blur", "blur")],
)
def test_linear_models_are_attributed_by_their_weights(baseline, behind):
    weights, images = weights_and_images()
    clf = formula(weights, bias=0.7)
    record = cx.explain("integrated-gradients", clf, images, target=[0, 2], baseline=baseline, steps=2)
    if behind == "mean":
        behind = images.mean(axis=(1, 2), keepdims=True)
    elif behind == "blur":
        behind = record.arrays["baseline"]
        # Under a Gaussian of 3/8 pixels a pixel keeps most of itself, and the whole about its mean.
        assert 0.1 < np.abs(behind - images).max() < np.abs(images - images.mean()).max()
        assert np.abs(behind.mean() - images.mean()) < 0.1
    np.testing.assert_allclose(record.arrays["baseline"], np.broadcast_to(behind, images.shape), rtol=1e-5, atol=1e-6)
    exact = weights[..., [0, 2]].transpose(3, 0, 1, 2) * (images - behind)
    np.testing.assert_allclose(record.arrays["attribution"], exact, atol=1e-5)
    np.testing.assert_allclose(record.arrays["pixel_attribution"], exact.sum(axis=-1), atol=1e-5)
    np.testing.assert_allclose(record.facts["sum"], exact.sum(axis=(1, 2, 3)), atol=1e-4)
    assert np.abs(record.facts["convergence_delta"]).max() < 1e-4


@pytest.mark.parametrize(("power", "steps"), [(2, 1), (3, 2), (5, 3)])
def test_powers_are_exact(power, steps):
    """S = u^k with u = w·x: pixel i gets its share w_i (x_i − b_i) / (u − u_b) of u^k − u_b^k, and few steps suffice."""
    weights, images = weights_and_images()
    record = cx.explain("integrated-gradients", formula(weights, lambda u: u**power), images, target=1, steps=steps)
    w, x = weights[..., 1].astype(np.float64), images.astype(np.float64)
    u, nothing = (w * x).sum(axis=(1, 2, 3), keepdims=True), -w.sum()
    exact = w * (x + 1) / (u - nothing) * (u**power - nothing**power)
    np.testing.assert_allclose(record.arrays["attribution"], exact, atol=1e-4 * np.abs(exact).max())
    assert max(record.facts["relative_convergence_delta"]) < 1e-4


def test_sensitivity_axiom():
    """The paper's example: 1 − ReLU(1 − x) is flat at x = 2, but what lifts it from 0 to 1 on the way from 0 is x."""
    weights = np.zeros((*SHAPE, 2), np.float32)
    weights[1, 2, 0] = 1
    clf = formula(weights, lambda u: 1 - keras.ops.relu(1 - u))
    image = np.random.default_rng(0).uniform(-1, 2, (1, *SHAPE)).astype(np.float32)
    image[0, 1, 2, 0] = 2
    assert not cx.explain("saliency", clf, image, target=0).arrays["saliency"].any()
    found = cx.explain("integrated-gradients", clf, image, target=0, baseline="0").arrays["attribution"][0]
    assert found[1, 2, 0] == pytest.approx(1, abs=1e-5)
    # What the function doesn't read gets nothing.
    found[1, 2, 0] = 0
    assert not found.any()


def test_implementation_invariance():
    """u, and ReLU(u) − ReLU(−u), and a network of two layers are the same function: so are the attributions."""
    weights, images = weights_and_images()

    def split(u):
        return keras.ops.relu(u) - keras.ops.relu(-u)

    def deep(u):
        return keras.layers.Dense(3, use_bias=False, kernel_initializer="identity")(2 * u) / 2

    found = [
        cx.explain("integrated-gradients", formula(weights, function), images, target=2, steps=4).arrays["attribution"]
        for function in (lambda u: u, split, deep)
    ]
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)
    np.testing.assert_allclose(found[2], found[0], atol=1e-5)


def test_linearity(lenet, digits):
    def attribution(**asked):
        return cx.explain("integrated-gradients", lenet, digits, steps=5, **asked).arrays["attribution"]

    four, nine = attribution(target=4), attribution(target=9)
    np.testing.assert_allclose(attribution(target=4, against=9), four - nine, atol=1e-5)
    both = attribution(target=[2 * Logit(4) + 0.5 * Logit(9)] * 3)
    np.testing.assert_allclose(both, 2 * four + 0.5 * nine, atol=1e-5)


@pytest.mark.parametrize("baseline", ["black", "gray", "blur"])
def test_completeness_on_digits(lenet, digits, baseline):
    record = cx.explain("integrated-gradients", lenet, digits, baseline=baseline)
    targets = lenet.predict(digits).argmax(axis=1)
    scores = [lenet.logits(images)[range(3), targets] for images in (digits, record.arrays["baseline"])]
    sums = record.arrays["attribution"].sum(axis=(1, 2, 3))
    np.testing.assert_allclose(sums, scores[0] - scores[1], rtol=0.02)
    assert record.warnings == ()


def test_more_steps_reduce_the_residual(lenet, digits):
    residuals = {}
    for steps in (1, 8, 128):
        record = cx.explain("integrated-gradients", lenet, digits, steps=steps)
        residuals[steps] = np.mean(record.facts["relative_convergence_delta"])
        told = [warning for warning in record.warnings if "--steps" in warning]
        assert bool(told) == (max(record.facts["relative_convergence_delta"]) > 0.05) == (steps == 1)
    assert residuals[1] > 3 * residuals[8] > 9 * residuals[128]


def test_baseline_equal_to_the_image_gives_zero(lenet):
    record = cx.explain("integrated-gradients", lenet, np.zeros((1, 28, 28, 1), np.float32))
    assert not record.arrays["attribution"].any()
    assert record.facts["relative_convergence_delta"] == [None]
    assert record.facts["convergence_delta"] == [0]
    assert record.warnings == ()
    assert json.dumps(dict(record.facts))
    record.figure().canvas.draw()


def test_results_do_not_depend_on_the_batch(model, random, monkeypatch):
    clf = cx.load(model())
    images = random.uniform(0, 1, (3, 12, 10, 3)).astype(np.float32)
    options = {"steps": 5, "target": 2, "baseline": "mean"}
    alone = [cx.explain("integrated-gradients", clf, images[i : i + 1], **options) for i in range(3)]
    together = cx.explain("integrated-gradients", clf, images, **options)
    monkeypatch.setattr(clf, "batch_size", 4)
    seen = []
    chunked = cx.explain("integrated-gradients", clf, images, progress=lambda *done: seen.append(done), **options)
    # In a batch of four, there is one copy of each image.
    assert seen == [(3, 15), (6, 15), (9, 15), (12, 15), (15, 15)]
    for index, record in enumerate(alone):
        for name, array in record.arrays.items():
            for other in (together, chunked):
                np.testing.assert_allclose(other.arrays[name][index], array[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("baseline", "said"),
    [
        ("blakc", "--baseline takes gray, black, white, mean, blur or a number, but got 'blakc'. Did you mean 'black'?"),
        ("2.5", "--baseline 2.5 is outside the model's input range, -1 to 2."),
    ],
)
@pytest.mark.parametrize("name", ["integrated-gradients", "gradient-x-input"])
def test_invalid_baselines_are_refused(name, baseline, said):
    weights, images = weights_and_images()
    with pytest.raises(UsageError) as caught:
        cx.explain(name, formula(weights), images, baseline=baseline)
    assert said in str(caught.value)
    assert RANGE.black.tolist() == [-1, -1, -1]


def test_pictures_are_centered_on_zero(lenet, digits):
    record = cx.explain("integrated-gradients", lenet, digits, steps=20)
    figure = record.figure(1)
    panels = {panel.get_title().partition(":")[0]: panel for panel in figure.axes if panel.get_title()}
    assert list(panels) == ["input", "baseline", "attribution", "attribution over input"]
    shown = panels["attribution"].images[0]
    np.testing.assert_array_equal(shown.get_array(), record.arrays["pixel_attribution"][1])
    most = np.percentile(np.abs(record.arrays["pixel_attribution"][1]), 99.5)
    assert shown.get_clim() == pytest.approx((-most, most))


def test_the_finding_names_the_largest_attribution(lenet, digits):
    record = cx.explain("integrated-gradients", lenet, digits[:1], steps=20, target=4)
    values = record.arrays["pixel_attribution"][0]
    row, column = np.unravel_index(np.abs(values).argmax(), values.shape)
    words = record.analysis.finding(record, 0)
    before, after = (f"{record.facts[name][0]:.3g}".replace("-", "−") for name in ("baseline_logit", "logit"))
    assert words.startswith(f"From the baseline to the image, the score of '4' goes from {before} to {after}; the ")
    assert words.endswith(f"around row {row}, column {column}.")
    np.testing.assert_array_equal(record.analysis.overlay(record, 0), values)


def test_region_sums_are_drawn_on_request(lenet, digits):
    record = cx.explain("integrated-gradients", lenet, digits[:1], steps=20)
    values = record.arrays["pixel_attribution"][0]
    before = values.copy()
    with draw.use_style(draw.Style(regions=7)):
        panels = {panel.get_title(): panel for panel in record.figure(0).axes}
        shown, words = record.analysis.overlay(record, 0), record.analysis.finding(record, 0)
    assert shown[0, 0] == pytest.approx(values[:7, :7].sum(), abs=1e-5)
    assert shown[27, 8] == pytest.approx(values[21:, 7:14].sum(), abs=1e-5)
    assert shown.sum() == pytest.approx(49 * values.sum(), rel=1e-4)
    assert "is that of the 7×7 pixels at " in words
    pixels = panels["sums over 7×7 pixels"].images[0].get_array()
    np.testing.assert_allclose(pixels, draw.overlay_rgb(record, 0, shown, limit=draw.percentile_limit(shown), signed=True))
    np.testing.assert_array_equal(values, before)

"""Gradient × input against its definition (Shrikumar et al. 2016) and where it is exact (Ancona et al. 2018)."""

import keras
import numpy as np
import oracles
import pytest
from functions import SHAPE, formula, weights_and_images

import cnnexplain as cx


def test_digits_equal_the_oracle(lenet, noise):
    oracle = oracles.LeNet(lenet.model.get_weights())
    record = cx.explain("gradient-x-input", lenet, noise, target=[3, 8, 1, 4])
    exact = noise * oracle.gradient(noise, [3, 8, 1, 4])
    np.testing.assert_allclose(record.arrays["attribution"], exact, atol=1e-4 * np.abs(exact).max())
    np.testing.assert_array_equal(record.arrays["pixel_attribution"], record.arrays["attribution"][..., 0])
    np.testing.assert_allclose(record.facts["sum"], exact.sum(axis=(1, 2, 3)), atol=1e-3)
    scores, nothing = (oracle.logits(images)[range(4), [3, 8, 1, 4]] for images in (noise, np.zeros_like(noise)))
    np.testing.assert_allclose(record.facts["difference"], scores - nothing, rtol=1e-3)
    np.testing.assert_allclose(record.facts["convergence_delta"], exact.sum(axis=(1, 2, 3)) - scores + nothing, atol=2e-3)
    # The network has biases, so that a residual is left.
    assert np.abs(record.facts["convergence_delta"]).max() > 0.01


@pytest.mark.parametrize(
    ("baseline", "behind"), [(None, 0), ("0", 0), ("black", -1), ("white", 2), ("gray", 0.5), ("-0.25", -0.25)]
)
def test_complete_for_linear_models(baseline, behind):
    weights, images = weights_and_images()
    record = cx.explain("gradient-x-input", formula(weights, bias=0.7), images, target=[0, 2], baseline=baseline)
    exact = weights[..., [0, 2]].transpose(3, 0, 1, 2) * (images - np.float32(behind))
    np.testing.assert_allclose(record.arrays["attribution"], exact, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(record.arrays["pixel_attribution"], exact.sum(axis=-1), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(record.facts["sum"], record.facts["difference"], atol=1e-4)
    assert np.abs(record.facts["convergence_delta"]).max() < 1e-4


def test_each_image_has_its_own_baseline():
    weights, images = weights_and_images()
    clf = formula(weights, bias=0.7)
    record = cx.explain("gradient-x-input", clf, images, target=[0, 2], baseline="mean")
    behind = np.broadcast_to(images.mean(axis=(1, 2), keepdims=True), images.shape)
    scores, nothing = (clf.logits(each)[[0, 1], [0, 2]] for each in (images, behind))
    np.testing.assert_allclose(record.facts["baseline_logit"], nothing, rtol=1e-4)
    np.testing.assert_allclose(record.facts["difference"], scores - nothing, rtol=1e-4)
    assert abs(clf.logits(behind[:1])[0, 2] - nothing[1]) > 0.01


def test_numbers_equal_hand_computation():
    """S = 3 x₁ − 2 x₂ + 1 at x = (0.5, 1): 1.5 and −2, together −0.5, which is the score less the bias."""
    weights = np.zeros((*SHAPE, 2), np.float32)
    weights[0, 1, 2, 0], weights[3, 0, 1, 0] = 3, -2
    image = np.zeros((1, *SHAPE), np.float32)
    image[0, 0, 1, 2], image[0, 3, 0, 1] = 0.5, 1
    record = cx.explain("gradient-x-input", formula(weights, bias=1.0), image, target=0)
    assert record.arrays["pixel_attribution"][0, 0, 1] == 1.5
    assert record.arrays["pixel_attribution"][0, 3, 0] == -2
    assert record.facts["sum"] == [-0.5]
    assert (record.facts["logit"], record.facts["baseline_logit"]) == ([0.5], [1.0])
    assert record.facts["relative_convergence_delta"] == [0]


def test_complete_for_relu_networks_without_biases(random):
    """It is homogeneous, so that the gradient times x is the score (Ancona et al. 2018, section 3.1)."""
    model = keras.Sequential(
        [
            keras.Input((12, 10, 3)),
            keras.layers.Conv2D(6, 3, activation="relu", use_bias=False),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(8, activation="relu", use_bias=False),
            keras.layers.Dense(5, use_bias=False),
        ]
    )
    for weight in model.weights:
        weight.assign(random.normal(0, 0.3, weight.shape))
    clf = cx.load(model)
    images = random.uniform(-1, 1, (3, 12, 10, 3)).astype(np.float32)
    record = cx.explain("gradient-x-input", clf, images, target=[0, 1, 2])
    scores = clf.logits(images)[range(3), [0, 1, 2]]
    assert np.abs(scores).min() > 0.01
    np.testing.assert_allclose(record.arrays["attribution"].sum(axis=(1, 2, 3)), scores, rtol=1e-4)
    assert record.facts["baseline_logit"] == [0, 0, 0]
    assert max(record.facts["relative_convergence_delta"]) < 1e-4


def test_saturation_leaves_a_residual():
    """1 − ReLU(1 − x) at x = 2: the gradient is nothing, though x lifts the score from 0 to 1."""
    weights = np.zeros((*SHAPE, 2), np.float32)
    weights[1, 2, 0] = 1
    image = np.full((1, *SHAPE), 2, np.float32)
    record = cx.explain("gradient-x-input", formula(weights, lambda u: 1 - keras.ops.relu(1 - u)), image, target=0)
    assert not record.arrays["attribution"].any()
    assert (record.facts["difference"], record.facts["convergence_delta"], record.facts["relative_convergence_delta"]) == (
        [1],
        [-1],
        [1],
    )


def test_batches_equal_single_images_and_differences_subtract(model, random):
    clf = cx.load(model())
    images = random.uniform(0, 1, (3, 12, 10, 3)).astype(np.float32)

    def attribution(images, **asked):
        return cx.explain("gradient-x-input", clf, images, baseline="blur", **asked).arrays["attribution"]

    together = attribution(images, target=1)
    for index in range(3):
        np.testing.assert_allclose(attribution(images[index : index + 1], target=1)[0], together[index], atol=1e-5)
    np.testing.assert_allclose(
        attribution(images, target=1, against=3), together - attribution(images, target=3), rtol=1e-4, atol=1e-5
    )


def test_pictures_are_centered_on_zero(lenet, noise):
    for baseline, title in ((None, "x · ∂S/∂x"), ("white", "(x − white) · ∂S/∂x")):
        record = cx.explain("gradient-x-input", lenet, noise[:2], baseline=baseline)
        panels = {panel.get_title(): panel for panel in record.figure(1).axes if panel.get_title()}
        assert list(panels) == ["input", title, "attribution over input"]
        shown = panels[title].images[0]
        np.testing.assert_array_equal(shown.get_array(), record.arrays["pixel_attribution"][1])
        most = np.percentile(np.abs(record.arrays["pixel_attribution"][1]), 99.5)
        assert shown.get_clim() == pytest.approx((-most, most))
        total = f"{record.facts['sum'][1]:+.3g}".replace("-", "−")
        assert f" add up to {total} logits; the score minus the baseline's is" in record.analysis.finding(record, 1)

"""SmoothGrad against its definition (Smilkov et al. 2017, section 2), one noisy copy after the other."""

import keras
import numpy as np
import oracles
import pytest
from functions import formula, weights_and_images

import cnnexplain as cx
from cnnexplain import Logit
from cnnexplain.errors import UsageError


@pytest.fixture(scope="module")
def oracle(lenet):
    return oracles.LeNet(lenet.model.get_weights())


def copies(image, samples, noise, seed):
    """The noisy copies: the noise of copy s is drawn from the seed and s alone, whatever the image is."""
    draws = [np.random.default_rng([seed, s]).standard_normal(image.shape, np.float32) for s in range(samples)]
    return np.stack([image + noise * draw for draw in draws])


def test_mean_gradient_equals_the_oracle(lenet, oracle, noise):
    targets = [3, 8, 1, 4]
    record = cx.explain("smoothgrad", lenet, noise, target=targets, samples=7, noise=0.2, seed=5)
    for index, image in enumerate(noise):
        gradients = oracle.gradient(copies(image, 7, 0.2, 5), [targets[index]] * 7)
        mean, deviation = gradients.mean(axis=0), gradients.std(axis=0, ddof=1)
        scale = np.abs(gradients).max()
        np.testing.assert_allclose(record.arrays["gradient"][index], mean, atol=1e-4 * scale)
        np.testing.assert_allclose(record.arrays["deviation"][index], deviation, atol=1e-4 * scale)
        np.testing.assert_allclose(record.arrays["smoothgrad"][index], np.abs(mean)[..., 0], atol=1e-4 * scale)
        facts = {name: fact[index] for name, fact in record.facts.items()}
        assert facts["standard_error"] == pytest.approx(np.sqrt((deviation**2 / 7).mean()), rel=1e-3)
        assert facts["relative_error"] == pytest.approx(np.sqrt((deviation**2 / 7).mean() / (mean**2).mean()), rel=1e-3)
        assert facts["logit"] == pytest.approx(oracle.logits(image[None])[0, targets[index]], rel=1e-4)
        assert facts["peak"] == pytest.approx(np.abs(mean).max(), rel=1e-3)
        assert record.arrays["smoothgrad"][index][tuple(facts["peak_pixel"])] == pytest.approx(facts["peak"])


def test_without_noise_equals_saliency(lenet):
    images = cx.read_images(["mnist:test/42", "mnist:test/0"], lenet)
    plain = cx.explain("saliency", lenet, images)
    record = cx.explain("smoothgrad", lenet, images, noise=0.0, samples=5)
    scale = plain.arrays["saliency"].max()
    np.testing.assert_allclose(record.arrays["gradient"], plain.arrays["gradient"], rtol=0, atol=1e-6 * scale)
    np.testing.assert_allclose(record.arrays["smoothgrad"], plain.arrays["saliency"], rtol=0, atol=1e-6 * scale)
    assert record.arrays["deviation"].max() < 1e-5 * scale
    assert record.facts["peak_pixel"] == plain.facts["peak_pixel"]


def test_noise_does_not_affect_linear_models():
    weights, images = weights_and_images()
    record = cx.explain("smoothgrad", formula(weights, bias=0.3), images, target=[0, 2], samples=3)
    np.testing.assert_array_equal(record.arrays["gradient"], weights[..., [0, 2]].transpose(3, 0, 1, 2))
    np.testing.assert_array_equal(record.arrays["smoothgrad"], np.abs(record.arrays["gradient"]).max(axis=-1))
    assert not record.arrays["deviation"].any()
    assert record.facts["relative_error"] == [0, 0]


def test_noise_is_a_share_of_the_channel_range():
    """S = (w·x)²/2 has the gradient (w·x) w, whose deviation under noise σ is |w_i| ‖σ w‖."""
    weights, images = weights_and_images(count=1)
    # Ways from black to white of 255 / 85 = 3 for red, and of 1.5 and 6.
    uneven = cx.Preprocess(4, 3, scale=1 / 85, mean=(1.0, 1.0, 1.0), std=(1.0, 2.0, 0.5))
    clf = formula(weights, lambda u: keras.ops.square(u) / 2, preprocess=uneven)
    record = cx.explain("smoothgrad", clf, images, target=1, samples=4000, error=0.0, noise=0.1)
    w, sigma = weights[..., 1].astype(np.float64), 0.1 * np.array([3, 1.5, 6])
    exact = np.abs(w) * np.sqrt(((sigma * w) ** 2).sum())
    np.testing.assert_allclose(record.arrays["deviation"][0], exact, rtol=0.05)
    gradient = (w * images[0]).sum() * w
    error = exact / np.sqrt(4000)
    assert (np.abs(record.arrays["gradient"][0] - gradient) < 4 * error).all()


def test_error_falls_as_the_square_root_of_copies():
    weights, images = weights_and_images(count=1)
    clf = formula(weights, lambda u: keras.ops.square(u) / 2)
    spread = {}
    for samples in (4, 64):
        asked = {"target": 1, "samples": samples, "error": 0.0}
        records = [cx.explain("smoothgrad", clf, images, seed=seed, **asked) for seed in range(60)]
        means = np.stack([record.arrays["gradient"][0] for record in records])
        spread[samples] = np.sqrt(means.var(axis=0, ddof=1).mean())
        told = np.sqrt(np.mean([record.facts["standard_error"][0] ** 2 for record in records]))
        assert told == pytest.approx(spread[samples], rel=0.2)
    assert spread[4] / spread[64] == pytest.approx(4, rel=0.25)


def test_each_image_stops_at_its_error(lenet, oracle, noise):
    """Blank images and digits need few copies, noise needs many; the same alone as in a batch, whatever the batches are."""
    images = np.concatenate([cx.read_images(["mnist:test/42"], lenet), noise[:1]])
    asked = {"target": [4, 3], "samples": 90, "noise": 0.5, "seed": 2}
    expected = []
    for image, target in zip(images, asked["target"], strict=True):
        gradients = oracle.gradient(copies(image, 90, 0.5, 2), [target] * 90)
        # After 32, 64 and all of 90 copies.
        errors = {}
        for count in (32, 64, 90):
            mean, variance = gradients[:count].mean(axis=0), gradients[:count].var(axis=0, ddof=1)
            errors[count] = np.sqrt((variance / count).mean() / (mean**2).mean())
        expected.append(errors)
    bound = np.sqrt(expected[0][32] * expected[1][32])
    assert expected[0][32] < 0.8 * bound < bound < 0.8 * expected[1][32]
    record = cx.explain("smoothgrad", lenet, images, error=bound, **asked)
    stops = [next((count for count, each in errors.items() if each <= bound), 90) for errors in expected]
    assert record.facts["samples"] == stops
    assert stops[0] == 32 < stops[1]
    for index, errors in enumerate(expected):
        assert record.facts["relative_error"][index] == pytest.approx(errors[stops[index]], rel=1e-3)
        assert record.facts["stopped_by"][index] == ("error" if errors[stops[index]] <= bound else "samples")
        alone = cx.explain("smoothgrad", lenet, images[index : index + 1], error=bound, **asked | {"target": [4, 3][index]})
        assert alone.facts["samples"] == [stops[index]]
        np.testing.assert_allclose(alone.arrays["gradient"][0], record.arrays["gradient"][index], rtol=1e-4, atol=1e-5)


def test_insufficient_copies_are_reported(lenet, noise):
    seen = []
    record = cx.explain(
        "smoothgrad", lenet, noise[:2], samples=40, noise=0.5, error=0.01, progress=lambda *done: seen.append(done)
    )
    assert record.facts["samples"] == [40, 40]
    assert record.facts["stopped_by"] == ["samples", "samples"]
    assert min(record.facts["relative_error"]) > 0.01
    (warning,) = record.warnings
    assert "above --error 0.01 after 40 copies" in warning
    assert "after 40 copies the map has a relative error of" in record.analysis.finding(record, 0)
    assert seen[-1] == (80, 80)
    sure = cx.explain("smoothgrad", lenet, noise[:2], samples=40, error=1.0, progress=lambda *done: seen.append(done))
    assert sure.facts["samples"] == [32, 32]
    assert sure.facts["stopped_by"] == ["error", "error"]
    assert not sure.warnings
    assert not cx.explain("smoothgrad", lenet, noise[:1], samples=3, error=0.0).warnings


def test_results_depend_only_on_the_seed(lenet, noise):
    first, again, other = (
        cx.explain("smoothgrad", lenet, noise[:1], samples=4, seed=seed).arrays["gradient"] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01 * np.abs(first).max()


def test_results_do_not_depend_on_the_batch(model, random, monkeypatch):
    clf = cx.load(model())
    images = random.uniform(0, 1, (3, 12, 10, 3)).astype(np.float32)
    alone = [cx.explain("smoothgrad", clf, images[i : i + 1], samples=5, target=2) for i in range(3)]
    together = cx.explain("smoothgrad", clf, images, samples=5, target=2)
    monkeypatch.setattr(clf, "batch_size", 4)
    seen = []
    chunked = cx.explain("smoothgrad", clf, images, samples=5, target=2, progress=lambda *done: seen.append(done))
    # In a batch of four, there is one copy of each image.
    assert seen == [(3, 15), (6, 15), (9, 15), (12, 15), (15, 15)]
    for index, record in enumerate(alone):
        for name, array in record.arrays.items():
            for other in (together, chunked):
                np.testing.assert_allclose(other.arrays[name][index], array[0], rtol=1e-4, atol=1e-5)


def test_differences_of_classes_subtract(model, random):
    clf = cx.load(model())
    images = random.uniform(0, 1, (1, 12, 10, 3)).astype(np.float32)

    def gradient(**asked):
        return cx.explain("smoothgrad", clf, images, samples=4, **asked).arrays["gradient"]

    difference = gradient(target=1) - gradient(target=3)
    np.testing.assert_allclose(gradient(target=1, against=3), difference, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gradient(target=[2 * Logit(1) - 2 * Logit(3)]), 2 * difference, rtol=1e-4, atol=1e-5)


def test_a_single_copy_is_refused(lenet, noise):
    with pytest.raises(UsageError, match="--samples takes a number from 2"):
        cx.explain("smoothgrad", lenet, noise, samples=1)


def test_the_picture_shows_the_map(lenet, noise):
    record = cx.explain("smoothgrad", lenet, noise[:2], samples=2, noise=0.3)
    figure = record.figure(1)
    panels = {panel.get_title(): panel for panel in figure.axes if panel.get_title()}
    assert list(panels) == ["input", "|mean ∂S/∂x|, 2 copies, noise 0.3", "map over input"]
    shown = panels["|mean ∂S/∂x|, 2 copies, noise 0.3"].images[0]
    np.testing.assert_array_equal(shown.get_array(), record.arrays["smoothgrad"][1])
    assert shown.get_clim() == pytest.approx((0, np.percentile(record.arrays["smoothgrad"][1], 99.5)))


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf-keras-vis needs TensorFlow")
def test_tf_keras_vis_agrees_within_the_error(model, random):
    """A second implementation with noise of its own, told not to take magnitudes before it averages, as it does by default.

    It adds the copies up one within the other, so that more than some hundred exceed what Python can nest.
    """
    saliency = pytest.importorskip("tf_keras_vis.saliency")
    sequential = model("logits")
    functional = keras.Model(sequential.inputs, sequential.outputs)
    image = random.uniform(0, 1, (1, 12, 10, 3)).astype(np.float32)
    np.random.seed(0)  # noqa: NPY002  # Its noise comes from there.
    theirs = saliency.Saliency(functional, clone=False)(
        lambda y: y[:, 2],
        image,
        smooth_samples=200,
        smooth_noise=0.1,
        gradient_modifier=None,
        keepdims=True,
        normalize_map=False,
    )
    span = float(image.max() - image.min())
    ours = cx.explain("smoothgrad", cx.load(functional), image, target=2, samples=2000, error=0.0, noise=0.1 * span).arrays
    error = ours["deviation"] * np.sqrt(1 / 200 + 1 / 2000)
    assert (np.abs(ours["gradient"] - theirs) < 5 * error + 1e-6).all()
    assert np.abs(theirs).max() > 20 * error.max()

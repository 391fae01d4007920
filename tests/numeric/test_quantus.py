"""The adapter for Quantus, and our metrics against those of Quantus where both follow the paper (if it is installed)."""

import keras
import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain.errors import UsageError


def test_an_analysis_is_callable_with_channels_first_and_last(lenet, noise):
    explain = cx.explain_func("gradcam:method=layercam,layer=conv1", lenet)
    maps = cx.explain("gradcam", lenet, noise, target=[3, 8, 1, 4], method="layercam", layer="conv1").arrays["map"]
    targets = np.array([3, 8, 1, 4])
    np.testing.assert_allclose(explain(None, noise, targets)[..., 0], maps, rtol=1e-5, atol=1e-6)
    first = explain(model=None, inputs=noise.transpose(0, 3, 1, 2), targets=targets, device="cpu")
    assert first.shape == (4, 1, 28, 28)
    np.testing.assert_allclose(first[:, 0], maps, rtol=1e-5, atol=1e-6)
    with pytest.raises(UsageError, match=r"shape \(4, 28, 27, 1\); the model takes \(N, 28, 28, 1\)"):
        explain(None, noise[:, :, 1:], targets)
    with pytest.raises(UsageError, match="no analysis 'salency'"):
        cx.explain_func("salency", lenet)


@pytest.fixture
def quantus():
    return pytest.importorskip("quantus")


@pytest.fixture
def board(lenet, noise):
    names = ["sparseness", "complexity", "max-sensitivity", "completeness"]
    return cx.benchmark("integrated-gradients:steps=16", lenet, noise, metrics=names, target=[3, 8, 1, 4])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "ours"), [("Sparseness", "sparseness"), ("Complexity", "complexity")])
def test_sparseness_and_complexity_equal_those_of_quantus(name, ours, quantus, board, lenet, noise):
    explain, classes = cx.explain_func("integrated-gradients:steps=16", lenet), np.array([3, 8, 1, 4])
    metric = getattr(quantus, name)(abs=True, normalise=False, disable_warnings=True)
    theirs = metric(model=lenet.model, x_batch=noise, y_batch=classes, explain_func=explain, channel_first=False)
    # Quantus adds a small number to every pixel before it takes shares.
    np.testing.assert_allclose(board.scores(ours)[:, 0], theirs, rtol=1e-3)


@pytest.mark.filterwarnings("ignore")
def test_max_sensitivity_is_in_the_range_of_that_of_quantus(quantus, board, lenet, noise):
    explain, classes = cx.explain_func("integrated-gradients:steps=16", lenet), np.array([3, 8, 1, 4])
    metric = quantus.MaxSensitivity(
        nr_samples=10,
        lower_bound=0.02,
        abs=False,
        normalise=False,
        disable_warnings=True,
        return_nan_when_prediction_changes=False,
    )
    theirs = metric(model=lenet.model, x_batch=noise, y_batch=classes, explain_func=explain, channel_first=False)
    # Both are the maximum over ten random draws.
    np.testing.assert_allclose(board.scores("max-sensitivity")[:, 0], theirs, rtol=0.3)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "ours"), [("RelevanceRankAccuracy", "relevance-rank"), ("RelevanceMassAccuracy", "relevance-mass")]
)
def test_metrics_for_masks_equal_those_of_quantus(name, ours, quantus, lenet, noise, random):
    masks, maps = random.random((4, 28, 28)) < 0.2, random.uniform(size=(4, 28, 28))
    found = cx.benchmark([], lenet, noise, metrics=ours, maps={"given": maps}, masks=masks).scores(ours)[:, 0]
    metric = getattr(quantus, name)(abs=False, normalise=False, disable_warnings=True)
    theirs = metric(
        model=lenet.model,
        x_batch=noise.transpose(0, 3, 1, 2),
        y_batch=np.array([3, 8, 1, 4]),
        a_batch=maps[:, None],
        s_batch=masks[:, None],
        channel_first=True,
    )
    np.testing.assert_allclose(found, theirs, rtol=1e-6)


@pytest.fixture
def scores_model(lenet, noise):
    """A functional model of the LeNet's logits, as Quantus builds models from the outputs of layers."""
    copy = keras.models.clone_model(lenet.model)
    copy.set_weights(lenet.model.get_weights())
    inputs = keras.Input(lenet.preprocess.shape)
    x = inputs
    for layer in copy.layers[:-1]:
        x = layer(x)
    last = copy.layers[-1]
    if last.weights:
        scores = keras.layers.Dense(last.units, name="scores")
        x = scores(x)
        scores.set_weights(last.get_weights())
    model = keras.Model(inputs, x)
    np.testing.assert_allclose(np.asarray(model(noise)), lenet.logits(noise), atol=1e-4)
    return model


@pytest.mark.filterwarnings("ignore")
def test_deletion_is_the_area_under_the_curve_of_pixel_flipping_of_quantus(quantus, lenet, noise, random, scores_model):
    maps, classes = random.normal(size=(4, 28, 28)), np.array([3, 8, 1, 4])
    found = cx.benchmark([], lenet, noise, metrics="deletion", maps={"given": maps}, target=classes.tolist())
    metric = quantus.PixelFlipping(
        features_in_step=28, perturb_baseline="black", abs=False, normalise=False, disable_warnings=True
    )
    curves = metric(
        model=scores_model,
        x_batch=noise,
        y_batch=classes,
        a_batch=maps[:, None],
        channel_first=False,
        softmax=False,
    )
    # The curves of Quantus begin after the first step.
    start = lenet.logits(noise)[np.arange(4), classes]
    areas = [np.trapezoid([first, *curve], dx=1 / 28) for first, curve in zip(start, curves, strict=True)]
    np.testing.assert_allclose(found.scores("deletion", "black, logit")[:, 0], areas, rtol=1e-3, atol=1e-3)


@pytest.mark.filterwarnings("ignore")
def test_mu_fidelity_is_faithfulness_correlation_of_quantus_except_for_the_random_subsets(quantus, lenet, scores_model):
    analysis = "integrated-gradients:steps=16"
    digits = np.asarray(cx.read_images([f"mnist:test/{number}" for number in range(16)], lenet))
    classes = lenet.logits(digits).argmax(axis=1)
    ours = cx.benchmark(analysis, lenet, digits, metrics="mu-fidelity").scores("mu-fidelity", "logit")[:, 0]
    metric = quantus.FaithfulnessCorrelation(
        nr_runs=128,
        subset_size=157,
        perturb_baseline="black",
        abs=False,
        normalise=False,
        disable_warnings=True,
        return_aggregate=False,
    )
    np.random.seed(0)  # noqa: NPY002  # Its subsets come from there.
    theirs = metric(
        model=scores_model,
        x_batch=digits,
        y_batch=classes,
        a_batch=cx.explain_func(analysis, lenet)(None, digits, classes)[..., 0][:, None],
        channel_first=False,
        softmax=False,
    )
    # Both are correlations over 128 random subsets of a fifth of the pixels. Their differences have a standard deviation of
    # 0.05, and that of the mean over 16 images is 0.012. Subsets of half this size raise the mean by 0.05.
    np.testing.assert_allclose(ours, theirs, atol=0.2)
    assert ours.mean() == pytest.approx(np.mean(theirs), abs=0.03)

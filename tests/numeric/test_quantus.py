"""The adapter for Quantus, and our metrics against those of Quantus where both follow the paper (if it is installed)."""

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

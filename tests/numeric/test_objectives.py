"""Objectives: their arithmetic, values and gradients, and how they are asked for."""

import numpy as np
import oracles
import pytest

import cnnexplain as cx
from cnnexplain import Channel, Direction, Logit, Neuron
from cnnexplain.errors import UsageError


def test_differences_subtract(lenet, noise):
    """A subtraction that added stayed for years in a well-known toolkit."""
    logits = lenet.logits(noise)
    found = lenet.values(noise, [Logit(4) - Logit(9)] * 4)
    np.testing.assert_allclose(found, logits[:, 4] - logits[:, 9], rtol=1e-5, atol=1e-5)
    mixed = 2 * (Logit(1) + Logit("2") * 0.5) - Logit(3) - (-Logit(0))
    expected = 2 * logits[:, 1] + logits[:, 2] - logits[:, 3] + logits[:, 0]
    np.testing.assert_allclose(lenet.values(noise, [mixed] * 4), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(lenet.values(noise, [Logit(1) - Logit(1)] * 4), 0, atol=1e-6)


def test_gradients_of_differences_equal_the_oracle(lenet, noise):
    oracle = oracles.LeNet(lenet.model.get_weights())
    exact = oracle.gradient(noise, [4] * 4) - oracle.gradient(noise, [9] * 4)
    found = lenet.gradient(noise, [Logit(4) - Logit(9)] * 4)
    np.testing.assert_allclose(found, exact, atol=1e-4 * np.abs(exact).max())


def test_channels_are_means_and_neurons_single_values(lenet, noise):
    maps = lenet.activations(noise, ["conv2", "dense"])
    objectives = [Channel("conv2", 3), Neuron("conv2", 2, 5, 7), Channel("dense", 11), Channel("conv2", 3) - Logit(2)]
    expected = [
        maps["conv2"][0, ..., 3].mean(),
        maps["conv2"][1, 2, 5, 7],
        maps["dense"][2, 11],
        maps["conv2"][3, ..., 3].mean() - lenet.logits(noise)[3, 2],
    ]
    np.testing.assert_allclose(lenet.values(noise, objectives), expected, rtol=1e-4, atol=1e-5)
    gradient = lenet.gradient(noise, objectives)
    for index, objective in enumerate(objectives):
        alone = lenet.gradient(noise[[index]], [objective])[0]
        np.testing.assert_allclose(gradient[index], alone, rtol=1e-4, atol=1e-6)
    # conv2's unit (2, 5) sees rows 4 to 17 and columns 10 to 23.
    seen = np.argwhere(gradient[1, ..., 0])
    assert (seen.min(axis=0) >= [4, 10]).all()
    assert (seen.max(axis=0) <= [17, 23]).all()


def test_directions_weigh_channel_means(lenet, noise, random):
    maps, dense = random.normal(size=30), random.normal(size=500)
    outputs = lenet.activations(noise, ["conv2", "dense"])
    objectives = [Direction("conv2", maps), Direction("dense", dense), 2 * Direction("conv2", maps) - Logit(1)]
    expected = [outputs["conv2"][0].mean(axis=(0, 1)) @ maps, outputs["dense"][1] @ dense]
    expected.append(2 * outputs["conv2"][2].mean(axis=(0, 1)) @ maps - lenet.logits(noise)[2, 1])
    np.testing.assert_allclose(lenet.values(noise[:3], objectives), expected, rtol=1e-4, atol=1e-4)
    assert str(objectives[0]) == "conv2:direction"
    assert str(Direction("conv2", maps, name="strokes") - Logit(1)) == "strokes − 1"
    assert Direction("conv2", np.arange(3)) == Direction("conv2", (0.0, 1.0, 2.0))
    for wrong in ([0, 0], [[1, 2]], [np.nan, 1]):
        with pytest.raises(UsageError, match="finite numbers, not all 0"):
            Direction("conv2", wrong)


def test_objectives_describe_themselves():
    assert str(Logit(4) - Logit(9)) == "4 − 9"
    assert (
        str(-Logit(4) + 2.5 * Channel("conv2", 3) - 0.5 * Neuron("a/b", 1, 2, 3)) == "−4 + 2.5 · conv2:3 − 0.5 · a/b:1,2,3"
    )
    assert (Logit(0) - Logit(1)).describe(["cat", "dog"]) == "cat − dog"
    assert Logit(4) == Logit(4)
    with pytest.raises(TypeError):
        Logit(4) - 3


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        (Logit(10), "no class 10"),
        (Logit("cat"), "no class labeled 'cat'"),
        (Channel("conv9", 0), "no layer 'conv9'. Did you mean 'conv"),
        (Channel("conv2", 30), "'conv2' has no unit 30: they go from 0 to 29"),
        (Channel("conv2", -1), "no unit -1"),
        (Neuron("conv2", 8, 0, 0), "'conv2' has no unit 8, 0, 0: they go from 0 to 7, 7, 29"),
        (Neuron("dense", 0, 0, 0), r"'dense' \(Dense\) has no feature maps"),
        (Direction("conv2", [1, 2]), "has 2 numbers, but the layer 'conv2' has 30"),
    ],
)
def test_missing_layers_and_classes_are_refused(lenet, noise, objective, words):
    with pytest.raises(UsageError, match=words):
        lenet.gradient(noise[:1], [objective])


def test_targets_may_be_objectives_with_against(lenet, noise):
    by_name = cx.explain("saliency", lenet, noise, target=4, against=9)
    by_objective = cx.explain("saliency", lenet, noise, target=Logit(4) - Logit(9))
    np.testing.assert_array_equal(by_name.arrays["gradient"], by_objective.arrays["gradient"])
    np.testing.assert_allclose(by_name.facts["logit"], lenet.logits(noise)[:, 4] - lenet.logits(noise)[:, 9], rtol=1e-4)
    first = by_name.explained[0]
    assert (first.target, first.objective) == (4, "4 − 9")
    assert (by_objective.explained[0].target, by_objective.explained[0].objective) == (None, "4 − 9")
    assert "target 4 − 9" in by_name.figure(0).get_suptitle()
    plain = cx.explain("saliency", lenet, noise, target=4)
    assert plain.explained[0].objective is None
    assert np.abs(plain.arrays["gradient"] - by_name.arrays["gradient"]).max() > 0.01
    # Without a target each prediction is held against the class.
    wondered = cx.explain("saliency", lenet, noise[:1], against=int(lenet.logits(noise[:1]).argmin()))
    assert wondered.explained[0].target == lenet.predict(noise[:1]).argmax()
    mapped = cx.explain("saliency", lenet, noise, target=[3, "4", Channel("conv2", 3), Logit(1)], against=[1, 2, 3, 4])
    assert [each.objective for each in mapped.explained] == ["3 − 1", "4 − 2", "conv2:3 − 3", "1 − 4"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"target": 4, "against": 4}, r"different classes \(both are '4'\)"),
        ({"target": 4, "against": [1, 2]}, "'against' has 2 entries for 4 targets"),
        ({"against": "cat"}, "no class labeled 'cat'"),
        ({"target": [Logit(1)]}, "1 targets for 4 images"),
        ({"dataset": "mnist:test"}, "does not search a data set and takes none"),
    ],
)
def test_invalid_targets_are_refused(lenet, noise, given, words):
    with pytest.raises(UsageError, match=words):
        cx.explain("saliency", lenet, noise, **given)


def test_contrastive_targets_on_the_command_line(cli, tmp_path):
    code, out, _ = cli("run", "saliency", "mnist:test/42", "--target", "4", "--against", "9")
    assert code == 0
    assert "4 − 9" in out
    code, _, err = cli("run", "saliency", "--target", "4", "--against", "4")
    assert (code, err.splitlines()[-1]) == (
        2,
        "Error: The target and 'against' must be different classes (both are '4'). Choose another class; the "
        "default target is the prediction.",
    )

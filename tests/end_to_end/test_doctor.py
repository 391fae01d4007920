"""What `cnnexplain doctor` understands of a model, and what it finds."""

import re

import keras
import networks
import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain import doctor
from cnnexplain.doctor import examine
from cnnexplain.plugin import registry


@pytest.fixture
def photos(random):
    """Twenty images of pixels from 0 to 255, smooth as photographs are."""
    coarse = random.uniform(0, 255, (20, 3, 2, 3))
    return coarse.repeat(3, axis=1).repeat(4, axis=2).round().astype(np.uint8)


@pytest.fixture
def untried(monkeypatch):
    """No analysis is installed, so that none is tried."""
    monkeypatch.setattr(registry, "load", lambda: registry.collect([]))


def network(graph, head="softmax", **options):
    net, model = networks.build(graph, head)
    return net, cx.load(model, **{"preprocess": cx.Preprocess(*networks.SHAPE[:2]), **options})


def test_a_sound_model_passes(photos):
    _, clf = network("residual")
    found = examine(clf, photos)
    assert (found.findings, found.well, found.images) == ((), True, 20)
    assert {trial.analysis: trial.works for trial in found.trials} == dict.fromkeys(registry.load().analyses, True)
    (noisy,) = next(trial.remarks for trial in found.trials if trial.analysis == "rise")
    assert noisy.startswith("With --masks 8: The maps of some images are partly noise")
    stem = {report.layer.name: report for report in found.layers}["stem"]
    assert (stem.layer.kind, stem.layer.shape, stem.layer.parameters) == ("Conv2D", (5, 4, 4), 3 * 3 * 3 * 4 + 4)
    assert (stem.field.rows.size, stem.unknown, stem.rules, stem.refused) == (3, "", ("guided", "deconvnet"), "")
    assert sum(report.layer.parameters for report in found.layers) == clf.model.count_params()


def test_shared_parameters_are_counted_once():
    _, clf = network("shared")
    assert [clf.layer(name).parameters for name in ("conv", "conv:2")] == [3 * 3 * 3 * 3 + 3, 0]


def test_unsupported_layers_are_named(photos):
    _, clf = network("dilated")
    found = examine(clf, photos)
    reports = {report.layer.name: report for report in found.layers}
    assert (reports["conv"].rules, reports["conv"].refused) == (("guided", "deconvnet"), "")
    assert reports["leaky"].rules == reports["pool"].rules == ("guided",)
    assert "'leaky' (LeakyReLU) is an activation other than ReLU" in reports["leaky"].refused
    assert "'leaky' (LeakyReLU)" in reports["pool"].refused
    # What is refused is left out, and the rest is shown.
    trials = {trial.analysis: trial for trial in found.trials}
    assert trials["deconvnet"].works
    assert "The rule 'deconvnet' is left out for leaky: The layer 'leaky' (LeakyReLU)" in trials["deconvnet"].remarks[0]
    assert found.well


def test_a_guessed_input_range_is_reported(photos, untried):
    _, model = networks.build("plain", "softmax")
    found = examine(cx.load(model), photos)
    assert any("input range is unknown: pixels are scaled to 0 to 1" in words for words in found.findings)
    assert not found.well


def calibrated(photos, scale, mean):
    """A network whose normalization learned from these photographs in that range of the input."""
    net, model = networks.build("residual", "softmax")
    layer = net.steps[1][1]
    given = photos.astype(np.float64) * scale - mean
    seen = net.compute(given)["stem"].reshape(-1, 4)
    gamma, beta, *_ = layer.get_weights()
    layer.set_weights([gamma, beta, seen.mean(axis=0), seen.var(axis=0)])
    return model


@pytest.mark.parametrize(
    ("scale", "mean", "words"),
    [(1.0, 0, "--input-scale 1 ("), (1 / 255, 0, None)],
)
def test_a_wrong_input_range_is_detected(photos, untried, scale, mean, words):
    clf = cx.load(calibrated(photos, scale, mean), preprocess=cx.Preprocess(*networks.SHAPE[:2]))
    found = [each for each in examine(clf, photos).findings if "may differ from the one" in each]
    assert len(found) == (words is not None)
    assert words is None or ("'stem'" in found[0] and f"they do with {words}" in found[0])


def test_pixels_scaled_twice_are_detected(photos, untried):
    parts = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
    model = keras.Sequential([keras.Input(networks.SHAPE), *parts])
    assert any(
        "The model expects pixels from 0 to 255 (" in each
        for each in examine(cx.load(model, preprocess=cx.Preprocess(*networks.SHAPE[:2])), photos).findings
    )
    assert not any("The model expects pixels from 0 to 255 (" in each for each in examine(cx.load(model), photos).findings)


def test_a_saturated_head_is_detected(photos, untried):
    net, model = networks.build("plain", "softmax")
    scores = net.steps[-1][1]
    scores.set_weights([1000 * weight for weight in scores.get_weights()])
    found = examine(cx.load(model, preprocess=cx.Preprocess(*networks.SHAPE[:2])), photos).findings
    assert any("The softmax saturates: for 20 of 20 images" in each for each in found)


def test_dead_channels_are_counted(photos, untried):
    net, model = networks.build("plain", "softmax")
    kernel, bias = net.steps[0][1].get_weights()
    bias[:2], kernel[..., :2] = -1, 0
    net.steps[0][1].set_weights([kernel, bias])
    found = examine(cx.load(model, preprocess=cx.Preprocess(*networks.SHAPE[:2])), photos)
    assert {report.layer.name: report.silent for report in found.layers}["conv"] == 2
    assert any("zero for all 20 images: 2 of 4 in 'conv', 2 of 4 in 'pool'" in each for each in found.findings)
    few = examine(cx.load(model, preprocess=cx.Preprocess(*networks.SHAPE[:2])), photos[:3])
    assert not any("zero for all" in each for each in few.findings)


def test_a_zero_gradient_is_detected(photos, untried):
    net, model = networks.build("plain", "softmax")
    net.steps[0][1].set_weights([0 * weight - 1 for weight in net.steps[0][1].get_weights()])
    found = examine(cx.load(model, preprocess=cx.Preprocess(*networks.SHAPE[:2])), photos).findings
    assert any("gradient of the prediction's score is zero everywhere" in each for each in found)


def test_non_finite_scores_are_reported_first(photos):
    net, model = networks.build("plain", "softmax")
    net.steps[-1][1].set_weights([weight * np.nan for weight in net.steps[-1][1].get_weights()])
    found = examine(cx.load(model, preprocess=cx.Preprocess(*networks.SHAPE[:2])), photos)
    assert (found.well, found.trials) == (False, ())
    assert "not finite (NaN or infinity) for 20 images" in found.findings[0]


def test_raw_scores_are_questioned_until_declared(photos, untried):
    _, model = networks.build("plain", "logits")
    preprocess = cx.Preprocess(*networks.SHAPE[:2])
    for said in (False, True):
        found = examine(cx.load(model, preprocess=preprocess, logits=said), photos[:1]).findings
        assert any("Confirm with --logits" in each for each in found) != said


def test_the_command_prints_findings_and_sets_the_exit_code(cli, tmp_path, monkeypatch):
    examined = {}

    def once(classifier, *arguments):
        """The same examination for both commands on the LeNet."""
        if classifier.name not in examined:
            with monkeypatch.context() as patch:
                # Analyses are tried on one of the two models.
                if classifier.name != "lenet":
                    patch.setattr(registry, "load", lambda: registry.collect([]))
                examined[classifier.name] = examine(classifier, *arguments)
        return examined[classifier.name]

    monkeypatch.setattr(doctor, "examine", once)
    code, short, _ = cli("doctor", "lenet", "mnist:test/42")
    assert code == 0
    assert short.startswith("No problems found.\n")
    assert "268,820" in short
    assert "14×14" not in short
    code, out, _ = cli("doctor", "lenet", "mnist:test/42", "--layers")
    assert out.startswith(short)
    assert "14×14" in out
    assert "tried on       1 image\n" in out
    networks.build("smooth", "softmax")[1].save(tmp_path / "own.keras")
    code, out, _ = cli("doctor", "own.keras", "--layers")
    assert code == 1
    assert re.match(r"\d+ problems? found[.;]", out)
    assert "'conv' (Conv2D with activation 'gelu')" in out
    assert "guided" in out


def test_the_command_refuses_missing_models(cli):
    code, _, err = cli("doctor", "lenett")
    assert code == 2
    assert "Did you mean 'lenet'?" in err

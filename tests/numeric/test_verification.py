"""The checks of results: right results pass, and wrong ones fail."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image  # noqa: F401  # Before TensorFlow, whose libraries it may share.

import cnnexplain as cx
from cnnexplain.checks import costs
from cnnexplain.checks.random_weights import emprt, entropy, rank_correlation, smprt
from cnnexplain.checks.shuffling import shuffled
from cnnexplain.plugin import Analysis, Measurement, Result, registry
from cnnexplain.verification import subjects as subjects_module
from cnnexplain.verification.subjects import image_objectives, run, subjects
from cnnexplain.verification.verify import check_row, check_rows

ANALYSES = registry.load().analyses

CHEAP = {
    "activation-maximization": {"steps": 2, "starts": 1},
    "inversion": {"iterations": 40, "most": 3},
    "integrated-gradients": {"steps": 48},
    "occlusion": {"stride": 3},
    "rise": {"masks": 300},
    "smoothgrad": {"samples": 64},
}


def verified(name, lenet, **options):
    images = "mnist:test/42" if "images" in ANALYSES[name].inputs else None
    return cx.verify(name, lenet, images, **{**CHEAP.get(name, {}), **options})


def verdicts(found, kind=None):
    return {row.check.name: row.passed for row in found.rows if kind in (None, row.kind)}


@pytest.mark.backends
@pytest.mark.parametrize("name", ANALYSES)
def test_the_built_in_analyses_pass(name, lenet):
    found = verified(name, lenet)
    assert found.passed, found
    assert set(verdicts(found, "definition").values()) <= {True, None}
    assert True in verdicts(found, "definition").values()
    assert verdicts(found)["repeat"] is True


@pytest.fixture(scope="module")
def records(lenet):
    """The result of an analysis for an image, computed once."""
    kept = {}

    def record(name, **options):
        if (name, *options.items()) not in kept:
            images = "mnist:test/42" if "images" in ANALYSES[name].inputs else None
            data = {"dataset": cx.read_images("mnist:test/42", lenet)} if "dataset" in ANALYSES[name].inputs else {}
            kept[name, *options.items()] = cx.explain(name, lenet, images, **CHEAP.get(name, {}), **options, **data)
        return kept[name, *options.items()]

    return record


def definition(record, classifier):
    """The verdicts of the checks that the analysis of a record declares."""
    objectives = image_objectives(record, classifier, None, None)
    found = subjects(record, classifier, objectives)
    return {check.name: check_row("definition", check, found).passed for check in record.analysis.checks}


def changed(record, name, change):
    return replace(record, arrays={**record.arrays, name: change(np.array(record.arrays[name]))})


@pytest.mark.parametrize(
    ("name", "options", "array", "change", "check"),
    [
        ("saliency", {}, "gradient", lambda each: -each, "gradient"),
        ("saliency", {}, "gradient", np.abs, "gradient"),
        ("gradient-x-input", {}, "attribution", lambda each: 1.1 * each, "contributions"),
        ("gradient-x-input", {}, "attribution", lambda each: each[:, ::-1], "contributions"),
        ("integrated-gradients", {}, "attribution", lambda each: 1.1 * each, "completeness"),
        ("smoothgrad", {}, "gradient", lambda each: 2 * each, "mean gradient"),
        ("rise", {}, "saliency", lambda each: each[:, ::-1], "brute force"),
        ("integrated-gradients", {}, "attribution", lambda each: each[:, ::-1], "path"),
        ("deconvnet", {}, "projection/relu2/deconvnet", lambda each: 1.01 * each, "gradient rule"),
        ("deconvnet", {}, "projection/relu2/deconvnet", lambda each: 1.01 * each, "transposed filters"),
        ("occlusion", {}, "logit", lambda each: each + 0.01, "brute force"),
        ("occlusion", {}, "logit", lambda each: each.swapaxes(1, 2), "brute force"),
        ("occlusion", {}, "logit_drop", lambda each: np.roll(each, 1, axis=1), "means"),
        ("gradcam", {}, "evidence", lambda each: 1.1 * each, "evidence"),
        ("saliency", {}, "saliency", lambda each: np.roll(each, 1, axis=2), "map"),
        ("smoothgrad", {}, "smoothgrad", lambda each: 1.01 * each, "map"),
        ("gradient-x-input", {}, "pixel_attribution", np.abs, "map"),
        ("integrated-gradients", {}, "pixel_attribution", lambda each: -each, "map"),
        ("rise", {}, "gain", lambda each: each + 0.01, "brute force"),
        ("gradcam", {}, "evidence", lambda each: each.swapaxes(1, 2), "evidence"),
        ("gradcam", {}, "map", lambda each: np.roll(each, 1, axis=1), "map"),
        ("gradcam", {}, "cam", lambda each: each + 0.01, "map"),
        ("gradcam", {"method": "gradcam++"}, "evidence", lambda each: 1.01 * each, "evidence"),
        ("gradcam", {"method": "layercam"}, "evidence", lambda each: 1.1 * each, "evidence"),
        ("gradcam", {"method": "scorecam"}, "evidence", lambda each: each + 0.01, "evidence"),
        ("intermediate-outputs", {}, "output/conv1", lambda each: 1.01 * each, "tail"),
        ("intermediate-outputs", {}, "contribution/conv2", lambda each: 1.2 * each, "contributions"),
        ("inversion", {}, "reconstruction/conv1", lambda each: each + 0.01, "errors"),
        ("activation-maximization", {}, "optimum", lambda each: 0.99 * each, "values"),
        ("filters", {}, "norm/conv1", lambda each: 1.01 * each, "norms"),
        ("filters", {}, "kernel/conv1", lambda each: each[::-1], "norms"),
    ],
)
def test_a_wrong_array_fails_its_check(name, options, array, change, check, records, lenet):
    record = records(name, **options)
    assert check in definition(record, lenet)
    assert definition(changed(record, array, change), lenet)[check] is False
    assert definition(record, lenet)[check] is True


@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
def test_the_signal_of_another_rule_is_not_the_gradient(rule, records, lenet):
    record = records("saliency")
    signal = lenet.backpropagate(record.images, [record.explained[0].target], rule)
    assert definition(changed(record, "gradient", lambda _: signal), lenet)["gradient"] is False


def test_a_wrong_mask_fails(records, lenet, monkeypatch):
    from cnnexplain_plugins.rise import masking

    record = records("rise")
    drawn = masking.random_masks

    def inverted(*arguments):
        masks = drawn(*arguments)
        return replace(masks, grids=~masks.grids)

    monkeypatch.setattr(masking, "random_masks", inverted)
    assert definition(record, lenet) == {"brute force": False}


def hardly_changing():
    """A network whose outputs hardly depend on the image, so that rounding is large beside their differences."""
    image = keras.Input((12, 10, 1))
    x = keras.layers.Conv2D(4, 3, activation="relu")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(3, activation="sigmoid")(x))
    random = np.random.default_rng(0)
    model.set_weights([1e-3 * random.normal(size=weight.shape) for weight in model.weights[:-1]] + [np.ones(3)])
    return cx.load(model)


def test_outputs_that_hardly_change_are_explained_right(random):
    classifier = hardly_changing()
    record = cx.explain("rise", classifier, random.uniform(size=(1, 12, 10, 1)).astype(np.float32), masks=60, target=1)
    assert 0 < np.abs(record.arrays["gain"]).max() < 1e-4 * record.arrays["saliency"].max()
    assert definition(record, classifier) == {"brute force": True}


def test_a_wrong_gain_fails(lenet, monkeypatch):
    from cnnexplain_plugins.rise import masking

    right = masking.rise

    def forgets_the_mean(*arguments, **options):
        result = right(*arguments, **options)
        return replace(result, arrays={**result.arrays, "gain": result.arrays["saliency"]})

    monkeypatch.setattr(masking, "rise", forgets_the_mean)
    assert definition(cx.explain("rise", lenet, "mnist:test/42", masks=60), lenet) == {"brute force": False}


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "layercam"])
def test_a_wrong_gradient_of_a_layer_fails(method, lenet, monkeypatch):
    """Also where its own signs choose the feature maps that count."""
    right = {name: getattr(cx.Classifier, name) for name in ("layer_gradient", "outputs_and_gradients")}

    def wrong(gradient):
        gradient = np.array(gradient)
        gradient[..., ::2] = -np.abs(gradient[..., ::2])
        return gradient

    def layer_gradient(*arguments, **options):
        value, outputs, gradient = right["layer_gradient"](*arguments, **options)
        return value, outputs, wrong(gradient)

    def outputs_and_gradients(*arguments, **options):
        value, outputs, gradients = right["outputs_and_gradients"](*arguments, **options)
        return value, outputs, {name: wrong(gradient) for name, gradient in gradients.items()}

    assert definition(cx.explain("gradcam", lenet, "mnist:test/42", method=method), lenet)["evidence"] is True
    monkeypatch.setattr(cx.Classifier, "layer_gradient", layer_gradient)
    monkeypatch.setattr(cx.Classifier, "outputs_and_gradients", outputs_and_gradients)
    assert definition(cx.explain("gradcam", lenet, "mnist:test/42", method=method), lenet)["evidence"] is False


def test_a_wrong_path_fails(records, lenet, monkeypatch):
    from cnnexplain_plugins.integrated_gradients import paths

    record = records("integrated-gradients")

    def squared(steps):
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        return ((nodes + 1) / 2) ** 2, weights / 2

    monkeypatch.setattr(paths, "quadrature", squared)
    assert definition(record, lenet)["path"] is False


def test_a_wrong_projection_fails(records, lenet, monkeypatch):
    record = records("deconvnet")
    project = type(lenet).project_units
    monkeypatch.setattr(type(lenet), "project_units", lambda *arguments: 1.01 * project(*arguments))
    assert definition(record, lenet)["gradient rule"] is False


@pytest.mark.backends
@pytest.mark.parametrize("wrong", ["guided", "gradient"])
def test_the_rules_of_deconvnet_are_verified_without_gradients(wrong, random, monkeypatch):
    """Through strides, both kinds of padding, overlapping windows and a normalization."""
    from cnnexplain.model.computation import backward_rules

    image = keras.Input((21, 18, 3))
    x = keras.layers.Conv2D(6, 3, padding="same", strides=2, activation="relu", name="first")(image)
    x = keras.layers.MaxPooling2D(2, padding="same")(x)
    x = keras.layers.BatchNormalization(name="norm")(keras.layers.Conv2D(8, 3, use_bias=False)(x))
    x = keras.layers.MaxPooling2D(3, strides=2)(keras.layers.ReLU(name="second")(x))
    x = keras.layers.Conv2D(4, (1, 1), activation="relu", name="third")(x)
    x = keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(x))
    model = keras.Model(image, x)
    model.get_layer("norm").set_weights([random.uniform(0.5, 2, 8) for _ in range(4)])
    clf, images = cx.load(model), random.uniform(0, 1, (1, 21, 18, 3)).astype(np.float32)
    record = cx.explain("deconvnet", clf, images, target=1, rule=("deconvnet", "guided"), layer=("first", "second", "third"))
    (subject,) = subjects(record, clf, [cx.Logit(1)])
    check = next(each for each in record.analysis.checks if each.name == "transposed filters")
    right = check.run(subject)
    assert right.passed
    assert right.detail == "12 projections of first, second, third"
    monkeypatch.setitem(backward_rules.RULES, "deconvnet", backward_rules.RULES[wrong])
    clf = cx.load(model)
    other = cx.explain("deconvnet", clf, images, target=1, rule="deconvnet", layer=("first", "second", "third"))
    assert check.run(replace(subject, record=other, classifier=clf)).passed is False


def test_a_gradient_with_respect_to_another_class_fails(records, lenet):
    record = records("saliency")
    other = lenet.gradient(record.images, [(record.explained[0].target + 1) % 10])
    assert definition(changed(record, "gradient", lambda _: other), lenet)["gradient"] is False


def analysis(function, **options):
    """An analysis of a map, as a plugin would declare it."""
    return Analysis("mine", function, lambda record, index: None, "Nobody 2026", maps={"map": "units"}, **options)


def rows_of(declared, classifier, images="mnist:test/42", budget=costs.BUDGET, **options):
    record = run(declared, registry.Plugin("mine", "mine", "1"), options, classifier, images)
    found = subjects(record, classifier, image_objectives(record, classifier, None, None))
    return {row.check.name: row for row in check_rows(found, budget)}


def edges(classifier, images, targets):
    """A map that depends neither on the network nor on the class."""
    return Result({"map": np.abs(np.diff(images[..., 0], axis=1, append=0))})


def test_an_edge_detector_explains_no_network_and_no_class(lenet):
    rows = rows_of(analysis(edges), lenet)
    assert rows["random weights"].passed is False
    assert rows["another class"].passed is False
    assert rows["repeat"].passed is True
    assert rows["batch"].passed is True
    assert rows["complexity"].shown.value == 0


@pytest.mark.parametrize(
    ("name", "classes", "verdict"), [("saliency", 2, None), ("gradient-x-input", 2, None), ("gradient-x-input", 3, True)]
)
def test_opposite_maps_of_two_classes_are_right(name, classes, verdict):
    """With the weights w and −w of two classes, the gradients are opposite, and their magnitudes equal."""
    image = keras.Input((6, 5, 1))
    model = keras.Model(image, keras.layers.Dense(classes, activation="softmax")(keras.layers.Flatten()(image)))
    weights = np.random.default_rng(0).normal(size=30)
    model.set_weights([np.stack([weights, -weights, -weights][:classes], axis=1), np.zeros(classes)])
    images = np.random.default_rng(1).uniform(size=(1, 6, 5, 1)).astype(np.float32)
    found = verdicts(cx.verify(name, cx.load(model), images, target=0))
    assert found["another class"] is verdict


@pytest.mark.backends
@pytest.mark.parametrize("name", ["saliency", "gradient-x-input", "deconvnet", "gradcam", "intermediate-outputs"])
def test_half_precision_fails_nothing(name, random):
    """Small steps change no score, which is no slope of 0."""
    image, half = keras.Input((16, 14, 3)), {"dtype": "mixed_float16", "padding": "same", "activation": "relu"}
    x = keras.layers.MaxPooling2D(dtype="mixed_float16")(keras.layers.Conv2D(6, 3, **half)(image))
    x = keras.layers.GlobalAveragePooling2D(dtype="mixed_float16")(keras.layers.Conv2D(8, 3, **half)(x))
    model = keras.Model(image, keras.layers.Dense(4, activation="softmax", dtype="float32")(x))
    images = random.uniform(0, 1, (1, 16, 14, 3)).astype(np.float32)
    found = cx.verify(name, cx.load(model), images, target=0)
    assert set(verdicts(found, "definition").values()) <= {True, None}, found


@pytest.mark.parametrize(
    ("activation", "alike", "verdict"), [("softmax", 3, True), ("softmax", 4, False), ("sigmoid", 4, None)]
)
def test_similar_classes_do_not_fail_unless_all_are(activation, alike, verdict):
    """Classes with the same weights have the same map; a multi-label model may have no others."""
    image = keras.Input((6, 5, 1))
    model = keras.Model(image, keras.layers.Dense(4, activation=activation)(keras.layers.Flatten()(image)))
    weights = np.random.default_rng(0).normal(size=(30, 2))
    model.set_weights([weights[:, [0] * alike + [1] * (4 - alike)], np.zeros(4)])
    images = np.random.default_rng(1).uniform(size=(1, 6, 5, 1)).astype(np.float32)
    (row,) = (
        row
        for row in cx.verify("gradient-x-input", cx.load(model), images, target=0).rows
        if row.check.name == "another class"
    )
    assert row.passed is verdict
    assert row.shown.value == (pytest.approx(1) if alike == 4 else pytest.approx(0, abs=0.9))


def test_numbers_that_differ_in_the_next_run_fail(lenet):
    random = np.random.default_rng(0)

    def restless(classifier, images):
        """Noise."""
        return Result({"map": random.uniform(size=images.shape[:3])})

    assert rows_of(analysis(restless), lenet)["repeat"].passed is False


@pytest.mark.parametrize(("restless", "verdict"), [(True, False), (False, True)])
def test_numbers_of_the_model_that_differ_in_the_next_run_fail(restless, verdict, lenet):
    """Two new runs are compared, not a run with itself."""
    random = np.random.default_rng(0)

    def of_model(classifier, objectives):
        """Numbers that belong to no image."""
        numbers = random.uniform(size=3) if restless else np.arange(3.0)
        return Result({}, overview=Result({"numbers": numbers}))

    declared = Analysis("mine", of_model, None, "Nobody 2026", lambda record: {})
    assert rows_of(declared, lenet, None)["repeat"].passed is verdict


def test_two_seeds_with_more_noise_than_signal_fail(lenet):
    from typing import Annotated

    from cnnexplain.plugin import Option

    def mixed(classifier, images, *, seed, noise):
        """A picture with noise from a seed."""
        drawn = np.random.default_rng(seed).normal(size=images.shape[1:3])
        signal = images[..., 0] / images.std()
        return Result({"map": signal + noise * drawn})

    mixed.__annotations__.update(
        seed=Annotated[int, Option("The seed.", min=0)], noise=Annotated[float, Option("The deviation.", min=0)]
    )
    mixed.__kwdefaults__ = {"seed": 0, "noise": 0.9}
    assert rows_of(analysis(mixed), lenet, noise=0.9)["seeds"].passed is True
    assert rows_of(analysis(mixed), lenet, noise=1.15)["seeds"].passed is False


def test_scores_of_zero_have_no_scale():
    image = keras.Input((6, 5, 1))
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(image)))
    model.set_weights([np.zeros((30, 3)), np.zeros(3)])
    images = np.random.default_rng(1).uniform(size=(1, 6, 5, 1)).astype(np.float32)
    found = verdicts(cx.verify("occlusion", cx.load(model), images, target=0), "definition")
    assert found == {"brute force": True, "means": True}


def test_a_gradient_that_is_certainly_wrong_at_the_image_is_not_excused_elsewhere(records, lenet, monkeypatch):
    """A digit lies on kinks, beside which it is measured; a wrong gradient at the image itself is wrong nevertheless."""
    from cnnexplain.checks import attributions

    record = records("saliency")
    (subject,) = subjects(record, lenet, image_objectives(record, lenet, None, None))
    # (value, limit) at the image and at the image with noise.
    for own, value, passed in [((0.5, 0.1), 0.5, False), ((0.2, 0.1), 0.01, True), ((None, None), 0.01, True)]:
        results = iter([Measurement(*own, "here"), Measurement(0.01, 0.02, "there")])
        monkeypatch.setattr(attributions, "slope_measurement", lambda *_, results=results: next(results))
        found = attributions.gradient_measurement(subject, "gradient")
        assert (found.value, found.passed) == (value, passed)
        assert ("at the image itself" in found.detail) is passed


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("value", [0.5, np.nan])
def test_a_wrong_array_of_one_of_several_images_does_not_repeat(index, value, lenet):
    record = cx.explain("rise", lenet, ["mnist:test/42", "mnist:test/3"], masks=30)
    assert verdicts(cx.verify(record, lenet))["repeat"] is True
    record.arrays["saliency"][index] = value
    (row,) = (each for each in cx.verify(record, lenet).rows if each.check.name == "repeat")
    assert [each.passed for each in row.measurements] == [place != index for place in range(2)]
    assert "'saliency'" in row.shown.detail


def test_a_result_that_is_not_computed_again_has_no_verdict(lenet):
    record = cx.explain("rise", lenet, "mnist:test/42", masks=30)
    (row,) = (each for each in check_rows(subjects(record, lenet, [cx.Logit(4)]), 0.0) if each.check.name == "repeat")
    assert row.passed is None
    assert "the result was not recomputed" in row.shown.detail
    assert "masks=8" in row.shown.detail


def test_the_rounding_of_another_batch_fails_nothing(lenet):
    """If the image alone gives other numbers, the whole batch decides."""

    def normalized(classifier, images):
        """Images divided by the maximum of the batch."""
        return Result({"map": images[..., 0] / images.sum()})

    images = ["mnist:test/42", "mnist:test/3"]
    assert rows_of(analysis(normalized), lenet, images)["repeat"].passed is True
    found = rows_of(analysis(normalized), lenet, images, budget=0.0)["repeat"]
    assert found.passed is None
    assert "which the batch may explain" in found.shown.detail


def test_numbers_that_depend_on_the_batch_fail(lenet):
    def normalized(classifier, images):
        """Images divided by the maximum of the batch."""
        return Result({"map": images[..., 0] / images.sum()})

    rows = rows_of(analysis(normalized), lenet)
    assert rows["batch"].passed is False
    assert rows["repeat"].passed is True


def test_a_map_of_noise_fails_the_seeds(lenet):
    from typing import Annotated

    from cnnexplain.plugin import Option

    def noise(classifier, images, *, seed: Annotated[int, Option("The seed.", min=0)] = 0):
        """Noise from a seed."""
        noise = np.random.default_rng(seed).normal(size=images.shape[1:3])
        return Result({"map": np.repeat(noise[None], len(images), axis=0)})

    noise.__annotations__["seed"] = Annotated[int, Option("The seed.", min=0)]
    rows = rows_of(analysis(noise), lenet)
    assert rows["seeds"].passed is False
    assert rows["repeat"].passed is True
    assert 0.9 < rows["seeds"].shown.value < 1.1


def test_a_map_that_jumps_at_invisible_noise_fails(lenet):
    def chaotic(classifier, images):
        """The digits after the third of each pixel."""
        return Result({"map": (images[..., 0] * 10000) % 1})

    assert rows_of(analysis(chaotic), lenet)["input noise"].passed is False


def test_a_check_that_raises_fails_with_its_error(lenet):
    from cnnexplain.plugin import Check

    def broken(subject):
        raise ValueError("no such thing")

    checks = (Check("broken", "Nothing.", broken), Check("wrong", "Nothing.", lambda subject: 3))
    rows = rows_of(analysis(edges, checks=checks), lenet)
    assert rows["broken"].passed is False
    assert "no such thing" in rows["broken"].shown.detail
    assert "expected a Measurement" in rows["wrong"].shown.detail


def test_what_would_take_long_is_left_out_and_says_so(lenet):
    rows = rows_of(analysis(edges, passes=lambda *_: 1e9), lenet)
    assert rows["random weights"].passed is None
    assert "--thorough" in rows["random weights"].shown.detail


@pytest.mark.backends
def test_shuffled_weights_leave_the_model_alone(lenet):
    before = [value.copy() for value in lenet.model.get_weights()]
    other = shuffled(lenet, seed=3)
    for value, own, kept in zip(other.model.get_weights(), lenet.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(own, kept)
        np.testing.assert_array_equal(np.sort(value.ravel()), np.sort(kept.ravel()))
        assert kept.size < 5 or not np.array_equal(value, kept)
    assert other.labels == lenet.labels
    half = shuffled(lenet, 0.5, seed=3).model.get_weights()
    assert [np.array_equal(*each) for each in zip(half, before, strict=True)] == [False] * 4 + [True] * 4


@pytest.mark.backends
def test_means_and_variances_of_a_normalization_stay_together():
    image = keras.Input((6, 6, 3))
    x = keras.layers.BatchNormalization(name="norm")(keras.layers.Conv2D(8, 3, name="conv")(image))
    x = keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, x)
    model.get_layer("norm").set_weights([np.arange(8.0)] * 4)
    *_, norm = (layer for layer in shuffled(cx.load(model)).model.layers if layer.name == "norm")
    first, *others = norm.get_weights()
    assert not np.array_equal(first, np.arange(8))
    assert all(np.array_equal(first, other) for other in others)


@pytest.mark.backends
def test_the_rest_of_a_network_continues_from_the_outputs_of_a_layer(random):
    """Also if a path bypasses the layer."""
    image = keras.Input((8, 7, 3))
    x = first = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(image)
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="second")(x)
    x = keras.layers.Add(name="sum")([x, first])
    clf = cx.load(keras.Model(image, keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(x))))
    images = random.uniform(0, 1, (2, 8, 7, 3)).astype(np.float32)
    outputs = clf.activations(images, ["second", "sum", "logits"])
    after = clf.activations_after(images, "second", outputs["second"], ["sum", "logits"])
    np.testing.assert_allclose(after["sum"], outputs["sum"], atol=1e-6)
    np.testing.assert_allclose(after["logits"], outputs["logits"], atol=1e-5)
    more = clf.activations_after(images, "second", outputs["second"] + 1, ["sum"])["sum"]
    np.testing.assert_allclose(more, outputs["sum"] + 1, atol=1e-6)
    with pytest.raises(cx.UsageError, match=r"expected \(2, 8, 7, 4\)"):
        clf.activations_after(images, "second", outputs["second"][:1])
    with pytest.raises(cx.UsageError, match="No output of first depends on the layer 'second'"):
        clf.activations_after(images, "second", outputs["second"], ["first"])


def test_rank_correlation_and_entropy_by_hand():
    first = np.array([[1.0, 2.0], [2.0, 4.0]])
    assert rank_correlation(first, 10 * first**3) == pytest.approx(1)
    assert rank_correlation(first, -first) == pytest.approx(-1)
    # Ranks 1, 2.5, 2.5, 4 and 4, 1, 3, 2: with ρ = Σ r s / √(Σ r² Σ s²) of the deviations from 2.5.
    assert rank_correlation(first, np.array([[9.0, 1.0], [5.0, 3.0]])) == pytest.approx(-3 / np.sqrt(4.5 * 5))
    assert rank_correlation(first, np.ones((2, 2))) == 0
    assert rank_correlation(np.ones((2, 2)), np.ones((2, 2))) == 1
    assert entropy(np.zeros((3, 3))) == 0
    assert entropy(np.array([[0.0, 0.0], [1.0, 1.0]])) == pytest.approx(np.log(2))
    assert emprt(np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([[0.0, 1.0], [2.0, 3.0]])) == pytest.approx(1)


def test_smprt_compares_means_over_the_same_noisy_copies(lenet, random):
    image = random.uniform(0, 1, (1, 28, 28, 1)).astype(np.float32)
    seen = []

    def maps(images, classifier):
        seen.append((images, classifier))
        return images[..., 0].astype(np.float64)

    found = smprt(maps, lenet, image, np.random.default_rng(1), depths=(0.5, 1.0), samples=4, noise=0.2)
    assert found == pytest.approx([1, 1])
    assert [len(images) for images, _ in seen] == [4, 4, 4]
    assert all(np.array_equal(images, seen[0][0]) for images, _ in seen)
    assert seen[0][1] is lenet
    assert 0 <= seen[0][0].min() < seen[0][0].max() <= 1
    assert smprt(maps, lenet, image, np.random.default_rng(1), depths=(1.0,), samples=1) == pytest.approx([1])
    np.testing.assert_array_equal(seen[-1][0], image)


def test_records_of_two_classes_and_of_other_models(lenet, records):
    record = cx.explain("saliency", lenet, "mnist:test/42", target=4, against=9)
    (objective,) = image_objectives(record, lenet, None, None)
    assert str(objective) == "4 − 9"
    assert cx.verify(record, lenet).passed
    special = cx.explain("saliency", lenet, "mnist:test/42", target=2 * cx.Logit(4))
    with pytest.raises(cx.UsageError, match="pass it again as target"):
        cx.verify(special, lenet)
    assert verdicts(cx.verify(special, lenet, target=2 * cx.Logit(4)))["gradient"]
    with pytest.raises(cx.UsageError, match="The result was made with the model 'lenet'"):
        cx.verify(record, shuffled(lenet))
    with pytest.raises(cx.UsageError, match="A record has its own images"):
        cx.verify(record, lenet, "mnist:test/1")
    with pytest.raises(cx.UsageError, match="takes a record or the name"):
        cx.verify(3, lenet)
    with pytest.raises(cx.UsageError, match="explains images: give at least one"):
        cx.verify("saliency", lenet)


@pytest.mark.parametrize("name", ["saliency", "gradcam", "occlusion"])
def test_a_constant_map_fails_nothing(name):
    """A network of zeros explains nothing, which says nothing against the analysis."""
    image = keras.Input((6, 5, 1))
    x = keras.layers.Conv2D(2, 3, padding="same", activation="relu")(image)
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(x)))
    model.set_weights([np.zeros(weight.shape) for weight in model.weights])
    images = np.random.default_rng(1).uniform(size=(1, 6, 5, 1)).astype(np.float32)
    found = cx.verify(name, cx.load(model), images, target=0)
    assert found.passed, found
    assert "without a verdict; the map is constant" in found.outcome
    rows = {row.check.name: row for row in found.rows}
    for check in ("input noise", "random weights", "complexity", "another class"):
        assert rows[check].passed is None
        assert "the map is constant" in rows[check].shown.detail


def test_a_thorough_check_recomputes_the_result(lenet, monkeypatch):
    from cnnexplain.checks import reruns

    record = cx.explain("integrated-gradients", lenet, "mnist:test/42", steps=3)
    (subject,) = subjects(record, lenet, image_objectives(record, lenet, None, None))
    wrong = changed(record, "attribution", lambda each: 2 * each)
    measured = Measurement(0.0, 1.0, "fine")
    found = {
        budget: reruns.confirmed(measured, replace(subject, record=wrong, budget=budget), ["attribution"])
        for budget in (0.0, float("inf"))
    }
    assert "fine; the result was not recomputed: left out: it takes about 8 passes" in found[0.0].detail
    assert "'verify --thorough' (thorough=True) runs it" in found[0.0].detail
    assert found[0.0].passed is True
    assert found[float("inf")].passed is False


def test_the_second_run_of_an_image_is_freed(lenet, monkeypatch):
    import gc
    import weakref

    from cnnexplain.plugin import Check
    from cnnexplain.verification import verify

    record = cx.explain("saliency", lenet, ["mnist:test/42", "mnist:test/3"])
    runs = []

    def rerun(*arguments):
        again = subjects_module.rerun(*arguments)
        runs.append(weakref.ref(again))
        return again

    def check(subject):
        subject.explain()
        subject.explain()
        gc.collect()
        return Measurement(float(sum(run() is not None for run in runs)), 1.0)

    monkeypatch.setattr(verify, "all_checks", lambda found: [("definition", Check("alive", "One run.", check))] * 2)
    found = [replace(each, rerun=rerun) for each in subjects(record, lenet, image_objectives(record, lenet, None, None))]
    rows = check_rows(found, costs.BUDGET)
    assert [[each.value for each in row.measurements] for row in rows] == [[1, 1], [1, 1]]
    assert len(runs) == 2


def test_a_verification_repeats_itself(records, lenet):
    record = records("saliency")
    one, other = (cx.verify(record).as_json()["checks"] for _ in range(2))
    assert one == other
    assert isinstance(Measurement(1.0).passed, type(None))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf-keras-vis needs TensorFlow")
@pytest.mark.parametrize("name", ["saliency", "smoothgrad", "gradcam"])
def test_tf_keras_vis_agrees_and_finds_a_wrong_map(name, records, lenet):
    pytest.importorskip("tf_keras_vis")
    record = records(name)
    (reference,) = (each for each in registry.load().references.values() if each.analysis == name and "tf-" in each.name)
    (subject,) = subjects(record, lenet, image_objectives(record, lenet, None, None))
    measured = reference.run(subject)
    assert measured.passed, measured
    array = {"saliency": "saliency", "smoothgrad": "gradient", "gradcam": "cam"}[name]
    wrong = changed(record, array, lambda each: 2 * each)
    assert reference.run(replace(subject, record=wrong)).passed is False


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="Captum needs PyTorch")
@pytest.mark.backends
@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("saliency", "gradient"),
        ("gradient-x-input", "attribution"),
        ("integrated-gradients", "attribution"),
        ("occlusion", "logit_drop"),
        ("gradcam", "evidence"),
        ("deconvnet", "projection/relu2/deconvnet"),
    ],
)
def test_captum_agrees_and_finds_a_wrong_map(name, array, records, lenet):
    pytest.importorskip("captum")
    record = records(name)
    (reference,) = (each for each in registry.load().references.values() if each.analysis == name and "Captum" in each.name)
    (subject,) = subjects(record, lenet, image_objectives(record, lenet, None, None))
    measured = reference.run(subject)
    assert measured.passed, measured
    wrong = changed(record, array, lambda each: 1.01 * each)
    assert reference.run(replace(subject, record=wrong)).passed is False


def test_a_reference_that_is_not_installed_says_how_to_install_it(lenet, records, monkeypatch):
    from cnnexplain.plugin import Reference
    from cnnexplain.verification import second_opinions

    missing = Reference("peer", "saliency", "no_such_module", "pip install peer", None, "The map is theirs.", lambda _: 1)
    loaded = replace(registry.load(), references={"peer": missing})
    monkeypatch.setattr(registry, "load", lambda: loaded)
    (check,) = second_opinions.checks("saliency")
    assert check.run(None) == Measurement(None, detail="not installed: pip install peer")
    assert not replace(missing, module="no_such_package.module").installed
    assert not replace(missing, module="numpy.no_such_package.module").installed
    assert not replace(missing, module=".relative").installed
    with pytest.raises(cx.PluginError, match="Did you mean 'tensorflow'"):
        replace(missing, backend="tensorflw")
    with pytest.raises(cx.PluginError, match="the backend 3; expected None or one of tensorflow"):
        replace(missing, backend=3)
    with pytest.raises(cx.PluginError, match="needs a function as run"):
        Reference("peer", "saliency", "keras", "pip install keras", None, "The map is theirs.", 3)


@pytest.mark.parametrize("error", [TypeError("no such argument"), cx.UsageError("no such layer"), SystemExit()])
def test_an_error_of_a_reference_is_no_failure_of_the_result(error, records, lenet, monkeypatch):
    from cnnexplain.plugin import Reference

    def broken(subject):
        raise error

    peer = Reference("peer", "saliency", "numpy", "pip install numpy", None, "The map is theirs.", broken)
    loaded = replace(registry.load(), references={"peer": peer})
    monkeypatch.setattr(registry, "load", lambda: loaded)
    found = cx.verify(records("saliency"), lenet)
    (row,) = (each for each in found.rows if each.kind == "second opinion")
    assert row.passed is None
    assert row.shown.detail.startswith("can't be compared: ")
    assert str(error) in row.shown.detail
    assert found.passed

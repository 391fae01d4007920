"""One pass for the prediction, the value and the gradient: the same numbers as from separate passes, and only one call."""

import copy
import dataclasses
import pickle

import keras
import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain import Channel, Logit, backend
from cnnexplain.errors import ModelError, PluginError, UsageError
from cnnexplain.model.computation.predictions import ImageLogit, Predictions
from cnnexplain.plugin import Analysis, Result

pytestmark = pytest.mark.unaided

backends = pytest.mark.backends
layers = keras.layers


@pytest.fixture
def calls(monkeypatch):
    """The number of images in each call of a compiled function."""
    counted = []
    compile_function = backend.current().compiled

    def compiled(*arguments):
        function = compile_function(*arguments)
        return lambda *arrays: counted.append(len(arrays[0])) or function(*arrays)

    monkeypatch.setattr(backend.current(), "compiled", compiled)
    return counted


@pytest.fixture
def compilations(monkeypatch, caplog):
    """A function that returns what has been compiled since its last call; PyTorch only keeps functions for later calls."""
    seen, runs_python = [], keras.backend.backend() == "torch"
    compile_function = backend.current().compiled

    def compiled(function, *declared):
        def traced(*arrays):
            if not runs_python:
                seen.append(f"a trace of {function}")
            return function(*arrays)

        seen.append(f"a new function {function}")
        return compile_function(traced, *declared)

    def since():
        logged = [record.getMessage() for record in caplog.records if record.getMessage().startswith("Compiling")]
        found = [*seen, *logged]
        seen.clear()
        caplog.clear()
        return found

    monkeypatch.setattr(backend.current(), "compiled", compiled)
    if keras.backend.backend() != "jax":
        yield since
        return
    import jax

    # Operations outside of compiled functions are compiled, too.
    with jax.log_compiles():
        yield since


def branched(seed, *, activation="softmax", classes=4):
    """A model of 8×8 images with a path around its second convolution."""
    keras.utils.set_random_seed(seed)
    x = image = keras.Input((8, 8, 2))
    x = layers.Conv2D(3, 3, padding="same", activation="tanh", name="first")(x)
    x = layers.Add(name="sum")([x, layers.Conv2D(3, 3, padding="same", activation="tanh", name="second")(x)])
    x = layers.Dense(classes, name="scores")(layers.Flatten(name="flat")(layers.AveragePooling2D(2, name="pool")(x)))
    outputs = layers.Activation(activation, name="last")(x)
    return cx.load(keras.Model(image, outputs), labels=[f"class {index}" for index in range(classes)])


@pytest.fixture
def images(random):
    return random.uniform(0, 1, (5, 8, 8, 2)).astype(np.float32)


def predictions(clf, images, checked=None):
    return Predictions(clf, images, lambda *arrays: checked.append(len(arrays[0])) if checked is not None else None)


def own_logits(clf, images, given=None):
    batch = predictions(clf, images)
    return [ImageLogit.of(batch, place, given) for place in range(len(images))], batch


def run(function):
    """An analysis with a map of zeros that calls a function of the classifier, images and objectives."""

    def run(classifier, images, objectives):
        """Nothing."""
        function(classifier, images, objectives)
        return Result({"map": np.zeros(images.shape[:3], np.float32)})

    return run


@backends
@pytest.mark.parametrize("given", [None, 2])
def test_predicted_and_given_classes_have_the_same_gradient(images, given):
    clf = branched(0)
    logits = clf.logits(images)
    classes = logits.argmax(axis=1) if given is None else np.full(5, given)
    # Weights of layers take the place of indices for all other objectives.
    weighted = [Logit(int(index)) * 1 for index in classes]
    objectives, batch = own_logits(clf, images, given)
    values, gradient = clf.value_and_gradient(images, objectives)
    np.testing.assert_allclose(values, logits[np.arange(5), classes], rtol=1e-5)
    np.testing.assert_allclose(gradient, clf.gradient(images, weighted), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(gradient, clf.gradient(images, classes), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(batch.logits, logits, rtol=1e-5, atol=1e-6)
    assert [objective.target for objective in objectives] == classes.tolist()
    np.testing.assert_allclose(clf.values(images, weighted), clf.values(images, objectives), rtol=1e-5)


@backends
@pytest.mark.parametrize(
    ("analysis", "options"),
    [
        ("activation-maximization", {"target": 1, "steps": 3}),
        ("deconvnet", {}),
        ("gradcam", {}),
        ("integrated-gradients", {"steps": 6}),
        ("intermediate-outputs", {}),
        ("inversion", {"iterations": 3, "layer": ["second", "logits"]}),
        ("occlusion", {"patch": 3}),
        ("rise", {"masks": 20}),
        ("saliency", {}),
        ("smoothgrad", {"samples": 6}),
    ],
)
def test_a_second_call_compiles_nothing(images, analysis, options, compilations):
    """Neither new functions nor the same ones for other shapes."""
    clf = branched(2)
    explained = {} if analysis == "activation-maximization" else {"images": images[:3]}
    cx.explain(analysis, clf, **explained, **options)
    assert compilations()
    cx.explain(analysis, clf, **explained, **options)
    assert compilations() == []


@backends
def test_outputs_and_gradients_equal_separate_passes(images):
    clf = branched(1)
    names = ["input", "first", "second", "sum", "scores", "logits", "last"]
    objectives, _ = own_logits(clf, images)
    values, outputs, gradients = clf.outputs_and_gradients(images, names, objectives, ["flat"])
    assert list(gradients) == names[:-1]
    for name, output in clf.activations(images, [*names, "flat"]).items():
        np.testing.assert_allclose(outputs.pop(name), output, rtol=1e-5, atol=1e-6)
    assert not outputs
    classes = clf.logits(images).argmax(axis=1)
    np.testing.assert_allclose(gradients["input"], clf.gradient(images, classes), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(gradients["logits"], np.eye(4)[classes])
    np.testing.assert_array_equal(gradients["scores"], np.eye(4)[classes])
    # Both convolutions lead to the sum, by paths of which the backward pass of NumPy needs only the last one.
    kernel = dict(zip([w.path for w in clf.model.weights], clf.model.get_weights(), strict=True))["scores/kernel"]
    by_hand = kernel.T[classes].reshape(5, 4, 4, 3).repeat(2, axis=1).repeat(2, axis=2) / 4
    np.testing.assert_allclose(gradients["sum"], by_hand, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(gradients["second"], by_hand, rtol=1e-4, atol=1e-6)
    for name, gradient in gradients.items():
        value, _, alone = clf.layer_gradient(images, name, classes)
        np.testing.assert_allclose(alone, gradient, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(value, values, rtol=1e-5)
    by_channel = [Channel("second", 1)] * 5
    values, gradients = clf.layer_gradients(images, ["first", "second", "sum"], by_channel)
    assert list(gradients) == ["first", "second"]
    np.testing.assert_allclose(values, clf.activations(images, ["second"])["second"][..., 1].mean(axis=(1, 2)), rtol=1e-5)


@backends
def test_a_layer_that_returns_its_input_has_a_gradient_of_its_own(images):
    keras.utils.set_random_seed(2)
    image = keras.Input((8, 8, 2))
    x = layers.Conv2D(3, 3, activation="tanh", name="first")(image)
    x = layers.Add(name="sum")([x, layers.Dropout(0.5, name="kept")(x)])
    clf = cx.load(keras.Model(image, layers.Dense(4, name="scores")(layers.Flatten()(x))), logits=True)
    _, gradients = clf.layer_gradients(images, ["first", "kept", "sum"], np.array([0, 1, 2, 3, 0]))
    np.testing.assert_allclose(gradients["first"], 2 * gradients["kept"], rtol=1e-5)
    np.testing.assert_allclose(gradients["kept"], gradients["sum"], rtol=1e-5)
    assert gradients["kept"].any()


@backends
def test_the_gradient_is_zero_at_layers_that_reach_the_target_only_without_one(images):
    keras.utils.set_random_seed(3)
    image = keras.Input((8, 8, 2))
    stopped, first, second = (layers.Conv2D(3, 3, activation="tanh", name=each)(image) for each in ("a", "b", "c"))
    whole = keras.ops.cast(keras.ops.round(4 * first), "int32")
    x = keras.ops.stop_gradient(stopped) + keras.ops.cast(whole, "float32") + second
    clf = cx.load(keras.Model(image, layers.Dense(4, name="scores")(layers.Flatten()(x))), logits=True)
    names = [layer.name for layer in clf.layers]
    integers = next(name for name in names if clf._graph.tensors[name].dtype == "int32")
    _, gradients = clf.layer_gradients(images, ["a", "b", integers, "c"], np.array([0, 1, 2, 3, 0]))
    assert {name: (each.shape, bool(each.any()), each.dtype) for name, each in gradients.items()} == {
        name: ((5, 6, 6, 3), name == "c", np.float32) for name in ("a", "b", integers, "c")
    }


@backends
@pytest.mark.parametrize("batch", [False, True])
def test_a_record_does_not_change_with_the_images_of_the_caller(images, batch):
    clf = branched(0)
    own = cx.explain("saliency", clf, images).explained
    given = cx.ImageBatch(images, [each.source for each in own]) if batch else images
    records = [cx.explain("saliency", clf, given), cx.explain("intermediate-outputs", clf, given, layer=["input"])]
    records += cx.explain_parts("saliency", clf, given)
    for record in records:
        for array in (record.images, *record.arrays.values()):
            assert not np.may_share_memory(array, images)


@backends
def test_unconnected_layers_have_outputs_but_no_gradient(images):
    clf = branched(1)
    values, outputs, gradients = clf.outputs_and_gradients(images, ["last"], np.array([0, 1, 2, 3, 0]))
    np.testing.assert_allclose(values, clf.logits(images)[np.arange(5), [0, 1, 2, 3, 0]], rtol=1e-5)
    np.testing.assert_allclose(outputs["last"], clf.predict(images), rtol=1e-4)
    assert gradients == {}
    with pytest.raises(UsageError, match="does not depend on the layer 'last'; name one that leads to logits"):
        clf.layer_gradient(images, "last", np.zeros(5, int))


@backends
@pytest.mark.parametrize("given", [None, 2])
def test_values_share_the_pass_of_the_predictions(calls, images, given, random):
    clf = branched(0)
    others = random.uniform(0, 1, images.shape).astype(np.float32)
    objectives, batch = own_logits(clf, images, given)
    values = clf.values(others, objectives)
    assert calls == [10]
    classes = clf.logits(images).argmax(axis=1) if given is None else np.full(5, given)
    np.testing.assert_allclose(batch.logits, clf.logits(images), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(values, clf.logits(others)[np.arange(5), classes], rtol=1e-5, atol=1e-6)
    # After that the predictions are known.
    calls.clear()
    np.testing.assert_allclose(clf.values(images, objectives), clf.logits(images)[np.arange(5), classes], rtol=1e-5)
    np.testing.assert_array_equal(clf.values(others, objectives), values)
    assert calls == [5, 5]
    with pytest.raises(UsageError, match="have shape"):
        clf.values(others[:, :3], own_logits(clf, images, given)[0])


@pytest.mark.parametrize(("analysis", "first"), [("smoothgrad", 4), ("integrated-gradients", 8), ("rise", 4)])
def test_analyses_of_copies_predict_first(calls, images, analysis, first):
    clf = branched(2)
    options = {"smoothgrad": {"samples": 2}, "integrated-gradients": {"steps": 2}, "rise": {"masks": 2}}[analysis]
    record = cx.explain(analysis, clf, images[:4], **options)
    assert calls[0] == first
    assert len(calls) == (3 if analysis == "rise" else 2)
    assert [each.prediction for each in record.explained] == clf.logits(images[:4]).argmax(axis=1).tolist()


@pytest.mark.parametrize("options", [pytest.param({}, marks=backends), {"target": 3}, {"target": "class 1"}])
@pytest.mark.parametrize(
    ("analysis", "passes"), [("saliency", 1), ("gradcam", 1), ("intermediate-outputs", 1), ("gradient-x-input", 2)]
)
def test_an_analysis_calls_one_compiled_function_once(calls, images, analysis, passes, options):
    clf = branched(2)
    record = cx.explain(analysis, clf, images, **options)
    assert calls[0] == 5
    assert len(calls) == passes
    logits = clf.logits(images)
    assert [each.prediction for each in record.explained] == logits.argmax(axis=1).tolist()
    explained = logits.argmax(axis=1) if not options else np.full(5, clf.target(options["target"]))
    values = record.facts.get("logit", record.facts.get("value"))
    np.testing.assert_allclose(values, logits[np.arange(5), explained], rtol=1e-5)
    probabilities = clf.probabilities(logits)[np.arange(5), explained]
    np.testing.assert_allclose([each.target_probability for each in record.explained], probabilities, rtol=1e-5)


def test_each_batch_is_computed_once(calls, images):
    clf = branched(2)
    clf.batch_size = 2
    record = cx.explain("gradcam", clf, images)
    assert calls == [2, 2, 1]
    whole = cx.explain("gradcam", branched(2), images)
    np.testing.assert_allclose(record.arrays["map"], whole.arrays["map"], rtol=1e-4, atol=1e-6)


def test_gradient_then_values_makes_one_pass(calls, images, monkeypatch):
    clf, found = branched(2), {}

    def ask(classifier, images, objectives):
        found.update(gradient=classifier.gradient(images.copy(), objectives), values=classifier.values(images, objectives))

    _register(monkeypatch, run(ask))
    cx.explain("asking", clf, images)
    assert calls == [5]
    logits = clf.logits(images)
    np.testing.assert_allclose(found["values"], logits.max(axis=1), rtol=1e-5)
    np.testing.assert_allclose(found["gradient"], clf.gradient(images, logits.argmax(axis=1)), rtol=1e-4, atol=1e-6)


def test_other_images_use_their_own_predictions(calls, images):
    """As noisy copies are."""
    clf = branched(3)
    kernel, _ = clf.model.get_layer("scores").get_weights()
    logits, others = clf.logits(images), 1 - images
    # Half of the images are above the mean of each logit.
    means = np.concatenate([logits, clf.logits(others)]).mean(axis=0)
    clf.model.get_layer("scores").set_weights([kernel, -means])
    objectives, batch = own_logits(clf, images)
    gradient = clf.gradient(others, objectives)
    classes = clf.logits(images).argmax(axis=1)
    assert (clf.logits(others).argmax(axis=1) != classes).any()
    np.testing.assert_allclose(gradient, clf.gradient(others, classes), rtol=1e-4, atol=1e-6)
    assert batch.known(np.arange(5))
    # In another order, and more than once.
    objectives, _ = own_logits(clf, images)
    order = [3, 0, 3]
    calls.clear()
    np.testing.assert_allclose(
        clf.gradient(images[order], [objectives[place] for place in order]),
        clf.gradient(images[order], classes[order]),
        rtol=1e-4,
        atol=1e-6,
    )
    assert calls == [3, 3]


def test_predictions_for_scattered_images_are_completed(calls, images):
    clf = branched(3)
    objectives, batch = own_logits(clf, images)
    classes = clf.logits(images).argmax(axis=1)
    calls.clear()
    gradient = clf.gradient(images[[0, 2]], [objectives[0], objectives[2]])
    np.testing.assert_allclose(gradient, clf.gradient(images[[0, 2]], classes[[0, 2]]), rtol=1e-4, atol=1e-6)
    assert [batch.known(np.array(places)) for places in ([0, 2], [2, 1])] == [True, False]
    assert batch.classes.tolist() == classes.tolist()
    assert calls == [2, 2, 3]


@backends
def test_other_models_compute_their_own_targets(images):
    """The targets are the classes that the first model predicts, but the values and gradients those of the other."""
    first, other = branched(0), branched(1)
    for asked in ("values", "gradient"):
        targets, batch = own_logits(first, images)
        classes = first.logits(images).argmax(axis=1).tolist()
        found = getattr(other, asked)(images, targets)
        np.testing.assert_allclose(found, getattr(other, asked)(images, classes), atol=1e-6)
        np.testing.assert_array_equal(batch.logits, first.logits(images))
    targets, batch = own_logits(first, images)
    np.testing.assert_allclose(other.values(1 - images, targets), other.values(1 - images, classes), atol=1e-6)
    np.testing.assert_array_equal(batch.logits, first.logits(images))


def test_ties_of_logits_go_to_the_first(images):
    clf = branched(4)
    kernel, bias = clf.model.get_layer("scores").get_weights()
    best = clf.logits(images).argmax(axis=1)[0]
    kernel[:], bias[:] = kernel[:, [best]], bias[best]
    bias[0] -= 1
    clf.model.get_layer("scores").set_weights([kernel, bias])
    record = cx.explain("saliency", clf, images)
    assert [each.prediction for each in record.explained] == [1] * 5
    np.testing.assert_allclose(record.arrays["gradient"], clf.gradient(images, np.full(5, 1)), rtol=1e-5)
    np.testing.assert_allclose(clf.gradient(images, own_logits(clf, images)[0]), record.arrays["gradient"], rtol=1e-5)


@backends
def test_ties_of_rounded_probabilities_go_to_the_first(images, calls):
    """Although the second has the larger logit, by which the compiled function chooses."""
    clf = branched(5, activation="sigmoid")
    kernel, _ = clf.model.get_layer("scores").get_weights()
    clf.model.get_layer("scores").set_weights([kernel, np.array([0, 60, 80, 0], np.float32)])
    record = cx.explain("saliency", clf, images)
    assert len(calls) == 2
    assert clf.logits(images).argmax(axis=1).tolist() == [2] * 5
    assert [(each.prediction, each.target) for each in record.explained] == [(1, 1)] * 5
    np.testing.assert_allclose(record.arrays["gradient"], clf.gradient(images, np.full(5, 1)), rtol=1e-5)
    np.testing.assert_allclose(record.facts["logit"], clf.logits(images)[:, 1], rtol=1e-5)
    layerwise = cx.explain("gradcam", clf, images)
    np.testing.assert_allclose(layerwise.facts["logit"], record.facts["logit"], rtol=1e-5)


@pytest.mark.parametrize("target", [None, 1])
@pytest.mark.parametrize(
    "analysis", [pytest.param("saliency", marks=backends), "gradcam", "intermediate-outputs", "occlusion", "inversion"]
)
def test_non_finite_predictions_are_reported(images, analysis, target):
    clf = branched(6)
    clf.model.get_layer("scores").set_weights([np.full((48, 4), np.nan, np.float32), np.zeros(4)])
    options = {} if target is None or analysis == "inversion" else {"target": target}
    with pytest.raises(ModelError, match=r"returned probabilities that are not finite \(NaN or infinity\)\."):
        cx.explain(analysis, clf, images, **options)


def test_the_graph_is_compared_with_the_model_on_the_images(images, monkeypatch):
    clf, compared = branched(6), []
    monkeypatch.setattr(clf, "compare", lambda images, logits: compared.append((images.copy(), logits.copy())))
    for analysis in ("saliency", "inversion"):
        cx.explain(analysis, clf, images, **({"iterations": 1} if analysis == "inversion" else {}))
    for shown, logits in compared:
        np.testing.assert_array_equal(shown, images)
        np.testing.assert_allclose(logits, clf.logits(images), rtol=1e-5, atol=1e-6)
    assert len(compared) == 2


def test_non_finite_predictions_are_blamed_before_the_analysis(images, monkeypatch):
    clf = branched(6)

    def fail(classifier, images, objectives):
        raise ValueError("no numbers")

    _register(monkeypatch, run(fail))
    with pytest.raises(PluginError, match="no numbers"):
        cx.explain("asking", clf, images)
    clf.model.get_layer("scores").set_weights([np.full((48, 4), np.nan, np.float32), np.zeros(4)])
    with pytest.raises(ModelError, match="not finite"):
        cx.explain("asking", clf, images)


@backends
def test_regression_models_explain_the_first_value(random, calls):
    keras.utils.set_random_seed(7)
    model = keras.Sequential([keras.Input((8, 8, 2)), layers.Flatten(), layers.Dense(3)])
    clf = cx.load(model, values=True, labels=["a", "b", "c"])
    images = random.uniform(0, 1, (4, 8, 8, 2)).astype(np.float32)
    record = cx.explain("saliency", clf, images)
    assert len(calls) == 1
    kernel = model.get_weights()[0][:, 0].reshape(8, 8, 2)
    np.testing.assert_allclose(record.arrays["gradient"], np.stack([kernel] * 4), rtol=1e-5)
    np.testing.assert_allclose(record.facts["logit"], clf.predict(images)[:, 0], rtol=1e-5)
    assert {(each.prediction, each.target, each.unit) for each in record.explained} == {(0, 0, "")}
    record = cx.explain("saliency", clf, images, target="b down")
    np.testing.assert_allclose(record.facts["logit"], -clf.predict(images)[:, 1], rtol=1e-5)


@backends
def test_a_single_unit_has_two_classes(random, calls):
    keras.utils.set_random_seed(8)
    model = keras.Sequential([keras.Input((8, 8, 2)), layers.Flatten(), layers.Dense(1, activation="sigmoid")])
    clf = cx.load(model)
    images = random.uniform(0, 1, (6, 8, 8, 2)).astype(np.float32)
    model.layers[-1].bias.assign(-model.layers[-1].bias - clf.logits(images)[:, 1].mean())
    calls.clear()
    record = cx.explain("saliency", clf, images)
    assert len(calls) == 1
    scores = clf.logits(images)[:, 1]
    assert [each.prediction for each in record.explained] == (scores > 0).astype(int).tolist()
    assert 0 < (scores > 0).sum() < 6
    np.testing.assert_allclose(record.facts["logit"], np.abs(scores), rtol=1e-4, atol=1e-6)
    signed = np.where(scores > 0, 1, -1)[:, None, None, None] * model.get_weights()[0].reshape(8, 8, 2)
    np.testing.assert_allclose(record.arrays["gradient"], signed, rtol=1e-5)


def test_targets_are_computed_lazily(images, calls):
    clf, checked = branched(9), []
    batch = predictions(clf, images, checked)
    objectives = [ImageLogit.of(batch, place, 2 if place == 4 else None) for place in range(5)]
    assert isinstance(objectives[0], Logit)
    assert [*reversed(objectives)][-1] is objectives[0]
    assert calls == checked == []
    difference = objectives[0] - Logit(1)
    assert calls == []
    # Even a class that is given is used only after the predictions are checked.
    assert objectives[4].target == 2
    assert calls == checked == [5]
    classes = clf.logits(images).argmax(axis=1).tolist()
    assert [each.target for each in objectives] == [*classes[:4], 2]
    assert difference.describe(clf.labels) == f"class {classes[0]} − class 1"
    assert batch.classes.tolist() == classes


def test_lazy_objectives_behave_like_logits(images):
    clf = branched(9)
    classes = clf.logits(images).argmax(axis=1).tolist()

    def fresh():
        return own_logits(clf, images)[0][0]

    plain = Logit(classes[0])
    assert fresh() == plain == fresh()
    assert plain == fresh()
    assert fresh() != Logit(99)
    assert hash(fresh()) == hash(plain)
    assert repr(fresh()) == repr(plain)
    assert str(fresh()) == str(plain)
    for copied in (copy.copy(fresh()), copy.deepcopy(fresh()), pickle.loads(pickle.dumps(fresh()))):
        assert copied == plain
        assert type(copied) is Logit
    assert dataclasses.replace(fresh(), target=7) == Logit(7)
    assert dataclasses.asdict(fresh()) == {"target": classes[0]}
    match fresh():
        case Logit(target=target):
            assert target == classes[0]
    np.testing.assert_array_equal(fresh().layer_weights(clf)["logits"], np.eye(4)[classes[0]])
    with pytest.raises(dataclasses.FrozenInstanceError):
        fresh().target = 3


def test_analyses_get_one_objective_per_image(images, monkeypatch):
    got = []
    _register(monkeypatch, run(lambda classifier, images, objectives: got.append(objectives)))
    clf = branched(9)
    cx.explain("asking", clf, images)
    cx.explain("asking", clf, images, target=Channel("second", 1))
    cx.explain("asking", clf, images, target=2, against=[0, 1, 3, 0, 1])
    classes = clf.logits(images).argmax(axis=1).tolist()
    assert got == [
        [Logit(index) for index in classes],
        [Channel("second", 1)] * 5,
        [Logit(2) - Logit(index) for index in [0, 1, 3, 0, 1]],
    ]
    assert all(type(each) is list for each in got)
    with pytest.raises(UsageError, match="different classes"):
        cx.explain("asking", clf, images, against=classes[2])


def _register(monkeypatch, function):
    """Makes an analysis known by the name "asking"."""
    from cnnexplain.plugin import registry

    known = registry.load()
    analysis = Analysis("asking", function, lambda record, index: None, "no paper", maps={"map": "1"})
    find = type(known).get

    def get(self, name):
        return (analysis, find(self, "saliency")[1]) if name == "asking" else find(self, name)

    monkeypatch.setattr(type(known), "get", get)

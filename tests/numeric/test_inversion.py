"""Representation inversion against its definition (Mahendran & Vedaldi 2015)."""

import dataclasses
import functools
import math

import keras
import numpy as np
import oracles
import pytest
from cnnexplain_plugins import inversion as plugin
from cnnexplain_plugins.inversion import figure, inversion, jittered, loss, spectral
from cnnexplain_plugins.inversion.descent import Descent, Loss

import cnnexplain as cx
from cnnexplain import backend, optimize
from cnnexplain.inputs import datasets
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.model.computation.batches import Batches

# Their many steps are compiled at once.
pytestmark = pytest.mark.unaided

TEN = [f"mnist:test/{index}" for index in range(10)]
MAIN = ["conv1", "pool1", "pool2", "dense", "logits"]
LAYERS = ["conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "dense", "logits"]
DEEPER = [name for name in LAYERS if name != "conv2"]
"""The pixel error rises along these. A convolution before its ReLU holds more, but the second one's negative numbers, which
nothing after it sees, take part in ‖Φ0‖², so that the regularizers weigh more there than one layer further up."""


@pytest.fixture(scope="module")
def digits(lenet):
    return np.asarray(cx.read_images(TEN, lenet))


@pytest.fixture(scope="module")
def ten(lenet, digits):
    """Some layers of ten digits, with few steps."""
    return cx.explain("inversion", lenet, digits, layer=MAIN, iterations=120)


@pytest.fixture(scope="module")
def scale(lenet):
    return loss.normalization(lenet.preprocess, None)


def means(record, fact):
    return {name: np.mean([one[name] for one in record.facts[fact]]) for name in record.facts[fact][0]}


def evaluated(clf, names, function, x, arrays, rows=()):
    """The values of a loss and their gradients, compiled as for the optimization."""

    def compiled(outputs, x, *others):
        return backend.current().value_and_gradient(lambda x: [function(outputs, x, *others)])(x)

    arrays = [np.asarray(each, np.float32) for each in (x, *arrays)]
    shapes, constants = [each.shape[1:] for each in arrays], [each.shape for each in rows]
    return clf.compiled(compiled, names, shapes, constants)(arrays, rows)


def paper(clf, layer, codes, scale, weights):
    """The loss of 2015 for a layer, and its arguments."""
    descent = inversion.pixels(clf, [layer], [codes], [weights], "adam", 1, scale.sigma, 0)
    mean = np.tile(scale.mean, (len(codes), 1, 1, 1, 1))
    return descent.loss, dataclasses.replace(descent, shown=[mean, descent.shown[1]]).arrays


# What is minimized.


@pytest.mark.parametrize("layer", ["conv1", "pool2", "logits"])
def test_loss_equals_the_oracle_and_gradient_finite_differences(lenet, scale, noise, random, layer):
    oracle = oracles.LeNet(lenet.model.get_weights())
    weights = loss.Weights(5555.7, 0.76)
    wanted = lenet.activations(noise[:1], [layer])[layer]
    # Far from the target, so that no term is lost among the others.
    x = random.normal(size=(28, 28, 1)) / 20

    def exact(batch):
        shown = 0.13066048 + scale.sigma * np.asarray(batch)
        codes = oracle.layers(shown)[layer]
        return np.array([oracles.inversion_loss(c, wanted[0], y, 5555.7, 0.76) for c, y in zip(codes, batch, strict=True)])

    function, arrays = paper(lenet, layer, wanted, scale, weights)
    (values,), ((gradient,),) = evaluated(lenet, [layer], function, x[None, None], arrays)
    x = x.astype(np.float32).astype(np.float64)
    assert values[0] == pytest.approx(exact(x[None])[0], rel=1e-4)
    some = random.choice(784, 30, replace=False)
    moves = 1e-6 * np.eye(784)[some].reshape(-1, 28, 28, 1)
    measured = (exact(x + moves) - exact(x - moves)) / 2e-6
    np.testing.assert_allclose(gradient.ravel()[some], measured, atol=1e-3 * np.abs(measured).max())


def test_color_loss_equals_the_oracle(model, random):
    clf = cx.load(model())
    images = random.uniform(0, 1, (2, 12, 10, 3)).astype(np.float32)
    scale = loss.Normalization(np.array([0.2, 0.5, 0.7], np.float32), 3.0)
    codes = clf.activations(images, ["conv"])["conv"]
    x = random.normal(size=images.shape).astype(np.float32) / 10
    function, arrays = paper(clf, "conv", codes, scale, loss.Weights(100.0, 2.0))
    values, _ = evaluated(clf, ["conv"], function, x[:, None], arrays)
    found = clf.activations(np.float32(x * 3 + [0.2, 0.5, 0.7]), ["conv"])["conv"]
    exact = [oracles.inversion_loss(*each, 100, 2) for each in zip(found, codes, x.astype(float), strict=True)]
    np.testing.assert_allclose(values[:, 0], exact, rtol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(6, 9), (9, 6)])
def test_total_variation_of_a_unit_step(height, width):
    edge = np.zeros((2, height, width, 1), np.float32)
    edge[0, :, 4:] = 1
    edge[1, 2:] = 1
    np.testing.assert_array_equal(loss.total_variation(edge), [height, width])
    # Where both differences meet in a pixel: (1 + 1)^(β/2) with β = 2.
    corner = np.zeros((1, 3, 3, 1), np.float32)
    corner[0, 0, 0] = 1
    np.testing.assert_array_equal(loss.total_variation(corner), [2])


def test_the_alpha_norm_counts_magnitudes():
    np.testing.assert_array_equal(loss.alpha_norm(np.float32([-2, 1]).reshape(1, 1, 2, 1)), [65])


def test_weights_scale_with_the_input_size(lenet):
    early, middle, deep = (loss.weights(lenet, name, None, None) for name in ("pool1", "pool2", "dense"))
    assert early.alpha == middle.alpha == deep.alpha == pytest.approx(0.01 * 2.16e8 * (784 / 154587) ** 2)
    assert early.alpha == pytest.approx(56, rel=0.01)
    share = 784 / 227**2
    assert [each.variation for each in (early, middle, deep)] == pytest.approx([0.5 * share, 5 * share, 50 * share])
    assert [loss.weights(lenet, name, None, None) for name in ("input", "conv2", "logits")] == [early, middle, deep]
    assert loss.weights(lenet, "conv1", 1.0, 0.0) == loss.Weights(1.0, 0.0)


def test_weights_at_the_input_size_of_the_paper():
    layers = [keras.layers.AveragePooling2D(32), keras.layers.Flatten(), keras.layers.Dense(2)]
    clf = cx.load(keras.Sequential([keras.Input((227, 227, 3)), *layers]))
    found = [loss.weights(clf, layer.name, None, None) for layer in layers]
    assert [(each.alpha, each.variation) for each in found] == [(2.16e6, 0.5), (2.16e6, 5), (2.16e6, 50)]


def test_mean_and_sigma_are_those_of_the_training_digits(lenet, scale):
    pixels = datasets.mnist("train")[0].reshape(60000, 784)
    mean = pixels.mean() / 255
    np.testing.assert_allclose(scale.mean, [mean], rtol=1e-6)
    # Σ(x − mean)² of each digit from exact sums of integers.
    sums, squares = pixels.sum(axis=1), np.einsum("nd,nd->n", pixels, pixels, dtype=np.int64)
    norms = np.sqrt(squares / 255**2 - 2 * mean * sums / 255 + 784 * mean**2)
    assert scale.sigma == pytest.approx(norms.mean(), rel=1e-9)
    wide = loss.normalization(Preprocess(28, 28, "gray", scale=2 / 255, mean=(1,), fit="digit"), None)
    assert wide.mean == pytest.approx([2 * mean - 1])
    assert wide.sigma == pytest.approx(2 * scale.sigma)


def test_mean_and_sigma_fall_back_to_the_range():
    found = loss.normalization(Preprocess(12, 10, scale=200 / 255, mean=(50,)), None)
    assert found.mean.tolist() == [50, 50, 50]
    assert found.sigma == pytest.approx(50 * math.sqrt(360))
    assert loss.normalization(Preprocess(12, 10), 7.5).sigma == 7.5


# What is found.


def test_identity_recovers_the_image(lenet, digits):
    record = cx.explain("inversion", lenet, digits[:2], layer="input", alpha_weight=0, variation_weight=0)
    np.testing.assert_allclose(record.arrays["reconstruction/input"], digits[:2], atol=1e-4)


def test_identity_recovers_a_color_image_of_another_range(random):
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(3)]
    clf = cx.load(keras.Sequential([keras.Input((6, 9, 3)), *layers]))
    image = random.integers(0, 256, (1, 6, 9, 3)).astype(np.uint8)
    record = cx.explain("inversion", clf, image, layer="input", alpha_weight=0, variation_weight=0)
    np.testing.assert_allclose(record.arrays["reconstruction/input"], image, atol=255e-4)
    assert record.facts["mean"] == [[127.5] * 3]


@pytest.mark.parametrize(("optimizer", "best"), [("momentum", False), ("adam", True)])
def test_starting_at_the_target_stays_there(lenet, scale, digits, optimizer, best):
    """Adam takes the gradient's rounding for a slope and leaves, but the lowest value is kept; momentum alone stays."""
    codes = lenet.activations(digits[:3], ["pool2"])["pool2"]
    function, arrays = paper(lenet, "pool2", codes, scale, loss.Weights(0, 0))
    start, step = scale.apply(digits[:3])[:, None], inversion.STEPS[optimizer](100, 784)
    options = {"arrays": arrays, "together": 1, "best": best}
    optimum = optimize.minimize_compiled(lenet, function, ["pool2"], start, step, 100, **options)
    assert optimum.values[0].max() < 1e-12
    np.testing.assert_allclose(scale.undo(optimum.variables[:, 0]), digits[:3], atol=1e-5)


def test_ten_digits_in_few_steps(ten, lenet, digits):
    assert list(ten.arrays) == [f"reconstruction/{name}" for name in MAIN]
    assert means(ten, "representation_error")["conv1"] < 0.05
    errors = list(means(ten, "pixel_error").values())
    assert errors == sorted(errors)
    for facts, label in zip(ten.facts["prediction"], lenet.predict(digits).argmax(axis=1), strict=True):
        assert set(facts.values()) == {label}


@pytest.mark.slow
def test_ten_digits_by_default(lenet, digits):
    """The paper's figure: the deeper the layer, the less of the pixels is left, and the class is kept throughout."""
    record = cx.explain("inversion", lenet, digits)
    assert list(record.arrays) == [f"reconstruction/{name}" for name in LAYERS]
    assert record.seconds < 60
    assert means(record, "representation_error")["conv1"] < 0.05
    assert max(means(record, "representation_error").values()) < 0.1
    errors = means(record, "pixel_error")
    assert [errors[name] for name in DEEPER] == sorted(errors[name] for name in DEEPER)
    own = lenet.predict(digits).argmax(axis=1)
    for facts, probabilities, label in zip(record.facts["prediction"], record.facts["probability"], own, strict=True):
        assert set(facts.values()) == {label}
        assert min(probabilities.values()) > 0.9


@pytest.mark.slow
def test_adam_reaches_a_lower_loss_than_the_papers_optimizer_in_half_the_steps(lenet, digits):
    totals = []
    for optimizer in ("adam", "momentum"):
        record = cx.explain("inversion", lenet, digits[:3], optimizer=optimizer)
        found = {
            name: means(record, name)
            for name, fact in record.facts.items()
            if isinstance(fact[0], dict) and name != "stopped"
        }
        totals.append(
            [
                found["representation_error"][name]
                + found["alpha_weight"][name] * found["alpha_norm"][name]
                + found["variation_weight"][name] * found["total_variation"][name]
                for name in LAYERS
            ]
        )
    adam, momentum = totals
    assert record.facts["iterations"][0] == 400
    assert all(ours < theirs for ours, theirs in zip(adam, momentum, strict=True))


def test_first_convolution_recovers_the_sample_digit(lenet):
    record = cx.explain("inversion", lenet, datasets.SAMPLE, layer="conv1")
    assert record.facts["representation_error"][0]["conv1"] < 0.05


def test_errors_are_those_of_the_saved_image(ten, lenet, digits, scale):
    oracle = oracles.LeNet(lenet.model.get_weights())
    for name in ("conv1", "pool2", "logits"):
        found = ten.arrays[f"reconstruction/{name}"].astype(float)
        codes, own = oracle.layers(found)[name], oracle.layers(digits)[name]
        for index in range(10):
            error = np.sum((codes[index] - own[index]) ** 2) / np.sum(own[index] ** 2)
            assert ten.facts["representation_error"][index][name] == pytest.approx(error, rel=1e-3)
            pixels = np.sum((found[index] - digits[index]) ** 2) / np.sum((digits[index] - 0.13066048) ** 2)
            assert ten.facts["pixel_error"][index][name] == pytest.approx(pixels, rel=1e-4)
            x = (found[index] - 0.13066048) / scale.sigma
            assert ten.facts["total_variation"][index][name] == pytest.approx(oracles.total_variation(x), rel=1e-3)
            assert ten.facts["alpha_norm"][index][name] == pytest.approx(np.sum(x**6), rel=1e-3)
            assert ten.facts["representation_norm"][index][name] == pytest.approx(np.linalg.norm(own[index]), rel=1e-4)
    probabilities = lenet.predict(ten.arrays["reconstruction/dense"]).max(axis=1)
    assert [each["dense"] for each in ten.facts["probability"]] == pytest.approx(probabilities.tolist(), rel=1e-4)
    assert ten.arrays["reconstruction/conv1"].min() < 0  # It is not clipped.


def test_each_regularizer_lowers_its_own_measure(lenet, digits):
    def found(**options):
        facts = cx.explain("inversion", lenet, digits[:3], layer="pool1", iterations=60, **options).facts
        return [np.array([each["pool1"] for each in facts[name]]) for name in ("total_variation", "alpha_norm")]

    plain = found(alpha_weight=0, variation_weight=0)
    assert (found(alpha_weight=0, variation_weight=0.5)[0] < plain[0]).all()
    assert (found(alpha_weight=1e5, variation_weight=0)[1] < plain[1]).all()


# The seed, and the range of the input. That a batch is as its images and that a seed repeats, the conformance kit checks.


def test_results_depend_on_the_seed_only(model, random):
    clf = cx.load(model())
    images = random.uniform(0, 1, (1, 12, 10, 3)).astype(np.float32).repeat(3, axis=0)

    def run(seed):
        return cx.explain("inversion", clf, images, layer=["pool", "logits"], seed=seed, iterations=30).arrays

    first, other = run(1), run(2)
    for name in first:
        np.testing.assert_allclose(first[name][0], first[name][2], atol=1e-4)
        assert np.abs(first[name] - other[name]).max() > 0.01
    np.testing.assert_allclose(np.linalg.norm(inversion.noise((12, 10, 3), 5)), 1, rtol=1e-6)


def test_results_do_not_depend_on_the_input_range(random):
    """A network on pixels and the same network on parts of 255 are told the same pictures."""

    def build(*before):
        head = [keras.layers.Conv2D(4, 3, name="conv"), keras.layers.Flatten(), keras.layers.Dense(3, name="scores")]
        return keras.Sequential([keras.Input((9, 7, 3)), *before, *head])

    small, large = build(), build(keras.layers.Rescaling(1 / 255))
    large.set_weights(small.get_weights())
    pixels = random.integers(0, 256, (2, 9, 7, 3)).astype(np.float32)
    options = {"layer": "conv", "iterations": 50}
    # A third more layers come before: the weight that depends on the depth is given.
    one = cx.explain("inversion", cx.load(small), pixels / 255, variation_weight=0.01, **options)
    two = cx.explain("inversion", cx.load(large), pixels, variation_weight=0.01, **options)
    np.testing.assert_allclose(255 * one.arrays["reconstruction/conv"], two.arrays["reconstruction/conv"], atol=0.05)
    assert one.facts["pixel_error"][0] == pytest.approx(two.facts["pixel_error"][0], rel=1e-3)


# Which layers.


@pytest.mark.parametrize("head", ["dense", "softmax", "activation", "logits", "nested"])
def test_every_head_is_inverted_from_its_logits(model, head):
    prefix = "body/" if head == "nested" else ""
    assert inversion.representations(cx.load(model(head))) == [f"{prefix}{name}" for name in ("conv", "pool", "hidden")] + [
        "logits"
    ]


def test_layers_without_computation_are_skipped():
    layers = [
        keras.layers.Dropout(0.3),
        keras.layers.Conv2D(3, 3, name="conv"),
        keras.layers.Activation("linear"),
        keras.layers.SpatialDropout2D(0.2),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.5),
        keras.layers.Reshape((4, -1)),
        keras.layers.Flatten(name="again"),
        keras.layers.Dense(4, name="scores"),
        keras.layers.Softmax(),
    ]
    clf = cx.load(keras.Sequential([keras.Input((6, 6, 1)), *layers]))
    assert inversion.representations(clf) == ["conv", "norm", "logits"]
    # One that is asked for by name is inverted all the same, and once.
    record = cx.explain("inversion", clf, np.zeros((1, 6, 6, 1)), layer=["again", "again"], iterations=2)
    assert len(record.arrays) == 1


def test_many_layers_are_sampled_over_depth():
    layers = [keras.layers.Dense(5, name=f"layer{number}") for number in range(30)]
    clf = cx.load(keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), *layers, keras.layers.Dense(3)]))
    found = inversion.default_layers(clf, None)
    assert len(found) == inversion.LAYERS == 12
    assert inversion.default_layers(clf, 3) == ["layer0", "layer15", "logits"]
    assert (found[0], found[-1]) == ("layer0", "logits")
    places = [int(name.removeprefix("layer")) for name in found[:-1]]
    assert set(np.diff(places)) <= {2, 3}


# What goes wrong.


def test_a_representation_of_zeros_gives_no_nan():
    layers = [keras.layers.Conv2D(3, 3, activation="relu", name="conv"), keras.layers.Flatten(), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((6, 6, 1)), *layers])
    model.layers[0].bias.assign([-100.0] * 3)
    record = cx.explain("inversion", cx.load(model), np.full((1, 6, 6, 1), 0.5), layer=["conv", "input"], iterations=30)
    assert record.facts["representation_norm"][0]["conv"] == 0
    assert record.facts["representation_error"][0]["conv"] == 0
    # The image is the mean itself: its pixel error has nothing to be a part of.
    assert record.facts["pixel_error"][0]["conv"] >= 0
    assert all(np.isfinite(array).all() for array in record.arrays.values())
    assert record.warnings == ("The representation of an image in 'conv' is zero; its error there is absolute.",)
    record.figure()


def test_representations_of_any_magnitude_are_inverted():
    for factor in (1e-25, 1e25):
        layers = [keras.layers.Rescaling(factor, name="factor"), keras.layers.Rescaling(1 / factor), keras.layers.Flatten()]
        clf = cx.load(keras.Sequential([keras.Input((5, 5, 1)), *layers, keras.layers.Dense(2)]))
        record = cx.explain(
            "inversion", clf, np.eye(5)[None, :, :, None], layer="factor", alpha_weight=0, variation_weight=0
        )
        np.testing.assert_allclose(record.arrays["reconstruction/factor"][0, :, :, 0], np.eye(5), atol=1e-3)


def test_non_finite_regions_end_the_optimization(random):
    """√x has none below 0: the first image's pixels lie near it, and one step goes beyond; the other's lie far from it."""
    layers = [keras.layers.Activation(keras.ops.sqrt, name="root"), keras.layers.Flatten(), keras.layers.Dense(2)]
    clf = cx.load(keras.Sequential([keras.Input((4, 4, 1)), *layers]))
    images = np.stack([np.full((4, 4, 1), 0.01), np.full((4, 4, 1), 0.6)]).astype(np.float32)
    options = {"layer": "root", "sigma": 0.5, "alpha_weight": 0, "variation_weight": 0}
    record = cx.explain("inversion", clf, images, **options)
    reasons = [facts["root"] for facts in record.facts["stopped"]]
    assert reasons[0].startswith("at step ")
    assert reasons[0].endswith("not finite (NaN or infinity)")
    assert reasons[1] is None
    assert record.warnings == (f"The inversion of 'root' ended early, {reasons[0]}.",)
    assert np.isfinite(record.arrays["reconstruction/root"]).all()
    alone = cx.explain("inversion", clf, images[1:], **options).arrays["reconstruction/root"]
    np.testing.assert_allclose(record.arrays["reconstruction/root"][1:], alone, atol=1e-4)


def test_nan_stops_with_step_and_reason(lenet, digits, monkeypatch):
    pixels = inversion.pixels

    @dataclasses.dataclass(frozen=True)
    class Breaking(Loss):
        def __call__(self, *args):
            *others, first, number = args
            broken = keras.ops.logical_and(first > 0, keras.ops.equal(number, 7))
            return keras.ops.where(broken, float("nan"), super().__call__(*others))

    def breaks(*args):
        descent = pixels(*args)
        shown, schedule = [*descent.shown, np.float32([[1], [0]])], [np.arange(21, dtype=np.float32)]
        breaking = Breaking(**{each.name: getattr(descent.loss, each.name) for each in dataclasses.fields(Loss)})
        return dataclasses.replace(descent, loss=breaking, shown=shown, schedule=schedule)

    monkeypatch.setattr(inversion, "pixels", breaks)
    record = cx.explain("inversion", lenet, digits[:2], layer="conv1", iterations=20)
    reason = "at step 7 the value was not finite (NaN or infinity)"
    assert [each["conv1"] for each in record.facts["stopped"]] == [reason, None]
    assert record.warnings == (f"The inversion of 'conv1' ended early, {reason}.",)
    monkeypatch.undo()
    whole = cx.explain("inversion", lenet, digits[:2], layer="conv1", iterations=20)
    np.testing.assert_allclose(record.arrays["reconstruction/conv1"][1], whole.arrays["reconstruction/conv1"][1], atol=1e-5)
    assert record.facts["pixel_error"][0]["conv1"] > whole.facts["pixel_error"][0]["conv1"]


def test_non_finite_layers_are_named():
    layers = [keras.layers.Activation(keras.ops.log, name="log"), keras.layers.ReLU(), keras.layers.Flatten()]
    clf = cx.load(keras.Sequential([keras.Input((4, 4, 1)), *layers, keras.layers.Dense(2)]))
    with pytest.raises(cx.ModelError, match="'log' returns values that are not finite"):
        cx.explain("inversion", clf, np.zeros((1, 4, 4, 1)), layer="log")


def test_an_unknown_layer_is_a_usage_error(cli):
    code, _, err = cli("run", "inversion", "--layer", "conv3")
    assert code == 2
    assert "no layer 'conv3'. Did you mean 'conv" in err


# How it is done and shown.


def test_schedule_of_the_paper():
    step, gradient = inversion.STEPS["momentum"](400, 1), np.ones((1, 1), np.float32)
    state, moves = None, []
    for number in range(400):
        move, state = step(gradient, state, number)
        moves.append(float(move[0, 0]))
    # The momentum starts from zero at each change: the first move is the rate itself, the second 1.9 times it.
    assert [moves[0], moves[1], moves[100], moves[101], moves[300], moves[301]] == pytest.approx(
        [-0.004, -0.0076, -0.0004, -0.00076, -0.00004, -0.000076]
    )
    assert moves[99] == pytest.approx(-0.04, rel=1e-3)
    assert moves[299] == pytest.approx(-0.004, rel=1e-3)


def test_progress_counts_steps_of_all_layers(model, random):
    seen = []
    images = random.uniform(0, 1, (1, 12, 10, 3)).astype(np.float32)
    options = {"layer": ["conv", "logits"], "iterations": 20}
    cx.explain("inversion", cx.load(model()), images, progress=lambda *done: seen.append(done), **options)
    assert seen[0] == (20, 40)
    assert seen[-1] == (40, 40)
    assert seen == sorted(seen)


@pytest.fixture
def whole(model, random):
    """A classifier, two images, and their inversion with all layers together."""
    clf, images = cx.load(model()), random.uniform(0, 1, (2, 12, 10, 3)).astype(np.float32)
    return clf, images, cx.explain("inversion", clf, images, iterations=3)


def assert_same_layers(found, expected):
    assert len(expected.arrays) > 2
    assert list(found.arrays) == list(expected.arrays)
    for name, array in expected.arrays.items():
        np.testing.assert_allclose(found.arrays[name], array, atol=1e-3)


def test_no_layer_is_left_out_if_the_batch_size_shrinks(whole, monkeypatch):
    clf, images, expected = whole
    monkeypatch.setattr(clf, "batch_size", 2)
    found = cx.explain("inversion", clf, images, iterations=3, progress=lambda *_: setattr(clf, "batch_size", 1))
    assert_same_layers(found, expected)


@pytest.mark.parametrize("most", [1, 2])
def test_fewer_layers_are_inverted_together_if_memory_is_short(whole, monkeypatch, most):
    clf, images, expected = whole
    refused = []
    compute = Batches.compute

    def limited(self, function, arrays, views=1):
        def call(*batch):
            if views > 1 and len(batch[0]) * views > most:
                refused.append(views)
                raise MemoryError
            return function(*batch)

        return compute(self, call, arrays, views)

    monkeypatch.setattr(Batches, "compute", limited)
    monkeypatch.setattr(clf, "batch_size", 64)
    assert_same_layers(cx.explain("inversion", clf, images, iterations=3), expected)
    assert len(expected.arrays) in refused


def test_many_pictures_are_inverted_in_groups(whole, monkeypatch):
    clf, images, expected = whole
    monkeypatch.setattr(inversion, "MEMORY", 2 * images.nbytes)
    groups = []
    minimize = Descent.minimize
    monkeypatch.setattr(Descent, "minimize", lambda *each: groups.append(len(each[0].codes)) or minimize(*each))
    assert_same_layers(cx.explain("inversion", clf, images, iterations=3), expected)
    assert max(groups) == 2
    assert sum(groups) == len(expected.arrays)


def test_pictures_are_shown_in_batches(photographs, random, monkeypatch):
    codes = photographs.activations(random.uniform(-1, 1, (5, *photographs.preprocess.shape)).astype(np.float32), ["logits"])
    weights = [jittered.weights(photographs, "logits", None, None)]
    descent = jittered.descent(photographs, ["logits"], [codes["logits"]], weights, 1, 0)
    variables = random.normal(size=(5, 1, *photographs.preprocess.shape)).astype(np.float32)
    expected = descent.results(photographs, variables)
    monkeypatch.setattr(photographs, "batch_size", 2)
    for one, other in zip(descent.results(photographs, variables), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_reconstructions_are_drawn_in_the_input_range(ten, digits):
    figure = ten.figure(3)
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in panels] == ["input", *MAIN]
    for axes, name in zip(panels[1:], MAIN, strict=True):
        assert axes.images[0].get_clim() == (0, 1)
        drawn = np.clip(ten.arrays[f"reconstruction/{name}"][3, ..., 0], 0, 1)
        np.testing.assert_array_equal(axes.images[0].get_array(), drawn)
        (words,) = (text.get_text() for text in axes.texts)
        assert f"representation error {ten.facts['representation_error'][3][name]:.3f}\n" in words
        assert f"pixel error {ten.facts['pixel_error'][3][name]:.3f}\n" in words
    # Six panels go in two rows of three.
    heights = [round(axes.get_position().y0, 4) for axes in panels]
    assert heights[:3] == [heights[0]] * 3
    assert heights[3:] == [heights[3]] * 3
    assert "He, Wang & Hopcroft 2016" in " ".join(text.get_text().replace("\n", " ") for text in figure.texts)


def test_the_command_line(cli):
    code, out, _ = cli(
        "run", "inversion", "--layer", "conv1", "--layer", "logits", "--iterations", 3, "--optimizer", "momentum"
    )
    assert code == 0, out
    with np.load("cnnexplain-out/inversion/arrays.npz") as arrays:
        assert sorted(arrays) == ["input", "reconstruction/conv1", "reconstruction/logits"]
        assert arrays["reconstruction/logits"].shape == (1, 28, 28, 1)


def test_larger_images_invert_at_least_as_well_as_the_paper(random):
    """A step that suits a small image is too large for the pixels of a large one, each a smaller part of the norm."""
    layers = [keras.layers.Conv2D(8, 5, activation="relu", name="conv"), keras.layers.GlobalAveragePooling2D()]
    clf = cx.load(keras.Sequential([keras.Input((80, 96, 3)), *layers, keras.layers.Dense(3)]))
    rows, columns = np.mgrid[:80, :96] / 10
    image = np.stack([np.sin(rows), np.cos(columns), np.sin(rows + columns)], axis=-1)[None] / 3 + 0.5
    ends, pixels = {}, {"parametrization": "pixels"}
    for optimizer, iterations in (("adam", 60), ("momentum", 120)):
        record = cx.explain("inversion", clf, image, layer="conv", optimizer=optimizer, iterations=iterations, **pixels)
        ends[optimizer] = record.facts["representation_error"][0]["conv"]
    assert ends["adam"] < 0.05
    assert ends["adam"] < 1.1 * ends["momentum"]


def test_the_lowest_loss_is_kept(lenet, monkeypatch):
    """A last step by the norm of a whole image, σ, for every pixel is undone."""

    def jumping(steps, _):
        def update(gradient, state, last):
            return last - 0.01 * (1 - last) * keras.ops.sign(gradient), state

        return optimize.Optimizer(update, lambda number: (float(number == steps - 1),), lambda shape: ())

    monkeypatch.setitem(inversion.STEPS, "adam", jumping)
    record = cx.explain("inversion", lenet, "mnist:test/42", layer="conv1", iterations=20)
    assert np.abs(record.arrays["reconstruction/conv1"]).max() < record.facts["sigma"][0] / 2


# The spectrum, and the paper of 2016.


@pytest.fixture
def photographs(random):
    """A network for small color images, whose last layer but two is a ReLU that is dead for dark images."""
    layers = [
        keras.layers.Conv2D(4, 3, strides=2, name="conv"),
        keras.layers.ReLU(max_value=6, name="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3, name="scores"),
    ]
    model = keras.Sequential([keras.Input((10, 9, 3)), *layers])
    model.layers[0].set_weights([random.normal(size=(3, 3, 3, 4)), np.zeros(4)])
    return cx.load(model, preprocess=Preprocess(10, 9, scale=2 / 255, mean=(1,)))


def compiled(clf, descent, variables, number=0):
    """The value and the gradient of one picture."""
    rows = [each[number] for each in descent.schedule]
    ((value,),), ((gradient,),) = evaluated(clf, descent.names, descent.loss, variables[None, None], descent.arrays, rows)
    return value, gradient


def slope(function, x, direction, step=1e-5):
    return (function(x + step * direction) - function(x - step * direction)) / (2 * step)


@pytest.mark.backends
def test_spectrum_loss_equals_the_oracle_and_finite_differences(photographs, random):
    wanted = random.uniform(-1, 1, (1, 10, 9, 3)).astype(np.float32)
    weights = loss.Weights(0.7, 3.0)
    descent = spectral.descent(photographs, ["input"], [wanted], [weights], None, 0)
    x = random.normal(size=(2, 3, 10, 5)).astype(np.float32).astype(float) / 2

    def exact(s):
        z = oracles.spectrum_picture(s, 9)
        u = 1 / (1 + np.exp(-z))
        shown = 2 * u - 1
        return (
            np.sum((shown - wanted[0]) ** 2) / np.sum(wanted[0] ** 2)
            + 0.7 * np.mean(z**2)
            + 3 * oracles.total_variation(u) / u.size
        )

    value, gradient = compiled(photographs, descent, x)
    assert value == pytest.approx(exact(x), rel=1e-4)
    for direction in random.normal(size=(5, *x.shape)):
        assert np.sum(gradient * direction) == pytest.approx(slope(exact, x, direction), rel=1e-3, abs=1e-4)
    shown = descent.results(photographs, np.float32(x[None, None]))[0][0, 0]
    np.testing.assert_allclose(shown, 2 / (1 + np.exp(-oracles.spectrum_picture(x, 9))) - 1, atol=1e-5)
    assert np.abs(shown).max() < 1


def test_channel_order_does_not_matter(photographs, random):
    """A network on blue, green and red and the same network on red, green and blue are told the same pictures."""
    other = keras.models.clone_model(photographs.model)
    kernel, *rest = photographs.model.get_weights()
    other.set_weights([kernel[:, :, ::-1], *rest])
    bgr = cx.load(other, preprocess=Preprocess(10, 9, "bgr", scale=2 / 255, mean=(1,)))
    image = random.uniform(-1, 1, (1, 10, 9, 3)).astype(np.float32)
    options = {"layer": "conv", "parametrization": "spectrum", "iterations": 15}
    one = cx.explain("inversion", photographs, image, **options).arrays["reconstruction/conv"]
    two = cx.explain("inversion", bgr, image[..., ::-1], **options).arrays["reconstruction/conv"]
    np.testing.assert_allclose(one, two[..., ::-1], atol=1e-3)


def test_dead_relus_still_pass_a_gradient(photographs, random):
    """It is that of ⟨a, 2 (relu(a) − Φ0)⟩ / ‖Φ0‖² at the input a of the ReLU, the second factor being held."""
    photographs.model.layers[0].bias.assign([-100.0] * 4)
    wanted = random.uniform(1, 5, (1, 4, 4, 4)).astype(np.float32)
    descent = spectral.descent(photographs, ["relu"], [wanted], [loss.Weights(0, 0)], None, 0)
    x = random.normal(size=(2, 3, 10, 5)) / 2
    value, gradient = compiled(photographs, descent, x)
    assert value == pytest.approx(1, rel=1e-5)

    def surrogate(s):
        shown = 2 / (1 + np.exp(-oracles.spectrum_picture(s, 9))) - 1
        before = photographs.activations(shown[None].astype(np.float32), ["conv"])["conv"]
        return np.sum((before + 100.0) * -2 * wanted, dtype=float) / np.sum(wanted.astype(float) ** 2)

    for direction in random.normal(size=(3, *x.shape)):
        assert np.sum(gradient * direction) == pytest.approx(slope(surrogate, x, direction, 1e-2), rel=0.01, abs=1e-3)
    # Without a ReLU of its own a layer has none that could be dead.
    assert [photographs.before_relu(name) for name in ("relu", "conv", "input", "logits")] == ["conv", None, None, None]


@pytest.mark.parametrize(
    ("activation", "is_relu"),
    [
        (keras.layers.ReLU(6.0), True),
        (keras.layers.Activation("relu6"), True),
        (keras.ops.relu, True),
        (lambda x: keras.ops.clip(x, 0, 6), True),
        (keras.layers.ReLU(negative_slope=0.2), False),
        (keras.layers.ReLU(threshold=1.0), False),
        (keras.layers.Activation("tanh"), False),
        (keras.layers.Conv2D(2, 1, activation="relu"), False),
    ],
)
def test_only_separate_relus_use_the_previous_output(activation, is_relu):
    inputs = keras.Input((5, 4, 3))
    x = activation(keras.layers.Conv2D(2, 1, name="conv")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))
    clf = cx.load(model)
    last = [layer.name for layer in clf.layers if layer.maps][-1]
    assert clf.before_relu(last) == ("conv" if is_relu else None)


def test_displayed_errors_are_short():
    assert [figure._format_error(error) for error in (0, 3e-5, 0.0123, 9.9994, 12.3)] == [
        "0.000",
        "3e−05",
        "0.012",
        "9.999",
        "12",
    ]


def test_learning_rate_of_the_spectrum():
    rates = 0.3 * np.array([spectral.rate(number, 100) for number in range(101)])
    np.testing.assert_allclose(rates[:10], 0.03 * np.arange(1, 11))
    np.testing.assert_allclose(rates[10:61], 0.3)
    np.testing.assert_allclose(rates[[80, 100]], [0.15, 0], atol=1e-12)


@pytest.mark.backends
def test_ijcv_2016_loss_equals_the_oracle_and_finite_differences(photographs, random):
    """The network sees the image moved: the gradient with respect to the image is moved back."""
    wanted = random.uniform(-1, 1, (1, 10, 9, 3)).astype(np.float32)
    descent = jittered.descent(photographs, ["input"], [wanted], [loss.Weights(0.7, 3.0, 20.0)], 14, 0)
    drawn = np.random.default_rng(0)
    drawn.normal(size=(1, 10, 9, 3))
    moves = drawn.integers(-1, 2, (15, 2))
    v = random.normal(size=(10, 9, 3))

    def exact(v, move):
        x = 2 * 80 / 255 * v
        rows, columns = np.clip(np.arange(10) - move[0], 0, 9), np.clip(np.arange(9) - move[1], 0, 8)
        shown = np.array([[x[row, column] for column in columns] for row in rows])
        norms = np.array([[np.linalg.norm(color) for color in row] for row in v])
        data = np.sum((shown - wanted[0]) ** 2) / np.sum(wanted[0] ** 2)
        return 20 * data + 0.7 * np.mean(norms**6) + 3 * oracles.total_variation(v) / 90

    assert np.any(moves[:12])
    for number in (*range(5), 12, 14):
        # The last seventh is not moved.
        here = functools.partial(exact, move=moves[number] if number < 12 else (0, 0))
        value, gradient = compiled(photographs, descent, v, number)
        assert value == pytest.approx(here(v), rel=1e-4)
        direction = random.normal(size=v.shape)
        assert np.sum(gradient * direction) == pytest.approx(slope(here, v, direction), rel=1e-3, abs=1e-3)


@pytest.mark.backends
def test_colors_are_bounded_and_keep_their_direction(random):
    v = random.normal(size=(2, 5, 4, 3)) * 3
    found, norms = keras.ops.convert_to_numpy(jittered.bounded(v)), np.linalg.norm(v, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), np.minimum(norms, 2), rtol=1e-5)
    np.testing.assert_allclose(found * norms[..., None], v * np.minimum(norms, 2)[..., None], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(jittered.bounded(np.zeros((1, 1, 1, 3))), np.zeros((1, 1, 1, 3)))


def test_jitter_and_data_weight_follow_depth():
    pools = [keras.layers.AveragePooling2D(2, name=f"pool{number}") for number in range(1, 7)]
    layers = [*pools, keras.layers.Flatten(), keras.layers.Dense(3, name="scores")]
    clf = cx.load(keras.Sequential([keras.Input((128, 128, 3)), *layers]))
    names = ["input", "pool1", "pool3", "pool4", "pool5", "scores", "logits"]
    assert [jittered.jitter(clf, name) for name in names] == [1, 1, 2, 4, 8, 16, 16]
    found = [jittered.weights(clf, name, None, None) for name in ("pool1", "pool4", "logits")]
    assert [(each.alpha, each.variation, each.data) for each in found] == [(1, 6.5**2, 300), (1, 6.5**2, 20), (1, 6.5**2, 1)]
    assert jittered.weights(clf, "pool1", 3.0, 4.0) == loss.Weights(3, 4, 300)
    found = [spectral.weights(clf, name, None, None) for name in ("pool1", "pool4", "logits")]
    assert found == [loss.Weights(0.01, 4), loss.Weights(0.01, 8), loss.Weights(0.01, 8)]
    assert spectral.weights(clf, "pool1", 3.0, 4.0) == loss.Weights(3, 4)


@pytest.mark.backends
@pytest.mark.parametrize(("parametrization", "error"), [("spectrum", 0.02), ("pixels-2016", 0.05)])
def test_photographs_are_recovered_within_the_input_range(photographs, random, parametrization, error):
    rows, columns = np.mgrid[:10, :9] / 4
    image = np.stack([np.sin(rows), np.cos(columns), np.sin(rows + columns)], axis=-1)[None].astype(np.float32) / 2
    images = np.concatenate([image, -image])
    record = cx.explain("inversion", photographs, images, layer=["conv", "relu"], parametrization=parametrization)
    errors = [facts["conv"] for facts in record.facts["representation_error"]]
    assert max(errors) < error
    # The last image, so that the place in the batch may not decide.
    few = {"layer": "conv", "parametrization": parametrization, "iterations": 40}
    first, again, alone = (cx.explain("inversion", photographs, each, **few) for each in (images, images, images[1:]))
    np.testing.assert_array_equal(again.arrays["reconstruction/conv"], first.arrays["reconstruction/conv"])
    (error,) = (facts["conv"] for facts in alone.facts["representation_error"])
    assert error == pytest.approx(first.facts["representation_error"][1]["conv"], rel=0.05)
    if parametrization == "spectrum":
        assert np.abs(record.arrays["reconstruction/conv"]).max() < 1
    else:
        norms = np.linalg.norm(record.arrays["reconstruction/conv"] / (2 * 80 / 255), axis=-1)
        assert norms.max() < 2.001
    assert record.facts["iterations"][0] == {"spectrum": spectral.STEPS, "pixels-2016": 350}[parametrization]
    assert record.facts["parametrization"] == [parametrization] * 2
    assert "sigma" not in record.facts


@pytest.mark.parametrize(
    ("shape", "way"), [((64, 70, 3), "spectrum"), ((63, 70, 3), "pixels"), ((64, 70, 1), "pixels"), ((28, 28, 1), "pixels")]
)
def test_the_spectrum_is_the_default_for_photographs(shape, way):
    layers = [keras.layers.AveragePooling2D(8, name="pool"), keras.layers.Flatten(), keras.layers.Dense(2)]
    clf = cx.load(keras.Sequential([keras.Input(shape), *layers]))
    assert inversion.default(clf) == way
    assert cx.explain("inversion", clf, np.zeros((1, *shape)), layer="pool", iterations=1).facts["parametrization"] == [way]


def test_options_of_the_2015_method_are_refused_elsewhere(photographs):
    for parametrization in ("spectrum", "pixels-2016"):
        for options in ({"optimizer": "momentum"}, {"sigma": 2.0}):
            with pytest.raises(cx.UsageError, match=f"but the parametrization is '{parametrization}'"):
                cx.explain("inversion", photographs, np.zeros((1, 10, 9, 3)), parametrization=parametrization, **options)


def test_deep_networks_invert_the_ends_of_stages():
    x = start = keras.Input((32, 32, 3))
    for number in range(1, 5):
        x = keras.layers.Conv2D(4, 3, strides=2, padding="same", name=f"conv{number}")(x)
        x = keras.layers.BatchNormalization(name=f"norm{number}")(x)
        x = keras.layers.ReLU(name=f"relu{number}")(x)
    x = keras.layers.Dense(3, name="scores")(keras.layers.GlobalAveragePooling2D()(x))
    clf = cx.load(keras.Model(start, x))
    assert inversion.default_layers(clf, None) == ["relu1", "relu2", "relu3", "relu4"]
    assert inversion.default_layers(clf, 2) == ["relu1", "relu4"]
    # The gradient that passes the ReLUs of the deep ones is held against heavier weights.
    assert [spectral.weights(clf, f"relu{number}", None, None).alpha for number in (1, 2, 4)] == [0.01, 0.01, 0.06]


def test_passes_count_the_network_below_each_layer(lenet):
    (analysis,) = plugin.cnnexplain_analyses()
    options = {each.name: each.default for each in analysis.options}
    assert analysis.passes(lenet, {**options, "layer": ("pool1",), "iterations": 30}) == pytest.approx(2 * 30 * 3 / 9)
    assert analysis.passes(lenet, {**options, "layer": ("input", "logits")}) == pytest.approx(2 * 200)
    assert analysis.passes(lenet, {**options, "layer": ("logits",), "optimizer": "momentum"}) == pytest.approx(2 * 400)


def test_the_finding_states_error_and_kept_class(ten):
    analysis = ten.analysis
    error = ten.facts["representation_error"][3]["pool2"]
    assert analysis.finding(ten, 3) == (
        f"At pool2, the image is recovered to a representation error of {error:.3f}; "
        "the predicted class is kept in all 5 layers."
    )

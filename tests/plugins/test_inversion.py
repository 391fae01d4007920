"""Representation inversion against its definition (Mahendran & Vedaldi 2015)."""

import math

import keras
import numpy as np
import oracles
import pytest
from cnnexplain_inversion import inversion, loss

import cnnexplain as cx
from cnnexplain import datasets, optimize
from cnnexplain.preprocess import Preprocess

pytestmark = pytest.mark.numeric

TEN = [f"mnist:test/{index}" for index in range(10)]
MAIN = ["conv1", "pool1", "pool2", "dense", "logits"]
LAYERS = ["conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "dense", "logits"]
DEEPER = [name for name in LAYERS if name != "conv2"]
"""The pixel error rises along these. A convolution before its ReLU holds more, but the second one's negative numbers, which
nothing after it sees, take part in ‖Φ0‖², so that the regularisers weigh more there than one layer further up."""


@pytest.fixture(scope="module")
def digits(lenet):
    return np.asarray(cx.read_images(TEN, lenet))


@pytest.fixture(scope="module")
def ten(lenet, digits):
    """Some layers of ten digits, with few steps."""
    return cx.explain("inversion", lenet, digits, layer=MAIN, iterations=50)


@pytest.fixture(scope="module")
def scale(lenet):
    return loss.normalisation(lenet.preprocess, None)


def means(record, fact):
    return {name: np.mean([one[name] for one in record.facts[fact]]) for name in record.facts[fact][0]}


# What is minimised.


@pytest.mark.parametrize("layer", ["conv1", "pool2", "logits"])
def test_the_loss_equals_the_oracles_and_its_gradient_finite_differences(lenet, scale, noise, random, layer):
    oracle = oracles.LeNet(lenet.model.get_weights())
    weights = loss.Weights(5555.7, 0.76)
    wanted = lenet.activations(noise[:1], [layer])[layer]
    # Far from the target, so that no term is lost among the others.
    x = random.normal(size=(28, 28, 1)) / 20

    def exact(batch):
        shown = 0.13066048 + scale.sigma * np.asarray(batch)
        codes = oracle.layers(shown)[layer]
        return np.array([oracles.inversion_loss(c, wanted[0], y, 5555.7, 0.76) for c, y in zip(codes, batch, strict=True)])

    values, gradient = loss.loss(lenet, layer, wanted, scale, weights)(x[None].astype(np.float32), 0)
    x = x.astype(np.float32).astype(np.float64)
    assert values[0] == pytest.approx(exact(x[None])[0], rel=1e-4)
    some = random.choice(784, 30, replace=False)
    moves = 1e-6 * np.eye(784)[some].reshape(-1, 28, 28, 1)
    measured = (exact(x + moves) - exact(x - moves)) / 2e-6
    np.testing.assert_allclose(gradient[0].ravel()[some], measured, atol=1e-3 * np.abs(measured).max())


def test_a_colour_loss_equals_the_oracles(model, random):
    clf = cx.load(model())
    images = random.uniform(0, 1, (2, 12, 10, 3)).astype(np.float32)
    scale = loss.Normalisation(np.array([0.2, 0.5, 0.7], np.float32), 3.0)
    codes = clf.activations(images, ["conv"])["conv"]
    x = random.normal(size=images.shape).astype(np.float32) / 10
    values, _ = loss.loss(clf, "conv", codes, scale, loss.Weights(100.0, 2.0))(x, 0)
    found = clf.activations(np.float32(x * 3 + [0.2, 0.5, 0.7]), ["conv"])["conv"]
    exact = [oracles.inversion_loss(*each, 100, 2) for each in zip(found, codes, x.astype(float), strict=True)]
    np.testing.assert_allclose(values, exact, rtol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(6, 9), (9, 6)])
def test_total_variation_of_a_unit_step_edge_is_its_length(height, width):
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


def test_the_papers_weights_scale_with_the_input(lenet):
    early, middle, deep = (loss.weights(lenet, name, None, None) for name in ("pool1", "pool2", "dense"))
    assert early.alpha == middle.alpha == deep.alpha == pytest.approx(2.16e8 * (784 / 154587) ** 2)
    assert early.alpha == pytest.approx(5.6e3, rel=0.01)
    share = 784 / 227**2
    assert [each.variation for each in (early, middle, deep)] == pytest.approx([0.5 * share, 5 * share, 50 * share])
    assert [loss.weights(lenet, name, None, None) for name in ("input", "conv2", "logits")] == [early, middle, deep]
    assert loss.weights(lenet, "conv1", 1.0, 0.0) == loss.Weights(1.0, 0.0)


def test_on_inputs_of_the_papers_size_the_weights_are_the_papers():
    layers = [keras.layers.AveragePooling2D(32), keras.layers.Flatten(), keras.layers.Dense(2)]
    clf = cx.load(keras.Sequential([keras.Input((227, 227, 3)), *layers]))
    found = [loss.weights(clf, layer.name, None, None) for layer in layers]
    assert [(each.alpha, each.variation) for each in found] == [(2.16e8, 0.5), (2.16e8, 5), (2.16e8, 50)]


def test_mean_and_sigma_are_those_of_the_training_digits(lenet, scale):
    pixels = datasets.mnist("train")[0].reshape(60000, 784) / 255
    mean = pixels.mean()
    np.testing.assert_allclose(scale.mean, [mean], rtol=1e-6)
    assert scale.sigma == pytest.approx(np.sqrt(((pixels - mean) ** 2).sum(axis=1)).mean(), rel=1e-9)
    wide = loss.normalisation(Preprocess(28, 28, "grey", scale=2 / 255, mean=(1,), fit="digit"), None)
    assert wide.mean == pytest.approx([2 * mean - 1])
    assert wide.sigma == pytest.approx(2 * scale.sigma)


def test_without_training_images_they_are_guessed_from_the_range():
    found = loss.normalisation(Preprocess(12, 10, scale=200 / 255, mean=(50,)), None)
    assert found.mean.tolist() == [50, 50, 50]
    assert found.sigma == pytest.approx(50 * math.sqrt(360))
    assert loss.normalisation(Preprocess(12, 10), 7.5).sigma == 7.5


# What is found.


def test_the_identity_gives_the_image_back(lenet, digits):
    record = cx.explain("inversion", lenet, digits[:2], layer="input", alpha_weight=0, variation_weight=0)
    np.testing.assert_allclose(record.arrays["reconstruction/input"], digits[:2], atol=1e-4)


def test_the_identity_gives_a_colour_image_of_another_range_back(random):
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(3)]
    clf = cx.load(keras.Sequential([keras.Input((6, 9, 3)), *layers]))
    image = random.integers(0, 256, (1, 6, 9, 3)).astype(np.uint8)
    record = cx.explain("inversion", clf, image, layer="input", alpha_weight=0, variation_weight=0)
    np.testing.assert_allclose(record.arrays["reconstruction/input"], image, atol=255e-4)
    assert record.facts["mean"] == [[127.5] * 3]


@pytest.mark.parametrize(("optimizer", "best"), [("momentum", False), ("adam", True)])
def test_started_at_the_target_it_stays(lenet, scale, digits, optimizer, best):
    """Adam takes the gradient's rounding for a slope and leaves, but the lowest value is kept; momentum alone stays."""
    codes = lenet.activations(digits[:3], ["pool2"])["pool2"]
    function = loss.loss(lenet, "pool2", codes, scale, loss.Weights(0, 0))
    optimum = optimize.minimise(function, scale.apply(digits[:3]), inversion.STEPS[optimizer](100, 784), 100, best=best)
    assert optimum.values[0].max() < 1e-12
    np.testing.assert_allclose(scale.undo(optimum.variables), digits[:3], atol=1e-5)


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
def test_adam_reaches_a_lower_loss_than_the_papers_optimiser_in_half_the_steps(lenet, digits):
    totals = []
    for optimizer in ("adam", "momentum"):
        record = cx.explain("inversion", lenet, digits[:3], optimizer=optimizer)
        found = {
            name: means(record, name) for name in record.facts if name not in ("stopped", "iterations", "sigma", "mean")
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


def test_the_sample_digit_is_seen_by_the_first_convolution_as_itself(lenet):
    record = cx.explain("inversion", lenet, datasets.SAMPLE, layer="conv1")
    assert record.facts["representation_error"][0]["conv1"] < 0.05


def test_the_errors_are_those_of_the_saved_reconstruction(ten, lenet, digits, scale):
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


def test_each_regulariser_lowers_its_own_measure(lenet, digits):
    def found(**options):
        facts = cx.explain("inversion", lenet, digits[:3], layer="pool1", iterations=60, **options).facts
        return [np.array([each["pool1"] for each in facts[name]]) for name in ("total_variation", "alpha_norm")]

    plain = found(alpha_weight=0, variation_weight=0)
    assert (found(alpha_weight=0, variation_weight=0.5)[0] < plain[0]).all()
    assert (found(alpha_weight=1e5, variation_weight=0)[1] < plain[1]).all()


# The batch and the seed.


def test_a_batch_is_as_its_images_one_by_one(lenet, digits):
    options = {"layer": ["conv1", "logits"], "iterations": 20}
    together = cx.explain("inversion", lenet, digits[:2], **options)
    for index in range(2):
        alone = cx.explain("inversion", lenet, digits[index : index + 1], **options)
        for name, array in together.arrays.items():
            np.testing.assert_allclose(array[index], alone.arrays[name][0], atol=1e-4)
        for fact in ("representation_error", "pixel_error", "total_variation", "alpha_norm", "probability"):
            assert together.facts[fact][index] == pytest.approx(alone.facts[fact][0], rel=1e-3)


def test_the_seed_decides_and_the_place_in_a_batch_does_not(model, random):
    clf = cx.load(model())
    images = random.uniform(0, 1, (1, 12, 10, 3)).astype(np.float32).repeat(3, axis=0)

    def run(seed):
        return cx.explain("inversion", clf, images, layer=["pool", "logits"], seed=seed, iterations=30).arrays

    first, again, other = run(1), run(1), run(2)
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
        np.testing.assert_allclose(first[name][0], first[name][2], atol=1e-4)
        assert np.abs(first[name] - other[name]).max() > 0.01
    np.testing.assert_allclose(np.linalg.norm(inversion.noise((12, 10, 3), 5)), 1, rtol=1e-6)


def test_the_input_range_makes_no_difference(random):
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


def test_layers_without_numbers_of_their_own_are_left_out():
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


def test_of_very_many_layers_some_are_taken_from_all_depths():
    layers = [keras.layers.Dense(5, name=f"layer{number}") for number in range(30)]
    clf = cx.load(keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), *layers, keras.layers.Dense(3)]))
    found = inversion.representations(clf)
    assert len(found) == inversion.LAYERS == 12
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


def test_very_small_and_very_large_representations_are_inverted():
    for factor in (1e-25, 1e25):
        layers = [keras.layers.Rescaling(factor, name="factor"), keras.layers.Rescaling(1 / factor), keras.layers.Flatten()]
        clf = cx.load(keras.Sequential([keras.Input((5, 5, 1)), *layers, keras.layers.Dense(2)]))
        record = cx.explain(
            "inversion", clf, np.eye(5)[None, :, :, None], layer="factor", alpha_weight=0, variation_weight=0
        )
        np.testing.assert_allclose(record.arrays["reconstruction/factor"][0, :, :, 0], np.eye(5), atol=1e-3)


def test_a_model_without_values_beyond_a_region_ends_its_optimisation(random):
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


def test_nan_ends_it_with_the_step_and_the_reason(lenet, digits, monkeypatch):
    compiled = loss.loss

    def breaking(*args):
        function = compiled(*args)

        def broken(x, number):
            values, gradient = function(x, number)
            return np.where(np.array([number == 7, False]), np.nan, values), gradient

        return broken

    monkeypatch.setattr(loss, "loss", breaking)
    record = cx.explain("inversion", lenet, digits[:2], layer="conv1", iterations=20)
    reason = "at step 7 the value was not finite (NaN or infinity)"
    assert [each["conv1"] for each in record.facts["stopped"]] == [reason, None]
    assert record.warnings == (f"The inversion of 'conv1' ended early, {reason}.",)
    monkeypatch.undo()
    whole = cx.explain("inversion", lenet, digits[:2], layer="conv1", iterations=20)
    np.testing.assert_allclose(record.arrays["reconstruction/conv1"][1], whole.arrays["reconstruction/conv1"][1], atol=1e-5)
    assert record.facts["pixel_error"][0]["conv1"] > whole.facts["pixel_error"][0]["conv1"]


def test_a_layer_that_is_not_finite_for_the_image_is_named():
    layers = [keras.layers.Activation(keras.ops.log, name="log"), keras.layers.ReLU(), keras.layers.Flatten()]
    clf = cx.load(keras.Sequential([keras.Input((4, 4, 1)), *layers, keras.layers.Dense(2)]))
    with pytest.raises(cx.ModelError, match="'log' puts out values that are not finite"):
        cx.explain("inversion", clf, np.zeros((1, 4, 4, 1)), layer="log")


def test_an_unknown_layer_is_a_usage_error(cli):
    code, _, err = cli("run", "inversion", "--layer", "conv3")
    assert code == 2
    assert "no layer 'conv3'. Did you mean 'conv" in err


# How it is done and shown.


def test_the_papers_schedule():
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


def test_progress_counts_the_steps_of_all_layers(model, random):
    seen = []
    images = random.uniform(0, 1, (1, 12, 10, 3)).astype(np.float32)
    cx.explain("inversion", cx.load(model()), images, iterations=20, progress=lambda *done: seen.append(done))
    assert seen[0] == (10, 80)
    assert seen[-1] == (80, 80)
    assert seen == sorted(seen)


def test_every_reconstruction_is_drawn_on_the_models_input_range(ten, digits):
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


def test_a_larger_image_is_inverted_no_worse_than_by_the_papers_optimiser(random):
    """A step that suits a small image is too large for the pixels of a large one, each a smaller part of the norm."""
    layers = [keras.layers.Conv2D(8, 5, activation="relu", name="conv"), keras.layers.GlobalAveragePooling2D()]
    clf = cx.load(keras.Sequential([keras.Input((80, 96, 3)), *layers, keras.layers.Dense(3)]))
    rows, columns = np.mgrid[:80, :96] / 10
    image = np.stack([np.sin(rows), np.cos(columns), np.sin(rows + columns)], axis=-1)[None] / 3 + 0.5
    ends = {}
    for optimizer, iterations in (("adam", 60), ("momentum", 120)):
        record = cx.explain("inversion", clf, image, layer="conv", optimizer=optimizer, iterations=iterations)
        ends[optimizer] = record.facts["representation_error"][0]["conv"]
    assert ends["adam"] < 0.05
    assert ends["adam"] < 1.1 * ends["momentum"]


def test_what_is_kept_is_the_lowest_value_met(lenet, monkeypatch):
    """A last step by the norm of a whole image, σ, for every pixel is undone."""

    def jumping(steps, _):
        def step(gradient, state, number):
            return (np.ones_like(gradient) if number == steps - 1 else -0.01 * np.sign(gradient)), state

        return step

    monkeypatch.setitem(inversion.STEPS, "adam", jumping)
    record = cx.explain("inversion", lenet, "mnist:test/42", layer="conv1", iterations=20)
    assert np.abs(record.arrays["reconstruction/conv1"]).max() < record.facts["sigma"][0] / 2

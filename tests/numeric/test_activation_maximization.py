"""Activation maximization against its definition: Simonyan et al. 2013, Yosinski et al. 2015, Olah et al. 2017."""

import keras
import numpy as np
import oracles
import pytest
from cnnexplain_plugins.activation_maximization import maximization, regularization, starts
from cnnexplain_plugins.activation_maximization.maxima import _shuffled
from cnnexplain_plugins.activation_maximization.parametrization import Spectrum
from cnnexplain_plugins.activation_maximization.regularization import SETTINGS, Regularization, total_variation
from cnnexplain_plugins.activation_maximization.views import View, show

import cnnexplain as cx
from cnnexplain import backend
from cnnexplain.errors import UsageError
from cnnexplain.inputs.image_stream import open_stream
from cnnexplain.model.computation.objectives import Channel, Logit
from cnnexplain.numerics import affine_views, blurred
from cnnexplain.optimize import Optimum

# Their many steps are compiled at once.
pytestmark = pytest.mark.unaided

NAME = "activation-maximization"
START = {"regularization": "none", "rate": 1e-6, "steps": 1}
"""With these an image stays where it starts."""


@pytest.fixture(scope="module")
def oracle(lenet):
    return oracles.LeNet(lenet.model.get_weights())


@pytest.fixture(scope="module")
def digits(lenet):
    """The analysis with no option at all."""
    seen = []
    record = cx.explain(NAME, lenet, progress=lambda *done: seen.append(done))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]
    return record


@pytest.fixture
def one(lenet):
    """A data set of one digit, which takes no time to go through."""
    return cx.read_images("mnist:test/0", lenet)


@pytest.fixture
def clf(model):
    """A classifier of 12×10 color images with five classes."""
    return cx.load(model())


def quick(clf, **options):
    return cx.explain(NAME, clf, **{"steps": 6, "starts": 2, **options})


def variation(image):
    return oracles.isotropic_variation(np.asarray(image, np.float64), 0)


def test_values_are_the_logits_of_the_saved_images(digits, oracle):
    images = digits.arrays["optimum"]
    assert images.shape == (10, 28, 28, 1)
    assert images.min() >= 0
    assert images.max() <= 1
    logits = oracle.logits(images)
    np.testing.assert_allclose(digits.facts["value"], logits[range(10), range(10)], rtol=1e-4)
    np.testing.assert_array_equal(logits.argmax(axis=1), range(10))
    assert digits.facts["unit"] == list("0123456789")
    assert digits.facts["strongest"] == [True] * 10
    assert digits.facts["stopped"] == [None] * 10


def test_values_exceed_the_best_of_all_test_images(digits, lenet):
    """By a factor of 1.23 to 1.78; with nothing regularized, the best of some 200 ascents for the 6 has 1.44."""
    best, names = np.full(10, -np.inf), [""] * 10
    for _, images in open_stream("mnist:test", lenet).batches():
        logits = lenet.logits(images)
        for c, place in enumerate(logits.argmax(axis=0)):
            if logits[place, c] > best[c]:
                best[c], names[c] = logits[place, c], images.sources[place].name
    np.testing.assert_allclose(digits.facts["best"], best, rtol=1e-5)
    assert digits.facts["best_image"] == names
    np.testing.assert_allclose(digits.facts["ratio"], np.array(digits.facts["value"]) / best, rtol=1e-5)
    # A twentieth below what it is here, since another version of TensorFlow rounds in another way.
    least = [1.29, 1.22, 1.28, 1.48, 1.32, 1.34, 1.17, 1.49, 1.33, 1.69]
    assert (np.array(digits.facts["ratio"]) > least).all()


def test_values_exceed_those_of_noise_of_the_same_norm(digits, lenet):
    images = digits.arrays["optimum"]
    noise = _shuffled(images, 0)
    np.testing.assert_allclose(np.linalg.norm(noise, axis=(1, 2)), np.linalg.norm(images, axis=(1, 2)), rtol=1e-5)
    assert (np.abs(noise - images).max(axis=(1, 2, 3)) > 0.5).all()
    np.testing.assert_allclose(digits.facts["noise"], lenet.logits(noise)[range(10), range(10)], rtol=1e-3, atol=1e-4)
    assert max(digits.facts["noise"]) < min(digits.facts["value"]) / 3


def test_pictures_are_smooth_strokes(digits, lenet):
    """Their total variation is like that of digits, of which a noise of the same pixels has several times as much."""
    images = digits.arrays["optimum"]
    roughness = [variation(image) for image in images]
    assert max(roughness) < 0.5 * min(variation(noise) for noise in _shuffled(images, 0))
    assert np.mean(roughness) < 2 * np.mean(
        [variation(image) for image in cx.read_images([f"mnist:test/{i}" for i in range(10)], lenet)]
    )


def test_a_step_follows_the_gradient_of_the_oracle(lenet, oracle, one):
    """The first steps from the same start, by hand in float64."""
    (start,) = cx.explain(NAME, lenet, target=3, dataset=one, starts=1, **START).arrays["optimum"]
    # A step of a millionth would break the ties of the black pixels.
    start = np.where(start < 2e-6, 0, start)
    found = cx.explain(NAME, lenet, target=3, dataset=one, starts=1, regularization="none", steps=4, rate=0.02)
    exact = oracles.ascend(lambda x: oracle.gradient(x[None], [3])[0], start, 0.02, 4)
    assert np.abs(exact - start).max() > 0.05
    # Where the gradient changes its sign or nearly vanishes, Adam's step is not continuous in it.
    assert (np.abs(found.arrays["optimum"][0] - exact) < 1e-3).mean() > 0.98


def test_loss_and_gradient_equal_the_oracle(lenet, oracle, noise, random):
    ascent = maximization.Ascent(lenet, [Logit(3)] * 4, 4, Regularization(total_variation=0.3), random)
    values, gradient = ascent.loss(noise, 0)
    slopes = oracle.gradient(noise, [3] * 4)
    scale = np.sqrt((slopes**2).mean(axis=(1, 2, 3))).max()
    exact = [0.3 * oracles.isotropic_variation(np.float64(x), 1e-4) for x in noise] - oracle.logits(noise)[:, 3] / scale
    np.testing.assert_allclose(values, exact, rtol=1e-4)
    np.testing.assert_allclose(gradient, 0.3 * total_variation(noise)[1] - slopes / scale, atol=1e-3)


@pytest.mark.backends
@pytest.mark.parametrize("parts", [{}, {"jitter": 2, "rotate": 20, "zoom": 0.2, "total_variation": 0.3, "decay": 0.02}])
@pytest.mark.parametrize("checks", [{}, {2: 2, 4: 1}])
def test_the_compiled_loop_equals_the_loop_over_arrays(clf, parts, checks, monkeypatch):
    chosen = Regularization(rate=0.02, **parts)
    objectives = [Logit(1), Channel("conv", 2)]
    options = {"steps": 6, "starts": 3, "seed": 4, "checks": checks}
    results = []
    for compiled in (False, True):
        monkeypatch.setattr(maximization, "compilable", lambda _, compiled=compiled: compiled)
        results.append(maximization.maximize(clf, objectives, chosen, **options))
    expected, found = results
    for one, other in zip(found, expected, strict=True):
        assert one.value == pytest.approx(other.value, rel=1e-3)
        np.testing.assert_allclose(one.image, other.image, atol=2e-3)
        assert (one.moved, one.stopped) == (other.moved, other.stopped)


@pytest.mark.backends
def test_the_loop_is_compiled_where_it_is_faster(monkeypatch):
    def compiled():
        return [name for name, each in SETTINGS.items() if maximization.compilable(each)]

    assert compiled() == (["none", "robust"] if keras.backend.backend() == "tensorflow" else [])
    monkeypatch.setattr(backend.current(), "device_memory", lambda: 1 << 30)
    assert compiled() == ["none", "robust"]


def test_gradient_through_view_and_spectrum_equals_finite_differences(lenet, random):
    """The chain rule: the slope of the loss along its own gradient, in one view, is the gradient's norm."""
    parts = Regularization(jitter=3, rotate=20, zoom=0.2, total_variation=0.1, parametrization="fourier")
    start = Spectrum(28, 28).coefficients(random.uniform(0.2, 0.8, (1, 28, 28, 1)))

    def loss(coefficients, steepness=None):
        ascent = maximization.Ascent(lenet, [Logit(3)], 1, parts, np.random.default_rng(1))
        # The unit in which the score is measured is that of the start.
        ascent.steepness = steepness
        value, gradient = ascent.loss(coefficients, 0 if steepness is None else 1)
        return value[0], gradient, ascent.steepness

    _, gradient, steepness = loss(start)
    norm = np.linalg.norm(gradient)
    step = np.float32(1e-3) * gradient / norm
    measured = (loss(start + step, steepness)[0] - loss(start - step, steepness)[0]) / 2e-3
    assert measured == pytest.approx(float(norm), rel=0.01)


def test_pictures_do_not_depend_on_other_units(clf):
    together = quick(clf).arrays["optimum"]
    alone = [quick(clf, target=c).arrays["optimum"][0] for c in range(5)]
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_units_are_grouped_to_fit_memory(clf, monkeypatch):
    whole = quick(clf)
    monkeypatch.setattr(clf, "batch_size", 4)
    seen = []
    grouped = quick(clf, progress=lambda *done: seen.append(done))
    assert seen[-1] == (18, 18)
    np.testing.assert_allclose(grouped.arrays["optimum"], whole.arrays["optimum"], atol=1e-4)
    np.testing.assert_allclose(grouped.facts["value"], whole.facts["value"], rtol=1e-3)


def test_the_same_seed_gives_the_same_bits(clf):
    first, second, other = (quick(clf, seed=seed).arrays["optimum"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 0.1


def test_several_starts_are_at_least_as_good_as_one(clf):
    one, four = (quick(clf, regularization="none", starts=starts, steps=20).facts["value"] for starts in (1, 4))
    assert (np.array(four) >= np.array(one) - 1e-4).all()
    assert max(np.array(four) - np.array(one)) > 0.01


def test_by_default_the_best_starts_of_a_unit_go_on():
    """The values of a start are compared over five steps; one without a finite value comes last."""
    values = np.zeros((31, 8))
    values[:, :4] = [1, 2, 3, 4]
    values[6:11, 4:] = [4, np.nan, 2, 1]
    values[10, 3] = -20
    values[26:, 4:] = [0, 0, 9, 5]
    assert starts.default_checks(100) == {10: 6, 30: 3}
    assert starts.default_checks(40) == {12: 3}
    assert starts.default_stages(200) == [(16, 20), (6, 40), (3, 140)]
    assert starts.default_stages(40) == [(16, 12), (3, 28)]
    assert starts.default_stages(9) == [(16, 9)]
    some = starts.going_on(values[:11], 4, {10: 3, 30: 1})
    np.testing.assert_array_equal(some, [True, True, False, True, True, False, True, True])
    one = starts.going_on(values, 4, {10: 3, 30: 1})
    np.testing.assert_array_equal(one, [True, False, False, False, True, False, False, False])
    np.testing.assert_array_equal(starts.going_on(values[:10], 4, {10: 3}), np.ones(8, bool))


@pytest.mark.backends
def test_starts_that_go_on_are_not_affected_by_those_that_end(clf, monkeypatch):
    """With the same views, the best of the starts that go on is that of the ascents that all go to the end."""
    chosen = Regularization(rate=0.02, jitter=2, total_variation=0.1, contribution_percentile=5)
    objectives = [Logit(1), Channel("conv", 2)]
    ends = []
    ascended = maximization.minimize
    monkeypatch.setattr(maximization, "minimize", lambda *each, **named: ends.append(ascended(*each, **named)) or ends[-1])
    options = {"steps": 12, "starts": 4, "seed": 4}
    maximization.maximize(clf, objectives, chosen, **options)
    found = maximization.maximize(clf, objectives, chosen, **options, checks={5: 3, 8: 2})
    whole, some = ends
    going = starts.going_on(whole.values, 4, {5: 3, 8: 2})
    np.testing.assert_array_equal(starts.going_on(some.values, 4, {5: 3, 8: 2}), going)
    assert going.reshape(2, 4).sum(axis=1).tolist() == [2, 2]
    np.testing.assert_allclose(some.variables[going], whole.variables[going], atol=1e-3)
    np.testing.assert_allclose(some.values[:, going], whole.values[:, going], rtol=1e-3, atol=1e-3)
    assert (some.values[8:, ~going] == some.values[8, ~going]).all()
    assert len(found) == 2


@pytest.mark.parametrize(
    ("options", "measure"),
    [
        ({"decay": 0.3}, lambda image: np.linalg.norm(image - 0.5)),
        ({"blur": 1.0}, variation),
        ({"blur": 1.0, "blur_every": 1}, variation),
        ({"total_variation": 5.0}, variation),
        ({"norm_percentile": 60.0}, lambda image: (image != 0.5).any(axis=-1).mean()),
        ({"contribution_percentile": 80.0}, lambda image: (image != 0.5).any(axis=-1).mean()),
    ],
)
def test_each_regularizer_lowers_its_own_measure(clf, options, measure):
    plain = quick(clf, regularization="none", steps=16).arrays["optimum"]
    regular = quick(clf, regularization="none", steps=16, **options).arrays["optimum"]
    for before, after in zip(plain, regular, strict=True):
        assert measure(after) < 0.85 * measure(before)


@pytest.mark.parametrize(("option", "share"), [("norm_percentile", 0.6), ("contribution_percentile", 0.8)])
def test_percentiles_set_their_share_of_pixels_to_zero(clf, option, share):
    for image in quick(clf, regularization="none", **{option: 100 * share}).arrays["optimum"]:
        # 120 pixels: the percentile lies at place 0.6 · 119 = 71.4, or 0.8 · 119 = 95.2, so that 72 or 96 lie under it.
        assert (image == 0.5).all(axis=-1).sum() == 120 * share


@pytest.mark.parametrize(
    "options",
    [
        {"jitter": 3.0},
        {"rotate": 30.0},
        {"zoom": 0.5},
        {"parametrization": "fourier"},
        {"rate": 0.2},
        {"steps": 7},
        *({"regularization": name} for name in SETTINGS if name != "none"),
    ],
)
def test_every_option_has_an_effect(clf, options):
    plain = quick(clf, regularization="none").arrays["optimum"]
    other = quick(clf, **{"regularization": "none", **options}).arrays["optimum"]
    assert np.abs(plain - other).max() > 0.01


def test_blur_interval_has_an_effect(clf):
    often, seldom = (quick(clf, regularization="none", blur=1.0, blur_every=n).arrays["optimum"] for n in (1, 5))
    assert all(variation(a) < variation(b) for a, b in zip(often, seldom, strict=True))
    with pytest.raises(UsageError, match="--blur-every 3 needs a blur"):
        quick(clf, blur_every=3)


def test_options_override_parts_of_a_preset(clf):
    paper = quick(clf, regularization="yosinski-1").arrays["optimum"]
    parts = {"blur": 0.5, "blur_every": 4, "norm_percentile": 50.0, "rate": 0.1}
    np.testing.assert_array_equal(quick(clf, regularization="none", **parts).arrays["optimum"], paper)


def test_presets_are_the_four_of_the_paper():
    """Yosinski et al. 2015, table 1; 'every' means nothing where nothing is blurred."""
    found = [SETTINGS[f"yosinski-{n}"] for n in (1, 2, 3, 4)]
    assert [(s.decay, s.blur, s.norm_percentile, s.contribution_percentile) for s in found] == [
        (0, 0.5, 50, 0),
        (0.3, 0, 20, 0),
        (1e-4, 1.0, 0, 0),
        (0, 0.5, 0, 90),
    ]
    assert [s.blur_every for s in found if s.blur] == [4, 4, 4]
    assert all((s.jitter, s.rotate, s.zoom, s.total_variation, s.parametrization) == (0, 0, 0, 0, "pixels") for s in found)


def test_regularizers_equal_hand_computation():
    z = np.array([[[[0.3], [-0.4]], [[0.1], [0.2]]]], np.float32)
    slope = np.array([[[[1.0], [0.5]], [[-9.0], [0.0]]]], np.float32)
    kept = {
        "decay": Regularization(decay=0.25).keep(z, slope, 0),
        "norm": Regularization(norm_percentile=50).keep(z, slope, 0),
        # |z · slope| = 0.3, 0.2, 0.9, 0, of which the median is 0.25.
        "contribution": Regularization(contribution_percentile=50).keep(z, slope, 0),
    }
    np.testing.assert_allclose(kept["decay"], 0.75 * z)
    np.testing.assert_allclose(kept["norm"].ravel(), [0.3, -0.4, 0, 0])
    np.testing.assert_allclose(kept["contribution"].ravel(), [0.3, 0, 0.1, 0])
    blur = Regularization(blur=1, blur_every=3)
    changed = [not np.array_equal(blur.keep(z, slope, number), z) for number in range(6)]
    assert changed == [False, False, True, False, False, True]


def test_pixel_norm_and_contribution_sum_over_channels():
    z = np.array([[[[0.3, 0.4], [0.45, 0.0]]]], np.float32)
    np.testing.assert_array_equal(Regularization(norm_percentile=50).keep(z, z, 0)[0, 0, 1], [0, 0])
    # 0.3 · 4 − 0.4 · 3 = 0 and 0.45.
    slope = np.array([[[[4.0, -3.0], [1.0, 1.0]]]], np.float32)
    np.testing.assert_array_equal(Regularization(contribution_percentile=50).keep(z, slope, 0)[0, 0, 0], [0, 0])


def test_blur_equals_the_oracle(random):
    z = random.normal(size=(2, 6, 9, 3))
    np.testing.assert_allclose(blurred(z, 1.3), [oracles.gaussian_blur(each, 1.3) for each in z], atol=1e-6)
    np.testing.assert_allclose(blurred(np.ones((1, 6, 9, 1)), 2.0), 1, rtol=1e-6)


def test_total_variation_and_gradient_equal_the_oracle(random):
    z = random.normal(size=(2, 5, 4, 3))
    values, gradient = total_variation(z)
    np.testing.assert_allclose(values, [oracles.isotropic_variation(each, 1e-4) for each in z])
    for each, slope in zip(z, gradient, strict=True):
        exact = oracles.differences(lambda batch: np.array([oracles.isotropic_variation(x, 1e-4) for x in batch]), each)
        np.testing.assert_allclose(slope, exact, atol=1e-4)
    # A step edge of height 1 along 5 rows.
    edge = np.zeros((1, 5, 4, 1))
    edge[:, :, 2:] = 1
    assert total_variation(edge, 1e-12)[0][0] == pytest.approx(5)
    flat, slope = total_variation(np.ones((1, 5, 4, 1)))
    assert flat[0] == 0
    assert not slope.any()


@pytest.mark.parametrize("shape", [(28, 28), (27, 28), (28, 27), (5, 7), (2, 2), (1, 3), (3, 1)])
def test_adjoint_of_the_spectrum(random, shape):
    """⟨F s, g⟩ = ⟨s, Fᵀ g⟩ for even and odd sizes, and F of a picture's coefficients is the picture."""
    spectrum = Spectrum(*shape)
    g = random.normal(size=(2, *shape, 3)).astype(np.float32)
    s = random.normal(size=spectrum.coefficients(g).shape).astype(np.float32)
    left, right = (spectrum.picture(s) * g).sum(), (s * spectrum.adjoint(g)).sum()
    assert left == pytest.approx(right, abs=1e-5 * float(np.linalg.norm(s) * np.linalg.norm(g)))
    np.testing.assert_allclose(spectrum.picture(spectrum.coefficients(g)), g, atol=1e-5)


def test_spectrum_amplitudes_fall_as_one_over_f():
    pictures = []
    for frequency in (1, 2, 4):
        s = np.zeros((1, 16, 9, 2), np.float32)
        s[0, 0, frequency, 0] = 1
        pictures.append(Spectrum(16, 16).picture(s).max())
    np.testing.assert_allclose(np.array(pictures) / pictures[0], [1, 1 / 2, 1 / 4], rtol=1e-5)


@pytest.mark.backends
@pytest.mark.parametrize("shape", [(6, 9), (5, 5), (1, 4)])
def test_tensor_and_array_versions_agree(random, shape):
    z = random.normal(size=(2, *shape, 3)).astype(np.float32)
    for turn, zoom in [(0, 1), (30, 1.3), (-160, 0.6)]:
        view = View(shape, random.uniform(-2, 2, 2), turn, zoom)
        shown = show(z, keras.ops.convert_to_tensor(view.numbers))
        np.testing.assert_allclose(keras.ops.convert_to_numpy(shown), view.show(z), atol=1e-5)
    gradient = backend.current().value_and_gradient(lambda z: [3 * regularization.variation(z)])
    values, slope = map(keras.ops.convert_to_numpy, gradient(keras.ops.convert_to_tensor(z)))
    expected, expected_slope = total_variation(z)
    np.testing.assert_allclose(values, 3 * expected, rtol=1e-5)
    np.testing.assert_allclose(slope, 3 * expected_slope, rtol=1e-5, atol=1e-5)


@pytest.mark.backends
def test_views_of_several_pictures_equal_interpolation_by_hand(random):
    """Pixel by pixel, also beyond the border; and the gradient is the adjoint."""
    z = random.normal(size=(2, 5, 6, 3)).astype(np.float32)
    maps = random.normal(0, 0.8, (3, 2, 3)).astype(np.float32) + np.array([0, 0, 2], np.float32)
    weight = random.normal(size=(2, 3, 4, 3, 3)).astype(np.float32)

    def pixel(picture, row, column):
        inside = 0 <= row < 5 and 0 <= column < 6
        return picture[row, column] if inside else np.zeros(3)

    expected = np.zeros(weight.shape)
    adjoint = np.zeros(z.shape)
    for n, v, i, j in np.ndindex(weight.shape[:4]):
        place = maps[v, :, :2].astype(float) @ [i - 1.5, j - 1] + maps[v, :, 2]
        first = np.floor(place).astype(int)
        for corner in np.ndindex(2, 2):
            row, column = first + corner
            share = np.prod(1 - np.abs(place - (row, column)))
            expected[n, v, i, j] += share * pixel(z[n], row, column)
            if 0 <= row < 5 and 0 <= column < 6:
                adjoint[n, row, column] += share * weight[n, v, i, j]

    def weighted(z):
        seen = affine_views(z, keras.ops.convert_to_tensor(maps), 4, 3)
        return [keras.ops.sum(keras.ops.multiply(seen, weight), axis=(1, 2, 3, 4))]

    found = affine_views(keras.ops.convert_to_tensor(z), keras.ops.convert_to_tensor(maps), 4, 3)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found), expected, atol=1e-5)
    _, slope = backend.current().value_and_gradient(weighted)(keras.ops.convert_to_tensor(z))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(slope), adjoint, atol=1e-5)


def test_views_equal_hand_computation(random):
    z = random.normal(size=(2, 5, 5, 3)).astype(np.float32)
    still, none = np.zeros(2), {"degrees": 0.0, "zoom": 1.0}
    np.testing.assert_allclose(View((5, 5), still, **none).show(z), z, atol=1e-6)
    moved = View((5, 5), np.array([1, -2]), **none).show(z)
    np.testing.assert_allclose(moved[:, 1:, :3], z[:, :-1, 2:], atol=1e-6)
    assert not moved[:, 0].any()
    assert not moved[:, :, 3:].any()
    half = View((5, 5), np.array([0, 0.5]), **none).show(z)
    np.testing.assert_allclose(half[:, :, 1:], (z[:, :, 1:] + z[:, :, :-1]) / 2, atol=1e-6)
    np.testing.assert_allclose(View((5, 5), still, 90, 1).show(z), np.rot90(z, axes=(1, 2)), atol=1e-5)
    np.testing.assert_allclose(View((5, 5), still, 0, 2).show(z)[:, ::2, ::2], z[:, 1:4, 1:4], atol=1e-6)


@pytest.mark.parametrize("shape", [(6, 9), (7, 4)])
def test_adjoint_of_a_view(random, shape):
    z, g = random.normal(size=(2, 3, *shape, 2)).astype(np.float32)
    view = View(shape, np.array([1.3, -0.7]), 25, 1.2)
    assert (view.show(z) * g).sum() == pytest.approx((z * view.adjoint(g)).sum(), abs=1e-4)


def test_views_do_not_move_the_stored_image(clf):
    start = quick(clf, starts=1, **START).arrays["optimum"]
    after = quick(clf, starts=1, regularization="none", rate=1e-6, steps=30, jitter=4.0, rotate=40.0, zoom=0.5)
    np.testing.assert_allclose(after.arrays["optimum"], start, atol=4e-5)


def test_views_are_drawn_within_their_bounds():
    random, regularization = np.random.default_rng(0), Regularization(jitter=2, rotate=0, zoom=0)
    z = np.zeros((1, 9, 9, 1), np.float32)
    z[0, 4, 4] = 1
    seen = [View.draw(regularization, (9, 9), random).show(z)[0, ..., 0] for _ in range(200)]
    places = np.array([[(each * axis).sum() for axis in np.indices((9, 9))] for each in seen]) - 4
    assert np.abs(places).max() <= 2 + 1e-5
    assert (places.max(axis=0) > 1.8).all()
    assert (places.min(axis=0) < -1.8).all()


def test_difference_of_classes(lenet, oracle, one):
    record = quick(lenet, target=4, against=9, dataset=one)
    logits = oracle.logits(record.arrays["optimum"])[0]
    assert record.facts["unit"] == ["4 − 9"]
    assert record.facts["value"][0] == pytest.approx(logits[4] - logits[9], rel=1e-4)
    assert record.facts["strongest"] == [None]
    assert logits[4] - logits[9] > 1


def test_feature_maps_and_neurons(lenet, oracle, one):
    record = quick(lenet, layer="conv2", unit=("4", "7,2,11"), dataset=one, steps=20)
    # What is maximized is the layer's activation, which follows it.
    outputs = np.maximum(oracle.layers(record.arrays["optimum"])["conv2"], 0)
    assert record.facts["unit"] == ["relu2:4", "relu2:7,2,11"]
    assert record.warnings[0] == "'conv2' has no activation; 'relu2', which follows it, is maximized instead."
    np.testing.assert_allclose(record.facts["value"], [outputs[0, ..., 4].mean(), outputs[1, 7, 2, 11]], rtol=1e-3)
    strongest = [outputs[0].mean(axis=(0, 1)).argmax() == 4, outputs[1, 7, 2].argmax() == 11]
    assert record.facts["strongest"] == strongest
    other = np.maximum(oracle.layers(one)["conv2"][0], 0)
    np.testing.assert_allclose(record.facts["best"], [other[..., 4].mean(), other[7, 2, 11]], rtol=1e-3)


def test_corner_units_change_only_their_receptive_field(lenet, one):
    options = {"layer": "conv1", "unit": "0,0,5", "dataset": one, "starts": 1}
    start = cx.explain(NAME, lenet, **options, **START).arrays["optimum"][0, ..., 0]
    found = quick(lenet, regularization="none", **options).arrays["optimum"][0, ..., 0]
    changed = np.abs(found - start) > 1e-4
    assert changed[:5, :5].mean() > 0.5
    assert changed.sum() == changed[:5, :5].sum()


def test_units_that_white_noise_does_not_activate(lenet, one):
    """A ReLU has no gradient where it is off: of these units some are off for the noises that others choose."""
    record = cx.explain(NAME, lenet, layer="dense", unit=("11", "14", "25"), dataset=one, steps=30)
    assert min(record.facts["value"]) > 1
    assert record.facts["strongest"].count(None) == 0


def test_dead_units_are_reported(lenet, one):
    weights = lenet.model.get_weights()
    model = keras.models.clone_model(lenet.model)
    weights[5][7] = -1e4
    model.set_weights(weights)
    record = quick(cx.load(model), layer="dense", unit=("7",), dataset=one)
    assert record.facts["value"] == [0]
    assert record.facts["ratio"] == [None]
    assert record.facts["strongest"] == [False]
    assert any("No noise activates dense:7" in warning for warning in record.warnings)
    assert any("No image of the data set activates dense:7" in warning for warning in record.warnings)


def test_units_of_the_last_layer_are_logits(clf):
    last = clf.layers[-1].name
    softmax, classes = quick(clf, layer=last), quick(clf)
    np.testing.assert_array_equal(softmax.arrays["optimum"], classes.arrays["optimum"])
    np.testing.assert_allclose(clf.logits(classes.arrays["optimum"]).diagonal(), softmax.facts["value"], rtol=1e-4)


def test_no_ratio_without_a_data_set(clf):
    facts = quick(clf).facts
    assert facts["best"] == facts["best_image"] == facts["ratio"] == [None] * 5


def test_no_ratio_if_the_best_is_not_positive(clf, random):
    clf.model.layers[-1].bias.assign_add(np.array([-1e3, 0, 0, 0, 0]))
    images = random.uniform(0, 1, (5, 12, 10, 3)).astype(np.float32)
    record = quick(clf, dataset=images)
    logits = clf.logits(images)
    np.testing.assert_allclose(record.facts["best"], logits.max(axis=0), rtol=1e-4)
    assert record.facts["best_image"] == [f"array[{i}]" for i in logits.argmax(axis=0)]
    assert record.facts["ratio"][0] is None
    assert any("No image of the data set activates 0" in warning for warning in record.warnings)


def test_pictures_do_not_depend_on_the_input_range(model, random):
    """A model of pixels from 0 to 255 that scales them itself."""
    inner = model()
    inputs = keras.Input((12, 10, 3))
    outer = keras.Model(inputs, inner(keras.layers.Rescaling(1 / 255)(inputs)))
    clf, pixels = cx.load(inner), cx.load(outer)
    assert (pixels.preprocess.low, pixels.preprocess.high) == (0, 255)
    np.testing.assert_allclose(quick(pixels).arrays["optimum"], 255 * quick(clf).arrays["optimum"], atol=0.1)
    z = random.uniform(-0.5, 0.5, (2, 12, 10, 3)).astype(np.float32)
    parts = Regularization(total_variation=0.1)
    ascents = [maximization.Ascent(each, [Logit(1)] * 2, 1, parts, random) for each in (clf, pixels)]
    for one, other in zip(*(ascent.loss(z, 0) for ascent in ascents), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_non_finite_values_are_reported():
    inputs = keras.Input((4, 4, 1))
    mean = keras.layers.GlobalAveragePooling2D()(inputs)
    score = -keras.ops.log(0.9 - mean)
    clf = cx.load(keras.Model(inputs, keras.layers.Concatenate()([score, -mean])))
    record = quick(clf, regularization="none", steps=60)
    assert "was not finite" in record.facts["stopped"][0]
    assert record.facts["stopped"][1] is None
    assert np.isfinite(record.arrays["optimum"]).all()
    assert any("The ascent of 0 ended early" in warning for warning in record.warnings)
    # The darkest image there is.
    np.testing.assert_allclose(record.arrays["optimum"][1], 0, atol=1e-6)


def test_more_classes_or_units_than_are_shown(random):
    model = keras.Sequential([keras.Input((4, 5, 1)), keras.layers.Conv2D(40, 3, name="conv"), keras.layers.Flatten()])
    model.add(keras.layers.Dense(20))
    clf = cx.load(model)
    classes, units = quick(clf, steps=1), quick(clf, layer="conv", steps=1)
    assert classes.facts["unit"] == [str(i) for i in range(4)]
    assert classes.warnings[0].startswith("The first 4 of the model's 20 classes are shown")
    assert units.facts["unit"] == [f"conv:{i}" for i in range(32)]
    assert units.warnings[0].startswith("The first 32 of the 40 units of 'conv' are shown")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "conv", "target": 1}, "--target and images select outputs, .* use one or the other"),
        ({"unit": ("1",), "target": 1}, "use one or the other"),
        ({"unit": ("1",)}, "--unit 1 requires a layer"),
        ({"layer": "conv", "unit": ("one",)}, "ROW,COLUMN,K"),
        ({"layer": "conv", "unit": ("1,2",)}, "ROW,COLUMN,K"),
        ({"layer": "conv", "unit": ("6",)}, "no unit 6"),
        ({"layer": "conv", "unit": ("10,0,0",)}, "no unit 10, 0, 0"),
        ({"layer": "hidden", "unit": ("0,0,1",)}, "no feature maps"),
        ({"layer": "convv"}, "Did you mean 'conv'"),
    ],
)
def test_invalid_requests_are_refused(clf, options, message):
    with pytest.raises(UsageError, match=message):
        quick(clf, **options)


def test_objectives_from_python(clf):
    record = quick(clf, target=[Channel("conv", 2), Logit(1) + 0.5 * Logit(2)])
    outputs = clf.activations(record.arrays["optimum"], ["conv", "logits"])
    expected = [outputs["conv"][0, ..., 2].mean(), outputs["logits"][1] @ [0, 1, 0.5, 0, 0]]
    np.testing.assert_allclose(record.facts["value"], expected, rtol=1e-4)


@pytest.mark.parametrize("count", [1, 5, 30])
def test_grids_of_any_number_of_units(clf, count):
    record = quick(
        clf, layer="hidden", unit=tuple(str(i % 8) for i in range(count)), steps=1, dataset=np.zeros((1, 12, 10, 3))
    )
    ((name, figure),) = record.overview().items()
    assert name == NAME
    places = [axes.get_position() for axes in figure.axes]
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == record.facts["unit"]
    # Beside each picture are the natural patches.
    assert len(figure.axes) == 2 * len(panels)
    assert all(place.x0 >= 0 and place.x1 <= 1 and place.y0 > 0 and place.y1 < 1 for place in places)
    np.testing.assert_allclose(panels[0].images[0].get_array(), record.arrays["optimum"][0], atol=1e-6)


def test_the_command_line(cli, digit_file):
    shared = ("run", NAME, "--dataset", digit_file.parent, "--steps", 2)
    code, out, err = cli(*shared, "--target", 4, "--against", 9, "--out", "classes")
    assert code == 0, err
    assert "Note: " in out
    code, out, err = cli(*shared, "--layer", "conv1", "--unit", 3, "--unit", "0,0,5", "--out", "units")
    assert code == 0, err
    with np.load(f"units/{NAME}/arrays.npz") as arrays:
        assert arrays["optimum"].shape == (2, 28, 28, 1)
    assert cli(*shared, "--layer", "conv1", "--target", 4)[0] == 2


def test_regularizers_are_applied_in_the_order_of_the_paper(random):
    """Decay, blur, the norm, and of what the norm leaves the contribution."""
    z = random.normal(size=(2, 9, 7, 3)).astype(np.float32)
    slope = random.normal(size=z.shape).astype(np.float32)
    parts = {"decay": 0.5, "blur": 1.0, "blur_every": 1, "norm_percentile": 40, "contribution_percentile": 70}
    expected = blurred(0.5 * z, 1.0)
    norms = np.sqrt((expected**2).sum(axis=-1))
    expected[norms < np.percentile(norms, 40, axis=(1, 2), keepdims=True)] = 0
    contributions = np.abs((expected * slope).sum(axis=-1))
    expected[contributions < np.percentile(contributions, 70, axis=(1, 2), keepdims=True)] = 0
    np.testing.assert_allclose(Regularization(**parts).keep(z, slope, 0), expected, rtol=1e-5, atol=1e-6)


def test_the_best_regularized_start_is_kept(clf, random, monkeypatch):
    rough = random.choice([-0.5, 0.5], (32, 12, 10, 3)).astype(np.float32)
    flat = np.zeros((1, 12, 10, 3), np.float32)
    values = clf.logits(np.concatenate([rough, flat]) + 0.5)
    gains = values[:-1] - values[-1]
    best, wanted = np.unravel_index(gains.argmax(), gains.shape)
    assert gains.max() > 1
    ends = np.concatenate([flat, rough[[best]]])
    monkeypatch.setattr(maximization, "compilable", lambda _: False)
    monkeypatch.setattr(maximization, "minimize", lambda *_, **__: Optimum(ends, np.zeros((1, 2)), (None, None)))
    for weight, kept in ((0.0, 1), (1e3, 0)):
        chosen = Regularization(total_variation=weight)
        (found,) = maximization.maximize(clf, [Logit(int(wanted))], chosen, steps=1, starts=2, seed=0)
        np.testing.assert_allclose(found.image, ends[kept] + 0.5)


def test_a_start_that_ended_is_not_the_result(clf, monkeypatch):
    """Which starts go on is chosen on the values of the loop, whose result is rounded to float32."""
    ends = np.stack([np.full((12, 10, 3), value, np.float32) for value in (0.1, 0.2)])

    def ended(loss, start, *_, select, **__):
        loss(start, 0)
        assert select(5, [np.array([1 + 1e-12, 1])] * 6).tolist() == [False, True]
        return Optimum(ends, np.ones((6, 2), np.float32), (None, None))

    monkeypatch.setattr(maximization, "compilable", lambda _: False)
    monkeypatch.setattr(maximization, "minimize", ended)
    for objective in (Logit(0), -1 * Logit(0)):
        options = {"steps": 20, "starts": 2, "seed": 0, "checks": {5: 1}}
        (found,) = maximization.maximize(clf, [objective], Regularization(), **options)
        np.testing.assert_allclose(found.image, ends[1] + 0.5)


def test_random_views_stay_within_bounds(random):
    seen = []

    class Seen(View):
        def __init__(self, shape, shift, degrees, zoom):
            seen.append((*shift, degrees, zoom))

    for _ in range(300):
        Seen.draw(Regularization(jitter=2, rotate=30, zoom=0.25), (9, 9), random)
    least, most = np.min(seen, axis=0), np.max(seen, axis=0)
    np.testing.assert_allclose(least, [-2, -2, -30, 0.8], rtol=0.05)
    np.testing.assert_allclose(most, [2, 2, 30, 1.25], rtol=0.05)
    assert (least >= [-2, -2, -30, 0.8]).all()
    assert (most <= [2, 2, 30, 1.25]).all()

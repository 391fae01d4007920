"""Activation maximization of photographs: Olah et al. 2017, Fel et al. 2023 (arXiv:2306.06805), Borowski et al. 2021."""

import keras
import numpy as np
import pytest
from cnnexplain_plugins.activation_maximization import crops, judge, spectral_ascent
from cnnexplain_plugins.activation_maximization.canvas import NOISE, Canvas
from cnnexplain_plugins.activation_maximization.recipes import RECIPES, Recipe, choose
from compiling import compile_gradient

import cnnexplain as cx
from cnnexplain.errors import UsageError
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.inputs.resizing import resize
from cnnexplain.model.computation.objectives import Channel, Direction, Logit

# Their many steps are compiled at once.
pytestmark = pytest.mark.unaided

NAME = "activation-maximization"
INPUT = Preprocess(6, 5, "bgr", scale=1.0, mean=(127.0,), std=(128.0,))


@pytest.fixture
def clf(model):
    """A classifier of 12×10 color images with five classes."""
    return cx.load(model())


def quick(clf, **options):
    return cx.explain(NAME, clf, **{"regularization": "maco", "canvas": 18, "steps": 4, **options})


def decoded(clf, record):
    return clf.preprocess.decode(record.arrays["optimum"])


def viewed(u, view, size):
    """One view of a picture (H, W, C), pixel by pixel: bilinear, gray beyond its border."""
    height, width = size
    seen = np.full((height, width, u.shape[2]), 0.5)
    for i in range(height):
        for j in range(width):
            place = view[:6].reshape(2, 3) @ [i - (height - 1) / 2, j - (width - 1) / 2, 1]
            total = np.zeros(u.shape[2])
            for row in range(u.shape[0]):
                for column in range(u.shape[1]):
                    weight = max(0, 1 - abs(place[0] - row)) * max(0, 1 - abs(place[1] - column))
                    total += weight * (u[row, column] - 0.5)
            seen[i, j] += total
    return seen


def test_views_equal_the_oracle(random):
    u = random.uniform(0, 1, (2, 9, 8, 3)).astype(np.float32)
    recipe = Recipe(phases=True, canvas=9, smallest_view=0.4, largest_view=1.0, rotate=40, view_noise=0)
    views = crops.draw(recipe, INPUT, 4, random)
    shown = keras.ops.convert_to_numpy(crops.Views.of(recipe, INPUT, 0).show(u, views))
    exact = [viewed(picture, view, (6, 5)) for picture in u for view in views]
    np.testing.assert_allclose(shown, INPUT.encode(np.float32(exact)), atol=1e-4)
    noisy = crops.Views.of(Recipe(phases=True, canvas=9, view_noise=0.1), INPUT, 3).show(u, views)
    noise = (keras.ops.convert_to_numpy(noisy) - shown) * 128 / 255
    assert noise.std() == pytest.approx(0.1, rel=0.2)
    # Every view of a picture has noise of its own, and all pictures have the same.
    assert np.abs(noise[0] - noise[1]).max() > 0.05
    np.testing.assert_allclose(noise[:4], noise[4:], atol=1e-5)


def test_views_stay_within_the_bounds_of_the_recipe(random):
    recipe = Recipe(phases=True, canvas=60, smallest_view=0.2, largest_view=0.5, rotate=12)
    preprocess = Preprocess(30, 30)
    maps = crops.draw(recipe, preprocess, 4000, random)[:, :6].reshape(-1, 2, 3)
    scale = np.hypot(maps[:, 0, 0], maps[:, 1, 0])
    degrees = np.rad2deg(np.arctan2(maps[:, 1, 0], maps[:, 0, 0]))
    side = scale * 30
    assert (side.min(), side.max()) == (pytest.approx(12, rel=0.01), pytest.approx(30, rel=0.01))
    assert (degrees.min(), degrees.max()) == (pytest.approx(-12, rel=0.01), pytest.approx(12, rel=0.01))
    # The sides before they are turned: from 4% of 60 pixels before the first to as far beyond the last.
    for axis in (0, 1):
        first, last = maps[:, axis, 2] + 0.5 - side / 2, maps[:, axis, 2] + 0.5 + side / 2
        assert first.min() == pytest.approx(-2.4, abs=0.1)
        assert last.max() == pytest.approx(62.4, abs=0.1)


@pytest.mark.parametrize(
    ("preprocess", "expected"),
    [
        (Preprocess(224, 224), "maco"),
        (Preprocess(64, 80), "maco"),
        (Preprocess(63, 80), "robust"),
        (Preprocess(224, 224, "gray"), "robust"),
    ],
)
def test_defaults_follow_the_input(preprocess, expected):
    name, recipe = choose(None, preprocess, {}, {})
    assert name == expected
    if name == "maco":
        assert recipe.canvas == round(max(preprocess.shape) * 320 / 224)
        assert recipe.phases


@pytest.mark.parametrize("name", ["maco", "spectrum"])
def test_gradient_through_views_equals_finite_differences(clf, random, name):
    _, recipe = choose(name, clf.preprocess, {}, {"canvas": 18, "views": 2})
    canvas = Canvas(18, 15, 3, recipe.phases, recipe.low_pass)
    start = random.normal(0, NOISE[recipe.phases], (1, 1, *canvas.shape)).astype(np.float32)

    def loss(variables):
        views = crops.draw(recipe, clf.preprocess, 2, np.random.default_rng(1))[None]
        ascent = spectral_ascent.Ascent(clf, [Logit(3)], recipe, canvas, 1, 0, views, opacity=False)
        (value,), gradient = ascent.loss(variables, 0)
        return value, gradient

    _, gradient = loss(start)
    norm = np.linalg.norm(gradient)
    step = np.float32(0.03 if recipe.phases else 3e-4) * gradient / norm
    measured = (loss(start + step)[0] - loss(start - step)[0]) / (2 * np.linalg.norm(step))
    assert measured == pytest.approx(float(norm), rel=0.02)


def test_values_of_unseen_views_and_the_whole_picture(clf):
    record = quick(clf, target=[1, 4], seed=5)
    _, recipe = choose("maco", clf.preprocess, {}, {"canvas": 18})
    unseen = crops.draw(recipe, clf.preprocess, 32, np.random.default_rng(5).spawn(3)[2])
    assert record.arrays["optimum"].shape == (2, 18, 15, 3)
    for index, u in enumerate(decoded(clf, record)):
        shown = crops.Views.of(recipe, clf.preprocess, 6).show(u[None], unseen)
        logits = clf.logits(keras.ops.convert_to_numpy(shown))[:, (1, 4)[index]]
        assert record.facts["view_value"][index] == pytest.approx(logits.mean(), rel=1e-3)
        whole = clf.preprocess.encode(resize(u, 12, 10))
        assert record.facts["value"][index] == pytest.approx(clf.logits(whole[None])[0, (1, 4)[index]], rel=1e-3)
    assert record.facts["regularization"]["name"] == "maco"


@pytest.mark.parametrize("name", [pytest.param("maco", marks=pytest.mark.slow), "spectrum"])
def test_units_are_optimized_independently(clf, name):
    still = quick(clf, regularization=name, rate=1e-6, steps=1)
    found = quick(clf, regularization=name, steps=20)
    gained = np.array(found.facts["view_value"]) - np.array(still.facts["view_value"])
    assert gained.min() > 0.05
    assert gained.max() > 1
    first, again, other = (quick(clf, regularization=name, seed=seed).arrays["optimum"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1
    alone = quick(clf, regularization=name, target=3).arrays["optimum"]
    np.testing.assert_allclose(first[3:4], alone, atol=1e-3)


def test_maco_keeps_the_magnitude_spectrum(clf):
    """Before the colors are mixed and squashed every picture has the same spectrum but for a factor."""
    from cnnexplain.numerics import spectrum

    canvas = Canvas(18, 15, 3, phases=True, low_pass=0)
    phases = np.random.default_rng(0).normal(size=(1, *canvas.shape)).astype(np.float32)
    y = keras.ops.convert_to_numpy(spectrum.from_phases(phases, spectrum.natural_magnitude(18, 15, 3), 15))
    found = np.abs(np.fft.rfft2(y[0].transpose(2, 0, 1)))[:, 1:9, 1:]
    ratio = found / spectrum.natural_magnitude(18, 15, 3)[:, 1:9, 1:]
    np.testing.assert_allclose(ratio, ratio.mean(), rtol=1e-3)


@pytest.mark.slow
def test_several_starts_are_at_least_as_good_as_one(clf):
    one, three = (quick(clf, starts=starts, steps=6).facts["view_value"] for starts in (1, 3))
    assert (np.array(three) >= np.array(one) - 1e-4).all()
    assert max(np.array(three) - np.array(one)) > 0.01


def test_diversity_equals_the_oracle(random):
    maps = random.normal(size=(2, 3, 2, 4, 5, 6)).astype(np.float32)
    found = keras.ops.convert_to_numpy(spectral_ascent.similarity(keras.ops.reshape(maps, (12, 4, 5, 6)), 3, 2))
    for unit, alike in zip(maps, found, strict=True):
        grams = [np.einsum("vijk,vijl->kl", picture, picture).ravel() for picture in unit]
        cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a in grams for b in grams if a is not b]
        assert alike == pytest.approx(np.mean(cosines), rel=1e-4)


def test_diversity_term_reduces_similarity(random):
    """The slope of a − |a| · c, |a| being a mere factor, by differences of a and c."""
    maps, weights = random.normal(size=(1, 3, 2, 4, 5, 6)), random.normal(size=(1, 4, 5, 6)) + 1
    along = random.normal(size=maps.shape)

    def value(x, weights):
        outputs = {"conv": keras.ops.reshape(x, (6, 4, 5, 6))}
        views = keras.ops.zeros((1, 2, 8))
        return spectral_ascent.Value(("conv",), "conv")(outputs, x, views, weights)

    def parts(x):
        alike = spectral_ascent.similarity(keras.ops.reshape(np.float64(x), (6, 4, 5, 6)), 3, 2)
        return (x * weights[:, None, None]).sum() / 6, float(keras.ops.convert_to_numpy(alike)[0])

    values, gradient = compile_gradient(value, [maps.shape[1:], weights.shape[1:]], [])(maps, weights)
    (mean, alike), step = parts(maps), 1e-4
    assert values[0] == pytest.approx(mean - abs(mean) * alike, rel=1e-4)
    slopes = (np.array(parts(maps + step * along)) - parts(maps - step * along)) / (2 * step)
    assert (gradient * along).sum() == pytest.approx(slopes[0] - abs(mean) * slopes[1], rel=1e-3)


def test_several_pictures_of_a_unit(clf):
    record = quick(clf, target=2, diversity=3)
    assert record.arrays["optimum"].shape == (3, 18, 15, 3)
    assert record.facts["unit"] == ["2"] * 3
    assert np.abs(np.diff(record.arrays["optimum"], axis=0)).max() > 0.1
    ((_, figure),) = record.overview().items()
    assert [axes.get_title() for axes in figure.axes][-1] == "2 · 3 of 3"


def test_opacity_is_zero_where_nothing_was_seen(clf):
    options = {"views": 1, "smallest_view": 0.4, "largest_view": 0.4, "rotate": 0.0, "steps": 1, "target": 0}
    record = quick(clf, opacity=True, **options)
    opacity = record.arrays["opacity"][0]
    assert opacity.shape == (18, 15)
    assert (opacity >= 0).all()
    # A view of 7.2 × 6 pixels, and the half of a pixel beyond.
    rows, columns = np.flatnonzero(opacity.any(axis=1)), np.flatnonzero(opacity.any(axis=0))
    assert 0 < np.ptp(rows) <= 9
    assert 0 < np.ptp(columns) <= 8
    assert record.overview()[NAME].axes


def test_relu_override_applies_to_zero_gradients():
    inputs = keras.Input((2, 2, 1))
    x = keras.layers.Conv2D(2, 1, name="conv")(inputs)
    x = keras.layers.Flatten()(keras.layers.ReLU(6.0, name="relu")(x))
    model = keras.Model(inputs, keras.layers.Dense(2, use_bias=False)(x))
    model.layers[1].set_weights([np.array([[[[1.0, 1.0]]]]), np.array([-9.0, 9.0])])
    weights = np.tile([[2.0, 0.0], [-3.0, 0.0]], (4, 1))
    model.layers[-1].set_weights([weights])
    clf = cx.load(model, logits=True)
    images = np.full((1, 2, 2, 1), 0.5, np.float32)
    plain, overridden = (
        clf.differentiable(first_logit, ["logits"], override=override)(images)[1] for override in (False, True)
    )
    assert not plain.any()
    # At x − 9 < 0 passes what raises it, 2; at x + 9 > 6 what lowers it, −3.
    np.testing.assert_allclose(overridden, np.full((1, 2, 2, 1), -1.0))
    # Gray noise doesn't excite a unit that is on above 0.8; where all of the range leaves it off, it is told.
    model.layers[1].set_weights([np.array([[[[1.0, 1.0]]]]), np.array([-0.8, -9.0])])
    record = quick(clf, target=[Channel("relu", 0), Channel("relu", 1)], regularization="spectrum", rate=0.3, steps=12)
    assert record.facts["view_value"][0] > 0.01
    assert record.facts["view_value"][1] == 0
    assert next(warning for warning in record.warnings if "activates" in warning).startswith("No noise activates relu:1:")


def test_diversity_requires_feature_maps():
    model = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Conv2D(3, 16), keras.layers.Flatten()])
    with pytest.raises(UsageError, match="no convolution whose output has more than one position"):
        quick(cx.load(model, logits=True), target=0, diversity=2)


def first_logit(outputs, _):
    return outputs["logits"][:, 0]


@pytest.mark.slow
def test_judge_ranks_classes_by_label(clf, model, tmp_path, random):
    other = model(seed=3)
    other.save(tmp_path / "judge.keras")
    (tmp_path / "judge.json").write_text('{"labels": ["4", "3", "2", "1", "0"]}')
    record = quick(clf, judge=str(tmp_path / "judge.keras"))
    loaded = cx.load(other)

    def exact(u, place):
        parts = [u, *(u[i : i + 9, j : j + 8] for i in (0, 4, 9) for j in (0, 4, 7))]
        logits = loaded.logits(np.stack([clf.preprocess.encode(resize(part, 12, 10)) for part in parts]))
        ranks = 1 + (logits > logits[:, [place]]).sum(axis=1)
        return ranks[0], ranks.min()

    found = zip(record.facts["judge_rank"], record.facts["judge_best_rank"], strict=True)
    assert list(found) == [exact(u, 4 - index) for index, u in enumerate(decoded(clf, record))]
    # In a picture of two halves the crops differ.
    halves = np.zeros((18, 15, 3), np.float32)
    halves[:9] = halves[:, :7, 0] = 1
    assert judge.ranks(loaded, halves, 2) == exact(halves, 2) == (5, 2)
    assert "judge: rank" in "".join(text.get_text() for text in record.overview()[NAME].axes[0].texts)
    with pytest.raises(UsageError, match="has no class '0'"):
        judge.classes(clf, cx.load(other, labels=list("abcde")), [Logit(0)])
    with pytest.raises(UsageError, match="ranks classes, but 'conv:1' is not a class"):
        quick(clf, target=Channel("conv", 1), judge=str(tmp_path / "judge.keras"))


def test_strongest_patches_equal_a_full_sort(clf, random):
    images = random.uniform(0, 1, (12, 12, 10, 3)).astype(np.float32)
    record = quick(clf, target=[Logit(1), Channel("conv", 2)], dataset=images, steps=1)
    logits, maps = clf.logits(images)[:, 1], clf.activations(images, ["conv"])["conv"][..., 2]
    order = np.argsort(-logits)[:9]
    np.testing.assert_allclose(record.facts["patch_values"][0], logits[order], rtol=1e-4)
    np.testing.assert_array_equal(record.arrays["patch/0"], pixels(images[order]))
    peaks = maps.reshape(12, -1).max(axis=1)
    order = np.argsort(-peaks)[:9]
    np.testing.assert_allclose(record.facts["patch_values"][1], peaks[order], rtol=1e-4)
    assert record.facts["patch_images"][1] == [f"array[{place}]" for place in order]
    for patch, place in zip(record.arrays["patch/1"], order, strict=True):
        row, column = np.unravel_index(maps[place].argmax(), maps[place].shape)
        np.testing.assert_array_equal(patch, pixels(images[place, row : row + 3, column : column + 3]))
    assert record.facts["best"][1] == pytest.approx(maps.mean(axis=(1, 2)).max(), rel=1e-4)


def pixels(image):
    return np.round(255 * image).astype(np.uint8)


def test_patches_are_gray_beyond_the_image(random):
    model = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Conv2D(2, 3, padding="same", name="conv")])
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(2))
    model.layers[0].set_weights([np.ones((3, 3, 1, 2)), np.zeros(2)])
    image = np.zeros((1, 6, 6, 1), np.float32)
    image[0, 0, 0] = 1
    record = quick(cx.load(model), target=cx.Neuron("conv", 0, 0, 1), dataset=image, steps=1, canvas=16)
    np.testing.assert_array_equal(record.arrays["patch/0"][0, ..., 0], [[128, 128, 128], [128, 255, 0], [128, 0, 0]])


def test_directions_and_layers_without_activation(random):
    inputs = keras.Input((12, 10, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.ReLU(name="relu")(x)
    y = keras.layers.BatchNormalization(name="last")(keras.layers.Conv2D(4, 3, padding="same", name="end")(x))
    outputs = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x + y))
    clf = cx.load(keras.Model(inputs, outputs))
    assert [clf.activated(name) for name in ("conv", "bn", "relu", "end", "last")] == ["relu"] * 3 + ["end", "last"]
    record = quick(clf, layer="conv", unit=("1",), steps=1)
    assert record.facts["unit"] == ["relu:1"]
    assert "'relu', which follows it, is maximized" in record.warnings[0]
    direction = quick(clf, target=Direction("last", [1, 0, -2, 0.5], name="edges"), steps=1)
    outputs = clf.activations(resized(clf, direction), ["last"])["last"]
    assert direction.facts["unit"] == ["edges"]
    assert direction.facts["strongest"] == [None]
    assert direction.facts["value"][0] == pytest.approx(outputs[0].mean(axis=(0, 1)) @ [1, 0, -2, 0.5], rel=1e-3)


def resized(clf, record):
    return np.stack([clf.preprocess.encode(resize(u, 12, 10)) for u in decoded(clf, record)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jitter": 2.0}, "--jitter is not part of the regularization 'maco'; it goes with none, yosinski-1"),
        ({"regularization": "robust", "canvas": None, "views": 2}, "--views is not part of the regularization 'robust'"),
        ({"smallest_view": 0.9}, "The smallest view, 0.9, is larger than the largest one, 0.8"),
        ({"low_pass": 2.0}, "--low-pass is for the regularization 'spectrum'"),
        ({"regularization": "robust", "canvas": None, "diversity": 2}, "--diversity goes with"),
        ({"regularization": "robust", "canvas": None, "opacity": True}, "--opacity goes with"),
    ],
)
def test_incompatible_options_are_refused(clf, options, message):
    with pytest.raises(UsageError, match=message):
        quick(clf, **options)


def test_every_part_of_a_recipe_has_an_effect(clf):
    plain = quick(clf, target=0).arrays["optimum"]
    for options in ({"views": 1}, {"largest_view": 0.5}, {"rotate": 40.0}, {"view_noise": 0.3}, {"rate": 0.1}):
        assert np.abs(plain - quick(clf, target=0, **options).arrays["optimum"]).max() > 0.01


def test_number_of_passes(clf, lenet):
    analysis = cx.analyses()[NAME]
    options = {parameter.name: parameter.default for parameter in analysis.options} | dict(analysis.quick)
    # Two classes; 16 starts for 8 of 80 steps, 6 for the next 16 and 3 for the rest; or 3 views of each step, a gradient
    # counting twice, and 32 views unseen.
    assert analysis.passes(lenet, options) == 2 * 2 * (16 * 8 + 6 * 16 + 3 * 56)
    assert analysis.passes(lenet, options | {"regularization": "maco"}) == 2 * (2 * 3 * 80 + 32)


def test_low_pass_reduces_fine_detail(clf):
    def fine(low_pass):
        (u,) = decoded(clf, quick(clf, regularization="spectrum", target=1, low_pass=low_pass))
        energy = np.abs(np.fft.fft2(u.mean(axis=-1) - u.mean())) ** 2
        return energy[5:-5].sum() / energy.sum()

    assert fine(4.0) < 0.5 * fine(0.0)
    assert set(RECIPES) == {"maco", "spectrum"}

"""Occlusion against its definition (Zeiler, Fergus 2014, section 4.2 and figure 7), one square after the other."""

import json
from itertools import product

import keras
import numpy as np
import oracles
import pytest
from cnnexplain_plugins.occlusion.figure import COLORS, _to_image
from cnnexplain_plugins.occlusion.maps import positions, rank_correlation, second_fill
from cnnexplain_plugins.occlusion.squares import slide
from functions import formula

import cnnexplain as cx
from cnnexplain import draw
from cnnexplain.errors import UsageError
from cnnexplain.plugin import registry

GRIDS = {"logit", "probability", "prediction", "activation"}


@pytest.fixture(scope="module")
def oracle(lenet):
    return oracles.LeNet(lenet.model.get_weights())


@pytest.fixture(scope="module")
def digits(lenet):
    return cx.read_images(["mnist:test/42", "mnist:test/8"], lenet)


@pytest.fixture
def linear(random):
    """A linear model of 7×5×3 images with known weights (7, 5, 3, K = 3) and biases."""
    model = keras.Sequential([keras.Input((7, 5, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
    weights = random.normal(size=(7, 5, 3, 3)).astype(np.float32)
    model.set_weights([weights.reshape(105, 3), np.float32([1, -2, 0.5])])
    return cx.load(model), weights.astype(np.float64), random.uniform(0, 1, (2, 7, 5, 3)).astype(np.float32)


def brute(function, image, target, patch, stride, gray):
    """Each map by position and by pixel, where `function` gives logits (P, K) and layers (P, h, w, F) of images."""
    tops, lefts, images = oracles.occluded(image, patch, stride, np.full(image.shape, gray))
    shape = images.shape[:2]
    parts = np.array_split(images.reshape(-1, *image.shape), -(-shape[0] * shape[1] // 64))
    logits, maps = (np.concatenate(values) for values in zip(*map(function, parts), strict=True))
    before, layer = function(image[None])
    strongest = layer[0].sum(axis=(0, 1)).argmax()
    found = {
        "logit": logits[:, target],
        "probability": oracles.softmax(logits)[:, target],
        "prediction": logits.argmax(axis=1),
        "activation": maps[..., strongest].sum(axis=(1, 2)),
    }
    found = {name: values.reshape(shape) for name, values in found.items()}
    for name, value in (("logit", before[0, target]), ("probability", oracles.softmax(before)[0, target])):
        found[f"{name}_drop"] = oracles.mean_over_squares(value - found[name], tops, lefts, patch, *image.shape[:2])
    top, left = divmod(int(found["logit"].argmin()), shape[1])
    found["occluded"] = images[top, left]
    facts = {
        "unoccluded_logit": before[0, target],
        "unoccluded_probability": oracles.softmax(before)[0, target],
        "unoccluded_activation": layer[0, ..., strongest].sum(),
        "largest_drop": before[0, target] - found["logit"].min(),
        "largest_drop_square": [tops[top], lefts[left]],
        "rows": tops,
        "columns": lefts,
        "patch": patch,
        "stride": stride,
        "feature_map": strongest,
    }
    return found, facts


def assert_same(record, index, found, facts):
    assert set(record.arrays) == set(found)
    for name, exact in found.items():
        given = record.arrays[name][index]
        if name == "prediction":
            np.testing.assert_array_equal(given, exact)
        else:
            np.testing.assert_allclose(given, exact, atol=2e-5 * max(1, np.abs(exact).max()), err_msg=name)
    for name, exact in facts.items():
        np.testing.assert_allclose(record.facts[name][index], exact, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize(("patch", "stride"), [(None, None), (9, 4), (28, None)])
def test_digits_equal_the_oracle(lenet, oracle, digits, patch, stride):
    digits = digits if patch == 9 else digits[:1]
    record = cx.explain("occlusion", lenet, digits, patch=patch, stride=stride)

    def function(images):
        found = oracle.layers(images)
        return found["logits"], np.maximum(found["conv2"], 0)

    for index, image in enumerate(digits):
        used = {None: (7, 1), 9: (9, 4), 28: (28, 4)}[patch]
        assert_same(record, index, *brute(function, image, record.explained[index].target, *used, 0.5))
    assert record.facts["layer"] == ["relu2"] * len(digits)
    assert record.arrays["logit"].shape[1:] == {None: (22, 22), 9: (6, 6), 28: (1, 1)}[patch]


@pytest.mark.parametrize(
    ("patch", "stride", "rows", "columns"),
    [(4, 3, [0, 3, 6, 8], [0, 3, 6]), (1, 1, list(range(12)), list(range(10))), (10, 10, [0, 2], [0])],
)
@pytest.mark.parametrize("target", [3, [1, 4]])
def test_narrow_color_images_equal_brute_force(model, random, target, patch, stride, rows, columns):
    """12 rows, 10 columns: swapped axes would show in the shapes and in the numbers."""
    clf = cx.load(model())
    images = random.uniform(0, 1, (2, 12, 10, 3)).astype(np.float32)
    record = cx.explain("occlusion", clf, images, target=target, patch=patch, stride=stride)

    def function(images):
        found = clf.activations(np.float32(images), ["logits", "conv"])
        return np.float64(found["logits"]), np.float64(found["conv"])

    assert record.arrays["logit"].shape == (2, len(rows), len(columns))
    assert (record.facts["rows"][1], record.facts["columns"][1]) == (rows, columns)
    for index, image in enumerate(images):
        wanted = target if isinstance(target, int) else target[index]
        assert_same(record, index, *brute(function, image, wanted, patch, stride, 0.5))


def test_linear_models_lose_the_hidden_sum(linear):
    """The drop of the logit is Σ w (x − gray) over the square."""
    clf, weights, images = linear
    record = cx.explain("occlusion", clf, images, target=[0, 2], patch=3, stride=2)
    assert record.facts["rows"][0] == [0, 2, 4]
    assert record.facts["columns"][0] == [0, 2]
    for index, target in enumerate((0, 2)):
        lost = weights[..., target] * (images[index].astype(np.float64) - 0.5)
        drop = record.facts["unoccluded_logit"][index] - record.arrays["logit"][index]
        exact = [[lost[top : top + 3, left : left + 3].sum() for left in (0, 2)] for top in (0, 2, 4)]
        np.testing.assert_allclose(drop, exact, atol=1e-5)
        assert np.abs(exact).min() > 0.01
        by_pixel = record.arrays["logit_drop"][index]
        # The corner lies in one square, the pixel (2, 2) in four.
        assert by_pixel[0, 0] == pytest.approx(exact[0][0], abs=1e-5)
        assert by_pixel[2, 2] == pytest.approx(np.mean(exact[:2]), abs=1e-5)


def test_single_pixels_of_a_linear_model(linear):
    clf, weights, images = linear
    record = cx.explain("occlusion", clf, images, target=1, patch=1)
    lost = (weights[..., 1] * (images - 0.5)).sum(axis=-1)
    np.testing.assert_allclose(record.arrays["logit_drop"], lost, atol=1e-5)


def test_a_square_covering_the_image(lenet, digits):
    record = cx.explain("occlusion", lenet, digits, patch=28)
    gray = np.full((1, 28, 28, 1), 0.5, np.float32)
    logits, nothing = lenet.logits(digits), lenet.logits(gray)[0]
    for index, target in enumerate(logits.argmax(axis=1)):
        drop = logits[index, target] - nothing[target]
        np.testing.assert_allclose(record.arrays["logit_drop"][index], np.full((28, 28), drop), rtol=1e-5)
        change = lenet.predict(digits)[index, target] - lenet.predict(gray)[0, target]
        np.testing.assert_allclose(record.arrays["probability_drop"][index], np.full((28, 28), change), rtol=1e-5)
    np.testing.assert_array_equal(record.arrays["occluded"], np.broadcast_to(gray, (2, 28, 28, 1)))


def test_constant_models_never_drop(model, random):
    """Nor does its probability, though 1 − p is not zero."""
    constant = model()
    constant.layers[-1].kernel.assign(np.zeros((8, 5)))
    record = cx.explain("occlusion", cx.load(constant), random.uniform(0, 1, (1, 12, 10, 3)), patch=3)
    assert record.facts["unoccluded_probability"][0] < 0.9
    assert not record.arrays["logit_drop"].any()
    assert not record.arrays["probability_drop"].any()
    assert len(np.unique(record.arrays["prediction"])) == 1


def test_black_on_black_changes_nothing(lenet, digits):
    record = cx.explain("occlusion", lenet, digits[:1], fill="black", patch=4)
    empty = np.array([[not digits[0, top : top + 4, left : left + 4].any() for left in range(25)] for top in range(25)])
    drop = record.facts["unoccluded_logit"][0] - record.arrays["logit"][0]
    assert 100 < empty.sum() < 500
    assert np.abs(drop[empty]).max() < 1e-5
    assert np.abs(drop[~empty]).max() > 1


def test_every_pixel_is_covered_for_every_patch_stride_and_size(random):
    for height, width in product((1, 2, 3, 5, 8, 11), (1, 2, 4, 7, 12)):
        for patch in range(1, min(height, width) + 1):
            for stride in range(1, patch + 1):
                squares = slide(height, width, patch, stride)
                cover = squares.cover(np.arange(squares.count))
                assert cover.shape == (len(squares.tops) * len(squares.lefts), height, width)
                assert cover.any(axis=0).all()
                assert (cover.sum(axis=(1, 2)) == patch**2).all()
                tops, lefts, images = oracles.occluded(np.zeros((height, width, 1)), patch, stride, np.ones((height, width)))
                assert (squares.tops.tolist(), squares.lefts.tolist()) == (tops, lefts)
                np.testing.assert_array_equal(cover, images.reshape(-1, height, width))
                grids = random.normal(size=(2, len(tops), len(lefts)))
                exact = [oracles.mean_over_squares(grid, tops, lefts, patch, height, width) for grid in grids]
                np.testing.assert_allclose(squares.mean(grids), exact, atol=1e-12)


@pytest.mark.parametrize(
    ("size", "patch", "stride", "used"),
    [
        ((28, 28), None, None, (7, 1)),
        ((224, 224), None, None, (56, 8)),
        ((300, 224), None, None, (56, 8)),
        ((3, 90), None, None, (1, 1)),
        ((28, 28), 12, None, (12, 2)),
        ((28, 28), None, 3, (7, 3)),
        ((5, 9), 5, None, (5, 1)),
    ],
)
def test_defaults_follow_the_shorter_side(size, patch, stride, used):
    squares = slide(*size, patch, stride)
    assert (squares.patch, squares.stride) == used


def test_results_do_not_depend_on_the_batch_size(model, random, monkeypatch):
    clf = cx.load(model())
    images = random.uniform(0, 1, (4, 12, 10, 3)).astype(np.float32)
    whole = cx.explain("occlusion", clf, images, patch=4, stride=3)
    sizes, seen, in_batches = [], [], clf._network.in_batches

    def watched(function, arrays, views=1):
        sizes.append(len(arrays[0]))
        return in_batches(function, arrays, views)

    monkeypatch.setattr(clf._network, "in_batches", watched)
    monkeypatch.setattr(clf, "batch_size", 5)
    chunked = cx.explain("occlusion", clf, images, patch=4, stride=3, progress=lambda *done: seen.append(done))
    # Four images at once, for the prediction and for the outputs without a square, then 4 × 12 with one, 5 at a time.
    assert set(sizes[:-10]) == {4}
    assert sizes[-10:] == [*[5] * 9, 3]
    assert seen == [(done, 48) for done in (*range(5, 48, 5), 48)]
    assert set(chunked.arrays) == set(whole.arrays)
    for name in chunked.arrays:
        np.testing.assert_allclose(chunked.arrays[name], whole.arrays[name], rtol=1e-5, atol=1e-5)
    assert chunked.facts["feature_map"] == whole.facts["feature_map"]
    assert chunked.facts["largest_drop_square"] == whole.facts["largest_drop_square"]


def test_batches_equal_single_images(lenet, noise):
    together = cx.explain("occlusion", lenet, noise, patch=8, fill="blur")
    assert len(set(together.facts["feature_map"]) | {str(each.target) for each in together.explained}) > 2
    for index in range(len(noise)):
        alone = cx.explain("occlusion", lenet, noise[index : index + 1], patch=8, fill="blur")
        for name, values in alone.arrays.items():
            np.testing.assert_allclose(together.arrays[name][index], values[0], rtol=1e-4, atol=1e-5, err_msg=name)
        for name, (value,) in alone.facts.items():
            assert together.facts[name][index] == (
                value if isinstance(value, str | list) else pytest.approx(value, rel=1e-5)
            )


def test_integer_pixels_give_the_same_result(lenet, random):
    pixels = random.integers(0, 256, (1, 28, 28, 1), np.uint8)
    whole = cx.explain("occlusion", lenet, pixels, patch=9).arrays
    real = cx.explain("occlusion", lenet, np.float32(pixels) / 255, patch=9).arrays
    for name in whole:
        np.testing.assert_array_equal(whole[name], real[name])


@pytest.fixture
def rescaling(random):
    """A model of 12×10×3 pixels from 0 to 255."""
    model = keras.Sequential(
        [
            keras.Input((12, 10, 3)),
            keras.layers.Rescaling(1 / 127.5, offset=-1),
            keras.layers.Conv2D(4, 3, name="conv"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    for weight in model.weights:
        weight.assign(random.normal(0, 0.3, weight.shape))
    return cx.load(model)


def gaussian(image, sigma):
    """Each pixel the mean of all pixels weighted by exp(−distance² / 2σ²), pixel by pixel."""
    out = np.zeros(image.shape)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    for i, j in product(*map(range, image.shape[:2])):
        weight = np.exp(-((y - i) ** 2 + (x - j) ** 2) / (2 * sigma**2))[..., None]
        out[i, j] = (weight * image).sum(axis=(0, 1)) / weight.sum()
    return out


@pytest.mark.parametrize("fill", ["gray", "black", "white", "mean", "blur", "40.5", "0", "255"])
def test_the_square_has_its_fill(rescaling, random, fill):
    images = random.integers(0, 256, (2, 12, 10, 3), np.uint8)
    # A color cast, so that the means of the channels differ.
    images[..., 0] //= 3
    record = cx.explain("occlusion", rescaling, images, fill=fill, patch=6, stride=3)
    for index, image in enumerate(np.float64(images)):
        behind = {
            "gray": np.full(image.shape, 127.5),
            "black": np.zeros(image.shape),
            "white": np.full(image.shape, 255.0),
            "mean": np.broadcast_to(image.mean(axis=(0, 1)), image.shape),
            "blur": gaussian(image, 3),
        }.get(fill, np.full(image.shape, float(fill) if fill[0].isdigit() else 0))
        tops, lefts, shown = oracles.occluded(image, 6, 3, behind)
        logits = rescaling.logits(np.float32(shown.reshape(-1, 12, 10, 3)))[:, record.explained[index].target]
        np.testing.assert_allclose(record.arrays["logit"][index].ravel(), logits, atol=1e-4)
        top, left = record.facts["largest_drop_square"][index]
        np.testing.assert_allclose(
            record.arrays["occluded"][index], shown[tops.index(top), lefts.index(left)], rtol=1e-5, atol=1e-3
        )


def test_blur_of_a_uniform_image_is_the_image(lenet):
    plain = np.full((1, 28, 28, 1), 0.3, np.float32)
    record = cx.explain("occlusion", lenet, plain, fill="blur", patch=14)
    np.testing.assert_allclose(record.arrays["occluded"], plain, rtol=1e-6)
    assert np.abs(record.arrays["logit_drop"]).max() < 1e-4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"patch": 29}, "--patch 29 is larger than the images of 28×28 pixels; use at most 28."),
        ({"stride": 8}, "--stride 8 would leave pixels between squares of 7×7 uncovered; use a stride of at most 7"),
        ({"patch": 0}, "--patch takes a number of at least 1, but got 0."),
        ({"stride": 0}, "--stride takes a number of at least 1, but got 0."),
        ({"fill": "grau"}, "--fill takes gray, black, white, mean, blur or a number, but got 'grau'. Did you mean 'gray'?"),
        ({"fill": "1.5"}, "--fill 1.5 is outside the model's input range, 0 to 1."),
        ({"fill": "nan"}, "outside the model's input range"),
        ({"fill": "-0.1"}, "outside the model's input range"),
        ({"compare": "blurr"}, "--compare takes gray, black, white, mean, blur or a number, but got 'blurr'. Did you mean"),
        ({"layer": "relu3"}, "no layer 'relu3'. Did you mean 'relu2'?"),
        ({"layer": "dense"}, "'dense' (Dense) has no feature maps: it returns (500)"),
        ({"layer": "logits"}, "has no feature maps"),
    ],
)
def test_invalid_options_are_refused(lenet, digits, options, said):
    with pytest.raises(UsageError) as caught:
        cx.explain("occlusion", lenet, digits, **options)
    assert said in str(caught.value)


def test_patch_is_limited_by_the_shorter_side(model, random):
    clf, images = cx.load(model()), random.uniform(0, 1, (1, 12, 10, 3))
    with pytest.raises(UsageError, match="--patch 11 is larger than the images of 12×10 pixels; use at most 10"):
        cx.explain("occlusion", clf, images, patch=11)
    record = cx.explain("occlusion", clf, images, patch=10, stride=2)
    assert (record.facts["rows"], record.facts["columns"]) == ([[0, 2]], [[0]])


def test_any_fill_is_allowed_for_guessed_ranges(model, random):
    clf, images = cx.load(model()), random.uniform(0, 1, (1, 12, 10, 3))
    assert clf.preprocess.assumed
    record = cx.explain("occlusion", clf, images, patch=10, fill="-2.5")
    assert (record.arrays["occluded"][0, 5] == -2.5).all()
    with pytest.raises(UsageError, match="--fill inf"):
        cx.explain("occlusion", clf, images, fill="inf")


@pytest.mark.parametrize(
    ("shape", "fill", "compare", "second"),
    [
        ((64, 80, 3), "gray", None, "blur"),
        ((64, 80, 3), "blur", None, "gray"),
        ((64, 80, 3), "gray", "none", None),
        ((63, 80, 3), "gray", None, None),
        ((64, 80, 1), "gray", None, None),
        ((12, 10, 1), "gray", "0.5", "0.5"),
    ],
)
def test_photographs_use_a_second_square(shape, fill, compare, second):
    preprocess = cx.Preprocess(*shape[:2], "rgb" if shape[2] == 3 else "gray")
    clf = formula(np.zeros((*shape, 2), np.float32), preprocess=preprocess)
    assert second_fill(clf, fill, compare) == second
    squares = positions(clf, None, None, second)
    assert squares.patch == round(min(shape[:2]) / 4)
    assert squares.stride == max(1, round(squares.patch / (4 if second else 7)))
    cost = registry.load().get("occlusion")[0].passes(clf, {"patch": None, "stride": None, "fill": fill, "compare": compare})
    assert cost == squares.count * (2 if second else 1) + 1


def test_photographs_have_at_most_200_positions():
    for side in (64, 96, 224, 299, 380):
        squares = slide(side, side, None, None, 4)
        assert 150 < squares.count <= 200


def spearman(a, b):
    """By its definition: Pearson's correlation of the ranks, each the mean of the places that equal values take."""
    ranks = [[np.mean([place for place, other in enumerate(sorted(v)) if other == each]) for each in v] for v in (a, b)]
    return np.corrcoef(ranks)[0, 1]


def test_rank_correlation_averages_ties(random):
    for _ in range(5):
        a, b = random.integers(0, 6, (2, 5, 4)).astype(float)
        assert rank_correlation(a, b) == pytest.approx(spearman(a.ravel(), b.ravel()))
    a = random.normal(size=(5, 4))
    assert rank_correlation(a, np.exp(a)) == pytest.approx(1)
    assert rank_correlation(a, -a) == pytest.approx(-1)
    assert rank_correlation(a, np.ones((5, 4))) is None


def test_second_square_equals_brute_force(model, random):
    clf = cx.load(model())
    images = random.uniform(0, 1, (2, 12, 10, 3)).astype(np.float32)
    seen = []
    record = cx.explain(
        "occlusion", clf, images, target=2, patch=4, compare="black", progress=lambda *done: seen.append(done)
    )
    assert record.facts["stride"] == [1, 1]
    assert seen[-1][0] == seen[-1][1] == 2 * 2 * 9 * 7
    plain = cx.explain("occlusion", clf, images, target=2, patch=4, stride=1)
    black = cx.explain("occlusion", clf, images, target=2, patch=4, stride=1, fill="black")
    for name, array in plain.arrays.items():
        np.testing.assert_allclose(record.arrays[name], array, atol=1e-5)
    for name in ("logit", "logit_drop"):
        np.testing.assert_allclose(record.arrays[f"second_{name}"], black.arrays[name], atol=1e-5)
    for index in range(2):
        facts = {name: fact[index] for name, fact in record.facts.items()}
        drop, other = (facts["unoccluded_logit"] - each.arrays["logit"][index].ravel() for each in (plain, black))
        assert facts["agreement"] == pytest.approx(spearman(drop, other), abs=1e-6)
        quiet = sorted(range(63), key=lambda place: abs(other[place]))[:6]
        assert facts["own_drop"] == pytest.approx(np.median(drop[quiet]), abs=1e-5)
        prediction = record.explained[index].prediction
        changed = [
            plain.arrays["prediction"][index].flat[place] != prediction == black.arrays["prediction"][index].flat[place]
            for place in quiet
        ]
        assert facts["own_changes"] == pytest.approx(np.mean(changed))


def test_squares_seen_as_objects_are_reported():
    """S₀ falls with every white pixel, and black ones, as the image is, say nothing; or the image's own light decides."""
    weights = np.zeros((12, 12, 3, 2), np.float32)
    weights[..., 0] = -1
    preprocess, image = cx.Preprocess(12, 12), np.zeros((1, 12, 12, 3), np.float32)
    image[0, 5:7, 5:7] = 0.1
    asked = {"patch": 3, "fill": "white", "compare": "black"}
    record = cx.explain("occlusion", formula(weights, bias=0.5, preprocess=preprocess), image, target=0, **asked)
    assert record.facts["own_drop"] == [pytest.approx(27)]
    (warning,) = record.warnings
    assert warning.startswith("For some images the network reacts to the square (--fill white) itself")
    weights[..., 0], weights[5:7, 5:7, :, 0] = 0, 30
    record = cx.explain("occlusion", formula(weights, bias=0.5, preprocess=preprocess), image, target=0, **asked)
    assert record.facts["own_drop"] == record.facts["own_changes"] == [0]
    assert not record.warnings


def test_the_picture_and_the_finding_compare_the_squares(model, random):
    record = cx.explain("occlusion", cx.load(model()), random.uniform(0, 1, (1, 12, 10, 3)), patch=4, compare="blur")
    agreement = f"{record.facts['agreement'][0]:.3g}".replace("-", "−")
    found = panels(record.figure(0))
    assert {"drop over input, gray", f"blur, agreement {agreement}"} < set(found)
    row, column = record.facts["largest_drop_square"][0]
    words = record.analysis.finding(record, 0)
    assert words.startswith(f"Hiding the square at row {row}, column {column} (4×4 pixels, the ")
    assert words.endswith(f"the map of the second square (blur) has a rank correlation of {agreement} with it.")


def test_the_finding_states_the_largest_drop(lenet, digits, linear):
    record = cx.explain("occlusion", lenet, digits[:1])
    (row, column), drop = record.facts["largest_drop_square"][0], record.facts["largest_drop"][0]
    logit = record.facts["unoccluded_logit"][0]
    assert f"row {row}, column {column} (7×7 pixels, the upper middle) lowers" in record.analysis.finding(record, 0)
    assert record.analysis.finding(record, 0).endswith(f"the score of '4' the most: {logit:.3g} → {logit - drop:.3g}.")
    clf, weights, _ = linear
    # Light where weights are below zero, and gray says nothing: each square raises the score.
    image = np.where(weights[..., 1] < 0, 1, 0)[None].astype(np.float32)
    record = cx.explain("occlusion", clf, image, target=1, patch=5)
    assert record.facts["largest_drop"][0] < 0
    assert "raises the score of '1' the least (every position raises it)" in record.analysis.finding(record, 0)


@pytest.mark.parametrize("layer", ["conv1", "pool2", "input"])
def test_strongest_map_of_a_selected_layer(lenet, noise, layer):
    record = cx.explain("occlusion", lenet, noise, patch=14, layer=layer)
    totals = lenet.activations(noise, [layer])[layer].sum(axis=(1, 2))
    assert record.facts["feature_map"] == totals.argmax(axis=1).tolist()
    np.testing.assert_allclose(record.facts["unoccluded_activation"], totals.max(axis=1), rtol=1e-5)
    hidden = noise.copy()
    hidden[:, :14, :14] = 0.5
    first = lenet.activations(hidden, [layer])[layer].sum(axis=(1, 2))
    expected = first[range(4), record.facts["feature_map"]]
    np.testing.assert_allclose(record.arrays["activation"][:, 0, 0], expected, rtol=1e-5)


def test_models_without_convolutions_have_no_map(linear):
    clf, _, images = linear
    record = cx.explain("occlusion", clf, images, patch=3)
    assert "activation" not in record.arrays
    assert not {"layer", "feature_map", "unoccluded_activation"} & set(record.facts)
    figure = record.figure(1)
    assert [panel.get_title() for panel in figure.axes if panel.get_title()][-1] == "most probable class"
    figure.canvas.draw()


def panels(figure):
    figure.canvas.draw()
    return {panel.get_title(): panel for panel in figure.axes if panel.get_title()}


def test_the_picture_shows_the_maps_of_the_paper(lenet, digits):
    record = cx.explain("occlusion", lenet, digits, patch=8, stride=2)
    found = panels(record.figure(0))
    drop = record.facts["largest_drop"][0]
    logit = record.facts["unoccluded_logit"][0]
    worst = f"worst square: logit {logit:.3g} → {logit - drop:.3g}".replace("-", "−")
    watched = f"map {record.facts['feature_map'][0]} of relu2"
    assert list(found) == ["input", worst, "drop over input", "probability of 4", "most probable class", watched]
    shown = found["drop over input"].images[0]
    np.testing.assert_allclose(shown.get_array(), draw.overlay_rgb(record, 0, record.arrays["logit_drop"][0], signed=True))
    probability = found["probability of 4"].images[1]
    assert probability.get_clim() == (0, 1)
    # Places are half pixels: the first square's middle is at 4 pixels, place 8; the grid goes from 3 to 25 pixels.
    values = probability.get_array().filled(np.nan)
    np.testing.assert_array_equal(np.isnan(values[:, 20]), [*[True] * 6, *[False] * 44, *[True] * 6])
    np.testing.assert_array_equal(values[6:50:4, 6:50:4], record.arrays["probability"][0])
    names = [text.get_text() for text in found["most probable class"].get_legend().get_texts()]
    assert names == ["4", "9"]


def test_positions_are_drawn_at_the_nearest_center():
    """A 2×2 square on 5×3 pixels in steps of 2: middles at rows 1, 3 and 4, at columns 1 and 2."""
    grid = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    placed = _to_image(grid, [0, 2, 3], [0, 1], 2, 2, (5, 3))
    first, second, third = [1, 1, 1, 2, 2, 2], [3, 3, 3, 4, 4, 4], [5, 5, 5, 6, 6, 6]
    np.testing.assert_array_equal(placed, [first] * 4 + [second] * 3 + [third] * 3)


@pytest.mark.parametrize(("classes", "expected"), [(3, 3), (8, 8), (12, 9)])
def test_the_legend_names_frequent_classes(random, classes, expected):
    """A model that reads the class off the position of the only light pixel, so that each of its classes occurs."""
    inputs = keras.Input((4, 6, 1))
    model = keras.Sequential([inputs, keras.layers.Flatten(), keras.layers.Dense(1000)])
    kernel = np.zeros((24, 1000), np.float32)
    kernel[np.arange(24), 10 * (np.arange(24) % classes)] = 1
    model.set_weights([kernel, np.zeros(1000, np.float32)])
    clf = cx.load(model)
    clf.labels = tuple(f"_$kind$ {index}" for index in range(1000))
    record = cx.explain("occlusion", clf, np.zeros((1, 4, 6, 1)), target=5, fill="white", patch=1)
    panel = panels(record.figure(0))["most probable class"]
    texts = panel.get_legend().get_texts()
    assert not any(text.get_parse_math() for text in texts)
    names = [text.get_text() for text in texts]
    predicted = record.arrays["prediction"][0]
    values, counts = np.unique(predicted, return_counts=True)
    assert len(values) == classes
    assert len(names) == expected
    assert ("other" in names) == (classes > len(COLORS))
    most = values[counts == counts.max()]
    assert names[0] in [f"_$kind$ {value}" for value in most]
    ranks = panel.images[1].get_array()
    for place, value in np.ndenumerate(predicted):
        rank = int(ranks[2 * place[0], 2 * place[1]])
        assert names[rank] in (f"_$kind$ {value}", "other")


def test_totals_below_zero_are_drawn_as_signed(rescaling, random):
    clf = rescaling
    clf.model.layers[1].set_weights([np.full((3, 3, 3, 4), 0.1, np.float32), np.zeros(4, np.float32)])
    record = cx.explain("occlusion", clf, random.integers(0, 60, (1, 12, 10, 3), np.uint8), patch=5)
    assert record.arrays["activation"].max() < 0
    drawn = panels(record.figure(0))[f"map {record.facts['feature_map'][0]} of conv"].images[1]
    assert drawn.get_clim() == pytest.approx((record.arrays["activation"].min(), -record.arrays["activation"].min()))


@pytest.mark.parametrize("size", [(12, 10, 3), (30, 4, 1), (4, 30, 3)])
def test_constant_maps_and_long_images_are_drawn(size):
    model = keras.Sequential(
        [keras.Input(size), keras.layers.Conv2D(2, 3), keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")]
    )
    for weight in model.weights:
        weight.assign(np.zeros(weight.shape))
    record = cx.explain("occlusion", cx.load(model), np.zeros((1, *size)), patch=3)
    assert len(panels(record.figure(0))) == 6


def test_the_command_line_without_options(cli, tmp_path):
    code, out, err = cli("run", "occlusion")
    assert code == 0, err
    assert "not trained on images with such squares" in out
    result = json.loads((tmp_path / "cnnexplain-out/occlusion/result.json").read_text())
    arrays = np.load(tmp_path / "cnnexplain-out/occlusion/arrays.npz")
    assert arrays["logit"].shape == (1, 22, 22)
    assert set(arrays) == {"input", "occluded", "logit_drop", "probability_drop", *GRIDS}
    assert result["facts"]["patch"] == [7]
    assert result["options"] == {"patch": None, "stride": None, "fill": "gray", "compare": None, "layer": None}
    assert (tmp_path / "cnnexplain-out/occlusion/mnist-test-42.png").exists()


def test_the_command_line_takes_every_option(cli, tmp_path):
    words = ("--patch", 8, "--stride", 3, "--fill", "0.25", "--layer", "conv1", "--target", 9)
    code, _, err = cli("run", "occlusion", "mnist:test/42", *words)
    assert code == 0, err
    result = json.loads((tmp_path / "cnnexplain-out/occlusion/result.json").read_text())
    assert (result["facts"]["stride"], result["facts"]["layer"]) == ([3], ["conv1"])
    assert result["images"][0]["target"] == "9"
    code, _, err = cli("run", "occlusion", "--stride", 9)
    assert code == 2
    assert "uncovered" in err

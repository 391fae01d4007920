"""The cases with known relevant pixels: the masks hold by brute force, and the networks use what they should."""

import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain.evaluation.truth import catalog, digits, grid, tetrominoes, training
from cnnexplain.evaluation.truth.case import Limit, TruthError, accuracy, require
from cnnexplain.inputs.datasets import mnist

BY_HAND = ["linear", "rectified-sum", "maximum", "exclusive-or", "pooled-patterns", "ignored-half"]
EXACT = [*BY_HAND, "grid"]
COUNT = 6


@pytest.fixture(scope="module")
def cases():
    return {name: catalog.MAKERS[name].make(COUNT, 0) for name in EXACT}


def logits(case, images):
    """The logit of the target of each image."""
    return case.classifier.logits(images.astype(np.float32))[np.arange(len(images)), case.targets]


def others(case, random):
    """Other pixels; too dark for the other patch to be the larger one, and without a pattern."""
    low, high = {"maximum": (0, 0.3), "pooled-patterns": (0.3, 0.7)}.get(case.name, (0, 1))
    return random.uniform(low, high, case.images.shape)


@pytest.mark.backends
@pytest.mark.parametrize("name", EXACT)
def test_what_is_outside_the_mask_never_matters(cases, name, random):
    case = cases[name]
    before = logits(case, case.images)
    for _ in range(5):
        changed = np.where(case.masks[..., None], case.images, others(case, random))
        np.testing.assert_allclose(logits(case, changed), before, rtol=1e-6, atol=1e-6)


@pytest.mark.backends
@pytest.mark.parametrize("name", EXACT)
def test_what_is_inside_the_mask_matters(cases, name, random):
    case = cases[name]
    changed = np.where(case.masks[..., None], random.uniform(0, 1, case.images.shape), case.images)
    assert (np.abs(logits(case, changed) - logits(case, case.images)) > 1e-3).all()


@pytest.mark.parametrize("name", BY_HAND)
def test_each_pixel_alone(cases, name):
    """By brute force: changing a pixel changes the logit if and only if it is in the mask."""
    case = cases[name]
    for index in range(2):
        image, target = case.images[index], case.targets[index]
        pixels = np.eye(image.size).reshape(-1, *image.shape)
        darker = case.classifier.logits((image * (1 - 0.5 * pixels)).astype(np.float32))[:, target]
        before = case.classifier.logits(image[None])[0, target]
        np.testing.assert_array_equal(np.abs(darker - before) > 1e-5, case.masks[index].ravel())


@pytest.mark.backends
@pytest.mark.parametrize("name", EXACT)
def test_cases_have_the_declared_form(cases, name):
    case = cases[name]
    height, width, channels = case.classifier.preprocess.shape
    assert case.name == name == catalog.MAKERS[name].name
    assert case.right.endswith(".")
    assert (case.images.shape, case.images.dtype) == ((COUNT, height, width, channels), np.float32)
    assert (case.targets.shape, case.targets.dtype) == ((COUNT,), np.int64)
    assert (case.masks.shape, case.masks.dtype) == ((COUNT, height, width), bool)
    assert case.masks.any(axis=(1, 2)).all()
    assert case.images.min() >= case.classifier.preprocess.low
    assert case.images.max() <= case.classifier.preprocess.high


@pytest.mark.parametrize("name", BY_HAND)
def test_only_evidence_for_the_target_has_positive_gradients_only(cases, name):
    case = cases[name]
    negative = (case.classifier.gradient(case.images, case.targets) < 0).any()
    assert negative == (case.evidence == "both")


@pytest.mark.parametrize("name", BY_HAND)
def test_the_seed_determines_a_case(name):
    first, second, other = (catalog.MAKERS[name].make(COUNT, seed) for seed in (7, 7, 8))
    assert first.classifier.sha256 == second.classifier.sha256 != other.classifier.sha256
    for field in ("images", "targets", "masks"):
        np.testing.assert_array_equal(getattr(first, field), getattr(second, field))
    assert (first.images != other.images).any()


def test_the_signs_of_maps_count_only_where_they_should(cases):
    maps = np.array([[-1.0, 0.5]])
    np.testing.assert_array_equal(cases["linear"].relevance(maps), maps)
    np.testing.assert_array_equal(cases["exclusive-or"].relevance(maps), [[1, 0.5]])


@pytest.mark.backends
def test_each_cell_of_the_grid_has_the_logits_of_the_lenet(cases, lenet):
    case = cases["grid"]
    cells = case.images[case.masks].reshape(COUNT, 28, 28, 1)
    whole = case.classifier.logits(case.images).reshape(COUNT, grid.CELLS**2, 10)
    found = whole[np.arange(COUNT), case.targets // 10]
    np.testing.assert_allclose(found, lenet.logits(cells), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(found.argmax(axis=1), case.targets % 10)


def test_the_digits_of_a_grid_are_of_different_classes(cases, lenet):
    cells = cases["grid"].images.reshape(COUNT, 2, 28, 2, 28, 1).transpose(0, 1, 3, 2, 4, 5)
    classes = lenet.logits(cells.reshape(-1, 28, 28, 1)).argmax(axis=1).reshape(COUNT, 4)
    assert all(len(set(each)) == 4 for each in classes.tolist())


@pytest.mark.parametrize("scenario", tetrominoes.SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_tetromino_is_all_that_differs_from_the_noise(scenario, random):
    images, without, classes, masks = scenario.images(40, random)
    differs = (np.abs(images - without) > 1e-6)[..., 0]
    assert not (differs & ~masks).any()
    assert np.abs(images).max() == 1
    if scenario.kind in ("linear", "multiplicative"):
        # T or L, never both; each has four squares of 2×2 pixels.
        assert (differs.sum(axis=(1, 2)) == 16).all()
        assert (masks.sum(axis=(1, 2)) == 32).all()
        upper = differs[:, :8].any(axis=(1, 2))
        np.testing.assert_array_equal(upper, classes == 0)
    else:
        np.testing.assert_array_equal(differs, masks)


def test_a_multiplied_tetromino_is_not_brighter_on_average(random):
    scenario = next(each for each in tetrominoes.SCENARIOS if each.name == "tetrominoes-multiplicative-white")
    images, _, classes, _ = scenario.images(4000, random)
    values = images[:, 2:8, 2:4, 0]
    first, second = (values[classes == each] for each in (0, 1))
    assert abs(first.mean() - second.mean()) < 0.01
    assert first.std() < 0.7 * second.std()


def test_neither_tetromino_of_the_xor_tells_the_class_alone(random):
    scenario = next(each for each in tetrominoes.SCENARIOS if each.name == "tetrominoes-xor-white")
    images, without, classes, _ = scenario.images(4000, random)
    signs = np.sign((images - without)[..., 0])
    one, other = signs[:, 2, 2], signs[:, 8, 10]
    np.testing.assert_array_equal(one * other, np.where(classes == 0, 1, -1))
    assert abs(np.corrcoef(one, classes)[0, 1]) < 0.06
    assert abs(np.corrcoef(other, classes)[0, 1]) < 0.06


def test_rotated_tetrominoes_have_all_places_and_orientations(random):
    scenario = next(each for each in tetrominoes.SCENARIOS if each.name == "tetrominoes-rotation-white")
    _, _, classes, masks = scenario.images(4000, random)
    assert (masks.sum(axis=(1, 2)) == 16).all()
    assert masks.any(axis=0).all()
    for label in (0, 1):
        shapes = set()
        for mask in masks[classes == label]:
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            shapes.add(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].tobytes())
        assert len(shapes) == 4


@pytest.mark.parametrize("correlated", [False, True])
def test_only_correlated_noise_is_smooth(correlated, random):
    scenario = next(each for each in tetrominoes.SCENARIOS if each.kind == "xor" and each.correlated == correlated)
    _, without, _, _ = scenario.images(200, random)
    neighbors = np.corrcoef(without[:, :, 1:].ravel(), without[:, :, :-1].ravel())[0, 1]
    assert (neighbors > 0.8) == correlated
    assert correlated or abs(neighbors) < 0.05


def test_the_block_beside_a_digit_is_always_the_same(random):
    pixels = mnist("test")[0][:8, ..., None].astype(np.float32) / 255
    images, masks = digits.stacked(pixels, np.arange(8) % 2 == 0)
    np.testing.assert_array_equal(images[masks].reshape(8, 28, 28, 1), pixels)
    blocks = images[~masks].reshape(8, 28, 28)
    assert (blocks == blocks[0]).all()
    assert masks[0, :28].all()
    assert masks[1, 28:].all()


def test_the_mark_is_in_a_random_corner(random):
    masks = digits.corners(400, random)
    assert (masks.sum(axis=(1, 2)) == digits.MARK**2).all()
    corners = masks[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners.sum(axis=1) == 1).all()
    assert (corners.sum(axis=0) > 60).all()
    marked = digits.marked(np.zeros((400, 28, 28, 1), np.float32), masks, np.arange(400) % 4)
    np.testing.assert_array_equal(marked[masks].reshape(400, -1), np.repeat([1, 0.75, 0.5, 0.25] * 100, 16).reshape(400, -1))
    assert not marked[~masks].any()


@pytest.mark.backends
def test_a_network_that_has_not_learned_is_refused():
    with pytest.raises(
        TruthError, match=r"'tetrominoes-linear-white' does not hold: accuracy is .*, but should be at least 90%"
    ):
        tetrominoes.SCENARIOS[0].case(4, 0, training=64, epochs=1)


def test_a_network_that_needs_no_mark_is_refused():
    require("case", "accuracy", Limit(0.9, least=0.9))
    with pytest.raises(TruthError, match=r"'case' does not hold: accuracy without it is 70.0%, but should be at most 60%"):
        require("case", "accuracy without it", Limit(0.7, most=0.6))


@pytest.mark.backends
def test_training_is_deterministic(random):
    images, classes = random.uniform(0, 1, (200, 8, 8, 1)).astype(np.float32), np.arange(200) % 2
    weights = []
    for seed in (3, 3, 4):
        model = training.convolutional((8, 8, 1), 2, "small", seed)
        training.train(model, images, classes, 2, seed)
        weights.append(model.get_weights())
    for first, second in zip(*weights[:2], strict=True):
        np.testing.assert_array_equal(first, second)
    assert any((first != other).any() for first, other in zip(weights[0], weights[2], strict=True))


@pytest.mark.backends
def test_a_network_learns(random):
    """Whether the upper or the lower half is brighter."""
    classes = np.arange(600) % 2
    images = random.uniform(0, 0.5, (600, 8, 8, 1)).astype(np.float32)
    images[classes == 0, :4] += 0.2
    model = training.convolutional((8, 8, 1), 2, "small", 0)
    training.train(model, images, classes, 6, 0)
    classifier = cx.load(model, preprocess=cx.Preprocess(8, 8, "gray"))
    assert accuracy(classifier, images, classes) > 0.95


TRAINED = [name for name, maker in catalog.MAKERS.items() if maker.trained]
ON_ALL_BACKENDS = ["tetrominoes-rotation-white"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.backends if name in ON_ALL_BACKENDS else ()) for name in TRAINED]
)
def test_trained_cases(name):
    case = catalog.MAKERS[name].make(COUNT, 1)
    assert len(case.images) == len(case.targets) == len(case.masks) == COUNT
    assert case.figures["accuracy"] >= 0.9
    np.testing.assert_array_equal(case.classifier.logits(case.images).argmax(axis=1), case.targets)

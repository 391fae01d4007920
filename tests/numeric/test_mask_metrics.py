"""The metrics for masks against slow versions written from the papers."""

import math

import numpy as np
import pytest
from cnnexplain_plugins.metrics import pointing_game, relevance_mass, relevance_rank

MAPS = {
    "noise": lambda random: random.normal(size=(9, 12)),
    "ties": lambda random: random.integers(-1, 3, (9, 12)).astype(float),
    "constant": lambda _: np.full((9, 12), 0.5),
    "zero": lambda _: np.zeros((9, 12)),
    "negative": lambda random: -random.uniform(1, 2, (9, 12)),
    "huge": lambda random: 1e300 * random.uniform(0, 1, (9, 12)),
    "tiny": lambda random: 5e-324 * random.integers(0, 4, (9, 12)),
}


def hit(values, mask, tolerance):
    """The share of the maxima with a relevant pixel within the tolerance."""
    maxima = [(i, j) for i, j in np.ndindex(values.shape) if values[i, j] == values.max()]
    relevant = np.argwhere(mask)
    hits = [any(math.dist(place, other) <= tolerance for other in relevant) for place in maxima]
    return np.mean(hits)


def rank(values, mask, random):
    """The share of relevant pixels among the K highest, as the mean over random orders of equal pixels."""
    size, shares = mask.sum(), []
    for _ in range(4000):
        shuffled = random.permutation(values.size)
        highest = sorted(shuffled, key=lambda place: -values.flat[place])[:size]
        shares.append(sum(mask.flat[place] for place in highest) / size)
    return np.mean(shares)


def mass(values, mask):
    positive = [(float(value), inside) for value, inside in zip(values.flat, mask.flat, strict=True) if value > 0]
    largest = max((value for value, _ in positive), default=1)
    total = math.fsum(value / largest for value, _ in positive)
    return math.fsum(value / largest for value, inside in positive if inside) / total if total else 0


@pytest.fixture
def mask(random):
    return random.uniform(size=(9, 12)) < 0.2


@pytest.fixture
def maps(random):
    return np.stack([make(random) for make in MAPS.values()])


@pytest.mark.parametrize("tolerance", [0, 1, 3])
def test_pointing_game(maps, mask, tolerance):
    found = pointing_game.run(maps, mask, tolerance=tolerance)["hit"]
    np.testing.assert_allclose(found, [hit(each, mask, tolerance) for each in maps], rtol=1e-12)


@pytest.mark.parametrize(("shape", "tolerance"), [((16, 16), 0), ((28, 28), 1), ((300, 500), 15)])
def test_the_tolerance_is_3_percent_of_the_longer_side(shape, tolerance):
    values, mask = np.zeros((1, *shape)), np.zeros(shape, bool)
    values[0, 0, 0], mask[0, tolerance] = 1, True
    assert pointing_game.run(values, mask)["hit"] == [1]
    mask[0, tolerance], mask[0, tolerance + 1] = False, True
    assert pointing_game.run(values, mask)["hit"] == [0]


def test_relevance_rank(maps, mask, random):
    found = relevance_rank.run(maps, mask)["accuracy"]
    exact = [name not in ("ties", "constant", "zero", "tiny") for name in MAPS]
    expected = np.array([rank(each, mask, random) for each in maps])
    np.testing.assert_allclose(found[exact], expected[exact], rtol=1e-12)
    np.testing.assert_allclose(found, expected, atol=0.01)
    # Any order of equal pixels hits by chance.
    assert found[[*MAPS].index("constant")] == pytest.approx(mask.mean(), rel=1e-12)


def test_relevance_mass(maps, mask):
    found = relevance_mass.run(maps, mask)["accuracy"]
    np.testing.assert_allclose(found, [mass(each, mask) for each in maps], rtol=1e-12)
    assert found[[*MAPS].index("negative")] == 0


@pytest.mark.parametrize("metric", [pointing_game, relevance_rank, relevance_mass])
def test_a_map_of_the_mask_is_perfect_and_its_opposite_is_not(metric, mask):
    (right, wrong) = next(iter(metric.run(np.stack([mask, ~mask]).astype(float), mask, **_exact(metric)).values()))
    assert right == 1
    assert wrong == 0


@pytest.mark.parametrize("metric", [pointing_game, relevance_rank, relevance_mass])
def test_no_relevant_pixel_is_undefined(metric, maps):
    (scores,) = metric.run(maps, np.zeros((9, 12), bool)).values()
    assert np.isnan(scores).all()


def _exact(metric):
    return {"tolerance": 0} if metric is pointing_game else {}

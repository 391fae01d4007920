"""The optimization loop on functions whose minimum is known."""

import numpy as np
import pytest

from cnnexplain.errors import ModelError
from cnnexplain.optimize import adam, minimize, momentum, nadam


def bowl(centers):
    """½ ‖x − c‖² for each x, which is smallest at its own c."""
    return lambda x, _: (((x - centers) ** 2).sum(axis=1) / 2, x - centers)


def test_each_problem_finds_its_minimum():
    centers = np.array([[1.0, -2.0], [0.5, 3.0]])
    rate = lambda number: 0.1 * 0.99**number  # noqa: E731
    for step in (adam(rate), nadam(rate), momentum(lambda _: 0.1, 0.5)):
        found = minimize(bowl(centers), np.zeros((2, 2)), step, 600)
        np.testing.assert_allclose(found.variables, centers, atol=1e-3)
        assert found.values.shape == (601, 2)
        np.testing.assert_allclose(found.values[0], [2.5, 4.625])
        assert found.stopped == (None, None)


def test_first_step_of_adam():
    found = minimize(bowl(np.array([[100.0, -0.001]])), np.zeros((1, 2)), adam(lambda _: 0.25), 1)
    np.testing.assert_allclose(found.variables, [[0.25, -0.25]], rtol=1e-4)


def test_nadam_equals_hand_computation():
    """Gradient 1 throughout: both moments are exact, so that a step is 0.9 m̂ + 0.1 / (1 − 0.9^t) with m̂ of the next step."""
    slope = lambda x, _: (x.sum(axis=1), np.ones_like(x))  # noqa: E731
    found = minimize(slope, np.zeros((1, 1)), nadam(lambda _: 1.0), 2)
    first = 0.9 * 0.1 / (1 - 0.9**2) + 0.1 / 0.1
    second = 0.9 * 0.19 / (1 - 0.9**3) + 0.1 / 0.19
    np.testing.assert_allclose(found.values[:, 0], [0, -first, -first - second], rtol=1e-5)


def test_momentum_is_reset_when_the_rate_changes():
    """With gradient 1 throughout: v = −0.1; −0.05 − 0.1; the rate changes, −0.01; −0.005 − 0.01."""
    slope = lambda x, _: (x.sum(axis=1), np.ones_like(x))  # noqa: E731
    rate = lambda number: 0.1 if number < 2 else 0.01  # noqa: E731
    found = minimize(slope, np.zeros((1, 1)), momentum(rate, 0.5), 4)
    np.testing.assert_allclose(found.values[:, 0], [0, -0.1, -0.25, -0.26, -0.275], rtol=1e-5)


def test_non_finite_values_stop_only_their_problem():
    def cliff(x, number):
        values = -x[:, 0]
        values[1] = np.nan if x[1, 0] > 0.35 else values[1]
        return values, -np.ones_like(x)

    found = minimize(cliff, np.zeros((2, 1)), momentum(lambda _: 0.1, 0.0), 10)
    np.testing.assert_allclose(found.variables, [[1.0], [0.3]], rtol=1e-5)
    assert found.stopped == (None, "at step 4 the value was not finite (NaN or infinity)")
    assert np.isfinite(found.values).all()
    np.testing.assert_allclose(found.values[4:, 1], -0.3, rtol=1e-5)


def test_non_finite_gradients_are_reported():
    def cliff(x, number):
        return x[:, 0], np.full_like(x, np.inf if number == 2 else 1)

    found = minimize(cliff, np.ones((1, 1)), momentum(lambda _: 0.1, 0.0), 10)
    assert found.stopped == ("at step 2 the gradient was not finite (NaN or infinity)",)
    np.testing.assert_allclose(found.variables, [[0.9]])
    started = minimize(
        lambda x, _: (np.where(x[:, 0] > 1, np.nan, 1.0), x), np.array([[1.0], [2.0]]), adam(lambda _: 1.0), 1
    )
    assert np.isnan(started.values[:, 1]).all()
    assert started.variables[1] == 2
    with pytest.raises(ModelError, match="can't start: at step 0 the value was not finite"):
        minimize(lambda x, _: (np.full(1, np.nan), x), np.ones((1, 1)), adam(lambda _: 1.0), 3)


def test_the_best_step_is_kept_on_request():
    values = [5.0, 1.0, 3.0, 4.0]
    climb = lambda x, number: (np.array([values[number]]), -np.ones_like(x))  # noqa: E731
    step = momentum(lambda _: 1.0, 0.0)
    assert minimize(climb, np.zeros((1, 1)), step, 3, best=True).variables == [[1.0]]
    assert minimize(climb, np.zeros((1, 1)), step, 3).variables == [[3.0]]


def test_the_loop_stops_without_improvement():
    flat = lambda x, number: (np.full(len(x), max(-3.0, -float(number))), np.zeros_like(x))  # noqa: E731
    found = minimize(flat, np.zeros((2, 1)), adam(lambda _: 0.1), 100, patience=7)
    # The last fall is at step 3.
    assert len(found.values) == 3 + 7 + 1


def test_callback_after_each_step_and_progress():
    seen = []
    found = minimize(
        bowl(np.array([[5.0]])),
        np.zeros((1, 1)),
        momentum(lambda _: 0.5, 0.0),
        25,
        keep=lambda x, _: np.clip(x, 0, 2),
        progress=lambda *done: seen.append(done),
    )
    assert found.variables == [[2.0]]
    assert seen == [(10, 25), (20, 25), (25, 25)]


@pytest.mark.parametrize("ends", [{4}, {2, 4}])
def test_the_loop_stops_if_no_problem_goes_on(ends):
    flags = {2: np.array([True, False]), 4: np.zeros(2, bool)}
    function, step = bowl(np.array([[3.0]])), momentum(lambda _: 0.1, 0.0)
    found = minimize(function, np.zeros((2, 1)), step, 9, select=lambda number, _: flags[number] if number in ends else None)
    first, second = (minimize(function, np.zeros((2, 1)), step, number) for number in (4, min(ends)))
    np.testing.assert_allclose(found.variables, [first.variables[0], second.variables[1]], rtol=1e-6)
    np.testing.assert_allclose(found.values[:, 0], first.values[:, 0], rtol=1e-6)
    assert found.values.shape == (5, 2)
    assert found.stopped == (None, None)

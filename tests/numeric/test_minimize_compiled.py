"""The optimization loop in a compiled function, against the loop over NumPy arrays."""

from dataclasses import dataclass

import keras
import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain import backend
from cnnexplain.errors import ModelError, UsageError
from cnnexplain.optimize import adam, compiled, minimize, minimize_compiled, momentum, nadam, normalized

pytestmark = pytest.mark.unaided

ops = keras.ops
backends = pytest.mark.backends


@pytest.fixture(scope="module")
def clf():
    random = np.random.default_rng(3)
    layers = [
        keras.layers.Conv2D(3, 3, activation="tanh", name="conv"),
        keras.layers.Conv2D(2, 3, activation="tanh", name="second"),
        keras.layers.Flatten(),
        keras.layers.Dense(4),
    ]
    model = keras.Sequential([keras.Input((7, 6, 1)), *layers])
    model.set_weights([random.normal(0, 0.4, each.shape) for each in model.get_weights()])
    return cx.load(model)


def shifted_distance(outputs, x, code, shift):
    """`distance` of x + shift."""
    return distance(outputs(x + shift), x, code)


def distance_without_shift(outputs, x, code):
    return distance(outputs(x), x, code)


def distance(outputs, x, code, *_):
    """‖Φ − Φ0‖² + 0.1 ‖x‖²."""
    (output,) = outputs.values()
    return ops.sum((output - code) ** 2, axis=(1, 2, 3)) + 0.1 * ops.sum(x**2, axis=(1, 2, 3))


def shifted(x, code, shift):
    return x + shift


def within(x, *_):
    return ops.clip(x, -0.9, 0.9)


def both(clf, random, step, *, steps=45, best=False, layer="conv", shapes=(5, 4, 3), count=3, scale=1.0):
    """The results of the compiled loop and of the other one."""
    codes = scale * random.normal(size=(count, *shapes)).astype(np.float32)
    start = random.normal(size=(count, 7, 6, 1)).astype(np.float32)
    shifts = random.uniform(-0.1, 0.1, (steps + 1, 1, 1, 1)).astype(np.float32)
    options = {"arrays": [codes], "schedule": [shifts], "keep": within, "best": best}
    found = minimize_compiled(clf, shifted_distance, [layer], start, step, steps, **options)
    function = clf.differentiable(distance, [layer], [shapes, (1, 1, 1)], shifted)

    def loss(x, number):
        return function(x, codes, np.tile(shifts[number], (count, 1, 1, 1)))

    return found, minimize(loss, start, step, steps, keep=lambda x, _: np.clip(x, -0.9, 0.9), best=best)


def assert_equal(found, expected):
    assert found.values.shape == expected.values.shape
    assert found.stopped == expected.stopped
    np.testing.assert_allclose(found.values, expected.values, rtol=2e-4, atol=1e-5)
    np.testing.assert_allclose(found.variables, expected.variables, rtol=1e-3, atol=1e-3)


STEPS = [
    adam(lambda number: 0.05 / (1 + number)),
    nadam(lambda number: 0.02),
    momentum(lambda number: 0.01 if number < 20 else 0.001, 0.7),
    normalized(adam(lambda _: 0.03, epsilon=0.1)),
    # The last step goes too far.
    adam(lambda number: 0.02 if number < 44 else 0.5),
]


@pytest.mark.parametrize(
    ("step", "best"),
    [
        *(pytest.param(step, step is STEPS[-1], marks=backends) for step in STEPS),
        *((step, step is not STEPS[-1]) for step in STEPS),
    ],
)
def test_equals_the_loop_over_arrays(clf, random, step, best):
    assert_equal(*both(clf, random, step, best=best))


@backends
def test_batches_do_not_change_the_result(clf, random, monkeypatch):
    monkeypatch.setattr(clf, "batch_size", 2)
    assert_equal(*both(clf, random, adam(lambda _: 0.02), steps=5, count=5))


@backends
@pytest.mark.parametrize("best", [False, True])
def test_the_problems_that_go_on_are_selected_as_in_the_loop_over_arrays(clf, random, best):
    codes = random.normal(size=(4, 5, 4, 3)).astype(np.float32)
    start = random.normal(size=(4, 7, 6, 1)).astype(np.float32)
    flags = {3: np.array([True, False, True, True]), 7: np.array([True, False, False, True])}
    function = clf.differentiable(distance, ["conv"], [codes.shape[1:]])
    lengths, seen = [], ([], [])

    def select(number, values, log):
        log.append(np.stack(values))
        return flags.get(number)

    def loss(x, number):
        on = flags[7] if number > 7 else flags[3] if number > 3 else slice(None)
        lengths.append(len(x))
        return function(x, codes[on])

    def chosen(log):
        return lambda number, values: select(number, values, log) if number in (3, 5, 7) else None

    expected = minimize(loss, start, adam(lambda _: 0.02), 12, best=best, select=chosen(seen[0]))
    options = {"arrays": [codes], "best": best, "select": chosen(seen[1]), "checks": (3, 5, 7)}
    assert_equal(
        minimize_compiled(clf, distance_without_shift, ["conv"], start, adam(lambda _: 0.02), 12, **options), expected
    )
    assert lengths == 4 * [4] + 4 * [3] + 5 * [2]
    for one, other in zip(*seen, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=1e-5)
    nothing = {**options, "select": lambda *_: np.zeros(4, bool)}
    ended = minimize_compiled(clf, distance_without_shift, ["conv"], start, adam(lambda _: 0.02), 12, **nothing)
    assert ended.values.shape == (4, 4)
    np.testing.assert_allclose(ended.values, expected.values[:4], rtol=2e-4, atol=1e-5)


@backends
@pytest.mark.parametrize("best", [False, True])
def test_problems_that_are_computed_together_do_not_affect_each_other(clf, random, best):
    """Three problems in each of two items, with rates of their own, equal the same problems by themselves."""
    codes = random.normal(size=(2, 3, 5, 4, 3)).astype(np.float32)
    start = random.normal(size=(2, 3, 7, 6, 1)).astype(np.float32)
    rates = np.array([0.01, 0.02, 0.5])

    def joint(outputs, x, code):
        maps = ops.reshape(outputs(ops.reshape(x, (-1, 7, 6, 1)))["conv"], (-1, 3, 5, 4, 3))
        return ops.sum((maps - code) ** 2, axis=(2, 3, 4)) + 0.1 * ops.sum(x**2, axis=(2, 3, 4))

    step = adam(lambda _: rates.reshape(3, 1, 1, 1))
    found = minimize_compiled(clf, joint, ["conv"], start, step, 20, arrays=[codes], together=3, views=3, best=best)
    assert found.values.shape == (21, 2, 3)
    assert found.stopped == (None,) * 6
    for place, rate in enumerate(rates):
        options = {"arrays": [codes[:, place]], "best": best}
        step = adam(lambda _, rate=rate: rate)
        alone = minimize_compiled(clf, distance_without_shift, ["conv"], start[:, place], step, 20, **options)
        np.testing.assert_allclose(found.values[:, :, place], alone.values, rtol=2e-4, atol=1e-5)
        np.testing.assert_allclose(found.variables[:, place], alone.variables, rtol=1e-3, atol=1e-3)


def test_of_problems_that_are_computed_together_each_ends_by_itself(clf):
    start = np.zeros((2, 2, 7, 6, 1), np.float32)
    start[:] = np.array([[0.65, -5.0], [-6.0, -7.0]])[..., None, None, None]

    def cliffs(outputs, x):
        total = ops.sum(x, axis=(2, 3, 4))
        return ops.log(1 - total / 42) - total

    found = minimize_compiled(clf, cliffs, ["conv"], start, adam(lambda _: 0.1), 20, together=2)
    assert found.stopped == ("at step 4 the value was not finite (NaN or infinity)", None, None, None)
    np.testing.assert_allclose(found.variables[..., 0, 0, 0], [[0.95, -3], [-4, -5]], atol=0.05)
    # The second problem of each item can't start.
    start[:, 1] += 10
    with pytest.raises(ModelError, match="can't start: at step 0 the value was not finite"):
        minimize_compiled(clf, cliffs, ["conv"], start, adam(lambda _: 0.1), 3, together=2)


def counted(monkeypatch):
    """The functions that are compiled from now on."""
    functions = []
    current = backend.current()
    before = current.compiled
    monkeypatch.setattr(current, "compiled", lambda *each: functions.append(each[0]) or before(*each))
    return functions


def test_one_function_is_compiled_for_all_settings(clf, random, monkeypatch):
    start = random.normal(size=(3, 7, 6, 1)).astype(np.float32)
    codes = random.normal(size=(3, 3, 2, 2)).astype(np.float32)
    functions = counted(monkeypatch)
    for count, steps, rate in [(3, 4, 0.1), (1, 90, 0.2), (2, 7, 0.3)]:
        minimize_compiled(
            clf,
            distance_without_shift,
            ["second"],
            start[:count],
            adam(lambda _, rate=rate: rate),
            steps,
            arrays=[codes[:count]],
        )
    assert len(functions) == 1
    minimize_compiled(clf, distance_without_shift, ["second"], start, nadam(lambda _: 0.1), 2, arrays=[codes])
    assert len(functions) == 2


@dataclass(frozen=True)
class Cliff:
    """The sum of x, whose value or gradient is not finite above 1."""

    gradient: bool

    def __call__(self, outputs, x, *_):
        total = ops.sum(x, axis=(1, 2, 3))
        if not self.gradient:
            return ops.log(1 - total / 42) - total
        steep = backend.current().with_pullback(lambda x: x + 0, lambda x, slope: ops.where(x > 1, float("inf"), slope))
        return -ops.sum(steep(x), axis=(1, 2, 3))


@backends
@pytest.mark.parametrize("gradient", [False, True])
def test_non_finite_values_end_only_their_problem(clf, gradient):
    """Each x rises by 0.1 in a step; the first one starts at 0.65, and its end is not finite."""
    start = np.stack([np.full((7, 6, 1), each, np.float32) for each in (0.65, -5.0, -6.0)])
    found = minimize_compiled(clf, Cliff(gradient), ["conv"], start, adam(lambda _: 0.1), 40)
    what = "gradient" if gradient else "value"
    assert found.stopped == (f"at step 4 the {what} was not finite (NaN or infinity)", None, None)
    np.testing.assert_allclose(found.variables[0], 0.95, atol=1e-3)
    np.testing.assert_allclose(found.variables[1:, 0, 0, 0], [-1, -2], atol=0.05)
    assert found.values.shape == (41, 3)
    np.testing.assert_array_equal(found.values[4:, 0], found.values[3, 0])
    assert np.isfinite(found.values).all()
    # If all problems have ended, so has the loop.
    alone = minimize_compiled(clf, Cliff(gradient), ["conv"], start[:1], adam(lambda _: 0.1), 40)
    assert alone.values.shape == (5, 1)
    some = np.stack([start[1], start[0] + 1])
    started = minimize_compiled(clf, Cliff(gradient=False), ["conv"], some, adam(lambda _: 0.1), 3)
    assert np.isnan(started.values[:, 1]).all()
    np.testing.assert_array_equal(started.variables[1], some[1])
    with pytest.raises(ModelError, match="can't start: at step 0 the value was not finite"):
        minimize_compiled(clf, Cliff(gradient=False), ["conv"], some[1:], adam(lambda _: 0.1), 3)


def plateau(outputs, x, *_):
    """Falls with x up to 0.5, and is constant beyond."""
    return -ops.sum(ops.minimum(x, 0.5), axis=(1, 2, 3))


def test_a_zero_gradient_ends_its_problem(clf):
    start = np.stack([np.full((7, 6, 1), each, np.float32) for each in (0.25, -2.0)])
    options = {"start": start, "optimizer": adam(lambda _: 0.1), "steps": 8}
    found = minimize_compiled(clf, plateau, ["conv"], **options, needed=9)
    assert found.stopped == ("at step 3 the gradient was zero", None)
    assert minimize_compiled(clf, plateau, ["conv"], **options, needed=3).stopped == (None, None)


def test_interruption_and_progress(clf, random, monkeypatch):
    start = random.normal(size=(1, 7, 6, 1)).astype(np.float32)
    options = {"start": start, "optimizer": adam(lambda _: 0.1), "steps": 100}
    seen = []
    minimize_compiled(clf, plateau, ["conv"], **options, progress=lambda *done: seen.append(done))
    assert seen[-1] == (100, 100)
    assert seen == sorted(set(seen))
    # If every call takes longer than it should, there is one step in each; the first one also compiles.
    monkeypatch.setattr(compiled, "SECONDS", 0)
    seen.clear()

    def interrupt(*done):
        seen.append(done)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        minimize_compiled(clf, plateau, ["conv"], **options, progress=interrupt)
    assert seen == [(2, 100), (3, 100), (4, 100)]


def test_errors(clf):
    start = np.zeros((1, 7, 6, 1), np.float32)
    with pytest.raises(UsageError, match="no layer 'cnv'"):
        minimize_compiled(clf, plateau, ["cnv"], start, adam(lambda _: 0.1), 3)
    with pytest.raises(ModelError, match="do not depend on its input"):
        minimize_compiled(
            clf, lambda outputs, x: ops.sum(0 * start, axis=(1, 2, 3)), ["conv"], start, adam(lambda _: 0.1), 3
        )

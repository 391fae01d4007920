"""Training on every backend, and its images: their order by the seed, their deformations against loops over pixels."""

import gc
import math
import signal
import sys
import threading
import time

import numpy as np
import pytest

from cnnexplain import backend
from cnnexplain.inputs import datasets
from cnnexplain.model.lenet import restore
from cnnexplain.training import augmentation
from cnnexplain.training.augmentation import augmented, prefetch, resample, sampling_grids
from cnnexplain.training.lenet import train


@pytest.fixture
def digits():
    images, digits = datasets.mnist("train")
    return images[:30], digits[:30].astype(np.int64)


def resampled_by_loops(image, places):
    """Each pixel is read between four pixels of the image; those outside it are black."""
    padded = np.pad(image.astype(float), 30)
    result = np.empty((28, 28))
    for y in range(28):
        for x in range(28):
            top, left = (math.floor(place) for place in places[:, y, x])
            below, right = places[:, y, x] - (top, left)
            corners = padded[top + 30 : top + 32, left + 30 : left + 32]
            result[y, x] = [1 - below, below] @ corners @ [1 - right, right]
    return result


def test_images_are_resampled_as_by_a_loop_over_the_pixels(digits):
    # Without a black border, so that it matters what lies outside the image.
    images = np.maximum(digits[0][:2], 40)
    places = np.indices((28, 28)) + np.random.default_rng(0).uniform(-4, 4, (2, 28, 28))
    places[:, 0, :5] = [[-1, -25, 3, 27, 28], [0, 2, 56, 27, 27.5]]
    expected = [resampled_by_loops(image, places) for image in images]
    np.testing.assert_allclose(resample(images, places), expected, atol=1e-3)


def test_shifts_rotations_and_zooms_are_as_large_as_stated(monkeypatch):
    monkeypatch.setattr(augmentation, "ELASTIC", 0)
    places = sampling_grids(500, np.random.default_rng(0))
    assert places.shape == (500, 2, 28, 28)
    shift = places[:, :, 13:15, 13:15].mean(axis=(2, 3)) - 13.5
    assert 0.98 < np.abs(shift).max() <= augmentation.SHIFT
    down = places[:, :, 1, 0] - places[:, :, 0, 0]
    across = places[:, :, 0, 1] - places[:, :, 0, 0]
    zoom = np.hypot(*down.T)
    np.testing.assert_allclose(np.hypot(*across.T), zoom)
    np.testing.assert_allclose((down * across).sum(axis=1), 0, atol=1e-9)
    assert 0.1 - 2e-3 < np.abs(zoom - 1).max() <= augmentation.ZOOM + 1e-9
    angle = np.rad2deg(np.arctan2(across[:, 0], across[:, 1]))
    assert 6.9 < np.abs(angle).max() <= augmentation.ROTATION + 1e-9


def test_elastic_displacements_are_smooth_and_as_large_as_stated(monkeypatch):
    for name in ("SHIFT", "ROTATION", "ZOOM"):
        monkeypatch.setattr(augmentation, name, 0)
    moved = sampling_grids(1000, np.random.default_rng(0)) - np.indices((28, 28))
    # Everywhere, also in the corners.
    np.testing.assert_allclose(moved.std(axis=0), augmentation.ELASTIC, rtol=0.1)
    # White noise after a Gaussian filter of width w has the correlation exp(-d² / 4w²) at the distance d.
    for distance in (2, 4, 8):
        correlation = (moved[..., distance:] * moved[..., :-distance]).mean() / moved.var()
        assert correlation == pytest.approx(math.exp(-((distance / 4) ** 2) / 4), abs=0.03)


@pytest.mark.backends
def test_every_backend_has_the_same_order_and_deformations(digits, monkeypatch):
    monkeypatch.setattr(augmentation, "DEFORMATIONS", 7)
    images, classes = digits
    deformed, shuffled = augmented(images, classes, 3, 1)
    random = np.random.default_rng([3, 1])
    order = random.permutation(30)
    assert order[:6].tolist() == [11, 2, 23, 13, 10, 14]
    np.testing.assert_array_equal(shuffled, classes[order])
    places = sampling_grids(7, random)
    expected = [resampled_by_loops(images[image], places[place % 7]) / 255 for place, image in enumerate(order)]
    assert deformed.dtype == np.float32
    np.testing.assert_allclose(deformed[..., 0], expected, atol=1e-5)


def test_each_epoch_and_seed_has_its_own_order_and_deformations(digits):
    images, classes = np.repeat(digits[0][:1], 30, axis=0), np.arange(30)
    found = [augmented(images, classes, seed, epoch) for seed, epoch in ((3, 1), (3, 1), (3, 2), (4, 1))]
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])
    for other in found[2:]:
        assert (other[1] != found[0][1]).any()
        assert np.abs(other[0] - found[0][0]).max() > 0.5


def test_the_next_one_is_made_while_the_caller_uses_the_previous_one():
    made = [threading.Event() for _ in range(3)]

    def make(number):
        made[number].set()
        return number, threading.get_ident()

    with prefetch(make, 3) as items:
        for number, thread in items:
            assert thread != threading.get_ident()
            assert made[min(number + 1, 2)].wait(60)
            assert not any(each.is_set() for each in made[number + 2 :])


@pytest.mark.parametrize("again", [False, True])
def test_interrupting_leaves_no_thread_and_no_message(again, monkeypatch, interruptible):
    """Also by Ctrl-C a second time, while the thread ends."""
    messages, first = [], threading.Event()
    monkeypatch.setattr(sys, "unraisablehook", messages.append)
    before = set(threading.enumerate())

    def make(number):
        if number and first.wait(60) and again:
            time.sleep(0.1)
            signal.raise_signal(signal.SIGINT)
        return number

    def interrupted():
        with prefetch(make, 3) as items:
            for _ in items:
                first.set()
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    for thread in set(threading.enumerate()) - before if again else ():
        thread.join(60)
    gc.collect()
    assert set(threading.enumerate()) == before
    assert not messages


def test_an_error_of_the_other_thread_reaches_the_caller():
    with pytest.raises(ZeroDivisionError), prefetch(lambda number: 1 / (1 - number), 3) as items:
        list(items)


@pytest.mark.backends
def test_a_training_learns_and_writes_the_best_model(tmp_path):
    images, classes = datasets.mnist("train")
    seen = []
    training = train(
        tmp_path / "m.keras", epochs=4, batch_size=60, progress=seen.append, images=images[:600], digits=classes[:600]
    )
    steps = backend.current().STEPS
    # Of the last step, there is a second report, with the validation.
    assert [now.step for now in seen if now.epoch == 2] == [*range(steps, 9, steps), 9, 9]
    assert training.accuracy > 0.5
    probabilities = restore(tmp_path / "m.keras").predict(images[540:600, ..., None] / np.float32(255), verbose=0)
    assert -np.log(probabilities[np.arange(60), classes[540:600]]).mean() == pytest.approx(training.loss, rel=1e-3)

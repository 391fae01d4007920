"""Training on every backend: order and moves of the images by the seed, the moves against a loop over the pixels."""

import math
import threading

import keras
import numpy as np
import pytest

from cnnexplain import backend
from cnnexplain.inputs import datasets
from cnnexplain.model.lenet import restore
from cnnexplain.training import augmentation
from cnnexplain.training.augmentation import affine, ahead, augmented
from cnnexplain.training.lenet import train


@pytest.fixture
def digits():
    images, digits = datasets.mnist("train")
    return images[:30], digits[:30].astype(np.int64)


def moved_by_loops(image, row):
    """Each pixel is read between four pixels of the image; those outside it are black."""
    a0, a1, a2, b0, b1, b2, *_ = row.astype(float)
    padded = np.pad(image, 30)
    result = np.empty((28, 28))
    for y in range(28):
        for x in range(28):
            across, down = a0 * x + a1 * y + a2, b0 * x + b1 * y + b2
            left, top = math.floor(across), math.floor(down)
            right, below = across - left, down - top
            corners = padded[top + 30 : top + 32, left + 30 : left + 32]
            result[y, x] = [1 - below, below] @ corners @ [1 - right, right]
    return result


def test_moves_are_as_large_as_stated():
    rows = affine(500, np.random.default_rng(0))
    assert rows.shape == (500, 8)
    # The middle of the image, read at most 1.5 pixels from where it was.
    middle = rows[:, [2, 5]] + rows[:, [0, 3]] * 13.5 + rows[:, [1, 4]] * 13.5 - 13.5
    assert np.abs(middle).max() <= 1.5 + 1e-4
    assert np.abs(middle).max() > 1.3
    area = rows[:, 0] * rows[:, 4] - rows[:, 1] * rows[:, 3]
    assert 0.81 <= area.min() < 0.85
    assert 1.15 < area.max() <= 1.2101
    image = np.zeros((1, 28, 28, 1), np.float32)
    image[0, 10, 12] = 1
    right_by_one = np.array([[1, 0, 1, 0, 1, 0, 0, 0]], np.float32)
    moved = np.asarray(keras.ops.image.affine_transform(image, right_by_one, data_format="channels_last"))
    assert moved[0, 10, 11, 0] == 1


@pytest.mark.backends
def test_every_backend_has_the_same_order_and_moves(digits, monkeypatch):
    monkeypatch.setattr(augmentation, "PART", 20)
    images, classes = digits
    moved, shuffled = augmented(images, classes, 3, 1)
    random = np.random.default_rng([3, 1])
    order = random.permutation(30)
    assert order[:6].tolist() == [11, 2, 23, 13, 10, 14]
    np.testing.assert_array_equal(shuffled, classes[order])
    expected = [moved_by_loops(images[i] / 255, row) for i, row in zip(order, affine(30, random), strict=True)]
    assert moved.dtype == np.float32
    np.testing.assert_allclose(moved[..., 0], expected, atol=1e-4)


def test_each_epoch_and_seed_has_its_own_order_and_moves(digits):
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

    for number, thread in ahead(make, 3):
        assert thread != threading.get_ident()
        assert made[min(number + 1, 2)].wait(60)
        assert not any(each.is_set() for each in made[number + 2 :])


def test_an_error_of_the_other_thread_reaches_the_caller():
    with pytest.raises(ZeroDivisionError):
        list(ahead(lambda number: 1 / (1 - number), 3))


@pytest.mark.backends
def test_a_training_learns_and_writes_the_best_model(tmp_path):
    images, classes = datasets.mnist("train")
    seen = []
    training = train(
        tmp_path / "m.keras", epochs=3, batch_size=50, progress=seen.append, images=images[:600], digits=classes[:600]
    )
    steps = backend.current().STEPS
    # Of the last step, there is a second report, with the validation.
    assert [now.step for now in seen if now.epoch == 2] == [*range(steps, 11, steps), 11, 11]
    assert training.accuracy > 0.5
    probabilities = restore(tmp_path / "m.keras").predict(images[540:600, ..., None] / np.float32(255), verbose=0)
    assert -np.log(probabilities[np.arange(60), classes[540:600]]).mean() == pytest.approx(training.loss, rel=1e-3)

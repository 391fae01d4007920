"""Numerical helpers for authors of plugins: the loop over copies × images, peaks, ten crops."""

import numpy as np
import pytest

from cnnexplain.numerics import batches, bilinear, blurred, channel_maxima, peaks, ten_crops


class Few:
    """Stands for a classifier that takes five images at once."""

    def slices(self, count):
        return (slice(start, min(start + 5, count)) for start in range(0, count, 5))


def test_every_copy_is_yielded_once_with_progress():
    done, pairs = [], []
    for batch in batches(Few(), 4, 3, lambda *told: done.append(told)):
        assert len(batch.copy) == len(batch.image) == batch.rows.stop - batch.rows.start <= 5
        pairs += zip(batch.copy.tolist(), batch.image.tolist(), strict=True)
    assert pairs == [(copy, image) for copy in range(4) for image in range(3)]
    assert done == [(5, 12), (10, 12), (12, 12)]


def test_sums_over_the_copies_of_each_image():
    values, weights = np.arange(12, dtype=np.float32).reshape(4, 3), np.array([1.0, 2.0, 0.0, -1.0])
    plain, weighted = np.zeros(3), np.zeros(3)
    for batch in batches(Few(), 4, 3):
        here = values[batch.copy, batch.image]
        plain += batch.sum(here)
        weighted += batch.sum(here, weights[batch.copy])
    np.testing.assert_array_equal(plain, values.sum(axis=0))
    np.testing.assert_array_equal(weighted, weights @ values)
    first = next(batches(Few(), 1, 7))
    np.testing.assert_array_equal(first.sum(np.ones((5, 2))), [[1, 1]] * 5 + [[0, 0]] * 2)


def test_the_first_of_several_maxima_is_the_peak():
    maps = np.array([[[0, 3, 1], [3, 0, 0]], [[0, 0, 0], [0, 0, 2]]])
    assert peaks(maps) == [[0, 1], [1, 2]]


@pytest.mark.parametrize("channels", [1, 3, 12])
def test_the_maximum_over_the_channels_is_that_of_the_magnitudes(channels):
    gradients = np.random.default_rng(0).standard_normal((2, 4, 5, channels)).astype(np.float32)
    maps = channel_maxima(gradients)
    np.testing.assert_array_equal(maps, np.abs(gradients).max(axis=-1))
    assert maps.dtype == np.float32
    assert not np.may_share_memory(maps, gradients)


def test_ten_crops_are_corners_center_and_mirror_images():
    image = np.arange(64.0).reshape(8, 8)
    crops = [rows @ image @ columns.T for rows, columns in ten_crops(8, 8, share=0.5)]
    parts = [image[:4, :4], image[:4, 4:], image[4:, :4], image[4:, 4:], image[2:6, 2:6]]
    assert len(crops) == 10
    for crop, mirrored, part in zip(crops[::2], crops[1::2], parts, strict=True):
        np.testing.assert_allclose(crop, bilinear(4, 8) @ part @ bilinear(4, 8).T, atol=1e-5)
        np.testing.assert_array_equal(mirrored, np.flip(crop, axis=1))


@pytest.mark.parametrize("shape", [(6, 9, 1), (2, 6, 9, 3)])
def test_blur_keeps_constants_and_is_independent_of_the_batch(shape, random):
    np.testing.assert_allclose(blurred(np.ones(shape, np.float32), 2.0), 1, rtol=1e-6)
    images = random.uniform(0, 1, (2, 6, 9, 3)).astype(np.float32)
    np.testing.assert_allclose(blurred(images, 1.3), [blurred(image, 1.3) for image in images], atol=1e-6)

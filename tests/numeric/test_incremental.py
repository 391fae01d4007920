"""Copies of images with changed boxes: what is computed incrementally equals what whole images give."""

import keras
import numpy as np
import pytest
from random_graphs import random_model

import cnnexplain as cx
from cnnexplain.model.changed_regions import image_region
from cnnexplain.model.incremental_pass import incremental_pass, places
from cnnexplain.model.incremental_plan import plans
from cnnexplain.model.inference import run_isolated

layers = keras.layers


def shown(image, fill, box):
    """The image with the pixels of the box replaced."""
    copy = image.copy()
    top, left, bottom, right = box
    copy[top:bottom, left:right] = fill[top:bottom, left:right]
    return copy


def random_boxes(random, count, height, width):
    corners = [[0, 0, 1, 1], [height - 2, width - 1, height, width], [0, width - 3, 2, width], [height // 2, 0, height, 2]]
    first = random.integers(0, (height - 3, width - 3), (count, 2))
    return np.concatenate([corners, np.concatenate([first, first + random.integers(1, 4, (count, 2))], axis=1)])


def naive(clf, images, fills, boxes, names):
    copies = np.stack([shown(image, fill, box) for image, fill in zip(images, fills, strict=True) for box in boxes])
    return [clf.activations(copies, [name])[name] for name in names]


def assert_close(given, exact):
    np.testing.assert_allclose(given, exact, rtol=0, atol=1e-5 * max(1, np.abs(exact).max()))


def assert_plans_agree(clf, random, names):
    """Every plan, not only the one that is chosen, gives what whole images give."""
    height, width, channels = clf.preprocess.shape
    images, fills = random.uniform(0, 1, (2, 2, height, width, channels)).astype(np.float32)
    boxes = random_boxes(random, 4, height, width)
    exact = naive(clf, images, fills, boxes, names)
    found = plans(clf._graph, names, image_region(boxes, (height, width)), 9)
    for plan in found:
        copies = np.concatenate([np.repeat([[0], [1]], len(boxes), axis=0), np.tile(places(plan), (2, 1))], axis=1)
        compute = incremental_pass(clf._graph, plan, names)
        given = run_isolated(
            lambda compute=compute, copies=copies: compute(*map(keras.ops.convert_to_tensor, (copies, images, fills)))
        )
        for one, other in zip(given, exact, strict=True):
            assert_close(keras.ops.convert_to_numpy(one), other)
    return found


@pytest.mark.backends
@pytest.mark.parametrize("seed", range(24))
def test_random_models_give_what_whole_images_give(seed):
    clf, random = cx.load(random_model(seed)), np.random.default_rng(seed)
    names = [clf.layers[random.integers(len(clf.layers))].name, "logits"]
    assert len(assert_plans_agree(clf, random, names)) > 1

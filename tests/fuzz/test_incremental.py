"""Random models: copies with changed boxes give what whole images give, whichever part is recomputed."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_graphs import SHAPE, random_model

import cnnexplain as cx
from cnnexplain.model.incremental.changed_regions import image_region
from cnnexplain.model.incremental.forward_pass import incremental_pass, places
from cnnexplain.model.incremental.plan import plans
from cnnexplain.model.structure.inference import run_isolated

pytestmark = pytest.mark.slow


@given(seed=st.integers(100, 10**6), steps=st.integers(1, 14), size=st.integers(1, 6))
def test_every_plan_equals_whole_images(seed, steps, size):
    clf, random = cx.load(random_model(seed, steps)), np.random.default_rng(seed)
    names = [clf.layers[random.integers(len(clf.layers))].name, "logits"]
    images, fills = random.uniform(0, 1, (2, 1, *SHAPE)).astype(np.float32)
    first = random.integers(0, np.array(SHAPE[:2]) - size, (6, 2), endpoint=True)
    boxes = np.concatenate([first, first + size], axis=1)
    copies = np.repeat(images, len(boxes), axis=0)
    for copy, (top, left, bottom, right) in zip(copies, boxes, strict=True):
        copy[top:bottom, left:right] = fills[0, top:bottom, left:right]
    exact = clf.activations(copies, names)
    for plan in plans(clf._graph, names, image_region(boxes, SHAPE[:2]), 9):
        numbers = np.concatenate([np.zeros((len(boxes), 1)), places(plan)], axis=1)
        compute = incremental_pass(clf._graph, plan, names)
        tensors = map(keras.ops.convert_to_tensor, (numbers, images, fills))
        outputs = run_isolated(lambda compute=compute, tensors=tensors: compute(*tensors))
        for name, output in zip(names, outputs, strict=True):
            scale = max(1, np.abs(exact[name]).max())
            np.testing.assert_allclose(keras.ops.convert_to_numpy(output), exact[name], rtol=0, atol=2e-5 * scale)

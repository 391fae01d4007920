"""Outputs of several layers, each for images of its own, against one pass for each."""

import keras
import numpy as np
import pytest

import cnnexplain as cx

pytestmark = [pytest.mark.unaided, pytest.mark.backends]

layers = keras.layers


def branching(separate):
    """A network with a sum around a branch; unless its layers treat images separately, one moves them to another axis."""
    start = keras.Input((8, 7, 3))
    x = layers.Conv2D(4, 3, padding="same", name="conv")(start)
    x = layers.BatchNormalization(name="norm")(x)
    side = layers.Conv2D(4, 1, activation="relu", name="side")(x)
    if not separate:
        side = keras.ops.transpose(keras.ops.transpose(side, (1, 0, 2, 3)), (1, 0, 2, 3))
    x = layers.Add(name="sum")([x, side])
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Flatten()(keras.activations.relu(x))
    return cx.load(keras.Model(start, layers.Dense(5, name="dense")(x)))


@pytest.mark.parametrize("separate", [True, False])
@pytest.mark.parametrize(
    "groups",
    [
        (("conv",), ("side", "norm"), ("sum",), ("logits",)),
        (("logits",), ("conv",), ("pool", "side")),
        (("side",), ("side",)),
        (("input",), ("dense",)),
    ],
)
def test_each_group_gets_the_outputs_for_its_own_images(random, separate, groups):
    clf = branching(separate)
    images = random.uniform(size=(2, len(groups), 8, 7, 3)).astype(np.float32)
    names = list(dict.fromkeys(name for group in groups for name in group))

    def outputs_apart(outputs, images):
        return [y for found in outputs.apart(images, groups) for y in found.values()]

    found = iter(clf.compiled(outputs_apart, names, [images.shape[1:]], views=len(groups))([images], []))
    for place, group in enumerate(groups):
        expected = clf.activations(np.ascontiguousarray(images[:, place]), list(group))
        for name in group:
            np.testing.assert_allclose(next(found), expected[name], rtol=1e-4, atol=1e-5)


def test_a_layer_computes_only_the_images_of_groups_that_need_it(random):
    seen = []

    @keras.saving.register_keras_serializable(package="staggered")
    class Counting(layers.Identity):
        def call(self, inputs):
            seen.append(inputs.shape[0])
            return inputs

    # A subclass is not known to treat each image separately, so it is given the name and module of its base.
    Counting.__name__, Counting.__module__ = "Identity", layers.Identity.__module__
    start = keras.Input((6, 6, 1))
    x = Counting(name="early")(layers.Conv2D(2, 3, name="conv")(start))
    x = Counting(name="late")(layers.Conv2D(2, 3, name="conv2")(x))
    clf = cx.load(keras.Model(start, layers.Dense(2)(layers.Flatten()(x))))
    images = random.uniform(size=(1, 3, 6, 6, 1)).astype(np.float32)
    seen.clear()

    def outputs_apart(outputs, images):
        return [*outputs.apart(images, (("conv",), ("early",), ("late",)))[2].values()]

    clf.compiled(outputs_apart, ["conv", "early", "late"], [images.shape[1:]], views=3)([images], [])
    if keras.backend.backend() != "tensorflow":
        assert seen == [2, 1]

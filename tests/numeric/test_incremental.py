"""Copies of images with changed boxes: what is computed incrementally equals what whole images give."""

import keras
import numpy as np
import pytest
from random_graphs import SHAPE, random_model

import cnnexplain as cx
from cnnexplain.errors import UsageError
from cnnexplain.model.incremental.changed_regions import image_region
from cnnexplain.model.incremental.forward_pass import incremental_pass, places
from cnnexplain.model.incremental.plan import describe, plans
from cnnexplain.model.structure.inference import run_isolated

pytestmark = pytest.mark.unaided

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
    """Plans with small, medium and large crops, not only the one that is chosen, give what whole images give."""
    height, width, channels = clf.preprocess.shape
    images, fills = random.uniform(0, 1, (2, 2, height, width, channels)).astype(np.float32)
    boxes = random_boxes(random, 4, height, width)
    exact = naive(clf, images, fills, boxes, names)
    found = plans(clf._graph, names, image_region(boxes, (height, width)), 9)
    for plan in {found[1], found[len(found) // 2], found[-1]}:
        copies = np.concatenate([np.repeat([[0], [1]], len(boxes), axis=0), np.tile(places(plan), (2, 1))], axis=1)
        compute = incremental_pass(clf._graph, plan, names)
        if keras.backend.backend() == "jax":
            # It would compile each operation of each shape by itself.
            compute = clf._network.function(compute, [copies.shape[1:]], [(None, *images.shape[1:])] * 2)
            given = compute(copies, images, fills)
        else:
            given = run_isolated(
                lambda compute=compute, copies=copies: compute(*map(keras.ops.convert_to_tensor, (copies, images, fills)))
            )
        for one, other in zip(given, exact, strict=True):
            assert_close(keras.ops.convert_to_numpy(one), other)
    return found


@pytest.mark.parametrize("seed", [pytest.param(0, marks=pytest.mark.backends), *range(1, 16)])
def test_random_models_equal_whole_images(seed):
    clf, random = cx.load(random_model(seed)), np.random.default_rng(seed)
    names = [clf.layers[random.integers(len(clf.layers))].name, "logits"]
    assert len(assert_plans_agree(clf, random, names)) > 1


def local(x):
    """One of each kind of layer that is local."""
    x = layers.Rescaling(2.0, -1.0)(x)
    # Negative everywhere, so that zeros outside would be the largest.
    x = layers.MaxPooling2D(3, 1, padding="same")(layers.Rescaling(1.0, -9.0)(x))
    x = layers.ZeroPadding2D(((1, 0), (0, 2)))(x)
    y = x = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.DepthwiseConv2D((3, 2), padding="same", depth_multiplier=2)(x)
    x = layers.Conv2D(4, 1)(layers.ReLU(6.0)(layers.BatchNormalization()(x)))
    x = layers.Add()([x, y])
    x = layers.SeparableConv2D(4, 3, padding="same")(x)
    x = layers.Concatenate()([x, layers.Conv2D(3, 3, dilation_rate=2, padding="same", activation="gelu")(y)])
    x = layers.PReLU(shared_axes=[1, 2])(layers.MaxPooling2D(3, 1, padding="same")(x))
    return layers.Cropping2D(1)(layers.Dropout(0.5)(layers.AveragePooling2D(2, 1)(x)))


@pytest.mark.backends
def test_local_layers_are_computed_on_crops(random):
    image = keras.Input(SHAPE)
    clf = cx.load(keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(local(image)))))
    found = assert_plans_agree(clf, random, ["logits"])
    whole = [step.call.name for step in found[-1].steps if step.region is None]
    assert len(found) > 3
    assert len(whole) == 2
    assert whole[0].startswith("global_average_pooling2d")


@pytest.mark.backends
@pytest.mark.parametrize("kind", ["Cropping2D", "ZeroPadding2D"])
@pytest.mark.parametrize("sides", [((0, 3), (0, 2)), ((0, 0), (0, 4)), ((3, 0), (2, 1))])
def test_sizes_that_change_on_one_side_only(kind, sides, random):
    """Each unit is at the place that it reads, but in maps of another size."""
    image = keras.Input(SHAPE)
    x = getattr(layers, kind)(sides)(layers.Conv2D(4, 3, activation="relu")(image))
    clf = cx.load(keras.Model(image, layers.Dense(3)(layers.Flatten()(layers.Conv2D(2, 2)(x)))))
    assert_plans_agree(clf, random, [x._keras_history.operation.name, "logits"])


class Own(layers.Conv2D):
    """A derived layer may compute anything."""

    def call(self, x):
        return super().call(x - keras.ops.max(x, axis=(1, 2), keepdims=True))


NOT_LOCAL = {
    "Multiply": lambda x: layers.Multiply()(
        [x, layers.Dense(4, "sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))]
    ),
    "PReLU": layers.PReLU(),
    "AveragePooling2D": layers.AveragePooling2D(3, padding="same"),
    "UpSampling2D": layers.UpSampling2D(2),
    "LayerNormalization": layers.LayerNormalization(axis=(1, 2, 3)),
    "BatchNormalization": layers.BatchNormalization(axis=1),
    "Activation": layers.Activation(lambda y: y - keras.ops.mean(y, axis=(1, 2), keepdims=True)),
    "Add": lambda x: x + np.arange(14, dtype=np.float32)[:, None],
    "Clip": lambda x: keras.ops.clip(x, np.zeros((14, 1), np.float32), 1.0),
    "Flip": lambda x: keras.ops.flip(x, axis=2),
    "Conv2DTranspose": layers.Conv2DTranspose(4, 3),
    "Own": Own(4, 1),
}


@pytest.mark.parametrize("kind", NOT_LOCAL)
def test_non_local_layers_use_whole_maps(kind, random):
    image = keras.Input(SHAPE)
    x = NOT_LOCAL[kind](layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(image))
    x = layers.Conv2D(4, 3, name="after")(x)
    model = keras.Model(image, layers.Dense(3)(layers.Flatten()(x)))
    for weight in model.weights:
        weight.assign(random.normal(0.3, 0.5, weight.shape) ** 2)
    clf = cx.load(model)
    *_, last = assert_plans_agree(clf, random, ["logits"])
    regions = {step.call.name: step.region for step in last.steps}
    assert regions["first"] is not None
    assert regions["after"] is None
    culprit = next(step for step in last.steps if step.region is None)
    assert culprit.windows is None
    assert type(culprit.call.inner).__name__ == ("GlobalAveragePooling2D" if kind == "Multiply" else kind)
    assert f"({type(culprit.call.inner).__name__}), which is not local" in describe(last)


@pytest.mark.backends
def test_squares_on_digits_equal_whole_images(lenet):
    digits = cx.read_images(["mnist:test/42", "mnist:test/8"], lenet)
    boxes = np.array([[top, left, top + 4, left + 4] for top in range(0, 25, 4) for left in range(0, 25, 3)])
    gray = np.full_like(digits, 0.5)
    (logits, relu), computation = lenet.occluded(digits, boxes, gray, ["logits", "relu2"])
    exact = naive(lenet, digits, gray, boxes, ["logits", "relu2"])
    assert "before the layer 'conv2'" in computation
    for given, whole in zip((logits, relu), exact, strict=True):
        assert given.shape[:2] == (2, len(boxes))
        assert_close(given.reshape(whole.shape), whole)


def weighted(outputs, weights):
    """Σ w · relu2 and the largest logit of each copy."""
    logits, maps = outputs.values()
    return [keras.ops.sum(maps * weights[:, None, None], axis=(1, 2, 3)), keras.ops.max(logits, axis=1)]


@pytest.mark.backends
def test_only_results_of_the_function_are_returned(lenet, noise, random):
    """Boxes of each image, in batches that end within an image."""
    fills = noise[::-1].copy()
    boxes = np.stack([random_boxes(random, 3, 28, 28) for _ in noise])
    weights = random.normal(size=(4, 30)).astype(np.float32)
    seen = []
    (sums, largest), _ = lenet.occluded(
        noise, boxes, fills, ["logits", "relu2"], weighted, [weights], lambda *done: seen.append(done)
    )
    assert seen[-1] == (28, 28)
    for index in range(4):
        logits, maps = naive(lenet, noise[index : index + 1], fills[index : index + 1], boxes[index], ["logits", "relu2"])
        assert_close(sums[index], (maps * weights[index]).sum(axis=(1, 2, 3)))
        assert_close(largest[index], logits.max(axis=1))
    before = lenet.batch_size
    try:
        lenet.batch_size = 3
        (again, _), _ = lenet.occluded(noise, boxes, fills, ["logits", "relu2"], weighted, [weights])
    finally:
        lenet.batch_size = before
    assert_close(again, sums)


def test_a_function_is_compiled_once_for_all_images_and_runs(lenet, noise):
    boxes = np.array([[row, row, row + 5, row + 5] for row in range(20)])
    lenet.occluded(noise[:1], boxes, noise[:1], ["logits"])
    kept = set(lenet._network._recent)
    lenet.occluded(noise[1:], boxes, noise[1:], ["logits"])
    assert set(lenet._network._recent) == kept


def test_batches_are_halved_if_memory_runs_out(lenet, noise, monkeypatch):
    boxes = np.array([[row, row, row + 5, row + 5] for row in range(20)])
    (whole,), _ = lenet.occluded(noise, boxes, noise[::-1].copy(), ["logits"])
    in_batches, failed = lenet._network.in_batches, []

    def scarce(function, arrays, views=1):
        def failing(*batch):
            if len(batch[0]) > 16:
                failed.append(len(batch[0]))
                raise MemoryError
            return function(*batch)

        return in_batches(failing, arrays, views)

    monkeypatch.setattr(lenet._network, "in_batches", scarce)
    monkeypatch.setattr(lenet._network.batches, "size", lenet.batch_size)
    (halved,), _ = lenet.occluded(noise, boxes, noise[::-1].copy(), ["logits"])
    assert failed
    assert_close(halved, whole)


def test_one_large_box_uses_the_whole_image(lenet, noise):
    _, computation = lenet.occluded(noise, np.array([[2, 2, 26, 26]]), noise, ["logits"])
    assert computation.startswith("Whole images were computed")


@pytest.mark.parametrize(
    ("boxes", "said"),
    [
        (np.zeros((3, 2), int), r"The boxes have the shape \(3, 2\); expected \(P, 4\), or \(N, P, 4\) for N = 4 images"),
        (np.array([[[0, 0, 2, 2]]] * 3), r"shape \(3, 1, 4\)"),
        (np.array([[0, 0, 2, 29]]), "within the images of 28×28 pixels"),
        (np.array([[-1, 0, 2, 2]]), "within the images"),
        (np.array([[2, 3, 2, 5]]), "at least one pixel"),
        (np.zeros((0, 4), int), "or there are none"),
    ],
)
def test_boxes_are_checked(lenet, noise, boxes, said):
    with pytest.raises(UsageError, match=said):
        lenet.occluded(noise, boxes, noise, ["logits"])


@pytest.mark.parametrize("kind", ["uint8", "int16"])
def test_boxes_of_narrow_integers_do_not_overflow(random, kind):
    image = keras.Input((96, 96, 1))
    x = keras.layers.Conv2D(4, 7, strides=2, padding="same")(keras.layers.MaxPooling2D(3, 2, padding="same")(image))
    clf = cx.load(keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(x))), logits=True)
    images, fills = random.uniform(0, 1, (2, 1, 96, 96, 1)).astype(np.float32)
    boxes = random_boxes(random, 5, 96, 96)
    (expected,) = naive(clf, images, fills, boxes, ["logits"])
    (found,), _ = clf.occluded(images, boxes.astype(kind), fills, ["logits"])
    assert_close(found[0], expected)


def test_a_model_in_half_precision_and_with_a_second_input(random):
    """The second input is fixed, so it has no changed region."""
    policy = keras.DTypePolicy("mixed_float16")
    image, other = keras.Input((12, 10, 3), name="image"), keras.Input((12, 10, 1), name="other")
    x = layers.Conv2D(4, 3, padding="same", activation="relu", dtype=policy)(image)
    x = layers.Concatenate()([x, other])
    x = layers.MaxPooling2D(3, 2, padding="same")(layers.Conv2D(4, 3, padding="same", dtype=policy)(x))
    model = keras.Model([image, other], layers.Dense(3)(layers.Flatten()(x)))
    clf = cx.load(model, fixed={"other": random.uniform(0, 1, (12, 10, 1)).astype(np.float32)})
    images = random.uniform(0, 1, (1, 12, 10, 3)).astype(np.float32)
    boxes = random_boxes(random, 4, 12, 10)
    (exact,) = naive(clf, images, images[:, ::-1], boxes, ["logits"])
    for plan in plans(clf._graph, ["logits"], image_region(boxes, (12, 10)), 9):
        copies = np.concatenate([np.zeros((len(boxes), 1)), places(plan)], axis=1)
        given = keras.ops.convert_to_numpy(
            run_isolated(
                lambda plan=plan, copies=copies: incremental_pass(clf._graph, plan, ["logits"])(
                    *map(keras.ops.convert_to_tensor, (copies, images, images[:, ::-1].copy()))
                )[0]
            )
        )
        np.testing.assert_allclose(given, exact, atol=5e-3 * np.abs(exact).max())

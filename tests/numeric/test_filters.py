"""Kernels, their norms, the dead and the duplicates, and the best patches, each against a loop in NumPy."""

import json

import keras
import numpy as np
import pictures
import pytest

import cnnexplain as cx
from cnnexplain.errors import ModelError, UsageError

layers = keras.layers

KINDS = {
    "Conv2D": lambda **options: layers.Conv2D(6, (3, 2), **options),
    "grouped": lambda **options: layers.Conv2D(6, (3, 2), groups=2, **options),
    "dilated": lambda **options: layers.Conv2D(6, (3, 2), dilation_rate=2, **options),
    "1×1": lambda **options: layers.Conv2D(6, 1, **options),
    "DepthwiseConv2D": lambda **options: layers.DepthwiseConv2D((3, 2), depth_multiplier=2, **options),
    "SeparableConv2D": lambda **options: layers.SeparableConv2D(6, (3, 2), depth_multiplier=2, **options),
    "Conv2DTranspose": lambda **options: layers.Conv2DTranspose(6, (3, 2), strides=2, **options),
}


def network(kind, random):
    """A convolution of four channels, and a model around it with random weights."""
    layer = KINDS[kind](name="conv")
    model = keras.Sequential(
        [
            keras.Input((9, 8, 3)),
            layers.Conv2D(4, 1, activation="relu", name="first"),
            layer,
            layers.ReLU(name="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, name="scores"),
        ]
    )
    for weight in model.weights:
        weight.assign(random.normal(0, 1, weight.shape))
    return model, layer


def computed(kind, layer, x, kernel, first):
    """What the layer computes of x (H, W, I), from its kernels (h, w, I, O), number by number."""
    height, width, inputs, outputs = kernel.shape
    bias = np.asarray(layer.get_weights()[-1], np.float64)
    rate = 2 if kind == "dilated" else 1
    if kind == "Conv2DTranspose":
        rows, columns = ((side - 1) * 2 + size for side, size in zip(x.shape[:2], (height, width), strict=True))
        found = np.zeros((rows, columns, outputs))
        for i, j in np.ndindex(*x.shape[:2]):
            found[2 * i : 2 * i + height, 2 * j : 2 * j + width] += np.einsum("c,hwco->hwo", x[i, j], kernel)
        return found + bias
    shape = [side - (size - 1) * rate for side, size in zip(x.shape[:2], (height, width), strict=True)]
    found = np.zeros((*shape, outputs))
    for i, j, o in np.ndindex(*found.shape):
        seen = x[i : i + (height - 1) * rate + 1 : rate, j : j + (width - 1) * rate + 1 : rate, first[o] : first[o] + inputs]
        found[i, j, o] = (seen * kernel[..., o]).sum()
    return found + bias


@pytest.mark.parametrize("kind", KINDS)
def test_kernels_of_every_convolution_type(kind, random):
    model, layer = network(kind, random)
    clf = cx.load(model)
    record = cx.explain("filters", clf)
    kernel, norm = record.arrays["kernel/conv"].astype(np.float64), record.arrays["norm/conv"]
    outputs = layer.output.shape[-1]
    first = {"grouped": [0, 0, 0, 2, 2, 2], "DepthwiseConv2D": [0, 0, 1, 1, 2, 2, 3, 3]}.get(kind, [0] * outputs)
    inputs = {"grouped": 2, "DepthwiseConv2D": 1}.get(kind, 4)
    assert kernel.shape == (*((1, 1) if kind == "1×1" else (3, 2)), inputs, outputs)
    images = random.uniform(0, 1, (1, 9, 8, 3)).astype(np.float32)
    found = clf.activations(images, ["first", "conv"])
    exact = computed(kind, layer, found["first"][0].astype(np.float64), kernel, first)
    np.testing.assert_allclose(found["conv"][0], exact, atol=1e-4)
    for o, i in np.ndindex(outputs, inputs):
        assert norm[o, i] == pytest.approx(np.sqrt(sum(w**2 for w in kernel[:, :, i, o].ravel())), rel=1e-5)
    row = record.facts["layers"][1]
    assert (row["kernels"], row["channels"], row["groups"]) == (outputs, inputs, len(set(first)))
    assert row["kernel"] == {"dilated": "3×2, dilated to 5×3", "1×1": "1×1"}.get(kind, "3×2")
    for figure in record.overview().values():
        assert not pictures.overlapping(figure)


def test_dead_and_duplicate_kernels_equal_a_loop(random):
    model, layer = network("grouped", random)
    kernel, bias = layer.get_weights()
    kernel[..., 1] = 3 * kernel[..., 0]
    kernel[..., 2] = -kernel[..., 0]
    # Of the second group, which sees other channels.
    kernel[..., 3] = kernel[..., 0]
    kernel[..., 4] = 1e-9
    layer.set_weights([kernel, bias])
    record = cx.explain("filters", cx.load(model))
    first, alike = [0, 0, 0, 2, 2, 2], []
    for k in range(6):
        for j in range(k):
            cosine = (kernel[..., k] * kernel[..., j]).sum() / np.sqrt(
                (kernel[..., k] ** 2).sum() * (kernel[..., j] ** 2).sum()
            )
            if first[j] == first[k] and cosine > 0.99 and 4 not in (j, k):
                alike.append([k, j])
                break
    assert alike == [[1, 0]]
    assert record.facts["duplicates"] == {"conv": alike}
    assert record.facts["dead"] == {"conv": [4]}
    assert record.facts["never_active"] == {}
    row = record.facts["layers"][1]
    assert (row["dead"], row["duplicates"], row["never_active"]) == (1, 1, None)
    json.dumps(record.facts, allow_nan=False)


def test_kernels_are_inactive_if_all_outputs_are_zero(random):
    model, layer = network("Conv2D", random)
    kernel, bias = layer.get_weights()
    bias[2], bias[5] = -100, 100
    layer.set_weights([kernel, bias])
    images = random.uniform(0, 1, (5, 9, 8, 3)).astype(np.float32)
    record = cx.explain("filters", cx.load(model), dataset=images)
    outputs = cx.load(model).activations(images, ["relu"])["relu"]
    never = [k for k in range(6) if not outputs[..., k].any()]
    assert 2 in never
    assert record.facts["never_active"]["conv"] == never
    assert record.facts["layers"][1]["never_active"] == len(never)


def test_patches_have_the_largest_responses(lenet, random, monkeypatch):
    images = random.uniform(0, 1, (7, 28, 28, 1)).astype(np.float32)
    together = cx.explain("filters", lenet, dataset=images, kernels=5)
    monkeypatch.setattr(lenet, "batch_size", 3)
    record = cx.explain("filters", lenet, dataset=images, kernels=5)
    for name, field, step in (("conv1", 5, 1), ("conv2", 14, 2)):
        outputs = lenet.activations(images, [name])[name]
        sizes = [np.sqrt((record.arrays[f"kernel/{name}"][..., k] ** 2).sum()) for k in range(30)]
        shown = sorted(np.argsort(sizes)[::-1][:5])
        assert record.facts["shown"][name] == shown
        for place, k in enumerate(shown):
            best = sorted(((outputs[n, ..., k].max(), n) for n in range(7)), reverse=True)[:4]
            facts = record.facts["strongest"][name][place]
            assert facts["kernel"] == k
            for rank, (value, n) in enumerate(best):
                row, column = np.argwhere(outputs[n, ..., k] == value)[0]
                found = facts["patches"][rank]
                assert (found["image"], found["row"], found["column"]) == (f"array[{n}]", row, column)
                assert found["response"] == pytest.approx(value, rel=1e-4)
                patch = images[n, step * row : step * row + field, step * column : step * column + field]
                np.testing.assert_allclose(record.arrays[f"patch/{name}"][place, rank], patch, atol=1e-6)
        np.testing.assert_array_equal(record.arrays[f"patch/{name}"], together.arrays[f"patch/{name}"])
        assert record.facts["field"][name] == [[0, step, field], [0, step, field]]


def test_first_layer_responses_are_products_with_patches(lenet, random):
    images = random.uniform(0, 1, (6, 28, 28, 1)).astype(np.float32)
    record = cx.explain("filters", lenet, dataset=images, kernels=8)
    kernel, bias = lenet.model.get_layer("conv1").get_weights()
    assert "response/conv2" not in record.arrays
    for place, k in enumerate(record.facts["shown"]["conv1"]):
        best = record.facts["strongest"]["conv1"][place]["patches"][0]
        patch = record.arrays["patch/conv1"][place, 0]
        assert best["response"] == pytest.approx((patch * kernel[..., k]).sum() + bias[k], rel=1e-4)
        responses = record.arrays["response/conv1"][place]
        assert responses.max() == pytest.approx(best["response"], rel=1e-5)
        assert np.unravel_index(responses.argmax(), responses.shape) == (best["row"], best["column"])
        top, left = best["row"], best["column"]
        np.testing.assert_array_equal(record.arrays["image/conv1"][place][top : top + 5, left : left + 5], patch)
    figures = record.overview()
    assert list(figures) == ["templates-conv1", "kernels-conv1", "kernels-conv2"]
    for figure in figures.values():
        assert not pictures.overlapping(figure)


def test_ranks_before_the_clip_and_patches_beyond_the_border(random):
    """Responses of 6 and more are all 6 after a ReLU6; batch normalization may turn a kernel's sign."""
    model = keras.Sequential(
        [
            keras.Input((4, 5, 3)),
            layers.Conv2D(1, 3, padding="same", name="conv"),
            layers.BatchNormalization(name="norm", epsilon=0),
            layers.ReLU(6.0, name="relu"),
            layers.Flatten(),
            layers.Dense(2, name="scores"),
        ]
    )
    kernel = np.zeros((3, 3, 3, 1), np.float32)
    kernel[1, 1, 1] = 1
    model.get_layer("conv").set_weights([kernel, np.zeros(1, np.float32)])
    model.get_layer("norm").set_weights([np.array([v], np.float32) for v in (-100, 0, 1, 1)])
    images = random.uniform(0.3, 0.6, (3, 4, 5, 3)).astype(np.float32)
    images[0, 0, 4, 1], images[2, 2, 2, 1] = 0.1, 0.2
    record = cx.explain("filters", cx.load(model, preprocess=cx.Preprocess(4, 5)), dataset=images)
    (facts,) = record.facts["strongest"]["conv"]
    assert [each["image"] for each in facts["patches"]][:2] == ["array[0]", "array[2]"]
    assert facts["patches"][0]["response"] == pytest.approx(100 * 0.9, rel=1e-5)
    assert record.facts["field"]["conv"] == [[-1, 1, 3], [-1, 1, 3]]
    patch = record.arrays["patch/conv"][0, 0]
    # The corner's neighbors lie outside: they are gray.
    np.testing.assert_array_equal(patch[0], 0.5)
    np.testing.assert_array_equal(patch[:, 2], 0.5)
    np.testing.assert_array_equal(patch[1:, :2], images[0, :2, 3:])


def test_shared_layers_have_one_set_of_kernels(random):
    conv = layers.Conv2D(3, 3, padding="same", name="conv")
    inputs = keras.Input((6, 6, 3))
    x = layers.ReLU(name="relu")(conv(layers.ReLU(name="between")(conv(inputs))))
    model = keras.Model(inputs, layers.Dense(2, name="scores")(layers.Flatten()(x)))
    record = cx.explain("filters", cx.load(model), dataset=random.uniform(0, 1, (2, 6, 6, 3)).astype(np.float32))
    assert [row["name"] for row in record.facts["layers"]] == ["conv"]


def deep():
    """Ten convolutions in three stages."""
    inputs = x = keras.Input((16, 16, 3))
    for number in range(10):
        x = layers.Conv2D(2, 3, strides=2 if number in (3, 7) else 1, padding="same", name=f"conv{number}")(x)
        x = layers.ReLU(name=f"relu{number}")(x)
    return keras.Model(inputs, layers.Dense(2, name="scores")(layers.Flatten()(x)))


def test_deep_networks_show_first_and_stage_convolutions():
    clf = cx.load(deep())
    record = cx.explain("filters", clf)
    assert list(record.facts["shown"]) == ["conv0", "conv2", "conv6", "conv9"]
    assert len(record.facts["layers"]) == 10
    assert list(cx.explain("filters", clf, layer=("first", "conv0", "conv3")).facts["shown"]) == ["conv0", "conv3"]
    assert list(cx.explain("filters", clf, layer="all").facts["shown"]) == [f"conv{number}" for number in range(10)]
    assert list(cx.explain("filters", clf, layer=["conv5", "conv1"]).facts["shown"]) == ["conv5", "conv1"]
    with pytest.raises(UsageError, match=r"no convolution 'conv12'\. Did you mean 'conv[0-9]'"):
        cx.explain("filters", clf, layer="conv12")


def test_channels_are_drawn_in_rgb_order_with_gray_zero(random):
    """A model of blue, green, red, whose kernel has weight on its first channel: it is blue."""
    model, _ = network("1×1", random)
    first = layers.Conv2D(2, 3, name="first")
    model = keras.Sequential([keras.Input((9, 8, 3)), first, layers.Flatten(), layers.Dense(2, name="scores")])
    kernel = np.zeros((3, 3, 3, 2), np.float32)
    kernel[0, 0, 0, 0], kernel[2, 2, 2, 1] = 2, -1
    first.set_weights([kernel, np.zeros(2, np.float32)])
    record = cx.explain("filters", cx.load(model, preprocess=cx.Preprocess(9, 8, "bgr")))
    (figure,) = record.overview().values()
    blue, cyan = (panel.images[0].get_array() for panel in figure.axes)
    np.testing.assert_allclose(blue[0, 0], [0.5, 0.5, 1])
    np.testing.assert_allclose(cyan[2, 2], [0.25, 0.5, 0.5])
    np.testing.assert_allclose(blue[1, 1], 0.5)
    assert "weights to ± 2" in figure.get_suptitle()


def test_models_without_convolutions_are_refused(random):
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(3, name="scores")])
    with pytest.raises(ModelError, match=r"has no convolution over rows and columns.* choose another analysis"):
        cx.explain("filters", cx.load(model))


def test_the_command_line(cli, tmp_path):
    model = tmp_path / "small.keras"
    deep().save(model)
    code, _, _ = cli("run", "filters", "--model", model, "--kernels", "1")
    assert code == 0
    folder = tmp_path / "cnnexplain-out" / "filters"
    names = sorted(path.stem for path in folder.glob("*.png"))
    assert names == [f"kernels-conv{number}" for number in (0, 2, 6, 9)]
    assert np.load(folder / "arrays.npz")["kernel/conv0"].shape == (3, 3, 3, 2)

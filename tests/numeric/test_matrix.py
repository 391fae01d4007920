"""What all analyses are made of on every kind of graph and of head, and every analysis on one graph (tests/networks.py).

The expected values are NumPy's in float64, with gradients from differences.
"""

import functools
from typing import NamedTuple

import keras
import networks
import numpy as np
import oracles
import pytest
from cnnexplain_plugins.deconvnet.crops import paste
from cnnexplain_plugins.rise.masks import random_masks, visible

import cnnexplain as cx
from cnnexplain.errors import ModelError

pytestmark = pytest.mark.backends

GRAPHS = [(graph, "softmax") for graph in networks.GRAPHS]
HEADS = [("plain", head) for head in networks.HEADS if head != "softmax"]
ONE = "residual"
"""The graph on which every analysis is run: strides, batch normalization, two branches and their sum."""

REFUSED = {
    "dilated": r"'leaky' \(LeakyReLU\)",
    "smooth": r"'conv' \(Conv2D with activation 'gelu'\)",
    "squeezed": r"'excite' \(Conv2D with activation 'sigmoid'\)",
}
"""Graphs with a layer for which the deconvnet's rule isn't defined, and how it is named."""


LAST_MAPS = {
    "plain": "conv",
    "branches": "both",
    "residual": "out_relu",
    "nested": "body/conv",
    "shared": "conv:2",
    "mobile": "project",
    "dilated": "leaky",
    "smooth": "elu",
    "squeezed": "scaled",
}
"""The last layer of each graph that computes feature maps of more than one place, whose maps are weighed."""


class Case(NamedTuple):
    """A network with its head and its classifier, and two images in which no two values are the same."""

    graph: str
    head: str
    net: networks.Network
    clf: cx.Classifier
    images: np.ndarray


@functools.cache
def built(graph, head):
    """One classifier for each graph and head, so that its functions are compiled once."""
    if graph == "dilated" and keras.backend.backend() == "torch":
        pytest.skip("Keras' AveragePooling2D averages other pixels on PyTorch where one axis has an odd pixel of padding")
    net, model = networks.build(graph, head)
    images = np.random.default_rng(5).uniform(0, 1, (2, *networks.SHAPE)).astype(np.float32)
    return Case(graph, head, net, cx.load(model, preprocess=cx.Preprocess(*networks.SHAPE[:2])), images)


@pytest.fixture(params=[*GRAPHS, *HEADS], ids="-".join)
def case(request):
    return built(*request.param)


@pytest.fixture(params=GRAPHS, ids="-".join)
def of_graphs(request):
    return built(*request.param)


@pytest.fixture
def one():
    return built(ONE, "softmax")


def close(found, expected, tolerance=1e-4):
    """Within `tolerance` of the largest value: what single precision leaves of a sum."""
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * max(1e-3, np.abs(expected).max()))


def score(case, target):
    """The score of a class, of the outputs of all steps."""
    return lambda outputs: networks.logits(case.net, outputs)[:, target]


def test_scores_and_probabilities(case):
    net, head, clf, images = case.net, case.head, case.clf, case.images
    scores = networks.logits(net, net.compute(images))
    close(clf.logits(images), scores)
    close(clf.predict(images), networks.probabilities(scores, head))
    assert clf.head == ("sigmoid" if head in ("binary", "labels") else "softmax")


def test_gradients(case):
    gradients = case.clf.gradient(case.images, np.array([0, 1]))
    for target, image in enumerate(case.images):
        close(gradients[target], case.net.gradient(image, score(case, target)))


def test_layer_outputs(of_graphs):
    net, clf, images = of_graphs.net, of_graphs.clf, of_graphs.images
    expected = net.compute(images)
    names = [layer.name for layer in clf.layers]
    assert {name for name, _, _ in net.steps} <= set(names)
    outputs = clf.activations(images, names)
    for name in names:
        if name in expected:
            close(outputs[name], expected[name])


def test_layer_gradients(of_graphs):
    net, clf, images, name = of_graphs.net, of_graphs.clf, of_graphs.images, LAST_MAPS[of_graphs.graph]
    values, outputs, gradients = clf.layer_gradient(images, name, np.array([0, 1]))
    _, together = clf.layer_gradients(images, [name], np.array([0, 1]))
    close(values, networks.logits(net, net.compute(images))[[0, 1], [0, 1]])
    for target, image in enumerate(images):
        a, g = net.layer_gradient(image, name, score(of_graphs, target))
        close(outputs[target], a)
        # Of equal maxima, which are zeros, NumPy takes the first one and TensorFlow all.
        slopes = gradients[target] if of_graphs.graph != "shared" else np.where(a > 0, gradients[target], g)
        close(slopes, g)
        close(together[name][target], gradients[target])


@pytest.mark.parametrize("rule", ["gradient", "deconvnet", "guided"])
def test_backward_rules(of_graphs, rule, random):
    graph, net, clf, images = of_graphs.graph, of_graphs.net, of_graphs.clf, of_graphs.images
    name = clf.convolutions[-1].name
    signals = np.where(net.compute(images)[name] > 0, random.normal(0, 1, net.compute(images)[name].shape), 0)
    if graph in REFUSED and rule == "deconvnet":
        with pytest.raises(ModelError, match=f"The layer {REFUSED[graph]} is an activation other than ReLU"):
            clf.project(images, name, signals.astype(np.float32), rule)
        return
    found = clf.project(images, name, signals.astype(np.float32), rule)
    for each, image in enumerate(images):
        close(found[each], net.project(image, name, signals[each], rule))


def test_functions_of_layers_are_differentiated(of_graphs):
    """As activation maximization and inversion need it: half the squared outputs of a layer that sees fainter images."""
    net, clf, images, name = of_graphs.net, of_graphs.clf, of_graphs.images, LAST_MAPS[of_graphs.graph]
    function = clf.differentiable(half_squares, [name], seen=fainter)
    values, gradients = function(images)

    def expected(outputs):
        return (outputs[name] ** 2).sum(axis=(1, 2, 3)) / 2

    for each, image in enumerate(images):
        close(values[each], expected(net.compute(np.float32(0.75) * image[None]))[0])
        close(gradients[each], 0.75 * net.gradient(np.float32(0.75) * image, expected))


def half_squares(outputs, _):
    (output,) = outputs.values()
    return keras.ops.sum(output**2, axis=(1, 2, 3)) / 2


def fainter(images):
    return 0.75 * images


def test_receptive_fields(of_graphs):
    """No pixel outside a unit's field changes it, and every row and column of some unit's field changes some unit."""
    net, clf, images = of_graphs.net, of_graphs.clf, of_graphs.images
    random, (height, width, _) = np.random.default_rng(1), networks.SHAPE
    pixels = [(row, column) for row in range(height) for column in range(width)]
    pairs = []
    for image in [*images, *images]:
        changed = np.repeat(image[None], len(pixels), axis=0)
        for place, (row, column) in enumerate(pixels):
            changed[place, row, column] = random.uniform(-1, 2, 3)
        pairs.append((net.compute(image[None]), net.compute(changed)))
    for layer in (each for each in clf.layers if each.maps and each.name in pairs[0][0]):
        field, name = clf.receptive_field(layer.name), layer.name
        moved = np.max([np.abs(after[name] - before[name]).max(axis=-1) for before, after in pairs], axis=0) > 1e-9
        moved = moved.reshape(height, width, *layer.shape[:2])
        seen = np.zeros_like(moved)
        for i, j in np.ndindex(*layer.shape[:2]):
            seen[field.rows.slice(i, height), field.columns.slice(j, width), i, j] = True
        assert not moved[~seen].any()
        for others in ((1, 2, 3), (0, 2, 3)):
            np.testing.assert_array_equal(moved.any(axis=others), seen.any(axis=others))


def test_intermediate_outputs(one):
    net, clf, images = one.net, one.clf, one.images
    record = cx.explain("intermediate-outputs", clf, images, target=[0, 1])
    expected = net.compute(images)
    named = {layer.name for layer in clf.layers}
    assert all(f"output/{name}" in record.arrays for name in named)
    for name in expected:
        if name != "input":
            close(record.arrays[f"output/{name}"], expected[name])
    name = LAST_MAPS[one.graph]
    for index, image in enumerate(images):
        a, g = net.layer_gradient(image, name, score(one, index))
        close(record.arrays[f"contribution/{name}"][index], (a * g).sum(axis=(0, 1)))


def test_saliency(one):
    net, clf, images = one.net, one.clf, one.images
    record = cx.explain("saliency", clf, images, target=[0, 1])
    for index, image in enumerate(images):
        gradient = net.gradient(image, score(one, index))
        close(record.arrays["gradient"][index], gradient)
        close(record.arrays["saliency"][index], np.abs(gradient).max(axis=-1))


def slope(one, image, index):
    """∂S/∂x of the class `index` at an image."""
    return one.net.gradient(image, score(one, index))


def test_smoothgrad(one):
    record = cx.explain("smoothgrad", one.clf, one.images, target=[0, 1], samples=2, noise=0.1)
    noises = [np.random.default_rng([0, copy]).standard_normal(networks.SHAPE, np.float32) for copy in range(2)]
    for index, image in enumerate(one.images):
        mean = np.mean([slope(one, image + np.float32(0.1) * noise, index) for noise in noises], axis=0)
        close(record.arrays["gradient"][index], mean)
        close(record.arrays["smoothgrad"][index], np.abs(mean).max(axis=-1))


def test_integrated_gradients(one):
    record = cx.explain("integrated-gradients", one.clf, one.images, target=[0, 1], steps=2, baseline="gray")
    for index, image in enumerate(one.images):
        places = [0.5 + sign / (2 * np.sqrt(3)) for sign in (-1, 1)]
        mean = np.mean([slope(one, 0.5 + place * (image - 0.5), index) for place in places], axis=0)
        close(record.arrays["attribution"][index], (image - 0.5) * mean)


def test_gradient_x_input(one):
    record = cx.explain("gradient-x-input", one.clf, one.images, target=[0, 1])
    for index, image in enumerate(one.images):
        close(record.arrays["attribution"][index], image * slope(one, image, index))


def test_rise(one):
    """With as many cells as pixels, shown as they are drawn."""
    net, head, clf, images = one.net, one.head, one.clf, one.images
    record = cx.explain("rise", clf, images, target=1, masks=12, cells=8)
    masks = random_masks(*networks.SHAPE[:2], 12, 8, 0.5, 0)
    masks = keras.ops.convert_to_numpy(visible(masks.grids.astype(np.float32), masks.shifts, *networks.SHAPE[:2]))
    outputs = [net.compute(images * mask[:, :, None]) for mask in masks]
    found = np.array([networks.probabilities(networks.logits(net, each), head)[:, 1] for each in outputs])
    close(record.arrays["saliency"], np.einsum("mn,mij->nij", found, masks) / 6)
    close(record.facts["masked_probability"], found.mean(axis=0))


def test_occlusion(one):
    net, head, clf, images = one.net, one.head, one.clf, one.images
    record = cx.explain("occlusion", clf, images, target=1, patch=4, stride=3, fill="gray")
    (rows, columns), layer = (record.facts[name][0] for name in ("rows", "columns")), record.facts["layer"][0]
    assert (rows, columns) == ([0, 3, 5], [0, 3, 4])
    for i, top in enumerate(rows):
        for j, left in enumerate(columns):
            covered = images.copy()
            covered[:, top : top + 4, left : left + 4] = 0.5
            outputs = net.compute(covered)
            scores = networks.logits(net, outputs)
            close(record.arrays["logit"][:, i, j], scores[:, 1])
            close(record.arrays["probability"][:, i, j], networks.probabilities(scores, head)[:, 1])
            assert (record.arrays["prediction"][:, i, j] == scores.argmax(axis=1)).all()
            for each, number in enumerate(record.facts["feature_map"]):
                close(record.arrays["activation"][each, i, j], outputs[layer][each, ..., number].sum())


def test_inversion(one):
    net, clf, images = one.net, one.clf, one.images
    record = cx.explain("inversion", clf, images, iterations=12, most=2)
    wanted = net.compute(images)
    names = [name.removeprefix("reconstruction/") for name in record.arrays]
    assert len(names) > 1
    for name in names:
        found = net.compute(record.arrays[f"reconstruction/{name}"])
        for each in range(2):
            code, target = (
                networks.logits(net, {k: v[[each]] for k, v in outputs.items()}) if name == "logits" else outputs[name][each]
                for outputs in (found, wanted)
            )
            error = ((code - target) ** 2).sum() / (target**2).sum()
            assert record.facts["representation_error"][each][name] == pytest.approx(error, rel=2e-3, abs=1e-5)


def test_activation_maximization(one):
    net, clf, images = one.net, one.clf, one.images
    record = cx.explain("activation-maximization", clf, steps=6, starts=1, dataset=images)
    classes = len(clf.labels)
    assert record.facts["unit"] == list(clf.labels)
    scores = networks.logits(net, net.compute(record.arrays["optimum"]))
    close(record.facts["value"], scores[np.arange(classes), np.arange(classes)])
    over = networks.logits(net, net.compute(images)).max(axis=0)
    close(record.facts["best"], over)


@pytest.mark.parametrize("rule", ["gradient", "deconvnet", "guided"])
def test_deconvnet(one, rule):
    net, clf, images = one.net, one.clf, one.images
    name = clf.convolutions[-1].name
    outputs = net.compute(images)
    record = cx.explain("deconvnet", clf, images, layer=[name], rule=[rule], maps=2, dataset=images)
    for each, image in enumerate(images):
        for rank, fact in enumerate(record.facts["strongest"][each][name]):
            value = outputs[name][each, fact["row"], fact["column"], fact["map"]]
            close(fact["activation"], value)
            seed = np.zeros(outputs[name].shape[1:])
            seed[fact["row"], fact["column"], fact["map"]] = value
            projection = paste(record.arrays[f"projection/{name}/{rule}"][each, rank], fact["corner"], networks.SHAPE)
            close(projection, net.project(image, name, seed, rule))


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "scorecam", "layercam"])
def test_gradcam(one, method):
    net, head, clf, images = one.net, one.head, one.clf, one.images
    record = cx.explain("gradcam", clf, images, target=[0, 1], method=method)
    name = record.facts["layer"][0]
    assert name == LAST_MAPS[one.graph]
    for target, image in enumerate(images):
        a, g = net.layer_gradient(image, name, score(one, target))
        if method == "scorecam":
            evidence = oracles.score_cam(
                a, image, lambda x, c=target: networks.probabilities(networks.logits(net, net.compute(x)), head)[:, c]
            )
        else:
            evidence = oracles.BY_GRADIENT[method](a, g)
        close(record.arrays["evidence"][target], evidence)
        close(record.arrays["cam"][target], np.maximum(evidence, 0), 2e-4)
        close(record.arrays["map"][target], oracles.bilinear(np.maximum(evidence, 0), *networks.SHAPE[:2]), 2e-4)


@functools.cache
def half(graph, policy):
    standard = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        net, model = networks.build(graph, "softmax")
    finally:
        keras.config.set_dtype_policy(standard)
    images = np.random.default_rng(5).uniform(0, 1, (2, *networks.SHAPE)).astype(np.float32)
    return Case(graph, "softmax", net, cx.load(model, preprocess=cx.Preprocess(*networks.SHAPE[:2])), images)


@pytest.mark.parametrize(("policy", "coarse"), [("mixed_float16", 0.01), ("mixed_bfloat16", 0.06)])
@pytest.mark.parametrize(("graph", "layer"), [("plain", "conv"), ("mobile", "depth"), ("smooth", "conv")])
def test_layers_compute_in_half_precision(graph, layer, policy, coarse):
    """Results agree with float64 as far as that goes."""
    case = half(graph, policy)
    net, clf, images = case.net, case.clf, case.images
    close(clf.logits(images), networks.logits(net, net.compute(images)), coarse)
    close(clf.activations(images, [layer])[layer], net.compute(images)[layer], coarse)
    gradients = clf.gradient(images, np.array([0, 1]))
    assert gradients.dtype == np.float32
    for target, image in enumerate(images):
        close(gradients[target], net.gradient(image, score(case, target)), 4 * coarse)


def test_analyses_in_half_precision():
    case, coarse = half("mobile", "mixed_float16"), 0.01
    net, clf, images = case.net, case.clf, case.images
    options = {"smoothgrad": {"samples": 2}, "integrated-gradients": {"steps": 2}, "rise": {"masks": 4}}
    options |= {"intermediate-outputs": {}, "gradcam": {}, "occlusion": {"patch": 4, "stride": 4}}
    options |= {"inversion": {"iterations": 3, "layer": ["project"]}}
    for name, given in options.items():
        assert all(np.isfinite(array).all() for array in cx.explain(name, clf, images, **given).arrays.values()), name
    times = cx.explain("gradient-x-input", clf, images, target=[0, 1])
    gradients = cx.explain("saliency", clf, images, target=[0, 1]).arrays["gradient"]
    np.testing.assert_allclose(times.arrays["attribution"], images * gradients, rtol=1e-4, atol=1e-6)
    best = cx.explain("activation-maximization", clf, target=1, steps=3, starts=1)
    close(best.facts["value"][0], networks.logits(net, net.compute(best.arrays["optimum"]))[0, 1], coarse)
    name = clf.convolutions[0].name
    projected = cx.explain("deconvnet", clf, images, layer=[name], rule=["gradient"], maps=1, dataset=images)
    fact, value = projected.facts["strongest"][0][name][0], net.compute(images)[name]
    seed = np.zeros(value.shape[1:])
    seed[fact["row"], fact["column"], fact["map"]] = value[0, fact["row"], fact["column"], fact["map"]]
    projection = paste(projected.arrays[f"projection/{name}/gradient"][0, 0], fact["corner"], networks.SHAPE)
    close(projection, net.project(images[0], name, seed, "gradient"), 4 * coarse)

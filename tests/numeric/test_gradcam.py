"""Class activation maps against their papers: Grad-CAM, Grad-CAM++, Score-CAM, Layer-CAM (oracles.py, networks.py).

All graphs and heads, each at its default layer, are in test_matrix.py.
"""

import warnings

import keras
import networks
import numpy as np
import oracles
import pytest

import cnnexplain as cx
from cnnexplain import draw
from cnnexplain.errors import ModelError, UsageError
from cnnexplain.plugin import registry

METHODS = ["gradcam", "gradcam++", "scorecam", "layercam"]
layers = keras.layers


def tiny(graph, head="logits", count=2):
    """A network, its classifier and images."""
    net, model = networks.build(graph, head)
    images = np.random.default_rng(5).uniform(0, 1, (count, *networks.SHAPE)).astype(np.float32)
    return net, cx.load(model, preprocess=cx.Preprocess(*networks.SHAPE[:2])), images


def close(found, expected, tolerance=1e-4):
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * max(1e-6, np.abs(expected).max()))


def of_two_maps(kernel, bias=0.0, kind="gap"):
    """2×2 images of two channels' worth of maps, which the layer "maps" returns as they are, and two logits."""
    inputs = keras.Input((2, 2, 3))
    x = layers.Conv2D(2, 1, use_bias=False, name="maps")(inputs)
    x = layers.GlobalAveragePooling2D()(x) if kind == "gap" else layers.Flatten()(x)
    model = keras.Model(inputs, layers.Dense(2, name="scores")(x))
    model.set_weights([np.eye(3)[None, None, :, :2], kernel, np.full(2, bias)])
    return cx.load(model, preprocess=cx.Preprocess(2, 2, scale=1.0, mean=(128.0,)))


IMAGE = np.zeros((1, 2, 2, 3), np.float32)
IMAGE[0, ..., 0] = [[1, 0], [0, 3]]
IMAGE[0, ..., 1] = [[0, 2], [0, 2]]


def test_grad_cam_equals_hand_computation():
    """S_0 = 4 · mean(A_0) − 8 · mean(A_1), so that the gradients are 1 and −2 at every place."""
    record = cx.explain("gradcam", of_two_maps(np.array([[4.0, 0], [-8.0, 0]])), IMAGE, target=0)
    np.testing.assert_allclose(record.arrays["evidence"], [[[1, -4], [0, -1]]], atol=1e-6)
    np.testing.assert_allclose(record.arrays["cam"], [[[1, 0], [0, 0]]], atol=1e-6)
    assert record.facts["peak"] == [pytest.approx(1)]
    assert record.facts["peak_place"] == [[0, 0]]
    assert record.facts["peak_pixel"] == [[0, 0]]
    assert record.facts["positive"] == [0.25]
    assert record.facts["logit"] == [pytest.approx(4 * 1 - 8 * 1)]
    assert record.facts["layer"] == ["maps"]
    assert record.facts["shift"] == [0]


def test_other_methods_equal_hand_computation():
    """S_0 has the gradient (1, 2; 0, −1) by A_0 and (−1, 0; 0, 2) by A_1; the maps sum up to 4 and 4."""
    kernel = np.zeros((2, 2, 2, 2))
    kernel[..., 0, 0], kernel[..., 1, 0] = [[1, 2], [0, -1]], [[-1, 0], [0, 2]]
    clf = of_two_maps(kernel.reshape(8, 2), kind="flat")
    found = {method: cx.explain("gradcam", clf, IMAGE, target=0, method=method).arrays for method in METHODS}
    # The means 1/2 and 1/4.
    np.testing.assert_allclose(found["gradcam"]["evidence"][0], [[0.5, 0.5], [0, 2]], atol=1e-6)
    # α = 1 / (2 + 4 g): the weights 1/6 + 2/10 and 2/10.
    first, second = 1 / 6 + 2 / 10, 2 / 10
    np.testing.assert_allclose(
        found["gradcam++"]["evidence"][0], [[first, 2 * second], [0, 3 * first + 2 * second]], atol=1e-6
    )
    # Only the positive gradients, each at its own place.
    np.testing.assert_allclose(found["layercam"]["evidence"][0], [[1, 0], [0, 4]], atol=1e-6)
    # The masks are (1/3, 0; 0, 1) and (0, 1; 0, 1); the blank image has S_0 = 0 and p = 1/2. Under the first mask the maps
    # are (1/3, 0; 0, 3) and (0, 0; 0, 2), so that S_0 = 1/3 − 3 + 4; under the second (0, 0; 0, 3) and (0, 2; 0, 2).
    weights = [1 / (1 + np.exp(-score)) - 1 / 2 for score in (1 / 3 - 3 + 4, -3 + 4)]
    expected = weights[0] * IMAGE[0, ..., 0] + weights[1] * IMAGE[0, ..., 1]
    np.testing.assert_allclose(found["scorecam"]["evidence"][0], expected, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("graph", "name"),
    [
        ("plain", "pool"),  # after pooling
        ("branches", "left"),  # one branch of two
        ("residual", "stem_relu"),  # what goes around the next layers
        ("residual", "inner"),  # before batch normalization and the ReLU, with negative values
        ("nested", "stem"),
        ("shared", "conv"),  # the first of two calls
        ("squeezed", "conv"),  # where the rest multiplies it by what it makes of it
        ("mobile", "expand_relu"),
    ],
)
def test_every_layer_can_be_selected(graph, name, method):
    net, clf, images = tiny(graph, "softmax")
    record = cx.explain("gradcam", clf, images, target=1, method=method, layer=name)
    for each, image in enumerate(images):
        a, g = net.layer_gradient(image, name, lambda outputs: networks.logits(net, outputs)[:, 1])
        if method == "scorecam":
            evidence = oracles.score_cam(a, image, lambda x: oracles.softmax(networks.logits(net, net.compute(x)))[:, 1])
        else:
            evidence = oracles.BY_GRADIENT[method](a, g)
        close(record.arrays["evidence"][each], evidence, 2e-4)
        assert np.abs(evidence).max() > 1e-4
        close(record.arrays["map"][each], oracles.bilinear(np.maximum(evidence, 0), *networks.SHAPE[:2]), 2e-4)


@pytest.mark.parametrize("method", METHODS)
def test_lenet_equals_the_oracle(lenet, noise, method):
    oracle, target = oracles.LeNet(lenet.model.get_weights()), 3
    record = cx.explain("gradcam", lenet, noise[:1], target=target, method=method)
    assert record.facts["layer"] == ["relu2"]
    found = oracle.layers(noise[:1])
    a = np.maximum(found["conv2"], 0)
    signal = (oracle.out[:, [target]].T * (found["dense"] > 0)) @ oracle.dense.T
    g = oracles.unpool(signal.reshape(found["pool2"].shape), found["places2"], found["conv2"].shape[1:])
    if method == "scorecam":
        evidence = oracles.score_cam(a[0], noise[0], lambda x: oracles.softmax(oracle.logits(x))[:, target])
    else:
        evidence = oracles.BY_GRADIENT[method](a[0], g[0])
    close(record.arrays["evidence"][0], evidence, 2e-4)
    close(record.arrays["map"][0], oracles.bilinear(np.maximum(evidence, 0), 28, 28), 2e-4)
    # Without padding the units' fields of 14×14 pixels, 2 apart, begin with the image and end 0 pixels before its end; the
    # places are spread over 3.5 pixels each.
    assert record.facts["shift"] == [pytest.approx(7 - 1.75)]


def test_dropout_is_skipped_and_the_shift_is_stated():
    """Units of 3×3 pixels see the middle of row i + 1.5, which is drawn at (i + 0.5) · 12 / 10, and likewise of 6 / 4."""
    parts = [layers.Conv2D(2, 3, name="conv"), layers.Dropout(0.5), layers.GlobalAveragePooling2D(), layers.Dense(2)]
    clf = cx.load(keras.Sequential([keras.Input((12, 6, 3)), *parts]), preprocess=cx.Preprocess(12, 6))
    record = cx.explain("gradcam", clf, np.random.default_rng(0).uniform(0, 1, (1, 12, 6, 3)).astype(np.float32))
    assert record.facts["layer"] == ["conv"]
    assert record.facts["shift"] == [pytest.approx(max(1.5 - 0.6, 1.5 - 0.75))]


def test_grad_cam_plus_plus_is_independent_of_the_score():
    random = np.random.default_rng(1)
    a, g = np.maximum(random.normal(size=(3, 4, 5)), 0), random.normal(size=(3, 4, 5))
    found = [oracles.grad_cam_plus_plus(a, g, score) for score in (-20, 0, 20)]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9)
    np.testing.assert_allclose(found[2], found[1], rtol=1e-9)


def test_with_global_average_pooling_grad_cam_is_cam():
    """Zhou et al. 2016: where the logit is Σ_k w_k · mean(A_k) + b, the sum Σ_k w_k A_k, here over the number of places.

    So the evidence sums up to the logit less its bias.
    """
    net, clf, images = tiny("branches")
    record = cx.explain("gradcam", clf, images, target=2)
    kernel, bias = clf.model.get_layer("scores").get_weights()
    maps = net.compute(images)["both"]
    cam = maps @ kernel[:, 2] / (maps.shape[1] * maps.shape[2])
    close(record.arrays["evidence"], cam)
    close(record.arrays["evidence"].sum(axis=(1, 2)), np.array(record.facts["logit"]) - bias[2])


def test_layer_cam_weighs_each_position():
    """A map whose gradient is positive at one place alone counts at that place alone."""
    kernel = np.zeros((2, 2, 2, 2))
    kernel[1, 1, 0, 0], kernel[0, 0, 0, 0] = 2, -4
    clf = of_two_maps(kernel.reshape(8, 2), kind="flat")
    found = cx.explain("gradcam", clf, IMAGE, target=0, method="layercam").arrays["evidence"][0]
    np.testing.assert_allclose(found, [[0, 0], [0, 6]], atol=1e-6)


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "layercam"])
def test_the_logit_is_explained(method):
    """The same added to all logits' kernels leaves the probabilities as they are, but not the gradients of the logits."""
    net, clf, images = tiny("branches", "softmax")
    before = cx.explain("gradcam", clf, images, target=0, method=method).arrays["evidence"]
    kernel, bias = clf.model.get_layer("scores").get_weights()
    probabilities = clf.predict(images)
    clf.model.get_layer("scores").set_weights([kernel + 3, bias])
    np.testing.assert_allclose(clf.predict(images), probabilities, atol=1e-5)
    after = cx.explain("gradcam", clf, images, target=0, method=method).arrays["evidence"]
    maps = net.compute(images)["both"].sum(axis=-1) / before[0].size
    if method == "gradcam":
        close(after - before, 3 * maps, 1e-3)
    assert np.abs(after - before).max() > 0.1 * np.abs(before).max()


@pytest.mark.parametrize("method", ["gradcam", "layercam"])
def test_difference_of_two_classes(method):
    net, clf, images = tiny("residual")
    record = cx.explain("gradcam", clf, images, target=1, against=4, method=method)
    for each, image in enumerate(images):
        a, g = net.layer_gradient(
            image, "out_relu", lambda outputs: networks.logits(net, outputs)[:, 1] - networks.logits(net, outputs)[:, 4]
        )
        close(record.arrays["evidence"][each], oracles.BY_GRADIENT[method](a, g))
    scores = networks.logits(net, net.compute(images))
    close(record.facts["logit"], scores[:, 1] - scores[:, 4])


def test_score_cam_refuses_differences():
    _, clf, images = tiny("plain")
    with pytest.raises(UsageError, match=r"can't explain '1 − 4'\. Leave out --against, or use another --method"):
        cx.explain("gradcam", clf, images, target=1, against=4, method="scorecam")
    with pytest.raises(UsageError, match="can't explain 'conv:0'"):
        cx.explain("gradcam", clf, images, target=cx.Channel("conv", 0), method="scorecam")


@pytest.mark.parametrize("constant", [0, 2])
def test_score_cam_skips_constant_maps(constant):
    """Both a dead map and a constant one have no scale from 0 to 1: they hide nothing, and there is no NaN."""
    image = IMAGE.copy()
    image[..., 1] = constant
    kernel = np.zeros((2, 2, 2, 2))
    kernel[..., 0, 0], kernel[..., 1, 0] = 0.5, 0.25
    clf = of_two_maps(kernel.reshape(8, 2), kind="flat")
    found = cx.explain("gradcam", clf, image, target=0, method="scorecam").arrays["evidence"][0]
    # The first map's mask is (1/3, 0; 0, 1), under which S_0 = (1/3 + 3) / 2 + constant · (1/3 + 1) / 4.
    score = (1 / 3 + 3) / 2 + constant * (1 / 3 + 1) / 4
    np.testing.assert_allclose(found, (1 / (1 + np.exp(-score)) - 1 / 2) * image[0, ..., 0], atol=1e-6)


def test_score_cam_masks_the_image(lenet, monkeypatch):
    """One pass for each map, in batches no larger than the classifier's, with progress, and memory for one batch."""
    image = cx.read_images(["mnist:test/42"], lenet)
    monkeypatch.setattr(lenet, "batch_size", 8)
    shown, seen, predict = [], [], lenet.predict

    def spy(images):
        shown.append(np.asarray(images))
        return predict(images)

    monkeypatch.setattr(lenet, "predict", spy)
    cx.explain("gradcam", lenet, image, method="scorecam", progress=lambda *done: seen.append(done))
    masked = np.concatenate([batch for batch in shown[1:] if len(batch) > 1])
    assert max(map(len, shown)) == 8
    assert seen == [(8, 30), (16, 30), (24, 30), (30, 30)]
    maps = lenet.activations(np.asarray(image), ["relu2"])["relu2"][0]
    for k in range(30):
        mask = oracles.bilinear(maps[..., k].astype(np.float64), 28, 28)
        span = mask.max() - mask.min()
        np.testing.assert_allclose(masked[k, ..., 0], image[0, ..., 0] * (mask - mask.min()) / (span or 1), atol=1e-5)


@pytest.mark.parametrize("shape", [((3, 2), (9, 8)), ((1, 4), (5, 4)), ((7, 7), (224, 224)), ((4, 4), (3, 2))])
def test_maps_are_enlarged_with_half_pixel_centers(shape, random):
    from cnnexplain_plugins.gradcam.maps import enlarge

    (rows, columns), size = shape
    maps = random.normal(size=(2, rows, columns)).astype(np.float32)
    np.testing.assert_allclose(enlarge(maps, *size), [oracles.bilinear(each, *size) for each in maps], atol=1e-5)


def test_enlarging_equals_hand_computation():
    from cnnexplain_plugins.gradcam.maps import enlarge

    np.testing.assert_allclose(enlarge(np.array([[[0.0, 4.0]]]), 1, 4), [[[0, 1, 3, 4]]])


@pytest.mark.parametrize("method", METHODS)
def test_batches_equal_single_images(lenet, noise, method):
    together = cx.explain("gradcam", lenet, noise, method=method, target=[0, 3, 5, 8])
    for index, target in enumerate([0, 3, 5, 8]):
        alone = cx.explain("gradcam", lenet, noise[index : index + 1], method=method, target=target)
        for name, array in together.arrays.items():
            np.testing.assert_allclose(array[index], alone.arrays[name][0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_zero_maps_are_explained(method):
    """Every weight of the class is negative, and the maps are positive."""
    kernel = np.full((8, 2), 0.5)
    kernel[:, 0] = -1
    record = cx.explain("gradcam", of_two_maps(kernel, kind="flat"), IMAGE, target=0, method=method)
    assert not record.arrays["map"].any()
    assert record.facts["peak"] == [0]
    assert record.facts["peak_place"] == record.facts["peak_pixel"] == [None]
    share = {"gradcam": "75%", "scorecam": "75%", "gradcam++": "0%", "layercam": "0%"}[method]
    (warning,) = record.warnings
    assert warning == (
        "The map is zero everywhere for 1 of 1 images: the feature maps of 'maps' do not support the target at any "
        f"position, and at {share} of the positions they lower its score (see the array 'evidence')."
    )
    assert record.figure().axes[2].get_title() == f"{TITLES[method]} map: zero everywhere"
    assert record.analysis.finding(record, 0) == "The feature maps of the layer maps do not support '0' at any position."


def test_smooth_display_does_not_change_the_map(lenet, noise):
    record = cx.explain("gradcam", lenet, noise[:1], target=3)
    shown = record.figure().axes[2].images[0].get_array()
    np.testing.assert_allclose(shown, draw.enlarged(record.arrays["cam"][0], 28, 28), atol=1e-6)
    np.testing.assert_allclose(shown, record.analysis.overlay(record, 0), atol=1e-6)
    assert np.abs(shown - record.arrays["map"][0]).max() > 0.01 * record.facts["peak"][0]
    row, column = record.facts["peak_pixel"][0]
    strongest = np.sort(record.arrays["map"][0], axis=None)[::-1]
    held = strongest[:78].sum() / strongest.sum()
    words = record.analysis.finding(record, 0)
    assert words.startswith("The layer relu2 supports '3' most at the ")
    assert f", around row {row}, column {column}; the strongest tenth of the pixels holds {100 * held:.0f}% of" in words


@pytest.mark.parametrize(("method", "count"), [("gradcam", 2), ("scorecam", 33)])
def test_number_of_passes(lenet, method, count):
    analysis = registry.load().get("gradcam")[0]
    assert analysis.passes(lenet, {"method": method, "layer": None}) == count


TITLES = {"gradcam": "Grad-CAM", "gradcam++": "Grad-CAM++", "scorecam": "Score-CAM", "layercam": "Layer-CAM"}


def test_grad_cam_plus_plus_reports_invalid_units():
    """Before a ReLU: maps with a sum of −8 and the gradient 1, so that 2 + g Σ A = −6."""
    kernel = np.zeros((8, 2))
    kernel[::2, 0] = 1
    clf = of_two_maps(kernel, kind="flat")
    record = cx.explain("gradcam", clf, -2 * IMAGE, target=0, method="gradcam++")
    assert not record.arrays["evidence"].any()
    assert "closed form is invalid at 4 units of 'maps', whose feature maps have negative sums" in record.warnings[0]
    assert not cx.explain("gradcam", clf, IMAGE, target=0, method="gradcam++").warnings


def test_unsuitable_layers_are_refused(lenet, noise):
    with pytest.raises(UsageError, match=r"no layer 'relu3'. Did you mean 'relu\d'"):
        cx.explain("gradcam", lenet, noise, layer="relu3")
    with pytest.raises(UsageError, match=r"'dense' .* has no feature maps"):
        cx.explain("gradcam", lenet, noise, layer="dense")
    _, clf, images = tiny("squeezed")
    with pytest.raises(UsageError, match="'squeeze' have a single position"):
        cx.explain("gradcam", clf, images, layer="squeeze")
    with pytest.raises(UsageError, match="does not depend on the layer 'relu2'; name one that leads to conv1"):
        cx.explain("gradcam", lenet, noise, layer="relu2", target=cx.Channel("conv1", 0))


def test_models_without_feature_maps_are_refused(random):
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(3)])
    with pytest.raises(ModelError, match="has no layer that computes feature maps"):
        cx.explain("gradcam", cx.load(model), random.uniform(0, 1, (1, 4, 4, 1)).astype(np.float32))


def test_the_input_can_be_the_layer(lenet, noise):
    """Its gradient is that of saliency."""
    found = cx.explain("gradcam", lenet, noise, layer="input", method="layercam").arrays["evidence"]
    gradient = cx.explain("saliency", lenet, noise).arrays["gradient"]
    close(found, (np.maximum(gradient, 0) * noise).sum(axis=-1), 1e-5)


def test_the_model_is_not_changed(lenet, noise):
    before = [weight.copy() for weight in lenet.model.get_weights()]
    calls = [len(layer._inbound_nodes) for layer in lenet.model.layers]
    for method in METHODS:
        cx.explain("gradcam", lenet, noise[:1], method=method)
    assert calls == [len(layer._inbound_nodes) for layer in lenet.model.layers]
    for now, then in zip(lenet.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_randomized_weights_change_the_map(lenet):
    """Adebayo et al. 2018: an explanation that depends on what was learned is another with the last layer's weights new."""
    images = cx.read_images([f"mnist:test/{number}" for number in range(10)], lenet)
    targets = [int(label) for label in lenet.predict(images).argmax(axis=1)]
    model = keras.models.clone_model(lenet.model)
    weights = lenet.model.get_weights()
    weights[-2] = np.random.default_rng(0).normal(0, weights[-2].std(), weights[-2].shape)
    model.set_weights(weights)
    for method in ("gradcam", "layercam"):
        maps = [
            cx.explain("gradcam", clf, images, target=targets, method=method).arrays["evidence"]
            for clf in (lenet, cx.load(model, preprocess=lenet.preprocess))
        ]
        assert np.mean([oracles.rank_correlation(a, b) for a, b in zip(*maps, strict=True)]) < 0.8


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf-keras-vis needs TensorFlow")
class TestTfKerasVis:
    """A second implementation, on a functional model whose output is the logits and whose layers are not nested."""

    @pytest.fixture
    def theirs(self):
        with warnings.catch_warnings():
            # It takes SciPy's zoom from where SciPy 2 will no longer have it.
            warnings.simplefilter("ignore", DeprecationWarning)
            gradcam = pytest.importorskip("tf_keras_vis.gradcam")
            from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
            from tf_keras_vis.layercam import Layercam
            from tf_keras_vis.scorecam import Scorecam
            from tf_keras_vis.utils.scores import CategoricalScore
        # Keras warns that its prediction is given a list of one tensor.
        warnings.filterwarnings("ignore", message="The structure of `inputs`|Exception encountered when calling")
        methods = {"gradcam": gradcam.Gradcam, "gradcam++": GradcamPlusPlus, "layercam": Layercam, "scorecam": Scorecam}

        def run(method, model, images, targets, layer):
            return np.asarray(
                methods[method](model, clone=False)(
                    CategoricalScore(targets),
                    images,
                    penultimate_layer=layer,
                    seek_penultimate_conv_layer=False,
                    expand_cam=False,
                    normalize_cam=False,
                )
            )

        return run

    @pytest.mark.parametrize("method", ["gradcam", "layercam"])
    @pytest.mark.parametrize(("graph", "layer"), [("branches", "both"), ("residual", "out_relu"), ("squeezed", "scaled")])
    def test_grad_cam_and_layer_cam_agree(self, theirs, graph, layer, method):
        _, clf, images = tiny(graph)
        ours = cx.explain("gradcam", clf, images, target=[0, 1], method=method).arrays["cam"]
        assert ours.any()
        close(theirs(method, clf.model, images, [0, 1], layer), ours, 1e-5)

    def test_score_cam_agrees_but_for_the_baseline(self, theirs):
        """Theirs weighs by the softmax of what the model returns, and takes no baseline off; its maps reach from corner to
        corner, which is the same where a map has the size of the image.
        """
        net, clf, images = tiny("branches", count=1)
        ours = cx.explain("gradcam", clf, images, target=1, method="scorecam").arrays["evidence"]
        blank, maps = clf.predict(np.zeros_like(images))[0, 1], net.compute(images)["both"]
        close(theirs("scorecam", clf.model, images, [1], "both"), ours + blank * maps.sum(axis=-1), 1e-4)

    def test_grad_cam_plus_plus_is_another(self, theirs):
        """It divides each α by their sum over a map, negative gradients among them, which equation 19 doesn't."""
        net, clf, images = tiny("branches", count=1)
        a, g = net.layer_gradient(images[0], "both", lambda outputs: networks.logits(net, outputs)[:, 1])
        score = networks.logits(net, net.compute(images))[0, 1]
        alphas = np.where(g != 0, 1 / (2 + g * a.sum(axis=(0, 1))), 0)
        sums = alphas.sum(axis=(0, 1))
        weights = (alphas / np.where(sums, sums, 1) * np.maximum(np.exp(score) * g, 0)).sum(axis=(0, 1))
        found = theirs("gradcam++", clf.model, images, [1], "both")
        close(found[0], np.maximum(a @ weights, 0), 1e-4)
        ours = cx.explain("gradcam", clf, images, target=1, method="gradcam++").arrays["cam"]
        assert found.max() < 0.1 * ours.max()

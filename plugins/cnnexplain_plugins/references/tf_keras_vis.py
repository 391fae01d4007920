"""Comparisons with tf-keras-vis (Kubota et al., https://github.com/keisen/tf-keras-vis) on TensorFlow."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain import Logit
from cnnexplain.checks import ROUNDING, difference, not_with_these_options
from cnnexplain.plugin import Measurement, Subject
from cnnexplain_plugins.references.raw_scores import raw_scores

if TYPE_CHECKING:
    from jaxtyping import Float

SAMPLES, ERRORS = 64, 1.5
"""The number of noisy copies of the other implementation; and the largest difference in standard errors, as root mean
squares over the pixels, where 1 is expected of two correct means."""

TOLERANCE = 1e-3
"""The relative difference for maps of layers, which sum many products in another order."""


def saliency(subject: Subject) -> Measurement:
    """The largest difference of the saliency map, relative to its maximum."""
    if subject.options["crops"] != "one":
        return not_with_these_options()

    def compare(model: Any, target: int) -> Measurement:
        from tf_keras_vis.saliency import Saliency
        from tf_keras_vis.utils.scores import CategoricalScore

        theirs = Saliency(model, clone=False)(CategoricalScore([target]), subject.image, normalize_map=False)
        return Measurement(difference(subject.array("saliency"), np.asarray(theirs)[0]), ROUNDING, "all pixels")

    return _compared(subject, compare)


def smoothgrad(subject: Subject) -> Measurement:
    """The difference of the mean gradients beside the standard error of this difference, both as root mean squares."""
    preprocess, image = subject.classifier.preprocess, subject.image
    spans = np.abs(preprocess.white - preprocess.black)
    extent = float(image.max() - image.min())
    if np.ptp(spans) > 1e-6 * spans.max() or not extent:
        return Measurement(None, detail="tf-keras-vis has one scale of noise for all channels, relative to the image")

    def compare(model: Any, target: int) -> Measurement:
        from tf_keras_vis.saliency import Saliency
        from tf_keras_vis.utils.scores import CategoricalScore

        noise = float(subject.options["noise"] * spans[0] / extent)
        # By default it takes magnitudes before it averages, unlike the paper.
        with _seeded():
            theirs = Saliency(model, clone=False)(
                CategoricalScore([target]),
                image,
                smooth_samples=SAMPLES,
                smooth_noise=noise,
                gradient_modifier=None,
                keepdims=True,
                normalize_map=False,
            )
        variance = np.mean(subject.array("deviation").astype(np.float64) ** 2)
        expected = float(np.sqrt(variance * (1 / SAMPLES + 1 / subject.fact("samples"))))
        error = float(np.sqrt(np.mean((subject.array("gradient") - np.asarray(theirs)[0]) ** 2)))
        value = error / expected if expected else (0.0 if error == 0 else float("inf"))
        return Measurement(value, ERRORS, f"standard errors, {SAMPLES} copies")

    return _compared(subject, compare)


def gradcam(subject: Subject) -> Measurement:
    """The largest difference of the map at the resolution of the layer, relative to its maximum."""
    method, layer = subject.options["method"], subject.classifier.layer(subject.fact("layer"))
    if method not in ("gradcam", "layercam"):
        return Measurement(None, detail=f"tf-keras-vis' {method} differs from the paper, which cnnexplain follows")
    if not layer.maps or "/" in layer.name:
        return Measurement(None, detail="tf-keras-vis finds no feature maps in nested models or tokens")

    def compare(model: Any, target: int) -> Measurement:
        from tf_keras_vis.gradcam import Gradcam
        from tf_keras_vis.layercam import Layercam
        from tf_keras_vis.utils.scores import CategoricalScore

        explain = (Gradcam if method == "gradcam" else Layercam)(model, clone=False)
        theirs: Float[np.ndarray, "1 h w"] = np.asarray(
            explain(
                CategoricalScore([target]),
                subject.image,
                penultimate_layer=layer.name,
                seek_penultimate_conv_layer=False,
                expand_cam=False,
                normalize_cam=False,
            )
        )
        return Measurement(difference(subject.array("cam"), theirs[0]), TOLERANCE, "all positions of the layer")

    return _compared(subject, compare)


def _compared(subject: Subject, compare: Callable[[Any, int], Measurement]) -> Measurement:
    """The measurement for the model of raw scores and the class, if there are both."""
    if not isinstance(subject.objective, Logit):
        return Measurement(None, detail="tf-keras-vis explains single classes")
    model = raw_scores(subject)
    if model is None:
        return Measurement(None, detail="the model can't be turned into one of raw scores for tf-keras-vis")
    with _quiet():
        return compare(model, subject.classifier.target(subject.objective.target))


@contextmanager
def _seeded() -> Iterator[None]:
    """With a seed for NumPy's global random numbers, from which it draws noise; their state is restored."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings: it imports deprecated functions of SciPy, and passes models lists of one tensor."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

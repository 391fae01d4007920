"""Reconstructing images from their representations (Mahendran & Vedaldi 2015, arXiv:1412.0035)."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain import optimize
from cnnexplain.errors import ModelError, OutOfMemoryError, UsageError
from cnnexplain.numerics import evenly_spaced
from cnnexplain.plugin import Result
from cnnexplain_plugins.inversion import jittered, loss, spectral
from cnnexplain_plugins.inversion.descent import Descent, Loss, own_outputs

if TYPE_CHECKING:
    from jaxtyping import Float32

    from cnnexplain import Classifier

ITERATIONS = {"adam": 200, "momentum": 400}
"""The default number of steps of each optimizer: that of the paper with momentum, half as many with Adam."""

PAPER_RATE, MOMENTUM, ADAM_RATE = 0.004, 0.9, 0.84
"""The paper's learning rate and momentum, and Adam's learning rate; the rates are the initial ones, and fall."""

LAYERS = 12
"""The maximum number of layers inverted by default; of a network with more, those in which the stages end."""

MEMORY = 1 << 28
"""The most bytes of the pictures that are optimized together; the optimizer holds a few arrays of this size."""

PROBES = 8
"""The number of noise images by which layers that return the same numbers are found."""


def invert(
    classifier: Classifier,
    images: Float32[np.ndarray, "N H W C"],
    progress: Callable[[int, int], None],
    *,
    layers: Sequence[str],
    most: int | None,
    parametrization: str | None,
    iterations: int | None,
    optimizer: str,
    alpha_weight: float | None,
    variation_weight: float | None,
    sigma: float | None,
    seed: int,
) -> Result:
    """Reconstructs each image from its representation in each layer; see `run`."""
    parametrization = parametrization or default(classifier)
    if parametrization != "pixels" and (optimizer != "adam" or sigma is not None):
        raise UsageError(
            f"The optimizer '{optimizer}' and sigma belong to the inversion of pixels of 2015, but the parametrization is "
            f"'{parametrization}'; leave them out, or choose --parametrization pixels (parametrization='pixels')."
        )
    if parametrization == "spectrum" and classifier.preprocess.bands is not None:
        raise UsageError(
            "The parametrization 'spectrum' is for pictures in gray or color, but the model takes "
            f"{classifier.preprocess.bands} bands; choose 'pixels' or 'pixels-2016'."
        )
    names = list(dict.fromkeys(classifier.layer(name).name for name in layers)) or default_layers(classifier, most)
    mean = loss.normalization(classifier.preprocess, sigma).mean
    codes = classifier.activations(images, names)
    contrasts = loss.norms(images - mean)
    for name in names:
        if not np.isfinite(codes[name]).all():
            raise ModelError(
                f"The layer '{name}' returns values that are not finite (NaN or infinity): it can't be inverted."
            )
    arrays: dict[str, Float32[np.ndarray, "N H W C"]] = {}
    facts: dict[str, list[Any]] = defaultdict(lambda: [{} for _ in images])
    warnings = []
    # As many layers at a time as the images of their descents fit into memory, which may turn out to be fewer.
    first, most = 0, max(1, MEMORY // max(1, images.nbytes))
    while first < len(names):
        group = names[first : first + min(most, classifier.batch_size)]

        def group_progress(done: int, total: int, first: int = first, size: int = len(group)) -> None:
            progress(first * total + size * done, len(names) * total)

        if parametrization == "pixels":
            weights = [loss.weights(classifier, name, alpha_weight, variation_weight) for name in group]
            descent = pixels(classifier, group, [codes[name] for name in group], weights, optimizer, iterations, sigma, seed)
        else:
            module = MODULES[parametrization]
            weights = [module.weights(classifier, name, alpha_weight, variation_weight) for name in group]
            descent = module.descent(classifier, group, [codes[name] for name in group], weights, iterations, seed)
        try:
            optimum = descent.minimize(classifier, group_progress)
            reconstructions, norms, totals = descent.results(classifier, optimum.variables)
            shapes = [reconstructions.shape[1:]]
            found = classifier.compiled(own_outputs(tuple(group)), group, shapes, views=len(group))([reconstructions], [])
        except OutOfMemoryError:
            if len(group) == 1:
                raise
            most = len(group) // 2
            continue
        first += len(group)
        predictions = classifier.predict(reconstructions.reshape(-1, *images.shape[1:])).reshape(len(images), len(group), -1)
        for place, name in enumerate(group):
            arrays[f"reconstruction/{name}"] = np.ascontiguousarray(reconstructions[:, place])
            sizes = loss.norms(codes[name])
            layer_facts = {
                "representation_error": loss.errors(found[place], codes[name], sizes),
                "pixel_error": loss.errors(reconstructions[:, place], images, contrasts),
                "representation_norm": sizes,
                "alpha_norm": norms[:, place],
                "total_variation": totals[:, place],
            }
            stopped = optimum.stopped[place :: len(group)]
            for index, output in enumerate(predictions[:, place]):
                for fact, values in layer_facts.items():
                    facts[fact][index][name] = float(values[index])
                # Even if the output of this layer is finite, that of the model may not be.
                finite = bool(np.isfinite(output).all())
                if classifier.head == "values":
                    facts["value"][index][name] = float(output[0]) if finite else None
                else:
                    facts["prediction"][index][name] = int(output.argmax()) if finite else None
                    facts["probability"][index][name] = float(output.max()) if finite else None
                facts["stopped"][index][name] = stopped[index]
                facts["data_weight"][index][name] = weights[place].data
                facts["alpha_weight"][index][name] = weights[place].alpha
                facts["variation_weight"][index][name] = weights[place].variation
            warnings += [f"The inversion of '{name}' ended early, {reason}." for reason in stopped if reason]
            if not sizes.all():
                warnings.append(f"The representation of an image in '{name}' is zero; its error there is absolute.")
    facts["parametrization"] = [parametrization] * len(images)
    facts["iterations"] = [descent.steps] * len(images)
    if parametrization == "pixels":
        facts["sigma"] = [float(loss.normalization(classifier.preprocess, sigma).sigma)] * len(images)
    facts["mean"] = [mean.tolist()] * len(images)
    return Result(arrays, facts, warnings=tuple(dict.fromkeys(warnings)))


MODULES: dict[str, Any] = {"spectrum": spectral, "pixels-2016": jittered}
"""The modules of the parametrizations other than the pixels of 2015."""


def default(classifier: Classifier) -> str:
    """The default parametrization: the spectrum for photographs, otherwise the pixels."""
    return "spectrum" if classifier.preprocess.photographs else "pixels"


def steps(parametrization: str, optimizer: str) -> int:
    """The default number of steps."""
    return ITERATIONS[optimizer] if parametrization == "pixels" else MODULES[parametrization].STEPS


def pixels(
    classifier: Classifier,
    layers: Sequence[str],
    codes: Sequence[Float32[np.ndarray, "N ..."]],
    weights: Sequence[loss.Weights],
    optimizer: str,
    iterations: int | None,
    sigma: float | None,
    seed: int,
) -> Descent:
    """The descent that inverts layers by optimizing pixels, as in the paper of 2015."""
    scale = loss.normalization(classifier.preprocess, sigma)
    (start,) = noise(classifier.preprocess.shape, seed)
    steps, count = ITERATIONS[optimizer] if iterations is None else iterations, len(codes[0])
    return Descent(
        Loss(tuple((layer,) for layer in layers), keras.ops.convert_to_tensor, show, terms),
        codes,
        weights,
        start,
        steps,
        STEPS[optimizer](steps, start.size),
        scale.undo,
        [np.tile(scale.mean, (count, 1, 1, 1, 1)), np.full((count, 1, 1, 1, 1), scale.sigma, np.float32)],
    )


def show(x: Any, mean: Any, sigma: Any) -> Any:
    """The images mean + σx."""
    return mean + sigma * x


def terms(x: Any) -> tuple[Any, Any]:
    """‖x‖_α^α and Σ |∇x|² of each normalized image, (N,)."""
    return loss.alpha_norm(x), loss.total_variation(x)


def default_layers(classifier: Classifier, most: int | None) -> list[str]:
    """The layers that are inverted by default: all, or in a network with more than `LAYERS`, those in which the stages end.

    Args:
        classifier: The model.
        most: The maximum number of layers, taken from all depths.
    """
    names = list(classifier.stages) if len(classifier.layers) > LAYERS else []
    # A network without feature maps has no stages, and one without strides has a single stage.
    names = names if len(names) > 2 else representations(classifier)
    return evenly_spaced(names, LAYERS if most is None else most)


def representations(classifier: Classifier) -> list[str]:
    """The layers that compute something new, in the order of computation, followed by the logits.

    The softmax is left out in favor of the logits, and so are layers that return the numbers of an earlier layer, in
    whatever shape: their reconstruction would be the same. They are found with noise images, which works for any layer.
    """
    names = ["input", "logits", *(layer.name for layer in classifier.layers if layer.name != classifier.output)]
    low, high = classifier.preprocess.black, classifier.preprocess.white
    digests = {name: hashlib.sha256() for name in names}
    for probe in np.random.default_rng(0).uniform(low, high, (PROBES, 1, *classifier.preprocess.shape)):
        for name, output in classifier.activations(probe, names).items():
            digests[name].update(np.ascontiguousarray(output).tobytes())
    first: dict[bytes, str] = {}
    for name, digest in digests.items():
        first.setdefault(digest.digest(), name)
    return [*(name for name in first.values() if name not in ("input", "logits")), "logits"]


def noise(shape: tuple[int, ...], seed: int) -> Float32[np.ndarray, "1 H W C"]:
    """Gaussian noise of norm 1, the same for every image, so that results do not depend on the place in the batch."""
    noise = np.random.default_rng(seed).normal(size=(1, *shape))
    return np.asarray(noise / np.linalg.norm(noise), np.float32)


def _adam(steps: int, size: int) -> optimize.Optimizer:
    """Adam, with a learning rate that falls to 0 along half a cosine."""
    rate = ADAM_RATE / math.sqrt(size)
    return optimize.adam(lambda number: rate * (1 + math.cos(math.pi * number / steps)) / 2)


def _momentum(steps: int, _: int) -> optimize.Optimizer:
    """The paper's schedule: 1, 0.1 and 0.01 times `PAPER_RATE` for a quarter, a half and a quarter of the steps."""
    return optimize.momentum(
        lambda number: PAPER_RATE * (1 if 4 * number < steps else 0.1 if 4 * number < 3 * steps else 0.01), MOMENTUM
    )


STEPS: dict[str, Callable[[int, int], optimize.Optimizer]] = {"adam": _adam, "momentum": _momentum}
"""The optimizers by name: (number of steps, number of variables) ↦ optimizer."""

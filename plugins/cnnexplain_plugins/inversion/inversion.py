"""Images from the representations of images (Mahendran & Vedaldi 2015, arXiv:1412.0035)."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain import optimize
from cnnexplain.errors import ModelError, UsageError
from cnnexplain.numerics import evenly_spaced
from cnnexplain.plugin import Result
from cnnexplain_plugins.inversion import jittered, loss, spectral
from cnnexplain_plugins.inversion.descent import Descent

if TYPE_CHECKING:
    from cnnexplain import Array, Classifier, Floats

ITERATIONS = {"adam": 200, "momentum": 400}
"""How many steps each optimizer takes unless told otherwise: the paper's with momentum, half as many with Adam."""

PAPER_RATE, MOMENTUM, ADAM_RATE = 0.004, 0.9, 0.84
"""The paper's learning rate and momentum, and Adam's learning rate; each rate is the first, and falls."""

LAYERS = 12
"""How many layers are inverted when none is named, where they are no more; of a deeper network those in which stages end."""

PROBES = 8
"""How many images of noise tell whether two layers return the same numbers."""


def invert(
    classifier: Classifier,
    images: Floats,
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
    """Reconstructs each image from each layer's representation of it; see `run`."""
    way = parametrization or default(classifier)
    if way != "pixels" and (optimizer != "adam" or sigma is not None):
        raise UsageError(
            f"The optimizer '{optimizer}' and sigma are those of 2015's inversion of pixels, but the parametrization is "
            f"'{way}'; leave them out, or choose --parametrization pixels (parametrization='pixels')."
        )
    if way == "spectrum" and classifier.preprocess.bands is not None:
        raise UsageError(
            "The parametrization 'spectrum' is for pictures in gray or color, but the model takes "
            f"{classifier.preprocess.bands} bands; name 'pixels' or 'pixels-2016'."
        )
    names = list(dict.fromkeys(classifier.layer(name).name for name in layers)) or chosen(classifier, most)
    mean = loss.normalization(classifier.preprocess, sigma).mean
    codes = classifier.activations(images, names)
    contrasts = loss.norms(images - mean)
    arrays: dict[str, Array] = {}
    facts: dict[str, list[Any]] = defaultdict(lambda: [{} for _ in images])
    warnings = []
    for number, name in enumerate(names):
        if not np.isfinite(codes[name]).all():
            raise ModelError(f"The layer '{name}' returns values that are not finite (NaN or infinity): it has no inverse.")

        def within(done: int, total: int, number: int = number) -> None:
            progress(number * total + done, len(names) * total)

        if way == "pixels":
            weights = loss.weights(classifier, name, alpha_weight, variation_weight)
            descent = pixels(classifier, name, codes[name], weights, optimizer, iterations, sigma, seed)
        else:
            module = WAYS[way]
            weights = module.weights(classifier, name, alpha_weight, variation_weight)
            descent = module.descent(classifier, name, codes[name], weights, iterations, seed)
        optimum = optimize.minimize(
            descent.loss, descent.start, descent.step, descent.steps, keep=descent.keep, best=descent.best, progress=within
        )
        found = descent.images(optimum.variables)
        sizes = loss.norms(codes[name])
        norm, total = (keras.ops.convert_to_numpy(each) for each in descent.terms(optimum.variables))
        numbers = {
            "representation_error": loss.errors(classifier.activations(found, [name])[name], codes[name], sizes),
            "pixel_error": loss.errors(found, images, contrasts),
            "representation_norm": sizes,
            "alpha_norm": norm,
            "total_variation": total,
        }
        answers = classifier.predict(found)
        arrays[f"reconstruction/{name}"] = found
        for index, answer in enumerate(answers):
            for fact, values in numbers.items():
                facts[fact][index][name] = float(values[index])
            # Where this layer is finite, those after it need not be.
            finite = bool(np.isfinite(answer).all())
            if classifier.head == "values":
                facts["value"][index][name] = float(answer[0]) if finite else None
            else:
                facts["prediction"][index][name] = int(answer.argmax()) if finite else None
                facts["probability"][index][name] = float(answer.max()) if finite else None
            facts["stopped"][index][name] = optimum.stopped[index]
            facts["data_weight"][index][name] = weights.data
            facts["alpha_weight"][index][name] = weights.alpha
            facts["variation_weight"][index][name] = weights.variation
        warnings += [f"The inversion of '{name}' ended early, {reason}." for reason in optimum.stopped if reason]
        if not sizes.all():
            warnings.append(f"The representation of an image in '{name}' is zero; its error there is absolute.")
    facts["parametrization"] = [way] * len(images)
    facts["iterations"] = [descent.steps] * len(images)
    if way == "pixels":
        facts["sigma"] = [float(loss.normalization(classifier.preprocess, sigma).sigma)] * len(images)
    facts["mean"] = [mean.tolist()] * len(images)
    return Result(arrays, facts, warnings=tuple(dict.fromkeys(warnings)))


WAYS: dict[str, Any] = {"spectrum": spectral, "pixels-2016": jittered}
"""The parametrizations beside 2015's pixels, each a module."""


def default(classifier: Classifier) -> str:
    """The parametrization that is taken where none is named: the spectrum for photographs, else the pixels."""
    return "spectrum" if classifier.preprocess.photographs else "pixels"


def steps(parametrization: str, optimizer: str) -> int:
    """How many steps are taken where nothing is said."""
    return ITERATIONS[optimizer] if parametrization == "pixels" else WAYS[parametrization].STEPS


def pixels(
    classifier: Classifier,
    layer: str,
    wanted: Floats,
    weights: loss.Weights,
    optimizer: str,
    iterations: int | None,
    sigma: float | None,
    seed: int,
) -> Descent:
    """How a layer is inverted by way of the pixels, as in 2015."""
    scale = loss.normalization(classifier.preprocess, sigma)
    start = np.repeat(noise(classifier.preprocess.shape, seed), len(wanted), axis=0)
    count = ITERATIONS[optimizer] if iterations is None else iterations
    return Descent(
        start,
        count,
        STEPS[optimizer](count, start[0].size),
        loss.loss(classifier, layer, wanted, scale, weights),
        lambda x: np.asarray(scale.undo(x), np.float32),
        lambda x: (loss.alpha_norm(x), loss.total_variation(x)),
        weights,
    )


def chosen(classifier: Classifier, most: int | None) -> list[str]:
    """The layers that are inverted where none is named: all, or of more than `LAYERS` those in which the stages end.

    Args:
        classifier: The model.
        most: How many at most; of more they are taken from all depths.
    """
    found = list(classifier.stages) if len(classifier.layers) > LAYERS else []
    # A network without feature maps has no stages, and one without strides a single one.
    found = found if len(found) > 2 else representations(classifier)
    return evenly_spaced(found, LAYERS if most is None else most)


def representations(classifier: Classifier) -> list[str]:
    """The layers that hold something of their own, in the order of computation, the last being the logits.

    Left out are the softmax, which the logits stand for, and layers that return the numbers of an earlier one, in whatever
    shape: they would give the same picture again. Images of noise tell, so that it holds for layers of any class.
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


def noise(shape: tuple[int, ...], seed: int) -> Floats:
    """Gaussian noise of norm 1, (1, H, W, C), the same for every image, so that none depends on its place in a batch."""
    drawn = np.random.default_rng(seed).normal(size=(1, *shape))
    return np.asarray(drawn / np.linalg.norm(drawn), np.float32)


def _adam(steps: int, size: int) -> optimize.Step:
    """Adam, its rate falling to 0 along half a cosine."""
    rate = ADAM_RATE / math.sqrt(size)
    return optimize.adam(lambda number: rate * (1 + math.cos(math.pi * number / steps)) / 2)


def _momentum(steps: int, _: int) -> optimize.Step:
    """The paper's: a rate of 1, 0.1 and 0.01 times `PAPER_RATE` for a quarter, a half and a quarter of the steps."""
    return optimize.momentum(
        lambda number: PAPER_RATE * (1 if 4 * number < steps else 0.1 if 4 * number < 3 * steps else 0.01), MOMENTUM
    )


STEPS: dict[str, Callable[[int, int], optimize.Step]] = {"adam": _adam, "momentum": _momentum}
"""The optimizers by name, each for a number of steps and of variables."""

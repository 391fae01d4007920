"""The descent by which layers are inverted together, for any parametrization of the image: its spectrum or its pixels."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from cnnexplain import optimize
from cnnexplain_plugins.inversion.loss import Weights, data, sizes

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

    from cnnexplain import Classifier


@dataclass(frozen=True)
class Loss:
    """data · representation error + α · α-norm + λ · total variation, for `optimize.minimize_compiled`.

    Args:
        layers: K layers, each as a name, or as two if the gradient passes the ReLU: also the layer before it.
        picture: Variables (N, …) ↦ pictures (N, H, W, C), in the units of the terms.
        show: (pictures (N, K, H, W, C), further arguments, …) ↦ images in the model's input range.
        terms: Pictures (N, H, W, C) ↦ the α-norm (N,) and the total variation (N,).
    """

    layers: tuple[tuple[str, ...], ...]
    picture: Callable[[Any], Any]
    show: Callable[..., Any]
    terms: Callable[[Any], tuple[Any, Any]]

    def __call__(self, outputs: Any, variables: Any, weights: Any, *others: Any) -> Any:
        """The losses (N, K).

        Args:
            outputs: Computes the layers; see `Classifier.compiled`.
            variables: (N, K, …).
            weights: (N, K, 3), those of the three terms.
            others: Φ0 (N, …) for each layer, ‖Φ0‖ for each layer, and the further arguments of `show`.
        """
        count = len(self.layers)
        codes, norms, shown = others[:count], others[count : 2 * count], others[2 * count :]
        pictures = self.picture(flat(variables))
        terms = (ops.reshape(each, (-1, count)) for each in self.terms(pictures))
        images = self.show(ops.reshape(pictures, (-1, count, *pictures.shape[1:])), *shown)
        found = map(_through_relu, outputs.apart(images, self.layers))
        errors = ops.stack([data(*each) for each in zip(found, codes, norms, strict=True)], axis=1)
        return sum(weights[..., place] * each for place, each in enumerate((errors, *terms)))


@dataclass(frozen=True)
class Descent:
    """What is minimized and how.

    Args:
        loss: For K layers.
        codes: Φ0 (N, …) for each of them.
        weights: The weights of the terms for each layer.
        start: The initial variables of a picture.
        steps: The number of steps.
        step: The optimizer.
        images: Pictures (N, K, H, W, C) ↦ images in the model's input range, for NumPy arrays.
        shown: Further arguments of `Loss.show` that stay the same, each (N, …).
        schedule: Further arguments that differ between steps.
        keep: A projection of the variables that is applied after each step.
        best: Whether the variables with the lowest loss are kept, or the last ones.
    """

    loss: Loss
    codes: Sequence[Float32[np.ndarray, "N ..."]]
    weights: Sequence[Weights]
    start: Float32[np.ndarray, "*shape"]
    steps: int
    step: optimize.Optimizer
    images: Callable[[Any], Any]
    shown: Sequence[Float32[np.ndarray, "N ..."]] = ()
    schedule: Sequence[Float[np.ndarray, "steps ..."]] = ()
    keep: Callable[..., Any] | None = None
    best: bool = True

    @property
    def names(self) -> list[str]:
        """The layers whose outputs are read."""
        return list(dict.fromkeys(name for names in self.loss.layers for name in names))

    @property
    def arrays(self) -> list[Float32[np.ndarray, "N ..."]]:
        """The arguments of the loss that stay the same."""
        weights = np.array([(each.data, each.alpha, each.variation) for each in self.weights], np.float32)
        norms = [sizes(code) for code in self.codes]
        return [np.tile(weights, (len(self.codes[0]), 1, 1)), *self.codes, *norms, *self.shown]

    def minimize(self, classifier: Classifier, progress: Callable[[int, int], None]) -> optimize.Optimum:
        """Minimizes the loss for N images and K layers."""
        count, layers = len(self.codes[0]), len(self.loss.layers)
        return optimize.minimize_compiled(
            classifier,
            self.loss,
            self.names,
            np.tile(self.start, (count, layers, *[1] * self.start.ndim)),
            self.step,
            self.steps,
            arrays=self.arrays,
            schedule=self.schedule,
            keep=self.keep,
            together=layers,
            views=layers,
            best=self.best,
            progress=progress,
        )

    def results(
        self, classifier: Classifier, variables: Float32[np.ndarray, "N K ..."]
    ) -> tuple[Float32[np.ndarray, "N K H W C"], Float32[np.ndarray, "N K"], Float32[np.ndarray, "N K"]]:
        """The images in the model's input range, the α-norm, and the total variation, without their weights."""
        parts = [self._results(variables[part]) for part in classifier.slices(*variables.shape[:2])]
        images, norms, totals = (np.concatenate(each) for each in zip(*parts, strict=True))
        return images, norms, totals

    def _results(
        self, variables: Float32[np.ndarray, "n K ..."]
    ) -> tuple[Float32[np.ndarray, "n K H W C"], Float32[np.ndarray, "n K"], Float32[np.ndarray, "n K"]]:
        pictures = self.loss.picture(flat(variables))
        norm, total = (np.reshape(ops.convert_to_numpy(each), variables.shape[:2]) for each in self.loss.terms(pictures))
        pictures = ops.convert_to_numpy(pictures)
        images = self.images(pictures.reshape(*variables.shape[:2], *pictures.shape[1:]))
        return np.asarray(ops.convert_to_numpy(images), np.float32), norm, total


@functools.cache
def own_outputs(layers: tuple[str, ...]) -> Callable[..., list[Any]]:
    """(outputs, images (N, K, H, W, C)) ↦ the output of each of K layers for its image, for `Classifier.compiled`."""

    def own(outputs: Any, images: Any) -> list[Any]:
        return [each[name] for each, name in zip(outputs.apart(images, [[name] for name in layers]), layers, strict=True)]

    return own


def flat(variables: Any) -> Any:
    """The variables of all layers, one picture after the other: (N, K, …) ↦ (N · K, …)."""
    return ops.reshape(variables, (-1, *variables.shape[2:]))


def _through_relu(outputs: dict[str, Any]) -> Any:
    """The output of a layer; with that of the layer before, the slope of the ReLU between them is taken as 1."""
    output, *before = outputs.values()
    return before[0] + ops.stop_gradient(output - before[0]) if before else output

"""What a model's output represents: probabilities with the scores they come from, only scores, or other values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import keras
import numpy as np

from cnnexplain.errors import ModelError, UsageError, line, suggest
from cnnexplain.model.head import mixtures
from cnnexplain.model.head.outputs import noun

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

Kind: TypeAlias = Literal["softmax", "sigmoid", "values"]
"""How scores give probabilities: of one class of K, or of each class independently; "values" gives none."""

LEAST, BELOW_ONE = 1e-37, 2.0**-25
"""The lower bounds of p and of 1 − p before logarithms are taken, due to single precision."""

SUMS_TO = 1e-2
"""The largest deviation from 1 of a sum of probabilities; half precision suffices."""

PROBABILITIES = "If they are probabilities, say so with --probabilities (probabilities=True)."
SCORES = "If they are scores before a softmax, say so with --logits (logits=True)"
DECLARED = "They are treated as scores before a softmax, as declared by logits=True (--logits, the sidecar's head)"
NUMBERS = "other numbers, such as an age, with --values (values=True)"


@dataclass(frozen=True)
class Head:
    """A model's head.

    Args:
        kind: How scores give probabilities.
        certain: Whether the scores are known to be scores: from the model's layers, or declared by the user.
        raw: Whether the model returns the scores themselves instead of probabilities.
        outputs: The number K of outputs for an image, after the reduction.
        name: The name of the output; "value" if it has only a name assigned by Keras.
        affine: Whether the last layer multiplies by weights and adds a bias, so that the output can be any number.
        layers: The layers that reduce and reshape the model's own output to (N, K).
        clipped: Whether the scores are logarithms of probabilities, which may be 0.
    """

    kind: Kind
    certain: bool
    raw: bool
    outputs: int
    name: str
    affine: bool
    layers: tuple[Any, ...]
    clipped: bool = False

    def __str__(self) -> str:
        if self.kind == "values":
            return f"{self.outputs} value{'s' if self.outputs > 1 else ''}"
        return f"{max(2, self.outputs)} classes"

    def probabilities(self, logits: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N K"]:
        """The probabilities for logits: their softmax, or the sigmoid of each, in the same precision.

        For logits that are logarithms of the model's own probabilities: these, which may not sum to exactly 1.

        Raises:
            ModelError: The model returns values instead of probabilities.
        """
        if self.kind == "values":
            raise ModelError("The model returns values (--values), which have no probabilities.")
        if self.kind == "sigmoid":
            # Without overflow: the argument of exp is never positive.
            small = np.exp(-np.abs(logits))
            probabilities = np.where(logits < 0, small, 1) / (1 + small)
        elif self.clipped:
            probabilities = np.exp(logits)
        else:
            powers = np.exp(logits - logits.max(axis=1, keepdims=True))
            probabilities = powers / powers.sum(axis=1, keepdims=True)
        if self.clipped:
            probabilities = np.where(probabilities < 2 * LEAST, 0, probabilities)
        return np.asarray(probabilities, logits.dtype)

    def probability_tensor(self, logits: Any) -> Any:
        """`probabilities` of a tensor of logits, within a compiled function."""
        functions = {"sigmoid": keras.ops.sigmoid, "softmax": keras.ops.exp if self.clipped else keras.ops.softmax}
        probabilities = functions[self.kind](logits)
        return keras.ops.where(probabilities < 2 * LEAST, 0.0, probabilities) if self.clipped else probabilities

    def flat(self, output: Any) -> Any:
        """The model's own output, a tensor, as (N, K)."""
        for layer in self.layers:
            output = layer(output)
        return output

    def model_output(self, logits: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N outputs"]:
        """The model's own output that logits imply."""
        if self.kind == "values":
            return logits[:, : self.outputs]
        # A single unit is the last of two classes.
        return (logits if self.raw else self.probabilities(logits))[:, -self.outputs :]

    def doubt(self, outputs: Float[np.ndarray, "N K"], name: str, index: int, *, declared: bool) -> str | None:
        """Why outputs that are treated as scores may be something else; None if nothing suggests it.

        Args:
            outputs: (N, K), for a few images.
            name: The name of the model.
            index: The index of the output.
            declared: Whether the user declares them to be scores.

        Raises:
            ModelError: They are probabilities, or look like it and are not declared to be something else.
        """
        if not self.raw or self.kind == "values" or not len(outputs) or (outputs < 0).any():
            return None
        # A product with weights plus a bias yields scores, which may have any values for a few images.
        if self.affine:
            return None
        total = common_total(outputs)
        if total is not None and not sums_to_one(outputs):
            raise ModelError(
                f"The outputs of '{name}' add up to {total:.4g} for every image tried, unlike scores. "
                f"{mixtures.rescaled(0, total, index)}."
            )
        if (outputs > 1 + 1e-3).any():
            return None
        if outputs.shape[1] > 1 and sums_to_one(outputs):
            raise ModelError(
                f"The outputs of '{name}' are probabilities, whose scores before the softmax can't be reached; say so with "
                "--probabilities (probabilities=True), to use their logarithms as scores, or end the model in a Dense, "
                "Softmax or Activation layer with softmax."
            )
        looks = f"The outputs of '{name}' lie between 0 and 1 for every image tried, like probabilities"
        if declared:
            return f"{looks}. {DECLARED}. {PROBABILITIES}"
        raise ModelError(f"{looks}, but no softmax or sigmoid was found that computes them. {PROBABILITIES}")


def labels(head: Head, given: Sequence[str] | None, name: str) -> tuple[str, ...]:
    """The names of the targets: of the classes, or of the values and then "NAME down" for what decreases each.

    Args:
        head: The head.
        given: The user's names of the classes or values; None for numbers, or the name of the output.
        name: The name of the model.

    Raises:
        UsageError: The number of names is not that of the classes or values.
    """
    count = 2 if head.outputs == 1 and head.kind != "values" else head.outputs
    if given is not None and len(given) != count:
        number = "There is 1 label" if len(given) == 1 else f"There are {len(given)} labels"
        what = "value" if head.kind == "values" and count == 1 else noun(head.kind)
        raise UsageError(
            f"{number} for the {count} {what} of '{line(name)}'; name each once (--labels, the sidecar or labels=)."
        )
    if head.kind != "values":
        return tuple(map(str, range(count) if given is None else given))
    names = tuple(given or ([head.name] if count == 1 else [f"{head.name} {index}" for index in range(count)]))
    return (*names, *(f"{each} down" for each in names))


def direction(wanted: str, labels: Sequence[str]) -> str:
    """The label for a target of a model of values: "up", "down" or "NAME up"; other targets unchanged."""
    if wanted in labels:
        return wanted
    if len(labels) == 2 and wanted in ("up", "down"):
        return labels[("up", "down").index(wanted)]
    return wanted.removesuffix(" up")


def no_value(wanted: object, labels: Sequence[str]) -> UsageError:
    """The error for an unknown target of a model of values."""
    names = labels[: len(labels) // 2]
    if wanted in ("up", "down"):
        return UsageError(
            f"The model has {len(names)} values; name the one to explain, such as '{line(names[0])} {wanted}'."
        )
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    alone = ", or up and down" if len(names) == 1 else ""
    return UsageError(
        f"There is no value '{str(wanted)[:80]}'.{suggest(str(wanted)[:80], labels)} The model has "
        f"{line(', '.join(names[:20]))}{more}, each of them also as '{line(names[0])} down'{alone}."
    )


def sums_to_one(outputs: Float[np.ndarray, "N K"]) -> bool:
    """Whether each row sums to 1, like probabilities of classes that exclude each other."""
    return bool(np.allclose(outputs.sum(axis=1), 1, atol=SUMS_TO if outputs.shape[1] < 100 else 2 * SUMS_TO))


def common_total(outputs: Float[np.ndarray, "N K"]) -> float | None:
    """The sum of each row, if all rows have the same sum although they differ; None otherwise."""
    totals = outputs.sum(axis=1)
    total = float(totals.mean())
    varied = outputs.shape[1] > 1 and np.ptp(outputs, axis=0).max() > 1e-3 * total > 0
    return total if varied and np.ptp(totals) <= 1e-3 * total and outputs.min() >= 0 else None


TRIALS = 6
"""The number of trial images."""


def trial_images(shape: Sequence[int]) -> Float32[np.ndarray, "N ..."]:
    """Images (N, *shape) in [0, 1] on which outputs are examined: black, gray, white and noise."""
    random = np.random.default_rng(0)
    plain, noise = [np.full(shape, level) for level in (0, 0.5, 1)], [random.uniform(0, 1, shape) for _ in range(2)]
    return np.stack([*plain, *noise, random.integers(0, 2, shape)]).astype(np.float32)

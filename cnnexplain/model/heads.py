"""What a model's output is: probabilities and the scores that they are made of, scores alone, or other numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from cnnexplain.errors import ModelError, UsageError, line, suggest
from cnnexplain.model import mixtures
from cnnexplain.model.outputs import noun
from cnnexplain.types import Floats

Kind: TypeAlias = Literal["softmax", "sigmoid", "values"]
"""How probabilities are made of scores: of one class of K, or of each class by itself; or that there are none."""

LEAST, BELOW_ONE = 1e-37, 2.0**-25
"""The least probability, and the least that is left to 1, of which the logarithm is taken: what single precision holds."""

SUMS_TO = 1e-2
"""How far from 1 the sum of probabilities may be, half precision being enough."""

PROBABILITIES = "If they are probabilities, say so with --probabilities (probabilities=True)."
SCORES = "If they are scores before a softmax, say so with --logits (logits=True)"
DECLARED = "They are treated as scores before a softmax, since logits=True (--logits, the sidecar's head) declares them so"
NUMBERS = "other numbers, such as an age, with --values (values=True)"


@dataclass(frozen=True)
class Head:
    """A model's head.

    Args:
        kind: What it is.
        certain: Whether it is known that the scores are scores: from the model's layers, or since it was said.
        raw: Whether the model returns the scores themselves, and not probabilities.
        outputs: How many numbers K the model returns for an image, once reduced.
        name: Of the output; "value" where it has only the one that Keras gave it.
        affine: Whether a layer puts it out that multiplies by weights and adds a bias: it can be any number.
        layers: What brings the model's own output to (N, K).
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

    def probabilities(self, logits: Floats) -> Floats:
        """What the model makes of logits (N, K): their softmax, or the sigmoid of each, as precise as they are.

        Of logits that are logarithms of the model's own probabilities these, which may not quite add up to 1.

        Raises:
            ModelError: The model returns values and no probabilities.
        """
        if self.kind == "values":
            raise ModelError("The model returns values (--values), which have no probabilities.")
        if self.kind == "sigmoid":
            # Without overflow: exp is only ever given numbers up to 0.
            small = np.exp(-np.abs(logits))
            found = np.where(logits < 0, small, 1) / (1 + small)
        elif self.clipped:
            found = np.exp(logits)
        else:
            powers = np.exp(logits - logits.max(axis=1, keepdims=True))
            found = powers / powers.sum(axis=1, keepdims=True)
        if self.clipped:
            found = np.where(found < 2 * LEAST, 0, found)
        return np.asarray(found, logits.dtype)

    def flat(self, output: Any) -> Any:
        """The model's own output, a tensor, as (N, K)."""
        for layer in self.layers:
            output = layer(output)
        return output

    def own(self, logits: Floats) -> Floats:
        """The model's output (N, K) that belongs to logits."""
        if self.kind == "values":
            return logits[:, : self.outputs]
        # One unit alone stands for the last of two classes.
        return (logits if self.raw else self.probabilities(logits))[:, -self.outputs :]

    def doubt(self, outputs: Floats, name: str, place: int, *, said: bool) -> str | None:
        """Why the outputs, which are taken for scores, may be something else.

        Args:
            outputs: (N, K), of a few images.
            name: Of the model.
            place: Which of the model's outputs they are.
            said: Whether the user says so.

        Raises:
            ModelError: They are probabilities, or look so and it isn't said that they are not.
        """
        if not self.raw or self.kind == "values" or not len(outputs) or (outputs < 0).any():
            return None
        # What multiplies by weights and adds a bias makes scores, and for a few images they may lie anywhere.
        if self.affine:
            return None
        total = common_total(outputs)
        if total is not None and not sums_to_one(outputs):
            raise ModelError(
                f"The outputs of '{name}' add up to {total:.4g} for every image tried, which scores don't. "
                f"{mixtures.rescaled(0, total, place)}."
            )
        if (outputs > 1 + 1e-3).any():
            return None
        if outputs.shape[1] > 1 and sums_to_one(outputs):
            raise ModelError(
                f"The outputs of '{name}' are probabilities, whose scores before the softmax can't be reached; say so with "
                "--probabilities (probabilities=True), which takes their logarithms for scores, or end the model in a "
                "Dense, Softmax or Activation layer with softmax."
            )
        looks = f"The outputs of '{name}' lie between 0 and 1 for every image tried, like probabilities"
        if said:
            return f"{looks}. {DECLARED}. {PROBABILITIES}"
        raise ModelError(f"{looks}, and no softmax or sigmoid was found that computes them. {PROBABILITIES}")


def labels(head: Head, given: Sequence[str] | None, name: str) -> tuple[str, ...]:
    """The names of what may be explained; of values their own, then for what lowers each "NAME down".

    Args:
        head: The head.
        given: The user's names of its classes or values; None for numbers, or the name of the output.
        name: Of the model.

    Raises:
        UsageError: There are more or fewer names than classes or values.
    """
    count = 2 if head.outputs == 1 and head.kind != "values" else head.outputs
    if given is not None and len(given) != count:
        told = "There is 1 label" if len(given) == 1 else f"There are {len(given)} labels"
        what = "value" if head.kind == "values" and count == 1 else noun(head.kind)
        raise UsageError(
            f"{told} for the {count} {what} of '{line(name)}'; name each once (--labels, the sidecar or labels=)."
        )
    if head.kind != "values":
        return tuple(map(str, range(count) if given is None else given))
    names = tuple(given or ([head.name] if count == 1 else [f"{head.name} {index}" for index in range(count)]))
    return (*names, *(f"{each} down" for each in names))


def direction(wanted: str, labels: Sequence[str]) -> str:
    """The label that a target of a model of values stands for: "up", "down" or "NAME up", else what was given."""
    if wanted in labels:
        return wanted
    if len(labels) == 2 and wanted in ("up", "down"):
        return labels[("up", "down").index(wanted)]
    return wanted.removesuffix(" up")


def no_value(wanted: object, labels: Sequence[str]) -> UsageError:
    """The error for a target that a model of values has not."""
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


def sums_to_one(outputs: Floats) -> bool:
    """Whether each row holds probabilities of which one is to be true."""
    return bool(np.allclose(outputs.sum(axis=1), 1, atol=SUMS_TO if outputs.shape[1] < 100 else 2 * SUMS_TO))


def common_total(outputs: Floats) -> float | None:
    """What each row of outputs adds up to, where that is the same for all though the outputs are not."""
    totals = outputs.sum(axis=1)
    total = float(totals.mean())
    varied = outputs.shape[1] > 1 and np.ptp(outputs, axis=0).max() > 1e-3 * total > 0
    return total if varied and np.ptp(totals) <= 1e-3 * total and outputs.min() >= 0 else None


TRIALS = 6
"""How many images a model is tried on."""


def images(shape: Sequence[int]) -> Floats:
    """What a model is tried on to see what its outputs are, from 0 to 1: black, gray, white and noise, (N, *shape)."""
    random = np.random.default_rng(0)
    plain, noise = [np.full(shape, level) for level in (0, 0.5, 1)], [random.uniform(0, 1, shape) for _ in range(2)]
    return np.stack([*plain, *noise, random.integers(0, 2, shape)]).astype(np.float32)

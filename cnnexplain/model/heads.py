"""What a model's output is: probabilities and the scores that they are made of, scores alone, or other numbers.

From the output back, past layers that leave probabilities as they are (Dropout, Identity, Reshape, a cast …), to the softmax
or sigmoid, which is known by what it computes. What is explained are the scores before it. Where they can't be reached, as
behind an average of two models, the user may say that the outputs are probabilities p: the scores are then log p, of which p
is the softmax, or log p − log(1 − p), of which p is the sigmoid.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeAlias

import keras
import numpy as np

from cnnexplain.errors import CnnExplainError, ModelError, UsageError, line, suggest
from cnnexplain.model import mixtures, recognition
from cnnexplain.model.graph import INPUT, LOGITS, Call, Twin, linear_part
from cnnexplain.model.outputs import Kind as Said
from cnnexplain.model.outputs import Output, Reduction, noun
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
        raw: Whether the model puts out the scores themselves, and not probabilities.
        outputs: How many numbers K the model puts out for an image, once reduced.
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
            ModelError: The model puts out values and no probabilities.
        """
        if self.kind == "values":
            raise ModelError("The model puts out values (--values), which have no probabilities.")
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
        total = _total(outputs)
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


def _total(outputs: Floats) -> float | None:
    """What each row of outputs adds up to, where that is the same for all though the outputs are not."""
    totals = outputs.sum(axis=1)
    total = float(totals.mean())
    varied = outputs.shape[1] > 1 and np.ptp(outputs, axis=0).max() > 1e-3 * total > 0
    return total if varied and np.ptp(totals) <= 1e-3 * total and outputs.min() >= 0 else None


def headed(
    twin: Twin,
    told: Output,
    output: str,
    tried: Callable[[Twin], Floats],
) -> tuple[Twin, Head]:
    """The twin with the scores among its tensors, as `LOGITS`, and what is known of them.

    Args:
        twin: As it was traced.
        told: What the user says of the output.
        output: The name of the output.
        tried: A twin ↦ its `LOGITS` for a few images, (N, K).

    Raises:
        ModelError: The scores can't be reached, or the output has another form.
        UsageError: What is said is not so.
    """
    end, add, said, reduce = twin.end, _Adding(twin), told.kind, told.reduce
    if "float" not in str(end.dtype):
        raise ModelError(
            f"The output '{line(output)}' is of {end.dtype}; expected floating-point numbers, such as scores of classes."
        )
    layers = _flattening(tuple(end.shape[1:]), reduce, end.dtype, output)
    before = _before(twin, end)
    if said == "logits" and before.name in recognition.PROBABILISTIC:
        instead = "" if before.scores is not None else " and say --probabilities (probabilities=True)"
        raise UsageError(
            f"The model ends in a {before.name} (layer '{line(before.layer.name)}'), whose outputs are probabilities and no "
            f"scores; leave out --logits (logits=True){instead}."
        )
    # The mean of probabilities over pixels is not made of the mean of their scores; that of one pixel is.
    several = reduce is not None and math.prod(end.shape[1:-1]) > 1
    commutes = isinstance(reduce, tuple) or (reduce == "max" and before.name == "sigmoid")
    alike = not several or (commutes and before.shape == _shape(end))
    if said is None:
        _check(before, alike)
    mixed = mixtures.mixture(twin, end) if before.name not in HEADS and said != "values" else None
    if mixed is not None and not (said == "probabilities" and mixed.probable):
        raise _computed(mixed, said)

    def flattened(tensor: Any) -> Any:
        same = len(tensor.shape) == len(end.shape)
        for layer in layers if same else _flattening(_shape(tensor), None, tensor.dtype, output):
            tensor = add.layer(layer, tensor)
        return tensor

    def head(kind: Kind, scores: Any, *, raw: bool = True, certain: bool = True, clipped: bool = False) -> tuple[Twin, Head]:
        name = "value" if _automatic(output, _producer(twin, end)) else output
        found = Head(kind, certain, raw, scores.shape[-1], name, before.affine, tuple(layers), clipped)
        if kind == "values":
            scores = add.joined(_both, scores, 2 * found.outputs)
        elif found.outputs == 1:
            scores = add.joined(_opposite, scores, 2)
        return add.done(scores), found

    if said == "values":
        return head("values", flattened(end))
    if said != "logits" and before.name in recognition.PROBABILISTIC and alike and before.scores is not None:
        scores = flattened(add.call(before.scores) if isinstance(before.scores, Call) else before.scores)
        if before.name == "softmax" and scores.shape[-1] == 1:
            raise _one_number("whose softmax is always 1")
        if before.name == "softmax" and said == "probabilities":
            scores = add.layer(keras.layers.Activation("log_softmax", dtype="float32"), scores)
        return head(before.name, scores, raw=False)  # type: ignore[arg-type]
    if said == "probabilities" or before.name in recognition.PROBABILISTIC:
        probabilities = flattened(end)
        kind = _probabilistic(tried(add.done(probabilities)), twin.place)
        logarithm = log_probability if kind == "softmax" else log_odds
        scores = add.layer(keras.layers.Activation(logarithm, dtype="float32"), probabilities)
        return head(kind, scores, raw=False, clipped=True)
    scores = flattened(end)
    if scores.shape[-1] == 1 and said is None:
        seen = tried(add.done(scores))
        like = not before.affine and seen.min() >= 0 and seen.max() <= 1
        raise _one_number("which looks like a probability" if like else "which may be any number", like=like)
    return head("sigmoid" if scores.shape[-1] == 1 else "softmax", scores, certain=said is not None or bool(before.name))


def _automatic(name: str, producer: Call | None) -> bool:
    """Whether an output has the name that Keras gives to layers without one, such as "dense_3", which says nothing."""
    if producer is None:
        return True
    kind = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", type(producer.inner).__name__)
    return bool(re.fullmatch(re.sub("([a-z])([A-Z])", r"\1_\2", kind).lower() + r"(_[0-9]+)?", name))


class _Adding:
    """A twin to which calls are added after its own."""

    def __init__(self, twin: Twin) -> None:
        self._twin, self._calls = twin, list(twin.calls)

    def layer(self, layer: Any, tensor: Any) -> Any:
        """What a layer of ours makes of a tensor."""
        return self.call(Call(LOGITS, layer, layer, (tensor,), {}, layer(tensor)))

    def joined(self, function: Callable[[Any], Any], tensor: Any, outputs: int) -> Any:
        """(N, outputs), what a function makes of a tensor that concatenates parts of it, some of them negative."""
        output = keras.KerasTensor((tensor.shape[0], outputs), tensor.dtype)
        return self.call(Call(LOGITS, keras.layers.Concatenate(name="opposite"), function, (tensor,), {}, output))

    def call(self, call: Call) -> Any:
        """The output of a call."""
        self._calls.append(call)
        return call.output

    def done(self, scores: Any) -> Twin:
        """The twin with these scores; a layer that is called "logits" and isn't them gives way."""
        tensors = self._twin.tensors
        if LOGITS in tensors and tensors[LOGITS] is not scores:
            tensors = {name + ":1" if name == LOGITS else name: tensor for name, tensor in tensors.items()}
        names = tuple(name for name in tensors if name != INPUT)
        last = next((name for name in names if tensors[name] is self._twin.end), None)
        tensors = {**tensors, LOGITS: scores}
        return replace(self._twin, calls=tuple(self._calls), tensors=tensors, names=names, output=last)


def _opposite(score: Any) -> Any:
    """(N, 1), the score s of one class against another, as the scores (−s, s) of the two: their sigmoids add up to 1."""
    return keras.ops.concatenate([-score, score], axis=-1)


def _both(values: Any) -> Any:
    """(N, K), values v, as what may be explained of them, (v, −v): what raises them, and what lowers them."""
    return keras.ops.concatenate([values, -values], axis=-1)


def log_probability(p: Any) -> Any:
    """The logarithm of probabilities, these no less than `LEAST`."""
    return keras.ops.log(keras.ops.maximum(p, LEAST))


def log_odds(p: Any) -> Any:
    """The logarithm of p / (1 − p), neither of them less than single precision holds."""
    return log_probability(p) - keras.ops.log(keras.ops.maximum(1 - p, BELOW_ONE))


def _probabilistic(outputs: Floats, place: int) -> Kind:
    """How the user's probabilities (N, K) are meant, told by some of them.

    Raises:
        UsageError: They are no probabilities.
    """
    if not np.isfinite(outputs).all() or outputs.min() < -1e-3 or outputs.max() > 1 + 1e-3:
        go = f"The model's outputs go from {outputs.min():.3g} to {outputs.max():.3g} for a few images tried, and are no"
        total = _total(outputs)
        if total is not None:
            raise UsageError(f"{go} probabilities, but add up to {total:.4g}. {mixtures.rescaled(0, total, place)}.")
        raise UsageError(
            f"{go} probabilities; leave out --probabilities (probabilities=True). {SCORES}; if they are {NUMBERS}."
        )
    return "softmax" if outputs.shape[1] > 1 and sums_to_one(outputs) else "sigmoid"


def _flattening(shape: tuple[int | None, ...], reduce: Reduction | None, dtype: str, output: str) -> list[Any]:
    """The layers that bring an output (N, *shape) to (N, K).

    Raises:
        ModelError: It has another form, or a score for each pixel and it isn't said which counts.
        UsageError: It can't be reduced so.
    """
    output = line(output)
    named = f"The output '{output}' is ({', '.join('any' if size is None else str(size) for size in shape)})"
    if reduce is not None and len(shape) not in (2, 3):
        raise UsageError(f"{named} and has no pixels; leave out --reduce (reduce=).")
    if isinstance(reduce, tuple):
        if len(shape) != 3 or any(not 0 <= at < (size or 0) for at, size in zip(reduce, shape, strict=False)):
            raise UsageError(
                f"{named} and has no pixel {reduce[0]},{reduce[1]}; --reduce (reduce=) counts rows, columns from 0."
            )
        sides = tuple((at, (size or 0) - 1 - at) for at, size in zip(reduce, shape, strict=False))
        return [
            keras.layers.Cropping2D(sides, data_format="channels_last", dtype=dtype),
            keras.layers.Flatten(data_format="channels_last", dtype=dtype),
        ]
    if reduce is not None:
        kind = f"Global{'Average' if reduce == 'mean' else 'Max'}Pooling{len(shape) - 1}D"
        return [getattr(keras.layers, kind)(data_format="channels_last", dtype=dtype)]
    if None in shape or 0 in shape:
        raise ModelError(f"{named}; expected one score for each class, (classes).")
    if math.prod(size or 1 for size in shape[:-1]) > 1:
        advice = {
            3: f"say what is made of those of all pixels with --output {output} --reduce mean, max or ROW,COLUMN (output=, "
            "reduce=)",
            2: f"say what is made of its rows with --output {output} --reduce mean or max (output=, reduce=)",
        }
        raise ModelError(
            f"{named}; expected one score for each class, (classes): "
            f"{advice.get(len(shape), 'end the model in a layer that puts these out')}."
        )
    if not shape:
        return [keras.layers.Reshape((1,), dtype=dtype)]
    return [keras.layers.Flatten(data_format="channels_last", dtype=dtype)] if len(shape) > 1 else []


def _one_number(which: str, *, like: bool = False) -> ModelError:
    expected = f"The model puts out one number, {which}; expected a score for each of several classes, or one sigmoid unit."
    if like:
        return ModelError(f"{expected} If it is one, say so with --probabilities (probabilities=True).")
    return ModelError(
        f"{expected} If it is the score of one class against another, say so with --logits (logits=True); if it is a "
        "probability, with --probabilities (probabilities=True); if it is another number, such as an age, with --values "
        "(values=True)."
    )


def _computed(mixed: mixtures.Mixture, said: Said | None) -> CnnExplainError:
    """The error for outputs that are computed of probabilities and are taken for something else."""
    leave = "" if said is None else f"; leave out --{said} ({said}=True)"
    if mixed.probable:
        what, remedy = "no scores", f"{PROBABILITIES.removesuffix('.')}; if they are {NUMBERS}."
    else:
        numbers = "If they are other numbers, such as an age, say so with --values (values=True)."
        what, remedy = "neither scores nor probabilities", f"{mixed.remedy}. {numbers}"
    text = f"The model's outputs are {mixed}: they are {what}{leave}. {remedy}"
    return ModelError(text) if said is None else UsageError(text)


@dataclass(frozen=True)
class _Before:
    """What a model's output is made of, past all that leaves probabilities as they are.

    Args:
        name: "softmax", "sigmoid" or "log_softmax"; "" where the output ends in none of them.
        layer: The layer or operation that puts it out; None for an input.
        shape: Of what it puts out, for an image.
        scores: What it makes probabilities of: a symbolic tensor, or the call that computes it; None where it can't be
            reached.
        affine: Whether a layer puts it out that multiplies by weights and adds a bias, and nothing bounds it.
    """

    name: str
    layer: Any
    shape: tuple[int, ...]
    scores: Any = None
    affine: bool = False


def _producer(twin: Twin, tensor: Any) -> Call | None:
    """The call that puts out a tensor."""
    return next((call for call in twin.calls if any(each is tensor for each in keras.tree.flatten(call.output))), None)


def _before(twin: Twin, end: Any) -> _Before:
    tensor, name, scores, affine, bounded = end, "", None, False, False
    while (call := _producer(twin, tensor)) is not None:
        activation, sources = getattr(call.inner, "activation", None), call.sources
        if getattr(call.inner, "weights", None):
            # What a layer makes of its product; one without an activation of its own is known by nothing.
            name = recognition.head(activation, _shape(tensor)) if callable(activation) else ""
            linear = linear_part(call.inner)
            affine = linear is not None and name == "linear" and not bounded
            if linear is not None:
                like = keras.KerasTensor(tensor.shape, tensor.dtype)
                scores = Call(LOGITS, call.inner, linear, call.args, {}, like)
            break
        if len(sources) != 1 or not _fits(sources[0], tensor):
            break
        source = sources[0]
        function = partial(call.given, source)
        how = _shape(source), keras.backend.standardize_dtype(source.dtype)
        name, scores = recognition.head(function, *how), source
        if name in HEADS or not (name == "linear" or recognition.keeps(function, *how)):
            break
        tensor, bounded = source, bounded or name != "linear"
    # Logarithms are no probabilities, which alone are left as they are.
    if name not in HEADS or (name == "log_softmax" and tensor is not end):
        name, scores = "", None
    return _Before(name, None if call is None else call.inner, _shape(tensor), scores, affine)


HEADS = (*recognition.PROBABILISTIC, "log_softmax")
"""What a model may end in that is known."""


def _fits(source: Any, tensor: Any) -> bool:
    """Whether one tensor may be probabilities or scores of the same classes as another: it has as many numbers."""
    shapes = [tuple(each.shape[1:]) for each in (source, tensor)]
    if any(None in shape for shape in shapes) or math.prod(shapes[0]) != math.prod(shapes[1]):
        return False
    # Of scores for each pixel the classes stay last.
    return all(max(shape, default=1) == math.prod(shape) for shape in shapes) or shapes[0][-1] == shapes[1][-1]


def _shape(tensor: Any) -> tuple[int, ...]:
    return tuple(tensor.shape[1:])


def _check(before: _Before, alike: bool) -> None:
    """Sees that a model of which nothing is said ends in what is known.

    Raises:
        ModelError: It ends in another activation, or in one whose scores can't be reached.
    """
    layer = before.layer
    if before.name in recognition.PROBABILISTIC and before.scores is None and alike:
        kind = f"'{line(layer.name)}' ({line(type(layer).__name__)})"
        raise ModelError(
            f"The scores before the {before.name} of layer {kind} can't be reached; say with --probabilities "
            "(probabilities=True) that the outputs are probabilities, whose logarithms are then the scores, or end the "
            "model in a Dense, Softmax or Activation layer."
        )
    activation = getattr(layer, "activation", None)
    if before.name or not callable(activation) or recognition.head(activation, (3,)) == "linear":
        return
    name = line(getattr(activation, "__name__", type(activation).__name__))
    ends = (
        f"The model ends in the activation '{name}' (layer '{line(layer.name)}'); expected softmax, sigmoid or raw scores."
    )
    outcome = recognition.tried(activation, recognition.NUMBERS[None])
    if outcome is not None and outcome[0].min() >= 0 and outcome[0].max() <= 1:
        raise ModelError(f"{ends} {PROBABILITIES}")
    raise ModelError(
        f"{ends} If its outputs are the scores themselves, say so with --logits (logits=True); if they are {NUMBERS}."
    )


TRIALS = 6
"""How many images a model is tried on."""


def images(shape: Sequence[int]) -> Floats:
    """What a model is tried on to see what its outputs are, from 0 to 1: black, grey, white and noise, (N, *shape)."""
    random = np.random.default_rng(0)
    plain, noise = [np.full(shape, level) for level in (0, 0.5, 1)], [random.uniform(0, 1, shape) for _ in range(2)]
    return np.stack([*plain, *noise, random.integers(0, 2, shape)]).astype(np.float32)

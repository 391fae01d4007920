"""Finds a model's head: adds to its graph the scores that are explained, and tells what is known of them.

From the output back, past layers that leave probabilities as they are (Dropout, Identity, Reshape, a cast …), to the softmax
or sigmoid, which is known by what it computes. What is explained are the scores before it. Where they can't be reached, as
behind an average of two models, the user may say that the outputs are probabilities p: the scores are then log p, of which p
is the softmax, or log p − log(1 − p), of which p is the sigmoid.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from cnnexplain.errors import CnnExplainError, ModelError, UsageError, line
from cnnexplain.model import mixtures, output_functions
from cnnexplain.model.graph import INPUT, LOGITS, Call, Graph
from cnnexplain.model.heads import BELOW_ONE, LEAST, NUMBERS, PROBABILITIES, SCORES, Head, Kind, common_total, sums_to_one
from cnnexplain.model.output_ends import HEADS, check_known, find_end, producer, shape_of
from cnnexplain.model.outputs import Kind as Said
from cnnexplain.model.outputs import Output, Reduction
from cnnexplain.types import Floats


def headed(
    graph: Graph,
    told: Output,
    output: str,
    tried: Callable[[Graph], Floats],
) -> tuple[Graph, Head]:
    """The graph with the scores among its tensors, as `LOGITS`, and what is known of them.

    Args:
        graph: As it was traced.
        told: What the user says of the output.
        output: The name of the output.
        tried: A graph ↦ its `LOGITS` for a few images, (N, K).

    Raises:
        ModelError: The scores can't be reached, or the output has another form.
        UsageError: What is said is not so.
    """
    end, add, said, reduce = graph.output, _Adding(graph), told.kind, told.reduce
    if "float" not in str(end.dtype):
        raise ModelError(
            f"The output '{line(output)}' is of {end.dtype}; expected floating-point numbers, such as scores of classes."
        )
    layers = _flattening(tuple(end.shape[1:]), reduce, end.dtype, output)
    before = find_end(graph, end)
    if said == "logits" and before.name in output_functions.PROBABILISTIC:
        instead = "" if before.scores is not None else " and say --probabilities (probabilities=True)"
        raise UsageError(
            f"The model ends in a {before.name} (layer '{line(before.layer.name)}'), whose outputs are probabilities and no "
            f"scores; leave out --logits (logits=True){instead}."
        )
    # The mean of probabilities over pixels is not made of the mean of their scores; that of one pixel is.
    several = reduce is not None and math.prod(end.shape[1:-1]) > 1
    commutes = isinstance(reduce, tuple) or (reduce == "max" and before.name == "sigmoid")
    alike = not several or (commutes and before.shape == shape_of(end))
    if said is None:
        check_known(before, alike)
    mixed = mixtures.mixture(graph, end) if before.name not in HEADS and said != "values" else None
    if mixed is not None and not (said == "probabilities" and mixed.probable):
        raise _computed(mixed, said)

    def flattened(tensor: Any) -> Any:
        same = len(tensor.shape) == len(end.shape)
        for layer in layers if same else _flattening(shape_of(tensor), None, tensor.dtype, output):
            tensor = add.layer(layer, tensor)
        return tensor

    def head(
        kind: Kind, scores: Any, *, raw: bool = True, certain: bool = True, clipped: bool = False
    ) -> tuple[Graph, Head]:
        name = "value" if _automatic(output, producer(graph, end)) else output
        found = Head(kind, certain, raw, scores.shape[-1], name, before.affine, tuple(layers), clipped)
        if kind == "values":
            scores = add.joined(_both, scores, 2 * found.outputs)
        elif found.outputs == 1:
            scores = add.joined(_opposite, scores, 2)
        return add.done(scores), found

    if said == "values":
        return head("values", flattened(end))
    if said != "logits" and before.name in output_functions.PROBABILISTIC and alike and before.scores is not None:
        scores = flattened(add.call(before.scores) if isinstance(before.scores, Call) else before.scores)
        if before.name == "softmax" and scores.shape[-1] == 1:
            raise _one_number("whose softmax is always 1")
        if before.name == "softmax" and said == "probabilities":
            scores = add.layer(keras.layers.Activation("log_softmax", dtype="float32"), scores)
        return head(before.name, scores, raw=False)  # type: ignore[arg-type]
    if said == "probabilities" or before.name in output_functions.PROBABILISTIC:
        probabilities = flattened(end)
        kind = _probabilistic(tried(add.done(probabilities)), graph.output_index)
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
    """A graph to which calls are added after its own."""

    def __init__(self, graph: Graph) -> None:
        self._graph, self._calls = graph, list(graph.calls)

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

    def done(self, scores: Any) -> Graph:
        """The graph with these scores; a layer that is called "logits" and isn't them gives way."""
        tensors = self._graph.tensors
        if LOGITS in tensors and tensors[LOGITS] is not scores:
            tensors = {name + ":1" if name == LOGITS else name: tensor for name, tensor in tensors.items()}
        names = tuple(name for name in tensors if name != INPUT)
        last = next((name for name in names if tensors[name] is self._graph.output), None)
        tensors = {**tensors, LOGITS: scores}
        return replace(self._graph, calls=tuple(self._calls), tensors=tensors, names=names, output_layer=last)


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
        total = common_total(outputs)
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
    expected = f"The model returns one number, {which}; expected a score for each of several classes, or one sigmoid unit."
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

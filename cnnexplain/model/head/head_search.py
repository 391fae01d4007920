"""Finds a model's head: adds the scores to explain to its graph, and determines what they represent.

The search goes from the output back, past layers that keep probabilities unchanged (Dropout, Identity, Reshape, a cast …),
to the softmax or sigmoid, which is recognized by evaluating it. The scores before it are explained. If they cannot be
reached, as after an average of two models, the user can declare that the outputs are probabilities p: the scores are then
log p, whose softmax is p, or log p − log(1 − p), whose sigmoid is p.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np

from cnnexplain.errors import CnnExplainError, ModelError, UsageError, line
from cnnexplain.model.head import mixtures
from cnnexplain.model.head.heads import (
    BELOW_ONE,
    LEAST,
    NUMBERS,
    PROBABILITIES,
    SCORES,
    Head,
    Kind,
    common_total,
    sums_to_one,
)
from cnnexplain.model.head.output_ends import HEADS, check_known, find_end, producer, shape_of
from cnnexplain.model.head.output_functions import PROBABILISTIC
from cnnexplain.model.head.outputs import Kind as Declared
from cnnexplain.model.head.outputs import Output, Reduction
from cnnexplain.model.structure.graph import INPUT, LOGITS, Call, Graph

if TYPE_CHECKING:
    from jaxtyping import Float


def with_head(
    graph: Graph,
    declared: Output,
    name: str,
    evaluate: Callable[[Graph], Float[np.ndarray, "N K"]],
) -> tuple[Graph, Head]:
    """The graph with the scores as `LOGITS` among its tensors, and what they represent.

    Args:
        graph: The traced model.
        declared: What the user declares about the output.
        name: The name of the output.
        evaluate: A graph ↦ its `LOGITS` for a few images, (N, K).

    Raises:
        ModelError: The scores cannot be reached, or the output has an unsupported form.
        UsageError: A declaration does not hold.
    """
    output, add, kind, reduce = graph.output, _Extension(graph), declared.kind, declared.reduce
    if "float" not in str(output.dtype):
        raise ModelError(
            f"The output '{line(name)}' is of {output.dtype}; expected floating-point numbers, such as scores of classes."
        )
    layers = _flattening(tuple(output.shape[1:]), reduce, output.dtype, name)
    end = find_end(graph, output)
    if kind == "logits" and end.name in PROBABILISTIC:
        instead = "" if end.scores is not None else " and use --probabilities (probabilities=True)"
        raise UsageError(
            f"The model ends in a {end.name} (layer '{line(end.layer.name)}'), whose outputs are probabilities, not scores; "
            f"leave out --logits (logits=True){instead}."
        )
    # The mean of probabilities over pixels is not the softmax of the mean of their scores; for a single pixel it is.
    several = reduce is not None and math.prod(output.shape[1:-1]) > 1
    selects = isinstance(reduce, tuple) or (reduce == "max" and end.name == "sigmoid")
    commutes = not several or (selects and end.shape == shape_of(output))
    if kind is None:
        check_known(end, commutes=commutes)
    mixture = mixtures.mixture(graph, output) if end.name not in HEADS and kind != "values" else None
    if mixture is not None and not (kind == "probabilities" and mixture.probable):
        raise _mixed(mixture, kind)

    def flattened(tensor: Any) -> Any:
        same = len(tensor.shape) == len(output.shape)
        for layer in layers if same else _flattening(shape_of(tensor), None, tensor.dtype, name):
            tensor = add.layer(layer, tensor)
        return tensor

    def head(
        kind: Kind, scores: Any, *, raw: bool = True, certain: bool = True, clipped: bool = False
    ) -> tuple[Graph, Head]:
        own_name = "value" if _automatic(name, producer(graph, output)) else name
        result = Head(kind, certain, raw, scores.shape[-1], own_name, end.affine, tuple(layers), clipped)
        if kind == "values":
            scores = add.joined(_both, scores, 2 * result.outputs)
        elif result.outputs == 1:
            scores = add.joined(_opposite, scores, 2)
        return add.done(scores), result

    if kind == "values":
        return head("values", flattened(output))
    if kind != "logits" and end.name in PROBABILISTIC and commutes and end.scores is not None:
        scores = flattened(add.call(end.scores) if isinstance(end.scores, Call) else end.scores)
        if end.name == "softmax" and scores.shape[-1] == 1:
            raise _one_number("whose softmax is always 1")
        if end.name == "softmax" and kind == "probabilities":
            scores = add.layer(keras.layers.Activation("log_softmax", dtype="float32"), scores)
        return head(end.name, scores, raw=False)  # type: ignore[arg-type]
    if kind == "probabilities" or end.name in PROBABILISTIC:
        probabilities = flattened(output)
        function = _probabilistic(evaluate(add.done(probabilities)), graph.output_index)
        logarithm = log_probability if function == "softmax" else log_odds
        scores = add.layer(keras.layers.Activation(logarithm, dtype="float32"), probabilities)
        return head(function, scores, raw=False, clipped=True)
    scores = flattened(output)
    if scores.shape[-1] == 1 and kind is None:
        values = evaluate(add.done(scores))
        probable = not end.affine and values.min() >= 0 and values.max() <= 1
        raise _one_number("which looks like a probability" if probable else "which may be any number", probable=probable)
    return head("sigmoid" if scores.shape[-1] == 1 else "softmax", scores, certain=kind is not None or bool(end.name))


def _automatic(name: str, producer: Call | None) -> bool:
    """Whether an output has a meaningless name that Keras assigned, such as "dense_3"."""
    if producer is None:
        return True
    kind = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", type(producer.inner).__name__)
    return bool(re.fullmatch(re.sub("([a-z])([A-Z])", r"\1_\2", kind).lower() + r"(_[0-9]+)?", name))


class _Extension:
    """Adds calls at the end of a graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph, self._calls = graph, list(graph.calls)

    def layer(self, layer: Any, tensor: Any) -> Any:
        """The output of an added layer for a tensor."""
        return self.call(Call(LOGITS, layer, layer, (tensor,), {}, layer(tensor)))

    def joined(self, function: Callable[[Any], Any], tensor: Any, outputs: int) -> Any:
        """The output (N, outputs) of a function that concatenates a tensor and its negative."""
        output = keras.KerasTensor((tensor.shape[0], outputs), tensor.dtype)
        return self.call(Call(LOGITS, keras.layers.Concatenate(name="opposite"), function, (tensor,), {}, output))

    def call(self, call: Call) -> Any:
        """The output of an added call."""
        self._calls.append(call)
        return call.output

    def done(self, scores: Any) -> Graph:
        """The graph with these scores; another layer with the name "logits" is renamed."""
        tensors = self._graph.tensors
        if LOGITS in tensors and tensors[LOGITS] is not scores:
            tensors = {name + ":1" if name == LOGITS else name: tensor for name, tensor in tensors.items()}
        names = tuple(name for name in tensors if name != INPUT)
        last = next((name for name in names if tensors[name] is self._graph.output), None)
        tensors = {**tensors, LOGITS: scores}
        return replace(self._graph, calls=tuple(self._calls), tensors=tensors, names=names, output_layer=last)


def _opposite(score: Any) -> Any:
    """The score s (N, 1) of one class against another, as the scores (−s, s) of both: their sigmoids sum to 1."""
    return keras.ops.concatenate([-score, score], axis=-1)


def _both(values: Any) -> Any:
    """Values v (N, K) and the targets to explain, (v, −v): what increases and what decreases them."""
    return keras.ops.concatenate([values, -values], axis=-1)


def log_probability(p: Any) -> Any:
    """The logarithm of probabilities, which are clipped at `LEAST`."""
    return keras.ops.log(keras.ops.maximum(p, LEAST))


def log_odds(p: Any) -> Any:
    """The logarithm of p / (1 − p), both clipped at the limits of single precision."""
    return log_probability(p) - keras.ops.log(keras.ops.maximum(1 - p, BELOW_ONE))


def _probabilistic(outputs: Float[np.ndarray, "N K"], index: int) -> Literal["softmax", "sigmoid"]:
    """Whether declared probabilities exclude each other ("softmax") or not ("sigmoid"), judged by those of a few images.

    Raises:
        UsageError: They are not probabilities.
    """
    if not np.isfinite(outputs).all() or outputs.min() < -1e-3 or outputs.max() > 1 + 1e-3:
        go = f"The model's outputs go from {outputs.min():.3g} to {outputs.max():.3g} for a few images tried, and are not"
        total = common_total(outputs)
        if total is not None:
            raise UsageError(f"{go} probabilities, but add up to {total:.4g}. {mixtures.rescaled(0, total, index)}.")
        raise UsageError(
            f"{go} probabilities; leave out --probabilities (probabilities=True). {SCORES}; if they are {NUMBERS}."
        )
    return "softmax" if outputs.shape[1] > 1 and sums_to_one(outputs) else "sigmoid"


def _flattening(shape: tuple[int | None, ...], reduce: Reduction | None, dtype: str, output: str) -> list[Any]:
    """The layers that reduce and reshape an output (N, *shape) to (N, K).

    Raises:
        ModelError: It has an unsupported shape, or a score for each pixel and no reduction is given.
        UsageError: The reduction does not apply to it.
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
            3: f"reduce the scores of all pixels with --output {output} --reduce mean, max or ROW,COLUMN (output=, reduce=)",
            2: f"reduce its rows with --output {output} --reduce mean or max (output=, reduce=)",
        }
        raise ModelError(
            f"{named}; expected one score for each class, (classes): "
            f"{advice.get(len(shape), 'end the model in a layer that returns one')}."
        )
    if not shape:
        return [keras.layers.Reshape((1,), dtype=dtype)]
    return [keras.layers.Flatten(data_format="channels_last", dtype=dtype)] if len(shape) > 1 else []


def _one_number(which: str, *, probable: bool = False) -> ModelError:
    expected = f"The model returns one number, {which}; expected a score for each of several classes, or one sigmoid unit."
    if probable:
        return ModelError(f"{expected} If it is one, say so with --probabilities (probabilities=True).")
    return ModelError(
        f"{expected} If it is the score of one class against another, say so with --logits (logits=True); if it is a "
        "probability, with --probabilities (probabilities=True); if it is another number, such as an age, with --values "
        "(values=True)."
    )


def _mixed(mixture: mixtures.Mixture, declared: Declared | None) -> CnnExplainError:
    """The error for outputs that are computed from probabilities, but would be treated as something else."""
    leave = "" if declared is None else f"; leave out --{declared} ({declared}=True)"
    if mixture.probable:
        what, remedy = "not scores", f"{PROBABILITIES.removesuffix('.')}; if they are {NUMBERS}."
    else:
        numbers = "If they are other numbers, such as an age, say so with --values (values=True)."
        what, remedy = "neither scores nor probabilities", f"{mixture.remedy}. {numbers}"
    text = f"The model's outputs are {mixture}: they are {what}{leave}. {remedy}"
    return ModelError(text) if declared is None else UsageError(text)

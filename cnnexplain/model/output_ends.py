"""What a model's output is made of: the softmax or sigmoid behind all that leaves probabilities as they are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras

from cnnexplain.errors import ModelError, line
from cnnexplain.model import output_functions, recognition
from cnnexplain.model.function_trials import evaluate
from cnnexplain.model.graph import LOGITS, Call, Graph
from cnnexplain.model.heads import NUMBERS, PROBABILITIES
from cnnexplain.model.linear_parts import linear_part


@dataclass(frozen=True)
class End:
    """What a model's output is made of, past all that leaves probabilities as they are.

    Args:
        name: "softmax", "sigmoid" or "log_softmax"; "" where the output ends in none of them.
        layer: The layer or operation that puts it out; None for an input.
        shape: Of what it returns, for an image.
        scores: What it makes probabilities of: a symbolic tensor, or the call that computes it; None where it can't be
            reached.
        affine: Whether a layer puts it out that multiplies by weights and adds a bias, and nothing bounds it.
    """

    name: str
    layer: Any
    shape: tuple[int, ...]
    scores: Any = None
    affine: bool = False


def producer(graph: Graph, tensor: Any) -> Call | None:
    """The call that returns a tensor."""
    return next((call for call in graph.calls if any(each is tensor for each in keras.tree.flatten(call.output))), None)


def find_end(graph: Graph, end: Any) -> End:
    """What the symbolic output of a model is made of."""
    tensor, name, scores, affine, bounded = end, "", None, False, False
    while (call := producer(graph, tensor)) is not None:
        activation, sources = getattr(call.inner, "activation", None), call.sources
        if getattr(call.inner, "weights", None):
            # What a layer makes of its product; one without an activation of its own is known by nothing.
            name = output_functions.head_name(activation, shape_of(tensor)) if callable(activation) else ""
            linear = linear_part(call.inner)
            affine = linear is not None and name == "linear" and not bounded
            if linear is not None:
                like = keras.KerasTensor(tensor.shape, tensor.dtype)
                scores = Call(LOGITS, call.inner, linear, call.args, {}, like)
            break
        if len(sources) != 1 or not fits(sources[0], tensor):
            break
        source = sources[0]
        function = partial(call.with_input, source)
        how = shape_of(source), keras.backend.standardize_dtype(source.dtype)
        name, scores = output_functions.head_name(function, *how), source
        if name in HEADS or not (name == "linear" or output_functions.keeps_probabilities(function, *how)):
            break
        tensor, bounded = source, bounded or name != "linear"
    # Logarithms are no probabilities, which alone are left as they are.
    if name not in HEADS or (name == "log_softmax" and tensor is not end):
        name, scores = "", None
    return End(name, None if call is None else call.inner, shape_of(tensor), scores, affine)


HEADS = (*output_functions.PROBABILISTIC, "log_softmax")
"""What a model may end in that is known."""


def fits(source: Any, tensor: Any) -> bool:
    """Whether one tensor may be probabilities or scores of the same classes as another: it has as many numbers."""
    shapes = [tuple(each.shape[1:]) for each in (source, tensor)]
    if any(None in shape for shape in shapes) or math.prod(shapes[0]) != math.prod(shapes[1]):
        return False
    # Of scores for each pixel the classes stay last.
    return all(max(shape, default=1) == math.prod(shape) for shape in shapes) or shapes[0][-1] == shapes[1][-1]


def shape_of(tensor: Any) -> tuple[int, ...]:
    """The shape of one item of a symbolic batch."""
    return tuple(tensor.shape[1:])


def check_known(before: End, alike: bool) -> None:
    """Sees that a model of which nothing is said ends in what is known.

    Raises:
        ModelError: It ends in another activation, or in one whose scores can't be reached.
    """
    layer = before.layer
    if before.name in output_functions.PROBABILISTIC and before.scores is None and alike:
        kind = f"'{line(layer.name)}' ({line(type(layer).__name__)})"
        raise ModelError(
            f"The scores before the {before.name} of layer {kind} can't be reached; say with --probabilities "
            "(probabilities=True) that the outputs are probabilities, whose logarithms are then the scores, or end the "
            "model in a Dense, Softmax or Activation layer."
        )
    activation = getattr(layer, "activation", None)
    if before.name or not callable(activation) or output_functions.head_name(activation, (3,)) == "linear":
        return
    name = line(getattr(activation, "__name__", type(activation).__name__))
    ends = (
        f"The model ends in the activation '{name}' (layer '{line(layer.name)}'); expected softmax, sigmoid or raw scores."
    )
    outcome = evaluate(activation, recognition.INPUTS[None])
    if outcome is not None and outcome[0].min() >= 0 and outcome[0].max() <= 1:
        raise ModelError(f"{ends} {PROBABILITIES}")
    raise ModelError(
        f"{ends} If its outputs are the scores themselves, say so with --logits (logits=True); if they are {NUMBERS}."
    )

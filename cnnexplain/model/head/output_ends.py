"""Finds the softmax or sigmoid at the end of a model, before any layers that keep probabilities unchanged."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras

from cnnexplain.errors import ModelError, line
from cnnexplain.model.head.heads import NUMBERS, PROBABILITIES
from cnnexplain.model.head.output_functions import PROBABILISTIC, head_name, keeps_probabilities
from cnnexplain.model.structure import recognition
from cnnexplain.model.structure.function_trials import evaluate
from cnnexplain.model.structure.graph import LOGITS, Call, Graph
from cnnexplain.model.structure.linear_parts import linear_part


@dataclass(frozen=True)
class End:
    """The end of a model, before any layers that keep probabilities unchanged.

    Args:
        name: "softmax", "sigmoid" or "log_softmax"; "" if it is none of them.
        layer: The layer or operation; None for an input.
        shape: The shape of its output for an image.
        scores: Its input scores: a symbolic tensor, or the call that computes them; None if they cannot be reached.
        affine: Whether it only multiplies by weights and adds a bias, and nothing bounds the output.
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
    """The end of a model with a symbolic output."""
    tensor, name, scores, affine, bounded = end, "", None, False, False
    while (call := producer(graph, tensor)) is not None:
        activation, sources = getattr(call.inner, "activation", None), call.sources
        if getattr(call.inner, "weights", None):
            # A layer with weights is recognized by its activation; without an activation argument it is not recognized.
            name = head_name(activation, shape_of(tensor)) if callable(activation) else ""
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
        input_type = shape_of(source), keras.backend.standardize_dtype(source.dtype)
        name, scores = head_name(function, *input_type), source
        if name in HEADS or not (name == "linear" or keeps_probabilities(function, *input_type)):
            break
        tensor, bounded = source, bounded or name != "linear"
    # The layers after it keep probabilities unchanged, which says nothing about logarithms.
    if name not in HEADS or (name == "log_softmax" and tensor is not end):
        name, scores = "", None
    return End(name, None if call is None else call.inner, shape_of(tensor), scores, affine)


HEADS = (*PROBABILISTIC, "log_softmax")
"""The functions that are recognized at the end of a model."""


def fits(source: Any, tensor: Any) -> bool:
    """Whether two tensors may be probabilities or scores of the same classes: they have equally many values."""
    shapes = [tuple(each.shape[1:]) for each in (source, tensor)]
    if any(None in shape for shape in shapes) or math.prod(shapes[0]) != math.prod(shapes[1]):
        return False
    # For a map of scores, the classes must stay last.
    return all(max(shape, default=1) == math.prod(shape) for shape in shapes) or shapes[0][-1] == shapes[1][-1]


def shape_of(tensor: Any) -> tuple[int, ...]:
    """The shape of a symbolic tensor for one image."""
    return tuple(tensor.shape[1:])


def check_known(end: End, *, commutes: bool) -> None:
    """Checks that the end of a model without declarations is known.

    Args:
        end: The end of the model.
        commutes: Whether its scores could be reduced like its outputs.

    Raises:
        ModelError: It is another activation, or its scores cannot be reached.
    """
    layer = end.layer
    if end.name in PROBABILISTIC and end.scores is None and commutes:
        kind = f"'{line(layer.name)}' ({line(type(layer).__name__)})"
        raise ModelError(
            f"The scores before the {end.name} of layer {kind} can't be reached; declare the outputs as probabilities with "
            "--probabilities (probabilities=True), to use their logarithms as scores, or end the model in a Dense, Softmax "
            "or Activation layer."
        )
    activation = getattr(layer, "activation", None)
    if end.name or not callable(activation) or head_name(activation, (3,)) == "linear":
        return
    name = line(getattr(activation, "__name__", type(activation).__name__))
    text = (
        f"The model ends in the activation '{name}' (layer '{line(layer.name)}'); expected softmax, sigmoid or raw scores."
    )
    outcome = evaluate(activation, recognition.INPUTS[None])
    if outcome is not None and outcome[0].min() >= 0 and outcome[0].max() <= 1:
        raise ModelError(f"{text} {PROBABILITIES}")
    raise ModelError(
        f"{text} If its outputs are the scores themselves, say so with --logits (logits=True); if they are {NUMBERS}."
    )

"""Whether a model's graph computes what the model does, and whether outputs that are taken for scores are scores.

A model may do in `call` what its graph doesn't show, and an explanation of the graph would then be of another model. Both
are looked into once, on a few images without meaning, when a model is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from cnnexplain.errors import ModelError, foreign, line, reason
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.model import heads
from cnnexplain.model.batches import out_of_memory
from cnnexplain.model.failures import naming
from cnnexplain.model.graph import LOGITS, Graph
from cnnexplain.model.heads import Head
from cnnexplain.model.inference import run_isolated
from cnnexplain.model.model_inputs import Inputs
from cnnexplain.types import Array, Floats

NOISE = 3
"""Which of the trial images a model is compared with its graph on."""


def trial_scores(preprocess: Preprocess, name: str, graph: Graph) -> Floats:
    """A graph's scores for the trial images, before it is compiled: (N, K).

    Raises:
        ModelError: They can't be computed.
    """
    images = preprocess.between(heads.images(preprocess.shape))
    return _scores(graph, np.split(images, heads.TRIALS), name)


def check(
    model: Any, inputs: Inputs, graph: Graph, head: Head, preprocess: Preprocess, name: str, *, declared: bool
) -> str | None:
    """Sees that the graph computes what the model does, and that its outputs are what they are taken for.

    Args:
        model: The Keras model.
        inputs: What it is given beside the image.
        graph: Its graph.
        head: What its outputs are.
        preprocess: What its input is.
        name: Of the model.
        declared: Whether the user says what its outputs are.

    Returns:
        Why outputs that are taken for scores may be something else; None where nothing speaks for it.

    Raises:
        ModelError: The graph computes something else, one of the two can't be computed, or outputs that are taken for
            scores are probabilities.
    """
    noise = preprocess.between(heads.images(preprocess.shape)[NOISE:][:1])
    with naming(graph, noise, model.variables):
        logits = _scores(graph, [noise], name)
    compare(model, inputs, graph, head, name, noise, logits)
    # Scores that a layer computes as a product with its weights may be any numbers.
    if not head.raw or head.kind == "values" or head.affine:
        return None
    return head.doubt(head.own(trial_scores(preprocess, name, graph)), line(name), graph.output_index, said=declared)


def compare(model: Any, inputs: Inputs, graph: Graph, head: Head, name: str, image: Array, logits: Floats) -> None:
    """Sees that the model returns for an image (1, H, W, C) what belongs to its logits (1, K), up to half precision.

    Raises:
        ModelError: It returns something else, or can't be computed.
    """
    with _failing(name, "can't be computed as a whole"):
        own = _own_output(model, inputs, graph.output_index, head, image)
    found = head.own(logits)
    # Half precision rounds at the third digit.
    if np.isfinite(own).all() and not np.allclose(own, found, rtol=1e-2, atol=1e-2):
        raise ModelError(
            f"'{name}' computes other scores than its layers do (by {np.abs(own - found).max():.2g}); "
            "it can't be explained unless it is built of plain layers, not quantized and without a call() of its own."
        )


def _own_output(model: Any, inputs: Inputs, place: int, head: Head, image: Array) -> Floats:
    """What the model itself returns for an image, as (1, K)."""
    # A functional model may want its inputs in a list or by name; a sequential one doesn't say.
    structure = getattr(model, "input", model.inputs[0])
    given = keras.tree.pack_sequence_as(structure, inputs.given(keras.ops.convert_to_tensor(image)))
    output = head.flat(keras.tree.flatten(run_isolated(lambda: model(given, training=False)))[place])
    found: Floats = keras.ops.convert_to_numpy(keras.ops.cast(output, "float32"))
    return found


def _scores(graph: Graph, batches: list[Floats], name: str) -> Floats:
    function = graph.function([LOGITS])
    with _failing(name, "can't be computed"):
        found = run_isolated(lambda: [function(keras.ops.convert_to_tensor(batch))[0] for batch in batches])
        return np.concatenate([keras.ops.convert_to_numpy(keras.ops.cast(each, "float32")) for each in found])


@contextmanager
def _failing(name: str, what: str) -> Iterator[None]:
    """Runs a model, which is anyone's code: whatever it raises becomes a `ModelError`."""
    try:
        with foreign(lambda error: ModelError(f"'{line(name)}' {what}: {reason(error)}"), MemoryError):
            yield
    except MemoryError as error:
        raise out_of_memory(name) from error

"""Checks that the graph of a model computes what the model does, and that outputs treated as scores are scores.

The `call` method of a model may compute something that its graph does not show, so that explanations of the graph would be
those of another model. A model with code of its own is compared with its graph on an artificial image when it is loaded, and
every model on the first image that is explained.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain.errors import ModelError, foreign, line, reason
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.model.computation.batches import out_of_memory
from cnnexplain.model.head import heads
from cnnexplain.model.head.heads import Head
from cnnexplain.model.structure import layer_kinds
from cnnexplain.model.structure.failures import naming_layers
from cnnexplain.model.structure.graph import LOGITS, Graph
from cnnexplain.model.structure.inference import run_isolated
from cnnexplain.model.structure.model_inputs import Inputs

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

NOISE = 3
"""The index of the trial image on which a model is compared with its graph."""


def trial_scores(preprocess: Preprocess, name: str, graph: Graph) -> Float32[np.ndarray, "N K"]:
    """The scores that a graph computes for the trial images, before it is compiled.

    Raises:
        ModelError: They cannot be computed.
    """
    images = preprocess.between(heads.trial_images(preprocess.shape))
    return _scores(graph, np.split(images, heads.TRIALS), name)


@dataclass
class Agreement:
    """The comparison of a model with its graph.

    Args:
        model: The Keras model.
        inputs: Which input is the image, and the values of the others.
        graph: Its graph, with the scores.
        head: What its outputs represent.
        preprocess: The shape and range of the images.
        name: The name of the model, for errors.
        declared: Whether the user declares what the outputs represent.
    """

    model: Any
    inputs: Inputs
    graph: Graph
    head: Head
    preprocess: Preprocess
    name: str
    declared: bool
    _compared: bool = field(default=False, init=False)

    def check(self) -> str | None:
        """Checks that the graph computes what a model with its own code does, and that outputs treated as scores are scores.

        Returns:
            Why outputs that are treated as scores may be something else; None if nothing suggests it.

        Raises:
            ModelError: The graph computes something else, one of the two cannot be computed, or outputs treated as
                scores are probabilities.
        """
        # Computing a large model for the first time takes longer than reading it.
        if not _is_plain(self.model):
            noise = self.preprocess.between(heads.trial_images(self.preprocess.shape)[NOISE:][:1])
            with naming_layers(self.graph, noise, self.model.variables):
                logits = _scores(self.graph, [noise], self.name)
            self._compare(noise, logits)
        # Scores from a product with weights can have any values.
        if not self.head.raw or self.head.kind == "values" or self.head.affine:
            return None
        outputs = self.head.model_output(trial_scores(self.preprocess, self.name, self.graph))
        return self.head.doubt(outputs, line(self.name), self.graph.output_index, declared=self.declared)

    def compare_once(self, images: Float[np.ndarray, "N H W C"], logits: Float[np.ndarray, "N K"]) -> None:
        """Checks, at its first call, that the model returns for the first image what its logits imply.

        Raises:
            ModelError: It returns something else, or cannot be computed.
        """
        if not self._compared and len(images):
            self._compare(images[:1], logits[:1])
            self._compared = True

    def _compare(self, image: Float[np.ndarray, "1 H W C"], logits: Float[np.ndarray, "1 K"]) -> None:
        with _failing(self.name, "can't be computed as a whole"):
            own = self._model_output(image)
        expected = self.head.model_output(logits)
        # Half precision rounds at the third digit.
        if np.isfinite(own).all() and not np.allclose(own, expected, rtol=1e-2, atol=1e-2):
            raise ModelError(
                f"'{self.name}' computes other scores than its layers do (by {np.abs(own - expected).max():.2g}); it can't "
                "be explained unless it is built of plain layers, is not quantized and has no call() of its own."
            )

    def _model_output(self, image: Float[np.ndarray, "1 H W C"]) -> Float32[np.ndarray, " ..."]:
        """The output of the model itself for an image."""
        # A functional model may expect its inputs in a list or dictionary; a sequential one does not declare a structure.
        structure = getattr(self.model, "input", self.model.inputs[0])
        arguments = self.inputs.arguments(keras.ops.convert_to_tensor(image))
        packed = keras.tree.pack_sequence_as(structure, arguments)
        outputs = keras.tree.flatten(run_isolated(lambda: self.model(packed, training=False)))
        output: Float32[np.ndarray, " ..."] = keras.ops.convert_to_numpy(
            keras.ops.cast(self.head.flat(outputs[self.graph.output_index]), "float32")
        )
        return output


FOREIGN = ("Lambda", "TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper")
"""The layers of Keras that run a user's functions."""


def _is_plain(model: Any) -> bool:
    """Whether a model of floating-point images is built only of layers of Keras, without code of its own or quantization."""
    return not _has_own_code(model) and all("float" in tensor.dtype for tensor in model.inputs)


def _has_own_code(layer: Any) -> bool:
    foreign = not layer_kinds.is_keras(layer) or type(layer).__name__ in FOREIGN or "call" in vars(layer)
    quantized = getattr(layer, "quantization_mode", None) is not None
    return foreign or quantized or any(map(_has_own_code, getattr(layer, "layers", [])))


def _scores(graph: Graph, batches: Sequence[Float[np.ndarray, "_ H W C"]], name: str) -> Float32[np.ndarray, "N K"]:
    function = graph.function([LOGITS])
    with _failing(name, "can't be computed"):
        outputs = run_isolated(lambda: [function(keras.ops.convert_to_tensor(batch))[0] for batch in batches])
        return np.concatenate([keras.ops.convert_to_numpy(keras.ops.cast(each, "float32")) for each in outputs])


@contextmanager
def _failing(name: str, what: str) -> Iterator[None]:
    """Runs the model, which may contain any code: every exception becomes a `ModelError`."""
    try:
        with foreign(lambda error: ModelError(f"'{line(name)}' {what}: {reason(error)}"), MemoryError):
            yield
    except MemoryError as error:
        raise out_of_memory(name) from error

"""A Keras model as an image classifier: its probabilities, the outputs of its layers and their gradients.

`Classifier` is a facade: the other modules of this package, each with one topic, do the computations. Its base class has
what concerns layers only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.model import card
from cnnexplain.model.computation import passes, projections
from cnnexplain.model.computation.copies import Copies, ValueMoments, gradient_sums, value_moments
from cnnexplain.model.computation.layer_outputs import logits
from cnnexplain.model.computation.network import Network
from cnnexplain.model.computation.objectives import Objective, Targets, output_weights
from cnnexplain.model.computation.readouts import readout
from cnnexplain.model.computation.rules import Rule
from cnnexplain.model.fingerprint import fingerprint
from cnnexplain.model.geometry.layers import Layers
from cnnexplain.model.head import head_search, heads, outputs, targets
from cnnexplain.model.head.agreement import Agreement, trial_scores
from cnnexplain.model.head.outputs import ONLY, Output
from cnnexplain.model.layered_model import LayeredModel
from cnnexplain.model.structure.graph import LOGITS
from cnnexplain.model.structure.model_inputs import Inputs, check_shape, resolve_inputs
from cnnexplain.model.structure.tracing import trace

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Float32, Float64


class Classifier(LayeredModel):
    """A Keras image classifier, ready to be explained. `cnnexplain.load` returns one.

    Its methods take `images` (N, H, W, C) in the model's input range; names of layers as in `layers`, "input", or "logits"
    for the scores before the softmax; and `targets`, a class index or an `Objective` for each image. An index stands for the
    logit of the class. They raise a `UsageError` if a layer, class or rule does not exist, or if images have another shape,
    and a `ModelError` if a layer fails or something is not defined for it.

    Args:
        model: A functional or sequential Keras model of an image (N, H, W, C) or (N, H, W). It is never modified; its
            weights are shared, not copied.
        name: The name to use in messages and results.
        sha256: The hash of the model's file; None for a model from memory.
        preprocess: The shape and range of the images.
        labels: The names of the K classes or values; None for "0" to K − 1, or the name of the output.
        output: Which output (N, K) to explain, and what it represents.
        training_figures: Facts about its training: names with numbers or texts.
        unused_json: A JSON file next to the model file that describes no input, for a warning.
        inputs: Which input is the image, and the values of the others; None for a model with a single input.

    Raises:
        ModelError: The model has an unsupported form.
        UsageError: There is no such output, it is not what is declared, or the input size or number of labels does not fit.
    """

    def __init__(
        self,
        model: Any,
        name: str,
        sha256: str | None = None,
        *,
        preprocess: Preprocess,
        labels: Sequence[str] | None = None,
        output: Output = ONLY,
        training_figures: Mapping[str, Any] = MappingProxyType({}),
        unused_json: Path | None = None,
        inputs: Inputs | None = None,
    ) -> None:
        self.model, self.name, self.preprocess = model, name, preprocess
        self.training_figures, self.unused_json = training_figures, unused_json
        self._sha256, self._output = sha256, output
        self.inputs = inputs or resolve_inputs(model, None, {})
        """Which of the model's inputs is the image, and the values of the others."""
        check_shape(model, self.inputs, preprocess.shape)
        index, output_name = outputs.choose(model, output.name)
        traced = trace(model, preprocess.shape, index, self.inputs)
        graph, head = head_search.with_head(traced, output, output_name, partial(trial_scores, preprocess, name))
        super().__init__(Layers(graph, name), Network(graph, model.variables, preprocess, name))
        self._head = head
        self._agreement = Agreement(model, self.inputs, graph, head, preprocess, name, declared=output.kind is not None)
        self.head: Literal["softmax", "sigmoid", "values"] = head.kind
        """How logits give probabilities: "softmax" for one class of K, "sigmoid" for each class independently.

        A single sigmoid unit with the score s counts as two classes with the logits −s and s. "values" gives none: values v
        have the logits v and −v.
        """
        self.certain = head.certain
        """Whether the logits are known to be scores: from the model's last layer, or declared by the user."""
        self.logarithms = head.clipped
        """Whether the logits are computed from probabilities p: log p ("softmax") or log p − log(1 − p) ("sigmoid")."""
        self.outputs = head.outputs
        """The number of outputs for an image: K classes or values, or 1 for two classes."""
        self.output = graph.output_layer or LOGITS
        """The name of the layer whose output is the model's: the probabilities, or the scores."""
        self.closed = self._layers.models_without_graph()
        """The layers that are models without a graph, whose inner layers are not accessible."""
        self.doubt: str | None = None
        """Why the outputs, which are treated as scores, may be something else; set by `check`."""
        self.labels = heads.labels(head, labels, name)
        """The names of the K classes. For values: their names, then "NAME down" for what decreases each."""
        self.unit = output.unit or ""
        """The unit of the values; "" if it is not known, or if the model returns no values."""
        output.check_unit(self.head)

    def __repr__(self) -> str:
        return f"Classifier('{self.name}', {'×'.join(map(str, self.preprocess.shape))} → {self._head})"

    def _repr_html_(self) -> str:
        """The model card that a notebook shows."""
        return card.html(self)

    def with_model(self, model: Any) -> Classifier:
        """A classifier for another Keras model with the same inputs, outputs and labels, such as one with other weights."""
        return Classifier(
            model,
            self.name,
            preprocess=self.preprocess,
            labels=self.labels[: self.outputs] if self.head == "values" else self.labels,
            output=self._output,
            inputs=self.inputs,
        )

    def check(self) -> None:
        """Checks that the model computes what its layers do, or raises `ModelError`, and sets `doubt`."""
        self.doubt = self._agreement.check()

    def compare(self, images: Float[np.ndarray, "N H W C"], logits: Float[np.ndarray, "N K"]) -> None:
        """Checks, at its first call, that the model itself returns for the first image what its logits imply."""
        self._agreement.compare_once(images, logits)

    def predict(self, images: Float[np.ndarray, "N H W C"]) -> Float32[np.ndarray, "N K"]:
        """The probability of each class, or the model's values, (N, K)."""
        return self.predictions(self.logits(images))

    def predictions(self, logits: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N outputs"]:
        """What `predict` returns for images with these logits."""
        return self._head.model_output(logits) if self.head == "values" else self.probabilities(logits)

    def probabilities(self, logits: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N K"]:
        """The softmax of logits, or the sigmoid of each, in the same precision; `ModelError` for a model of values."""
        return self._head.probabilities(logits)

    def logits(self, images: Float[np.ndarray, "N H W C"]) -> Float32[np.ndarray, "N K"]:
        """The score of each class before the softmax, (N, K)."""
        return logits(self._network, images)

    def values(self, images: Float[np.ndarray, "N H W C"], objectives: Sequence[Objective]) -> Float32[np.ndarray, " N"]:
        """The value (N,) of each image's objective."""
        return passes.values(self, self._network, images, objectives)

    def gradient(self, images: Float[np.ndarray, "N H W C"], targets: Targets) -> Float32[np.ndarray, "N H W C"]:
        """∂S_c/∂x, (N, H, W, C): the signed gradient of each image's target, in logits per unit of the input."""
        return self.value_and_gradient(images, targets)[1]

    def value_and_gradient(
        self, images: Float[np.ndarray, "N H W C"], targets: Targets
    ) -> tuple[Float32[np.ndarray, " N"], Float32[np.ndarray, "N H W C"]]:
        """The value (N,) of each image's target and its `gradient` (N, H, W, C), from one pass."""
        return passes.image_gradient(self, self._network, images, targets)

    def layer_gradient(
        self, images: Float[np.ndarray, "N H W C"], name: str, targets: Targets
    ) -> tuple[Float32[np.ndarray, " N"], Float32[np.ndarray, " N *shape"], Float32[np.ndarray, " N *shape"]]:
        """∂S_c/∂A: the gradient of each image's target with respect to a layer's output A for that image, from one pass.

        Returns the values of the targets (N,); A, (N, *shape of the layer); and the signed gradients, of the same shape, in
        logits per unit of A. It is a `UsageError` if a target does not depend on the layer.
        """
        return passes.layer_gradient(self, self._network, images, self.layer(name), targets)

    def layer_gradients(
        self, images: Float[np.ndarray, "N H W C"], names: Sequence[str], targets: Targets
    ) -> tuple[Float32[np.ndarray, " N"], dict[str, Float32[np.ndarray, "N ..."]]]:
        """∂S_c/∂A for several layers, from one pass.

        Returns the values of the targets (N,), and the gradients by layer, without layers that the targets do not depend on.
        """
        layers = [self.layer(name) for name in names]
        values, _, gradients = passes.layer_gradients(self, self._network, images, layers, [], targets)
        return values, gradients

    def outputs_and_gradients(
        self, images: Float[np.ndarray, "N H W C"], names: Sequence[str], targets: Targets, others: Sequence[str] = ()
    ) -> tuple[Float32[np.ndarray, " N"], dict[str, Float32[np.ndarray, "N ..."]], dict[str, Float32[np.ndarray, "N ..."]]]:
        """`activations` and `layer_gradients` from one pass: the values, the outputs, and the gradients.

        The outputs include those of `others`, layers without gradients.
        """
        layers, more = ([self.layer(name) for name in each] for each in (names, others))
        return passes.layer_gradients(self, self._network, images, layers, [*layers, *more], targets)

    def backpropagate(
        self,
        images: Float[np.ndarray, "N H W C"],
        targets: Targets,
        rule: str | Rule,
    ) -> Float32[np.ndarray, "N H W C"]:
        """The signal of each image's target at the pixels, passed back through the layers by a rule.

        The signal starts as the weights of the objective: 1 at the logit of a class. `rule` is "gradient", "deconvnet" or
        "guided", or a function of each layer's call; see `cnnexplain.plugin.LayerCall`.
        """
        return projections.backpropagate(self._network, images, *output_weights(self, images, targets), rule)

    def gradient_sums(
        self,
        images: Float[np.ndarray, "N H W C"],
        targets: Targets,
        copies: Copies,
        *,
        weights: Float[np.ndarray, " copies"] | None = None,
        progress: Callable[[int, int], None] = lambda *_: None,
    ) -> tuple[Float64[np.ndarray, "N H W C"], Float64[np.ndarray, "N H W C"]]:
        """Σ_i w_i g_i and Σ_i w_i g_i² over copies of each image, for the gradients g_i of its target at the copies.

        Args:
            images: The images.
            targets: Their targets.
            copies: How to make the copies; see `cnnexplain.numerics.Copies`.
            weights: The weight w_i of each copy; None for 1.
            progress: Called with the number of completed gradients and of all gradients.
        """
        return gradient_sums(self._network, images, readout(self, images, targets), copies, weights, progress)

    def value_moments(
        self,
        images: Float[np.ndarray, "N H W C"],
        targets: Targets,
        copies: Copies,
        features: Callable[..., Any],
        *,
        of: str,
        progress: Callable[[int, int], None] = lambda *_: None,
    ) -> ValueMoments:
        """The output for each image's target at copies of the image, and how it varies with features of the copies.

        Args:
            images: The images.
            targets: Their targets, each a class or value.
            copies: How to make the copies; see `cnnexplain.numerics.Copies`.
            features: The arguments of `copies.make` ↦ the features of the copies (c, 1, *F), in `keras.ops`, such as masks;
                the same for all images, and the same object at every call.
            of: The output that the features are multiplied by, "probability" or "logit"; a model of values has only logits.
            progress: Called with the number of completed copies and of all copies.
        """
        classes = readout(self, images, targets)
        return value_moments(self._network, self._head, images, classes, copies, features, of, progress)

    def target(self, wanted: int | str) -> int:
        """The index of a class given by label, by a word of its label, or by index; see `targets.find`."""
        return targets.find(wanted, self.labels, values=self.head == "values")

    @property
    def sha256(self) -> str:
        """The hash of the model's file; for a model from memory, of the names, shapes and current values of its weights."""
        return self._sha256 or fingerprint(self.model)

    @property
    def batch_size(self) -> int:
        """The number of images computed at once; it can be set. See `cnnexplain.model.computation.batches.Batches`."""
        return self._network.batches.size

    @batch_size.setter
    def batch_size(self, size: int) -> None:
        self._network.batches.size = size

    def slices(self, count: int, views: int = 1) -> Iterator[slice]:
        """Slices of `count` items with `views` images each, in batches of the current `batch_size` images."""
        return self._network.batches.slices(count, views)

"""A Keras model as an image classifier: its probabilities, the outputs of its layers and their gradients.

`Classifier` is a facade: the other modules of this package, each with one topic, do the computations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from cnnexplain import former_names
from cnnexplain.errors import UsageError
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.model import (
    backward_rules,
    caller_functions,
    card,
    convolutions,
    gradients,
    head_search,
    heads,
    outputs,
    passes,
    projections,
    targets,
)
from cnnexplain.model.agreement import Agreement, trial_scores
from cnnexplain.model.axes import Field
from cnnexplain.model.convolutions import Convolution
from cnnexplain.model.fingerprint import fingerprint
from cnnexplain.model.graph import LOGITS
from cnnexplain.model.incremental import occluded
from cnnexplain.model.layer_outputs import layer_outputs, logits, unclipped_outputs
from cnnexplain.model.layers import Layer, Layers
from cnnexplain.model.model_inputs import Inputs, check_shape, resolve_inputs
from cnnexplain.model.network import Network
from cnnexplain.model.objectives import Objective, Targets, output_weights
from cnnexplain.model.outputs import ONLY, Output
from cnnexplain.model.rules import Rule
from cnnexplain.model.stages import stage_ends
from cnnexplain.model.tracing import trace

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Float32, Integer, Shaped


class Classifier:
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
        self._sha256 = sha256
        self.inputs = inputs or resolve_inputs(model, None, {})
        """Which of the model's inputs is the image, and the values of the others."""
        check_shape(model, self.inputs, preprocess.shape)
        index, output_name = outputs.choose(model, output.name)
        traced = trace(model, preprocess.shape, index, self.inputs)
        graph, head = head_search.with_head(traced, output, output_name, partial(trial_scores, preprocess, name))
        self._graph, self._head, self._layers = graph, head, Layers(graph, name)
        self._network = Network(graph, model.variables, preprocess, name)
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

    def activations(
        self, images: Float[np.ndarray, "N H W C"], names: Sequence[str]
    ) -> dict[str, Float32[np.ndarray, "N ..."]]:
        """The outputs (N, *shape) of layers by name, from one forward pass in inference mode."""
        if isinstance(names, str):
            raise UsageError(f"`names` must be a list of layer names, but got '{names}'; write ['{names}'].")
        return layer_outputs(self._network, images, [self.layer(name) for name in names])

    def unclipped(
        self, images: Float[np.ndarray, "N H W C"], names: Sequence[str]
    ) -> dict[str, tuple[Float32[np.ndarray, "N ..."], Float32[np.ndarray, "N ..."]]]:
        """The outputs (N, *shape) of layers, and values that rank their units even if an activation such as ReLU6 clips."""
        return unclipped_outputs(self._network, images, [self.layer(name).name for name in names])

    def occluded(
        self,
        images: Float[np.ndarray, "N H W C"],
        boxes: Integer[np.ndarray, "*N P 4"],
        fills: Float[np.ndarray, "N H W C"],
        names: Sequence[str],
        function: Callable[..., Sequence[Any]] | None = None,
        arrays: Sequence[Shaped[np.ndarray, "N ..."]] = (),
        progress: Callable[[int, int], None] = lambda *_: None,
    ) -> tuple[list[Shaped[np.ndarray, "N P ..."]], str]:
        """The outputs of layers for copies of each image, in each of which a box of pixels is replaced.

        In the first layers only the part that a box changes is computed anew, if that is faster; the results are those of
        whole images, except for rounding (Nakandala, Kumar, Papakonstantinou, SIGMOD 2019).

        Args:
            images: (N, H, W, C).
            boxes: (P, 4), or (N, P, 4) for boxes of each image: the first row and column, and those after the last.
            fills: (N, H, W, C), the image that is shown within the boxes.
            names: The layers.
            function: (outputs by name, …) ↦ arrays (n, …), in `keras.ops` only: what is needed of the outputs (n, *shape)
                for n copies; None for the outputs themselves. The last 64 functions are kept compiled.
            arrays: (N, …), further arguments of `function`, whose rows belong to the images.
            progress: Called after each batch with the number of completed copies and of all N · P copies.

        Returns:
            The arrays (N, P, …), and a sentence about which layers were computed in full.
        """
        layers = tuple(self.layer(name).name for name in names)
        return occluded(self._network, images, boxes, fills, layers, function, arrays, progress)

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

    @former_names.accepted(seeds="signals")
    def project(
        self, images: Float[np.ndarray, "N H W C"], name: str, signals: Float[np.ndarray, "N ..."], rule: str | Rule
    ) -> Float32[np.ndarray, "N H W C"]:
        """`backpropagate` for signals (N, *shape) at a layer, without the clip at its end, such as that of a ReLU6."""
        return projections.project(self._network, images, self.layer(name), signals, rule)

    def project_units(
        self,
        images: Float[np.ndarray, "N H W C"],
        names: Sequence[str],
        units: Integer[np.ndarray, "N 4"],
        values: Float[np.ndarray, " N"],
        rule: str | Rule,
    ) -> Float32[np.ndarray, "N H W C"]:
        """`project` for a signal at a single unit for each image, compiled once for several layers with feature maps.

        Args:
            images: The images that activations and pooling switches are computed for.
            names: The layers that the units belong to.
            units: (N, 4): the index of the layer in `names`, and the row, column and feature map of the unit.
            values: (N,), the signal at the unit.
            rule: As for `backpropagate`.
        """
        layers = tuple(self.layer(name, maps=True).name for name in names)
        return projections.project_units(self._network, images, layers, units, values, rule)

    def describe_rule(self, name: str, rule: str) -> str:
        """What a rule does at the activations between a layer and the pixels, as a phrase."""
        return backward_rules.describe(self._graph, self.layer(name).name, rule)

    def differentiable(
        self,
        function: Callable[..., Any],
        names: Sequence[str],
        shapes: Sequence[tuple[int, ...]] = (),
        seen: Callable[..., Any] | None = None,
        *,
        variables: tuple[int, ...] | None = None,
        views: int = 1,
        override: bool = False,
    ) -> Callable[..., tuple[Float32[np.ndarray, " N"], Float32[np.ndarray, "N ..."]]]:
        """Compiles a scalar function of each image's layer outputs, together with its gradient.

        Args:
            function: (outputs by name, images, …) ↦ (N,), in `keras.ops` only.
            names: The layers whose outputs it takes.
            shapes: The shapes, without the batch axis, of its further arguments, each a batch.
            seen: (images, …) ↦ the images that the network gets instead, in `keras.ops`, such as slightly rotated ones.
            variables: The shape, without the batch axis, of variables in place of the images, such as the coefficients of
                their spectrum; then `seen` must compute images from them. None for images.
            views: The number of images that `seen` returns for each one, (N · views, H, W, C), ordered by view.
            override: Whether inactive ReLUs pass gradients that would make them active.

        Returns:
            (images, …) ↦ the values (N,) and their gradients, (N, H, W, C) or (N, *variables). The last 64 are kept.
        """
        layers = tuple(self.layer(name).name for name in names)
        return gradients.differentiable(
            self._network, function, layers, shapes, seen, variables=variables, views=views, override=override
        )

    def compiled(
        self,
        function: Callable[..., Sequence[Any]],
        names: Sequence[str],
        shapes: Sequence[tuple[int, ...]],
        constants: Sequence[tuple[int | None, ...]] = (),
        *,
        views: int = 1,
    ) -> Callable[[Sequence[Float[np.ndarray, "N ..."]], Sequence[Any]], list[Float32[np.ndarray, "N ..."]]]:
        """Compiles a function that calls the network, such as many steps of an optimization.

        Args:
            function: (outputs, arrays, …, constants, …) ↦ arrays with as many items, in `keras.ops` only, where `outputs`
                maps images to a dictionary of the outputs of the layers.
            names: The layers.
            shapes: The shapes of the arrays, without the batch axis.
            constants: The shapes of arguments that are the same for all items; None for an axis of any length.
            views: The number of images that the network gets for each item.

        Returns:
            (arrays, constants) ↦ the results. It is kept as those of `differentiable` are.
        """
        layers = tuple(self.layer(name).name for name in names)
        return caller_functions.compiled(self._network, function, layers, shapes, constants, views)

    def layer(self, name: str, *, maps: bool = False) -> Layer:
        """The layer with a name, or the input or logits; with `maps` it must have feature maps."""
        return self._layers.find(name, maps=maps)

    def before_relu(self, name: str) -> str | None:
        """The layer before a layer that is only a ReLU, with or without a ceiling; None for other layers."""
        return self._layers.before_relu(name)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers in the order of computation, "outer/inner" in nested models; without those of windows of images."""
        return self._layers.all

    def other_calls(self, name: str) -> tuple[str, ...]:
        """The names of the other calls of a layer with weights, or of the nested model that contains the layer."""
        return self._layers.other_calls(name)

    def leads_to_scores(self, name: str) -> bool:
        """Whether the scores depend on a layer's output, unlike a softmax after them."""
        return self._graph.leads_to(self.layer(name).name, (LOGITS,))

    @cached_property
    def convolutions(self) -> tuple[Layer, ...]:
        """The output of each convolution after the batch normalization and activation that follow it."""
        return tuple(each.activated for each in self.filters)

    @cached_property
    def filters(self) -> tuple[Convolution, ...]:
        """The convolutions and their outputs; a shared one appears once for each call."""
        return convolutions.convolutions(self._layers)

    def activated(self, name: str) -> str:
        """The layer at the end of the activation that follows a layer without one; `name` if none follows."""
        return convolutions.activated(self._layers, name)

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """The last layers of the stages, between which the network reduces the resolution, and the last feature maps."""
        return tuple(stage_ends(self._graph, {layer.name for layer in self.convolutions}))

    def receptive_field(self, name: str) -> Field:
        """Which pixels the units of a layer can see; a `ModelError` if the geometry of a layer is not known."""
        return self._layers.fields.of(self.layer(name).name)

    @property
    def first_normalization(self) -> tuple[str, Float32[np.ndarray, " C"], Float32[np.ndarray, " C"]] | None:
        """The layer before the first BatchNormalization, and the learned mean and variance of its channels."""
        return convolutions.first_normalization(self._layers)

    def target(self, wanted: int | str) -> int:
        """The index of a class given by label, by a word of its label, or by index; see `cnnexplain.model.targets.find`."""
        return targets.find(wanted, self.labels, values=self.head == "values")

    @property
    def sha256(self) -> str:
        """The hash of the model's file; for a model from memory, of the names, shapes and current values of its weights."""
        return self._sha256 or fingerprint(self.model)

    @property
    def batch_size(self) -> int:
        """The number of images computed at once; it can be set. See `cnnexplain.model.batches.Batches`."""
        return self._network.batches.size

    @batch_size.setter
    def batch_size(self, size: int) -> None:
        self._network.batches.size = size

    def slices(self, count: int, views: int = 1) -> Iterator[slice]:
        """Slices of `count` items with `views` images each, in batches of the current `batch_size` images."""
        return self._network.batches.slices(count, views)

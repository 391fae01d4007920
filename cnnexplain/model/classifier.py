"""A Keras model seen as an image classifier: its probabilities, its layers' outputs and their gradients.

`Classifier` is a facade: what it offers is computed by the other modules of this package, each with one topic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from cnnexplain.errors import UsageError
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.model import (
    agreement,
    backward_rules,
    convolutions,
    gradients,
    head_search,
    heads,
    layer_outputs,
    objectives,
    outputs,
    projections,
    targets,
)
from cnnexplain.model.axes import Field
from cnnexplain.model.convolutions import Convolution
from cnnexplain.model.fingerprint import fingerprint
from cnnexplain.model.graph import LOGITS
from cnnexplain.model.layers import Layer, Layers
from cnnexplain.model.model_inputs import Inputs, check_shape, settle
from cnnexplain.model.network import Network
from cnnexplain.model.objectives import Objective
from cnnexplain.model.outputs import ONLY, Output
from cnnexplain.model.rules import Rule
from cnnexplain.model.stages import stage_ends
from cnnexplain.model.tracing import trace
from cnnexplain.types import Array, Floats, Integers


class Classifier:
    """A Keras image classifier, ready to be explained. Made by `cnnexplain.load`.

    In its methods `images` are (N, H, W, C) in the model's input range, names of layers are those of `layers`, "input", or
    "logits" for the scores before the softmax, and `targets` are a class index or an `Objective` for each image; an index
    stands for the logit of the class. Where a layer, class or rule does not exist, or images have another shape, they raise
    a `UsageError`; a `ModelError` where a layer fails or something is not defined for it.

    Args:
        model: A functional or sequential Keras model of an image (N, H, W, C) or (N, H, W). It is never changed, and its
            weights are shared, not copied.
        name: What to call it.
        sha256: Of the file that it came from; None for a model from memory.
        preprocess: What its input is.
        labels: The names of its K classes, or values; None for "0" to K − 1, or the name of the output.
        output: Which output (N, K) is explained, where there are several, and what its numbers are.
        training_figures: What is known of its training: names with numbers or texts.
        unused_json: A JSON file beside the model file that says nothing of its input, of which the user is warned.
        inputs: Which of its inputs is the image, and the values of the others; None for a model of one.

    Raises:
        ModelError: The model has another form.
        UsageError: There is no such output, it can't be what is said, or the size or number of labels is not the model's.
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
        self._sha256, self._declared, self._compared = sha256, output.kind is not None, False
        self.inputs = inputs or settle(model, None, {})
        """Which of the model's inputs is the image, and the values of the others."""
        check_shape(model, self.inputs, preprocess.shape)
        place, title = outputs.choose(model, output.name)
        traced = trace(model, preprocess.shape, place, inputs=self.inputs)
        self._graph, self._head = head_search.headed(
            traced, output, title, partial(agreement.trial_scores, preprocess, name)
        )
        self._layers, self._network = Layers(self._graph, name), Network(self._graph, model.variables, preprocess, name)
        self.doubt: str | None = None
        """Why the outputs, which are taken for scores, may be something else; known once `check` was called."""
        self.labels = heads.labels(self._head, labels, name)
        """The K names of the classes. Of values: their names, then "NAME down" for what lowers each."""
        self.unit = output.unit or ""
        """Of the values; "" where it isn't known, or the model has none."""
        output.check_unit(self.head)

    def __repr__(self) -> str:
        return f"Classifier('{self.name}', {'×'.join(map(str, self.preprocess.shape))} → {self._head})"

    def _repr_html_(self) -> str:
        """What a notebook shows: its card."""
        from cnnexplain import markup
        from cnnexplain.model.card import card

        return markup.fragment("card.html", model=card(self))

    def check(self) -> None:
        """Sees that the model computes what its layers do, else raises `ModelError`, and looks for a `doubt`."""
        self.doubt = agreement.check(
            self.model, self.inputs, self._graph, self._head, self.preprocess, self.name, declared=self._declared
        )

    def compare(self, images: Array, logits: Floats) -> None:
        """Sees, the first time, that the model itself returns for the first image what belongs to its logits (N, K)."""
        if not self._compared and len(images):
            agreement.compare(self.model, self.inputs, self._graph, self._head, self.name, images[:1], logits[:1])
            self._compared = True

    def predict(self, images: Array) -> Floats:
        """The probability of each class, or the model's values, (N, K)."""
        return self.predictions(self.logits(images))

    def predictions(self, logits: Floats) -> Floats:
        """What `predict` returns for images with these logits (N, K)."""
        return self._head.own(logits) if self.head == "values" else self.probabilities(logits)

    def probabilities(self, logits: Floats) -> Floats:
        """The softmax of logits (N, K), or the sigmoid of each, as precise as they are; values have none: `ModelError`."""
        return self._head.probabilities(logits)

    @property
    def certain(self) -> bool:
        """Whether it is known that the logits are scores: from the model's last layer, or since it was said."""
        return self._head.certain

    @property
    def head(self) -> Literal["softmax", "sigmoid", "values"]:
        """How probabilities are made of logits: "softmax" for one class of K, "sigmoid" for each class by itself.

        A sigmoid unit with the score s is two classes with the logits −s and s. Values v have the logits v and −v.
        """
        return self._head.kind

    @property
    def logarithms(self) -> bool:
        """Whether the logits are made of the model's own probabilities p: log p ("softmax") or log p − log(1 − p)."""
        return self._head.clipped

    @property
    def outputs(self) -> int:
        """How many numbers the model returns for an image: K classes or values, or 1 for two classes."""
        return self._head.outputs

    def logits(self, images: Array) -> Floats:
        """The score of each class before the softmax, (N, K)."""
        return layer_outputs.logits(self._network, images)

    def activations(self, images: Array, names: Sequence[str]) -> dict[str, Floats]:
        """The outputs (N, *shape) of layers, by name, all from one forward pass in inference mode."""
        if isinstance(names, str):
            raise UsageError(f"The names of layers are given as a list, but got '{names}'; write ['{names}'].")
        return layer_outputs.layer_outputs(self._network, images, [self.layer(name) for name in names])

    def unclipped(self, images: Array, names: Sequence[str]) -> dict[str, tuple[Floats, Floats]]:
        """The outputs (N, *shape) of layers, and what ranks their units where the activation is clipped, as ReLU6 is."""
        return layer_outputs.unclipped_outputs(self._network, images, [self.layer(name).name for name in names])

    def values(self, images: Array, objectives: Sequence[Objective]) -> Floats:
        """The value (N,) of each image's own objective."""
        return gradients.values(self._network, images, *self._weights(images, objectives))

    def gradient(self, images: Array, targets: Integers | Sequence[Objective]) -> Floats:
        """∂S_c/∂x, (N, H, W, C): the gradient of each image's target, signed, in logits per unit of the input."""
        return gradients.image_gradient(self._network, images, *self._weights(images, targets))

    def layer_gradient(
        self, images: Array, name: str, targets: Integers | Sequence[Objective]
    ) -> tuple[Floats, Floats, Floats]:
        """∂S_c/∂A: the gradient of each image's target with respect to a layer's output A for that image.

        Returns the values of the targets (N,); A, (N, *shape of the layer); and the gradients, of the same shape, signed, in
        logits per unit of A. Where a target does not depend on the layer that is a `UsageError`.
        """
        layer = self.layer(name)
        return gradients.layer_gradient(self._network, images, layer, *self._weights(images, targets))

    def layer_gradients(
        self, images: Array, names: Sequence[str], targets: Integers | Sequence[Objective]
    ) -> tuple[Floats, dict[str, Floats]]:
        """∂S_c/∂A for several layers at once, all from one backward pass.

        Returns the values of the targets (N,), and by layer the gradients, without layers that the targets don't depend on.
        """
        layers = [self.layer(name) for name in names]
        return gradients.layer_gradients(self._network, images, layers, *self._weights(images, targets))

    def backpropagate(self, images: Array, targets: Integers | Sequence[Objective], rule: str | Rule) -> Floats:
        """Each image's target brought down to its pixels, (N, H, W, C), the layers on the way passing the signal by a rule.

        The signal begins as the weights of the objective: 1 at the logit of a class. `rule` is "gradient", "deconvnet" or
        "guided", or a function of each layer's call; see `cnnexplain.plugin.LayerCall`.
        """
        return projections.backpropagate(self._network, images, *self._weights(images, targets), rule)

    def project(self, images: Array, name: str, seeds: Floats, rule: str | Rule) -> Floats:
        """The same for signals (N, *shape) at a layer, taken without its own clip where it ends in one, such as ReLU6's."""
        return projections.project(self._network, images, self.layer(name), seeds, rule)

    def project_units(
        self, images: Array, names: Sequence[str], units: Integers, values: Floats, rule: str | Rule
    ) -> Floats:
        """The same for signals at single units, one for each image, compiled once for all of the layers.

        Args:
            images: At which the activations and the pooling stand.
            names: The layers, all with feature maps, that the units may be of.
            units: (N, 4): the place of the layer in `names`, and the row, the column and the feature map of the unit.
            values: (N,), the signal there.
            rule: See `backpropagate`.
        """
        found = tuple(self.layer(name, maps=True).name for name in names)
        return projections.project_units(self._network, images, found, units, values, rule)

    def describe_rule(self, name: str, rule: str) -> str:
        """What a rule does at the activations on the way from a layer to the pixels, a phrase."""
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
    ) -> Callable[..., tuple[Floats, Floats]]:
        """Compiles a number of each image, made of the outputs of layers, together with its gradient.

        Args:
            function: (outputs by name, images, …) ↦ (N,), in `keras.ops` alone.
            names: The layers whose outputs it takes.
            shapes: Of what else it takes, each a batch, without the batch axis.
            seen: (images, …) ↦ what the network is shown in their place, in `keras.ops`, such as the images turned a little.
            variables: The shape, without the batch axis, of what stands in the place of the images, such as the coefficients
                of their spectrum; then `seen` must make images of it. None for images.
            views: How many images `seen` gives of each, (N · views, H, W, C), those of the first one first.
            override: Whether ReLUs let pass what brings them back to where they have a gradient.

        Returns:
            (images, …) ↦ the numbers (N,) and their gradients, (N, H, W, C) or (N, *variables); the last 64 are kept.
        """
        found = tuple(self.layer(name).name for name in names)
        return gradients.differentiable(
            self._network, function, found, shapes, seen, variables=variables, views=views, override=override
        )

    def layer(self, name: str, *, maps: bool = False) -> Layer:
        """The layer of that name, or what stands for "input" or "logits"; with `maps` it must have feature maps."""
        return self._layers.find(name, maps=maps)

    def before_relu(self, name: str) -> str | None:
        """The layer whose output a ReLU of any ceiling, given as a layer of its own, takes; None for other layers."""
        return self._layers.before_relu(name)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every layer in the order of computation, but windows that stand for images; in nested models "outer/inner"."""
        return self._layers.all

    def other_calls(self, name: str) -> tuple[str, ...]:
        """The other calls of a layer that learned something, or of the nested model that it stands in, by their names."""
        return self._layers.other_calls(name)

    @property
    def closed(self) -> tuple[str, ...]:
        """The layers that are models without a graph, and hide the layers in them."""
        return self._layers.models_without_graph()

    def leads_to_scores(self, name: str) -> bool:
        """Whether the scores depend on a layer's output; on a softmax after them they don't."""
        return self._graph.tail(self.layer(name).name, [LOGITS]) is not None

    @property
    def output(self) -> str:
        """The name of the layer whose output is the model's: the probabilities, or the scores."""
        return self._graph.output_layer or LOGITS

    @cached_property
    def convolutions(self) -> tuple[Layer, ...]:
        """The output of each convolution after its batch normalization and activation, where these follow alone."""
        return tuple(each.activated for each in self.filters)

    @cached_property
    def filters(self) -> tuple[Convolution, ...]:
        """The convolutions, with their outputs; one that is used twice stands there twice."""
        return convolutions.convolutions(self._layers)

    def activated(self, name: str) -> str:
        """The layer that ends with the activation of a layer without one, past its batch normalization; else `name`."""
        return convolutions.activated(self._layers, name)

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """The layers in which the stages end, between which the network halves the resolution; the last feature maps too."""
        return tuple(stage_ends(self._graph, {layer.name for layer in self.convolutions}))

    def receptive_field(self, name: str) -> Field:
        """Which pixels the units of a layer can see; a `ModelError` where the geometry of a layer is not known."""
        return self._layers.fields.of(self.layer(name).name)

    @property
    def first_normalization(self) -> tuple[str, Floats, Floats] | None:
        """The layer before the first BatchNormalization, and the mean and variance that were learned of its channels."""
        return convolutions.first_normalization(self._layers)

    def target(self, wanted: int | str) -> int:
        """The index of a class given by label, or by one of its words, or by index; see `cnnexplain.model.targets.find`."""
        return targets.find(wanted, self.labels, values=self.head == "values")

    @property
    def sha256(self) -> str:
        """A hash of the model: of its file, or of its weights' names, shapes and values now where it came from memory."""
        return self._sha256 or fingerprint(self.model)

    @property
    def batch_size(self) -> int:
        """How many images go through the model at once; see `cnnexplain.model.batches.Batches`. It may be set."""
        return self._network.batches.size

    @batch_size.setter
    def batch_size(self, size: int) -> None:
        self._network.batches.size = size

    def slices(self, count: int, views: int = 1) -> Iterator[slice]:
        """Goes through `count` items of `views` images each, as many at a time as `batch_size` says by then."""
        return self._network.batches.slices(count, views)

    def _weights(self, images: Array, targets: Integers | Sequence[Objective]) -> tuple[tuple[str, ...], list[Floats]]:
        return objectives.output_weights(self, images, objectives.as_objectives(targets))

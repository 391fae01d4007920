"""A Keras model seen as an image classifier: its probabilities, its layers' outputs and their gradients."""

from __future__ import annotations

import hashlib
import itertools
import math
import operator
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import keras
import numpy as np

from cnnexplain import backend
from cnnexplain.errors import ModelError, UsageError, foreign, line, reason, shown, suggest
from cnnexplain.inputs.images import wrong_shape
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.loading.infer_preprocess import told
from cnnexplain.model import backward_rules, graph, heads, layer_roles
from cnnexplain.model.activations import KINDS, activation, unclipped
from cnnexplain.model.axes import Field
from cnnexplain.model.failures import check_shapes, naming
from cnnexplain.model.inference import aside
from cnnexplain.model.layer_names import from_keras
from cnnexplain.model.model_inputs import Inputs, settle
from cnnexplain.model.objectives import Logit, Objective
from cnnexplain.model.outputs import ONLY, Output
from cnnexplain.model.receptive_field import Fields
from cnnexplain.model.relu_override import overridden
from cnnexplain.model.stages import stage_ends
from cnnexplain.model.token_grid import Grid, Layout, layout
from cnnexplain.types import Array, Floats, Integers

MEMORY = 1 << 30
"""Bytes that the intermediate results of one batch may take, where the machine has so many to spare."""

KEPT = 64
"""How many of the functions given to `Classifier.differentiable` are kept compiled."""

LISTED = 40
"""How many layers or classes an error names before it counts the rest."""


CONVOLUTIONS = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.Conv2DTranspose,
)
AFTER = ("BatchNormalization", *KINDS)
"""Layers, and operations such as `keras.ops.relu`, that belong to the convolution before them."""


@dataclass(frozen=True)
class Layer:
    """A layer of a model.

    Args:
        name: Its name, in a nested model "outer/inner".
        kind: Its class, such as "Conv2D".
        shape: Of what it puts out for one image: (H, W, C) for C feature maps, (K,) for a dense layer.
        parameters: How many numbers it has learnt or counted; 0 where a shared layer stands for the second time.
        grid: How its tokens (T, C) stand for places; None where it has none, or it isn't known.
        heads: Whether (h, w, C) is of attention heads or the like, and no feature maps.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int = 0
    grid: Grid | None = None
    heads: bool = False

    @property
    def maps(self) -> bool:
        """Whether it puts out feature maps."""
        return len(self.shape) == 3 and not self.heads

    @property
    def sides(self) -> tuple[int, int] | None:
        """Rows and columns of its feature maps, or of the grid of its tokens; None where it has neither."""
        if self.grid is not None:
            return self.grid.rows, self.grid.columns
        return (self.shape[0], self.shape[1]) if self.maps else None

    @property
    def rearranges(self) -> bool:
        """Whether it computes no features, but picks, moves or averages those of the layer before, as pooling does."""
        return self.kind in layer_roles.REARRANGING

    @property
    def within_block(self) -> bool:
        """Whether it is a part of a block of a transformer, which the sum at its end or the normalization stands for."""
        return self.kind in layer_roles.WITHIN_BLOCK

    def as_maps(self, output: Array) -> Array:
        """What it puts out, (N, *shape), as feature maps (N, h, w, C); tokens that stand for no place are left out."""
        return output if self.grid is None else self.grid.maps(output)


@dataclass(frozen=True)
class Convolution:
    """A convolution of a model.

    Args:
        inner: The Keras layer, whose weights are its kernels; it is the model's own and not to be changed.
        layer: What it puts out.
        normalized: The same after the batch normalization that follows alone; the layer itself where none does.
        activated: The same after the activation too, where one follows alone.
    """

    inner: Any
    layer: Layer
    normalized: Layer
    activated: Layer


class Classifier:
    """A Keras image classifier, ready to be explained. Made by `cnnexplain.load`.

    Args:
        model: A functional or sequential Keras model of an image (N, H, W, C) or (N, H, W). It is never changed, and its
            weights are shared, not copied.
        name: What to call it.
        sha256: Of the file that it came from; None for a model from memory.
        preprocess: What its input is; None for what `told` says.
        labels: The names of its K classes, or values; None for "0" to K − 1, or the name of the output.
        output: Which output (N, K) is explained, where there are several, and what its numbers are.
        training_figures: What is known of its training: names with numbers or texts.
        unused_json: A JSON file beside the model file that says nothing of its input, of which the user is warned.
        inputs: Which of its inputs is the image, and the values of the others; None for a model of one.

    Raises:
        ModelError: The model has another form.
        UsageError: There is no such output, it can't be what is said, the size is not the model's, or there are more or
            fewer labels than classes.
    """

    def __init__(
        self,
        model: Any,
        name: str,
        sha256: str | None = None,
        *,
        preprocess: Preprocess | None = None,
        labels: Sequence[str] | None = None,
        output: Output = ONLY,
        training_figures: Mapping[str, Any] = MappingProxyType({}),
        unused_json: Path | None = None,
        inputs: Inputs | None = None,
    ) -> None:
        self.model = model
        self.name = name
        self.training_figures = training_figures
        self.unused_json = unused_json
        self._sha256 = sha256
        self.inputs = inputs or settle(model, None, {})
        """Which of the model's inputs is the image, and the values of the others."""
        self.preprocess = preprocess or told(model, self.inputs)
        _check_input(model, self.preprocess, self.inputs)
        self._output, output_name = _output(model, output.name)
        traced = graph.twin(model, self.preprocess.shape, self._output, inputs=self.inputs)
        self._twin, self._head = heads.headed(traced, output, output_name, self._tried)
        self._classes = self._twin.tensors[graph.LOGITS].shape[-1]
        self._said = output.kind is not None
        self.doubt: str | None = None
        """Why the outputs, which are taken for scores, may be something else; known once it has seen an image."""
        self._compared = False
        self._shape = self.preprocess.shape
        self._functions: dict[tuple[str, ...], Callable[..., list[Array]]] = {}
        self._differentiated = lru_cache(KEPT)(self._differentiate)
        self.labels = heads.labels(self._head, labels, name)
        """The K names of the classes. Of values: their names, then "NAME down" for what lowers each."""
        self.unit = output.unit or ""
        """Of the values; "" where it isn't known, or the model puts out none."""
        if self.unit and self.head != "values":
            raise UsageError(f"A unit ('{self.unit}') belongs to values; give --values (values=True) too.")

    def __repr__(self) -> str:
        height, width, channels = self.preprocess.shape
        values = f"{self._head.outputs} value{'s' if self._head.outputs > 1 else ''}"
        outputs = values if self.head == "values" else f"{len(self.labels)} classes"
        return f"Classifier('{self.name}', {height}×{width}×{channels} → {outputs})"

    def _repr_html_(self) -> str:
        """What a notebook shows: its card."""
        from cnnexplain.rendering import page

        return page.classifier_fragment(self)

    def predict(self, images: Array) -> Floats:
        """The probability of each class, or the model's values, (N, K)."""
        logits = self.logits(images)
        return self._head.own(logits) if self.head == "values" else self.probabilities(logits)

    def probabilities(self, logits: Floats) -> Floats:
        """What the model's head makes of logits (N, K): their softmax, or the sigmoid of each, as precise as they are.

        Raises:
            ModelError: The model puts out values, which have no probabilities.
        """
        return self._head.probabilities(logits)

    @property
    def certain(self) -> bool:
        """Whether it is known that the logits are scores: from the model's last layer, or since it was said."""
        return self._head.certain

    @property
    def head(self) -> Literal["softmax", "sigmoid", "values"]:
        """How probabilities are made of logits: "softmax" for one class of K, "sigmoid" for each class by itself.

        A single sigmoid unit with the score s is seen as two classes with the logits −s and s. With "values" there are no
        probabilities, and the logits of K values are v and −v: what raises each, and what lowers it.
        """
        return self._head.kind

    @property
    def logarithms(self) -> bool:
        """Whether the logits are made of the model's own probabilities p: log p ("softmax") or log p − log(1 − p)."""
        return self._head.clipped

    @property
    def outputs(self) -> int:
        """How many numbers the model puts out for an image: K classes or values, or 1 for two classes."""
        return self._head.outputs

    def logits(self, images: Array) -> Floats:
        """The score of each class before the softmax, (N, K), for images (N, H, W, C) in the model's input range.

        Raises:
            ModelError: The model's output turns out to be probabilities, though it has no softmax that can be left out.
        """
        (logits,) = self._batched(self._forward((graph.LOGITS,)), images)
        if logits.shape != (len(images), self._classes):
            check_shapes(self._twin, self._example(images))
            raise ModelError(
                f"'{line(self.name)}' gives {logits.shape} for {len(images)} images; expected a score of each of its "
                f"{self._classes} classes for each image."
            )
        if not self._compared and len(logits):
            with foreign(lambda error: ModelError(f"'{line(self.name)}' can't be computed as a whole: {reason(error)}")):
                self._compare(images[:1], logits[:1])
            if self._head.raw and self.head != "values":
                known = self._batched(self._forward((graph.LOGITS,)), self._trial_images())[0]
                seen = self._head.own(np.concatenate([known, logits]))
                self.doubt = self._head.doubt(seen, line(self.name), self._output, said=self._said)
            self._compared = True
        return logits

    def _trial_images(self) -> Floats:
        return self.preprocess.between(heads.images(self.preprocess.shape))

    def _tried(self, candidate: graph.Twin) -> Floats:
        """A twin's scores for the trial images, before it is compiled."""
        function = candidate.function([graph.LOGITS])
        batches = np.split(self._trial_images(), heads.TRIALS)
        # A model is anyone's code.
        with foreign(lambda error: ModelError(f"'{line(self.name)}' can't be computed: {reason(error)}")):
            found = aside(lambda: [function(keras.ops.convert_to_tensor(batch))[0] for batch in batches])
            return np.concatenate([keras.ops.convert_to_numpy(keras.ops.cast(each, "float32")) for each in found])

    def activations(self, images: Array, names: Sequence[str]) -> dict[str, Floats]:
        """The outputs of layers, by name, all from one forward pass in inference mode.

        Args:
            images: (N, H, W, C) in the model's input range.
            names: Of `layers`; also "input", and "logits" for the scores before the softmax.

        Returns:
            For each name an array (N, *shape of the layer).

        Raises:
            UsageError: The model has no such layer.
            ModelError: A layer puts out another shape than it says.
        """
        if isinstance(names, str):
            raise UsageError(f"The names of layers are given as a list, but got '{names}'; write ['{names}'].")
        layers = {layer.name: layer for layer in map(self.layer, names)}
        outputs = dict(zip(layers, self._batched(self._forward(tuple(layers)), images), strict=True))
        for name, output in outputs.items():
            if output.shape[1:] != layers[name].shape:
                raise ModelError(
                    f"The layer '{name}' ({layers[name].kind}) declares the output shape {layers[name].shape}, but returns "
                    f"{output.shape[1:]}; fix its compute_output_shape()."
                )
        return outputs

    def unclipped(self, images: Array, names: Sequence[str]) -> dict[str, tuple[Floats, Floats]]:
        """The outputs of layers, and by what their units can be ranked where the activation is clipped.

        Of ReLU6 all that lies above 6 is the same. What it would put out without its ceiling tells which unit is the
        strongest. The same goes for other activations with a bound, or that saturate in single precision, and for
        max-pooling and concatenations after them.

        Args:
            images: (N, H, W, C) in the model's input range.
            names: Of `layers`.

        Returns:
            For each name the output (N, *shape of the layer), and an array of that shape in which a unit has a larger
            value where its activation is larger or would be without the clip. Where nothing is clipped they are the same.

        Raises:
            UsageError: The model has no such layer.
        """
        names = list(dict.fromkeys(self.layer(name).name for name in names))
        whole, seconds = unclipped(self._twin, names, ranking=True)
        wanted = (*names, *seconds.values())

        def build() -> Callable[[Array], list[Array]]:
            outputs = whole.function(wanted)
            return backend.current().forward(
                lambda x: [keras.ops.cast(y, "float32") for y in outputs(x)], self._shape, self.model.variables
            )

        found = dict(zip(wanted, self._batched(self._compiled(("unclipped", *wanted), build), images), strict=True))
        return {name: (found[name], found[seconds.get(name, name)]) for name in names}

    def values(self, images: Array, objectives: Sequence[Objective]) -> Floats:
        """The value (N,) of each image's own objective."""
        names, weights = self._weights(images, objectives)
        outputs = self._batched(self._forward(names), images)
        products = zip(outputs, weights, strict=True)
        total = sum((output * weight).reshape(len(images), -1).sum(axis=1) for output, weight in products)
        return np.asarray(total, np.float32)

    def gradient(self, images: Array, targets: Integers | Sequence[Objective]) -> Floats:
        """∂S_c/∂x: the gradient of each image's target with respect to that image.

        Args:
            images: (N, H, W, C) in the model's input range.
            targets: For each image a class index, for the gradient of its logit, or any `Objective`.

        Returns:
            (N, H, W, C), signed, in units of the objective (logits) per unit of the input.
        """
        names, weights = self._weights(images, _as_objectives(targets))
        shapes = [weight.shape[1:] for weight in weights]

        def build() -> Callable[..., list[Array]]:
            outputs = self._twin.function(names)

            def value(x: Any, *weights: Any) -> Any:
                return sum(_product(output, weight) for output, weight in zip(outputs(x), weights, strict=True))

            return backend.current().gradient(value, [self._shape, *shapes], self.model.variables)

        _, gradient = self._batched(self._compiled(("gradient", *names), build), images, *weights)
        return gradient

    def layer_gradient(
        self, images: Array, name: str, targets: Integers | Sequence[Objective]
    ) -> tuple[Floats, Floats, Floats]:
        """∂S_c/∂A: the gradient of each image's target with respect to what a layer puts out for that image.

        Args:
            images: (N, H, W, C) in the model's input range.
            name: The layer.
            targets: As in `gradient`.

        Returns:
            The values of the targets (N,); the layer's outputs A (N, *shape of the layer); and the gradients, of the same
            shape, signed, in units of the objective (logits) per unit of the layer's output.

        Raises:
            UsageError: There is no such layer, or a target does not depend on it.
        """
        layer = self.layer(name)
        names, weights = self._weights(images, _as_objectives(targets))
        shapes = [weight.shape[1:] for weight in weights]

        def build() -> Callable[..., list[Array]]:
            tail = self._twin.tail(layer.name, names)
            if tail is None:
                raise UsageError(
                    f"What is explained does not depend on the layer '{layer.name}'; "
                    f"name one that leads to {' and '.join(names)}."
                )

            def value(output: Any, x: Any, *weights: Any) -> Any:
                return sum(_product(each, weight) for each, weight in zip(tail(output, x), weights, strict=True))

            return backend.current().gradient(value, [layer.shape, self._shape, *shapes], self.model.variables)

        pull = self._compiled(("layer gradient", layer.name, *names), build)
        outputs = self.activations(images, [layer.name])[layer.name]
        values, gradient = self._batched(lambda x, output, *others: pull(output, x, *others), images, outputs, *weights)
        return values, outputs, gradient

    def layer_gradients(
        self, images: Array, names: Sequence[str], targets: Integers | Sequence[Objective]
    ) -> tuple[Floats, dict[str, Floats]]:
        """∂S_c/∂A for several layers at once, all from one backward pass.

        Args:
            images: (N, H, W, C) in the model's input range.
            names: The layers.
            targets: As in `gradient`.

        Returns:
            The values of the targets (N,), and by layer the gradients (N, *shape of the layer), as `layer_gradient` gives
            them. Layers that the targets don't depend on, such as a softmax after the scores, are left out.

        Raises:
            UsageError: There is no such layer.
        """
        seen, weights = self._weights(images, _as_objectives(targets))
        wanted = dict.fromkeys(self.layer(name).name for name in names)
        kept = tuple(name for name in wanted if self._twin.tail(name, seen) is not None)
        if not kept:
            return self.values(images, _as_objectives(targets)), {}
        shapes = {name: self.layer(name).shape for name in kept}
        *ends, total = itertools.accumulate(math.prod(shape) for shape in shapes.values())

        def build() -> Callable[..., list[Array]]:
            def shifted(tensor: Any, output: Any, shifts: Mapping[int, Any]) -> Any:
                shift = shifts.get(id(tensor))
                return output if shift is None else output + keras.ops.cast(shift, output.dtype)

            # The gradient with respect to a number is that with respect to what is added to it, which is zero.
            def value(flat: Any, x: Any, *weights: Any) -> Any:
                parts = keras.ops.split(flat, ends, axis=1) if ends else [flat]
                shifts = {
                    id(self._twin.tensors[name]): keras.ops.reshape(part, (-1, *shapes[name]))
                    for name, part in zip(kept, parts, strict=True)
                }
                outputs = self._twin.function(
                    seen, lambda call: lambda *args, **kwargs: shifted(call.output, call.function(*args, **kwargs), shifts)
                )(shifted(self._twin.input, x, shifts))
                return sum(_product(output, weight) for output, weight in zip(outputs, weights, strict=True))

            seeds = [weight.shape[1:] for weight in weights]
            return backend.current().gradient(value, [(total,), self._shape, *seeds], self.model.variables)

        pull = self._compiled(("layer gradients", *kept, "of", *seen), build)

        def from_zero(x: Array, *weights: Array) -> list[Array]:
            values, slopes = pull(np.zeros((len(x), total), np.float32), x, *weights)
            parts = np.split(slopes, ends, axis=1)
            return [values, *(part.reshape(-1, *shape) for part, shape in zip(parts, shapes.values(), strict=True))]

        values, *gradients = self._batched(from_zero, images, *weights)
        return values, dict(zip(kept, gradients, strict=True))

    def project(self, images: Array, name: str, seeds: Floats, rule: str) -> Floats:
        """Signals at a layer brought down to the pixels, the ReLUs on the way passing them by a rule.

        Other activations pass them by it too, where it is defined for them. A layer that ends in a clipped one, such as
        ReLU6, is taken without its own clip: the strongest units are those beyond it, and nothing would come down from them.

        Args:
            images: (N, H, W, C) in the model's input range, at which the activations and the pooling stand.
            name: The layer.
            seeds: (N, *shape of the layer), the signal there.
            rule: "deconvnet", "guided" or "gradient"; see `cnnexplain.model.backward_rules`.

        Returns:
            (N, H, W, C), signed.

        Raises:
            UsageError: There is no such layer or rule.
            ModelError: The rule is not defined for a layer on the way.
        """
        layer = self.layer(name)

        def build() -> Callable[..., list[Array]]:
            outputs = backward_rules.ruled(self._twin, [layer.name], rule)
            return backend.current().gradient(
                lambda x, seed: _product(outputs(x)[0], seed), [self._shape, layer.shape], self.model.variables
            )

        _, signal = self._batched(self._compiled(("project", layer.name, rule), build), images, seeds)
        return signal

    def project_units(self, images: Array, names: Sequence[str], units: Integers, values: Floats, rule: str) -> Floats:
        """Signals at single units brought down to the pixels, as `project` does, compiled once for all of the layers.

        Args:
            images: (N, H, W, C) in the model's input range, one for each unit.
            names: The layers, all with feature maps, that the units may be of.
            units: (N, 4): the place of the layer in `names`, and the row, the column and the feature map of the unit.
            values: (N,), the signal there.
            rule: As in `project`.

        Returns:
            (N, H, W, C), signed.

        Raises:
            UsageError: There is no such layer or rule.
            ModelError: The rule is not defined for a layer on the way.
        """
        names = tuple(self.layer(name, maps=True).name for name in names)

        def build() -> Callable[..., list[Array]]:
            outputs = backward_rules.ruled(self._twin, names, rule)

            def value(x: Any, units: Any, values: Any) -> Any:
                units = keras.ops.cast(units, "int32")
                found = [_unit(output, units[:, 1:]) for output in outputs(x)]
                return values * keras.ops.sum(keras.ops.stack(found, 1) * keras.ops.one_hot(units[:, 0], len(names)), axis=1)

            return backend.current().gradient(value, [self._shape, (4,), ()], self.model.variables)

        compiled = self._compiled(("project units", *names, rule), build)
        _, signal = self._batched(compiled, images, units, values)
        return signal

    def describe_rule(self, name: str, rule: str) -> str:
        """What a rule does at the activations on the way from a layer to the pixels, a phrase.

        Raises:
            UsageError: There is no such layer or rule.
            ModelError: The rule is not defined for a layer on the way, which is named.
        """
        return backward_rules.describe(self._twin, self.layer(name).name, rule)

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
            views: How many images the network is shown of each: `seen` gives (N · views, H, W, C), those of the first one
                first, and so are the layers' outputs given to `function`. Batches are `views` times shorter for it.
            override: Whether ReLUs let pass what brings them back to where they have a gradient; see
                `cnnexplain.model.relu_override.overridden`.

        Returns:
            (images, …) ↦ the numbers (N,) and their gradients, (N, H, W, C) or (N, *variables). What was compiled for the
            same functions, layers and shapes is used again, if it is among the last `KEPT`.
        """
        shape = self._shape if variables is None else variables
        found = tuple(self.layer(name).name for name in names)
        compiled = self._differentiated(function, found, (shape, *shapes), seen, override)

        def differentiated(*arrays: Array) -> tuple[Floats, Floats]:
            if variables is None:
                self._check_images(arrays[0])
            elif arrays[0].shape[1:] != variables:
                raise UsageError(f"The variables have the shape {arrays[0].shape}; expected {_named((None, *variables))}.")
            values, gradient = self._in_batches(compiled, arrays, views)
            return values, gradient

        return differentiated

    def _differentiate(
        self,
        function: Callable[..., Any],
        names: tuple[str, ...],
        shapes: tuple[tuple[int, ...], ...],
        seen: Callable[..., Any] | None,
        override: bool,
    ) -> Callable[..., list[Array]]:
        outputs = overridden(self._twin, names) if override else self._twin.function(names)

        def value(x: Any, *others: Any) -> Any:
            shown = x if seen is None else seen(x, *others)
            found = [keras.ops.cast(output, "float32") for output in outputs(shown)]
            return function(dict(zip(names, found, strict=True)), x, *others)

        return backend.current().gradient(value, shapes, self.model.variables)

    def layer(self, name: str, *, maps: bool = False) -> Layer:
        """The layer of that name, or what stands for "input" or "logits".

        Args:
            name: As in `layers`.
            maps: Whether it must put out feature maps.

        Raises:
            UsageError: There is no such layer, or it puts out no feature maps where they are needed.
            ModelError: Its feature maps have their channels first.
        """
        if isinstance(name, str) and name not in self._twin.tensors:
            # Keras' own name may be another.
            name = next((each for each in [from_keras(name)] if each in self._twin.tensors), name)
        if not isinstance(name, str) or name not in self._twin.tensors:
            raise UsageError(
                f"The model has no layer {shown(name)}.{suggest(name, self._twin.tensors)} "
                f"Its layers are {_listed([layer.name for layer in self.layers])}."
            )
        tensor = self._twin.tensors[name]
        call = next((call for call in self._twin.calls if call.output is tensor), None)
        kind = "Input" if call is None else type(call.inner).__name__
        if id(tensor) in self._layout.windows:
            raise UsageError(
                f"The layer '{name}' ({kind}) holds windows of an image as if they were images, and can't be read image by "
                "image; name one before or after the windows."
            )
        shape = tuple(int(size) for size in tensor.shape[1:])
        grid, heads = self._layout.grids.get(id(tensor)), id(tensor) in self._layout.heads
        layer = Layer(name, kind, shape, self._parameters(call), grid, heads)
        if layer.maps and call is not None and getattr(call.inner, "data_format", "") == "channels_first":
            raise ModelError(
                f"The layer '{name}' of '{self.name}' puts its channels first; expected feature maps of (height, width, "
                "channels), which alone are explained."
            )
        if maps and not layer.maps:
            with_maps = [layer.name for layer in self.layers if layer.maps]
            raise UsageError(
                f"The layer '{name}' ({layer.kind}) has no feature maps: it puts out {_named(layer.shape)}. "
                f"Layers with feature maps: {_listed(with_maps) or 'none'}."
            )
        return layer

    def before_relu(self, name: str) -> str | None:
        """The layer whose output a ReLU of any ceiling, given as a layer of its own, takes; None for other layers."""
        output = self._twin.tensors[self.layer(name).name]
        names = {id(self._twin.tensors[each]): each for each in self._twin.names}
        call = next((call for call in self._twin.calls if call.output is output), None)
        found = None if call is None else activation(call)
        # A layer with a ReLU behind its own product is none that is given what the ReLU takes.
        if call is None or found is None or not found.relu or isinstance(found.given, graph.Linear):
            return None
        return names.get(id(call.sources[0]))

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Every layer, in the order of computation; those of nested models as "outer/inner".

        Layers that hold windows of an image as if they were images are left out.
        """
        tensors, windows = self._twin.tensors, self._layout.windows
        return tuple(self.layer(name) for name in self._twin.names if id(tensors[name]) not in windows)

    @cached_property
    def _layout(self) -> Layout:
        return layout(self._twin)

    def other_calls(self, name: str) -> tuple[str, ...]:
        """The other calls of a layer that learnt something, or of the nested model that it stands in, by their names.

        Raises:
            UsageError: There is no such layer.
        """
        tensor, (outer, _, leaf) = self._twin.tensors[self.layer(name).name], name.rpartition("/")
        # The scores before a layer's own activation are no call of the model's.
        calls = [call for call in self._twin.calls if call.name != graph.LOGITS]
        inner = next((call.inner for call in calls if call.output is tensor), None)
        same = [call.name for call in calls if call.inner is inner and call.output is not tensor]
        learnt = isinstance(inner, keras.Layer) and bool(inner.weights)
        # A ReLU that is used everywhere has no paths of its own.
        apart = [other for other in same if learnt or other.rpartition("/")[0] != outer]
        alike = [other for other in apart if other.rpartition("/")[2] == leaf]
        return tuple(other for other in alike or apart if other in self._twin.tensors)

    @property
    def closed(self) -> tuple[str, ...]:
        """The layers that are models without a graph, and hide the layers in them."""
        return tuple(call.name for call in self._twin.calls if isinstance(call.inner, keras.Model))

    def leads_to_scores(self, name: str) -> bool:
        """Whether the scores depend on what a layer puts out; on a softmax after them they don't."""
        return self._twin.tail(self.layer(name).name, [graph.LOGITS]) is not None

    @property
    def output(self) -> str:
        """The name of the layer that puts out what the model does: the probabilities, or the scores."""
        return self._twin.output or graph.LOGITS

    @cached_property
    def convolutions(self) -> tuple[Layer, ...]:
        """For each convolution what it puts out after its batch normalization and activation, where these follow alone."""
        return tuple(each.activated for each in self.filters)

    @cached_property
    def filters(self) -> tuple[Convolution, ...]:
        """The convolutions, with what they put out; one that is used twice stands there twice."""
        found = []
        names = {id(self._twin.tensors[name]): name for name in self._twin.names}
        for call in self._twin.calls:
            if not isinstance(call.inner, CONVOLUTIONS) or id(call.output) not in names:
                continue
            if id(call.output) in self._layout.windows:
                continue
            output = normalized = call.output
            while len(after := self._twin.consumers(output)) == 1 and type(after[0].inner).__name__ in AFTER:
                if output is normalized and isinstance(after[0].inner, keras.layers.BatchNormalization):
                    normalized = after[0].output
                output = after[0].output
            layers = (self.layer(names[id(tensor)]) for tensor in (call.output, normalized, output))
            found.append(Convolution(call.inner, *layers))
        return tuple(found)

    def activated(self, name: str) -> str:
        """The layer that ends with the activation of a layer which has none itself, past its batch normalization.

        Returns:
            That layer; `name` itself where no activation follows alone, as after the last convolution before a sum.

        Raises:
            UsageError: There is no such layer.
        """
        layer = self.layer(name)
        names = {id(self._twin.tensors[each]): each for each in self._twin.names}
        output, found = self._twin.tensors[layer.name], layer.name
        while len(after := self._twin.consumers(output)) == 1 and type(after[0].inner).__name__ in AFTER:
            output = after[0].output
            if type(after[0].inner).__name__ != "BatchNormalization":
                found = names.get(id(output), found)
        return found

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """The layers in which the stages end, between which the network halves the resolution; the last feature maps too."""
        return tuple(stage_ends(self._twin, {layer.name for layer in self.convolutions}, AFTER))

    @cached_property
    def _fields(self) -> Fields:
        return Fields(self._twin, self._layout)

    def receptive_field(self, name: str) -> Field:
        """Which pixels the units of a layer can see.

        Returns:
            Of rows and of columns `size`, the most that a unit sees, and `slice(unit, length)`, the pixels of one unit.

        Raises:
            UsageError: There is no such layer.
            ModelError: A layer on the way is none whose geometry is known.
        """
        return self._fields.of(self.layer(name).name)

    @property
    def first_normalization(self) -> tuple[str, Floats, Floats] | None:
        """The layer before the first BatchNormalization, and the mean and variance that were learnt of its channels."""
        names = {id(self._twin.tensors[name]): name for name in self._twin.names}
        for call in self._twin.calls:
            if isinstance(call.inner, keras.layers.BatchNormalization) and id(call.sources[0]) in names:
                statistics = (call.inner.moving_mean, call.inner.moving_variance)
                mean, variance = (keras.ops.convert_to_numpy(each).astype(np.float32) for each in statistics)
                return names[id(call.sources[0])], mean, variance + call.inner.epsilon
        return None

    def target(self, wanted: int | str) -> int:
        """The index of a class given by label or index; a string that is a label counts as that label first.

        Of a label that is a list of words, as ImageNet's "tabby, tabby cat" is, one of them will do. Of values "NAME up" and
        "NAME down" say whether what raises it or what lowers it is meant, and of one value alone "up" and "down".

        Raises:
            UsageError: There is no such class, or there are several.
        """
        if not isinstance(wanted, str) and not _is_index(wanted):
            raise UsageError(f"There is no class labelled '{shown(wanted)}': a class has a label and a number.")
        if self.head == "values" and isinstance(wanted, str):
            wanted = heads.direction(wanted, self.labels)
        named = [index for index, label in enumerate(self.labels) if wanted == label]
        named = named or [index for index, label in enumerate(self.labels) if wanted in label.split(", ")]
        if len(named) > 1:
            raise UsageError(f"'{wanted}' may be any of the classes {self._numbered(named)}; give the number of one.")
        if named:
            return named[0]
        try:
            if isinstance(wanted, bool):
                raise TypeError
            index = int(wanted) if isinstance(wanted, str) else operator.index(wanted)
        except (TypeError, ValueError):
            if self.head == "values":
                raise heads.no_value(wanted, self.labels) from None
            word = re.compile(rf"\b{re.escape(str(wanted))}\b", re.IGNORECASE)
            holding = [index for index, label in enumerate(self.labels) if word.search(label)]
            if holding:
                hint = f" These contain the word: {self._numbered(holding)}; give a number or a whole name."
            else:
                hint = (
                    f"{suggest(str(wanted), [name for label in self.labels for name in label.split(', ')])} The model has "
                    f"{self._classes} classes, '{self.labels[0]}' to '{self.labels[-1]}'."
                )
            raise UsageError(f"There is no class labelled '{wanted}'.{hint}") from None
        # What the user types counts the values alone.
        most = self.outputs if isinstance(wanted, str) else self._classes
        if self.head == "values" and not 0 <= index < most:
            raise heads.no_value(index, self.labels)
        if not 0 <= index < self._classes:
            raise UsageError(f"There is no class {shown(index)}: the model has {self._classes}, 0 to {self._classes - 1}.")
        return index

    def _numbered(self, classes: Sequence[int]) -> str:
        more = f" and {len(classes) - LISTED} more" if len(classes) > LISTED else ""
        return ", ".join(f"{index} ({self.labels[index]})" for index in classes[:LISTED]) + more

    @property
    def sha256(self) -> str:
        """A hash of the model: of its file, or of its weights' names, shapes and values now where it came from memory."""
        if self._sha256 is not None:
            return self._sha256
        digest = hashlib.sha256()
        for weight, value in zip(self.model.weights, self.model.get_weights(), strict=True):
            digest.update(f"{weight.path} {value.shape} {value.dtype}".encode())
            digest.update(np.ascontiguousarray(value).tobytes())
        return digest.hexdigest()

    @cached_property
    def batch_size(self) -> int:
        """How many images go through the model at once, a power of two from 1 to 256, so that the memory suffices.

        Every layer's output counts three times: the output, its gradient, and the room that a layer needs to work. Where
        that is still too much it becomes smaller while the model runs: to go through images, use `slices`. Backends that
        fill shorter batches up to a power of two make none longer than this.
        """
        most = max(1, min(256, _memory() // (3 * 4 * self._twin.values)))
        return 1 << (most.bit_length() - 1)

    def slices(self, count: int, views: int = 1) -> Iterator[slice]:
        """Goes through `count` items of `views` images each, as many at a time as `batch_size` says by then."""
        start = 0
        while start < count:
            stop = min(start + max(1, self.batch_size // views), count)
            yield slice(start, stop)
            start = stop

    def _parameters(self, call: Any) -> int:
        if call is None or not isinstance(call.inner, keras.Layer):
            return 0
        first = next(each for each in self._twin.calls if each.inner is call.inner)
        return sum(math.prod(weight.shape) for weight in call.inner.weights) if first is call else 0

    def _forward(self, names: tuple[str, ...]) -> Callable[[Array], list[Array]]:
        def build() -> Callable[[Array], list[Array]]:
            outputs = self._twin.function(names)
            return backend.current().forward(
                lambda x: [keras.ops.cast(y, "float32") for y in outputs(x)], self._shape, self.model.variables
            )

        return self._compiled(names, build)

    def _weights(self, images: Array, objectives: Sequence[Objective]) -> tuple[tuple[str, ...], list[Floats]]:
        """The layers that the objectives read, and for each the weights (N, *shape) of what it puts out."""
        if len(objectives) != len(images):
            raise UsageError(f"There are {len(objectives)} objectives for {len(images)} images; give one for each.")
        # An objective may stand for thousands of images, such as the copies of one with noise.
        different = {id(objective): objective for objective in objectives}
        found = {key: objective.seeds(self) for key, objective in different.items()}
        seeds = [found[id(objective)] for objective in objectives]
        names = tuple(sorted({name for seed in seeds for name in seed}))
        nothing = {name: np.zeros(self.layer(name).shape, np.float32) for name in names}
        return names, [np.stack([seed.get(name, nothing[name]) for seed in seeds]) for name in names]

    def _compiled(self, key: tuple[str, ...], build: Callable[[], Callable[..., list[Array]]]) -> Callable[..., list[Array]]:
        if key not in self._functions:
            self._functions[key] = build()
        return self._functions[key]

    def _compare(self, image: Array, logits: Array) -> None:
        """Sees that the twin computes what the model does, once: a model may do in `call` what its graph doesn't show."""
        # A functional model may want its inputs in a list or by name; a sequential one doesn't say.
        structure = getattr(self.model, "input", self.model.inputs[0])
        inputs = self.inputs.given(keras.ops.convert_to_tensor(np.asarray(image)))
        given = keras.tree.pack_sequence_as(structure, inputs)
        output = self._head.flat(keras.tree.flatten(aside(lambda: self.model(given, training=False)))[self._output])
        own = keras.ops.convert_to_numpy(keras.ops.cast(output, "float32"))
        twins = self._head.own(logits)
        # Half precision rounds at the third digit.
        if np.isfinite(own).all() and not np.allclose(own, twins, rtol=1e-2, atol=1e-2):
            raise ModelError(
                f"'{self.name}' computes other scores than its layers do (by {np.abs(own - twins).max():.2g}); "
                "it can't be explained unless it is built of plain layers, not quantized and without a call() of its own."
            )

    def _batched(self, function: Callable[..., list[Array]], *arrays: Array) -> list[Array]:
        self._check_images(arrays[0])
        with foreign(lambda error: ModelError(f"'{line(self.name)}' can't be computed: {reason(error)}")):
            return self._in_batches(function, arrays)

    def _check_images(self, images: object) -> None:
        if not isinstance(images, np.ndarray):
            raise UsageError(
                f"The images are a {type(images).__name__}; expected an array {('N', *self.preprocess.shape)}, such as "
                "cnnexplain.read_images gives.".replace("'N'", "N")
            )
        if images.dtype.kind != "f":
            raise UsageError(
                f"The images hold {images.dtype}; the model takes floating-point numbers from {self.preprocess.low:g} "
                f"to {self.preprocess.high:g}, such as cnnexplain.read_images gives."
            )
        if images.shape[1:] != self.preprocess.shape:
            raise UsageError(wrong_shape(images.shape, self.preprocess))

    def _in_batches(self, function: Callable[..., list[Array]], arrays: Sequence[Array], views: int = 1) -> list[Array]:
        """What the function gives for arrays of as many items each, of which the network is shown `views` images each."""
        slices = self.slices(max(len(arrays[0]), 1), views)
        parts = [part for here in slices for part in self._halved(function, arrays, here, views)]
        return [np.concatenate(part) if len(part) > 1 else part[0] for part in zip(*parts, strict=True)]

    def _halved(
        self, function: Callable[..., list[Array]], arrays: Sequence[Array], here: slice, views: int
    ) -> Iterator[list[Array]]:
        """What the function gives for a slice of the arrays, which is halved as long as it takes too much memory."""
        count = min(here.stop, len(arrays[0])) - here.start
        try:
            with naming(self._twin, self._example(arrays[0][here]), self.model.variables):
                found = function(*(array[here] for array in arrays))
            yield found
            return
        except MemoryError as error:
            if count <= 1:
                shown = "a single image" if views == 1 else f"{views} images"
                raise ModelError(
                    f"'{self.name}' needs more memory for {shown} than there is. Free some, or take a smaller model."
                ) from error
        self.batch_size = min(self.batch_size, count // 2 * views)
        middle = here.start + count // 2
        yield from self._halved(function, arrays, slice(here.start, middle), views)
        yield from self._halved(function, arrays, slice(middle, here.stop), views)

    def _example(self, arrays: Array) -> Floats:
        """One image (1, H, W, C): the first, or a grey one where the arrays are none."""
        if len(arrays) and arrays.shape[1:] == self._shape:
            return arrays[:1]
        return np.full((1, *self._shape), self.preprocess.grey, np.float32)


def _memory() -> int:
    """Bytes for the intermediate results of one batch: a quarter of what is free, on a processor `MEMORY` at most."""
    # A GPU needs many images at once to be busy; a processor computes small batches as fast as large ones.
    device = backend.current().device_memory()
    if device is not None:
        return device // 4
    names = getattr(os, "sysconf_names", {})
    if not {"SC_AVPHYS_PAGES", "SC_PHYS_PAGES"} <= set(names):
        return MEMORY
    # What the system keeps of files counts as used, but is given up when it is needed.
    free = max(os.sysconf("SC_AVPHYS_PAGES") // 4, os.sysconf("SC_PHYS_PAGES") // 16)
    return min(MEMORY, free * os.sysconf("SC_PAGE_SIZE"))


def _check_input(model: Any, preprocess: Preprocess, inputs: Inputs) -> None:
    shape = tuple(model.inputs[inputs.image].shape[1:])
    if inputs.flat:
        shape = (*shape, 1)
    if any(size not in (None, given) for size, given in zip(shape, preprocess.shape, strict=True)):
        raise UsageError(
            f"The model '{model.name}' takes {_named(shape)}, but is declared to take {_named(preprocess.shape)}; "
            "give its own size and colours (--input-size, --input-colour, the sidecar or preprocess=)."
        )


def _output(model: Any, wanted: str | None) -> tuple[int, str]:
    """Which of a model's outputs has that name, and the name; one alone needs none."""
    structure = getattr(model, "output", None)
    keys = {id(tensor): key for key, tensor in structure.items()} if isinstance(structure, dict) else {}
    # A sequential model names its output as its last layer.
    layers = getattr(model, "output_names", None) or [model.layers[-1].name]
    names = [str(keys.get(id(tensor), name)) for tensor, name in zip(model.outputs, layers, strict=True)]
    if wanted is None and len(model.outputs) > 1:
        raise UsageError(
            f"The model '{model.name}' has {len(model.outputs)} outputs; choose one with --output (output=…): "
            f"{', '.join(names)}."
        )
    if wanted is not None and wanted not in names:
        raise UsageError(
            f"The model '{model.name}' has no output '{wanted}'.{suggest(wanted, names)} It has {', '.join(names)}."
        )
    index = 0 if wanted is None else names.index(wanted)
    return index, names[index]


def _is_index(value: Any) -> bool:
    try:
        operator.index(value)
    except TypeError:
        return False
    return True


def _as_objectives(targets: Integers | Sequence[Objective]) -> list[Objective]:
    for target in targets:
        if not isinstance(target, Objective) and not _is_index(target):
            raise UsageError(f"A target is the number of a class or an Objective, but got {shown(target)}.")
    return [target if isinstance(target, Objective) else Logit(int(target)) for target in targets]


def _product(output: Any, weights: Any) -> Any:
    """Σ output · weights, image by image."""
    products = keras.ops.cast(output, "float32") * weights
    return keras.ops.sum(keras.ops.reshape(products, (-1, math.prod(output.shape[1:]))), axis=1)


def _unit(output: Any, place: Any) -> Any:
    """The number of each image's feature maps (N, h, w, K) at its place (N, 3)."""
    output = keras.ops.cast(output, "float32")
    # Products with 1 and 0, whose pull-back is a plain array on all backends; a place beyond the layer gives 0.
    for axis, size in enumerate(output.shape[1:]):
        one = keras.ops.cast(keras.ops.equal(place[:, axis : axis + 1], keras.ops.arange(size, dtype="int32")), "float32")
        output = keras.ops.sum(output * keras.ops.reshape(one, (-1, size, *[1] * (2 - axis))), axis=1)
    return output


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")


def _named(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"

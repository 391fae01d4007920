"""A model as layers: their geometry and order, their outputs for images, and functions of these.

`Classifier` adds what concerns the scores of classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cnnexplain import former_names
from cnnexplain.errors import UsageError
from cnnexplain.model.computation import backward_rules, caller_functions, gradients, projections
from cnnexplain.model.computation.layer_outputs import largest_values, layer_outputs, unclipped_outputs
from cnnexplain.model.computation.network import Network
from cnnexplain.model.computation.rules import Rule
from cnnexplain.model.computation.tails import outputs_after
from cnnexplain.model.geometry import convolutions
from cnnexplain.model.geometry.axes import Field
from cnnexplain.model.geometry.convolutions import Convolution
from cnnexplain.model.geometry.layers import Layer, Layers
from cnnexplain.model.geometry.stages import stage_ends
from cnnexplain.model.incremental.occluded import occluded
from cnnexplain.model.structure.graph import LOGITS

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Float32, Integer, Shaped


class LayeredModel:
    """A model as layers.

    Args:
        layers: The layers of its graph.
        network: Computes functions of the graph.
    """

    def __init__(self, layers: Layers, network: Network) -> None:
        self._layers, self._network, self._graph = layers, network, network.graph

    @property
    def activation_count(self) -> int:
        """The number of values in the outputs of all layers for one image."""
        return self._graph.values

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

    def activations(
        self, images: Float[np.ndarray, "N H W C"], names: Sequence[str]
    ) -> dict[str, Float32[np.ndarray, "N ..."]]:
        """The outputs (N, *shape) of layers by name, from one forward pass in inference mode."""
        if isinstance(names, str):
            raise UsageError(f"`names` must be a list of layer names, but got '{names}'; write ['{names}'].")
        return layer_outputs(self._network, images, [self.layer(name) for name in names])

    def activations_after(
        self,
        images: Float[np.ndarray, "N H W C"],
        name: str,
        outputs: Float[np.ndarray, "N ..."],
        names: Sequence[str] = (LOGITS,),
    ) -> dict[str, Float32[np.ndarray, "N ..."]]:
        """The outputs (N, *shape) of later layers by name, if the layer `name` returned `outputs` (N, *shape).

        The images are used for paths that bypass the layer. It is a `UsageError` if nothing depends on the layer.
        """
        layers = list(dict.fromkeys(self.layer(each) for each in names))
        return outputs_after(self._network, images, self.layer(name), outputs, layers)

    def unclipped(
        self, images: Float[np.ndarray, "N H W C"], names: Sequence[str]
    ) -> dict[str, tuple[Float32[np.ndarray, "N ..."], Float32[np.ndarray, "N ..."]]]:
        """The outputs (N, *shape) of layers, and values that rank their units even if an activation such as ReLU6 clips."""
        return unclipped_outputs(self._network, images, [self.layer(name).name for name in names])

    def largest_values(
        self, images: Float[np.ndarray, "N H W C"], names: Sequence[str]
    ) -> dict[str, Float32[np.ndarray, "N F"]]:
        """The largest value of each feature map of layers, without the clip of an activation such as ReLU6."""
        return largest_values(self._network, images, [self.layer(name, maps=True).name for name in names])

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

        In the first layers only the part that a box changes is recomputed, if that is faster; the results are those of
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

        Raises:
            UsageError: A layer has no such unit.
        """
        layers = [self.layer(name, maps=True) for name in names]
        projections.check_units(layers, units)
        names = tuple(layer.name for layer in layers)
        return projections.project_units(self._network, images, names, units, values, rule)

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
                maps images to a dictionary of the outputs of the layers, and `outputs.apart` maps images (N, K, H, W, C) to
                such dictionaries for K groups of the layers, each for its own image.
            names: The layers.
            shapes: The shapes of the arrays, without the batch axis.
            constants: The shapes of arguments that are the same for all items; None for an axis of any length.
            views: The number of images that the network gets for each item.

        Returns:
            (arrays, constants) ↦ the results. It is kept as those of `differentiable` are. It raises `UsageError` if the
            arguments have other shapes.
        """
        layers = tuple(self.layer(name).name for name in names)
        return caller_functions.compiled(self._network, function, layers, shapes, constants, views)

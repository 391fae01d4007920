"""The outputs of a network's layers and the contributions of their maps (Yosinski et al. 2015, section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.errors import ModelError, UsageError
from cnnexplain.numerics import evenly_spaced
from cnnexplain.plugin import Result, other_calls_warning
from cnnexplain_plugins.intermediate_outputs import ALL

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

    from cnnexplain import Classifier, Layer, Objective

LAYERS = 20
"""All layers of a network with at most this number are shown by default."""

TOKENS = 6
"""The number of transformer blocks shown by default, each by the sum in which it ends."""

MAPS, ALL_MAPS = 24, 32
"""How many maps of a layer are shown large by default, and up to how many are all shown large."""

LOGITS = "logits"
"""The name of a classifier's scores before the softmax."""


def outputs(
    classifier: Classifier,
    images: Float32[np.ndarray, "N H W C"],
    objectives: Sequence[Objective],
    names: Sequence[str],
    maps: str | None,
) -> Result:
    """The outputs of layers for each image, and their contributions; see `run`."""
    max_maps = _max_maps(maps)
    layers = _layers(classifier, names)
    shown = [layer.name for layer in layers]
    values, outputs, gradients = classifier.outputs_and_gradients(images, shown, objectives, [LOGITS])
    contributions = {name: _sum_by_channel(outputs[name] * gradient) for name, gradient in gradients.items()}
    # A regression model has no probabilities.
    probabilities = None if classifier.head == "values" else classifier.probabilities(outputs[LOGITS])
    last = classifier.output
    fields = {layer.name: _receptive_field(classifier, layer) for layer in layers}
    grids = {layer.name: _grid(layer) for layer in layers}
    facts = [
        [
            {
                **_output_facts(layer, outputs[layer.name][number]),
                "unit": "activation"
                if layer.name not in (last, LOGITS)
                else _unit(outputs[layer.name][number], None if probabilities is None else probabilities[number]),
                **_contribution_facts(
                    layer,
                    outputs[layer.name][number],
                    contributions[layer.name][number] if layer.name in contributions else None,
                    max_maps,
                ),
                "field": fields[layer.name],
                "grid": grids[layer.name],
            }
            for layer in layers
        ]
        for number in range(len(images))
    ]
    arrays = {
        **{f"output/{layer.name}": outputs[layer.name] for layer in layers},
        **{f"contribution/{name}": each for name, each in contributions.items()},
        **({} if probabilities is None else {"probabilities": probabilities}),
    }
    left_out = 0 if names or classifier.stages else len(classifier.layers) - len(layers)
    warnings = [f"{left_out} of the {len(classifier.layers)} layers are left out; name those to show with --layer."]
    shared = [] if names else other_calls_warning(classifier, [layer.name for layer in layers])
    return Result(
        arrays,
        {"layers": facts, "value": [float(value) for value in values]},
        warnings=(*(warnings if left_out else ()), *shared),
    )


def _max_maps(maps: str | None) -> int | None:
    """The maximum number of maps shown large; None for the default."""
    if maps is None:
        return None
    if maps == ALL:
        return 1 << 31
    if not maps.isascii() or not maps.isdigit() or not int(maps):
        raise UsageError(f"--maps takes '{ALL}' or how many maps to show, at least 1, but got '{maps}'.")
    return int(maps)


def _layers(classifier: Classifier, names: Sequence[str]) -> list[Layer]:
    """The layers with these names; without names, all layers of a small network or the ends of the stages of a deep one."""
    if ALL in names or (not names and len(classifier.layers) <= LAYERS):
        return list(classifier.layers)
    if not names and not classifier.stages:
        return evenly_spaced(classifier.layers, LAYERS)
    tokens = [layer.name for layer in classifier.layers if layer.grid is not None and layer.kind == "Add"]
    chosen = names or (*classifier.stages, *evenly_spaced(tokens, TOKENS), classifier.output)
    return [classifier.layer(name) for name in dict.fromkeys(chosen)]


def _sum_by_channel(products: Float[np.ndarray, "N ..."]) -> Float32[np.ndarray, "N F"]:
    """The sums of activation × gradient over the positions of each feature map."""
    return np.asarray(products.reshape(len(products), -1, products.shape[-1]).sum(axis=1), np.float32)


def _receptive_field(classifier: Classifier, layer: Layer) -> list[list[Any]] | None:
    """The receptive fields of the units of a layer's maps, along rows and along columns, as in `Panel`; None if unknown."""
    if not layer.maps and _grid(layer) is None:
        return None
    try:
        field = classifier.receptive_field(layer.name)
    except ModelError:
        return None
    return [axis.plain() for axis in (field.rows, field.columns)]


def _grid(layer: Layer) -> list[int] | None:
    """The number of rows and columns of a layer's tokens, and the index of the first one, if they are ordered row by row."""
    grid = layer.grid
    if grid is None or grid.tokens != tuple(range(grid.tokens[0], grid.tokens[0] + len(grid.tokens))):
        return None
    return [grid.rows, grid.columns, grid.tokens[0]]


def _unit(output: Float[np.ndarray, "*shape"], probabilities: Float[np.ndarray, " K"] | None) -> str:
    """The unit of the last layer's output for one image; `probabilities` is None for a regression model."""
    if probabilities is None:
        return "value"
    # A model with scores for each pixel returns more numbers than there are classes.
    if output.size > probabilities.size:
        return "activation"
    # A single sigmoid output is the second of its two classes. Half precision rounds at the third digit.
    apart = np.abs(output.reshape(-1) - probabilities[-output.size :]).max()
    return "probability" if apart <= 1e-2 else "logit"


def _output_facts(layer: Layer, output: Float[np.ndarray, "*shape"]) -> dict[str, Any]:
    """The facts of a layer's output for one image."""
    dead = (output == 0).reshape(-1, output.shape[-1] if layer.shape else 1).all(axis=0).nonzero()[0]
    return {
        "name": layer.name,
        "kind": layer.kind,
        "shape": list(layer.shape),
        "min": float(output.min()),
        "max": float(output.max()),
        "dead": len(dead),
        "dead_channels": dead.tolist(),
    }


def _contribution_facts(
    layer: Layer,
    output: Float[np.ndarray, "*shape"],
    contributions: Float[np.ndarray, " F"] | None,
    max_maps: int | None,
) -> dict[str, Any]:
    """The total contribution of a layer for one image, and which of its maps are shown large."""
    total = None if contributions is None else float(contributions.sum())
    if len(layer.shape) < 2:
        return {"contribution": total, "shown": []}
    # If the score does not depend on the layer, the maps with the largest magnitudes are shown.
    weight = np.abs(output).reshape(-1, output.shape[-1]).max(axis=0) if contributions is None else contributions
    if max_maps is None:
        max_maps = MAPS if len(weight) > ALL_MAPS else ALL_MAPS
    chosen = (-np.abs(weight)).argsort(kind="stable")[:max_maps]
    return {"contribution": total, "shown": chosen[(-weight[chosen]).argsort(kind="stable")].tolist()}

"""The outputs of a network's layers and what each of their maps contributes (Yosinski et al. 2015, section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.errors import ModelError, UsageError
from cnnexplain.numerics import evenly_spaced
from cnnexplain.plugin import Result, other_calls_warning
from cnnexplain_plugins.intermediate_outputs import ALL

if TYPE_CHECKING:
    from cnnexplain import Classifier, Floats, Layer, Objective

LAYERS = 20
"""A network of so many layers is shown whole where none is named."""

TOKENS = 6
"""Of the sums in which the blocks of a transformer end so many are shown where no layer is named."""

MAPS, WHOLE = 24, 32
"""How many maps of a layer are shown large where it isn't said, and of how many none is left out."""

LOGITS = "logits"
"""The name under which a classifier gives its scores before the softmax."""


def outputs(
    classifier: Classifier, images: Floats, objectives: Sequence[Objective], names: Sequence[str], maps: str | None
) -> Result:
    """What layers return for each image, and what it contributes; see `run`."""
    most = _most(maps)
    layers = _layers(classifier, names)
    found = classifier.activations(images, [*(layer.name for layer in layers), LOGITS])
    values, gradients = classifier.layer_gradients(images, [layer.name for layer in layers], objectives)
    contributions = {name: _per_channel(found[name] * gradient) for name, gradient in gradients.items()}
    # A model of values has no probabilities.
    probabilities = None if classifier.head == "values" else classifier.probabilities(found[LOGITS])
    last = classifier.output
    fields = {layer.name: _field(classifier, layer) for layer in layers}
    grids = {layer.name: _grid(layer) for layer in layers}
    facts = [
        [
            {
                **_facts(layer, found[layer.name][number]),
                "unit": "activation"
                if layer.name not in (last, LOGITS)
                else _unit(found[layer.name][number], None if probabilities is None else probabilities[number]),
                **_weighed(layer, found[layer.name][number], contributions.get(layer.name, {number: None})[number], most),
                "field": fields[layer.name],
                "grid": grids[layer.name],
            }
            for layer in layers
        ]
        for number in range(len(images))
    ]
    arrays = {
        **{f"output/{layer.name}": found[layer.name] for layer in layers},
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


def _most(maps: str | None) -> int | None:
    """How many maps to show large at most; None for the default."""
    if maps is None:
        return None
    if maps == ALL:
        return 1 << 31
    if not maps.isascii() or not maps.isdigit() or not int(maps):
        raise UsageError(f"--maps takes '{ALL}' or how many maps to show, at least 1, but got '{maps}'.")
    return int(maps)


def _layers(classifier: Classifier, names: Sequence[str]) -> list[Layer]:
    """The named layers; where none is named all of a small network, and of a deep one the ends of its stages."""
    if ALL in names or (not names and len(classifier.layers) <= LAYERS):
        return list(classifier.layers)
    if not names and not classifier.stages:
        return evenly_spaced(classifier.layers, LAYERS)
    tokens = [layer.name for layer in classifier.layers if layer.grid is not None and layer.kind == "Add"]
    some = names or (*classifier.stages, *evenly_spaced(tokens, TOKENS), classifier.output)
    return [classifier.layer(name) for name in dict.fromkeys(some)]


def _per_channel(products: Floats) -> Floats:
    """The sum (N, C) of activation × gradient (N, …, C) over the places of each map."""
    return np.asarray(products.reshape(len(products), -1, products.shape[-1]).sum(axis=1), np.float32)


def _field(classifier: Classifier, layer: Layer) -> list[list[Any]] | None:
    """What the places of its maps see of the image, along rows and along columns; see `Panel`."""
    if not layer.maps and _grid(layer) is None:
        return None
    try:
        field = classifier.receptive_field(layer.name)
    except ModelError:
        return None
    return [axis.plain() for axis in (field.rows, field.columns)]


def _grid(layer: Layer) -> list[int] | None:
    """Rows and columns of its tokens, and the first that stands for a place, where they follow row by row."""
    grid = layer.grid
    if grid is None or grid.tokens != tuple(range(grid.tokens[0], grid.tokens[0] + len(grid.tokens))):
        return None
    return [grid.rows, grid.columns, grid.tokens[0]]


def _unit(output: Floats, probabilities: Floats | None) -> str:
    """The unit of the last layer's output for one image, given the probabilities if the model has any."""
    if probabilities is None:
        return "value"
    # Of scores for each pixel the last layer returns more than there are classes.
    if output.size > probabilities.size:
        return "activation"
    # One sigmoid unit stands for the last of its two classes. Half precision rounds at the third digit.
    same = np.allclose(output.reshape(-1), probabilities[-output.size :], rtol=0, atol=1e-2)
    return "probability" if same else "logit"


def _facts(layer: Layer, output: Floats) -> dict[str, Any]:
    """What is to be said of one layer's output for one image."""
    dead = np.flatnonzero((output == 0).reshape(-1, output.shape[-1] if layer.shape else 1).all(axis=0))
    return {
        "name": layer.name,
        "kind": layer.kind,
        "shape": list(layer.shape),
        "min": float(output.min()),
        "max": float(output.max()),
        "dead": len(dead),
        "dead_channels": dead.tolist(),
    }


def _weighed(layer: Layer, output: Floats, contributions: Floats | None, most: int | None) -> dict[str, Any]:
    """What the channels of one layer contribute together for one image, and which of its maps are shown large."""
    total = None if contributions is None else float(contributions.sum())
    if len(layer.shape) < 2:
        return {"contribution": total, "shown": []}
    # What does not lead to the score contributes nothing; there the strongest maps are shown.
    weight = np.abs(output).reshape(-1, output.shape[-1]).max(axis=0) if contributions is None else contributions
    if most is None:
        most = MAPS if len(weight) > WHOLE else WHOLE
    chosen = np.argsort(-np.abs(weight), kind="stable")[:most]
    return {"contribution": total, "shown": chosen[np.argsort(-weight[chosen], kind="stable")].tolist()}

"""What a model file may name: layers and what they are made with, and nothing that does more than compute."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras

from cnnexplain.errors import ModelError

HOMES = (
    "activations",
    "applications",
    "constraints",
    "dtype_policies",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "quantizers",
    "regularizers",
)
"""Where Keras keeps what a description may name, in `keras` and in `keras.src`."""

FUNCTIONS = ("activations", "constraints", "initializers", "losses", "metrics", "ops", "regularizers")
"""Those of them that have functions which it may name."""

KINDS = (
    keras.Operation,  # Layers and models are operations.
    keras.constraints.Constraint,
    keras.dtype_policies.DTypePolicy,
    keras.initializers.Initializer,
    keras.losses.Loss,
    keras.metrics.Metric,
    keras.optimizers.Optimizer,
    keras.optimizers.schedules.LearningRateSchedule,
    keras.quantizers.Quantizer,
    keras.regularizers.Regularizer,
)
"""What a class is one of that a description may name."""

MORE = (
    "FlaxLayer",
    "HashedCrossing",
    "Hashing",
    "IntegerLookup",
    "JaxLayer",
    "Lambda",
    "StringLookup",
    "TFSMLayer",
    "TextVectorization",
    "TorchModuleWrapper",
)
"""Layers that run code or read files that a description names, or that are made for texts and tables."""

ELEMENTWISE = (
    "abs",
    "celu",
    "clip",
    "cos",
    "elu",
    "exp",
    "expm1",
    "gelu",
    "glu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "log",
    "log1p",
    "log_sigmoid",
    "log_softmax",
    "negative",
    "reciprocal",
    "relu",
    "relu6",
    "rsqrt",
    "selu",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "sqrt",
    "square",
    "squareplus",
    "swish",
    "tanh",
    "tanh_shrink",
    "threshold",
)
"""Operations that may be an activation: each keeps the shape of a tensor."""

UNRELATED = ("deserialize", "get", "serialize")
"""Functions there that make other things."""

HIDDEN = {name: f"keras.src.applications.convnext:{name}" for name in ("LayerScale", "StochasticDepth")}
"""Classes of networks in keras.applications that Keras does not find by their names, and where it has them."""

NOTED = ("__bytes__", "__ellipsis__", "__keras_tensor__", "__numpy__", "__slice__", "__tensor__", "__tuple__")
"""How Keras notes values that JSON has no form for."""


def check(config: Any, custom_objects: Mapping[str, Any]) -> None:
    """Sees that a description names nothing but what a model is made of.

    Args:
        config: The description.
        custom_objects: What the user has named, by the names that the description has for it.

    Raises:
        ModelError: It does. The message goes on after the name of the file.
    """
    own = {**custom_objects, **keras.saving.get_custom_objects()}
    foreign: dict[str, None] = {}
    # How the whole model was trained is never read; a nested model's training is.
    if isinstance(config, dict):
        config = {key: value for key, value in config.items() if key != "compile_config"}
    for found, place, key in _named(config):
        kind, module = found["class_name"], found.get("module") or ""
        name = found.get("config") if kind == "function" else found.get("registered_name") or kind
        if not (isinstance(kind, str) and isinstance(module, str) and isinstance(name, str)):
            raise ModelError(f"is damaged: in {place}, something is named by {name!r:.60}.")
        if name in own or kind in own or kind in NOTED:
            continue
        kinds = (keras.Operation,) if key.endswith("activation") else KINDS
        homes = FUNCTIONS if kind == "function" else HOMES
        home = module.removeprefix("keras.").removeprefix("src.").partition(".")[0]
        if module == "builtins" or not module:
            known = any(_known(kind, name, getattr(keras, each), kinds) for each in homes) or kind == "Functional"
        elif (module == "keras" and kind != "function") or (module.startswith("keras.") and home in homes):
            known = _known(kind, name, sys.modules.get(module) or _public(module), kinds)
        elif module.startswith("keras.src.backend.") and ".optimizers." in module:
            # Each backend has its own.
            known = hasattr(keras.optimizers, kind)
        else:
            known = False
        if known:
            continue
        if module.partition(".")[0] == "keras" or kind in MORE:
            shown = f"{'.'.join(filter(None, (module, name if kind == 'function' else kind))):.120}"
            raise ModelError(f"{_used(shown, found, place, key)}, and is refused.")
        foreign[name] = None
    if foreign:
        raise ModelError(_foreign(foreign))


def _used(shown: str, found: Mapping[str, Any], place: str, key: str) -> str:
    """How a description uses something that no model of images needs."""
    if key == "the whole":
        return f"is a {shown}, which is no model of images"
    if key not in ("layer", "layers"):
        return f"names {shown} as {key} of {place}, which no model of images needs there"
    inner = found.get("config")
    name = inner.get("name") if isinstance(inner, dict) else None
    of = f"the layer '{name:.60}' ({shown})" if isinstance(name, str) else f"a layer {shown}"
    return f"has {of}, which no model of images needs"


def layer(kind: str) -> Any:
    """The class of Keras' layers of this name.

    Raises:
        ModelError: There is none, or no model of images needs it. The message goes on after the name of the file.
    """
    if _known(kind, kind, keras.layers, KINDS):
        return getattr(keras.layers, kind)
    if kind in MORE:
        raise ModelError(f"has a layer {kind}, which no model of images needs, and is refused.")
    raise ModelError(_foreign([kind]))


def _known(kind: str, name: str, home: Any, kinds: tuple[Any, ...]) -> bool:
    found = getattr(home, name if kind == "function" else kind, None)
    if kind != "function":
        return inspect.isclass(found) and issubclass(found, kinds) and kind not in MORE
    ops = getattr(home, "__name__", "").startswith(("keras.ops", "keras.src.ops", "keras._tf_keras.keras.ops"))
    return inspect.isfunction(found) and (name in ELEMENTWISE if ops else name not in UNRELATED)


def _public(module: str) -> Any:
    place: Any = keras
    for part in module.split(".")[1:]:
        place = getattr(place, part, None)
    return place


def _foreign(names: Iterable[str]) -> str:
    shown = [f"{name:.80}" + (f" ({HIDDEN[name]})" if name in HIDDEN else "") for name in sorted(names)]
    more = f" and {len(shown) - 5} more" if len(shown) > 5 else ""
    return (
        f"needs code that Keras does not have: {', '.join(shown[:5])}{more}. "
        "Name the modules that have it with --custom-objects module:name (custom_objects=…)."
    )


def _named(config: Any) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Every object in a description, in which layer it is, and as what."""
    # A list of what is left to see, since a hostile file may nest deeper than Python calls itself.
    left: list[tuple[Any, str, str]] = [(config, "the model", "the whole")]
    while left:
        each, place, key = left.pop()
        if isinstance(each, dict):
            inner = each.get("config")
            if "class_name" in each:
                yield each, place, key
                name = inner.get("name") if isinstance(inner, dict) else None
                place = f"layer '{name:.60}'" if isinstance(name, str) else place
            left += [
                (value, place, key if inside in ("config", "class_name") else str(inside)[:60])
                for inside, value in each.items()
            ]
        elif isinstance(each, list):
            left += [(value, place, key) for value in each]

"""Checks that an untrusted model file names only layers and their parts, and nothing that does more than compute."""

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
"""The modules of `keras` and `keras.src` whose objects a description may name."""

FUNCTIONS = ("activations", "constraints", "initializers", "losses", "metrics", "ops", "regularizers")
"""Those whose functions it may name."""

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
"""The base classes of all classes that a description may name."""

EXCLUDED = (
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
"""Layers that run code or read files named in a description, or that process text or tables."""

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
"""Operations that may be used as an activation: each keeps the shape of a tensor."""

UNRELATED = ("deserialize", "get", "serialize")
"""Functions of these modules that are not parts of models."""

HIDDEN = {name: f"keras.src.applications.convnext:{name}" for name in ("LayerScale", "StochasticDepth")}
"""Layers of `keras.applications` that Keras does not find by their names, with their locations."""

VALUES = ("__bytes__", "__ellipsis__", "__keras_tensor__", "__numpy__", "__slice__", "__tensor__", "__tuple__")
"""The class names with which Keras stores values that have no form in JSON."""


def check(config: Any, custom_objects: Mapping[str, Any]) -> None:
    """Checks that a description names only parts of models.

    Args:
        config: The description.
        custom_objects: The user's classes and functions, by their names in the description.

    Raises:
        ModelError: It names something else. The message continues after the name of the file.
    """
    own = {**custom_objects, **keras.saving.get_custom_objects()}
    unknown: dict[str, None] = {}
    # Loading ignores the training configuration of the whole model, but not that of nested models.
    if isinstance(config, dict):
        config = {key: value for key, value in config.items() if key != "compile_config"}
    for entry, place, key in _entries(config):
        kind, module = entry["class_name"], entry.get("module") or ""
        name = entry.get("config") if kind == "function" else entry.get("registered_name") or kind
        if not (isinstance(kind, str) and isinstance(module, str) and isinstance(name, str)):
            raise ModelError(f"is damaged: in {place}, an object has the name {name!r:.60}.")
        if name in own or kind in own or kind in VALUES:
            continue
        kinds = (keras.Operation,) if key.endswith("activation") else KINDS
        homes = FUNCTIONS if kind == "function" else HOMES
        home = module.removeprefix("keras.").removeprefix("src.").partition(".")[0]
        if module == "builtins" or not module:
            allowed = any(_is_part(kind, name, getattr(keras, each), kinds) for each in homes) or kind == "Functional"
        elif (module == "keras" and kind != "function") or (module.startswith("keras.") and home in homes):
            allowed = _is_part(kind, name, sys.modules.get(module) or _public(module), kinds)
        elif module.startswith("keras.src.backend.") and ".optimizers." in module:
            # Each backend has its own optimizer classes.
            allowed = hasattr(keras.optimizers, kind)
        else:
            allowed = False
        if allowed:
            continue
        if module.partition(".")[0] == "keras" or kind in EXCLUDED:
            full_name = f"{'.'.join(filter(None, (module, name if kind == 'function' else kind))):.120}"
            raise ModelError(f"{_usage(full_name, entry, place, key)} and is rejected.")
        unknown[name] = None
    if unknown:
        raise ModelError(_unknown(unknown))


def _usage(full_name: str, entry: Mapping[str, Any], place: str, key: str) -> str:
    """How a description uses an object that no image model needs."""
    if key == WHOLE:
        return f"is a {full_name}, which is not an image model,"
    if key not in ("layer", "layers"):
        return f"names {full_name} as {key} of {place}, which no image model needs there,"
    inner = entry.get("config")
    name = inner.get("name") if isinstance(inner, dict) else None
    layer = f"the layer '{name:.60}' ({full_name})" if isinstance(name, str) else f"a layer {full_name}"
    return f"has {layer}, which no image model needs,"


def layer(kind: str) -> Any:
    """The Keras layer class of this name.

    Raises:
        ModelError: There is none, or no image model needs it. The message continues after the name of the file.
    """
    if _is_part(kind, kind, keras.layers, KINDS):
        return getattr(keras.layers, kind)
    if kind in EXCLUDED:
        raise ModelError(f"has a layer {kind}, which no image model needs, and is rejected.")
    raise ModelError(_unknown([kind]))


def _is_part(kind: str, name: str, home: Any, kinds: tuple[Any, ...]) -> bool:
    item = getattr(home, name if kind == "function" else kind, None)
    if kind != "function":
        return inspect.isclass(item) and issubclass(item, kinds) and kind not in EXCLUDED
    ops = getattr(home, "__name__", "").startswith(("keras.ops", "keras.src.ops", "keras._tf_keras.keras.ops"))
    return inspect.isfunction(item) and (name in ELEMENTWISE if ops else name not in UNRELATED)


def _public(module: str) -> Any:
    item: Any = keras
    for part in module.split(".")[1:]:
        item = getattr(item, part, None)
    return item


def _unknown(names: Iterable[str]) -> str:
    shown = [f"{name:.80}" + (f" ({HIDDEN[name]})" if name in HIDDEN else "") for name in sorted(names)]
    more = f" and {len(shown) - 5} more" if len(shown) > 5 else ""
    return (
        f"needs code that Keras does not have: {', '.join(shown[:5])}{more}. "
        "Name the modules that have it with --custom-objects module:name (custom_objects=…)."
    )


WHOLE = "the whole"
"""The key of the description itself in `_entries`."""


def _entries(config: Any) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Every object in a description, with its layer and its key there."""
    # Not recursive, because a hostile file may nest deeper than Python's recursion limit.
    pending: list[tuple[Any, str, str]] = [(config, "the model", WHOLE)]
    while pending:
        item, place, key = pending.pop()
        if isinstance(item, dict):
            inner = item.get("config")
            if "class_name" in item:
                yield item, place, key
                name = inner.get("name") if isinstance(inner, dict) else None
                place = f"layer '{name:.60}'" if isinstance(name, str) else place
            pending += [
                (value, place, key if inside in ("config", "class_name") else str(inside)[:60])
                for inside, value in item.items()
            ]
        elif isinstance(item, list):
            pending += [(value, place, key) for value in item]

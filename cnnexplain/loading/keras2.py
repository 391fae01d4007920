"""Models written by Keras 2 (Keras up to 2.15, tf_keras), built with the layers and operations of Keras 3."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import keras

from cnnexplain.errors import ModelError, reason, shown
from cnnexplain.interruption import check_interrupted
from cnnexplain.loading import allowed_names, keras2_graph
from cnnexplain.loading.keras2_graph import SAVE_AGAIN
from cnnexplain.loading.keras2_weights import Keras2Model

NESTED = ("Sequential", "Functional", "Model")
"""The class names of models that consist of layers."""

RENAMED = {"SyncBatchNormalization": "BatchNormalization", "RandomHeight": "Identity", "RandomWidth": "Identity"}
"""Keras 2 layers with their equivalents at inference in Keras 3."""

TRAINING_ONLY = ("_initializer", "_regularizer", "_constraint")
"""The endings of keys that matter only for training."""

UNNEEDED: dict[str, tuple[Any, ...] | None] = {
    "alpha": None,
    "auto_vectorize": None,
    "batch_input_shape": None,
    "data_format": ("channels_last",),
    "dtype": None,
    "force_generator": None,
    "fused": None,
    "groups": (1,),
    "implementation": None,
    "input_dim": None,
    "input_dtype": None,
    "input_length": None,
    "key_shape": None,
    "optional": (False,),
    "query_shape": None,
    "ragged": (False,),
    "renorm": (False,),
    "renorm_clipping": None,
    "renorm_momentum": None,
    "rng_type": None,
    "seed": None,
    "softmax_robust_masking": (False,),
    "sparse": (False,),
    "time_major": (False,),
    "value_shape": None,
}
"""Keys that a Keras 3 layer may lack, with the values (in addition to None) that do not change results; None allows all."""

IGNORED = ("trainable", "activity_regularizer", "input_shape")
"""Keys that a Keras 3 layer has and that do not change results either."""


def is_keras_2(version: str | None) -> bool:
    """Whether Keras 2 or older wrote a file with this version number; None if the file has none."""
    return version is None or version.partition(".")[0] in ("0", "1", "2")


def build(config: Any, custom_objects: Mapping[str, Any]) -> Keras2Model:
    """Builds a model from its Keras 2 description, without reading its weights.

    Args:
        config: The description.
        custom_objects: Classes and functions that are not part of Keras, by their names in the description.

    Raises:
        ModelError: Keras 3 has no equivalent of something in it. The message continues after the name of the file.
    """
    builder = _Builder(custom_objects)
    model = builder.build(config)
    return Keras2Model(model, builder.layers, frozenset(builder.frozen))


class _Builder:
    """Builds models and their layers, once each."""

    def __init__(self, custom_objects: Mapping[str, Any]) -> None:
        self._custom = custom_objects
        self._shared: dict[Any, Any] = {}
        self.layers: dict[int, dict[str, Any]] = {}
        self.frozen: set[int] = set()

    def build(self, entry: Any) -> Any:
        """The layer or model of a description; the same object for the same `shared_object_id`."""
        number = entry.get("shared_object_id")
        if number is None or number not in self._shared:
            self._shared[number] = self._new(entry)
        return self._shared[number]

    def _new(self, entry: Any) -> Any:
        kind, config = entry["class_name"], entry["config"]
        custom = self._custom.get(entry.get("registered_name") or kind) or self._custom.get(kind)
        if custom is not None:
            return custom.from_config(config) if hasattr(custom, "from_config") else custom
        if kind in NESTED:
            is_list = isinstance(config, list)
            if is_list or "input_layers" not in config:
                return self._sequential({"layers": config} if is_list else config)
            return self._functional(config)
        layer = self._layer(RENAMED.get(kind, kind), config)
        if not config.get("trainable", True):
            self.frozen.add(id(layer))
        return layer

    def _layer(self, kind: str, config: Mapping[str, Any]) -> Any:
        layer_class, name = allowed_names.layer(kind), config.get("name")
        parameters, arguments = _parameters(layer_class), {}
        if kind == "LeakyReLU" and "alpha" in config:
            config = {**config, "negative_slope": config["alpha"]}
        for key, value in config.items():
            if key == "batch_input_shape" and kind == "InputLayer":
                arguments["batch_shape"] = value
            elif key.endswith(TRAINING_ONLY) or key in IGNORED or (kind == "Identity" and key not in parameters):
                continue
            elif key in parameters:
                arguments[key] = self._value(key, value)
            # A value of None means that the feature is not used.
            elif value is not None and (harmless := UNNEEDED.get(key, ())) is not None and value not in harmless:
                raise ModelError(
                    f"has the layer '{name}' ({kind}) with {key} = {shown(value)}, which Keras 3 does not have. {SAVE_AGAIN}"
                )
        try:
            return layer_class(**arguments)
        # Values in a damaged file can raise anything.
        except Exception as error:
            check_interrupted(error)
            raise ModelError(f"has the layer '{name}' ({kind}), which Keras 3 can't build: {reason(error)}") from error

    def _value(self, key: str, value: Any) -> Any:
        if key == "name":
            return _valid_name(value)
        if key == "dtype":
            return value if isinstance(value, str) else value["config"]["name"]
        if key == "axis":
            return value[0] if isinstance(value, list) and len(value) == 1 else value
        if key.endswith("activation"):
            return self._activation(value)
        return self.build(value) if isinstance(value, dict) and "class_name" in value else value

    def _activation(self, value: Any) -> Any:
        if isinstance(value, dict) and value.get("class_name") != "function":
            return self.build(value)
        name = value["config"] if isinstance(value, dict) else value
        return self._custom.get(name) or (_hard_sigmoid if name == "hard_sigmoid" else name)

    def _sequential(self, config: Mapping[str, Any]) -> Any:
        entries = config["layers"]
        first = entries[0]["config"] if entries else {}
        shape = first.get("batch_input_shape") if isinstance(first, dict) else None
        layers = {str(entry["config"]["name"]): self.build(entry) for entry in map(_with_name, entries)}
        inputs = [keras.Input(batch_shape=shape)] if shape and entries[0]["class_name"] != "InputLayer" else []
        model = keras.Sequential([*inputs, *layers.values()], name=_valid_name(config.get("name")))
        shape = config.get("build_input_shape")
        if not model.built and shape:
            model.build(shape)
        self.layers[id(model)] = layers
        return model

    def _functional(self, config: Mapping[str, Any]) -> Any:
        entries = config["layers"]
        layers = {
            entry["name"]: self.build(entry)
            for entry in map(_with_name, entries)
            if entry["class_name"] not in keras2_graph.OPERATIONS
        }
        outputs: dict[tuple[str, int], list[Any]] = {
            (name, 0): [layer.output] for name, layer in layers.items() if isinstance(layer, keras.layers.InputLayer)
        }
        pending = [(entry, number, node) for entry in entries for number, node in enumerate(entry["inbound_nodes"])]
        references = keras2_graph.references([*(node for _, _, node in pending), config["output_layers"]])
        # The calls of a nested model are numbered from 1 if it was built before. Every call is referenced.
        first: dict[str, int] = {}
        for name, number, _ in references:
            first[name] = min(number, first.get(name, number))
        while pending:
            waiting = []
            for entry, number, node in pending:
                if all((name, call) in outputs for name, call, _ in keras2_graph.references(node)):
                    output = keras2_graph.call(layers, entry, node, outputs)
                    outputs[entry["name"], number + first.get(entry["name"], 0)] = keras.tree.flatten(output)
                else:
                    waiting.append((entry, number, node))
            if len(waiting) == len(pending):
                raise ModelError(f"is damaged: the layer '{pending[0][0]['name']}' is not connected to an input.")
            pending = waiting
        ends = (
            keras2_graph.unwrapped(keras2_graph.resolve(config[key], outputs)) for key in ("input_layers", "output_layers")
        )
        model = keras.Model(*ends, name=_valid_name(config.get("name")))
        self.layers[id(model)] = layers
        return model


def _hard_sigmoid(x: Any) -> Any:
    """The hard sigmoid of Keras 2, whose slope differs from that of Keras 3."""
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def _valid_name(name: Any) -> Any:
    """A layer's name without slashes, which Keras 3 does not allow."""
    return name.replace("/", "_") if isinstance(name, str) else name


def _with_name(entry: Any) -> dict[str, Any]:
    """The description of a layer with its name, which nested models may have in the entry or in its `config`."""
    config = entry["config"]
    name = entry.get("name") or (config.get("name") if isinstance(config, dict) else None) or entry["class_name"].lower()
    return {**entry, "name": name}


def _parameters(layer_class: Any) -> set[str]:
    """The parameter names of a layer class, including those of its base classes."""
    names: set[str] = set()
    for base in inspect.getmro(layer_class):
        parameters = inspect.signature(base.__init__).parameters.values()  # type: ignore[misc]
        names |= {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
        if base is keras.Layer or not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return names - {"self"}

"""Models that Keras 2 wrote (Keras up to 2.15, tf_keras): built with the layers and operations of Keras 3."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import keras

from cnnexplain.errors import ModelError, line, reason, shown
from cnnexplain.interruption import check_interrupted
from cnnexplain.loading import allowed_names, keras2_calls
from cnnexplain.model.model_files import LEGACY

NESTED = ("Sequential", "Functional", "Model")
"""What Keras 2 calls the models that are made of layers."""

OPERATIONS = ("TFOpLambda", "SlicingOpLambda")
"""Its layers that stand for the call of a TensorFlow function, such as `x / 127.5`."""

RENAMED = {"SyncBatchNormalization": "BatchNormalization", "RandomHeight": "Identity", "RandomWidth": "Identity"}
"""Its layers that do what others of Keras 3 do when nothing is trained."""

TRAINING_ONLY = ("_initializer", "_regularizer", "_constraint")
"""What the keys end in that matter while a model is trained, but not once its weights are read from the file."""

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
"""Keys that a layer of Keras 3 may lack, with the values, beside None, that change no result; None for any."""

CONSTANT = "_CONSTANT_VALUE"
"""What stands for a tensor that is a constant."""

AGAIN = (
    "Keras 2 wrote it: save it again with tf_keras.models.load_model(…).export(…), and explain the folder as its error says."
)
"""What helps where a model can't be read."""

IGNORED = ("trainable", "activity_regularizer", "input_shape")
"""Keys that it has and that change no result either."""


def wrote(version: str | None) -> bool:
    """Whether Keras 2, or an older version, wrote a file, by the version that the file names."""
    return version is None or version.partition(".")[0] in ("0", "1", "2")


class Building:
    """A model that Keras 2 described, as it is built.

    Args:
        config: The description.
        custom_objects: Classes and functions that are not Keras' own, by their names in it.

    Raises:
        ModelError: Keras 3 has no equal of something in it. The message goes on after the name of the file.
    """

    def __init__(self, config: Any, custom_objects: Mapping[str, Any]) -> None:
        self._custom = custom_objects
        self._layers: dict[int, dict[str, Any]] = {}  # Of each model, by its id, and by their names in the file.
        self._frozen: set[int] = set()
        self._shared: dict[Any, Any] = {}
        self.model = self._built(config)

    def _built(self, entry: Any) -> Any:
        """The layer or model that is described, or the one of before where it is described as the same."""
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
            listed = isinstance(config, list)
            if listed or "input_layers" not in config:
                return self._sequential({"layers": config} if listed else config)
            return self._functional(config)
        layer = self._layer(RENAMED.get(kind, kind), config)
        if not config.get("trainable", True):
            self._frozen.add(id(layer))
        return layer

    def _layer(self, kind: str, config: Mapping[str, Any]) -> Any:
        made, name = allowed_names.layer(kind), config.get("name")
        known, kept = _parameters(made), {}
        if kind == "LeakyReLU" and "alpha" in config:
            config = {**config, "negative_slope": config["alpha"]}
        for key, value in config.items():
            if key == "batch_input_shape" and kind == "InputLayer":
                kept["batch_shape"] = value
            elif key.endswith(TRAINING_ONLY) or key in IGNORED or (kind == "Identity" and key not in known):
                continue
            elif key in known:
                kept[key] = self._value(key, value)
            # None is what a key holds whose feature isn't used.
            elif value is not None and (idle := UNNEEDED.get(key, ())) is not None and value not in idle:
                raise ModelError(
                    f"has the layer '{name}' ({kind}) with {key} = {shown(value)}, which Keras 3 does not have. {AGAIN}"
                )
        try:
            return made(**kept)
        # Whatever the parts of a damaged file make it raise.
        except Exception as error:
            check_interrupted(error)
            raise ModelError(f"has the layer '{name}' ({kind}), of which Keras 3 says: {reason(error)}") from error

    def _value(self, key: str, value: Any) -> Any:
        if key == "name":
            return _plain(value)
        if key == "dtype":
            return value if isinstance(value, str) else value["config"]["name"]
        if key == "axis":
            return value[0] if isinstance(value, list) and len(value) == 1 else value
        if key.endswith("activation"):
            return self._activation(value)
        return self._built(value) if isinstance(value, dict) and "class_name" in value else value

    def _activation(self, value: Any) -> Any:
        if isinstance(value, dict) and value.get("class_name") != "function":
            return self._built(value)
        name = value["config"] if isinstance(value, dict) else value
        return self._custom.get(name) or (_hard_sigmoid if name == "hard_sigmoid" else name)

    def _sequential(self, config: Mapping[str, Any]) -> Any:
        entries = config["layers"]
        first = entries[0]["config"] if entries else {}
        shape = first.get("batch_input_shape") if isinstance(first, dict) else None
        layers = {str(entry["config"]["name"]): self._built(entry) for entry in map(_named, entries)}
        opening = [keras.Input(batch_shape=shape)] if shape and entries[0]["class_name"] != "InputLayer" else []
        model = keras.Sequential([*opening, *layers.values()], name=_plain(config.get("name")))
        shape = config.get("build_input_shape")
        if not model.built and shape:
            model.build(shape)
        self._layers[id(model)] = layers
        return model

    def _functional(self, config: Mapping[str, Any]) -> Any:
        entries = config["layers"]
        layers = {e["name"]: self._built(e) for e in map(_named, entries) if e["class_name"] not in OPERATIONS}
        made: dict[tuple[str, int], list[Any]] = {
            (name, 0): [layer.output] for name, layer in layers.items() if isinstance(layer, keras.layers.InputLayer)
        }
        left = [(entry, number, node) for entry in entries for number, node in enumerate(entry["inbound_nodes"])]
        references = [*_references([node for _, _, node in left]), *_references([config["output_layers"]])]
        # The calls of a nested model are numbered from 1 on where it was built before, and each of them is used.
        first: dict[str, int] = {}
        for name, number, _ in references:
            first[name] = min(number, first.get(name, number))
        while left:
            waiting = []
            for entry, number, node in left:
                if all((name, which) in made for name, which, _ in _references(node)):
                    output = _called(layers, entry, node, made)
                    made[entry["name"], number + first.get(entry["name"], 0)] = keras.tree.flatten(output)
                else:
                    waiting.append((entry, number, node))
            if len(waiting) == len(left):
                raise ModelError(f"is damaged: nothing reaches the layer '{left[0][0]['name']}'.")
            left = waiting
        inputs, outputs = (_alone(_tensors(config[key], made)) for key in ("input_layers", "output_layers"))
        model = keras.Model(inputs, outputs, name=_plain(config.get("name")))
        self._layers[id(model)] = layers
        return model

    def read(self, path: Path) -> None:
        """Reads the weights from the file.

        Raises:
            ModelError: They are not those of the layers.
            OSError, KeyError, ValueError: The file is damaged.
        """
        if path.suffix.lower() not in LEGACY:
            self._check_order(self.model)
            self.model.load_weights(path)
            return
        with h5py.File(path, "r") as file:
            self._read(file["model_weights"])

    def _check_order(self, model: Any) -> None:
        """Sees that a model's layers stand in the order of the file, which numbers their weights by it."""
        described = [layer for layer in self._layers[id(model)].values() if layer.weights]
        if any(one is not other for one, other in zip(described, filter(_weighted, model.layers), strict=True)):
            raise ModelError(f"has its weights in an order that Keras 3 does not keep. {AGAIN}")
        for layer in described:
            if id(layer) in self._layers:
                self._check_order(layer)

    def _read(self, group: Any) -> None:
        layers = self._layers[id(self.model)]
        names = list(_texts(group, "layer_names"))
        for name in names:
            if name not in layers and list(_texts(group[name], "weight_names")):
                raise ModelError(f"is damaged: it has weights of a layer '{name:.80}' that it does not describe.")
        for name, layer in layers.items():
            trained, other = self._weights(layer)
            stored = list(_texts(group[name], "weight_names")) if name in names else []
            _assign(name, trained + other, stored, [group[name][each] for each in stored])
            if isinstance(layer, keras.layers.Normalization):
                layer.finalize_state()

    def _weights(self, layer: Any) -> tuple[list[Any], list[Any]]:
        """The weights that were trained and the others, as Keras 2 wrote them: one list after the other."""
        if id(layer) in self._layers:
            parts = [self._weights(each) for each in self._layers[id(layer)].values()]
            return [weight for part in parts for weight in part[0]], [weight for part in parts for weight in part[1]]
        trained, other = list(layer.trainable_weights), list(layer.non_trainable_weights)
        return ([], trained + other) if id(layer) in self._frozen else (trained, other)


def _hard_sigmoid(x: Any) -> Any:
    """The hard sigmoid of Keras 2; that of Keras 3 has another slope."""
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def _weighted(layer: Any) -> bool:
    return bool(layer.weights)


def _plain(name: Any) -> Any:
    """A layer's name without what Keras 3 does not allow in one."""
    return name.replace("/", "_") if isinstance(name, str) else name


def _named(entry: Any) -> dict[str, Any]:
    """The description of a layer with its name, which nested models may have in one place alone."""
    config = entry["config"]
    name = entry.get("name") or (config.get("name") if isinstance(config, dict) else None) or entry["class_name"].lower()
    return {**entry, "name": name}


def _parameters(kind: Any) -> set[str]:
    """The names of what a class of layers takes."""
    found: set[str] = set()
    for each in inspect.getmro(kind):
        parameters = inspect.signature(each.__init__).parameters.values()  # type: ignore[misc]
        found |= {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
        if each is keras.Layer or not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return found - {"self"}


def _is_reference(data: Any) -> bool:
    """Whether something stands for a tensor: the name of a layer, which of its calls, and which of its outputs."""
    return isinstance(data, list) and len(data) in (3, 4) and isinstance(data[0], str) and type(data[1]) is int


def _references(data: Any) -> Iterator[tuple[str, int, int]]:
    """What stands for tensors in a call's arguments."""
    if _is_reference(data):
        if data[0] != CONSTANT and type(data[2]) is int:
            yield data[0], data[1], data[2]
        yield from _references(data[3:])
    elif isinstance(data, list | dict):
        for each in data.values() if isinstance(data, dict) else data:
            yield from _references(each)


def _tensors(data: Any, made: Mapping[tuple[str, int], Sequence[Any]]) -> Any:
    """A call's arguments with the tensors that they stand for."""
    if _is_reference(data) and data[0] == CONSTANT:
        return data[2]
    if _is_reference(data) and (data[0], data[1]) in made:
        return made[data[0], data[1]][data[2]]
    if isinstance(data, dict):
        return {key: _tensors(each, made) for key, each in data.items()}
    return [_tensors(each, made) for each in data] if isinstance(data, list) else data


def _alone(given: Any) -> Any:
    """What is alone in a list, as Keras 2 keeps whatever is not several."""
    return given[0] if isinstance(given, list) and len(given) == 1 else given


def _options(data: Any) -> dict[str, Any]:
    """What a call is given by name, which is written with each of its tensors."""
    while isinstance(data, list) and data and not _is_reference(data):
        data = data[0]
    return data[3] if _is_reference(data) and len(data) == 4 else {}


def _called(
    layers: Mapping[str, Any], entry: Mapping[str, Any], node: Any, made: Mapping[tuple[str, int], Sequence[Any]]
) -> Any:
    """The symbolic outputs of a call of a layer, or of the TensorFlow function that is described in the place of one."""
    given = _tensors(node, made)
    options = {key: value for key, value in _tensors(_options(node), made).items() if value is not None}
    if entry["class_name"] not in OPERATIONS:
        return layers[entry["name"]](_alone(given), **options)
    function = entry["config"]["function"]
    # From the inputs on, since Keras before 3.15 makes no function that begins in the middle of a graph.
    inputs = [
        tensor
        for (name, _), tensors in made.items()
        if isinstance(layers.get(name), keras.layers.InputLayer)
        for tensor in tensors
    ]
    try:
        # Keras numbers its operations, and no layer may have the name that it gives one.
        for _ in range(1 + len(layers)):
            output = keras2_calls.call(function, [given], options)
            names = _operations(inputs, output)
            if names is not None and not names & set(map(_plain, layers)):
                return output
        problem = "and no name for it is left"
    except KeyError:
        problem = "of which Keras has no equal that is known here"
    except (TypeError, ValueError) as error:
        problem = f"in a way of which Keras has no equal ({line(error)})"
    raise ModelError(f"calls TensorFlow's tf.{function:.60} in the layer '{entry['name']:.80}', {problem}. {AGAIN}")


def _operations(inputs: Sequence[Any], output: Any) -> set[str] | None:
    """The names of the operations that lead to an output; None where two of them, or a layer, have the same."""
    try:
        operations = keras.Function(inputs, output).operations
    except ValueError as error:
        if "unique" not in str(error):
            raise
        return None
    return {each.name for each in operations if not isinstance(each, keras.Layer)}


def _texts(group: Any, name: str) -> Iterator[str]:
    """A list of texts among the attributes of a group, where one too long for HDF5 stands in numbered parts."""
    parts = (
        [name]
        if name in group.attrs
        else itertools.takewhile(group.attrs.__contains__, map(f"{name}{{}}".format, itertools.count()))
    )
    for part in parts:
        for text in group.attrs[part]:
            yield text.decode() if isinstance(text, bytes) else str(text)


def _assign(layer: str, wanted: Sequence[Any], names: Sequence[str], stored: Sequence[Any]) -> None:
    shapes = [tuple(weight.shape) for weight in wanted], [tuple(each.shape) for each in stored]
    if shapes[0] != shapes[1]:
        raise ModelError(
            f"is damaged: layer '{layer}' needs weights of the shapes {shapes[0]!s:.80}, but it has {shapes[1]!s:.80}."
        )
    # The same names in another order would be the weights of another layer.
    kinds = [weight.name for weight in wanted], [name.rpartition("/")[2].partition(":")[0] for name in names]
    if kinds[0] != kinds[1] and sorted(kinds[0]) == sorted(kinds[1]):
        raise ModelError(f"has the weights of the layer '{layer}' in an order that is not known.")
    for weight, each in zip(wanted, stored, strict=True):
        weight.assign(each[()])

"""Loads a `Classifier` from a model file, a Keras model or the name of a model."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import keras

from cnnexplain import files
from cnnexplain.errors import ModelError, PluginError, UsageError, foreign, line, reason, shown
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.loading import affine, import_string, keras_file, model_names, sidecar, size_limits
from cnnexplain.loading.infer_preprocess import infer
from cnnexplain.model import lenet, model_files
from cnnexplain.model.classifier import Classifier
from cnnexplain.model.head import outputs
from cnnexplain.model.head.outputs import Output
from cnnexplain.model.structure.model_inputs import resolve_inputs
from cnnexplain.plugin import registry
from cnnexplain.plugin.named_model import NamedModel, Pretrained

Preprocessing: TypeAlias = Preprocess | Mapping[str, Any] | Callable[[Any], Any] | str | os.PathLike[str]
"""A description of a model's input."""


@dataclass(frozen=True)
class _Loaded:
    """A loaded model with its metadata.

    Args:
        model: The Keras model.
        name: Its name.
        sha256: The hash of its file.
        settings: Descriptions of its input: a whole preprocessing, or settings by the keys of a sidecar.
        unused_json: A JSON file next to the model that is not a sidecar.
        from_file: Whether the model comes from a file given by the user.
    """

    model: Any
    name: str
    sha256: str | None = None
    settings: tuple[Preprocess | Mapping[str, Any], ...] = ()
    unused_json: Path | None = None
    from_file: bool = False


def load(
    model: Any = None,
    *,
    preprocess: Preprocessing | Sequence[Preprocessing] | None = None,
    labels: Sequence[str] | Mapping[Any, Any] | str | os.PathLike[str] | None = None,
    output: str | None = None,
    logits: bool = False,
    probabilities: bool = False,
    values: bool = False,
    unit: str | None = None,
    reduce: str | tuple[int, int] | None = None,
    input: str | None = None,  # noqa: A002
    fixed: Mapping[str, Any] | None = None,
    custom_objects: Mapping[str, Any] | Iterable[Any] | str | None = None,
    weights: str | os.PathLike[str] | None = None,
    limits: bool = True,
) -> Classifier:
    """Loads a classifier to explain.

    Arguments take precedence over the sidecar, the file NAME.json next to the model file, and the sidecar over what can be
    inferred from the model's own layers. The rest is assumed, and listed in `classifier.preprocess.assumed`.

    Args:
        model: None or "lenet" for the included LeNet, the path of a `.keras` or legacy `.h5` file, the name of a model
            supplied by a plugin, or a Keras model.
        preprocess: A description of the model's input: a `Preprocess`; a mapping with keys of a sidecar; the path of a JSON
            file with such keys; a function, or its "module:name", that converts pixels (N, H, W, C) from 0 to 255 to the
            model's input range; or a list of these, where later ones take precedence.
        labels: The names of the K classes or values; a class index such as {"cat": 0, "dog": 1} or {0: "cat", 1: "dog"}; or
            the path of a JSON file with either, or of a text file with one name on each line.
        output: The name of the output to explain, for a model with several outputs.
        logits: Whether the outputs are scores before a softmax, whatever layer they come from.
        probabilities: Whether they are probabilities, whatever layer they come from. The scores are then log p if the
            outputs sum to 1, otherwise log p − log(1 − p), with p at least 1e-37 and 1 − p at least 3e-8.
        values: Whether they are numbers other than probabilities, such as an age or a box, which are explained themselves.
        unit: The unit of these values, such as "years".
        reduce: How an output (N, H, W, K), such as a segmentation, is reduced over positions: "mean", "max", or the row and
            column of one position, as (12, 7) or "12,7".
        input: The name of the image input, for a model with several inputs; None for the only one without a value.
        fixed: The values of all other inputs, by name, the same for every image: numbers, arrays of one row, or the paths of
            files (`.npy`, `.npz`, `.json`, `.csv`).
        custom_objects: Classes and functions that the model file needs and that are not part of Keras: the objects, a
            mapping from names to objects, or "module:name", which is imported.
        weights: The weights file, for a model by name that takes one.
        limits: Whether to reject a file whose layers, weights or outputs do not fit into the free memory.

    Raises:
        UsageError: There is no such file or name, or the given input, outputs or labels do not fit the model.
        ModelError: The file is damaged, is not a Keras model, or contains Python code; or the model is not an image
            classifier.
    """
    kind = outputs.kind(logits=logits, probabilities=probabilities, values=values)
    declared = Output(output, kind, outputs.reduction(reduce), unit)
    loaded = _load(model, custom_objects, weights, limits)
    # A model contains custom objects of its author, which may raise anything.
    with foreign(lambda error: ModelError(f"'{line(loaded.name)}' can't be used: {reason(error)}")):
        return _classifier(loaded, preprocess, labels, declared, input, fixed, limits)


def _classifier(
    loaded: _Loaded,
    preprocess: Preprocessing | Sequence[Preprocessing] | None,
    labels: Any,
    output: Output,
    image: str | None,
    fixed: Mapping[str, Any] | None,
    limits: bool,
) -> Classifier:
    is_list = isinstance(preprocess, Sequence) and not isinstance(preprocess, str)
    given: Sequence[Any] = preprocess if is_list else [] if preprocess is None else [preprocess]  # type: ignore[assignment]
    descriptions = [*loaded.settings, *map(_description, given)]
    # The image input must be known first, because preprocessing functions are tried on its shape.
    values = {
        name: value for each in descriptions if isinstance(each, Mapping) for name, value in each.get("fixed", {}).items()
    }
    inputs = resolve_inputs(loaded.model, image, values | dict(fixed or {}))
    result = infer(loaded.model, inputs)
    names: Any = None
    figures: Mapping[str, Any] = {}
    output_settings: dict[str, Any] = {}
    for each in descriptions:
        if isinstance(each, Preprocess):
            result = each
            continue
        if isinstance(each, _Function):
            settings: Mapping[str, Any] = affine.linear_preprocessing(each.function, each.name, result.shape)
        else:
            settings = each
        result, names = _updated(result, settings), settings.get("labels", names)
        figures = settings.get("training_figures", figures)
        output_settings |= {key: settings[key] for key in ("head", "unit") if key in settings}
    if output.unit is not None:
        output = replace(output, **sidecar.check({"unit": output.unit}))
    if limits and loaded.from_file:
        size_limits.check_image(loaded.model, loaded.name, result.height, result.width)
    if labels is not None:
        names = labels if isinstance(labels, os.PathLike) else sidecar.check({"labels": labels})["labels"]
    if isinstance(names, str | os.PathLike):
        names = sidecar.read_labels(files.existing(names, "labels file"))
    classifier = Classifier(
        loaded.model,
        loaded.name,
        loaded.sha256,
        preprocess=result,
        labels=names,
        output=output.completed(output_settings),
        training_figures=figures,
        unused_json=loaded.unused_json,
        inputs=inputs,
    )
    classifier.check()
    return classifier


def _load(model: Any, custom_objects: Any, weights: str | os.PathLike[str] | None, limits: bool) -> _Loaded:
    if isinstance(model, keras.Model):
        _refuse_weights(weights, "a Keras model")
        return _Loaded(model, model.name)
    if model is None or (isinstance(model, str) and model == model_files.INCLUDED):
        _refuse_weights(weights, f"'{model_files.INCLUDED}'")
        path = model_names.find(model_files.INCLUDED)
        assert isinstance(path, Path)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        return _Loaded(lenet.restore(path), model_files.INCLUDED, sha256, ({"training_figures": lenet.INCLUDED_FIGURES},))
    if not isinstance(model, str | os.PathLike):
        raise UsageError(f"Can't load a {type(model).__name__}; expected a path, a Keras model, or nothing for the LeNet.")
    found = model_names.find(model)
    if isinstance(found, NamedModel):
        return _load_named(found, weights)
    _refuse_weights(weights, f"the file '{found}'")
    settings = sidecar.next_to(found)
    keras_model, sha256 = keras_file.read(found, _by_name(custom_objects), limits)
    return _Loaded(keras_model, os.fspath(model), sha256, (settings,), sidecar.unused(found), from_file=True)


def _refuse_weights(weights: object, what: str) -> None:
    if weights is not None:
        raise UsageError(f"Weights can only be given for models by name that take them; {what} has its own.")


def _load_named(supplied: NamedModel, weights: str | os.PathLike[str] | None) -> _Loaded:
    path = None if weights is None else files.existing(weights, "weights file")
    begin = f"{registry.load().models.suppliers[supplied.name]}: load() of '{supplied.name}'"
    with foreign(lambda error: PluginError(f"{begin} failed: {reason(error)}")):
        pretrained = supplied.load(path)
    if not isinstance(pretrained, Pretrained):
        raise PluginError(f"{begin} returned a {type(pretrained).__name__}; expected a Pretrained.")
    if not isinstance(pretrained.model, keras.Model) or not isinstance(pretrained.preprocess, Preprocess):
        raise PluginError(
            f"{begin} returned a Pretrained of {shown(pretrained.model)} and {shown(pretrained.preprocess)}; expected a "
            "Keras model and a Preprocess."
        )
    if isinstance(pretrained.labels, str) or not all(isinstance(label, str) for label in pretrained.labels):
        raise PluginError(f"{begin} returned the labels {shown(pretrained.labels)}; expected the names of the classes.")
    settings = (pretrained.preprocess, {"labels": tuple(pretrained.labels)})
    return _Loaded(pretrained.model, supplied.name, pretrained.sha256, settings)


def _by_name(objects: Any) -> dict[str, Any]:
    """Custom objects by the names that model files may use for them."""
    if isinstance(objects, Mapping):
        return dict(objects)
    by_name: dict[str, Any] = {}
    objects = () if objects is None else objects
    for each in [objects] if isinstance(objects, str) or callable(objects) else objects:
        item = import_string.find(each) if isinstance(each, str) else each
        if not callable(item) or not hasattr(item, "__name__"):
            raise UsageError(f"A custom object must be a class or a function, but got {shown(item)}.")
        by_name |= dict.fromkeys([item.__name__, keras.saving.get_registered_name(item)], item)
    return by_name


@dataclass(frozen=True)
class _Function:
    """A preprocessing function, and its name in errors."""

    function: Callable[[Any], Any]
    name: str


def _description(given: Any) -> Preprocess | Mapping[str, Any] | _Function:
    """Reads a description of a model's input: a whole preprocessing, settings by the keys of a sidecar, or a function."""
    if isinstance(given, Preprocess):
        return given
    if isinstance(given, Mapping):
        return sidecar.check(given)
    if isinstance(given, os.PathLike) or (isinstance(given, str) and given.endswith(".json")):
        return sidecar.read(files.existing(given, "preprocessing file"))
    name = given if isinstance(given, str) else getattr(given, "__name__", repr(given))
    function = import_string.find(given) if isinstance(given, str) else given
    if isinstance(function, Preprocess):
        return function
    if not callable(function):
        raise UsageError(
            "The preprocessing must be a Preprocess, a mapping, a .json file or a function, but got a "
            f"{type(function).__name__}."
        )
    return _Function(function, name)


def _updated(preprocess: Preprocess, settings: Mapping[str, Any]) -> Preprocess:
    """A preprocessing with some settings replaced."""
    fields = {key: value for key, value in settings.items() if key not in ("size", *sidecar.OTHER_KEYS)}
    # A crop from before applies only to the fit "crop".
    if settings.get("fit", "crop") != "crop":
        fields.setdefault("crop", 1.0)
    if "color" in settings:
        fields["bands"] = preprocess.channels if settings["color"] == "bands" else None
    if "size" in settings:
        fields["height"], fields["width"] = settings["size"]
    # Without a scale, the range remains a guess.
    determined = {what for key, what in (("size", "size"), ("scale", "range")) if key in settings}
    return replace(preprocess, **fields, assumed=tuple(each for each in preprocess.assumed if each not in determined))

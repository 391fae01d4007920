"""A model file, a Keras model or the name of a model → a classifier."""

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
from cnnexplain.loading.infer_preprocess import told
from cnnexplain.model import lenet, model_files, outputs
from cnnexplain.model.classifier import Classifier
from cnnexplain.model.model_inputs import resolve_inputs
from cnnexplain.model.outputs import Output
from cnnexplain.plugin import registry
from cnnexplain.plugin.analysis import NamedModel, Pretrained

Said: TypeAlias = Preprocess | Mapping[str, Any] | Callable[[Any], Any] | str | os.PathLike[str]
"""One way to say what a model's input is."""


@dataclass(frozen=True)
class _Found:
    """A model with what came with it on its input: a whole preprocessing, or some of it by the keys of a sidecar."""

    model: Any
    name: str
    sha256: str | None = None
    said: tuple[Preprocess | Mapping[str, Any], ...] = ()
    unused_json: Path | None = None
    from_file: bool = False


def load(
    model: Any = None,
    *,
    preprocess: Said | Sequence[Said] | None = None,
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
    """A classifier to explain.

    What is given here counts more than what the sidecar says, the file NAME.json beside the model file; that more than what
    the model's own layers tell; and what nothing tells is guessed, and listed in `classifier.preprocess.assumed`.

    Args:
        model: None or "lenet" for the LeNet that comes with the package, the path of a `.keras` or a legacy `.h5` file, the
            name of a model that a plugin offers, or a Keras model.
        preprocess: What the model's input is: a `Preprocess`; a mapping with some of a sidecar's keys; the path of a JSON
            file with them; a function, or its "module:name", that brings pixels (N, H, W, C) from 0 to 255 into the model's
            input range; or several of these in a list, of which a later one counts more.
        labels: The names of the K classes or values; a class index such as {"cat": 0, "dog": 1} or {0: "cat", 1: "dog"}; or
            the path of a JSON file with either, or of a text file with a name on each line.
        output: The name of the output to explain, of a model with several.
        logits: Whether the outputs are scores before a softmax, whatever layer they come from.
        probabilities: Whether they are probabilities, whatever layer they come from. The scores are then log p, of outputs
            that sum to 1, else log p − log(1 − p), with p no less than 1e-37 and 1 − p no less than 3e-8.
        values: Whether they are numbers that are no probabilities, such as an age or a box, which are explained themselves.
        unit: Of these values, such as "years".
        reduce: Of an output (N, H, W, K), such as a segmentation's, what is made of the pixels: "mean", "max", or a row and
            column, as (12, 7) or "12,7".
        input: The name of the input to explain, an image, of a model with several; None for the only one without a value.
        fixed: The values of all other inputs, by name, for every image the same: numbers, arrays of one row, or the paths of
            files (`.npy`, `.npz`, `.json`, `.csv`).
        custom_objects: Classes and functions that the model file needs and Keras does not have: themselves, by their names
            in a mapping, or as "module:name", which is imported.
        weights: The file of weights for a model by name that takes one.
        limits: Whether to refuse a file that declares more layers, weights or outputs than fit into the free memory.

    Raises:
        UsageError: There is no such file or name, or what was said of the input, the outputs or the labels does not fit the
            model.
        ModelError: The file is damaged, is no Keras model, or carries code; or the model is no image classifier.
    """
    kind = outputs.kind(logits=logits, probabilities=probabilities, values=values)
    said = Output(output, kind, outputs.reduction(reduce), unit)
    found = _found(model, custom_objects, weights, limits)
    # A model holds what its author gave its layers, which may be anything.
    with foreign(lambda error: ModelError(f"'{line(found.name)}' can't be used: {reason(error)}")):
        return _classifier(found, preprocess, labels, said, input, fixed, limits)


def _classifier(
    found: _Found,
    preprocess: Said | Sequence[Said] | None,
    labels: Any,
    output: Output,
    image: str | None,
    fixed: Mapping[str, Any] | None,
    limits: bool,
) -> Classifier:
    listed = isinstance(preprocess, Sequence) and not isinstance(preprocess, str)
    given: Sequence[Any] = preprocess if listed else [] if preprocess is None else [preprocess]  # type: ignore[assignment]
    everything = [*found.said, *map(_said, given)]
    # Which of the inputs is the image decides what a function that prepares it is tried on.
    values = {
        name: value for said in everything if isinstance(said, Mapping) for name, value in said.get("fixed", {}).items()
    }
    inputs = resolve_inputs(found.model, image, values | dict(fixed or {}))
    settled = told(found.model, inputs)
    names: Any = None
    figures: Mapping[str, Any] = {}
    beside: dict[str, Any] = {}
    for said in everything:
        if isinstance(said, Preprocess):
            settled = said
            continue
        what = said if isinstance(said, Mapping) else affine.linear_preprocessing(said.function, said.name, settled.shape)
        settled, names = _over(settled, what), what.get("labels", names)
        figures = what.get("training_figures", figures)
        beside |= {key: what[key] for key in ("head", "unit") if key in what}
    if output.unit is not None:
        output = replace(output, **sidecar.check({"unit": output.unit}))
    if limits and found.from_file:
        size_limits.check_image(found.model, found.name, settled.height, settled.width)
    if labels is not None:
        names = labels if isinstance(labels, os.PathLike) else sidecar.check({"labels": labels})["labels"]
    if isinstance(names, str | os.PathLike):
        names = sidecar.read_labels(files.existing(names, "file of labels"))
    classifier = Classifier(
        found.model,
        found.name,
        found.sha256,
        preprocess=settled,
        labels=names,
        output=output.completed(beside),
        training_figures=figures,
        unused_json=found.unused_json,
        inputs=inputs,
    )
    classifier.check()
    return classifier


def _found(model: Any, custom_objects: Any, weights: str | os.PathLike[str] | None, limits: bool) -> _Found:
    if isinstance(model, keras.Model):
        _refuse_weights(weights, "a model from memory")
        return _Found(model, model.name)
    if model is None or (isinstance(model, str) and model == model_files.INCLUDED):
        _refuse_weights(weights, f"'{model_files.INCLUDED}'")
        path = model_names.find(model_files.INCLUDED)
        assert isinstance(path, Path)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        return _Found(lenet.restore(path), model_files.INCLUDED, sha256, ({"training_figures": lenet.INCLUDED_FIGURES},))
    if not isinstance(model, str | os.PathLike):
        raise UsageError(f"Can't load a {type(model).__name__}; expected a path, a Keras model, or nothing for the LeNet.")
    place = model_names.find(model)
    if isinstance(place, NamedModel):
        return _named(place, weights)
    _refuse_weights(weights, f"the file '{place}'")
    said = sidecar.beside(place)
    loaded, sha256 = keras_file.read(place, _by_name(custom_objects), limits)
    return _Found(loaded, os.fspath(model), sha256, (said,), sidecar.unused(place), from_file=True)


def _refuse_weights(weights: object, what: str) -> None:
    if weights is not None:
        raise UsageError(f"Weights are given to models by name that take them; {what} has its own.")


def _named(offered: NamedModel, weights: str | os.PathLike[str] | None) -> _Found:
    path = None if weights is None else files.existing(weights, "file of weights")
    begin = f"{registry.load().models.suppliers[offered.name]}: load() of '{offered.name}'"
    with foreign(lambda error: PluginError(f"{begin} failed: {reason(error)}")):
        found = offered.load(path)
    if not isinstance(found, Pretrained):
        raise PluginError(f"{begin} returned a {type(found).__name__}; expected a Pretrained.")
    if not isinstance(found.model, keras.Model) or not isinstance(found.preprocess, Preprocess):
        raise PluginError(
            f"{begin} returned a Pretrained of {shown(found.model)} and {shown(found.preprocess)}; expected a Keras model "
            "and a Preprocess."
        )
    if isinstance(found.labels, str) or not all(isinstance(label, str) for label in found.labels):
        raise PluginError(f"{begin} returned the labels {shown(found.labels)}; expected the names of the classes.")
    return _Found(found.model, offered.name, found.sha256, (found.preprocess, {"labels": tuple(found.labels)}))


def _by_name(objects: Any) -> dict[str, Any]:
    """Custom objects by the names that model files may have for them."""
    if isinstance(objects, Mapping):
        return dict(objects)
    found: dict[str, Any] = {}
    objects = () if objects is None else objects
    for each in [objects] if isinstance(objects, str) or callable(objects) else objects:
        thing = import_string.find(each) if isinstance(each, str) else each
        if not callable(thing) or not hasattr(thing, "__name__"):
            raise UsageError(f"A custom object is a class or a function, but got {shown(thing)}.")
        found |= dict.fromkeys([thing.__name__, keras.saving.get_registered_name(thing)], thing)
    return found


@dataclass(frozen=True)
class _Function:
    """A function that prepares pixels, and what to call it."""

    function: Callable[[Any], Any]
    name: str


def _said(said: Any) -> Preprocess | Mapping[str, Any] | _Function:
    """What one of the ways to say it comes to: a whole preprocessing, some keys of a sidecar, or a function."""
    if isinstance(said, Preprocess):
        return said
    if isinstance(said, Mapping):
        return sidecar.check(said)
    if isinstance(said, os.PathLike) or (isinstance(said, str) and said.endswith(".json")):
        return sidecar.read(files.existing(said, "file of preprocessing"))
    name = said if isinstance(said, str) else getattr(said, "__name__", repr(said))
    function = import_string.find(said) if isinstance(said, str) else said
    if isinstance(function, Preprocess):
        return function
    if not callable(function):
        raise UsageError(
            "Preprocessing is given as a Preprocess, a mapping, a .json file or a function, but got a "
            f"{type(function).__name__}."
        )
    return _Function(function, name)


def _over(preprocess: Preprocess, said: Mapping[str, Any]) -> Preprocess:
    """A preprocessing with what was said in the place of what stood there."""
    fields = {key: value for key, value in said.items() if key not in ("size", *sidecar.BESIDE)}
    # Another way to fit pictures into the input leaves a share of theirs that was to be kept without a meaning.
    if said.get("fit", "crop") != "crop":
        fields.setdefault("crop", 1.0)
    if "color" in said:
        fields["bands"] = preprocess.channels if said["color"] == "bands" else None
    if "size" in said:
        fields["height"], fields["width"] = said["size"]
    # Without a scale, the range remains a guess.
    known = {"size": "size", "scale": "range"}
    assumed = tuple(each for each in preprocess.assumed if each not in {known[key] for key in known if key in said})
    return replace(preprocess, **fields, assumed=assumed)

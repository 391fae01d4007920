"""A model file, a Keras model or the name of a model → a classifier."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import keras

from cnnexplain import modelfile, models, probing, references, registry, sidecar, sizes
from cnnexplain.classifier import Classifier, told
from cnnexplain.errors import CnnExplainError, PluginError, UsageError
from cnnexplain.plugin import NamedModel, Pretrained
from cnnexplain.preprocess import Preprocess

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
    labels: Sequence[str] | str | os.PathLike[str] | None = None,
    output: str | None = None,
    logits: bool = False,
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
        labels: The names of the K classes, or the path of a text file with one on each line.
        output: The name of the output to explain, of a model with several.
        logits: Whether the outputs are scores before a softmax, whatever layer they come from.
        custom_objects: Classes and functions that the model file needs and Keras does not have: themselves, by their names
            in a mapping, or as "module:name", which is imported.
        weights: The file of weights for a model by name that takes one.
        limits: Whether to refuse a file that declares more layers, weights or outputs than fit into the free memory.

    Raises:
        UsageError: There is no such file or name, or what was said of the input or the labels does not fit the model.
        ModelError: The file is damaged, is no Keras model, or carries code; or the model is no image classifier.
    """
    found = _found(model, custom_objects, weights, limits)
    settled = told(found.model)
    names: Any = None
    figures: Mapping[str, Any] = {}
    listed = isinstance(preprocess, Sequence) and not isinstance(preprocess, str)
    given: Sequence[Any] = preprocess if listed else [] if preprocess is None else [preprocess]  # type: ignore[assignment]
    for said in [*found.said, *(_said(each, settled.shape) for each in given)]:
        if isinstance(said, Preprocess):
            settled = said
        else:
            settled, names = _over(settled, said), said.get("labels", names)
            figures = said.get("training_figures", figures)
    if limits and found.from_file:
        sizes.check_image(found.model, found.name, settled.height, settled.width)
    if labels is not None:
        names = labels if isinstance(labels, os.PathLike) else sidecar.check({"labels": labels})["labels"]
    if isinstance(names, str | os.PathLike):
        names = sidecar.read_labels(models.existing(names, "file of labels"))
    return Classifier(
        found.model,
        found.name,
        found.sha256,
        preprocess=settled,
        labels=names,
        output=output,
        logits=logits,
        training_figures=figures,
        unused_json=found.unused_json,
    )


def _found(model: Any, custom_objects: Any, weights: str | os.PathLike[str] | None, limits: bool) -> _Found:
    if isinstance(model, keras.Model):
        _refuse_weights(weights, "a model from memory")
        return _Found(model, model.name)
    if model is None or model == models.INCLUDED:
        from cnnexplain import lenet

        _refuse_weights(weights, f"'{models.INCLUDED}'")
        path = models.find(models.INCLUDED)
        assert isinstance(path, Path)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        return _Found(lenet.restore(path), models.INCLUDED, sha256, ({"training_figures": lenet.INCLUDED_FIGURES},))
    if not isinstance(model, str | os.PathLike):
        raise UsageError(f"Can't load a {type(model).__name__}; expected a path, a Keras model, or nothing for the LeNet.")
    place = models.find(model)
    if isinstance(place, NamedModel):
        return _named(place, weights)
    _refuse_weights(weights, f"the file '{place}'")
    said = sidecar.beside(place)
    loaded, sha256 = modelfile.read(place, _by_name(custom_objects), limits)
    return _Found(loaded, os.fspath(model), sha256, (said,), sidecar.unused(place), from_file=True)


def _refuse_weights(weights: object, what: str) -> None:
    if weights is not None:
        raise UsageError(f"Weights are given to models by name that take them; {what} has its own.")


def _named(offered: NamedModel, weights: str | os.PathLike[str] | None) -> _Found:
    path = None if weights is None else models.existing(weights, "file of weights")
    plugin = registry.load().models.suppliers[offered.name]
    try:
        found = offered.load(path)
    except CnnExplainError:
        raise
    # A plugin is anyone's code.
    except Exception as error:
        raise PluginError(
            f"{plugin}: load() of '{offered.name}' failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        ) from error
    if not isinstance(found, Pretrained):
        raise PluginError(f"{plugin}: load() of '{offered.name}' returned a {type(found).__name__}; expected a Pretrained.")
    return _Found(found.model, offered.name, found.sha256, (found.preprocess, {"labels": tuple(found.labels)}))


def _by_name(objects: Any) -> dict[str, Any]:
    """Custom objects by the names that model files may have for them."""
    if isinstance(objects, Mapping):
        return dict(objects)
    found: dict[str, Any] = {}
    objects = () if objects is None else objects
    for each in [objects] if isinstance(objects, str) or callable(objects) else objects:
        thing = references.find(each) if isinstance(each, str) else each
        if not callable(thing) or not hasattr(thing, "__name__"):
            raise UsageError(f"A custom object is a class or a function, but got {thing!r}.")
        found |= dict.fromkeys([thing.__name__, keras.saving.get_registered_name(thing)], thing)
    return found


def _said(said: Any, shape: tuple[int, int, int]) -> Preprocess | Mapping[str, Any]:
    """What one of the ways to say it comes to: a whole preprocessing, or some keys of a sidecar."""
    if isinstance(said, Preprocess):
        return said
    if isinstance(said, Mapping):
        return sidecar.check(said)
    if isinstance(said, os.PathLike) or (isinstance(said, str) and said.endswith(".json")):
        return sidecar.read(models.existing(said, "file of preprocessing"))
    name = said if isinstance(said, str) else getattr(said, "__name__", repr(said))
    function = references.find(said) if isinstance(said, str) else said
    if isinstance(function, Preprocess):
        return function
    if not callable(function):
        raise UsageError(
            "Preprocessing is said by a Preprocess, a mapping, a .json file or a function, but got a "
            f"{type(function).__name__}."
        )
    return probing.straight(function, name, shape)


def _over(preprocess: Preprocess, said: Mapping[str, Any]) -> Preprocess:
    """A preprocessing with what was said in the place of what stood there."""
    fields = {key: value for key, value in said.items() if key not in ("size", *sidecar.BESIDE)}
    # Another way to fit pictures into the input leaves a share of theirs that was to be kept without a meaning.
    if said.get("fit", "crop") != "crop":
        fields.setdefault("crop", 1.0)
    if "size" in said:
        fields["height"], fields["width"] = said["size"]
    # Without a scale, the range remains a guess.
    known = {"size": "size", "scale": "range"}
    assumed = tuple(each for each in preprocess.assumed if each not in {known[key] for key in known if key in said})
    return replace(preprocess, **fields, assumed=assumed)

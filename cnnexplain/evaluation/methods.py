"""The methods that are compared: analyses, maps of other tools, and controls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from cnnexplain.errors import ModelError, UsageError, line, shown
from cnnexplain.evaluation import map_files
from cnnexplain.evaluation.controls import CONTROLS, Control
from cnnexplain.inputs.image_stream import GIVEN, Stream
from cnnexplain.inputs.images import ImageBatch
from cnnexplain.inputs.source import Source
from cnnexplain.model.classifier import Classifier
from cnnexplain.pipeline import parts, request
from cnnexplain.pipeline.targets import Resolved
from cnnexplain.plugin import registry
from cnnexplain.plugin.analysis import Analysis
from cnnexplain.plugin.options import Parameter, validate
from cnnexplain.plugin.registry import Plugin

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

Kind: TypeAlias = Literal["analysis", "file", "control"]

TYPES = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
"""What an option takes, by its type."""

WORDS = {"true": True, "yes": True, "false": False, "no": False}
"""The texts for options that are flags."""


@dataclass(frozen=True)
class Method:
    """A method whose maps are compared.

    Args:
        name: Its name in the tables.
        kind: Whether it is an analysis, maps from a file, or a control.
        explain: (classifier, images (n, H, W, C), targets) ↦ maps (n, H, W), and warnings. None for maps from a file.
        maps: (N, H, W), the maps from a file.
        options: All options of an analysis.
        plugin: The plugin of an analysis.
        optional: Whether the method is left out if it fails, because the user did not name it.
    """

    name: str
    kind: Kind
    explain: Callable[..., tuple[Float[np.ndarray, "n H W"], tuple[str, ...]]] | None = None
    maps: Float[np.ndarray, "N H W"] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    plugin: Plugin | None = None
    optional: bool = False


def comparable() -> list[str]:
    """The names of the installed analyses that have a map of the image."""
    return [name for name, analysis in registry.load().analyses.items() if _has_map(analysis)]


def analysis(text: str) -> Method:
    """The method of an analysis with its default options, or with those in a text such as "gradcam:method=layercam".

    Its map is the first of `Analysis.maps`, with its signs.

    Raises:
        UsageError: There is no such analysis or option, or the analysis has no map of the image.
    """
    name, _, rest = text.partition(":")
    found, plugin = registry.load().get(name)
    if not _has_map(found):
        raise UsageError(
            f"The analysis '{name}' has no map of the image that could be compared. Analyses with maps: "
            f"{', '.join(comparable())}."
        )
    options = validate(found.options, _options(found, rest))

    def explain(
        classifier: Classifier, images: Float32[np.ndarray, "n H W C"], targets: Sequence[int]
    ) -> tuple[Float[np.ndarray, "n H W"], tuple[str, ...]]:
        sources = [Source(f"array[{number}]", "") for number in range(len(images))]
        # Unlike the images of a user, perturbed ones may leave the model's input range.
        stream = Stream(GIVEN, [source.name for source in sources], classifier, batch=ImageBatch(images, sources))
        explains = {"targets", "objectives"} & set(found.inputs)
        target: list[Resolved] | None = [*targets] if explains else None
        record = parts.run_whole(
            request.assemble(found, plugin, options, classifier, stream, target, None, None, lambda *_: None)
        )
        shown_map = next((each for each in found.maps if each in record.arrays), None)
        if shown_map is None:
            raise ModelError(f"'{text}' returned no map of the image.")
        return record.arrays[shown_map], record.warnings

    return Method(text, "analysis", explain, options=options, plugin=plugin)


def controls(seed: int) -> list[Method]:
    """The controls as methods."""
    return [Method(name, "control", _control(function, seed)) for name, function in CONTROLS.items()]


def _control(function: Control, seed: int) -> Callable[..., tuple[Float[np.ndarray, "n H W"], tuple[str, ...]]]:
    def explain(
        classifier: Classifier,
        images: Float32[np.ndarray, "n H W C"],
        _: Sequence[int],
    ) -> tuple[Float[np.ndarray, "n H W"], tuple[str, ...]]:
        return np.stack([function(image, classifier.preprocess, seed) for image in images]), ()

    return explain


def from_maps(name: str, given: object, count: int, shape: tuple[int, int]) -> Method:
    """The method whose maps are given; see `map_files.maps`."""
    return Method(name, "file", maps=map_files.maps(name, given, count, shape))


def unique(methods: Iterable[Method]) -> list[Method]:
    """The methods, whose names must differ.

    Raises:
        UsageError: Two have the same name.
    """
    found: dict[str, Method] = {}
    for method in methods:
        if method.name in found:
            raise UsageError(f"Two methods are called '{line(method.name)}'; give each its own name.")
        found[method.name] = method
    return list(found.values())


def _has_map(analysis: Analysis) -> bool:
    return bool(analysis.maps) and "images" in analysis.inputs


def _options(analysis: Analysis, text: str) -> dict[str, Any]:
    """The options in a text such as "method=layercam,layer=conv2"."""
    declared = {parameter.name: parameter for parameter in analysis.options}
    given: dict[str, Any] = {}
    for pair in filter(None, text.split(",")):
        name, equals, value = pair.partition("=")
        name = name.strip().removeprefix("--").replace("-", "_")
        if not equals:
            raise UsageError(f"The options of '{analysis.name}' are written name=value, but got '{line(pair)}'.")
        # An unknown option is reported by `validate`.
        read = _value(declared[name], value.strip()) if name in declared else value
        if name not in given:
            given[name] = read
        elif name in declared and declared[name].many:
            given[name] += read
        else:
            raise UsageError(f"The options of '{analysis.name}' give '{line(name)}' twice: '{line(text)}'; give it once.")
    return given


def _value(parameter: Parameter, text: str) -> Any:
    try:
        value = WORDS[text.lower()] if parameter.type is bool else parameter.type(text)
    except (KeyError, ValueError):
        raise UsageError(f"{parameter.flag} takes {TYPES[parameter.type]}, but got {shown(text)}.") from None
    return (value,) if parameter.many else value

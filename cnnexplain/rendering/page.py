"""Records → one HTML page that holds all it shows; the index page of a result's folder; fragments for notebooks.

What a page says of images, classes and plugins may come from anyone: every template escapes it, and a page's content
security policy lets nothing run but the one script that is ours, and nothing load but what the page itself holds.
"""

from __future__ import annotations

import io
import os
import platform
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from PIL import Image

from cnnexplain import __version__, draw, files
from cnnexplain.draw import wording
from cnnexplain.errors import OutputError, UsageError
from cnnexplain.inputs import image_stream
from cnnexplain.inputs.source import Source
from cnnexplain.model.card import card
from cnnexplain.rendering import packed_maps, panels, templates, thumbnails
from cnnexplain.rendering.pictures import compact
from cnnexplain.rendering.pictures import write as write_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cnnexplain.model.classifier import Classifier
    from cnnexplain.plugin.analysis import Analysis
    from cnnexplain.results.record import Record
    from cnnexplain.training.evaluation import Evaluation
    from cnnexplain.types import Floats

DPI = 130

CLASSES = 5
"""How many classes are shown of an image, the most probable first."""

FEW = 6
"""Of up to so many images the page of a folder shows the pictures as they are, below the small ones."""

SHOWN = 3
"""How many images of a record a notebook shows."""


MOST, BESIDE_MAPS, OVERVIEW = 45_000, 14_000, 26_000
"""Bytes that a picture of an image takes in a page, one whose maps the page shows too, and one of an overview. The files
have all of it."""

SMOOTH = 64
"""Images whose longer side has fewer pixels are kept without loss."""


@dataclass(frozen=True)
class Drawn:
    """A record and its pictures, as WebP.

    Args:
        record: Which.
        pictures: Of each image.
        overview: Of what belongs to no single image, by title.
        maps: Of each image by name, as `packed` makes them.
        painted: Of each image what its main map is painted from, where that is another than the map, and its limit.
        panels: Of each image, as `panels` makes them.
    """

    record: Record
    pictures: Sequence[bytes]
    overview: Mapping[str, bytes]
    maps: Sequence[Mapping[str, Mapping[str, Any]]]
    painted: Sequence[Mapping[str, Any] | None]
    panels: Sequence[Sequence[Mapping[str, Any]]]


def drawn(record: Record) -> Drawn:
    """Draws all of a record.

    Raises:
        PluginError: The analysis can't draw it.
    """
    pictures = [_png(record.figure(index)) for index in range(len(record))]
    return compacted(record, pictures, {title: _png(figure) for title, figure in record.overview().items()})


def compacted(record: Record, pictures: Sequence[bytes], overview: Mapping[str, bytes]) -> Drawn:
    """A record and its pictures, which come as PNG."""
    maps = _present(record)
    most = BESIDE_MAPS if maps or record.analysis.panels is not None else MOST
    return Drawn(
        record,
        [_compact(picture, most) for picture in pictures],
        {title: _compact(picture, OVERVIEW) for title, picture in overview.items()},
        [{name: packed_maps.packed(record.arrays[name][index]) for name in maps} for index in range(len(record))],
        [_painted(record, index) for index in range(len(record))],
        [panels.encoded(record, index) for index in range(len(record))],
    )


def _painted(record: Record, index: int) -> dict[str, Any] | None:
    shown, maps = record.overlay(index), _present(record)
    if shown is None or np.array_equal(shown, record.arrays[maps[0]][index]):
        return None
    return {"limit": draw.percentile_limit(shown), **packed_maps.painted(shown)}


def report(
    found: Sequence[Drawn],
    classifier: Classifier,
    *,
    command: str = "",
    failed: Mapping[str, str] | None = None,
    skipped: Mapping[str, str] | None = None,
    tested: Evaluation | None = None,
    pending: Sequence[str] = (),
    quick: bool = False,
) -> str:
    """A page of everything that was found of a model and of some images.

    Args:
        found: The records with their pictures; several may be of one analysis.
        classifier: The model that they are of.
        command: What was typed to make the page; without it the page tells how to come to the records in Python.
        failed: The analyses that could not be run, each with the reason.
        skipped: The images that could not be read, each with the reason, beside those that the records name.
        tested: How the model does on MNIST's test images.
        pending: The analyses that were still to be run.
        quick: Whether options other than the defaults are those of a quick report.

    Returns:
        HTML, which asks nothing of any other address.

    Raises:
        UsageError: A record is of another model.
    """
    warned: dict[str, dict[str, None]] = {}
    for each in found:
        _check_model(each.record, classifier)
        for warning in each.record.warnings:
            warned.setdefault(warning, {})[each.record.analysis.name] = None
    records = [each.record for each in found]
    methods = _methods(records)
    return templates.get("report.html").render(
        title=f"What {classifier.name} sees",
        images=_images(found, classifier, methods),
        alone=[_overview(each, methods) for each in found if each.overview],
        methods=methods,
        pending=pending,
        quick=quick,
        failed=failed or {},
        skipped=dict(skipped or {}) | {name: reason for record in records for name, reason in record.skipped.items()},
        warned=warned,
        model=card(classifier),
        tested=tested,
        provenance=_provenance(records, classifier),
        date=datetime.now(UTC),
        command=command,
        python=_python(records, classifier),
        palettes={name: {"bar": _colours(name), "over": _over(name)} for name in ("unsigned", "signed")},
        policy=templates.policy("data:", script="page.js"),
    )


def write_index(
    path: Path, analysis: Analysis, result: Mapping[str, Any], parts: Iterable[Mapping[str, Any]], count: int
) -> None:
    """Writes the page of a result's folder, a contact sheet of the pictures that lie beside it.

    Args:
        path: Where to.
        analysis: What was run.
        result: What `result.json` holds.
        parts: The images of each part, as the files of the parts hold them: only one is in memory at a time.
        count: How many images these are.
    """
    few = count <= FEW
    written = templates.get("index.html").stream(
        title=f"{analysis.name} of {result['model']['name']}",
        analysis=analysis,
        options=_options(analysis, result["options"]),
        result=result,
        parts_of_result=list(_once(parts)) if few else _once(parts),
        count=count,
        few=few,
        each=thumbnails.EACH,
        policy=templates.policy("'self' file:", script="index.js"),
    )
    # A file name that is no Unicode becomes an escape.
    written.dump(str(path), encoding="utf-8", errors="backslashreplace")


def write_report(path: str | os.PathLike[str], classifier: Classifier, records: Sequence[Record]) -> Path:
    """Draws records and writes them as one page, which needs no other file.

    Args:
        path: Where to; a report that stands there is replaced.
        classifier: The model that the records are of.
        records: From `cnnexplain.explain`, several of them for the same images or for others.

    Returns:
        The path.

    Raises:
        UsageError: There are no records, or one is of another model.
        OutputError: The file can't be written, or what stands there is no report of ours.
        PluginError: An analysis can't draw what it found.
    """
    place = Path(path)
    if not records:
        raise UsageError("A report is made of records, but got none; give at least one that cnnexplain.explain() returned.")
    check(place)
    write(place, report([drawn(record) for record in records], classifier))
    return place


def check(path: Path) -> None:
    """Sees that a report may be written to `path`.

    Raises:
        OutputError: What stands there is no report of ours, or the folder can't be written.
    """
    files.check_writable(path)
    try:
        if os.path.lexists(path) and templates.MARK.encode() not in _start(path):
            raise OutputError(f"'{path}' exists and is no report of cnnexplain; choose another place for the report.")
    except OSError as error:
        raise OutputError(f"Can't replace '{path}': {error.strerror}.") from error


def _start(path: Path) -> bytes:
    with files.opened(path) as file:
        return file.read(200)


def write(path: Path, html: str) -> None:
    """Writes a page, at once or not at all.

    Raises:
        OutputError: It can't be written.
    """
    with files.replacing(path) as temporary:
        # A file name that is no Unicode becomes an escape.
        temporary.write_bytes(html.encode("utf-8", errors="backslashreplace"))


def record_fragment(record: Record) -> str:
    """The first images of a record, or its overview, for a notebook: no script, no style sheet."""
    figures = [(record.explained[index].source.name, _png(record.figure(index))) for index in range(min(len(record), SHOWN))]
    if not len(record):
        figures = [(title, _png(figure)) for title, figure in list(record.overview().items())[:SHOWN]]
    return templates.get("record.html").render(
        record=record,
        pictures=[(title, _data(picture, "png")) for title, picture in figures],
        options=[option for option in _options(record.analysis, record.options) if option["changed"]],
    )


def record_png(record: Record) -> bytes:
    """The first picture of a record, for a notebook that shows no HTML."""
    return _png(record.figure(0) if len(record) else next(iter(record.overview().values())))


def _check_model(record: Record, classifier: Classifier) -> None:
    same = (
        record.provenance["model"]["sha256"] == classifier.sha256
        and record.preprocess == classifier.preprocess
        and record.labels == classifier.labels
    )
    if not same:
        raise UsageError(
            f"The record of '{record.analysis.name}' is of the model '{record.provenance['model']['name']}' and not of "
            f"{classifier!r} with its input and labels; a report is of one model."
        )


def _methods(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Each analysis with each of the options that it was run with, once, and the seconds that it took."""
    methods: list[dict[str, Any]] = []
    for record in records:
        known = next((method for method in methods if _is(method, record)), None)
        if known is None:
            known = {
                "analysis": record.analysis,
                "given": record.options,
                "options": _options(record.analysis, record.options),
                "plugin": record.provenance["plugin"],
                "seconds": 0.0,
            }
            methods.append(known)
        known["seconds"] += record.seconds
    return methods


def _is(method: Mapping[str, Any], record: Record) -> bool:
    return (method["analysis"].name, method["given"]) == (record.analysis.name, record.options)


def _images(found: Sequence[Drawn], classifier: Classifier, methods: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each image once, with all that was found for it."""
    entries: dict[Source, list[tuple[Drawn, int]]] = {}
    for each in found:
        for index, explained in enumerate(each.record.explained):
            entries.setdefault(explained.source, []).append((each, index))
    if not entries:
        return []
    firsts = [(each.record, index) for (each, index), *_ in entries.values()]
    short = Counter(draw.source_name(source.name) for source in entries)
    outputs = classifier.predict(np.stack([record.images[index] for record, index in firsts]))
    signed = _signed([each.record for each in found])
    return [
        {
            "source": source,
            # A file is called without its folder where no other one is called so.
            "name": draw.source_name(source.name) if short[draw.source_name(source.name)] == 1 else source.name,
            "picture": _data(_pixels(record, index)),
            "height": record.preprocess.height,
            "width": record.preprocess.width,
            "prediction": classifier.labels[record.explained[index].prediction],
            "probability": record.explained[index].probability,
            "value": record.explained[index].value,
            "unit": record.explained[index].unit,
            "classes": _classes(each, classifier, record.explained[index].unit),
            "analyses": [_entry(*entry, methods) for entry in here],
            # The main ones first.
            "maps": sorted(
                (one for drawn, place in here for one in _maps(drawn, place, signed)), key=lambda one: not one["main"]
            ),
        }
        for (record, index), each, here in zip(firsts, outputs, entries.values(), strict=True)
        for source in [record.explained[index].source]
    ]


def _classes(outputs: Floats, classifier: Classifier, unit: str) -> list[dict[str, Any]]:
    """The most probable classes, or the first values, each with what is said of it."""
    shown: list[tuple[int, float | None, float | None]]
    if classifier.head == "values":
        shown = [(index, None, float(value)) for index, value in enumerate(outputs[:CLASSES])]
    else:
        order = np.argsort(-outputs, kind="stable")[:CLASSES]
        shown = [(int(index), float(outputs[index]), None) for index in order]
    return [
        {"label": classifier.labels[index], "probability": probability, "value": value, "unit": unit}
        for index, probability, value in shown
    ]


def _entry(each: Drawn, index: int, methods: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What one analysis found for one image."""
    record = each.record
    facts = {
        wording.fact_name(record, name): _by_layer(record, fact[index])
        for name, fact in record.facts.items()
        if _of_images(record, fact)
    }
    return {
        "analysis": record.analysis,
        "method": _place(methods, record),
        "target": _target(record, index),
        "finding": record.finding(index),
        "picture": _data(each.pictures[index]),
        "mapped": bool(_present(record)),
        "panels": each.panels[index],
        "facts": facts,
    }


def _place(methods: Sequence[Mapping[str, Any]], record: Record) -> int:
    return next(place for place, method in enumerate(methods, start=1) if _is(method, record))


def _overview(each: Drawn, methods: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What one analysis found that belongs to no single image."""
    record = each.record
    return {
        "analysis": record.analysis,
        "method": _place(methods, record),
        "pictures": {title: _data(picture) for title, picture in each.overview.items()},
        "facts": {name: fact for name, fact in record.facts.items() if not _of_images(record, fact)},
        "dataset": record.provenance.get("dataset"),
    }


def _options(analysis: Analysis, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each option of an analysis with the value used, and whether that is another than the default."""

    def changed(value: Any, default: Any) -> bool:
        return (list(value) if isinstance(value, list | tuple) else value) != (
            list(default) if isinstance(default, list | tuple) else default
        )

    return [
        {
            "flag": parameter.flag,
            "help": parameter.option.help,
            "value": values[parameter.name],
            "default": parameter.default,
            "changed": changed(values[parameter.name], parameter.default),
        }
        for parameter in analysis.options
        if parameter.name in values
    ]


def _by_layer(record: Record, fact: Any) -> Any:
    """A fact, where it has an entry for each layer with the layers as they are called."""
    return {wording.layer_name(record, name): each for name, each in fact.items()} if isinstance(fact, dict) else fact


def _of_images(record: Record, fact: Any) -> bool:
    return bool(len(record)) and isinstance(fact, list | tuple)


def _target(record: Record, index: int) -> str:
    """What was explained, where it isn't just the prediction."""
    explained = record.explained[index]
    if explained.objective is not None:
        return explained.objective
    if explained.target is None or explained.target == explained.prediction:
        return ""
    return record.labels[explained.target]


def _signed(records: Sequence[Record]) -> dict[tuple[str, str], bool]:
    """Which maps have a negative value anywhere: such a map keeps its colours where an image has none."""
    found: dict[tuple[str, str], bool] = {}
    for record in records:
        for name in _present(record):
            key = record.analysis.name, name
            found[key] = found.get(key, False) or bool((record.arrays[name] < 0).any())
    return found


def _present(record: Record) -> list[str]:
    """The arrays of a record that are maps of its images, as its analysis says."""
    return [name for name in record.analysis.maps if name in record.arrays]


def _maps(drawn: Drawn, index: int, signed: Mapping[tuple[str, str], bool]) -> list[dict[str, Any]]:
    record = drawn.record
    target = _target(record, index)
    return [
        {
            "analysis": record.analysis.name,
            "name": wording.fact_name(record, name),
            "main": place == 0,
            "target": target,
            "unit": wording.in_units(record, record.analysis.unit(name, record.options)),
            "signed": signed[record.analysis.name, name],
            "limit": draw.percentile_limit(record.arrays[name][index]),
            **drawn.maps[index][name],
            "painted": drawn.painted[index] if place == 0 else None,
        }
        for place, name in enumerate(_present(record))
    ]


def _provenance(records: Sequence[Record], classifier: Classifier) -> dict[str, str]:
    import keras

    plugins = {f"{each['distribution']} {each['version']}": None for each in (r.provenance["plugin"] for r in records)}
    return {
        "Made by": f"cnnexplain {__version__}",
        "Analyses from": ", ".join(plugins),
        "Keras": f"{keras.__version__} on {keras.backend.backend()}",
        "Python": f"{platform.python_version()}, NumPy {np.__version__}, {platform.system()} {platform.machine()}",
        "SHA-256 of the model": classifier.sha256,
    }


def _python(records: Sequence[Record], classifier: Classifier) -> str:
    """The Python program that comes to the same records; what can't be written down stands in a comment."""
    lines = ["import cnnexplain as cx", "", f"classifier = cx.load({classifier.name!r})  # Or as you loaded it."]
    for record in records:
        arguments = [repr(record.analysis.name), "classifier"]
        sources = [explained.source for explained in record.explained]
        if sources:
            inverted = {source.inverted for source in sources}
            # Where only some were, it was found for each by itself.
            way = f", invert={inverted.pop()}" if len(inverted) == 1 else ""
            arguments.append(f"cx.read_images({[source.name for source in sources]!r}, classifier{way})")
            targets = [explained.target for explained in record.explained]
            if None not in targets and not any(explained.objective for explained in record.explained):
                arguments.append(f"target={targets!r}")
        dataset = record.provenance.get("dataset")
        if dataset is not None and dataset["name"] != image_stream.GIVEN:
            arguments.append(f"dataset={dataset['name']!r}")
        defaults = {parameter.name: parameter.default for parameter in record.analysis.options}
        arguments += [f"{name}={value!r}" for name, value in record.options.items() if value != defaults.get(name)]
        objectives = dict.fromkeys(each.objective for each in record.explained if each.objective is not None)
        lines += [
            f"# With target= an objective that says {objective!r}, such as cx.Logit(4) - cx.Logit(9):"
            for objective in objectives
        ]
        lines += [f"# {name} stands for an array from memory:" for name in _memory(record)]
        lines.append(f"cx.explain({', '.join(arguments)})")
    return "\n".join(lines)


def _memory(record: Record) -> list[str]:
    return [each.source.name for each in record.explained if re.fullmatch(r"array\[\d+\]", each.source.name)]


def _once(parts: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The parts, each with those of its warnings that none before it has given."""
    told: set[str] = set()
    for part in parts:
        warnings = [warning for warning in part["warnings"] if warning not in told]
        told |= set(warnings)
        # Results of earlier versions have neither small pictures nor findings.
        images = [{"finding": None, "value": None, "unit": "", **image} for image in part["images"]]
        small = part.get("thumbnails")
        enough = small is not None and thumbnails.EACH * len(small["files"]) >= len(images)
        yield {**part, "thumbnails": small if enough else None, "warnings": warnings, "images": images}


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    write_figure(figure, buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def _pixels(record: Record, index: int) -> bytes:
    """An image as the model saw it, a pixel for a pixel, as WebP."""
    shown = np.nan_to_num(draw.image_rgb(record, record.images[index]))
    pixels = np.round(255 * shown).astype(np.uint8)
    buffer = io.BytesIO()
    how: dict[str, Any] = {"lossless": True} if max(pixels.shape) < SMOOTH else {"quality": 88}
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, "WEBP", **how)
    return buffer.getvalue()


def _compact(picture: bytes, most: int) -> bytes:
    with Image.open(io.BytesIO(picture)) as image:
        return compact(image.convert("RGB"), most)


def _colours(kind: str) -> str:
    """The 256 colours of a kind of maps as their red, green and blue bytes."""
    colours = mpl.colormaps[getattr(draw.current_palette(), kind)](np.linspace(0, 1, 256))[:, :3]
    return templates.encoded(np.round(255 * colours).astype(np.uint8).tobytes())


def _over(kind: str) -> str:
    """The 256 colours and opacities of a kind of maps over an image as their bytes."""
    return templates.encoded(np.round(255 * draw.overlay_colormap(signed=kind == "signed")).astype(np.uint8).tobytes())


def _data(picture: bytes, kind: str = "webp") -> str:
    return f"data:image/{kind};base64,{templates.encoded(picture)}"

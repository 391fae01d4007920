"""The images of a report: the predictions of the model, and the results of the analyses for each image."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from cnnexplain import draw
from cnnexplain.draw import wording
from cnnexplain.draw.control_panel import TITLE
from cnnexplain.rendering.drawn import Drawn, maps_of
from cnnexplain.rendering.method_entries import method_number
from cnnexplain.rendering.templates import data_uri

if TYPE_CHECKING:
    from jaxtyping import Float

    from cnnexplain.inputs.source import Source
    from cnnexplain.model.classifier import Classifier
    from cnnexplain.results.record import Record

CLASSES = 5
"""Classes shown for an image, the most probable first."""

SMOOTH = 64
"""Images with a shorter longer side are compressed losslessly."""


def image_entries(found: Sequence[Drawn], classifier: Classifier, methods: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """An entry for each image, with all its results."""
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
            # The folder is left out if no other image has the same file name.
            "name": draw.source_name(source.name) if short[draw.source_name(source.name)] == 1 else source.name,
            "picture": data_uri(_pixels(record, index)),
            "height": record.preprocess.height,
            "width": record.preprocess.width,
            "prediction": classifier.labels[record.explained[index].prediction],
            "probability": record.explained[index].probability,
            "value": record.explained[index].value,
            "unit": record.explained[index].unit,
            "classes": _classes(each, classifier, record.explained[index].unit),
            "analyses": [_entry(*entry, methods) for entry in results],
            # Main maps first.
            "maps": sorted(
                (each_map for drawn, place in results for each_map in _maps(drawn, place, signed)),
                key=lambda each_map: not each_map["main"],
            ),
        }
        for (record, index), each, results in zip(firsts, outputs, entries.values(), strict=True)
        for source in [record.explained[index].source]
    ]


def _classes(outputs: Float[np.ndarray, " K"], classifier: Classifier, unit: str) -> list[dict[str, Any]]:
    """The most probable classes with their probabilities, or the first values."""
    chosen: list[tuple[int, float | None, float | None]]
    if classifier.head == "values":
        chosen = [(index, None, float(value)) for index, value in enumerate(outputs[:CLASSES])]
    else:
        order = np.argsort(-outputs, kind="stable")[:CLASSES]
        chosen = [(int(index), float(outputs[index]), None) for index in order]
    return [
        {"label": classifier.labels[index], "probability": probability, "value": value, "unit": unit}
        for index, probability, value in chosen
    ]


def _entry(drawn: Drawn, index: int, methods: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The results of one analysis for one image."""
    record = drawn.record
    finding = record.finding(index)
    facts = {
        wording.fact_name(record, name): _by_layer(record, fact[index])
        for name, fact in record.facts.items()
        if is_of_images(record, fact)
    }
    return {
        "analysis": record.analysis,
        "method": method_number(methods, record),
        "target": explained_target(record, index),
        "finding": finding,
        "sentences": [*([] if finding is None else [finding]), *record.notes(index)],
        "picture": None if (picture := drawn.pictures[index]) is None else data_uri(picture),
        "mapped": bool(maps_of(record)),
        "panels": drawn.panels[index],
        "facts": facts,
        "verification": record.verification,
    }


def _by_layer(record: Record, fact: Any) -> Any:
    """A fact, with the displayed names of layers if its entries are for layers."""
    return {wording.layer_name(record, name): each for name, each in fact.items()} if isinstance(fact, dict) else fact


def is_of_images(record: Record, fact: Any) -> bool:
    """Whether a fact has an entry for each image."""
    return bool(len(record)) and isinstance(fact, list | tuple)


def explained_target(record: Record, index: int) -> str:
    """The name of the target or objective; "" if it is just the prediction."""
    explained = record.explained[index]
    if explained.objective is not None:
        return explained.objective
    if explained.target is None or explained.target == explained.prediction:
        return ""
    return record.labels[explained.target]


def _signed(records: Sequence[Record]) -> dict[tuple[str, str], bool]:
    """Which maps, by analysis and name, are negative for any image: all of these are drawn in the signed colormap."""
    signed: dict[tuple[str, str], bool] = {}
    for record in records:
        for arrays in (record.arrays, {} if record.control is None else record.control.arrays):
            for name in record.analysis.maps:
                key = record.analysis.name, name
                signed[key] = signed.get(key, False) or (name in arrays and bool((arrays[name] < 0).any()))
    return signed


def _maps(drawn: Drawn, index: int, signed: Mapping[tuple[str, str], bool]) -> list[dict[str, Any]]:
    """The maps of an image, the main one first, followed by that of the control."""
    record = drawn.record
    entries = [
        {
            "analysis": record.analysis.name,
            "name": wording.fact_name(record, name),
            "main": number == 0,
            "target": explained_target(record, index),
            "unit": wording.in_units(record, record.analysis.unit(name, record.options)),
            "signed": signed[record.analysis.name, name],
            "limit": draw.percentile_limit(record.arrays[name][index]),
            **drawn.maps[index][name],
            "painted": drawn.painted[index] if number == 0 else None,
        }
        for number, name in enumerate(maps_of(record))
    ]
    if drawn.controls:
        entries.insert(1, {**entries[0], **drawn.controls[index], "name": TITLE})
    return entries


def _pixels(record: Record, index: int) -> bytes:
    """An image at the resolution of the model's input, as WebP."""
    rgb = np.nan_to_num(draw.image_rgb(record, record.images[index]))
    pixels = np.round(255 * rgb).astype(np.uint8)
    buffer = io.BytesIO()
    quality: dict[str, Any] = {"lossless": True} if max(pixels.shape) < SMOOTH else {"quality": 88}
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, "WEBP", **quality)
    return buffer.getvalue()

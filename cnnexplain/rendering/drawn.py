"""Records with their pictures, made small enough for a page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from cnnexplain import draw
from cnnexplain.draw.control_panel import as_record
from cnnexplain.rendering import packed_maps, panels
from cnnexplain.rendering.pictures import compact, png

if TYPE_CHECKING:
    from cnnexplain.results.record import Record

MOST, BESIDE_MAPS, OVERVIEW = 45_000, 14_000, 26_000
"""Maximum number of bytes on a page: of the picture of an image, of one whose maps are on the page too, and of an overview
picture. The picture files have the full quality."""


@dataclass(frozen=True)
class Drawn:
    """A record and its pictures as WebP.

    Args:
        record: The record.
        pictures: The picture of each image, or None if it has none.
        overview: Pictures that belong to no single image, by title.
        maps: The maps of each image by name, from `packed_maps.packed`.
        painted: The map drawn over each image and its limit; None if it is the main map itself.
        panels: The panels of each image, from `panels.encoded`.
        controls: The main map of the control for each image: packed, with the `limit` of its color scale and the map that is
            `painted` over the image; empty without a control.
    """

    record: Record
    pictures: Sequence[bytes | None]
    overview: Mapping[str, bytes]
    maps: Sequence[Mapping[str, Mapping[str, Any]]]
    painted: Sequence[Mapping[str, Any] | None]
    panels: Sequence[Sequence[Mapping[str, Any]]]
    controls: Sequence[Mapping[str, Any]] = ()


def draw_record(record: Record) -> Drawn:
    """Draws the pictures of a record.

    Raises:
        PluginError: The analysis can't draw it.
    """
    pictures = [png(record.figure(index)) for index in range(len(record))]
    return compacted(record, pictures, {title: png(figure) for title, figure in record.overview().items()})


def compacted(record: Record, pictures: Sequence[bytes | None], overview: Mapping[str, bytes]) -> Drawn:
    """A record with its pictures, given as PNG; an image may have none."""
    maps = maps_of(record)
    limit = BESIDE_MAPS if maps or record.analysis.panels is not None else MOST
    return Drawn(
        record,
        [None if picture is None else _compact(picture, limit) for picture in pictures],
        {title: _compact(picture, OVERVIEW) for title, picture in overview.items()},
        [{name: packed_maps.packed(record.arrays[name][index]) for name in maps} for index in range(len(record))],
        [_painted(record, index) for index in range(len(record))],
        [panels.encoded(record, index) for index in range(len(record))],
        [] if record.control is None else _controls(as_record(record, record.control)),
    )


def _controls(control: Record) -> list[dict[str, Any]]:
    maps = control.arrays[maps_of(control)[0]]
    return [
        {**packed_maps.packed(values), "limit": draw.percentile_limit(values), "painted": _painted(control, index)}
        for index, values in enumerate(maps)
    ]


def maps_of(record: Record) -> list[str]:
    """The names of the arrays of a record that are maps of its images; the main one is first."""
    return [name for name in record.analysis.maps if name in record.arrays]


def _painted(record: Record, index: int) -> dict[str, Any] | None:
    overlay, maps = record.overlay(index), maps_of(record)
    if overlay is None or np.array_equal(overlay, record.arrays[maps[0]][index]):
        return None
    return {"limit": draw.percentile_limit(overlay), **packed_maps.painted(overlay)}


def _compact(picture: bytes, most: int) -> bytes:
    with Image.open(io.BytesIO(picture)) as image:
        return compact(image.convert("RGB"), most)

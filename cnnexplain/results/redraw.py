"""Redraws the pictures of a result without Keras."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnexplain import files
from cnnexplain.errors import OutputError, PluginError, reason
from cnnexplain.interruption import check_interrupted
from cnnexplain.rendering.pictures import FORMATS, Pictures
from cnnexplain.results import json_files, lock, reader, result_files
from cnnexplain.results.damage import damaged
from cnnexplain.results.file_names import INDEX, RESULT
from cnnexplain.results.record import Made, Record
from cnnexplain.results.result_folder import check_folder, replace_files

if TYPE_CHECKING:
    from cnnexplain.draw import Style


def redraw(
    folder: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002
    dpi: int = 130,
    unsigned: str | None = None,
    signed: str | None = None,
    contours: bool = False,
    regions: int | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[Path]:
    """Redraws the pictures of a result from its arrays, and replaces the earlier ones. Needs no Keras.

    Args:
        folder: The folder of one analysis, such as "cnnexplain-out/saliency".
        format: Format of the pictures: "png", "svg" or "pdf"; None for their current one.
        dpi: Resolution of the pictures in pixels per inch, from 20 to 1200.
        unsigned: The Matplotlib colormap of maps that start at 0; None for the default.
        signed: The Matplotlib colormap of signed maps; None for the default.
        contours: Whether to outline the strongest tenth of the pixels in maps that are drawn over an image.
        regions: Side length in pixels of the squares over which maps of gradients and attributions that are drawn over an
            image are summed; None derives it from the image.
        progress: Called with the number of pictures drawn, and the number of all.

    Returns:
        The paths of the pictures.

    Raises:
        UsageError: There is no such folder, format or colormap, `regions` is less than 1, or the analysis is not installed.
        OutputError: The folder contains no result or a damaged one, or can't be written.
        PluginError: The analysis can't draw what was saved.
    """
    folder = Path(folder)
    pictures = Pictures(format or Pictures.format, dpi)
    # Only the folder of a result is locked.
    reader.analysis_of(folder, reader.read_result(folder))
    from cnnexplain import draw

    colors = draw.Palette(unsigned or draw.DEFAULT_PALETTE.unsigned, signed or draw.DEFAULT_PALETTE.signed)
    style = draw.Style(colors, contours, regions)
    check_folder(folder)
    with lock.held(folder):
        return _redraw(folder, pictures, style, progress, keep=format is None)


def _redraw(folder: Path, wanted: Pictures, style: Style, progress: Callable[[int, int], None], *, keep: bool) -> list[Path]:
    """Redraws the pictures of a result in a locked folder; with `keep`, in their current format."""
    from cnnexplain import draw
    from cnnexplain.results import index_files

    result = reader.read_result(folder)
    analysis = reader.analysis_of(folder, result)
    own_files = set(check_folder(folder))
    parts = list(zip(result.get("parts", [RESULT]), result_files.read_parts(folder, result), strict=True))
    drawn = [*(image["picture"] for _, part in parts for image in part["images"]), *result["overview"]]
    formats = {suffix for name in drawn if (suffix := Path(name).suffix[1:]) in FORMATS}
    pictures = replace(wanted, format=formats.pop()) if keep and len(formats) == 1 else wanted
    count = sum(len(part["images"]) for _, part in parts)
    total = len(result["overview"]) + count
    done = itertools.count(1)
    renamed: dict[str, str] = {}
    sheets_by_part: dict[str, dict[str, Any]] = {}
    with files.staging(folder) as staged, draw.use_style(style):
        for part_name, part in parts:
            record = Record(**reader.read_part(folder, analysis, result, part))
            # The overview is drawn with the first part.
            titles = [] if record.span.start else result["overview"]
            overview = _drawn(folder, record, record.overview) if titles else {}
            names = [*(image["picture"] for image in part["images"]), *titles]
            if len(overview) != len(titles) or not own_files.issuperset([part_name, *names]):
                raise damaged(folder, "its pictures are not those that were written")
            images = (_drawn(folder, record, partial(record.figure, index)) for index in range(len(record)))
            if len(record) and count > 1:
                stem = "thumbnails" + Path(part_name).stem.removeprefix("result")
                sheets_by_part[part_name] = _drawn(
                    folder, record, partial(index_files.write_thumbnails, record, staged, stem)
                )
            for name, figure in zip(names, itertools.chain(images, overview.values()), strict=True):
                renamed[name] = f"{Path(name).stem}.{pictures.format}"
                _drawn(folder, record, partial(pictures.save, figure, staged / renamed[name]))
                progress(next(done), total)
            # Frees the memory of this part before the next one is read.
            del record, overview, images
        if len(set(renamed.values())) < len(renamed):
            raise damaged(folder, "several of its pictures have the same name")
        sheets = [name for each in sheets_by_part.values() for name in each["files"]]
        whole = _renamed(result, renamed, sheets_by_part.get(RESULT))
        whole["files"] = list(dict.fromkeys([*whole["files"], *sheets]))
        if "request" in whole:
            # So that --resume continues in this format, or reports that it differs.
            whole["request"] = whole["request"] | {"format": pictures.format, "dpi": pictures.dpi}
        written = {name: _renamed(part, renamed, sheets_by_part.get(name)) for name, part in parts} | {RESULT: whole}
        for name, content in written.items():
            json_files.write(staged / name, content)
        index = [INDEX] if INDEX in own_files else []
        for name in index:
            index_files.write_index(staged / name, analysis, written[RESULT], (written[part] for part, _ in parts), count)
        removed = set(renamed) - set(renamed.values())
        replace_files(staged, folder, [*renamed.values(), *sheets, *index, *written], result, own_files, removed)
    return [folder / name for name in renamed.values()]


def _drawn(folder: Path, record: Record, draw: Callable[[], Made]) -> Made:
    """Calls `draw`; its errors may be due to a damaged result."""
    try:
        return draw()
    except (OutputError, OSError):
        raise
    # A plugin may raise any error for data that it has not written.
    except Exception as error:
        check_interrupted(error)
        why = str(error) if isinstance(error, PluginError) else reason(error)
        raise PluginError(
            f"The result in '{folder}' may be damaged, or written by another version of '{record.analysis.name}'; run the "
            f"analysis again: {why}"
        ) from error


def _renamed(content: Mapping[str, Any], names: Mapping[str, str], thumbnails: Mapping[str, Any] | None) -> dict[str, Any]:
    """The content of a JSON file with new names of the pictures, and new thumbnails."""
    changed = dict(content)
    for key in ("files", "overview"):
        if key in content:
            changed[key] = [names.get(name, name) for name in content[key]]
    if thumbnails is not None:
        changed["thumbnails"] = thumbnails
        changed["files"] = list(dict.fromkeys([*changed["files"], *thumbnails["files"]]))
    if "images" in content:
        changed["images"] = [{**image, "picture": names[image["picture"]]} for image in content["images"]]
    return changed

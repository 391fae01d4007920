"""Redraws the pictures of a result without Keras."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnexplain import files
from cnnexplain.errors import OutputError, PluginError, reason
from cnnexplain.interruption import check_interrupted
from cnnexplain.rendering.pictures import FORMATS, Pictures
from cnnexplain.results import json_files, lock, reader, result_files, verification_json, writer
from cnnexplain.results.damage import damaged
from cnnexplain.results.file_names import INDEX, RESULT, picture_names
from cnnexplain.results.picture_workers import PictureWorkers
from cnnexplain.results.record import Made, Record
from cnnexplain.results.result_folder import check_folder, replace_files

if TYPE_CHECKING:
    from cnnexplain.draw import Style
    from cnnexplain.plugin.analysis import Analysis


def redraw(
    folder: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002
    dpi: int = 130,
    unsigned: str | None = None,
    signed: str | None = None,
    contours: bool = False,
    regions: int | None = None,
    pictures: int | None = None,
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
        pictures: Only the first images get a picture, at most this number; 0 removes all pictures. None for all images.
        progress: Called with the number of pictures drawn, and the number of all.

    Returns:
        The paths of the pictures.

    Raises:
        UsageError: There is no such folder, format or colormap, `regions` is less than 1, or the analysis is not installed.
        OutputError: The folder contains no result or a damaged one, or can't be written.
        PluginError: The analysis can't draw what was saved.
    """
    folder = Path(folder)
    wanted = Pictures(format or Pictures.format, dpi, pictures)
    # Only the folder of a result is locked.
    reader.analysis_of(folder, reader.read_result(folder))
    from cnnexplain import draw

    colors = draw.Palette(unsigned or draw.DEFAULT_PALETTE.unsigned, signed or draw.DEFAULT_PALETTE.signed)
    style = draw.Style(colors, contours, regions)
    check_folder(folder)
    with lock.held(folder):
        return _redraw(folder, wanted, style, progress, keep=format is None)


def _redraw(folder: Path, wanted: Pictures, style: Style, progress: Callable[[int, int], None], *, keep: bool) -> list[Path]:
    """Redraws the pictures of a result in a locked folder; with `keep`, in their current format."""
    from cnnexplain import draw
    from cnnexplain.results import index_files

    result = reader.read_result(folder)
    analysis = reader.analysis_of(folder, result)
    own_files = set(check_folder(folder))
    parts = dict(zip(result.get("parts", [RESULT]), result_files.read_parts(folder, result), strict=True))
    images = [image for part in parts.values() for image in part["images"]]
    before = [name for name in (*(image["picture"] for image in images), *result["overview"]) if name is not None]
    if not own_files.issuperset([*parts, *before]):
        raise damaged(folder, "its pictures are not those that were written")
    formats = {suffix for name in before if (suffix := Path(name).suffix[1:]) in FORMATS}
    pictures = replace(wanted, format=formats.pop()) if keep and len(formats) == 1 else wanted
    overview_names = [f"{Path(name).stem}.{pictures.format}" for name in result["overview"]]
    names = iter(_names(images, pictures, overview_names))
    names_by_part = {part_name: list(itertools.islice(names, len(part["images"]))) for part_name, part in parts.items()}
    total = pictures.count(len(images)) + len(overview_names)
    done = itertools.count(1)
    sheets_by_part: dict[str, dict[str, Any]] = {}
    drawn: list[str] = []
    with files.staging(folder) as staged, draw.use_style(style), PictureWorkers() as workers:
        for part_name, part in parts.items():
            record = Record(**reader.read_part(folder, analysis, result, part))
            # The overview is drawn with the first part.
            first = not record.span.start and pictures.most != 0
            overview = _drawn(folder, analysis, record.overview) if first else {}
            if first and not overview_names:
                taken = [name for each in names_by_part.values() for name in each if name is not None]
                overview_names = picture_names([], list(overview), taken, suffix=pictures.format)
            if first and len(overview) != len(overview_names):
                raise damaged(folder, "its pictures are not those that were written")
            own = {index: name for index, name in enumerate(names_by_part[part_name]) if name is not None}
            if len(record) and len(images) > 1:
                stem = "thumbnails" + Path(part_name).stem.removeprefix("result")
                write = partial(index_files.write_thumbnails, record, staged, stem)
                sheets_by_part[part_name] = _drawn(folder, analysis, write)
            titled = overview_names if first else []
            part_pictures = [*own.values(), *titled]
            drawn += part_pictures
            if total > writer.FEW:
                workers.submit(folder, part_name, result, list(own.items()), titled, pictures, style=style, into=staged)
            else:
                figures = (_drawn(folder, analysis, partial(record.figure, index)) for index in own)
                for name, figure in zip(part_pictures, itertools.chain(figures, overview.values()), strict=True):
                    _drawn(folder, analysis, partial(pictures.save, figure, staged / name))
                    progress(next(done), total)
                del figures
            # Frees the memory of this part before the next one is read.
            del record, overview
        if total > writer.FEW:
            _drawn(folder, analysis, lambda: workers.wait(folder, lambda done, _: progress(done, total)))
        if len(set(drawn)) < len(drawn):
            raise damaged(folder, "several of its pictures have the same name")
        sheets = [name for each in sheets_by_part.values() for name in each["files"]]
        changed = {
            part_name: _changed(part, before, names_by_part[part_name], sheets_by_part.get(part_name))
            for part_name, part in parts.items()
        }
        whole = changed.get(RESULT, result)
        others = [name for name in whole["files"] if name not in {*before, *drawn}]
        whole = {
            **whole,
            "overview": overview_names if pictures.most != 0 else [],
            "files": list(dict.fromkeys([*drawn, *others, *sheets])),
        }
        if "request" in whole:
            # So that --resume continues in this format, or reports that it differs.
            whole["request"] = whole["request"] | {"format": pictures.format, "dpi": pictures.dpi}
        written = changed | {RESULT: whole}
        for name, content in written.items():
            json_files.write(staged / name, content)
        index = [INDEX] if INDEX in own_files else []
        for name in index:
            own_parts = [written[part] for part in parts]
            verification = verification_json.of_parts(whole, own_parts)
            index_files.write_index(staged / name, analysis, whole, own_parts, len(images), verification)
        replace_files(staged, folder, [*drawn, *sheets, *index, *written], result, own_files, set(before) - set(drawn))
    return [folder / name for name in drawn]


def _names(images: Sequence[Mapping[str, Any]], pictures: Pictures, taken: Sequence[str]) -> list[str | None]:
    """A file name for the picture of each image, as before if it had one; None for an image that gets none."""
    count = pictures.count(len(images))
    names: list[str | None] = [None] * len(images)
    for index, image in enumerate(images[:count]):
        if image["picture"] is not None:
            names[index] = f"{Path(image['picture']).stem}.{pictures.format}"
    new = [index for index in range(count) if names[index] is None]
    taken = [*taken, *(name for name in names if name is not None)]
    for index, name in zip(
        new, picture_names([images[index]["source"] for index in new], taken=taken, suffix=pictures.format), strict=True
    ):
        names[index] = name
    return names


def _drawn(folder: Path, analysis: Analysis, draw: Callable[[], Made]) -> Made:
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
            f"The result in '{folder}' may be damaged, or written by another version of '{analysis.name}'; run the "
            f"analysis again: {why}"
        ) from error


def _changed(
    part: Mapping[str, Any], before: Sequence[str], names: Sequence[str | None], thumbnails: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The content of the file of a part with other pictures of its images, and other thumbnails."""
    gone = set(before)
    kept = [name for name in part["files"] if name not in gone]
    sheets = [] if thumbnails is None else thumbnails["files"]
    return {
        **part,
        "images": [{**image, "picture": name} for image, name in zip(part["images"], names, strict=True)],
        "files": list(dict.fromkeys([*(name for name in names if name is not None), *kept, *sheets])),
        **({} if thumbnails is None else {"thumbnails": thumbnails}),
    }

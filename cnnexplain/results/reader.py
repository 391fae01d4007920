"""A folder that `report` wrote → records, to be looked at or drawn again; needs no Keras."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain import __version__, files
from cnnexplain.errors import OutputError, PluginError, UsageError, line, reason
from cnnexplain.inputs.images import Source
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.interruption import check_interrupted
from cnnexplain.plugin import registry
from cnnexplain.plugin.analysis import Analysis
from cnnexplain.rendering.pictures import FORMATS, Pictures
from cnnexplain.results import lock, npz, schema, writer
from cnnexplain.results.record import Explained, Made, Record
from cnnexplain.results.schema import RESULT, DamageError, damaged
from cnnexplain.types import Array, Floats

if TYPE_CHECKING:
    from cnnexplain.draw import Style

INPUT = "input"
"""Under which name the images lie among the arrays."""

DAMAGES = (KeyError, TypeError, ValueError, IndexError, AttributeError, UsageError)
"""What goes wrong on the way from JSON to a record where the JSON is not what was written."""


def load(folder: str | os.PathLike[str]) -> Record:
    """What was found for all the images of a result; see `Record.load`."""
    first, *others = load_parts(folder)
    if not others:
        return first
    records = [first, *others]
    try:
        return replace(
            first,
            images=np.concatenate([record.images for record in records]),
            explained=tuple(explained for record in records for explained in record.explained),
            # What only the first part has belongs to none of the images.
            arrays=dict(first.arrays)
            | {name: np.concatenate([each.arrays[name] for each in records]) for name in others[0].arrays},
            facts=dict(first.facts)
            | {name: [fact for each in records for fact in each.facts[name]] for name in others[0].facts},
            warnings=tuple(dict.fromkeys(warning for record in records for warning in record.warnings)),
            seconds=sum(record.seconds for record in records),
            span=range(first.span.start, others[-1].span.stop),
            skipped={name: reason for record in records for name, reason in record.skipped.items()},
        )
    except DAMAGES as error:
        raise damaged(Path(folder), f"its parts are not alike: {_words(error)}") from error


def load_parts(folder: str | os.PathLike[str]) -> Iterator[Record]:
    """The records of a result, one for each part that was written, as `cnnexplain.explain_parts` gave them.

    Args:
        folder: The folder of one analysis, such as "cnnexplain-out/saliency".

    Yields:
        A record of each part, read when its turn comes; one where the result was written as a whole.

    Raises:
        UsageError: The folder does not exist, or its analysis is not installed.
        OutputError: The folder holds no result that cnnexplain wrote, or one that is damaged.
    """
    folder = Path(folder)
    result = _result(folder)
    analysis = _analysis(folder, result)
    for part in schema.read_parts(folder, result):
        record = _record(folder, analysis, result, part)
        _check_unchanged(folder, result)
        yield record
        # Nothing of it is held while the next part is read.
        del record


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
    """Draws the pictures of a result again, in the place of the earlier ones; the numbers stay as they are. Needs no Keras.

    Args:
        folder: The folder of one analysis, such as "cnnexplain-out/saliency".
        format: Of the pictures: "png", "svg" or "pdf"; None for the one that they have.
        dpi: The pictures' pixels per inch, from 20 to 1200.
        unsigned: Colours of maps that start at 0: the name of a colormap of Matplotlib. None for the usual ones.
        signed: Colours of signed maps, likewise.
        contours: Whether a line surrounds the strongest tenth of the pixels of maps that lie over an image.
        regions: The side in pixels of the squares over which maps of gradients and attributions are summed up where they lie
            over an image. None for what suits the image.
        progress: Called with how many pictures are drawn, and of how many.

    Returns:
        The paths of the pictures.

    Raises:
        UsageError: There is no such folder, format or colormap, the regions have no pixel, or the analysis is not installed.
        OutputError: The folder holds no result that cnnexplain wrote, or a damaged one, or can't be written.
        PluginError: The analysis can't draw what was saved.
    """
    folder = Path(folder)
    asked = Pictures(format or Pictures.format, dpi)
    # What is no result is not locked either.
    _analysis(folder, _result(folder))
    from cnnexplain import draw

    colours = draw.Palette(unsigned or draw.DEFAULT_PALETTE.unsigned, signed or draw.DEFAULT_PALETTE.signed)
    style = draw.Style(colours, contours, regions)
    writer.check_folder(folder)
    with lock.held(folder):
        return _redraw(folder, asked, style, progress, keep=format is None)


def _redraw(folder: Path, asked: Pictures, style: Style, progress: Callable[[int, int], None], *, keep: bool) -> list[Path]:
    """Draws the pictures of a result in a folder that is locked; `keep` where they keep the format that they have."""
    from cnnexplain import draw
    from cnnexplain.rendering import page, thumbnails

    result = _result(folder)
    analysis = _analysis(folder, result)
    ours = set(writer.check_folder(folder))
    parts = list(zip(result.get("parts", [RESULT]), schema.read_parts(folder, result), strict=True))
    drawn = [*(image["picture"] for _, part in parts for image in part["images"]), *result["overview"]]
    kept = {suffix for name in drawn if (suffix := Path(name).suffix[1:]) in FORMATS}
    pictures = replace(asked, format=kept.pop()) if keep and len(kept) == 1 else asked
    count = sum(len(part["images"]) for _, part in parts)
    total = len(result["overview"]) + count
    done = itertools.count(1)
    renamed: dict[str, str] = {}
    small: dict[str, dict[str, Any]] = {}
    with files.staging(folder) as staged, draw.use_style(style):
        for part_name, part in parts:
            record = _record(folder, analysis, result, part)
            # What belongs to no image was drawn with the first part.
            titles = [] if record.span.start else result["overview"]
            overview = _drawn(folder, record, record.overview) if titles else {}
            names = [*(image["picture"] for image in part["images"]), *titles]
            if len(overview) != len(titles) or not ours.issuperset([part_name, *names]):
                raise damaged(folder, "its pictures are others than were written")
            images = (_drawn(folder, record, partial(record.figure, index)) for index in range(len(record)))
            if len(record) and count > 1:
                stem = "thumbnails" + Path(part_name).stem.removeprefix("result")
                small[part_name] = _drawn(folder, record, partial(thumbnails.write, record, staged, stem))
            for name, figure in zip(names, itertools.chain(images, overview.values()), strict=True):
                renamed[name] = f"{Path(name).stem}.{pictures.format}"
                _drawn(folder, record, partial(pictures.save, figure, staged / renamed[name]))
                progress(next(done), total)
            # Nothing of it is held while the next part is read.
            del record, overview, images
        if len(set(renamed.values())) < len(renamed):
            raise damaged(folder, "its pictures have the same name")
        sheets = [name for each in small.values() for name in each["files"]]
        whole = _renamed(result, renamed, small.get(RESULT))
        whole["files"] = list(dict.fromkeys([*whole["files"], *sheets]))
        if "request" in whole:
            # So that --resume goes on in this format, or says that it is another one.
            whole["request"] = whole["request"] | {"format": pictures.format, "dpi": pictures.dpi}
        written = {name: _renamed(part, renamed, small.get(name)) for name, part in parts} | {RESULT: whole}
        for name, content in written.items():
            writer.write_json(staged / name, content)
        index = [writer.INDEX] if writer.INDEX in ours else []
        for name in index:
            page.write_index(staged / name, analysis, written[RESULT], (written[part] for part, _ in parts), count)
        gone = set(renamed) - set(renamed.values())
        writer.replace_files(staged, folder, [*renamed.values(), *sheets, *index, *written], result, ours, gone)
    return [folder / name for name in renamed.values()]


def _drawn(folder: Path, record: Record, draw: Callable[[], Made]) -> Made:
    """What `draw` draws of the record; where it can't, the reason is looked for in the result first."""
    try:
        return draw()
    except (OutputError, OSError):
        raise
    # Whatever a plugin does with numbers that are none of its own.
    except Exception as error:
        check_interrupted(error)
        why = str(error) if isinstance(error, PluginError) else reason(error)
        raise PluginError(
            f"The result in '{folder}' may be damaged, or of another version of '{record.analysis.name}', and would have to "
            f"be computed again: {why}"
        ) from error


def _renamed(content: Mapping[str, Any], names: Mapping[str, str], small: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a file of JSON says once the pictures have other names, and these are the small ones."""
    changed = dict(content)
    for key in ("files", "overview"):
        if key in content:
            changed[key] = [names.get(name, name) for name in content[key]]
    if small is not None:
        changed["thumbnails"] = small
        changed["files"] = list(dict.fromkeys([*changed["files"], *small["files"]]))
    if "images" in content:
        changed["images"] = [{**image, "picture": names[image["picture"]]} for image in content["images"]]
    return changed


def _result(folder: Path) -> dict[str, Any]:
    """What the folder's `result.json` says, seen to be ours."""
    try:
        if not folder.is_dir():
            raise UsageError(
                f"There is no folder '{folder}'; expected one that a run wrote, such as cnnexplain-out/saliency."
            )
        (folder / RESULT).lstat()
    except FileNotFoundError as error:
        within = sorted(path.parent.name for path in folder.glob(f"*/{RESULT}"))
        advice = f" There are results in its folders {schema.listed(within, 20)}: name one of them." if within else ""
        raise OutputError(f"The folder '{folder}' holds no result, since it has no {RESULT}.{advice}") from error
    except OSError as error:
        raise OutputError(f"Can't read the folder '{folder}': {error.strerror or error}.") from error
    return schema.read_result(folder)


def _check_unchanged(folder: Path, result: Mapping[str, Any]) -> None:
    """Sees that what was read is all of one result.

    Raises:
        OutputError: Another run has replaced it meanwhile.
    """
    # A run that goes on adds parts.
    grown = ("files", "parts", "complete", "skipped", "seconds")
    with suppress(DamageError):
        now = schema.read(folder / RESULT)
        if all(name in grown or now.get(name) == value for name, value in result.items()):
            return
    raise OutputError(f"The result in '{folder}' was replaced by another run while it was read; read it again.")


def _analysis(folder: Path, result: Mapping[str, Any]) -> Analysis:
    name, plugin = result["analysis"], result["plugin"]
    try:
        return registry.load().get(name)[0]
    except UsageError as error:
        supplier = line(f"{plugin['distribution']} {plugin['version']}", 80)
        raise UsageError(
            f"The result in '{folder}' is of the analysis '{line(name, 80)}', from {supplier}, which is not installed here."
        ) from error


def _record(folder: Path, analysis: Analysis, result: Mapping[str, Any], part: Mapping[str, Any]) -> Record:
    arrays = _arrays(folder, part["files"])
    try:
        labels, (start, stop) = tuple(result["labels"]), part["span"]
        preprocess = _preprocess(result["input"])
        shape = (len(part["images"]), *preprocess.shape)
        images = np.asarray(arrays.pop(INPUT, np.zeros((0, *preprocess.shape))), np.float32)
        if images.shape != shape:
            raise ValueError(f"images of shape {images.shape} in place of {shape}")
        _check(analysis, images, arrays, part["facts"], start)
        return Record(
            replace(analysis, overview=None) if start else analysis,
            {name: _tuple(value) for name, value in result["options"].items()},
            images,
            tuple(map(_explained, part["images"])),
            arrays,
            dict(part["facts"]),
            labels,
            preprocess,
            {name: result[name] for name in writer.PROVENANCE if name in result},
            tuple(map(str, part["warnings"])),
            float(part["seconds"]),
            range(start, stop),
            dict(part["skipped"]),
        )
    except DAMAGES as error:
        raise damaged(folder, _words(error)) from error


def _check(analysis: Analysis, images: Floats, arrays: Mapping[str, Array], facts: Mapping[str, Any], start: int) -> None:
    """Sees that what was found is of the images, as far as that can be told from what belongs to none of them.

    Raises:
        ValueError: It does not.
    """
    for name, array in {INPUT: images, **arrays}.items():
        if array.dtype.kind not in "biufc" or not np.isfinite(array).all():
            raise ValueError(f"'{name}' holds what are no finite numbers")
    if "images" not in analysis.inputs:
        return
    # Only the first part can have an overview, and only of an analysis that looks through a data set.
    alone = start > 0 or "dataset" not in analysis.inputs
    for name, array in arrays.items():
        expected = images.shape[:3] if name in analysis.maps else images.shape[:1] if alone else ()
        if array.shape[: len(expected)] != expected or (name in analysis.maps and array.ndim != 3):
            raise ValueError(f"'{name}' has the shape {array.shape}, which does not fit images of shape {images.shape}")
    for name, fact in facts.items():
        # The facts of an overview are never lists.
        if len(fact) != len(images) if isinstance(fact, list) else alone:
            raise ValueError(f"'{name}' has no entry for each of {len(images)} images")


def _preprocess(given: Mapping[str, Any]) -> Preprocess:
    unknown = set(given) - {field.name for field in fields(Preprocess)}
    if unknown:
        # Without it the images could be shown as what they are not.
        raise DamageError(f"'input' has '{min(unknown)}', which cnnexplain {__version__} does not know")
    preprocess = Preprocess(**{name: _tuple(value) for name, value in given.items()})
    with np.errstate(all="ignore"):
        if not np.isfinite([preprocess.low, preprocess.high]).all():
            raise DamageError("'input' has no finite range")
    return preprocess


def _explained(image: Mapping[str, Any]) -> Explained:
    return Explained(
        Source(image["source"], image["sha256"], image["inverted"], image["resized"]),
        image["prediction_index"],
        None if image["probability"] is None else float(image["probability"]),
        image["target_index"],
        image["target_probability"],
        image["objective"],
        None if image.get("value") is None else float(image["value"]),
        str(image.get("unit", "")),
    )


def _arrays(folder: Path, names: list[str]) -> dict[str, Array]:
    """The arrays of the part that has these files."""
    (name,) = (name for name in names if name.endswith(".npz"))
    try:
        return npz.read(folder / name)
    except DamageError as damage:
        raise damaged(folder, damage) from damage


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _words(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__

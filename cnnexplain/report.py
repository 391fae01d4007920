"""A record → a folder with one PNG per image, those of its overview, `arrays.npz` and `result.json`."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain import __version__, files
from cnnexplain.errors import OutputError

if TYPE_CHECKING:
    from cnnexplain.record import Record

ARRAYS, RESULT = "arrays.npz", "result.json"
FORMAT = "cnnexplain result 1"
"""What `result.json` says of itself, by which a folder is known to be ours."""

DPI = 130


def check_folder(folder: Path) -> list[str]:
    """The files of an earlier result in `folder`, which a new result may replace; none for a new or empty folder.

    Raises:
        OutputError: `folder` is a file, or holds files but no result that cnnexplain wrote.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"'{folder}' is a file; expected a folder to write to.")
        files.check_writable(folder)
        if not folder.exists() or not any(not path.name.startswith(files.PREFIX) for path in folder.iterdir()):
            return []
        earlier = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        names = [str(name) for name in earlier["files"]]
        ours = earlier["format"] == FORMAT
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        ours = False
    except OSError as error:
        raise OutputError(f"Can't use the folder '{folder}': {error.strerror}.") from error
    if not ours:
        raise OutputError(f"The folder '{folder}' holds files that cnnexplain did not write; choose another with --out.")
    # The list comes from a file that anyone may have changed: nothing outside the folder is ever replaced.
    return [name for name in names if Path(name).name == name and name not in ("", ".", "..")]


def write(record: Record, folder: Path, progress: Callable[[int, int], None] | None = None) -> list[Path]:
    """Writes a record; everything is drawn and written aside before the first file moves into its place.

    Files of an earlier result in the folder that the new one does not replace are removed, and no others.

    Args:
        record: What to write.
        folder: Where to; made when it is not there.
        progress: Called with how many pictures are drawn, and of how many.

    Returns:
        The paths of the pictures, then of `arrays.npz` and `result.json`.

    Raises:
        OutputError: The folder can't be written, or holds files that cnnexplain did not write.
    """
    earlier = check_folder(folder)
    with files.staging(folder) as staged:
        overview = record.overview()
        pictures = picture_names([explained.source.name for explained in record.explained], list(overview))
        names = [*pictures, ARRAYS, RESULT]
        taken = [name for name in names if name not in earlier and (folder / name).exists()]
        if taken:
            raise OutputError(
                f"'{folder / taken[0]}' exists and is not part of the earlier result; choose another with --out."
            )
        figures = itertools.chain(map(record.figure, range(len(record))), overview.values())
        for number, (figure, picture) in enumerate(zip(figures, pictures, strict=True), start=1):
            figure.savefig(staged / picture, dpi=DPI)
            if progress is not None:
                progress(number, len(pictures))
        arrays: dict[str, Any] = {**({"input": record.images} if len(record) else {}), **record.arrays}
        np.savez(staged / ARRAYS, **arrays)
        _write_json(staged / RESULT, _result(record, pictures))
        if not folder.exists():
            staged.rename(folder)
        else:
            # An interruption among the moves leaves a list of all that is ours, so that the next run can replace it.
            with files.replacing(folder / RESULT) as both:
                _write_json(both, {"format": FORMAT, "files": sorted({*earlier, *names})})
            for name in names:
                (staged / name).replace(folder / name)
            for name in set(earlier) - set(names):
                (folder / name).unlink(missing_ok=True)
    return [folder / name for name in names]


def picture_names(sources: list[str], titles: Sequence[str] = ()) -> list[str]:
    """A file name for each source and title, made safe, and numbered where two are alike; a source's without its folder."""
    names: list[str] = []
    taken: set[str] = set()
    stems = [source if re.match(r"\w+:\w+/", source) else Path(source).stem for source in sources]
    for words in (*stems, *titles):
        stem = re.sub(r"[^\w.-]+", "-", words).strip("-.")[:80] or "image"
        name, number = stem, 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        names.append(f"{name}.png")
    return names


def _write_json(path: Path, content: object) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    # A file name that is no Unicode becomes an escape that JSON knows.
    path.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def _result(record: Record, pictures: list[str]) -> dict[str, Any]:
    images = [
        {
            "source": explained.source.name,
            "sha256": explained.source.sha256,
            "inverted": explained.source.inverted,
            "resized": explained.source.resized,
            "prediction": record.labels[explained.prediction],
            "prediction_index": explained.prediction,
            "probability": explained.probability,
            "target": None if explained.target is None else record.labels[explained.target],
            "target_index": explained.target,
            "target_probability": explained.target_probability,
            "objective": explained.objective,
            "picture": picture,
        }
        for explained, picture in zip(record.explained, pictures[: len(record)], strict=True)
    ]
    return {
        "format": FORMAT,
        "cnnexplain": __version__,
        "analysis": record.analysis.name,
        "options": dict(record.options),
        "images": images,
        "overview": pictures[len(record) :],
        "facts": dict(record.facts),
        "note": record.analysis.note,
        "warnings": list(record.warnings),
        "input": asdict(record.preprocess),
        **record.provenance,
        "seconds": round(record.seconds, 4),
        "files": [*pictures, ARRAYS, RESULT],
    }

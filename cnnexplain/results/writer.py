"""Records → a folder with one picture per image, those of the overview, the arrays and `result.json`."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain import __version__, files, interruption
from cnnexplain.errors import OutputError, UsageError
from cnnexplain.rendering.pictures import Pictures
from cnnexplain.results import image_json, json_files, lock, npz, schema
from cnnexplain.results.json_kinds import DamageError
from cnnexplain.results.result_folder import (
    INDEX,
    check_folder,
    picture_names,
    refuse_foreign,
    replace_files,
)
from cnnexplain.results.schema import FORMAT, RESULT

if TYPE_CHECKING:
    from cnnexplain.results.record import Record

ARRAYS = "arrays.npz"

TOLD = 3
"""How many differences of a request are told, before the rest are counted."""


def write(record: Record, folder: Path, pictures: Pictures) -> list[Path]:
    """Writes a record; everything is drawn and written aside before the first file moves into its place.

    Files of an earlier result in the folder that the new one does not replace are removed, and no others.

    Returns:
        The paths of the pictures, then of `arrays.npz`, `index.html` and `result.json`.

    Raises:
        OutputError: The folder can't be written, holds files that cnnexplain did not write, or another run writes to it.
    """
    check_folder(folder)
    with lock.held(folder):
        writer = Writer(folder, [explained.source.name for explained in record.explained], pictures)
        return writer.add(replace(record, span=range(len(record))))


class Writer:
    """Writes the records of a run on many images into a folder, one after another; a kill leaves whole ones.

    Whoever writes holds the folder's lock (`locks.held`) meanwhile.

    A record of all the images gives `arrays.npz` and `result.json`. One of some gives `arrays-00001.npz` and
    `result-00001.json`, and `result.json` has what is common to all, and the list of all files.

    Args:
        folder: Where to; made when it is not there.
        sources: The names of all the images of the run.
        pictures: How pictures are written.
        request: JSON-able, what was asked for; an earlier result of the same can be continued.
        resume: Whether to go on where an earlier run ended. What it finished is kept.

    Raises:
        OutputError: The folder can't be written, or holds files that cnnexplain did not write.
        UsageError: The earlier result, which is to be continued, is of another request.
    """

    def __init__(
        self,
        folder: Path,
        sources: Sequence[str],
        pictures: Pictures,
        request: Mapping[str, Any] | None = None,
        *,
        resume: bool = False,
    ) -> None:
        self.folder = folder
        self.start = 0
        """The place of the first image that is still to be explained."""
        self.complete = False
        """Whether the earlier result needs nothing more."""
        self._sources = sources
        self._format = pictures
        self._pictures = picture_names(sources, suffix=pictures.format)
        self._request = None if request is None else json.loads(json_files.text(request))
        self._ours = set(check_folder(folder))
        self._result: dict[str, Any] = {}
        if resume and self._ours:
            self._continue()
        self._gone = self._ours - set(self._result.get("files", []))
        """Files of the earlier result that are removed when the first part is written."""
        refuse_foreign(folder, [*self._pictures, INDEX], self._ours)

    def add(self, record: Record, progress: Callable[[int, int], None] = lambda *_: None) -> list[Path]:
        """Writes a record, whose images follow those of the last.

        Args:
            record: Which.
            progress: Called with how many pictures are drawn, and of how many.

        Returns:
            The paths of what was written: the pictures, the arrays, then the page and what is JSON.

        Raises:
            OutputError: The folder can't be written, or a file in it is not ours.
            PluginError: The analysis can't draw it.
        """
        from cnnexplain.rendering import page, thumbnails

        lock.check(self.folder)
        with files.plain_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with files.staging(self.folder) as staged:
            overview = record.overview()
            taken = [self._pictures[place] for place in record.span if self._sources[place] not in record.skipped]
            pictures = [*taken, *picture_names([], list(overview), self._pictures, suffix=self._format.format)]
            whole = len(record.span) == len(self._sources)
            number = len(self._result.get("parts", [])) + 1
            arrays, part = (ARRAYS, RESULT) if whole else (f"arrays-{number:05}.npz", f"result-{number:05}.json")
            stem = "thumbnails" if whole else f"thumbnails-{number:05}"
            # The page of one image needs no small picture of it.
            small = thumbnails.write(record, staged, stem) if len(record) and len(self._sources) > 1 else None
            sheets = [] if small is None else small["files"]
            names = [*pictures, arrays, *sheets, *([] if whole else [part]), INDEX, RESULT]
            refuse_foreign(self.folder, names, self._ours)
            figures = itertools.chain(map(record.figure, range(len(record))), overview.values())
            total = len(self._sources) + len(overview)
            for drawn, (figure, picture) in enumerate(zip(figures, pictures, strict=True), start=record.span.start + 1):
                self._format.save(figure, staged / picture)
                progress(drawn, total)
            named: dict[str, Any] = {**({"input": record.images} if len(record) else {}), **record.arrays}
            np.savez(staged / arrays, **named)
            result = self._common(record, pictures[len(taken) :]) if not self._result else self._result
            if whole:
                result |= {**_found(record, taken), "thumbnails": small, "files": names}
            else:
                written = [*pictures, arrays, *sheets, part]
                found = {"format": FORMAT, **_found(record, taken), "thumbnails": small, "files": written}
                json_files.write(staged / part, found)
                result = {
                    **result,
                    "parts": [*result.get("parts", []), part],
                    "skipped": {**result.get("skipped", {}), **record.skipped},
                    "seconds": round(result.get("seconds", 0) + record.seconds, 4),
                    "files": list(dict.fromkeys([*result.get("files", []), INDEX, RESULT, *written])),
                }
            result["complete"] = record.span.stop == len(self._sources)
            parts = [result] if whole else itertools.chain(schema.read_parts(self.folder, self._result), [found])
            # As far as it is done, without those that could not be read.
            count = record.span.stop - len(result["skipped"])
            page.write_index(staged / INDEX, record.analysis, result, parts, count)
            json_files.write(staged / RESULT, result)
            # Ctrl-C that comes meanwhile leaves what is written and what is known of it alike.
            with interruption.held():
                replace_files(staged, self.folder, names, self._result, self._ours, self._gone - set(names))
                self._ours |= set(names)
                self._gone = set()
                self._result = result
                self.start = record.span.stop
        return [self.folder / name for name in names]

    def written(self, record: Record) -> bool:
        """Whether a record is written, as it is where Ctrl-C ended `add` after that."""
        return self.start >= record.span.stop > 0

    def _continue(self) -> None:
        """Sees what of the earlier result can be kept."""
        if schema.unfinished(json_files.read(self.folder / RESULT)):
            return
        try:
            earlier = schema.read_result(self.folder)
        except OutputError as error:
            raise OutputError(f"{error} Leave out --resume to replace it.") from error
        self._compare(earlier.get("request"))
        kept: dict[str, Any] = {"parts": [], "skipped": {}, "seconds": 0.0, "files": [*self._ours & {INDEX}, RESULT]}
        start = 0
        with contextlib.suppress(OutputError):
            for number, part in enumerate(schema.read_parts(self.folder, earlier), start=1):
                stop = part["span"][1]
                self.complete = (
                    earlier["complete"] and stop == len(self._sources) and all(map(self._whole, earlier["files"]))
                )
                # The last part is made again where what is written with it was lost.
                if "parts" not in earlier or stop >= len(self._sources) or not all(map(self._whole, part["files"])):
                    break
                kept["parts"].append(schema.part_name(number))
                kept["skipped"] |= part["skipped"]
                kept["seconds"] = round(kept["seconds"] + part["seconds"], 4)
                kept["files"] += part["files"]
                start = stop
        if start and not self.complete:
            self.start, self._result = start, {**earlier, **kept, "complete": False}

    def _whole(self, name: str) -> bool:
        """Whether a file of the earlier result is there, and its arrays can be read."""
        path = self.folder / name
        if name not in self._ours or not path.is_file():
            return False
        try:
            if path.suffix == ".npz":
                npz.check(path)
        except DamageError:
            return False
        return True

    def _compare(self, earlier: Any) -> None:
        if not isinstance(earlier, dict) or self._request is None:
            raise UsageError(f"The result in '{self.folder}' can't be continued: it does not record its request.")
        other = [name for name in self._request if earlier.get(name) != self._request[name]]
        if other:
            differences = [_difference(name, earlier.get(name), self._request[name]) for name in other]
            more = f"; and {len(differences) - TOLD} more" if len(differences) > TOLD else ""
            raise UsageError(
                f"The result in '{self.folder}' is of another request: {'; '.join(differences[:TOLD])}{more}. "
                "Leave out --resume to replace it, or choose another --out."
            )

    def _common(self, record: Record, overview: list[str]) -> dict[str, Any]:
        """What is the same for all the images, and what belongs to none of them."""
        return {
            "format": FORMAT,
            "cnnexplain": __version__,
            "analysis": record.analysis.name,
            "options": dict(record.options),
            "overview": overview,
            "note": record.analysis.note,
            "input": asdict(record.preprocess),
            "labels": list(record.labels),
            **record.provenance,
            **({} if self._request is None else {"request": self._request}),
        }


def _difference(name: str, was: Any, now: Any) -> str:
    """In words how one value of a request differs from another, of objects by the keys that do."""
    if isinstance(was, dict) and isinstance(now, dict):
        other = [key for key in {**was, **now} if was.get(key) != now.get(key)]
        return "; ".join(_difference(f"{name}.{key}", was.get(key), now.get(key)) for key in other)
    return f"{name} was {_short(was)}, now {_short(now)}"


def _short(value: Any) -> str:
    text = json_files.text(value, indent=None)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _found(record: Record, pictures: list[str]) -> dict[str, Any]:
    """What a record tells of its own images."""
    images = [
        {**image_json.write(explained, record.labels, record.finding(index)), "picture": picture}
        for index, (explained, picture) in enumerate(zip(record.explained, pictures, strict=True))
    ]
    return {
        "span": [record.span.start, record.span.stop],
        "images": images,
        "facts": dict(record.facts),
        "warnings": list(record.warnings),
        "skipped": dict(record.skipped),
        "seconds": round(record.seconds, 4),
    }

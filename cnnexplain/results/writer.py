"""Writes records into a folder: pictures, arrays, `index.html` and `result.json`."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain import __version__, files, interruption
from cnnexplain.matplotlib_settings import drawing
from cnnexplain.rendering.pictures import Pictures
from cnnexplain.results import image_json, json_files, lock, result_files, verification_json
from cnnexplain.results.control import all_arrays
from cnnexplain.results.file_names import ARRAYS, INDEX, RESULT, part_name, picture_names
from cnnexplain.results.notes import control_note
from cnnexplain.results.result_folder import check_folder, refuse_foreign, replace_files
from cnnexplain.results.resume import Kept
from cnnexplain.results.resume import resume as resumed
from cnnexplain.results.schema import FORMAT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cnnexplain.plugin.analysis import Analysis
    from cnnexplain.results.picture_workers import PictureWorkers
    from cnnexplain.results.record import Record

FEW = 8
"""Up to this number of pictures is drawn by this process: starting another one takes as long as drawing about 15."""


def write(record: Record, folder: Path, pictures: Pictures) -> list[Path]:
    """Writes a record. All files are drawn and written to a staging folder before the first one is moved to its place.

    Files of an earlier result in the folder that the new one does not replace are removed, and no others.

    Args:
        record: The record.
        folder: Created if it does not exist.
        pictures: Format and resolution of the pictures.

    Returns:
        The paths of the pictures, then of `arrays.npz`, the thumbnails, `index.html` and `result.json`.

    Raises:
        OutputError: The folder can't be written, contains files that cnnexplain did not write, or another run writes to it.
    """
    check_folder(folder)
    with lock.held(folder):
        writer = Writer(folder, [explained.source.name for explained in record.explained], pictures)
        return writer.add(replace(record, span=range(len(record))))


class Writer:
    """Writes the records of a run on many images into a folder, one after another.

    If the process is killed, the records written before are complete. The caller must hold the lock of the folder
    (`lock.held`).

    A record of all images gives `arrays.npz` and `result.json`. A record of some of them gives `arrays-00001.npz` and
    `result-00001.json`, while `result.json` has what all images have in common and the list of all files.

    Args:
        folder: Created if it does not exist.
        sources: The names of all images of the run.
        pictures: Format and resolution of the pictures.
        request: The request, JSON-able; an earlier result of the same request can be continued.
        resume: Whether to continue the earlier result in the folder.
        workers: Draw the pictures after their results are written, if there are many. Without workers, a result and its
            pictures appear together.

    Attributes:
        folder: The folder.
        start: Index of the first image that is still to be explained.
        complete: Whether the earlier result is complete.
        missing: The number of pictures of the earlier result that the workers draw, because they are listed but missing.

    Raises:
        OutputError: The folder can't be written, or contains files that cnnexplain did not write.
        UsageError: The earlier result to be continued belongs to another request.
    """

    def __init__(
        self,
        folder: Path,
        sources: Sequence[str],
        pictures: Pictures,
        request: Mapping[str, Any] | None = None,
        *,
        resume: bool = False,
        workers: PictureWorkers | None = None,
    ) -> None:
        self.folder = folder
        self._sources = sources
        self._format = pictures
        self._names = picture_names(sources, suffix=pictures.format)[: pictures.count(len(sources))]
        self._workers = workers if len(self._names) > FEW else None
        self._request = None if request is None else json.loads(json_files.dumps(request))
        self._ours = set(check_folder(folder))
        kept = resumed(folder, self._request, self._ours, len(sources)) if resume and self._ours else Kept()
        self.start = kept.start
        self.complete = kept.complete
        # The earlier request may lack the verification.
        self._result = {**kept.result, "request": self._request} if kept.result else {}
        # Files of the earlier result that are removed when the first part is written.
        self._gone = self._ours - set(self._result.get("files", []))
        refuse_foreign(folder, [*self._names, INDEX], self._ours)
        self.missing = 0
        if workers is not None:
            drawn = set(self._names)
            for missing in kept.missing:
                images = [(index, name) for index, name in missing.images if name in drawn]
                overview = [] if pictures.most == 0 else missing.overview
                self.missing += len(images) + len(overview)
                if images or overview:
                    workers.submit(folder, missing.part, self._result, images, overview, pictures)

    def add(self, record: Record, progress: Callable[[int, int], None] = lambda *_: None) -> list[Path]:
        """Writes a record, whose images follow those of the previous one.

        Args:
            record: The record.
            progress: Called with the number of pictures drawn, and the number of all.

        Returns:
            The paths of the pictures, the arrays, the thumbnails, then of the JSON files and the index page.

        Raises:
            OutputError: The folder can't be written, or a file in it is not part of the result.
            PluginError: The analysis can't draw the record.
        """
        from cnnexplain.results import index_files

        lock.check(self.folder)
        with files.plain_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with files.staging(self.folder) as staged:
            overview = {} if self._format.most == 0 else record.overview()
            image_pictures = self.names_of(record)
            drawn = [name for name in image_pictures if name is not None]
            overview_names = picture_names([], list(overview), self._names, suffix=self._format.format)
            pictures = [*drawn, *overview_names]
            whole = len(record.span) == len(self._sources)
            number = len(self._result.get("parts", [])) + 1
            arrays, part = (ARRAYS, RESULT) if whole else (f"arrays-{number:05}.npz", part_name(number))
            # The page of a single image needs no thumbnail.
            thumbnails = None
            if len(record) and len(self._sources) > 1:
                thumbnails = index_files.write_thumbnails(
                    record, staged, "thumbnails" if whole else f"thumbnails-{number:05}"
                )
            sheets = [] if thumbnails is None else thumbnails["files"]
            names = [*pictures, arrays, *sheets, *([] if whole else [part]), INDEX, RESULT]
            refuse_foreign(self.folder, names, self._ours)
            if self._workers is None:
                self._draw(record, overview, pictures, staged, progress)
            named: dict[str, Any] = {**({"input": record.images} if len(record) else {}), **all_arrays(record)}
            np.savez(staged / arrays, **named)
            content = {**_content(record, image_pictures), "thumbnails": thumbnails}
            common = self._result or self._common(record, overview_names)
            if whole:
                result = {**common, **content, "files": names}
            else:
                content = {"format": FORMAT, **content, "files": [*pictures, arrays, *sheets, part]}
                json_files.write(staged / part, content)
                result = _grown(common, part, content)
            result["complete"] = record.span.stop == len(self._sources)

            def parts() -> Iterable[Mapping[str, Any]]:
                earlier = [] if whole else result_files.read_parts(self.folder, self._result)
                return itertools.chain(earlier, [result if whole else content])

            verification = None if record.verification is None else verification_json.of_parts(result, parts())
            # The images explained so far, without those that could not be read.
            count = record.span.stop - len(result["skipped"])
            index_files.write_index(staged / INDEX, record.analysis, result, parts(), count, verification)
            json_files.write(staged / RESULT, result)
            # An earlier picture must not pass for one of these results until the new one replaces it.
            later = set() if self._workers is None else set(pictures)
            now = [name for name in names if name not in later]
            # Ctrl-C is delayed, so that the files and the attributes below stay consistent.
            with interruption.held():
                replace_files(staged, self.folder, now, self._result, self._ours, self._gone - set(now) | later & self._ours)
                self._ours |= set(names)
                self._gone = set()
                self._result = result
                self.start = record.span.stop
        if self._workers is not None:
            images = [(index, name) for index, name in enumerate(image_pictures) if name is not None]
            self._workers.submit(self.folder, RESULT if whole else part, result, images, overview_names, self._format)
        return [self.folder / name for name in names]

    def unverified(self, analysis: Analysis) -> Iterator[dict[str, Any]]:
        """The parts of the earlier result that are kept and not verified; see `verified_files.unverified`."""
        from cnnexplain.results import verified_files

        return verified_files.unverified(self.folder, analysis, self._result)

    def verify(self, record: Record) -> None:
        """Adds the verification of a record that is already written; see `verified_files.add`."""
        from cnnexplain.results import verified_files

        self._result = verified_files.add(self.folder, record, self._result)

    def written(self, record: Record) -> bool:
        """Whether a record has been written; this may be the case even if Ctrl-C ended `add`."""
        return self.start >= record.span.stop > 0

    def names_of(self, record: Record) -> list[str | None]:
        """The name of the picture of each image of a record; None for an image that gets none."""
        readable = [index for index in record.span if self._sources[index] not in record.skipped]
        return [self._names[index] if index < len(self._names) else None for index in readable]

    def _draw(
        self,
        record: Record,
        overview: Mapping[str, Figure],
        pictures: Sequence[str],
        staged: Path,
        progress: Callable[[int, int], None],
    ) -> None:
        images = (index for index, name in enumerate(self.names_of(record)) if name is not None)
        figures = itertools.chain(map(record.figure, images), overview.values())
        total = len(self._names) + len(overview)
        with drawing():
            for count, (figure, picture) in enumerate(zip(figures, pictures, strict=True), start=record.span.start + 1):
                self._format.save(figure, staged / picture)
                progress(count, total)

    def _common(self, record: Record, overview: list[str]) -> dict[str, Any]:
        """The keys that apply to all images."""
        return {
            "format": FORMAT,
            "cnnexplain": __version__,
            "analysis": record.analysis.name,
            "options": dict(record.options),
            "overview": overview,
            "limitations": record.analysis.limitations,
            "input": asdict(record.preprocess),
            "labels": list(record.labels),
            **record.provenance,
            **({} if self._request is None else {"request": self._request}),
        }


def _content(record: Record, pictures: list[str | None]) -> dict[str, Any]:
    """The keys that are specific to the images of a record."""
    images = [
        {
            **image_json.write(explained, record.labels, record.finding(index)),
            **({} if (note := control_note(record, index)) is None else {"control_note": note}),
            "picture": picture,
        }
        for index, (explained, picture) in enumerate(zip(record.explained, pictures, strict=True))
    ]
    return {
        "span": [record.span.start, record.span.stop],
        "images": images,
        "facts": dict(record.facts),
        **({} if record.control is None else {"control": {"facts": dict(record.control.facts)}}),
        "warnings": list(record.warnings),
        "skipped": dict(record.skipped),
        "seconds": round(record.seconds, 4),
        **({} if record.verification is None else {"verification": verification_json.write(record.verification)}),
    }


def _grown(result: Mapping[str, Any], part: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of `result.json` with one more part.

    Args:
        result: The content before.
        part: The name of the file of the part.
        content: The content of that file.
    """
    return {
        **result,
        "parts": [*result.get("parts", []), part],
        "skipped": {**result.get("skipped", {}), **content["skipped"]},
        "seconds": round(result.get("seconds", 0) + content["seconds"], 4),
        "files": list(dict.fromkeys([*result.get("files", []), INDEX, RESULT, *content["files"]])),
    }

"""Records → a folder with one picture per image, those of the overview, the arrays and `result.json`."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain import __version__, files, interruption
from cnnexplain.errors import OutputError, UsageError, line
from cnnexplain.rendering.pictures import Pictures
from cnnexplain.results import image_json, lock, npz, schema
from cnnexplain.results.schema import FORMAT, RESULT

if TYPE_CHECKING:
    from cnnexplain.results.record import Record

ARRAYS, INDEX = "arrays.npz", "index.html"

PROVENANCE = ("dataset", "model", "plugin", "keras")
"""What `Record.provenance` may tell."""

EARLIER, UNFINISHED = "earlier", "unfinished.json"
"""Beside the files that are to be moved: a folder for those of the earlier result, and what `result.json` says meanwhile."""

NAMED, TOLD = 10, 3
"""How many files that are in the way are named, and differences of a request told, before the rest are counted."""


def check_folder(folder: Path) -> list[str]:
    """The files of an earlier result in `folder`, which a new result may replace; none for a new or empty folder.

    Files that `result.json` doesn't list count too where the file of a part lists them: two runs at once, which earlier
    versions did not keep apart, have left such files.

    Raises:
        OutputError: `folder` is a file, or holds files but no result that cnnexplain wrote.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"'{folder}' is a file; expected a folder to write to.")
        files.check_writable(folder)
        if not folder.exists() or not any(not path.name.startswith(files.PREFIX) for path in folder.iterdir()):
            return []
        listed = schema.named(schema.read(folder / RESULT))
        for part in sorted(path for path in folder.glob("result-*.json") if path.name not in listed):
            with contextlib.suppress(schema.DamageError):
                listed += [part.name, *schema.named(schema.read(part))]
        here = set(os.listdir(folder))
        # The lists may have been changed by anyone: what is no file is not replaced.
        return [name for name in dict.fromkeys([RESULT, *listed]) if name not in here or _is_file(folder / name)]
    except schema.DamageError as damage:
        whose = f", or whose {RESULT} is damaged ({line(damage)})" if os.path.lexists(folder / RESULT) else ""
        raise OutputError(
            f"The folder '{folder}' holds files that cnnexplain did not write{whose}; choose another with --out"
            f"{', or empty the folder' if whose else ''}."
        ) from damage
    except OSError as error:
        raise OutputError(f"Can't use the folder '{folder}': {error.strerror}.") from error


def _is_file(path: Path) -> bool:
    """Whether it is a file, or a link that leads to one or nowhere."""
    return path.is_file() or (path.is_symlink() and not path.exists())


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
        self._request = None if request is None else json.loads(_json(request))
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
                write_json(staged / part, found)
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
            write_json(staged / RESULT, result)
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
        if schema.unfinished(schema.read(self.folder / RESULT)):
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
        except schema.DamageError:
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


def refuse_foreign(folder: Path, names: Iterable[str], ours: Collection[str]) -> None:
    """Sees that nothing of these names stands in the folder but files that are ours.

    Raises:
        OutputError: Something does.
    """
    foreign = [name for name in names if name not in ours and os.path.lexists(folder / name)]
    if not foreign:
        return
    also = f", and neither are {schema.listed(foreign[1:], NAMED)}" if len(foreign) > 1 else ""
    raise OutputError(
        f"'{folder / foreign[0]}' exists and is not part of the earlier result{also}; choose another with --out, "
        f"or delete {'them' if also else 'it'}."
    )


def replace_files(
    staged: Path, folder: Path, names: Sequence[str], result: Mapping[str, Any], ours: Collection[str], gone: Iterable[str]
) -> None:
    """Moves files into a folder, so that a kill at any moment leaves one whose result can be replaced.

    Ctrl-C waits until they are moved; where one can't be moved, those before it are put back.

    Args:
        staged: Where the files lie.
        folder: Where they go.
        names: Their names, `result.json` last.
        result: What `result.json` says until then.
        ours: The names of the files of the earlier result.
        gone: Those of them to remove.

    Raises:
        OutputError: A file in the folder is not ours, or the folder was removed meanwhile.
    """
    lock.check(folder)
    refuse_foreign(folder, names, ours)
    earlier = staged / EARLIER
    earlier.mkdir()
    moved: list[tuple[Path, Path]] = []

    def move(source: Path, target: Path) -> None:
        source.replace(target)
        moved.append((source, target))

    with interruption.held():
        try:
            if (folder / RESULT).exists():
                shutil.copyfile(folder / RESULT, earlier / RESULT)
            write_json(staged / UNFINISHED, {"format": FORMAT, **result, "files": sorted({*ours, *names})})
            (staged / UNFINISHED).replace(folder / RESULT)
            for name in [*names[:-1], *gone]:
                if os.path.lexists(folder / name):
                    move(folder / name, earlier / name)
            for name in names[:-1]:
                move(staged / name, folder / name)
            (staged / RESULT).replace(folder / RESULT)
        except OSError:
            with contextlib.suppress(OSError):
                for source, target in reversed(moved):
                    target.replace(source)
                if (earlier / RESULT).exists():
                    (earlier / RESULT).replace(folder / RESULT)
                else:
                    (folder / RESULT).unlink(missing_ok=True)
            raise


def _difference(name: str, was: Any, now: Any) -> str:
    """In words how one value of a request differs from another, of objects by the keys that do."""
    if isinstance(was, dict) and isinstance(now, dict):
        other = [key for key in {**was, **now} if was.get(key) != now.get(key)]
        return "; ".join(_difference(f"{name}.{key}", was.get(key), now.get(key)) for key in other)
    return f"{name} was {_short(was)}, now {_short(now)}"


def _short(value: Any) -> str:
    text = _json(value, indent=None)
    return text if len(text) <= 80 else f"{text[:80]}…"


def picture_names(
    sources: Sequence[str], titles: Sequence[str] = (), taken: Iterable[str] = (), *, suffix: str
) -> list[str]:
    """A file name for each source and title, made safe, and numbered where two are alike; a source's without its folder.

    Args:
        sources: The names of images.
        titles: The names of what belongs to no image.
        taken: File names that are in use.
        suffix: What they end in, without the dot.
    """
    names: list[str] = []
    used = {name.casefold() for name in taken}
    numbers: dict[str, int] = {}
    stems = [source if re.match(r"\w+:\w+/", source) else Path(source).stem for source in sources]
    for words in (*stems, *titles):
        stem = re.sub(r"[^\w.-]+", "-", words).strip("-.")[:80] or "image"
        # A file name has up to 255 bytes, and a letter up to four.
        stem = stem.encode()[:200].decode(errors="ignore")
        name, number = f"{stem}.{suffix}", numbers.get(stem.casefold(), 1)
        while name.casefold() in used:
            number += 1
            name = f"{stem}-{number}.{suffix}"
        # So that a thousand images of one name are not counted through a thousand times.
        numbers[stem.casefold()] = number
        used.add(name.casefold())
        names.append(name)
    return names


def _json(content: object, indent: int | None = 2) -> str:
    return json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)


def write_json(path: Path, content: object) -> None:
    """Writes JSON as in all our files."""
    # A file name that is no Unicode becomes an escape that JSON knows.
    path.write_text(_json(content) + "\n", encoding="utf-8", errors="backslashreplace")


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

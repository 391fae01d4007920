"""Draws the pictures of a part of a result from its files; `serve` does so in a process of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnexplain import errors, files, matplotlib_settings
from cnnexplain.errors import CnnExplainError, OutputError, reason
from cnnexplain.rendering.pictures import Pictures
from cnnexplain.results import schema
from cnnexplain.results.file_names import RESULT

if TYPE_CHECKING:
    from cnnexplain.results.record import Record

COMMON = ("analysis", "options", "input", "labels", *schema.PROVENANCE)
"""The keys of `result.json` that a record needs, in addition to those of its part."""

READY = "ready"
"""The first answer of a process."""

NICE = 10
"""By how much the priority of a process is lower, so that the results come first."""


@dataclass(frozen=True)
class PictureTask:
    """Pictures of one part of a result.

    Args:
        folder: The folder of the result.
        part: The JSON file of the part.
        common: The values of `COMMON`, since `result.json` may be replaced while the pictures are drawn.
        images: The index of each image within the part, and the name of its picture.
        overview: The names of the pictures that belong to no single image; empty to draw none.
        format: The format of the pictures.
        dpi: Their resolution.
        style: The `draw.Style` as JSON; None for the default.
        into: The folder to write them to.
        moved: Whether the one who gave the task moves them into the folder of the result.
    """

    folder: str
    part: str
    common: Mapping[str, Any]
    images: Sequence[tuple[int, str]]
    overview: Sequence[str]
    format: str
    dpi: int
    style: Mapping[str, Any] | None
    into: str
    moved: bool

    @property
    def names(self) -> list[str]:
        """The names of all pictures."""
        return [*(name for _, name in self.images), *self.overview]


def draw(task: PictureTask) -> Iterator[str]:
    """Draws the pictures of a task one after another, and yields the name of each.

    Raises:
        UsageError: The analysis is not installed.
        OutputError: The result is damaged, or a picture can't be written.
        PluginError: A picture can't be drawn.
    """
    from cnnexplain.draw import DEFAULT_STYLE, Palette, Style, use_style

    record = _record(task.folder, task.part, json.dumps(task.common))
    pictures, into = Pictures(task.format, task.dpi), Path(task.into)
    style = DEFAULT_STYLE if task.style is None else Style(**{**task.style, "palette": Palette(**task.style["palette"])})
    with files.plain_errors(Path(task.folder)), use_style(style):
        for index, name in task.images:
            pictures.save(record.figure(index), into / name)
            yield name
        overview = record.overview() if task.overview else {}
        for figure, name in zip(overview.values(), task.overview, strict=True):
            pictures.save(figure, into / name)
            yield name


@lru_cache(maxsize=1)
def _record(folder: str, part: str, common: str) -> Record:
    """The record of a part; several tasks draw its pictures."""
    from cnnexplain.results import reader, result_files
    from cnnexplain.results.record import Record

    path, result = Path(folder), json.loads(common)
    analysis = reader.analysis_of(path, result)
    content = result_files.read_result(path) if part == RESULT else result_files.read_part(path, part, result)
    return Record(**reader.read_part(path, analysis, result, content))


def forget() -> None:
    """Releases the record of the last task, whose folder may get another result."""
    _record.cache_clear()


def to_line(task: PictureTask) -> str:
    """A task as a line for `serve`."""
    return json.dumps(asdict(task)) + "\n"


def from_answer(answer: Any) -> str | None:
    """The name of a picture that a process has drawn, from its answer; None after the last one of a task.

    Raises:
        CnnExplainError: It can't be drawn.
    """
    if isinstance(answer, dict):
        raise getattr(errors, answer["error"], CnnExplainError)(answer["message"])
    return answer if answer is None else str(answer)


def serve() -> None:
    """Draws the tasks of standard input, a line of JSON each, and answers with a line for each picture.

    The answers are `READY`, then for each task the names of its pictures as they are drawn, and null or an error at its end.
    """
    # Anything that a plugin prints would be taken for an answer.
    with open(os.dup(1), "w", encoding="utf-8") as answers, open(os.devnull, "w") as null_device:
        os.dup2(null_device.fileno(), 1)
        if hasattr(os, "nice"):
            os.nice(NICE)
        matplotlib_settings.prepare()

        def answer(content: Any) -> None:
            answers.write(json.dumps(content) + "\n")
            answers.flush()

        answer(READY)
        with matplotlib_settings.drawing():
            for line in sys.stdin:
                try:
                    for name in draw(PictureTask(**json.loads(line))):
                        answer(name)
                    answer(None)
                except CnnExplainError as error:
                    answer({"error": type(error).__name__, "message": str(error)})
                # A bug, which must not end the process without an answer.
                except Exception as error:  # noqa: BLE001
                    answer({"error": OutputError.__name__, "message": f"A picture can't be drawn: {reason(error)}"})

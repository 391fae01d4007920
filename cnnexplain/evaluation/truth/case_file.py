"""The folder of `cnnexplain benchmark --truth`: the scores of each case as they are known, all numbers, and a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cnnexplain.evaluation import request_file, saving, score_file
from cnnexplain.evaluation.methods import Method
from cnnexplain.evaluation.scoreboard import Scoreboard
from cnnexplain.evaluation.truth.case import Summary
from cnnexplain.evaluation.truth.leaderboard import METRICS, TruthBoard
from cnnexplain.plugin import registry

FORMAT = "cnnexplain benchmark --truth 1"
"""The format in the first line of the file."""


def request(methods: Sequence[Method], cases: Sequence[str], images: int, seed: int) -> dict[str, Any]:
    """Everything that determines the scores, JSON-able."""
    return {
        "methods": saving.described(methods),
        "cases": list(cases),
        "images": images,
        "seed": seed,
        "metrics": {name: str(registry.load().metrics.pick(name)[1]) for name in METRICS},
        **saving.software(),
    }


def check(folder: Path) -> None:
    """Checks that the files may be written to a folder.

    Raises:
        OutputError: The folder can't be written, or contains other files with these names.
    """
    saving.check_files(folder, FORMAT)


def kept(path: Path, request: Mapping[str, Any]) -> Iterator[tuple[str, Summary, Scoreboard]]:
    """The name, the summary and the scores of each case in the file; none if there is no file.

    Raises:
        OutputError: The file is not one of these, or is damaged.
        UsageError: It belongs to another request.
    """
    for number, text in request_file.results(path, FORMAT, request):
        try:
            found = _case(json.loads(text), request)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise request_file.damaged(path, number) from None
        yield found


def content(name: str, summary: Summary, board: Scoreboard) -> dict[str, Any]:
    """The scores in a case, JSON-able."""
    return {
        "name": name,
        "summary": asdict(summary),
        "model": dict(board.model),
        "methods": dict(board.methods),
        "options": {method: dict(options) for method, options in board.options.items()},
        "labels": list(board.labels),
        "outcomes": [score_file.content(each) for each in board.outcomes],
    }


def write(board: TruthBoard, folder: Path) -> None:
    """Writes all numbers and the page."""
    from cnnexplain.rendering import truth_page

    document = board.document()
    saving.write(document, truth_page.render(document, board.boards), folder)


def _case(content: Mapping[str, Any], request: Mapping[str, Any]) -> tuple[str, Summary, Scoreboard]:
    """The scores in a case from JSON; any error if they are not those of a request."""
    if content["name"] not in request["cases"]:
        raise ValueError(content["name"])
    metrics = {name: registry.load().metrics.pick(name)[0] for name in METRICS}
    board = Scoreboard(
        model=content["model"],
        methods=content["methods"],
        options=content["options"],
        metrics=metrics,
        labels=tuple(content["labels"]),
        seed=request["seed"],
    )
    scores = {name: {"scores": list(metric.scores)} for name, metric in metrics.items()}
    for each in content["outcomes"]:
        board.add(score_file.outcome(each, {"methods": board.methods, "metrics": scores}))
    if len(board) != request["images"]:
        raise ValueError(len(board))
    return content["name"], Summary(**content["summary"]), board

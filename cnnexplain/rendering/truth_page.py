"""The page of `benchmark --truth`: a leaderboard over all networks, and each network with its images, masks and maps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cnnexplain.rendering import templates
from cnnexplain.rendering.score_text import number

if TYPE_CHECKING:
    from cnnexplain.evaluation.scoreboard import Scoreboard

STEPS = 10
"""The number of shades of the cells of a table."""


def render(document: Mapping[str, Any], boards: Mapping[str, Scoreboard]) -> str:
    """The page as HTML.

    Args:
        document: All numbers, as `TruthBoard.document` returns them.
        boards: The scores in each case, with the pictures of some images.
    """
    first, *_ = document["metrics"]
    methods = [each["name"] for each in first["methods"]]
    groups = {"by weights": first["methods_by_weights"], "trained": first["methods_trained"]}
    columns = {metric["name"]: metric["methods"] for metric in document["metrics"]}
    if all(groups.values()):
        columns |= {f"{first['name']}, {name}": group for name, group in groups.items()}
    return templates.get("truth.html").render(
        title="Explanation methods on networks whose relevant pixels are known",
        document=document,
        columns=columns,
        rows=_rows(methods, columns.values()),
        methods=methods,
        kinds={method["name"]: method["kind"] for method in document["methods"]},
        cases=[_case(case, boards[case["name"]], methods, first["name"]) for case in document["cases"]],
        first=first["name"],
        value=number,
        shade=_shade,
        policy=templates.policy("data:", script="index.js"),
    )


def _case(case: Mapping[str, Any], board: Scoreboard, methods: list[str], metric: str) -> dict[str, Any]:
    """A case with the standings of each method in all metrics, and its drawn images."""
    places = {name: place for place, name in enumerate(board.methods)}
    scores = board.scores(metric)
    images = [
        {
            "name": outcome.name,
            "target": board.labels[outcome.target],
            "picture": outcome.pictures[0],
            "mask": outcome.mask,
            "maps": [
                {"method": name, "picture": outcome.pictures[1 + places[name]], "score": scores[row, places[name]]}
                for name in methods
            ],
        }
        for row, outcome in enumerate(board.outcomes)
        if outcome.pictures
    ]
    first = {each["name"]: each for each in case["metrics"][metric]}
    ordered = [each["name"] for each in case["metrics"][metric]]
    return {
        **case,
        "means": [first[name]["mean"] for name in methods],
        "rows": _rows(ordered, case["metrics"].values()),
        "drawn": images,
    }


def _rows(methods: list[str], columns: Iterable[list[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The methods in this order, each with its standing in every column."""
    standings = [{each["name"]: each for each in column} for column in columns]
    return [{"method": name, "standings": [each[name] for each in standings]} for name in methods]


def _shade(value: float | None) -> str:
    """The class of a cell with a score from 0 to 1."""
    return "" if value is None else f"shade-{round(STEPS * value)}"

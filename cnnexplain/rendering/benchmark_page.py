"""The page of a benchmark: a leaderboard for each metric, and the maps and scores of single images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cnnexplain.rendering import templates
from cnnexplain.rendering.score_text import number

ARROWS = {"higher": "↑", "lower": "↓", "neither": ""}


def render(document: Mapping[str, Any], pictures: Sequence[Sequence[str]], masks: Sequence[str]) -> str:
    """The page as HTML.

    Args:
        document: All numbers, as `Scoreboard.document` returns them.
        pictures: For each image, the image and the map of each method as PNG in Base64; empty if they were not drawn.
        masks: For each image, its mask as PNG in Base64; "" for none.
    """
    methods = [method["name"] for method in document["methods"]]
    metrics = [metric for metric in document["metrics"] if metric["scores"]]
    images = [
        {
            **image,
            "pictures": drawn,
            "mask": mask,
            "rows": [
                {"method": method, "scores": [metric["scores"][0]["values"][place][column] for metric in metrics]}
                for column, method in enumerate(methods)
            ],
        }
        for place, (image, drawn, mask) in enumerate(zip(document["images"], pictures, masks, strict=True))
        if drawn
    ]
    return templates.get("benchmark.html").render(
        title=f"Explanation methods of {document['model']['name']}, compared",
        document=document,
        kinds={method["name"]: method["kind"] for method in document["methods"]},
        metrics=[{**metric, "rows": _rows(metric)} for metric in metrics],
        images=images,
        arrows=ARROWS,
        value=number,
        policy=templates.policy("data:", script="index.js"),
    )


def _rows(metric: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The methods in the order of the first score, each with its standing in every score."""
    standings = [{each["name"]: each for each in score["methods"]} for score in metric["scores"]]
    return [{"method": method, "standings": [each[method] for each in standings]} for method in standings[0]]

"""The index page of a result: a contact sheet of its pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cnnexplain.rendering import templates, thumbnails
from cnnexplain.rendering.method_entries import option_rows

if TYPE_CHECKING:
    from cnnexplain.plugin.analysis import Analysis
    from cnnexplain.results.verification import Verification

FEW = 6
"""Up to this number of images, the page also shows the full pictures."""


def render(
    analysis: Analysis,
    result: Mapping[str, Any],
    parts: Iterable[Mapping[str, Any]],
    count: int,
    verification: Verification | None = None,
) -> Iterator[str]:
    """The page in pieces.

    Args:
        analysis: The analysis.
        result: The content of `result.json`.
        parts: The contents of the files of the parts; only one is in memory at a time.
        count: The number of images of all parts.
        verification: The verification of all parts; None if they were not verified.
    """
    few = count <= FEW
    return templates.get("index.html").stream(
        title=f"{analysis.name} of {result['model']['name']}",
        analysis=analysis,
        options=option_rows(analysis, result["options"]),
        result=result,
        parts_of_result=list(_once(parts)) if few else _once(parts),
        count=count,
        verification=verification,
        few=few,
        each=thumbnails.EACH,
        policy=templates.policy("'self' file:", script="index.js"),
    )


def _sentences(image: Mapping[str, Any]) -> str:
    """The finding of an image, and what its control shows."""
    return " ".join(filter(None, (image.get("finding"), image.get("control_note"))))


def _once(parts: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The parts, with each warning only at its first occurrence."""
    seen: set[str] = set()
    for part in parts:
        warnings = [warning for warning in part["warnings"] if warning not in seen]
        seen |= set(warnings)
        # Results of earlier versions have neither thumbnails nor findings.
        images = [{"value": None, "unit": "", **image, "finding": _sentences(image)} for image in part["images"]]
        sheets = part.get("thumbnails")
        enough = sheets is not None and thumbnails.EACH * len(sheets["files"]) >= len(images)
        yield {**part, "thumbnails": sheets if enough else None, "warnings": warnings, "images": images}

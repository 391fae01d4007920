"""Counts what was explained and written, for the summary and the JSON document of `run` and `report`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cnnexplain.errors import CnnExplainError
from cnnexplain.rendering.pictures import FORMATS
from cnnexplain.results.control import CORRELATION
from cnnexplain.results.notes import control_note

if TYPE_CHECKING:
    from cnnexplain.cli.inputs import Inputs
    from cnnexplain.plugin.analysis import Analysis
    from cnnexplain.results.explained import Explained
    from cnnexplain.results.record import Record
    from cnnexplain.results.verification import Verification

SHOWN = 20
"""Images that the summary lists by name before it counts the rest."""


@dataclass
class Names:
    """The first `most` of many names, and the number of all."""

    most: int
    first: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, names: Iterable[str]) -> None:
        """Counts the names and keeps the first ones."""
        for name in names:
            self.count += 1
            if len(self.first) < self.most:
                self.first.append(name)

    def __str__(self) -> str:
        return ", ".join(self.first[:SHOWN]) + (f" and {self.count - SHOWN} more" if self.count > SHOWN else "")


@dataclass
class Outcome:
    """What one analysis has explained and written, for any number of images."""

    folder: Path
    most: int
    """Number of images that are stored by name."""
    kept: int = 0
    """Number of images that an earlier run has finished."""
    drawn: int = 0
    """Number of pictures drawn of results that an earlier run has finished."""
    images: int = 0
    first: list[Explained] = field(default_factory=list)
    findings: list[str | None] = field(default_factory=list)
    """The findings for the images in `first`."""
    controls: list[str | None] = field(default_factory=list)
    """What the control shows, for the images in `first`."""
    correlations: list[float | None] = field(default_factory=list)
    """The rank correlation with the control, for the images in `first`."""
    targeted: bool = False
    """Whether a class other than the prediction was explained for any image."""
    inverted: Names = field(init=False)
    resized: Names = field(init=False)
    skipped: Names = field(init=False)
    pictures: Names = field(init=False)
    parts: int = 0
    files: list[Path] = field(default_factory=list)
    """Files that are not pictures."""
    warnings: dict[str, None] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    seconds: float = 0.0
    verifying: bool = False
    """Whether results are written that --verify has not verified yet."""
    verification: Verification | None = None
    """The checks of all images, with --verify."""

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return self.verification is None or self.verification.passed

    def __post_init__(self) -> None:
        self.inverted, self.resized, self.skipped, self.pictures = (Names(self.most) for _ in range(4))

    def add(self, record: Record, paths: Sequence[Path]) -> None:
        """Counts a record and its files."""
        self.images += len(record)
        shown = record.explained[: self.most - len(self.first)]
        self.first += shown
        self.findings += map(record.finding, range(len(shown)))
        self.controls += (control_note(record, index) for index in range(len(shown)))
        self.correlations += record.facts.get(CORRELATION, [None] * len(shown))[: len(shown)]
        # If only predictions were explained, the table has no column for the target.
        self.targeted |= any(
            explained.objective is not None or explained.target not in (None, explained.prediction)
            for explained in record.explained
        )
        self.inverted.add(explained.source.name for explained in record.explained if explained.source.inverted)
        self.resized.add(explained.source.name for explained in record.explained if explained.source.resized)
        self.skipped.add(record.skipped)
        self.pictures.add(str(path) for path in paths if path.suffix[1:] in FORMATS)
        self.parts += 1
        others = (path for path in paths if path.suffix[1:] not in FORMATS and not path.name.startswith("thumbnails"))
        self.files = list(dict.fromkeys([*self.files, *others]))
        self.warnings |= dict.fromkeys(record.warnings)
        self.labels = record.labels
        self.seconds += record.seconds


def empty_outcome(analysis: Analysis, out: Path, *, all_names: bool) -> Outcome:
    """The outcome of an analysis before it runs; with `all_names` it will store the name of every image."""
    return Outcome(out / analysis.name, most=sys.maxsize if all_names else SHOWN)


@dataclass
class Outcomes:
    """The outcomes of several analyses."""

    analyses: Sequence[Analysis]
    by_name: Mapping[str, Outcome]
    inputs: Inputs | None = None
    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """The error of each analysis that failed."""

    @classmethod
    def before(cls, analyses: Sequence[Analysis], out: Path, *, all_names: bool) -> Outcomes:
        """The outcomes before the analyses run."""
        return cls(analyses, {each.name: empty_outcome(each, out, all_names=all_names) for each in analyses})

    @property
    def kept(self) -> str:
        """The names of the analyses that have results after an interrupted run."""
        begun = [
            f"{name} (not {'verified' if outcome.verifying else 'all images'})"
            for name, outcome in self.by_name.items()
            if name not in (*self.done, *self.failed) and (outcome.images + outcome.kept or outcome.verifying)
        ]
        return ", ".join([*self.done, *begun])

    @property
    def passed(self) -> bool:
        """Whether no check of a result failed."""
        return all(each.passed for each in self.by_name.values())

    def check(self) -> None:
        """Checks that no analysis failed.

        Raises:
            CnnExplainError: At least one failed.
        """
        if self.failed:
            raise CnnExplainError(f"{len(self.failed)} of {len(self.analyses)} analyses failed: {', '.join(self.failed)}.")

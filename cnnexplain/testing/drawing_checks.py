"""Checks of the pictures and findings of an analysis."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.errors import CnnExplainError, PluginError, shown
from cnnexplain.testing import comparison, processes
from cnnexplain.testing.check import is_sentence

if TYPE_CHECKING:
    from cnnexplain.testing.candidate import Candidate


def check_drawing(candidate: Candidate) -> None:
    """There is a figure for every image or an overview, and drawing does not change the record."""
    record = candidate.record
    before = {name: array.copy() for name, array in record.arrays.items()}
    figures = candidate.figures
    if not figures:
        raise PluginError("It draws no figures; expected one for each image from draw(), or some from overview().")
    for name in figures:
        if not isinstance(name, str | int) or name == "":
            raise PluginError(f"overview() names a figure {shown(name)}; expected text, since it becomes a file name.")
    if not all(comparison.identical(record.arrays[name], array) for name, array in before.items()):
        raise PluginError("Drawing changed the arrays of the record; expected them unchanged. Work on copies.")


def check_finding(candidate: Candidate) -> None:
    """`Analysis.finding` returns a sentence for every image."""
    record = candidate.record
    for index in range(len(record)):
        finding = record.finding(index)
        if not is_sentence(finding):
            raise PluginError(f"finding() returned {shown(finding)}; expected a sentence in one line, with a period.")


def check_panels(candidate: Candidate) -> None:
    """`Analysis.panels` returns panels for every image."""
    record = candidate.record
    for index in range(len(record)):
        if not record.panels(index):
            raise PluginError(f"panels() returned no panels for image {index}; expected at least one.")


def check_saved(candidate: Candidate) -> None:
    """A saved record is drawn as the same picture where Keras can't be imported."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        saved, redrawn = Path(folder) / "saved", Path(folder) / "redrawn"
        paths = candidate.explain(candidate.lenet, candidate.images[:1]).save(saved)
        done = processes.run_worker("redraw", str(saved), str(redrawn))
        if done.returncode:
            raise PluginError(
                f"Without Keras, it can't be drawn from saved results: {processes.last_line(done.stderr).rstrip('.')}. "
                "Expected draw() to read only the record. In JSON, tuples become lists and integer keys become text."
            )
        for path in paths:
            if path.suffix == ".png":
                with Image.open(path) as before, Image.open(redrawn / path.name) as after:
                    same = comparison.identical(np.asarray(after), np.asarray(before))
                if not same:
                    raise PluginError(
                        "The picture drawn from saved results differs; expected the same picture. Let draw() read only the "
                        "record, and store everything in it that draw() needs."
                    )


def check_plain(candidate: Candidate) -> None:
    """A uniform gray image is explained and drawn."""
    preprocess = candidate.lenet.preprocess
    gray = np.broadcast_to(preprocess.gray, (1, *preprocess.shape)).astype(np.float32)
    try:
        comparison.figures(candidate.explain(candidate.lenet, gray))
    except CnnExplainError as error:
        raise PluginError(
            f"For a uniform gray image: {error} Check for maps that are zero everywhere, and divisions by their maximum."
        ) from error

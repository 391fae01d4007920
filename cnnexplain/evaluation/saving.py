"""Runs a benchmark and writes its files: the scores of each image as they are known, all numbers as JSON, and a page."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from cnnexplain import __version__, files
from cnnexplain.errors import OutputError
from cnnexplain.evaluation import request_file, score_file
from cnnexplain.evaluation.benchmark import Setup, scored
from cnnexplain.evaluation.methods import Method
from cnnexplain.evaluation.scoreboard import Scoreboard
from cnnexplain.evaluation.scoring import Outcome, Sample
from cnnexplain.pipeline.request import describe_model

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

NUMBERS, PAGE = "benchmark.json", "index.html"
"""The names of the files with all numbers, and of the page."""

DRAWN = 50
"""The number of images whose maps are drawn for the page."""


def check(folder: Path) -> None:
    """Checks that the files of a benchmark may be written to a folder.

    Raises:
        OutputError: The folder can't be written, or contains other files with these names.
    """
    check_files(folder, score_file.FORMAT)


def check_files(folder: Path, kind: str) -> None:
    """Checks that the numbers, the page and a score file of some format may be written to a folder.

    Raises:
        OutputError: The folder can't be written, or contains other files with these names.
    """
    request_file.check(folder / request_file.NAME, kind)
    if not (folder / request_file.NAME).exists():
        for name in (NUMBERS, PAGE):
            if (folder / name).exists():
                raise OutputError(
                    f"'{folder / name}' exists and is not part of a benchmark; choose another folder with --out."
                )


def run_saved(
    setup: Setup, folder: Path, board: Scoreboard, *, resume: bool, progress: Callable[[int, int], None] = lambda *_: None
) -> None:
    """Computes the scores of all images, or of those that are not in the folder yet, and writes the files.

    Args:
        setup: What is compared.
        folder: The folder, which is created if it does not exist.
        board: Gets the scores.
        resume: Whether to continue with the scores that are in the folder.
        progress: Called with the number of completed images, and of all images.

    Raises:
        CnnExplainError: As for `cnnexplain.benchmark`.
        OutputError: The folder can't be written, or contains other files with these names.
        UsageError: The scores in the folder belong to another request.
    """
    check(folder)
    path, wanted = folder / request_file.NAME, request(setup)
    outcomes = score_file.kept(path, wanted) if resume else []
    for outcome in outcomes:
        board.add(outcome)
    first = outcomes[-1].place + 1 if outcomes else 0
    earlier = map(score_file.content, outcomes)
    with files.plain_errors(path), request_file.start(path, score_file.FORMAT, wanted, earlier) as file:
        for scores, sample in scored(setup, first):
            outcome = drawn(scores, sample, setup) if len(board) < DRAWN else scores
            request_file.append(file, score_file.content(outcome))
            board.add(outcome)
            progress(outcome.place + 1, len(setup.stream))
    document = board.document()
    write(document, _page(document, board), folder)


def drawn(outcome: Outcome, sample: Sample, setup: Setup) -> Outcome:
    """The scores of an image, with its pictures and that of its mask."""
    from cnnexplain.rendering import map_tiles

    image, *tiles = map_tiles.pictures(sample.image, sample.maps, setup.classifier.preprocess)
    maps = iter(tiles)
    return replace(
        outcome,
        pictures=(image, *("" if method.name in outcome.failed else next(maps) for method in setup.methods)),
        mask="" if sample.mask is None else map_tiles.mask(sample.mask),
    )


def _page(document: Mapping[str, Any], board: Scoreboard) -> str:
    """The page of a benchmark."""
    from cnnexplain.rendering import benchmark_page

    return benchmark_page.render(document, board.drawn(), [outcome.mask for outcome in board.outcomes])


def write(document: Mapping[str, Any], page: str, folder: Path) -> None:
    """Writes all numbers and the page."""
    with files.replacing(folder / NUMBERS) as temporary:
        temporary.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with files.replacing(folder / PAGE) as temporary:
        temporary.write_bytes(page.encode("utf-8", errors="backslashreplace"))


def request(setup: Setup) -> dict[str, Any]:
    """Everything that determines the scores, JSON-able."""
    classifier = setup.classifier
    return {
        "model": describe_model(classifier),
        "input": asdict(classifier.preprocess),
        "methods": described(setup.methods),
        "maps": {method.name: _hash_maps(method.maps) for method in setup.methods if method.maps is not None},
        "metrics": {
            name: {"plugin": str(plugin), "scores": list(metric.scores)} for name, (metric, plugin) in setup.metrics.items()
        },
        "images": setup.stream.identity(),
        "targets": None if setup.targets is None else list(setup.targets),
        "masks": None if setup.masks is None else setup.masks.identity(),
        "seed": setup.seed,
        **software(),
    }


def described(methods: Sequence[Method]) -> dict[str, Any]:
    """The plugin and the options of each method, by name."""
    return {
        method.name: {"plugin": method.plugin and str(method.plugin), "options": dict(method.options)} for method in methods
    }


def software() -> dict[str, Any]:
    """The versions on which scores depend."""
    return {"keras": {"version": keras.__version__, "backend": keras.backend.backend()}, "cnnexplain": __version__}


def _hash_maps(maps: Float[np.ndarray, "N H W"]) -> str:
    digest = hashlib.sha256(str(maps.dtype).encode())
    # Map by map, because those of many photographs may not fit into memory.
    for each in maps:
        digest.update(each.tobytes())
    return digest.hexdigest()

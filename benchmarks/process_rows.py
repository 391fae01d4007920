"""The rows of whole processes: cold starts, the first result, peak memory, and reports."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.rows import Row
from benchmarks.subjects import PHOTOS
from benchmarks.timing import Sample, Timer, command

ROOT = Path(__file__).parent.parent
CNNEXPLAIN = [sys.executable, "-m", "cnnexplain"]
QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), str(ROOT / "plugins"), os.environ.get("PYTHONPATH")])),
}

REPORTS = {"a digit": ("mnist:test/0", "lenet", 15), "a photograph": (str(PHOTOS / "cat.jpg"), "efficientnet-lite0", 120)}
"""What is explained in a report with all analyses, the network, and the seconds that it may take on two cores."""


def cold() -> Iterator[Row]:
    """Commands in new processes, against the imports without which they can't do their work."""
    rows = (
        ("run saliency", "LeNet", ["run", "saliency"], "import keras", 1.05),
        ("--help", "", ["--help"], "import typer, rich", 2.5),
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, subject, arguments, imports, goal in rows:
            timers = {
                "ours": command([*CNNEXPLAIN, *arguments], folder, QUIET),
                "limit": command([sys.executable, "-c", imports], folder, QUIET),
            }
            yield Row(f"cold {name} / {imports}", subject, timers, goal, repeat=False)


def first_result() -> Iterator[Row]:
    """Saliency of a photograph in a new process; the limit imports, loads, and computes two gradients without compiling."""
    ours = "import cnnexplain as cx; cx.explain('saliency', cx.load('efficientnet-lite0'), {!r})"
    limit = "from benchmarks.cold_limit import main; main({!r})"
    photo = str(PHOTOS / "cat.jpg")
    with tempfile.TemporaryDirectory() as folder:
        timers = {
            name: command([sys.executable, "-c", code.format(photo)], folder, QUIET)
            for name, code in (("ours", ours), ("limit", limit))
        }
        yield Row("first result in a cold process", "EfficientNet-lite0", timers, 1.0, repeat=False)


def memory() -> Iterator[Row]:
    """The peak memory of many images, against that of one batch."""
    if sys.platform == "linux":
        timers = {"ours": _peak("100"), "limit": _peak("batch")}
        yield Row("peak memory, saliency, 100 images / 1 batch", "EfficientNet-lite0", timers, 1.2, "MiB", repeat=False)


def reports() -> Iterator[Row]:
    """All analyses at their defaults; the goal is a time, as there is no limit."""
    for name, (image, model, seconds) in REPORTS.items():
        with tempfile.TemporaryDirectory() as folder:
            timer = command([*CNNEXPLAIN, "report", image, "--model", model, "--out", f"{folder}/report"], folder, QUIET)
            subject = "LeNet" if model == "lenet" else "EfficientNet-lite0"
            yield Row(f"report of {name}", subject, {"ours": timer}, seconds, once=True)


def _peak(count: str) -> Timer:
    program = [sys.executable, "-m", "benchmarks.peak_memory", count]

    def timer(_: int) -> Sample:
        done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=True)
        mebibytes = float(done.stdout.split()[-1])
        return Sample(mebibytes, mebibytes)

    return timer

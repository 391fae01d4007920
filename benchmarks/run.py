"""Measures cnnexplain against the least work for the same numbers, and against other packages: one table, and JSON.

Ours, the limit and the peers run alternately in one process or next to it, on the same weights and images. The limit is
hand-written, compiled Keras code; its numbers are compared with ours after the first calls.

    python benchmarks/run.py                                   all rows
    python benchmarks/run.py saliency occlusion --rounds 3     rows by name
    python benchmarks/run.py --json after.json                 also writes the numbers
    python benchmarks/compare.py before.json after.json        shows what became slower
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

ENVIRONMENTS = Path(__file__).parent.parent / "build" / "peers"
"""Where the environments of peers are made."""


def main() -> None:
    """Measures the selected rows and prints each one as soon as it is known."""
    from benchmarks.families import FAMILIES

    options = _options(list(FAMILIES))
    if options.gpu and "KERAS_BACKEND" not in os.environ:
        _run_on_backends()
    # They import Keras, whose default backend may not be installed.
    from benchmarks import peers, tables

    report = tables.new_report()
    print(tables.heading(report))
    with peers.started(ENVIRONMENTS) if options.peers else contextlib.nullcontext():
        wrong = _measure(options, report)
    if wrong:
        sys.exit(f"In {wrong} rows, the numbers of the limit are not ours, so these ratios mean nothing.")


def _measure(options: argparse.Namespace, report: dict[str, Any]) -> int:
    """Adds the rows to the report, and returns the number of rows whose limit computes other numbers."""
    from benchmarks import rows, tables
    from benchmarks.families import FAMILIES
    from benchmarks.subjects import subject

    wrong = 0
    deadline = time.perf_counter() + options.within
    for name in options.rows or (name for name, family in FAMILIES.items() if family.device or not options.gpu):
        family = FAMILIES[name]
        networks = [each for each in family.networks if each in (options.network or family.networks)]
        for arguments in [(subject(each),) for each in networks] if family.networks else [()]:
            if time.perf_counter() > deadline:
                print(f"{name} is left out: {options.within:g} s have passed.")
                continue
            for row in family.rows(name)(*arguments):
                result = rows.measure(row, options.rounds, options.seconds)
                result |= {name: report[name] for name in ("backend", "commit", "date")}
                report["rows"].append(result)
                wrong += not result.get("agrees", True)
                print(tables.line(result), flush=True)
                if options.json:
                    tables.write(report, options.json)
    return wrong


def _run_on_backends() -> NoReturn:
    """Runs this program for JAX and for PyTorch if they are installed, each in its own process, and exits."""
    codes = []
    for backend in filter(importlib.util.find_spec, ("jax", "torch")):
        print(f"== {backend}", flush=True)
        environment = {**os.environ, "KERAS_BACKEND": backend}
        codes.append(subprocess.run([sys.executable, *sys.argv], env=environment, check=False).returncode)
    sys.exit(max(codes, default="Neither JAX nor PyTorch is installed."))


def _options(families: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "rows", nargs="*", metavar="ROW", choices=[*families, []], help=f"{', '.join(families)}; default: all"
    )
    parser.add_argument(
        "--network", action="append", help="only this network (repeatable): LeNet, EfficientNet-lite0, VGG16"
    )
    parser.add_argument("--rounds", type=int, default=7, help="samples of each contender, after a first call (7)")
    parser.add_argument("--seconds", type=float, default=60, help="no round of a row starts after this time (60)")
    parser.add_argument("--json", type=Path, help="the file for all numbers; other rows in it are kept")
    parser.add_argument("--peers", action="store_true", help="also Xplique and Captum, in environments in build/peers/")
    parser.add_argument(
        "--gpu", action="store_true", help="the rows of interest on a GPU, on JAX and PyTorch or KERAS_BACKEND"
    )
    parser.add_argument("--within", type=float, default=math.inf, help="no network of a row starts after these seconds")
    return parser.parse_args()


if __name__ == "__main__":
    # The modules of this folder import each other as `benchmarks.NAME`.
    sys.path[0] = str(Path(__file__).parent.parent)
    main()

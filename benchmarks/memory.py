"""Measures the peak memory of each analysis, each in a new process; benchmarks/images.py measures that of large images.

For every analysis with its default options, it prints the peak after the model has predicted one image, and the peak of the
whole run. It also prints the peaks of saliency for 500 and 2,000 test digits, which should be equal.
Run it on Linux with: python benchmarks/memory.py [MODEL [IMAGES ...]]
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from cnnexplain.plugin import registry


def main(model: str = "lenet", *images: str) -> None:
    """Prints a row for each analysis and for each number of digits."""
    print(f"{'':32} before   peak   MiB")
    with tempfile.TemporaryDirectory() as folder:
        for analysis in registry.load().analyses.values():
            explained = images if "images" in analysis.inputs else ()
            _print_row(analysis.name, "run", analysis.name, *explained, "--model", model, "--out", folder)
        for count in (500, 2000):
            digits = [f"mnist:test/{number}" for number in range(count)]
            options = ("--model", "lenet", "--dpi", "20", "--out", f"{folder}/{count}")
            _print_row(f"saliency of {count} digits", "run", "saliency", *digits, *options)


def _print_row(name: str, *arguments: str) -> None:
    command = [sys.executable, __file__, "measure", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    code, before, peak = json.loads(done.stdout.splitlines()[-1])
    print(f"{name:32} {before:6.0f} {peak:6.0f}  {peak - before:+.0f}" + (f"  (exit code {code})" if code else ""))


def measure(*arguments: str) -> None:
    """Runs a command, and prints its exit code, the peak memory after a first prediction, and the peak memory."""
    import matplotlib.figure  # noqa: F401  # Part of the memory before the run.

    import cnnexplain as cx
    from cnnexplain.cli import app

    classifier = cx.load(arguments[arguments.index("--model") + 1])
    classifier.predict(cx.read_images("mnist:test/0", classifier))
    before = _peak()
    code = app.main(arguments)
    print(json.dumps([code, before, _peak()]))


def _peak() -> float:
    """The peak memory of this process in MiB; the value that getrusage returns includes the parent process."""
    match = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match is not None
    return int(match[1]) / 1024


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(*sys.argv[2:])
    else:
        main(*sys.argv[1:])

"""The peak memory of each analysis, each in a process of its own; that of large photographs is measured by images.py.

Prints, for every analysis with its defaults, the peak after the model has predicted an image and that of the whole run, then
the peaks of saliency on 500 and on 2,000 test digits, which should be the same. The pictures of the latter are drawn small.
Run it on Linux with: python benchmarks/memory.py [MODEL [IMAGES ...]]
"""

import json
import subprocess
import sys
import tempfile

from cnnexplain.plugin import registry

PEAK = """
import json, re, sys
from pathlib import Path

def peak():
    # What getrusage tells goes on from the process that started this one.
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
"""

PROGRAM = f"""{PEAK}
import cnnexplain as cx
from cnnexplain.cli import app
import matplotlib.figure

arguments = sys.argv[1:]
clf = cx.load(arguments[arguments.index("--model") + 1])
clf.predict(cx.read_images("mnist:test/0", clf))
before = peak()
code = app.main(arguments)
print(json.dumps([code, before, peak()]))
"""


def main(model: str = "lenet", *images: str) -> None:
    """Prints a row for each analysis and each number of digits."""
    print(f"{'':32} before   peak   MiB")
    with tempfile.TemporaryDirectory() as folder:
        for analysis in registry.load().analyses.values():
            given = images if "images" in analysis.inputs else ()
            _row(analysis.name, PROGRAM, "run", analysis.name, *given, "--model", model, "--out", folder)
        for count in (500, 2000):
            digits = [f"mnist:test/{number}" for number in range(count)]
            name = f"saliency of {count} digits"
            _row(name, PROGRAM, "run", "saliency", *digits, "--model", "lenet", "--dpi", "20", "--out", f"{folder}/{count}")


def _row(name: str, program: str, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    code, before, peak = json.loads(done.stdout.splitlines()[-1])
    print(f"{name:32} {before:6.0f} {peak:6.0f}  {peak - before:+.0f}" + (f"  (exit code {code})" if code else ""))


if __name__ == "__main__":
    main(*sys.argv[1:])

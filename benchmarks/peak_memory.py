"""Prints the peak memory in MiB of explaining photographs by EfficientNet-lite0: python -m benchmarks.peak_memory COUNT.

COUNT is their number; it may be "batch", for as many as the network computes at once. Linux only.
"""

import re
import sys
from pathlib import Path

import cnnexplain as cx
from benchmarks.subjects import PHOTOS


def main(count: str) -> None:
    """Explains the photographs in parts, and prints the peak."""
    classifier = cx.load("efficientnet-lite0")
    number = classifier.batch_size if count == "batch" else int(count)
    photos = [str(path) for path in sorted(PHOTOS.glob("*.jpg"))]
    for _ in cx.explain_parts("saliency", classifier, (photos * number)[:number]):
        pass
    print(peak())


def peak() -> float:
    """The peak memory of this process in MiB; the value that getrusage returns includes the parent process."""
    match = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match is not None
    return int(match[1]) / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])

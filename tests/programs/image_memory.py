"""Prints by how many MiB reading an image raises the peak memory of this process: image_memory.py PATH."""

import re
import sys
from pathlib import Path

from PIL import JpegImagePlugin, PngImagePlugin  # noqa: F401  # Their memory does not count.

from cnnexplain.inputs import images, preprocess


def peak():
    # The peak that getrusage reports includes that of the parent process.
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


before = peak()
images.read(sys.argv[1], preprocess.Preprocess(224, 224), None)
print(peak() - before)

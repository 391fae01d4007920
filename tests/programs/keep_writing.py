"""Writes a file again and again, and prints a line each time: keep_writing.py PATH."""

import sys
from pathlib import Path

from cnnexplain import files

path = Path(sys.argv[1])
while True:
    with files.replacing(path) as temporary, open(temporary, "wb") as file:
        for _ in range(200):
            file.write(b"x" * 1000)
            file.flush()
    print("once", flush=True)

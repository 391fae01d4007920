"""Draws the pictures that the README shows, from the shipped LeNet.

Run it in the root of the repository with: python examples/readme_pictures.py [FOLDER]
"""

import sys
from pathlib import Path

import cnnexplain as cx

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
folder.mkdir(parents=True, exist_ok=True)
record = cx.explain("saliency", cx.load(), "mnist:test/42")
record.figure().savefig(folder / "saliency.png", dpi=80)
print(f"wrote {folder / 'saliency.png'}")

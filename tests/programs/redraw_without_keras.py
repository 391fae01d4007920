"""Draws saved results again where neither Keras nor a backend is installed: redraw_without_keras.py FOLDER..."""

import sys


class Absent:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("keras", "tensorflow", "jax", "torch"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Absent())

from cnnexplain.cli import app  # noqa: E402

sys.exit(max(app.main(["redraw", folder, "--dpi", "50"]) for folder in sys.argv[1:]))

"""Builds the documentation where Keras can't be imported: build_site.py FOLDER."""

import sys

sys.modules["keras"] = None

from mkdocs.__main__ import cli  # noqa: E402

# --quiet would keep the warnings from being counted, too.
cli(["build", "--strict", "--site-dir", sys.argv[1]])

"""Raises an error in a finalizer after the program has run."""

import sys

from cnnexplain.cli import app

sys.argv = ["cnnexplain", "--version"]
app.main()


class Finalized:
    def __del__(self):
        raise ValueError("no interruption")


Finalized()

"""Runs `cnnexplain list`, and sends Ctrl-C when it imports the command line."""

import importlib.abc
import os
import runpy
import signal
import sys


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "cnnexplain.cli.app":
            os.kill(os.getpid(), signal.SIGINT)


sys.meta_path.insert(0, Finder())
sys.argv = ["cnnexplain", "list"]
runpy.run_module("cnnexplain", run_name="__main__")

"""Declares analyses one after the other in one process: declare.py PLUGIN ANALYSIS PLUGIN ANALYSIS..."""

import sys

from cnnexplain.testing import worker

names = iter(sys.argv[1:])
for plugin, analysis in zip(names, names, strict=True):
    worker.declaration(plugin, analysis)

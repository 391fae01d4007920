"""Completes commands as Bash does: complete.py COMMAND... The last line printed is a list of the heavy modules imported."""

import os
import sys

from heavy_imports import imported

from cnnexplain.cli.app import main

os.environ |= {"_CNNEXPLAIN_COMPLETE": "complete_bash", "COMP_CWORD": "4"}
for command in sys.argv[1:]:
    os.environ["COMP_WORDS"] = "cnnexplain\n" + command.replace(" ", "\n")
    main([])
print(imported())

"""Sends signals to itself while a result is moved into place, before each move in turn: interrupt_moves.py NUMBER...

Writes the folders outNUMBER-MOVE. The last line printed is the list of exit codes.
"""

import itertools
import os
import signal
import sys
from pathlib import Path

from cnnexplain.cli.app import main

replace = Path.replace


def move(path, target):
    if next(moves) == at:
        os.kill(os.getpid(), number)
    return replace(path, target)


signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.default_int_handler)
Path.replace = move
codes = []
for number in map(int, sys.argv[1:]):
    for at in range(1, 8):
        moves = itertools.count(1)
        codes.append(main(["run", "saliency", "--dpi", "20", "--out", f"out{number}-{at}"]))
print(codes)

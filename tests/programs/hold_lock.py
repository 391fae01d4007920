"""Locks a folder for two minutes: hold_lock.py FOLDER."""

import sys
import time
from pathlib import Path

from cnnexplain.results import lock

with lock.held(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(120)

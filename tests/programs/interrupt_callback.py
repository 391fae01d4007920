"""Raises a signal in a callback, whose errors Python only prints: interrupt_callback.py NUMBER KIND.

Exits with 7 if the program notices the signal.
"""

import ctypes
import signal
import sys
import time
import weakref

from cnnexplain.cli import app

number, kind = int(sys.argv[1]), sys.argv[2]
sys.argv = ["cnnexplain", "--version"]
app.main()


class Thing:
    pass


class Finalized:
    def __del__(self):
        signal.raise_signal(number)
        time.sleep(0)  # Python handles the signal here at the latest.


def callback(*_):
    signal.raise_signal(number)
    return 0


try:
    if kind == "weak reference":
        thing = Thing()
        reference = weakref.ref(thing, callback)
        del thing
    elif kind == "finalizer":
        Finalized()
    else:
        ctypes.CFUNCTYPE(ctypes.c_int)(callback)()
    time.sleep(60)
except KeyboardInterrupt:
    sys.exit(7)

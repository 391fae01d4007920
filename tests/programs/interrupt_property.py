"""Runs the program, and sends Ctrl-C when it defines a cached property: interrupt_property.py NAME ARGUMENTS..."""

import functools
import signal
import sys

left = [sys.argv.pop(1)]
set_name = functools.cached_property.__set_name__


def interrupt(self, owner, name):
    if name in left:
        left.remove(name)
        signal.raise_signal(signal.SIGINT)
    return set_name(self, owner, name)


functools.cached_property.__set_name__ = interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)

from cnnexplain.__main__ import run  # noqa: E402

sys.exit(run())

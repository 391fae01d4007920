"""Runs the program, and sends Ctrl-C when it creates the COUNTth member of an enum: interrupt_enum.py COUNT ARGUMENTS..."""

import enum
import itertools
import signal
import sys

count, members = int(sys.argv.pop(1)), itertools.count(1)
set_name = enum._proto_member.__set_name__


def interrupt(self, owner, name):
    if next(members) == count:
        signal.raise_signal(signal.SIGINT)
    return set_name(self, owner, name)


enum._proto_member.__set_name__ = interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)

from cnnexplain.__main__ import run  # noqa: E402

sys.exit(run())

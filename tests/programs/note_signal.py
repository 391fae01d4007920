"""Whether the program handles a signal and an importer of it does not: note_signal.py NUMBER. Exits with 7 if so."""

import signal
import sys

from cnnexplain import interruption
from cnnexplain.cli import app

number = int(sys.argv[1])
before = signal.getsignal(signal.SIGINT)
app.main(["--version"])
assert signal.getsignal(signal.SIGINT) is before
sys.argv = ["cnnexplain", "--version"]
app.main()
try:
    signal.raise_signal(number)
except KeyboardInterrupt:
    assert interruption.interrupted(TypeError())
    sys.exit(7)

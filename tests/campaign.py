"""What the tests of `tests/fuzz` share: how many cases they try, and what every failure looks like to a user."""

import os

CASES = int(os.environ.get("CNNEXPLAIN_FUZZ", "100"))
"""Cases of each test: a hundred in CI, a thousand in a campaign (CNNEXPLAIN_FUZZ=1000 pytest -m slow tests/fuzz)."""

LONGEST = 1000
"""Characters of the longest message that an error may print."""


def assert_plain(code, printed, *, codes=(0, 1, 2, 130)):
    """An outcome that a user can act on: one of the exit codes, no traceback, and no page of numbers."""
    assert code in codes, (code, printed[-LONGEST:])
    assert "Traceback" not in printed, printed[-4 * LONGEST :]
    if code:
        assert printed.strip(), "it failed without a word"
        assert len(printed) <= LONGEST, printed

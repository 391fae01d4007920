"""What tests of bad input share: how many cases they try, what a failure looks like to a user, and what is in a folder."""

import os
from pathlib import Path

CASES = int(os.environ.get("CNNEXPLAIN_FUZZ", "40"))
"""Cases of each test: forty in CI, a thousand in a campaign (CNNEXPLAIN_FUZZ=1000 pytest -m slow tests/fuzz)."""

LONGEST = 1000
"""Characters of the longest message that an error may print."""


def assert_plain(code, printed, *, codes=(0, 1, 2, 130)):
    """An outcome that a user can act on: one of the exit codes, no traceback, and no page of numbers."""
    assert code in codes, (code, printed[-LONGEST:])
    assert "Traceback" not in printed, printed[-4 * LONGEST :]
    if code:
        assert printed.strip(), "it failed without a word"
        assert len(printed) <= LONGEST, printed


def snapshot(folder, read=Path.read_bytes):
    """All that is in a folder, however deep, by its path there: its mode, and what `read` finds in a file."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            os.readlink(path) if path.is_symlink() else read(path) if path.is_file() else None,
        )
        for path in sorted(folder.rglob("*"))
    }

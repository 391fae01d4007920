"""The program in odd surroundings: it works, or says why not in one line. Each case is a process."""

import os
import subprocess
import sys

import hypothesis
import pytest
from campaign import CASES, assert_plain
from hypothesis import strategies

import cnnexplain as cx

pytestmark = pytest.mark.slow

VALUES = {
    "COLUMNS": ("0", "1", "-5", "abc", "²", "9" * 9, "9" * 5000, ""),
    "LINES": ("0", "abc", "9" * 5000),
    "TERMINAL_WIDTH": ("abc", "0", "-1"),
    "PYTHONIOENCODING": ("ascii", "latin-1", "ascii:strict", "cp1252"),
    "LC_ALL": ("C", "nonsense", "POSIX"),
    "PYTHONUTF8": ("0", "1"),
    "PYTHONOPTIMIZE": ("1", "2"),
    "PYTHONWARNINGS": ("error", "ignore", "always"),
    "MPLBACKEND": ("nonsense", "TkAgg", "module://nonsense"),
    "MATPLOTLIBRC": ("/nonexistent", "/dev/null", "/"),
    "MPLCONFIGDIR": ("/nonexistent/x", "/dev/null"),
    "HOME": ("/nonexistent", "/dev/null", ""),
    "XDG_CONFIG_HOME": ("/nonexistent", "/dev/null", "\n"),
    "XDG_CACHE_HOME": ("/dev/null",),
    "TMPDIR": ("/nonexistent", "/dev/null"),
    "TERM": ("dumb", "nonsense", ""),
    "NO_COLOR": ("1",),
    "FORCE_COLOR": ("1",),
    "KERAS_HOME": ("/nonexistent", "/dev/null"),
    "KERAS_BACKEND": ("", "nonsense"),
    "TF_CPP_MIN_LOG_LEVEL": ("0", "x"),
    "_CNNEXPLAIN_COMPLETE": ("complete_bash", "complete_zsh", "nonsense", "source_bash"),
    "COMP_CWORD": ("x", "-1", "99"),
    "COMP_WORDS": ("", "cnnexplain run", "x\ny"),
}
"""What the variables of the environment may hold."""

STREAMS = ("", "> /dev/full", ">&-", "2>&-", "<&- >&- 2>&-", "2> /dev/full", "| head -c 1")
COMMANDS = (["--help"], ["list"], ["list", "--json"], ["run", "saliency", "--help"], ["redraw", "base"], ["nonsense"])
FILES = {
    "matplotlibrc": (b"text.usetex: True\n", b"backend: nonsense\nfont.size: -1\n", b"\xff\xfe", b"nonsense"),
    "cnnexplain.toml": (b"dpi = 100\n", b"dpi = " + b"9" * 5000, b"\xff", b"model = 3"),
}

variables = strategies.lists(
    strategies.sampled_from([(name, value) for name, values in VALUES.items() for value in values]), max_size=4
)
written = strategies.dictionaries(strategies.sampled_from(sorted(FILES)), strategies.integers(0, 3), max_size=2).map(
    lambda chosen: {name: FILES[name][place] for name, place in chosen.items()}
)


@pytest.fixture(scope="module")
def base(lenet, tmp_path_factory):
    """A folder with a result in it."""
    folder = tmp_path_factory.mktemp("surroundings")
    cx.explain("saliency", lenet, "mnist:test/0").save(folder / "base")
    return folder


def started(folder, command, streams, environment):
    words = " ".join([sys.executable, "-m", "cnnexplain", *command])
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {words} {streams}"],
        cwd=folder,
        env={name: value for name, value in (os.environ | environment).items() if value is not None},
        capture_output=True,
        timeout=100,
        check=False,
    )


# A process takes half a second.
@hypothesis.settings(max_examples=max(10, CASES // 10))
@hypothesis.given(
    given=variables, files=written, command=strategies.sampled_from(COMMANDS), streams=strategies.sampled_from(STREAMS)
)
def test_the_program_in_unusual_environments(base, given, files, command, streams):
    for name, content in files.items():
        (base / name).write_bytes(content)
    try:
        done = started(base, command, streams, dict(given))
    finally:
        for name in files:
            (base / name).unlink()
    printed = done.stderr.decode(errors="replace")
    quiet = "2>" in streams or streams.startswith(("|", "<")) or "_CNNEXPLAIN_COMPLETE" in dict(given)
    if done.returncode and not quiet:
        assert_plain(done.returncode, printed, codes=(1, 2))
    assert done.returncode in (0, 1, 2), printed
    assert "Traceback" not in printed + done.stdout.decode(errors="replace")
    assert "failed unexpectedly" not in printed
    assert sorted(path.name for path in base.iterdir()) == ["base"]

"""Narrow terminals, pipes, colors and Ctrl-C."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

import cnnexplain as cx
from cnnexplain.cli import summary


def printed(command, tmp_path, **env):
    """What a command prints on a terminal."""
    terminal, its_end = pty.openpty()
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "cnnexplain", *command],
        cwd=tmp_path,
        env={**clean, "TERM": "xterm-256color", **env},
        stdout=its_end,
        stderr=its_end,
    )
    os.close(its_end)
    seen = b""
    try:
        while select.select([terminal], [], [], 60)[0]:
            piece = os.read(terminal, 65536)
            if not piece:
                break
            seen += piece
    except OSError:  # How Linux tells that the other end is closed.
        pass
    process.wait()
    os.close(terminal)
    return seen.decode()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_list_fits_the_terminal_without_truncation(cli, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    code, out, _ = cli("list")
    assert code == 0
    assert max(map(len, out.splitlines()[:-1])) <= width
    assert "…" not in out
    for words in ("activation-maximization", "keras:NAME", "efficientnet-lite0"):
        assert words in out
    text = "".join(out.split())
    if width < 100:
        assert "Howstronglythescoreofthetargetreactstoasmallchangeofeachpixel." in text
        assert "(arXiv:1506.06579)" in text


@pytest.mark.parametrize("width", [60, 200])
def test_a_long_path_is_never_broken(cli, monkeypatch, tmp_path, width, digit_file):
    folder = tmp_path / "a folder with a long name" / "and-another-one-within-it"
    folder.mkdir(parents=True)
    digit_file.rename(folder / "a-picture-with-a-name.png")
    monkeypatch.setenv("COLUMNS", str(width))
    name = "a folder with a long name/and-another-one-within-it/a-picture-with-a-name.png"
    for command in (["run", "saliency"], ["report", "--analysis", "saliency"]):
        code, out, _ = cli(*command, name)
        assert code == 0
        (line,) = (line for line in out.splitlines() if "a-picture-with-a-name.png" in line and "Wrote" not in line)
        assert name in line
        assert line.rstrip(" │").endswith("%")
        # The notes of a report's methods are in its page.
        assert ("Note: " in out) == (command[0] == "run")


def test_help_is_not_truncated_at_80_columns(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = cli("run", "saliency", "--help")
    assert code == 0
    for words in ("--input-interpolation", "bilinear|bicubic|nearest", "tensorflow|jax|torch", "stretch|crop|pad|digit"):
        assert words in out
    assert "This analysis" in out
    assert max(map(len, out.splitlines())) <= 80


def test_colors_are_used_only_on_terminals(tmp_path, shell):
    color = re.compile(r"\x1b\[[0-9;]*(3[0-9]|9[0-7])")
    plugin = ["--config", "none.toml", "list"]
    assert color.search(printed(["--help"], tmp_path))
    assert not color.search(printed(["--help"], tmp_path, NO_COLOR="1"))
    assert "\x1b" not in printed(["list"], tmp_path, TERM="dumb")
    assert "Can't read" in printed(plugin, tmp_path, NO_COLOR="1")
    assert "\x1b" not in shell("-m", "cnnexplain", "list").stdout


def test_pipes_get_no_progress_display(shell, folder):
    done = shell(folder / "tests/programs/show_progress.py", env={"FORCE_COLOR": "1"})
    assert (done.stdout, done.stderr) == ("", "")


IGNORED = r"Exception ignored in.*\nTraceback \(most recent call last\):\n(?:  .*\n)+KeyboardInterrupt:? ?\n"
"""What Python itself prints of a Ctrl-C in a callback while it starts or ends, when the program has no say yet or any more.
That the program catches it in between is tested at chosen moments in test_interruption.py."""


def interrupted(tmp_path, command, seconds):
    process = subprocess.Popen(
        [sys.executable, "-m", "cnnexplain", *command],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(seconds)
    ended = process.poll() is not None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    return ended, process.returncode, out, err


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("command", "seconds"),
    [
        *((["run", "saliency", "mnist:test/1"], seconds) for seconds in (1, 3, 7)),
        (["run", "all"], 10),
        (["report"], 10),
        (["evaluate", "--json"], 5),
        (["doctor", "lenet"], 5),
        (["info"], 1),
        (["train", "--out", "m.keras"], 5),
        (["redraw", "result"], 1.5),
        (["check-plugin", "saliency"], 4),
    ],
    ids=str,
)
def test_ctrl_c_gives_one_line_and_exit_code_130(tmp_path, lenet, command, seconds):
    if "redraw" in command:
        cx.explain("saliency", lenet, [f"mnist:test/{index}" for index in range(10)]).save(tmp_path / "result", dpi=20)
    ended, code, out, err = interrupted(tmp_path, command, seconds)
    if ended:
        return
    err = re.sub(IGNORED, "", err)
    # It may have been too late; at its very end, which is Python's own, the program leaves the signal to the system, which
    # ends it without a word. A shell shows that as 130, too.
    assert code in (130, 0, -signal.SIGINT), out + err
    assert "Traceback" not in err
    if code == 130:
        assert re.fullmatch(r"(No image given.*\n)?Interrupted[:;] .*\n", err), err
        assert "{" not in out
    assert not list(tmp_path.glob("**/.cnnexplain-*"))


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_while_arguments_are_parsed(shell, folder):
    done = shell(folder / "tests/programs/interrupt_start.py")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted: nothing more was written.\n")


@pytest.mark.parametrize(
    ("note", "line"),
    [
        ("One thing; and another. More.", "One thing."),
        ("One thing (p. 3). More.", "One thing (p. 3)."),
        ("Weights are only weights.", "Weights are only weights."),
        ("So He et al. 2016 and A. Author found it.", "So He et al. 2016 and A. Author found it."),
        ("", ""),
    ],
)
def test_a_limitation_is_printed_in_one_short_line(note, line):
    assert summary.shortened(note) == line

"""Ctrl-C at generated moments: after any number of Python's calls, as itself, as another error, or lost on its way.

A moment is a call of a function by the main thread. That of a real signal is too, or one between two of its steps.
"""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext

import numpy as np
import pytest
from campaign import CASES, assert_plain, snapshot
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cnnexplain import interruption
from cnnexplain.cli import app as command_line
from cnnexplain.loading import loader
from cnnexplain.plugin import registry

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

COMMANDS = {
    "run": ("run", "plain", "d", "--out", "o", "--dpi", "20"),
    "report": ("report", "--analysis", "plain", "d", "--out", "o", "--dpi", "20"),
    "redraw": ("redraw", "o/plain", "--dpi", "30"),
}


PLAIN = """
from matplotlib.figure import Figure
from cnnexplain.plugin import Analysis, Result, hookimpl

def run(classifier, images, targets):
    "The image, in a picture that is soon drawn."
    return Result({"map": images[..., 0]}, {"sum": [float(image.sum()) for image in images]})

def draw(record, index):
    return Figure(figsize=(1, 1))

@hookimpl
def cnnexplain_analyses():
    return [Analysis("plain", run, draw, "Nobody 2026", maps={"map": "units"}, passes=lambda *_: 1)]
"""


class Moment:
    """Interrupts the block at a call of a Python function, counted from its start."""

    def __init__(self, place, way):
        self.place, self.way, self.calls = place, way, 0

    def __enter__(self):
        sys.setprofile(self._called)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)

    def _called(self, frame, event, _):
        if event != "call":
            return
        self.calls += 1
        if self.calls != self.place:
            return
        sys.setprofile(None)
        if self.way == "another error":
            raise RuntimeError("Error calling __set_name__ on 'cached_property'") from KeyboardInterrupt()
        try:
            interruption._handle()
        except KeyboardInterrupt:
            if self.way == "itself":
                raise


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "d").mkdir()
    for number in range(2):
        pixels = np.zeros((28, 28), np.uint8)
        pixels[6:22, 10 + number : 14 + number] = 255
        Image.fromarray(pixels).save(folder / "d" / f"{number}.{('png', 'tiff')[number]}")
    return folder


@pytest.fixture
def quick(lenet, monkeypatch, install):
    """An analysis that does little; the model is loaded already; and results are written an image at a time."""
    install("plain-analysis", PLAIN)
    registry.load.cache_clear()
    monkeypatch.setattr(loader, "load", lambda *_, **__: lenet)
    monkeypatch.setattr(lenet, "batch_size", 1)
    monkeypatch.setattr("cnnexplain.pipeline.parts.PART_IMAGES", 1)
    yield
    registry.load.cache_clear()


@pytest.fixture
def program(capfd, monkeypatch):
    """Runs the command line as the program does, interrupted at a moment or not."""

    def run(words, moment=None):
        interruption._state = interruption._State()
        monkeypatch.setattr(sys, "argv", ["cnnexplain", *words])
        before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
        try:
            with moment or nullcontext():
                code = command_line.main()
        # As in __main__, which also sets up the streams of the process.
        except (Exception, KeyboardInterrupt) as error:
            if not interruption.interrupted(error):
                raise
            sys.stderr.write("Interrupted: nothing more was written.\n")
            code = 130
        finally:
            for number, handler in before:
                signal.signal(number, handler)
        interruption._state = interruption._State()
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


def found(path):
    """What a file of a result says but for the seconds: its numbers, and nothing of pictures and pages."""
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {name: arrays[name].tobytes() for name in arrays}
    if path.suffix == ".json":
        return {name: value for name, value in json.loads(path.read_text()).items() if name not in ("seconds", "request")}
    return None


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_at_any_moment(cli, program, pictures, tmp_path, command):
    words = COMMANDS[command]
    shutil.copytree(pictures, tmp_path, dirs_exist_ok=True)
    given_files = snapshot(tmp_path / "d")
    assert cli(*COMMANDS["run"])[0] == 0
    whole = snapshot(tmp_path / "o", found)
    shutil.copytree(tmp_path / "o", tmp_path / "before")
    if command != "redraw":
        shutil.rmtree(tmp_path / "o")
    counted = Moment(-1, "itself")
    assert program(words, counted)[0] == 0
    whole = whole if command == "run" else snapshot(tmp_path / "o", found)

    @settings(max_examples=max(1, CASES // 3))
    @given(st.integers(2, counted.calls), st.sampled_from(["itself", "another error", "lost"]))
    def interrupt(place, way):
        shutil.rmtree(tmp_path / "o", ignore_errors=True)
        if command == "redraw":
            shutil.copytree(tmp_path / "before", tmp_path / "o")
        code, out, err = program(words, Moment(place, way))
        assert_plain(code, out + err, codes=(0, 130))
        assert not re.search("damaged|skipped|failed", out + err), err
        assert not list(tmp_path.rglob(".cnnexplain-*"))
        assert snapshot(tmp_path / "d") == given_files
        if code == 130:
            assert re.fullmatch(r"(.*\n)?Interrupted[:;] .*\n", err), err
            if command == "run":
                code, _, err = cli(*words, "--resume")
                assert code == 0, err
            else:
                assert cli(*words)[0] == 0
        assert snapshot(tmp_path / "o", found) == whole

    interrupt()


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_termination_signals(pictures, tmp_path, number):
    """Those of Ctrl-C and of `kill`, sent to a process of its own."""
    shutil.copytree(pictures, tmp_path, dirs_exist_ok=True)
    command = [sys.executable, "-m", "cnnexplain", "run", "saliency", "d", "--out", "o", "--dpi", "20"]

    @settings(max_examples=max(2, CASES // 100))
    @given(st.floats(0.2, 8))
    def interrupt(seconds):
        shutil.rmtree(tmp_path / "o", ignore_errors=True)
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(seconds)
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
        # Before Python hears of signals, and at its very end, they are the system's.
        assert_plain(abs(process.returncode), out + err or "ended by the system", codes=(0, 130, number))
        if process.returncode == 130:
            assert re.fullmatch(r"Interrupted[:;] .*\n", err), err
        assert not list(tmp_path.rglob(".cnnexplain-*"))

    interrupt()

"""Ctrl-C is Ctrl-C, whatever a library makes of it."""

import functools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnexplain import interruption
from cnnexplain.inputs import decode

PROGRAMS = Path(__file__).parent.parent / "programs"


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """As if no Ctrl-C had come."""
    monkeypatch.setattr(interruption, "_state", interruption._State())


def python(folder, program, *arguments):
    """Runs one of the programs in a process of its own, in a folder."""
    command = [sys.executable, PROGRAMS / program, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def pictures(tmp_path):
    for number in range(4):
        pixels = np.zeros((28, 28), np.uint8)
        pixels[6:22, 10 + number : 14 + number] = 255
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        Image.fromarray(pixels).save(tmp_path / f"{number}.tiff", compression="tiff_lzw")
    return tmp_path


def lazily(monkeypatch, module, name, when=1):
    """Ctrl-C comes when that function is called, and comes out as Python's RuntimeError of a class that is being made."""
    calls = []
    function = getattr(module, name)

    def wrapped(*given, **options):
        calls.append(1)
        if len(calls) == when:
            try:
                raise KeyboardInterrupt
            except KeyboardInterrupt as error:
                raise RuntimeError("Error calling __set_name__ on 'cached_property' instance 'is_animated'") from error
        return function(*given, **options)

    monkeypatch.setattr(module, name, wrapped)


@pytest.mark.parametrize(
    ("command", "when"),
    [
        (("run", "saliency"), 1),
        (("run", "saliency"), 3),
        pytest.param(("run", "all"), 3, marks=pytest.mark.slow),
        (("report", "--analysis", "saliency"), 2),
    ],
    ids=str,
)
def test_an_interrupted_run_exits_with_130_and_resumes_identically(cli, pictures, monkeypatch, command, when):
    (pictures / "d").mkdir()
    for path in pictures.glob("*.png"):
        path.rename(pictures / "d" / path.name)
    with monkeypatch.context() as patch:
        lazily(patch, decode.Image, "open", when)
        code, out, err = cli(*command, "d", "--out", "o")
    assert code == 130
    assert err.startswith("Interrupted")
    assert "damaged" not in out + err
    if command == ("run", "saliency"):
        code, _, err = cli(*command, "d", "--out", "o", "--resume")
        assert (code, "skipped" in err) == (0, False)
        result = json.loads((pictures / "o/saliency/result.json").read_text())
        assert (len(result["images"]), result["skipped"]) == (4, {})


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_while_pillow_is_imported(pictures):
    done = python(pictures, "interrupt_property.py", "is_animated", "run", "saliency", "0.png")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted: nothing more was written.\n")


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("count", [1, 40])
def test_ctrl_c_while_the_command_line_is_imported(tmp_path, count):
    done = python(tmp_path, "interrupt_enum.py", count, "list")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted: nothing more was written.\n")


@pytest.mark.parametrize("where", ["load", "devices", "passes", "draw", "import"])
def test_ctrl_c_in_other_commands(cli, install, monkeypatch, where, tmp_path):
    """A plugin's model, its passes, its pictures and its import; a backend that is looked at."""

    wrapped = "raise RuntimeError('Error calling __set_name__') from KeyboardInterrupt()"
    code = f"""
from cnnexplain.plugin import Analysis, NamedModel, Result, hookimpl
{wrapped if where == "import" else ""}
def load(weights):
    {wrapped}
def run(classifier, images):
    "Nothing."
    return Result({{}})
def draw(record, index):
    {wrapped}
def passes(classifier, options):
    {wrapped if where == "passes" else "return 1"}
@hookimpl
def cnnexplain_analyses():
    return [Analysis("aa-wrapped", run, draw, "Nobody 2026", passes=passes)]
@hookimpl
def cnnexplain_models():
    return [NamedModel("wrapped", "A model.", load)]
"""
    install("wrapped-elsewhere", code)
    if where == "devices":
        from cnnexplain import backend

        monkeypatch.setattr(backend.module("tensorflow"), "devices", functools.partial(exec, wrapped))
    command = {
        "load": ("run", "saliency", "--model", "wrapped"),
        "devices": ("info",),
        "passes": ("run", "all"),
        "draw": ("run", "aa-wrapped"),
        "import": ("list",),
    }[where]
    code, _, err = cli(*command)
    assert code == 130, err
    assert err.splitlines()[-1].startswith("Interrupted")


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_only_the_program_installs_a_signal_handler(number, tmp_path):
    done = python(tmp_path, "note_signal.py", int(number))
    assert done.returncode == 7, done.stderr


def test_an_ignored_sigint_stays_ignored(tmp_path):
    done = python(tmp_path, "ignore_signal.py")
    assert done.returncode == 0, done.stderr
    assert Path(os.devnull).exists()


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("callback", ["weak reference", "finalizer", "ctypes"])
def test_ctrl_c_is_not_lost_in_a_callback(tmp_path, number, callback):
    """Python drops what such callbacks raise, and prints a traceback."""
    done = python(tmp_path, "interrupt_callback.py", int(number), callback)
    assert (done.returncode, done.stderr) == (7, "")


def test_other_errors_in_callbacks_are_printed(tmp_path):
    done = python(tmp_path, "fail_in_finalizer.py")
    assert done.returncode == 0
    assert "ValueError: no interruption" in done.stderr

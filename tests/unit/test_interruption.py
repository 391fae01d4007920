"""Ctrl-C is Ctrl-C, whatever a library makes of it."""

import ast
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

import cnnexplain as cx
from cnnexplain import interruption
from cnnexplain.cli import console
from cnnexplain.inputs import decode
from cnnexplain.inputs.image_stream import open_stream
from cnnexplain.interruption import held, interrupted


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """As if no Ctrl-C had come."""
    monkeypatch.setattr(interruption, "_state", interruption._State())


def python(folder, program, *arguments):
    """How a program ended that ran in a process of its own, in a folder."""
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def chained(error, **links):
    for name, link in links.items():
        setattr(error, name, link)
    return error


UnknownError = type("UnknownError", (Exception,), {"__module__": "tensorflow.python.framework.errors_impl"})


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        chained(RuntimeError(), __cause__=KeyboardInterrupt()),
        chained(ImportError(), __context__=chained(OSError(), __cause__=KeyboardInterrupt())),
        # Of two ways back the other one.
        chained(ImportError(), __cause__=ValueError(), __context__=KeyboardInterrupt()),
        chained(ImportError(), __context__=KeyboardInterrupt(), __suppress_context__=True),
        BaseExceptionGroup("several", [ValueError(), KeyboardInterrupt()]),
        UnknownError("{{function_node f}} KeyboardInterrupt: \nTraceback"),
        type("JaxRuntimeError", (RuntimeError,), {"__module__": "jaxlib._jax"})("INTERNAL: KeyboardInterrupt"),
    ],
    ids=repr,
)
def test_ctrl_c_is_found_among_causes_and_contexts(error):
    assert interrupted(error)


def test_other_errors_are_none():
    around = ValueError("KeyboardInterrupt")
    around.__context__ = chained(OSError(), __context__=around)
    assert not interrupted(around)
    assert not interrupted(chained(RuntimeError(), __cause__=UnknownError("no memory")))


def test_an_error_after_ctrl_c_is_ctrl_c_even_if_nothing_tells():
    """As extensions in C do, which drop an exception and raise their own."""
    with pytest.raises(KeyboardInterrupt):
        interruption._note()
    assert interrupted(TypeError("incompatible arguments"))


def test_ctrl_c_that_got_lost_is_raised_at_the_next_step():
    update = console.bar(console.training_progress().__enter__(), "Working")
    update(1, 3)
    with pytest.raises(KeyboardInterrupt):
        interruption._note()
    with pytest.raises(KeyboardInterrupt):
        update(2, 3)


def test_ctrl_c_waits_for_what_it_must_not_end():
    done = []

    def work():
        with held():
            interruption._note()
            with held():
                interruption._note()
            done.append(1)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done
    # It has been answered.
    with held():
        pass


def handlers(path):
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            if caught == "everything" or {"Exception", "BaseException"} & set(caught.strip("()").split(", ")):
                yield node, caught


LEFT = {"__main__.py": 1, "app.py": 1, "completion.py": 1, "errors.py": 2, "inference.py": 2, "tensorflow.py": 1}
"""How many handlers look at Ctrl-C in another way, or pass it on: the program's end, completions, how values are shown."""


def test_whatever_catches_everything_looks_for_ctrl_c(folder):
    left = {}
    for path in [*(folder / "cnnexplain").rglob("*.py"), *(folder / "plugins").rglob("*.py")]:
        for node, _ in handlers(path):
            if f"check_interrupted({node.name})" not in map(ast.unparse, node.body):
                left[path.name] = left.get(path.name, 0) + 1
    assert left == LEFT


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


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_a_file_is_not_called_damaged(lenet, pictures, monkeypatch, kind):
    lazily(monkeypatch, decode.Image, "open")
    with pytest.raises(KeyboardInterrupt):
        cx.read_images(pictures / f"0.{kind}", lenet)


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
def test_a_run_ends_with_130_and_is_resumed_to_the_same(cli, pictures, monkeypatch, command, when):
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


def test_a_file_of_a_data_set_is_not_passed_over(lenet, pictures, monkeypatch):
    lazily(monkeypatch, decode.Image, "open", 2)
    opened = open_stream(pictures, lenet)
    with pytest.raises(KeyboardInterrupt):
        list(opened.batches())
    assert not opened.skipped


IS_ANIMATED = """
import functools, signal, sys
make = functools.cached_property.__set_name__
left = {names!r}
def interrupt(self, owner, name):
    if name in left:
        left.remove(name)
        signal.raise_signal(signal.SIGINT)
    return make(self, owner, name)
functools.cached_property.__set_name__ = interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)
from cnnexplain.__main__ import run
sys.exit(run())
"""


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_while_pillow_is_imported(pictures):
    done = python(pictures, IS_ANIMATED.format(names=["is_animated"]), "run", "saliency", "0.png")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted: nothing more was written.\n")


ENUM = """
import enum, signal, sys
make = enum._proto_member.__set_name__
left = [{count}]
def interrupt(self, owner, name):
    left[0] -= 1
    if not left[0]:
        signal.raise_signal(signal.SIGINT)
    return make(self, owner, name)
enum._proto_member.__set_name__ = interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)
from cnnexplain.__main__ import run
sys.exit(run())
"""


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("count", [1, 40])
def test_ctrl_c_while_the_modules_of_the_command_line_are_read(tmp_path, count):
    done = python(tmp_path, ENUM.format(count=count), "list")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted: nothing more was written.\n")


@pytest.mark.parametrize("where", ["load", "devices", "passes", "draw", "import"])
def test_elsewhere_too(cli, install, monkeypatch, where, tmp_path):
    """A plugin's model, its passes, its pictures and its import; a backend that is looked at."""
    from cnnexplain.plugin import registry

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
    install("wrapped-elsewhere", code, module=f"wrapped_{where}")
    registry.load.cache_clear()
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
    try:
        code, _, err = cli(*command)
    finally:
        registry.load.cache_clear()
    assert code == 130, err
    assert err.splitlines()[-1].startswith("Interrupted")


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_by_the_program_and_by_no_importer(number, tmp_path):
    program = """
import signal, sys
from cnnexplain import interruption
from cnnexplain.cli import app
before = signal.getsignal(signal.SIGINT)
app.main(["--version"])
assert signal.getsignal(signal.SIGINT) is before
sys.argv = ["cnnexplain", "--version"]
app.main()
try:
    signal.raise_signal({number})
except KeyboardInterrupt:
    assert interruption.interrupted(TypeError())
    sys.exit(7)
"""
    done = python(tmp_path, program.format(number=int(number)))
    assert done.returncode == 7, done.stderr


def test_what_ignores_ctrl_c_still_does(tmp_path):
    program = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.argv = ["cnnexplain", "--version"]
from cnnexplain.cli import app
app.main()
os.kill(os.getpid(), signal.SIGINT)
"""
    done = python(tmp_path, program)
    assert done.returncode == 0, done.stderr
    assert Path(os.devnull).exists()


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("callback", ["weak reference", "finalizer", "ctypes"])
def test_ctrl_c_is_not_lost_in_a_callback(tmp_path, number, callback):
    """Python drops what such callbacks raise, and prints a traceback."""
    program = """
import ctypes, signal, sys, time, weakref
from cnnexplain.cli import app
sys.argv = ["cnnexplain", "--version"]
app.main()
class Thing:
    pass
class Finalized:
    def __del__(self):
        signal.raise_signal({number})
        pass
def callback(*_):
    signal.raise_signal({number})
    return 0
kind = {callback!r}
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
"""
    done = python(tmp_path, program.format(number=int(number), callback=callback))
    assert (done.returncode, done.stderr) == (7, "")


def test_other_errors_in_callbacks_are_printed(tmp_path):
    program = """
import sys
from cnnexplain.cli import app
sys.argv = ["cnnexplain", "--version"]
app.main()
class Finalized:
    def __del__(self):
        raise ValueError("no interruption")
Finalized()
"""
    done = python(tmp_path, program)
    assert done.returncode == 0
    assert "ValueError: no interruption" in done.stderr

"""Ctrl-C is Ctrl-C, whatever a library makes of it."""

import ast

import numpy as np
import pytest
from PIL import Image

import cnnexplain as cx
from cnnexplain import interruption
from cnnexplain.cli import console
from cnnexplain.inputs import decode
from cnnexplain.inputs.image_stream import open_stream
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.interruption import held, interrupted


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """As if no Ctrl-C had come."""
    monkeypatch.setattr(interruption, "_state", interruption._State())


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
def test_ctrl_c_is_found_in_causes_and_contexts(error):
    assert interrupted(error)


def test_other_errors_are_not_interruptions():
    around = ValueError("KeyboardInterrupt")
    around.__context__ = chained(OSError(), __context__=around)
    assert not interrupted(around)
    assert not interrupted(chained(RuntimeError(), __cause__=UnknownError("no memory")))


def test_errors_after_ctrl_c_count_as_ctrl_c():
    """As extensions in C do, which drop an exception and raise their own."""
    with pytest.raises(KeyboardInterrupt):
        interruption._handle()
    assert interrupted(TypeError("incompatible arguments"))


def test_a_lost_ctrl_c_is_raised_at_the_next_step():
    update = console.bar(console.training_progress().__enter__(), "Working")
    update(1, 3)
    with pytest.raises(KeyboardInterrupt):
        interruption._handle()
    with pytest.raises(KeyboardInterrupt):
        update(2, 3)


def test_ctrl_c_waits_for_protected_code():
    done = []

    def work():
        with held():
            interruption._handle()
            with held():
                interruption._handle()
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


LEFT = {
    "__main__.py": 1,
    "app.py": 1,
    "completion.py": 1,
    "errors.py": 2,
    "inference.py": 2,
    "tensorflow.py": 1,
    "picture_tasks.py": 1,
    "picture_workers.py": 1,
    "requests.py": 1,
}
"""How many handlers look at Ctrl-C in another way, or pass it on: the program's end, completions, how values are shown, the
processes and threads that draw, whose errors the main thread raises again, and the studio's thread."""


def test_broad_exception_handlers_check_for_ctrl_c(folder):
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
def test_ctrl_c_does_not_report_a_damaged_file(pictures, monkeypatch, kind):
    lazily(monkeypatch, decode.Image, "open")
    with pytest.raises(KeyboardInterrupt):
        cx.read_images(pictures / f"0.{kind}", Preprocess(28, 28, "gray"))


def test_ctrl_c_does_not_skip_a_file_of_a_data_set(pictures, monkeypatch):
    lazily(monkeypatch, decode.Image, "open", 2)
    opened = open_stream(pictures, Preprocess(28, 28, "gray"))
    with pytest.raises(KeyboardInterrupt):
        list(opened.batches())
    assert not opened.skipped

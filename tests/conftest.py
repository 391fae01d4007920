"""What the tests share: the classifier, models with every kind of head, images, plugin packages, the command line."""

import gc
import os
import random as initializers  # Keras' initializers draw their seeds from there.
import signal
import subprocess
import sys
from pathlib import Path

# The processes of pytest-xdist keep the cores busy; threads of linear algebra would wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import numpy as np
import pytest
import shapes  # noqa: F401  # Before the package, to instrument it.
from PIL import Image

import cnnexplain as cx

# Another seed gives every model of the tests other weights: SEED=7 pytest tests/numeric
SEED = os.environ.get("SEED", "0")


def pytest_collection_finish():
    """The garbage collector skips the modules that are loaded by now, which it would search in vain thousands of times."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef):
    initializers.seed(f"{SEED} {fixturedef.argname}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item):
    initializers.seed(f"{SEED} {item.nodeid}")


@pytest.fixture(scope="session")
def lenet():
    return cx.load()


@pytest.fixture
def random():
    return np.random.default_rng(0)


@pytest.fixture
def noise(random):
    """Four images without ties, so that every maximum is unique."""
    return random.uniform(0, 1, (4, 28, 28, 1)).astype(np.float32)


@pytest.fixture
def cli(tmp_path, monkeypatch, capfd):
    """Runs the command line in an empty folder: cli("run", "saliency") → its exit code, output and errors."""
    from cnnexplain.cli.app import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def run(*arguments):
        capfd.readouterr()  # What TensorFlow wrote while a test made a model.
        code = main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def blank_pictures(monkeypatch):
    """Pictures of images are blank, in tests that do not look at them: drawing takes most of the time of a run."""
    from matplotlib.figure import Figure

    from cnnexplain.results.record import Record

    monkeypatch.setattr(Record, "figure", lambda record, index=0: Figure((1, 1)))


@pytest.fixture
def shell(tmp_path):
    """Runs a Python program in a process of its own, in an empty folder."""

    def run(*arguments, env=(), timeout=240, **options):
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "200", **dict(env)},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            **options,
        )

    return run


@pytest.fixture
def interruptible():
    """Ctrl-C reaches the processes that a test starts even where its own is to ignore it, as background jobs often are."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def digit_file(tmp_path):
    """A PNG of a seven as MNIST has it: light on black, 28×28."""
    from cnnexplain.inputs import datasets

    path = tmp_path / "seven.png"
    Image.fromarray(datasets.sample("mnist:test/0")[0]).save(path)
    return path


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a plugin package with its metadata on the path, as pip would, for one test: install("name", code)."""
    from cnnexplain.plugin import registry

    forget = registry.load.cache_clear
    modules = []

    def put(name, code, *, point=None, module=None):
        site = tmp_path / "site"
        info = site / f"{name.replace('-', '_')}-1.5.dist-info"
        info.mkdir(parents=True)
        module = module or f"{name.replace('-', '_')}_module"
        assert module not in sys.modules
        modules.append(module)
        (site / f"{module}.py").write_text(code)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
        (info / "entry_points.txt").write_text(f"[cnnexplain]\n{point or name} = {module}\n")
        monkeypatch.syspath_prepend(str(site))
        forget()
        return site

    yield put
    for module in modules:
        sys.modules.pop(module, None)
    forget()


PLUGIN = """
from typing import Annotated
import numpy as np
from cnnexplain.plugin import Analysis, Option, Result, hookimpl

def run(classifier, images, *, scale: Annotated[float, Option("A factor.", min=0)] = 1.0):
    "The image times a factor."
    return Result({{"scaled": images * np.float32(scale)}}, {{"mean": [float(image.mean()) for image in images]}})

def draw(record, index):
    from cnnexplain import draw
    figure, (panel,) = draw.row(1, record, bars=[0])
    draw.unsigned_map(panel, record.arrays["scaled"][index, ..., 0], "units")
    draw.caption(figure, record, index)
    return figure

@hookimpl
def cnnexplain_analyses():
    return [Analysis("{name}", run, draw, "Nobody 2026")]
"""


@pytest.fixture
def plugin_code():
    return lambda name: PLUGIN.format(name=name)


def layers(softmax, random):
    """A small network on 12×10×3 images that ends in "dense", "softmax", "activation", "logits" or "nested"."""
    import keras

    parts = [
        keras.layers.Conv2D(6, 3, activation="relu", name="conv"),
        keras.layers.MaxPooling2D(name="pool"),
        keras.layers.Flatten(name="flatten"),
        keras.layers.Dense(8, activation="relu", name="hidden"),
    ]
    scores = keras.layers.Dense(5, activation="softmax" if softmax in ("dense", "nested") else None, name="scores")
    tail = {"softmax": [keras.layers.Softmax()], "activation": [keras.layers.Activation("softmax")]}.get(softmax, [])
    if softmax == "nested":
        body = keras.Sequential([keras.Input((12, 10, 3)), *parts], name="body")
        head = keras.Sequential([keras.Input((8,)), scores], name="head")
        inputs = keras.Input((12, 10, 3))
        model = keras.Model(inputs, head(body(inputs)))
    else:
        model = keras.Sequential([keras.Input((12, 10, 3)), *parts, scores, *tail])
    for weight in model.weights:
        weight.assign(random.normal(0, 0.5, weight.shape))
    return model


@pytest.fixture(scope="session")
def model():
    return lambda head="dense", seed=0: layers(head, np.random.default_rng(seed))


@pytest.fixture
def folder():
    return Path(__file__).parent.parent

"""What makes Keras quicker in tests: settings, one LeNet for all tests of a process, and functions that compile late."""

import functools
import itertools
import types
import typing
import warnings

import pytest

# With the oldest dependencies this warns of their own code.
with warnings.catch_warnings(action="ignore"):
    import keras

from cnnexplain import backend
from cnnexplain.loading import loader

TENSORFLOW = keras.backend.backend() == "tensorflow"

# TensorFlow asks of each argument whether it is a tensor, by a protocol whose members Python 3.11 collects each time.
if hasattr(typing, "_get_protocol_attrs"):
    typing._get_protocol_attrs = functools.cache(typing._get_protocol_attrs)


@pytest.fixture(autouse=True)
def quick(request, monkeypatch):
    """Tests share the LeNet and compile late, except those marked `backends` or `unaided`."""
    if not {"backends", "unaided"} & {mark.name for mark in request.node.iter_markers()}:
        monkeypatch.setattr(loader, "load", load_once)
        if TENSORFLOW:
            monkeypatch.setattr(backend.current(), "tf", tensorflow_that_compiles_late)


load = loader.load


@functools.cache
def lenet():
    return load()


def load_once(model=None, **options):
    """`cnnexplain.load`, which loads and compiles the included LeNet only once."""
    plain = all(not value or value == [{}] or name == "limits" for name, value in options.items())
    return lenet() if model in (None, "lenet") and plain else load(model, **options)


if TENSORFLOW:
    import tensorflow

    # Its optimization of graphs takes longer than it saves on networks as small as those of the tests.
    tensorflow.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

    def compiled_late(function, **options):
        """`tf.function` that compiles at the third call, which most tests do not make: compiling takes longer than two."""
        calls, compiled = itertools.count(), functools.cache(lambda: tensorflow.function(function, **options))

        def call(*arrays):
            if next(calls) < 2:
                return function(*map(tensorflow.convert_to_tensor, arrays))
            return compiled()(*arrays)

        return call

    tensorflow_that_compiles_late = types.ModuleType("tensorflow")
    vars(tensorflow_that_compiles_late).update(vars(tensorflow), function=compiled_late)
    tensorflow_that_compiles_late.__getattr__ = functools.partial(getattr, tensorflow)

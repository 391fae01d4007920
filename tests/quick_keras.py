"""What makes Keras quicker in tests: settings, one LeNet for all tests of a process, and functions that compile late."""

import functools
import itertools
import typing
import warnings

import numpy as np
import pytest

# With the oldest dependencies this warns of their own code.
with warnings.catch_warnings(action="ignore"):
    import keras

import cnnexplain as cx
from cnnexplain import backend
from cnnexplain.loading import loader

load = cx.load
# TensorFlow asks of each argument whether it is a tensor, by a protocol whose members Python 3.11 collects each time.
if hasattr(typing, "_get_protocol_attrs"):
    typing._get_protocol_attrs = functools.cache(typing._get_protocol_attrs)


@pytest.fixture(autouse=True)
def quick(request, monkeypatch):
    """Tests share the LeNet and compile late, except those marked `backends` or `unaided`."""
    if not {"backends", "unaided"} & {mark.name for mark in request.node.iter_markers()}:
        monkeypatch.setattr(loader, "load", load_once)
        monkeypatch.setattr(cx, "load", load_once)
        if keras.backend.backend() == "tensorflow":
            monkeypatch.setattr(backend.current(), "compiled", compiled_late)


@functools.cache
def lenet():
    return load()


def load_once(model=None, **options):
    """`cnnexplain.load`, which loads and compiles the included LeNet only once."""
    plain = all(not value or value == [{}] or name == "limits" for name, value in options.items())
    return lenet() if model in (None, "lenet") and plain else load(model, **options)


if keras.backend.backend() == "tensorflow":
    import tensorflow

    from cnnexplain.backend.tensorflow import compiled

    # Its optimization of graphs takes longer than it saves on networks as small as those of the tests.
    tensorflow.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

    def compiled_late(function, *declared):
        """`Backend.compiled`, which compiles at the third call: most tests make no third, and compiling takes longer."""
        calls, made = itertools.count(), functools.cache(lambda: compiled(function, *declared))

        def call(*arrays):
            if next(calls) >= 2:
                return made()(*arrays)
            with keras.StatelessScope():
                tensors = [tensorflow.convert_to_tensor(np.asarray(array, np.float32)) for array in arrays]
                return [np.asarray(each) for each in function(*tensors)]

        return call

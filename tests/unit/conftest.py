"""Unit tests need no Keras: here importing it, or a fixture that needs it, fails."""

import sys

import pytest

KERAS = ("keras", "tensorflow", "jax", "torch")


class Refused:
    """An importer that refuses Keras and its backends."""

    def find_spec(self, name, *_):
        if name.partition(".")[0] in KERAS:
            pytest.fail(f"A unit test imports {name}; tests that need it are in tests/numeric and tests/end_to_end.")


def needs_keras(module):
    """Whether a module of the package imports Keras as a whole, not within a function."""
    return any(getattr(vars(module).get(name), "__name__", "") == name for name in KERAS)


@pytest.fixture(autouse=True)
def without_keras(monkeypatch):
    """Hides what another test of the same process has imported."""
    ours = {name for name, module in list(sys.modules.items()) if name.startswith("cnnexplain") and needs_keras(module)}
    for name in ours.union(KERAS):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Refused(), *sys.meta_path])


@pytest.fixture
def lenet():
    pytest.fail("A unit test can't have the classifier, which needs Keras.")


@pytest.fixture
def model(lenet):
    pass

"""The shapes that signatures state are checked while the tests run; see tests/shapes.py."""

import inspect
import sys
import types

import beartype.roar
import numpy as np
import pytest
import shapes

SOURCE = """
from __future__ import annotations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float32

    from elsewhere import Unknown


def means(images: Float32[np.ndarray, "N H W C"], unknown: Unknown = None) -> Float32[np.ndarray, "N C"]:
    return images.mean((1, 2)) if unknown is None else unknown


class Pair:
    @classmethod
    def of(cls, first: dict[str, Float32[np.ndarray, "N"]], second: Float32[np.ndarray, "N"] | None):
        return first, second


def plain(anything: str):
    return anything
"""


@pytest.fixture
def module():
    module = types.ModuleType("annotated")
    exec(SOURCE, vars(module))
    shapes.instrument(module, "annotated")
    return module


def test_matching_shapes_pass(module):
    images = np.zeros((2, 3, 4, 1), np.float32)
    assert module.means(images).shape == (2, 1)
    assert module.Pair.of({"a": np.zeros(2, np.float32)}, None)[1] is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda module: module.means(np.zeros((3, 4, 1), np.float32)), "images"),
        (lambda module: module.means(np.zeros((2, 3, 4, 1))), "images"),
        (lambda module: module.means(np.zeros((2, 3, 4, 1), np.float32), np.zeros((3, 1), np.float32)), "return"),
        (lambda module: module.Pair.of({"a": np.zeros(2, np.float32)}, np.zeros(3, np.float32)), "second"),
    ],
)
def test_contradicting_shapes_raise(module, call, message):
    with pytest.raises(beartype.roar.BeartypeCallHintViolation, match=message):
        call(module)


def test_signatures_are_unchanged(module):
    assert inspect.signature(module.means).parameters["images"].annotation == "Float32[np.ndarray, 'N H W C']"
    assert not hasattr(module.plain, "__wrapped__")


def test_the_package_is_instrumented():
    assert isinstance(sys.modules["cnnexplain"].__loader__, shapes.Loader)

"""Calls a user's layers in inference mode, without leaving traces in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import keras

T = TypeVar("T")


class _Entry(keras.Layer):  # type: ignore[misc]  # Keras has no types.
    """The layer within which all others are called.

    Keras forgets the losses of the outermost layer of a pass, and passes its `training` argument on to the layers within. It
    has no name, since Keras would prepend the name to those of variables that the layers create later.
    """

    def __init__(self) -> None:
        super().__init__(name="", dtype="float32", autocast=False)
        self.built = True

    def call(self, function: Callable[[], Any], training: bool | None = None) -> Any:  # noqa: ARG002  # Keras reads it.
        return function()


def in_inference(function: Callable[[], T]) -> T:
    """The result of a function that calls layers, in inference mode unless a call states otherwise.

    The layers' losses and variables, such as the states of random generators, do not change within a
    `keras.StatelessScope`, as in everything that a backend compiles.
    """
    raised: list[BaseException] = []

    def recorded() -> T:
        try:
            return function()
        except BaseException as error:
            raised.append(error)
            raise

    try:
        return _Entry()(function=recorded, training=False)  # type: ignore[no-any-return]
    except BaseException:
        # Keras raises another error, with its own text around that of the original.
        if not raised:
            raise
    raise raised[0] from raised[0].__cause__


def run_isolated(function: Callable[[], T]) -> T:
    """`in_inference` within a `keras.StatelessScope` of its own; not for functions that a backend compiles."""
    with keras.StatelessScope():
        return in_inference(function)

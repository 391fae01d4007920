"""Calls a user's layers in inference mode so that nothing of it stays in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import keras

Given = TypeVar("Given")


class _Entry(keras.Layer):  # type: ignore[misc]  # Keras has no types.
    """The layer by which all others are called.

    Keras forgets the losses of the layer by which a pass is entered, and tells those that are called on the way whether it
    is one of training. It has no name, which would be put before the names of the layers' later variables.
    """

    def __init__(self) -> None:
        super().__init__(name="", dtype="float32", autocast=False)
        self.built = True

    def call(self, function: Callable[[], Any], training: bool | None = None) -> Any:  # noqa: ARG002  # Keras reads it.
        return function()


def in_inference(function: Callable[[], Given]) -> Given:
    """What a function gives that calls layers, in inference mode unless a call says otherwise.

    The layers' losses stay what they are where this runs in a `keras.StatelessScope`, as all does that a backend compiles;
    so do their variables, such as the states of random generators.
    """
    raised: list[BaseException] = []

    def kept() -> Given:
        try:
            return function()
        except BaseException as error:
            raised.append(error)
            raise

    try:
        return _Entry()(function=kept, training=False)  # type: ignore[no-any-return]
    except BaseException:
        # Keras raises another error, with its own words around those of the first.
        if not raised:
            raise
    raise raised[0] from raised[0].__cause__


def aside(function: Callable[[], Given]) -> Given:
    """The same where nothing else keeps losses and variables as they are; not for what a backend compiles."""
    with keras.StatelessScope():
        return in_inference(function)

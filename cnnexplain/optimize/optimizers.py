"""Optimizers, each the same for NumPy arrays and for the tensors of a compiled function."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

Shape: TypeAlias = tuple[int, ...]

Step: TypeAlias = "Callable[[Float[np.ndarray, 'N ...'], Any, int], tuple[Float[np.ndarray, 'N ...'], Any]]"
"""(gradient, state or None, index of the step) ↦ the update to add to the variables, and the next state."""

Update: TypeAlias = "Callable[..., tuple[Any, tuple[Any, ...]]]"
"""(gradient, state, numbers of the step, …) ↦ the update to add to the variables, and the next state."""

Rate: TypeAlias = "Callable[[int], float | Float[np.ndarray, '...']]"
"""The index of a step ↦ the learning rate: a number, or an array that broadcasts to the variables."""


@dataclass(frozen=True)
class Optimizer:
    """An optimizer, which is also a `Step`.

    Args:
        update: (gradient (N, …), state, numbers of the step, …) ↦ the update, and the next state, for arrays or tensors. The
            state is zero at first.
        numbers: The index of a step ↦ the numbers of the step, such as the learning rate, which broadcast to the variables.
        state: The shape of a gradient ↦ the shapes of the arrays of the state, all with the same first axis.
    """

    update: Update
    numbers: Callable[[int], tuple[Any, ...]]
    state: Callable[[Shape], tuple[Shape, ...]]

    def __call__(
        self, gradient: Float[np.ndarray, "N ..."], state: Any, number: int
    ) -> tuple[Float[np.ndarray, "N ..."], Any]:
        """The update of step `number` to add to the variables, and the next state; the first state is None."""
        zeros = tuple(np.zeros(shape, gradient.dtype) for shape in self.state(gradient.shape))
        return self.update(gradient, state or zeros, *self.numbers(number))


def adam(rate: Rate, decay: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8) -> Optimizer:
    """Adam (Kingma & Ba 2014, arXiv:1412.6980, algorithm 1) with a learning rate for each step, counted from 0."""

    def numbers(number: int) -> tuple[Any, ...]:
        mean_correction, square_correction = (1 - each ** (number + 1) for each in decay)
        return (-rate(number) / mean_correction, epsilon, *_moments(decay), 1 / square_correction)

    return Optimizer(_adam, numbers, lambda shape: (shape, shape))


def nadam(rate: Callable[[int], float], decay: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8) -> Optimizer:
    """Adam with Nesterov momentum (Dozat 2016): uses the mean that would follow if the next gradient were equal."""

    def numbers(number: int) -> tuple[float, ...]:
        corrections = (1 - decay[0] ** (number + 2), *(1 - each ** (number + 1) for each in decay))
        return (rate(number), epsilon, *_moments(decay), *corrections)

    return Optimizer(_nadam, numbers, lambda shape: (shape, shape))


def momentum(rate: Callable[[int], float], factor: float) -> Optimizer:
    """Gradient descent with momentum: v ← factor · v − rate · gradient; v is reset to 0 when the rate changes."""

    def numbers(number: int) -> tuple[float, ...]:
        fresh = number == 0 or rate(number) != rate(number - 1)
        return rate(number), 0.0 if fresh else factor

    return Optimizer(_momentum, numbers, lambda shape: (shape,))


def normalized(optimizer: Optimizer) -> Optimizer:
    """An optimizer for gradients divided by the root mean square of the first one of the same problem that is not zero.

    An ε then means the same for gradients of any magnitude.
    """
    return Optimizer(
        _normalized(optimizer.update),
        optimizer.numbers,
        lambda shape: ((shape[0], *[1] * (len(shape) - 1)), *optimizer.state(shape)),
    )


def _adam(
    gradient: Any,
    state: Any,
    factor: Any,
    epsilon: Any,
    *numbers: Any,
) -> tuple[Any, tuple[Any, Any]]:
    old_mean, new_mean, old_square, new_square, square_factor = numbers
    mean, square = state
    mean = old_mean * mean + new_mean * gradient
    square = old_square * square + new_square * gradient**2
    return factor * mean / (_library(square).sqrt(square_factor * square) + epsilon), (mean, square)


def _nadam(
    gradient: Any,
    state: Any,
    rate: Any,
    epsilon: Any,
    *numbers: Any,
) -> tuple[Any, tuple[Any, Any]]:
    old_mean, new_mean, old_square, new_square, next_correction, mean_correction, square_correction = numbers
    mean, square = state
    mean = old_mean * mean + new_mean * gradient
    square = old_square * square + new_square * gradient**2
    ahead = old_mean * mean / next_correction + new_mean * gradient / mean_correction
    return -rate * ahead / (_library(square).sqrt(square / square_correction) + epsilon), (mean, square)


def _momentum(gradient: Any, state: Any, rate: Any, factor: Any) -> tuple[Any, tuple[Any]]:
    velocity = factor * state[0] - rate * gradient
    return velocity, (velocity,)


@functools.cache
def _normalized(update: Update) -> Update:
    """The same function for the same update, so that the code compiled for it is reused."""

    def normalized(gradient: Any, state: Any, *numbers: Any) -> tuple[Any, tuple[Any, ...]]:
        library, (scale, *others) = _library(gradient), state
        scale = library.where(scale == 0, _magnitude(gradient), scale)
        move, others = update(gradient / library.where(scale == 0, 1.0, scale), others, *numbers)
        return move, (scale, *others)

    return normalized


def _moments(decay: tuple[float, float]) -> tuple[float, ...]:
    """The weights of the old mean and of the gradient, and the same for the mean square."""
    return decay[0], 1 - decay[0], decay[1], 1 - decay[1]


def _magnitude(x: Any) -> Any:
    """The root mean square over all axes but the first, without overflow."""
    library, axes = _library(x), tuple(range(1, len(x.shape)))
    largest = library.max(library.abs(x), axis=axes, keepdims=True)
    relative = x / library.where(largest == 0, 1.0, largest)
    return largest * library.sqrt(library.mean(relative**2, axis=axes, keepdims=True))


def _library(x: Any) -> Any:
    """The module with the functions for arrays or for tensors."""
    if isinstance(x, np.ndarray):
        return np
    # Imported here, since optimizers of NumPy arrays do not need Keras.
    from keras import ops

    return ops

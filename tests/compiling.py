"""Compiled gradients of a function of tensors, for tests of the backend's primitives."""

from cnnexplain import backend


def compile_gradient(function, shapes, variables):
    """(x, …) ↦ function(x, …), (N,), and the gradient of each value with respect to its own x, compiled."""
    differentiated = backend.current().value_and_gradient(lambda *arrays: [function(*arrays)])
    return backend.current().compiled(differentiated, shapes, variables)

"""Checks the shapes and types of arrays in the package's signatures, such as Float32[np.ndarray, "N H W C"], at every call.

The package imports jaxtyping for type checkers only. Here annotations that contain one of its types are evaluated at the
first call of a function and checked by beartype. mypy checks the others, and functions within functions.
"""

import collections.abc
import functools
import importlib.abc
import importlib.machinery
import inspect
import sys
import types
import typing

import beartype
import beartype.roar
import jaxtyping
import numpy as np

PACKAGES = ("cnnexplain", "cnnexplain_plugins")


class Names(dict):
    """What annotations may name; all other names stand for any type."""

    def __missing__(self, name):
        return typing.Any


NAMES = Names({**vars(typing), **vars(collections.abc), **vars(jaxtyping), "np": np, "__builtins__": {}})
NAMES.update({kind.__name__: kind for kind in (bool, bytes, dict, float, frozenset, int, list, set, str, tuple, type)})


def with_shapes(function):
    """The annotations to check; none of a decorated function, whose code takes anything."""
    if hasattr(function, "__wrapped__"):
        return {}
    return {name: hint for name, hint in function.__annotations__.items() if isinstance(hint, str) and "[np.ndarray" in hint}


def checked(function):
    """The function, which raises where its arrays contradict its annotations."""

    @functools.cache
    def typed():
        bare = types.FunctionType(
            function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
        )
        for name in ("__kwdefaults__", "__module__", "__qualname__"):
            setattr(bare, name, getattr(function, name))
        bare.__annotations__ = {name: eval(hint, NAMES) for name, hint in with_shapes(function).items()}
        return jaxtyping.jaxtyped(beartype.beartype(bare), typechecker=None)

    @functools.wraps(function)
    def call(*arguments, **options):
        try:
            return typed()(*arguments, **options)
        except beartype.roar.BeartypeCallHintParamViolation:
            # Invalid arguments, as tests pass them on purpose, are fine if the function itself rejects them.
            try:
                function(*arguments, **options)
            except Exception as error:
                if any(kind.__name__ == "CnnExplainError" for kind in type(error).__mro__):
                    raise error from None
            raise

    return call


def instrument(namespace, module):
    """Replaces the functions of a module or class, defined there, that state the shape of an array."""
    for name, value in list(vars(namespace).items()):
        if inspect.isclass(value) and value.__module__ == module and value is not namespace:
            instrument(value, module)
        elif inspect.isfunction(value) and value.__module__ == module and with_shapes(value):
            setattr(namespace, name, checked(value))
        elif isinstance(value, classmethod | staticmethod) and with_shapes(value.__func__):
            setattr(namespace, name, type(value)(checked(value.__func__)))


class Loader(importlib.machinery.SourceFileLoader):
    def exec_module(self, module):
        super().exec_module(module)
        instrument(module, module.__name__)


class Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of the package, and instruments each after it is imported."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in PACKAGES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = Loader(spec.loader.name, spec.loader.path)
        return spec


jaxtyping.jaxtyped("context")  # Its first call imports JAX where it is there, which unit tests refuse.
assert not any(name.partition(".")[0] in PACKAGES for name in sys.modules), "The package was imported before."
sys.meta_path.insert(0, Finder())

"""Former names of settings, options and facts, which are still accepted.

Model settings, configuration files, command lines and saved results may have them. Values keep their meaning.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

KEYS = {"colour": "color", "input_colour": "input_color"}
"""Former keys of model settings and options, each with its present name."""

WORDS = {"grey": "gray"}
"""Former values of options."""

FIELDS = {"note": "limitations", "reading": "how_to_read"}
"""Former parameters of `cnnexplain.plugin.Analysis` and keys of `result.json`."""

CHECKS = {"neighbours": "neighbors"}
"""Former names of conformance checks."""

FACTS = {"residual": "convergence_delta", "relative_residual": "relative_convergence_delta"}
"""Former facts of the built-in analyses."""


def key(name: Any) -> Any:
    """The present name of a key, with underscores or hyphens as in `name`."""
    if not isinstance(name, str) or name.replace("-", "_") not in KEYS:
        return name
    present = KEYS[name.replace("-", "_")]
    return present.replace("_", "-") if "-" in name else present


def keywords(kind: type[T]) -> type[T]:
    """A class decorator: the constructor also accepts the former names of its keyword arguments."""
    construct = kind.__init__

    @functools.wraps(construct)
    def __init__(self: T, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        present = {key(name): value for name, value in kwargs.items()}
        if len(present) < len(kwargs):
            raise TypeError(f"{kind.__name__}() got both a keyword and its former name: {', '.join(kwargs)}")
        construct(self, *args, **present)

    kind.__init__ = __init__  # type: ignore[assignment]
    return kind


def word(value: Any) -> Any:
    """The present word for the value of an option; other values unchanged."""
    return WORDS.get(value, value) if isinstance(value, str) else value


def flag(argument: str) -> str:
    """A command-line argument such as "--input-colour=grey", with the option's present name."""
    name, separator, value = argument.partition("=")
    return f"--{key(name.removeprefix('--'))}{separator}{value}" if name.startswith("--") else argument


def renamed(content: Any) -> Any:
    """JSON with the present names of keys and words, at any depth; the original is not changed."""
    if isinstance(content, Mapping):
        return {key(name): renamed(value) for name, value in content.items()}
    return [renamed(value) for value in content] if isinstance(content, list) else word(content)


def parameters(**names: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A decorator for functions that also accept the former names of parameters, given as former=present."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            for former in names.keys() & kwargs.keys():
                kwargs[names[former]] = kwargs.pop(former)
            return function(*args, **kwargs)

        return call

    return decorate

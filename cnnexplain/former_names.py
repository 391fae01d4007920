"""Former names of settings, options and facts, which are still accepted.

Model settings, configuration files, command lines and saved results may have them. Values keep their meaning.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from cnnexplain.errors import UsageError

T = TypeVar("T", bound=Callable[..., Any])

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


def current(values: Mapping[Any, Any], names: Mapping[str, str] = KEYS, owner: str = "") -> dict[Any, Any]:
    """The values under their present names.

    Args:
        values: Values by name, present or former.
        names: The present name of each former one.
        owner: What got the values, for the error.

    Raises:
        UsageError: A value has both its former and its present name.
    """
    for former, present in names.items():
        if former in values and present in values:
            raise UsageError(
                f"{owner or 'The settings'} got both '{former}' and '{present}', its present name; remove '{former}'."
            )
    return {names.get(name, name): value for name, value in values.items()}


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


def accepted(**names: str) -> Callable[[T], T]:
    """A decorator for functions and classes that also accept the former names of parameters, given as former=present."""

    def decorate(decorated: T) -> T:
        function: Any = decorated.__init__ if isinstance(decorated, type) else decorated  # type: ignore[misc]

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **current(kwargs, names, f"{decorated.__name__}()"))

        if isinstance(decorated, type):
            decorated.__init__ = call  # type: ignore[misc]
            return decorated
        return call  # type: ignore[return-value]

    return decorate

"""Reads the options of an analysis from the signature of its `run`, for the command line, the Python API and the docs."""

from __future__ import annotations

import inspect
import math
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnexplain.errors import MAX_BITS, PluginError, UsageError, shown, suggest

INPUTS = ("classifier", "images", "targets", "objectives", "dataset", "progress")
"""The inputs that an analysis can take, as parameters of `run` in any order."""

LONGEST = 60
"""Maximum number of characters in the name of an option."""

OWN = ("classifier", "targets", "objectives", "progress", "start", "analysis", "config", "help", "h", "version")
"""Names that have a meaning for every analysis but are not options of `cnnexplain run`."""

COMMON = (
    *("images", "invert", "target", "against", "dataset", "resume", "out", "format", "dpi", "pictures", "json"),
    *("control", "verify"),
    *("verbose", "backend", "model", "preprocess", "labels", "output", "input", "fixed", "custom_objects", "weights"),
    *("no_limits", "show_bands", "logits", "probabilities", "values", "value_unit", "reduce", "input_size"),
    *("input_color", "input_scale", "input_mean", "input_std", "input_fit", "input_crop", "input_interpolation"),
    *("input_antialias", "input_white_level"),
)
"""The options of `cnnexplain run` that are not an analysis' own."""

KINDS = {int: "an integer", float: "a number", bool: "True or False", str: "text"}
"""What the values of an option are called in messages, by its type."""

RESERVED = frozenset({*OWN, *COMMON})
"""Names that an analysis can't use for its own options."""


@dataclass(frozen=True)
class Option:
    """Documents and bounds one keyword-only parameter of an analysis, as in `Annotated[int, Option("…", min=1)]`.

    Args:
        help: One sentence for the user.
        min: The smallest value allowed, for numbers.
        max: The largest value allowed, for numbers.
    """

    help: str
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class Parameter:
    """One option as read from a signature.

    Args:
        name: The parameter's name.
        type: int, float, str or bool.
        default: The default value.
        option: Its help and bounds.
        choices: The allowed values; empty if all are.
        optional: Whether None is allowed.
        many: Whether it takes any number of values, kept as a tuple.
    """

    name: str
    type: type
    default: Any
    option: Option
    choices: tuple[str, ...] = ()
    optional: bool = False
    many: bool = False

    @property
    def flag(self) -> str:
        """The option as typed on the command line, such as "--patch-size"."""
        return "--" + self.name.replace("_", "-")

    def check(self, value: object, called: str | None = None) -> Any:
        """Checks a value and converts it to this option's type; errors name the option by its flag, or by `called`.

        Raises:
            UsageError: The value has another type, is out of range, or is not one of the choices.
        """
        name = self.flag if called is None else called
        if self.many:
            if isinstance(value, list | tuple) and not value and self.default:
                raise UsageError(f"{name} takes at least one value, but got none.")
            return tuple(self._check(each, name) for each in (value if isinstance(value, list | tuple) else [value]))
        return self._check(value, name)

    def _check(self, value: object, name: str) -> Any:
        if value is None and self.optional:
            return None
        if self.type is float and isinstance(value, int) and not isinstance(value, bool):
            value = math.inf if abs(value) > sys.float_info.max else float(value)
        # An option of type str also takes an int from Python: --unit 3 is unit=3.
        if self.type is str and not self.choices and isinstance(value, int) and not isinstance(value, bool):
            value = str(value) if value.bit_length() <= MAX_BITS else value
        if not isinstance(value, self.type) or (isinstance(value, bool) and self.type is not bool):
            raise UsageError(f"{name} takes {KINDS[self.type]}, but got {shown(value)}.")
        if self.choices and value not in self.choices:
            near = suggest(str(value), self.choices)
            raise UsageError(f"{name} takes one of {', '.join(self.choices)}, but got {shown(value)}.{near}")
        low, high = self.option.min, self.option.max
        if isinstance(value, int | float) and not (
            (low is None or value >= low) and (high is None or value <= high) and _fits(value)
        ):
            raise UsageError(f"{name} takes {_interval(low, high)}, but got {shown(value)}.")
        return value


def parameters(run: Callable[..., object]) -> tuple[Parameter, ...]:
    """The options that the signature of `run` declares: its keyword-only parameters.

    Raises:
        PluginError: A parameter has no `Option`, no default, a reserved name, or an unsupported type. Supported are int,
            float, str, bool, a `Literal` of strings, each of these `| None`, and tuples of any length of one of them.
    """
    keyword_only = [p for p in inspect.signature(run).parameters.values() if p.kind is p.KEYWORD_ONLY]
    declared = tuple(_parameter(run, parameter) for parameter in keyword_only)
    for parameter in declared:
        if f"no_{parameter.name}" in [other.name for other in declared]:
            raise PluginError(f"run() declares '{parameter.name}' and 'no_{parameter.name}', which would turn it off.")
    return declared


def inputs(run: Callable[..., object], allowed: Sequence[str] = INPUTS, of: str = "an analysis") -> tuple[str, ...]:
    """The inputs that `run` takes: its parameters that aren't keyword-only.

    Args:
        run: The function.
        allowed: The inputs that it can take.
        of: What it belongs to, for errors.

    Raises:
        PluginError: It takes another input.
    """
    names = tuple(p.name for p in inspect.signature(run).parameters.values() if p.kind is not p.KEYWORD_ONLY)
    for name in names:
        if name not in allowed:
            raise PluginError(
                f"run() takes '{name}', but the inputs of {of} are {', '.join(allowed)}."
                f"{suggest(name, allowed)} Put options after a '*'."
            )
    return names


def validate(declared: Sequence[Parameter], given: Mapping[str, object]) -> dict[str, Any]:
    """Every declared option with its checked value, or its default.

    Raises:
        UsageError: An option isn't declared, or its value is invalid.
    """
    names = [parameter.name for parameter in declared]
    for name in given:
        if name not in names:
            known = f"It takes {', '.join(names)}." if names else "It takes none."
            raise UsageError(f"The analysis has no option '{name}'.{suggest(name, names)} {known}")
    return {p.name: p.check(given[p.name]) if p.name in given else p.default for p in declared}


def _parameter(run: Callable[..., object], parameter: inspect.Parameter) -> Parameter:
    name = parameter.name
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or len(name) > LONGEST:
        raise PluginError(f"run() declares an option {shown(name)}; expected lowercase words joined by underscores.")
    if {name, name.removeprefix("no_")} & RESERVED:
        raise PluginError(f"run() declares an option '{name}', but this name is reserved: every analysis has it already.")
    # Only annotations of options are resolved: the others may name types that a plugin imports only for type checking.
    holder = types.SimpleNamespace(__annotations__={name: parameter.annotation})
    hint = typing.get_type_hints(holder, globalns=getattr(inspect.unwrap(run), "__globals__", {}), include_extras=True)[name]
    option = next((extra for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, Option)), None)
    if option is None:
        raise PluginError(f"run() declares '{name}' without an Option: write '{name}: Annotated[type, Option(help)]'.")
    if not isinstance(option.help, str) or not option.help:
        raise PluginError(f"run() declares '{name}' with the help {shown(option.help)}; expected a sentence.")
    if parameter.default is parameter.empty:
        raise PluginError(f"run() declares '{name}' without a default: an analysis must run with no option at all.")
    kind = typing.get_args(hint)[0]
    many = typing.get_origin(kind) is tuple and typing.get_args(kind)[1:] == (...,)
    if many:
        kind = typing.get_args(kind)[0]
    members = typing.get_args(kind)
    optional = type(None) in members
    if optional and len(members) == 2:
        kind = next(member for member in members if member is not type(None))
    choices: tuple[str, ...] = ()
    if typing.get_origin(kind) is typing.Literal and all(isinstance(word, str) for word in typing.get_args(kind)):
        kind, choices = str, typing.get_args(kind)
    if kind not in (int, float, str, bool):
        raise PluginError(
            f"run() declares '{name}' as {shown(kind)}: use int, float, str, bool, a Literal of strings, or a tuple."
        )
    if many and (kind is bool or optional):
        raise PluginError(f"run() declares '{name}' as a tuple of bool or with None, which the command line can't express.")
    if many and not isinstance(parameter.default, list | tuple):
        raise PluginError(f"run() declares '{name}' with the default {shown(parameter.default)}; expected a tuple.")
    if kind not in (int, float) and (option.min, option.max) != (None, None):
        raise PluginError(f"run() declares '{name}' as {kind.__name__} with bounds, which only numbers have.")
    if not all(isinstance(bound, int | float | None) for bound in (option.min, option.max)):
        raise PluginError(f"run() declares '{name}' with bounds that are not numbers.")
    declared = Parameter(name, kind, parameter.default, option, choices, optional, many)
    try:
        declared.check(parameter.default)
    except UsageError as error:
        raise PluginError(f"run() declares '{name}' with an invalid default: {error}") from None
    return declared


def _fits(value: float) -> bool:
    """Whether a number is finite, and an integer fits into 64 bits."""
    return -(2**63) <= value < 2**63 if isinstance(value, int) else math.isfinite(value)


def _interval(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"a number from {low} to {high}"
    if low is not None:
        return f"a number of at least {low}"
    return f"a number of at most {high}" if high is not None else "a number"

"""Checks of how an analysis is declared: its texts, imports, help and options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cnnexplain.errors import CnnExplainError, PluginError, UsageError, shown
from cnnexplain.plugin.options import validate
from cnnexplain.testing import comparison
from cnnexplain.testing.check import HEAVY_MODULES, is_sentence

if TYPE_CHECKING:
    from cnnexplain.plugin.options import Parameter
    from cnnexplain.results.record import Record
    from cnnexplain.testing.candidate import Candidate

INVALID_TEXT = "no such value"
"""Text that is not a valid value of any option."""


def check_declaration(candidate: Candidate) -> None:
    """The analysis has a summary, `how_to_read`, `limitations`, a paper and the units of its maps."""
    analysis = candidate.analysis
    sentences = {
        "summary": (analysis.summary, "what it shows, as the first line of run()'s docstring"),
        "how_to_read": (analysis.how_to_read, "how to read the pictures, as Analysis(…, how_to_read=…)"),
        "limitations": (analysis.limitations, "what the pictures do not show, as Analysis(…, limitations=…)"),
    }
    for field, (text, topic) in sentences.items():
        if not is_sentence(text):
            raise PluginError(f"'{field}' is {shown(text)}; expected a sentence on {topic}, with a period at the end.")
    if not re.search(r"\b(19|20)\d\d\b", analysis.paper):
        raise PluginError(
            f"Its paper is '{analysis.paper}'; expected authors, year and identifier, such as 'Simonyan et al. 2013 "
            "(arXiv:1312.6034)'."
        )
    for name in analysis.maps:
        unit = analysis.unit(name, validate(analysis.options, analysis.trial))
        if not isinstance(unit, str) or not unit.strip():
            raise PluginError(f"Its map '{name}' has the unit {shown(unit)}; expected text such as 'logits' or 'no unit'.")


def check_imports(candidate: Candidate) -> None:
    """Declaring the analysis imports none of `HEAVY_MODULES`."""
    heavy = candidate.declaration["heavy"]
    if heavy:
        raise PluginError(
            f"Declaring it imports {', '.join(heavy)}, which slows down every command; expected none of "
            f"{', '.join(HEAVY_MODULES)}. Import what the math needs inside run(), and what the drawing needs inside draw()."
        )


def check_help(candidate: Candidate) -> None:
    """`cnnexplain run NAME --help` shows every option with a sentence of help."""
    declaration = candidate.declaration
    if declaration["code"]:
        raise PluginError(f"'cnnexplain run {candidate.analysis.name} --help' exits with {declaration['code']}; expected 0.")
    printed = " ".join(declaration["help"].split())
    unprintable = {char for char in declaration["help"] if not char.isprintable() and char != "\n"}
    if unprintable:
        raise PluginError(f"Its help contains {', '.join(map(repr, sorted(unprintable)))}; expected printable text.")
    for option in candidate.analysis.options:
        text = option.option.help
        if not is_sentence(text) or text[0].islower():
            raise PluginError(
                f"{option.flag} has the help {shown(text)}; expected a sentence that starts with a capital letter and ends "
                "with a period."
            )
        for part in (option.flag, text):
            if " ".join(part.split()) not in printed:
                raise PluginError(f"Its help does not show '{part}'; expected every option with its help text.")


def check_options(candidate: Candidate) -> None:
    """Invalid values of options raise a UsageError; values that the declaration allows work, or raise one too."""
    for option in candidate.analysis.options:
        for value in _invalid_values(option):
            try:
                candidate.explain(candidate.lenet, candidate.images[:1], options={option.name: value})
            except UsageError:
                continue
            raise PluginError(f"{option.flag} accepts {shown(value)}; expected a UsageError that states the valid values.")
        for value in _edge_values(option):
            try:
                candidate.explain(candidate.lenet, candidate.images[:1], options={option.name: value})
            except UsageError:
                continue
            except CnnExplainError as error:
                raise PluginError(
                    f"{option.flag} {shown(value)}, which its declaration allows, fails: {error} Expected a result, or a "
                    "UsageError that states the valid values. You can also set bounds in its Option."
                ) from error


def _invalid_values(option: Parameter) -> Iterator[object]:
    """Values that the declaration of an option excludes."""
    yield {"an": "object"}
    yield from [INVALID_TEXT] if option.choices or option.type is not str else []
    low, high = option.option.min, option.option.max
    yield from [option.type(low - 1)] if low is not None else []
    yield from [option.type(high + 1)] if high is not None else []
    yield from [float("nan"), float("inf")] if option.type is float else []


def _edge_values(option: Parameter) -> Iterator[object]:
    """Values that the declaration allows but the analysis may not.

    Maxima of whole numbers are left out, because they may stand for hours of computation.
    """
    yield from [INVALID_TEXT] if option.type is str and not option.choices else []
    bounds = (option.option.min, option.option.max if option.type is float else None)
    yield from [option.type(bound) for bound in bounds if bound is not None]


def check_choices(candidate: Candidate) -> None:
    """Every choice of an option works, and at least one changes the numbers or the pictures."""
    analysis, images = candidate.analysis, candidate.images[:1]
    usual: Record | None = None
    for option in filter(has_choices, analysis.options):
        usual = usual or candidate.explain(candidate.lenet, images)
        value = analysis.trial.get(option.name, option.default)
        differs = False
        for choice in option.choices or (True, False):
            if choice in (value if option.many else (value,)):
                continue
            try:
                record = candidate.explain(candidate.lenet, images, options={option.name: choice})
            except UsageError:
                # Some choices need another option as well.
                differs = True
                continue
            except CnnExplainError as error:
                raise PluginError(f"{option.flag} {choice} fails: {error}") from error
            differs = differs or not comparison.same_numbers(record, usual) or not comparison.same_pictures(record, usual)
        if not differs:
            raise PluginError(
                f"{option.flag} changes neither numbers nor pictures, whatever its value; expected a difference. Use it in "
                "run() or draw(), or remove it."
            )


def has_choices(option: Parameter) -> bool:
    """Whether an option has a list of valid values, or is a flag."""
    return bool(option.choices) or option.type is bool

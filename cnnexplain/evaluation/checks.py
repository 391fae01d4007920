"""Checks arguments of benchmarks before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cnnexplain.errors import UsageError, shown
from cnnexplain.evaluation import methods as named
from cnnexplain.evaluation.methods import Method


def seed(given: object) -> None:
    """Checks a seed.

    Raises:
        UsageError: It is not a whole number from 0 on.
    """
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise UsageError(f"The seed must be a whole number of at least 0, but got {shown(given)}.")


def names(given: object, what: str, example: str) -> None:
    """Checks names, one or several; None stands for all.

    Raises:
        UsageError: They are not text.
    """
    if given is None or isinstance(given, str):
        return
    wrong = [each for each in given if not isinstance(each, str)] if isinstance(given, Sequence) else [given]
    if wrong:
        raise UsageError(f"{what} takes names such as '{example}', but got {shown(wrong[0])}.")


def methods(given: str | Sequence[str] | None) -> list[Method]:
    """The methods of analyses; of all that have a map of the image, if None are given, in which case they are optional.

    Raises:
        UsageError: There is no such analysis or option, or it has no map of the image.
    """
    names(given, "analyses", "gradcam:method=layercam")
    wanted = [given] if isinstance(given, str) else named.comparable() if given is None else given
    return named.unique(replace(named.analysis(text), optional=given is None) for text in wanted)

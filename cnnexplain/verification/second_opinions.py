"""Comparisons with other implementations of a method, which plugins supply."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import keras

from cnnexplain.errors import CnnExplainError, PluginError, failure, foreign
from cnnexplain.plugin import registry
from cnnexplain.plugin.check import Check, Measurement
from cnnexplain.plugin.reference import Reference, of_analysis

if TYPE_CHECKING:
    from cnnexplain.plugin.check import Subject


def checks(analysis: str) -> tuple[Check, ...]:
    """A check for each reference of an analysis that works on the backend in use."""
    found = of_analysis(registry.load().references, analysis, keras.backend.backend())
    return tuple(Check(each.name, each.meaning, _run(each)) for each in found)


def _run(reference: Reference) -> Callable[[Subject], Measurement]:
    def run(subject: Subject) -> Measurement:
        if not reference.installed:
            return Measurement(None, detail=f"not installed: {reference.install}")
        # An error in the other implementation, such as an incompatible version, says nothing about the result.
        try:
            with foreign(lambda error: PluginError(failure(error, reference.run))):
                return reference.run(subject)
        except CnnExplainError as error:
            return Measurement(None, detail=f"can't be compared: {error}")

    return run

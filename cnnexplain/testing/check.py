"""What a conformance check consists of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnexplain.plugin.analysis import Analysis

if TYPE_CHECKING:
    from cnnexplain.testing.candidate import Candidate

HEAVY_MODULES = ("keras", "tensorflow", "jax", "torch", "matplotlib")
"""Modules that take seconds to import, which commands such as `list` and `--help` must not do."""


@dataclass(frozen=True)
class Check:
    """A requirement that analyses have to meet.

    Args:
        name: One word.
        requirement: What holds if the check passes, as the end of a sentence.
        run: Raises a `CnnExplainError` with what was found, what was expected and how to fix it.
        needs: The names of the checks that must pass first.
        applies: Returns whether the check is relevant for an analysis.
    """

    name: str
    requirement: str
    run: Callable[[Candidate], None]
    needs: tuple[str, ...] = ()
    applies: Callable[[Analysis], bool] = lambda _: True

    @property
    def says(self) -> str:
        """The former name of `requirement`."""
        return self.requirement


def is_sentence(text: object) -> bool:
    """Whether text is printable and ends like a sentence."""
    return isinstance(text, str) and text.isprintable() and text.rstrip().endswith((".", "?", "!"))


def takes_images(analysis: Analysis) -> bool:
    """Whether `run` of an analysis has the parameter `images`."""
    return "images" in analysis.inputs

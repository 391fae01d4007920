"""Declarations of references by plugins: other implementations of a method, whose results are compared with ours."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnexplain.backend import BACKENDS
from cnnexplain.errors import PluginError, shown, suggest

if TYPE_CHECKING:
    from cnnexplain.plugin.check import Measurement, Subject

LONGEST = 60
"""Maximum number of characters in the name of a reference."""


@dataclass(frozen=True)
class Reference:
    """An independent implementation of the method of an analysis, for `cnnexplain verify`.

    Args:
        name: Its name for users, such as "tf-keras-vis Grad-CAM"; unique among all plugins.
        analysis: The name of the analysis that it repeats.
        module: The module that it needs, such as "tf_keras_vis"; without it, the comparison is left out.
        install: The command that installs it.
        backend: The backend of Keras that it needs; None for any.
        meaning: A sentence: what is compared. If the other implementation differs from the paper, it says in what, and which
            of the two follows the paper.
        run: Compares the result for a subject with that of the other implementation. The measurement has no value where the
            other implementation does not apply.

    Raises:
        PluginError: The declaration breaks one of these rules.
    """

    name: str
    analysis: str
    module: str
    install: str
    backend: str | None
    meaning: str
    run: Callable[[Subject], Measurement]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not 0 < len(self.name) <= LONGEST or not self.name.isprintable():
            raise PluginError(f"A reference has the name {shown(self.name)}; expected up to {LONGEST} printable characters.")
        for field in ("analysis", "module", "install", "meaning"):
            if not isinstance(getattr(self, field), str) or not getattr(self, field):
                raise PluginError(
                    f"The reference '{self.name}' has the {field} {shown(getattr(self, field))}; expected text."
                )
        if self.backend is not None and (not isinstance(self.backend, str) or self.backend not in BACKENDS):
            raise PluginError(
                f"The reference '{self.name}' has the backend {shown(self.backend)}; expected None or one of "
                f"{', '.join(BACKENDS)}.{suggest(self.backend, BACKENDS)}"
            )
        if not callable(self.run):
            raise PluginError(f"The reference '{self.name}' needs a function as run, but got {shown(self.run)}.")

    @property
    def summary(self) -> str:
        """What is compared."""
        return self.meaning

    @property
    def installed(self) -> bool:
        """Whether the module that it needs is installed."""
        try:
            return importlib.util.find_spec(self.module) is not None
        # A parent package is missing, or fails to import; or the name is not that of a module.
        except (ImportError, ValueError):
            return False


def of_analysis(references: Mapping[str, Reference], analysis: str, backend: str) -> list[Reference]:
    """The references of an analysis that work on a backend."""
    return [each for each in references.values() if each.analysis == analysis and each.backend in (None, backend)]

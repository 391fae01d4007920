"""Finds the installed plugins, keeps a broken one from harming the others, and remembers who supplied what.

pluggy's own entry-point loader lets the first broken plugin end the program; here each is loaded by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points

import pluggy

from cnnexplain import hookspecs
from cnnexplain.errors import PluginError, UsageError, suggest
from cnnexplain.plugin import Analysis


@dataclass(frozen=True)
class Plugin:
    """An entry point of the group `cnnexplain` and the distribution that installed it."""

    name: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"plugin '{self.name}' of {self.distribution} {self.version}"


@dataclass(frozen=True)
class Problem:
    """Why a plugin, or an analysis name that several plugins claim, can't be used."""

    plugins: tuple[Plugin, ...]
    cause: str

    def __str__(self) -> str:
        return f"{' and '.join(map(str, self.plugins))}: {self.cause}"


@dataclass(frozen=True)
class Registry:
    """The analyses by name, with the plugin that supplies each, and the problems met on the way."""

    analyses: Mapping[str, Analysis] = field(default_factory=dict)
    suppliers: Mapping[str, Plugin] = field(default_factory=dict)
    clashes: Mapping[str, Problem] = field(default_factory=dict)
    broken: tuple[Problem, ...] = ()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All that a user should be told of, in no particular order."""
        return (*self.broken, *self.clashes.values())

    def get(self, name: str) -> tuple[Analysis, Plugin]:
        """The analysis of that name and its supplier.

        Raises:
            UsageError: No plugin offers it.
            PluginError: Several plugins offer it.
        """
        if name in self.clashes:
            raise PluginError(str(self.clashes[name]))
        if name not in self.analyses:
            broken = "".join(f" Broken: {problem}" for problem in self.broken)
            raise UsageError(
                f"There is no analysis '{name}'.{suggest(name, self.analyses)}"
                f" Installed: {', '.join(self.analyses) or 'none'}.{broken}"
            )
        return self.analyses[name], self.suppliers[name]


@cache
def load() -> Registry:
    """The registry of the plugins installed in this environment, read once per process."""
    return collect(entry_points(group="cnnexplain"))


def collect(points: Iterable[EntryPoint]) -> Registry:
    """The registry of the plugins that the entry points name."""
    offers: dict[str, list[tuple[Analysis, Plugin]]] = {}
    broken: list[Problem] = []
    for point in sorted(points, key=lambda point: point.name):
        distribution = point.dist
        plugin = Plugin(
            point.name,
            distribution.name if distribution else "an unknown distribution",
            distribution.version if distribution else "",
        )
        try:
            for analysis in _analyses(point):
                offers.setdefault(analysis.name, []).append((analysis, plugin))
        # A plugin is anyone's code: whatever it raises must not stop the others, and is shown with its cause.
        except (Exception, SystemExit) as error:  # noqa: BLE001
            broken.append(Problem((plugin,), _cause(error)))
    unique = {name: offer[0] for name, offer in sorted(offers.items()) if len(offer) == 1}
    clashes = {
        name: Problem(
            tuple(plugin for _, plugin in offer),
            f"each offers an analysis named '{name}'. Uninstall one of them to use the other.",
        )
        for name, offer in offers.items()
        if len(offer) > 1
    }
    return Registry(
        {name: analysis for name, (analysis, _) in unique.items()},
        {name: plugin for name, (_, plugin) in unique.items()},
        clashes,
        tuple(broken),
    )


def _analyses(point: EntryPoint) -> list[Analysis]:
    manager = pluggy.PluginManager("cnnexplain")
    manager.add_hookspecs(hookspecs)
    manager.register(point.load(), name=point.name)
    if not manager.hook.cnnexplain_analyses.get_hookimpls():
        raise PluginError("it has no function 'cnnexplain_analyses' marked with @hookimpl.")
    analyses = [analysis for offered in manager.hook.cnnexplain_analyses() for analysis in offered]
    if not analyses:
        raise PluginError("its cnnexplain_analyses() returned nothing; expected a list of Analysis.")
    for analysis in analyses:
        if not isinstance(analysis, Analysis):
            raise PluginError(f"cnnexplain_analyses() must return a list of Analysis, but it holds {analysis!r}.")
    return analyses


def _cause(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, PluginError) else f"{type(error).__name__}: {text}"

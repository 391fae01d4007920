"""Finds the installed plugins, isolates broken ones, and records which plugin supplies what.

The entry-point loader of pluggy raises an error at the first broken plugin; here each plugin is loaded separately.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

import pluggy

from cnnexplain.errors import CnnExplainError, PluginError, UsageError, foreign, line, reason, shown, suggest
from cnnexplain.plugin import hookspecs
from cnnexplain.plugin.analysis import Analysis
from cnnexplain.plugin.metric import Metric
from cnnexplain.plugin.named_model import NamedModel
from cnnexplain.plugin.reference import Reference

SENTENCES = 600
"""Maximum number of characters of the error of a plugin."""

MOST = 10_000
"""Maximum number of analyses, models or metrics of a plugin, in case its list never ends."""

HOOKS = ("cnnexplain_analyses", "cnnexplain_models", "cnnexplain_metrics", "cnnexplain_references")
"""The hooks, of which a plugin implements at least one."""

Offer = TypeVar("Offer", Analysis, NamedModel, Metric, Reference)


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
    """Why a plugin, or a name that several plugins use, can't be used."""

    plugins: tuple[Plugin, ...]
    cause: str

    def __str__(self) -> str:
        return f"{' and '.join(map(str, self.plugins))}: {self.cause}"


@dataclass(frozen=True, repr=False)
class Offers(Mapping[str, Offer], Generic[Offer]):
    """The analyses, models or metrics of all plugins by name, with the plugin that supplies each.

    Args:
        kind: The word for error messages, with its article: "an analysis".
        found: What the plugins offer, by name.
        suppliers: The plugin of each.
        clashes: The names that several plugins use.
    """

    kind: str
    found: Mapping[str, Offer] = field(default_factory=dict)
    suppliers: Mapping[str, Plugin] = field(default_factory=dict)
    clashes: Mapping[str, Problem] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Offer:
        return self.found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def __repr__(self) -> str:
        return "\n".join(f"{name}: {offer.summary}" for name, offer in self.items()) or "none"

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        from cnnexplain import markup

        return markup.fragment("offers.html", offers=self)

    def pick(self, name: str, more: str = "") -> tuple[Offer, Plugin]:
        """The analysis, model or metric of that name and its plugin.

        Args:
            name: The name.
            more: Text to add to the error if no plugin offers it.

        Raises:
            UsageError: No plugin offers it.
            PluginError: Several plugins offer it.
        """
        if name in self.clashes:
            raise PluginError(str(self.clashes[name]))
        if name not in self.found:
            kind = self.kind.partition(" ")[2]
            raise UsageError(
                f"There is no {kind} '{name}'.{suggest(name, self.found)} "
                f"Installed: {', '.join(self.found) or 'none'}.{more}"
            )
        return self.found[name], self.suppliers[name]


@dataclass(frozen=True)
class Registry:
    """The analyses, models, metrics and references of all plugins, and the problems with plugins."""

    analyses: Offers[Analysis]
    models: Offers[NamedModel]
    broken: tuple[Problem, ...] = ()
    metrics: Offers[Metric] = field(default_factory=lambda: Offers("a metric"))
    references: Offers[Reference] = field(default_factory=lambda: Offers("a reference"))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems that a user should be warned about."""
        offered = (self.analyses, self.models, self.metrics, self.references)
        return (*self.broken, *(problem for offers in offered for problem in offers.clashes.values()))

    def get(self, name: str) -> tuple[Analysis, Plugin]:
        """The analysis of that name and its plugin.

        Raises:
            UsageError: No plugin offers it.
            PluginError: Several plugins offer it.
        """
        return self.analyses.pick(name, "".join(f" Broken: {problem}" for problem in self.broken))


def analyses() -> Offers[Analysis]:
    """The installed analyses by name; notebooks show them as a table.

    >>> analyses()["saliency"].paper
    'Simonyan, Vedaldi, Zisserman 2013 (arXiv:1312.6034)'
    """
    return load().analyses


@cache
def load() -> Registry:
    """The registry of the plugins installed in this environment, read once per process."""
    return collect(entry_points(group="cnnexplain"))


def collect(points: Iterable[EntryPoint]) -> Registry:
    """The registry of the plugins of these entry points."""
    analyses: list[tuple[Analysis, Plugin]] = []
    models: list[tuple[NamedModel, Plugin]] = []
    metrics: list[tuple[Metric, Plugin]] = []
    references: list[tuple[Reference, Plugin]] = []
    broken: list[Problem] = []
    for point in sorted(points, key=lambda point: str(point.name)):
        plugin = _plugin(point)
        try:
            # Output of a plugin while it is imported must not mix with results, and its errors must not affect the others.
            with redirect_stdout(sys.stderr), foreign(lambda error: PluginError(reason(error))):
                hook = _hook(point)
                own_analyses = _offered(hook, "cnnexplain_analyses", Analysis)
                own_models = _offered(hook, "cnnexplain_models", NamedModel)
                own_metrics = _offered(hook, "cnnexplain_metrics", Metric)
                own_references = _offered(hook, "cnnexplain_references", Reference)
        except CnnExplainError as error:
            broken.append(Problem((plugin,), line(error, SENTENCES)))
            continue
        analyses += [(analysis, plugin) for analysis in own_analyses]
        models += [(model, plugin) for model in own_models]
        metrics += [(metric, plugin) for metric in own_metrics]
        references += [(reference, plugin) for reference in own_references]
    return Registry(
        _unique("an analysis", analyses),
        _unique("a model", models),
        tuple(broken),
        _unique("a metric", metrics),
        _unique("a reference", references),
    )


def _plugin(point: EntryPoint) -> Plugin:
    """The entry point and its distribution, whose metadata may lack anything."""
    metadata: Any = {} if point.dist is None else point.dist.metadata
    distribution = metadata.get("Name", "an unknown distribution")
    return Plugin(line(point.name), line(distribution), line(metadata.get("Version", "")))


def _hook(point: EntryPoint) -> Any:
    manager = pluggy.PluginManager("cnnexplain")
    manager.add_hookspecs(hookspecs)
    manager.register(point.load(), name=point.name)
    hook = manager.hook
    if not any(getattr(hook, name).get_hookimpls() for name in HOOKS):
        names = " or ".join(map(repr, HOOKS))
        raise PluginError(f"it has no function {names} marked with @hookimpl.")
    return hook


def _offered(hook: Any, name: str, kind: type[Offer]) -> list[Offer]:
    """The list that the function of that name in a plugin returns; empty if there is no such function."""
    caller = getattr(hook, name)
    offers = []
    for offer in itertools.chain.from_iterable(caller()):
        if not isinstance(offer, kind):
            raise PluginError(f"{name}() must return a list of {kind.__name__}, but it contains {shown(offer)}.")
        offers.append(offer)
        if len(offers) > MOST:
            raise PluginError(f"{name}() returned more than {MOST} of {kind.__name__}; expected a shorter list.")
    if caller.get_hookimpls() and not offers:
        raise PluginError(f"its {name}() returned nothing; expected a list of {kind.__name__}.")
    return offers


def _unique(kind: str, offers: Sequence[tuple[Offer, Plugin]]) -> Offers[Offer]:
    claims: dict[str, list[tuple[Offer, Plugin]]] = {}
    for offer, plugin in offers:
        claims.setdefault(offer.name, []).append((offer, plugin))
    unique = {name: claim[0] for name, claim in sorted(claims.items()) if len(claim) == 1}
    clashes = {
        name: Problem(
            tuple(plugin for _, plugin in claim),
            f"each offers {kind} named '{name}'. Uninstall one of them to use the other.",
        )
        for name, claim in claims.items()
        if len(claim) > 1
    }
    return Offers(
        kind,
        {name: offer for name, (offer, _) in unique.items()},
        {name: plugin for name, (_, plugin) in unique.items()},
        clashes,
    )

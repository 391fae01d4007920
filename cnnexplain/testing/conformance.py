"""Finds the analyses to check, and creates the pytest test that checks one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cnnexplain import former_names
from cnnexplain.errors import PluginError, UsageError, suggest
from cnnexplain.plugin import registry
from cnnexplain.plugin.analysis import Analysis
from cnnexplain.testing.candidate import TOLERANCE, Candidate
from cnnexplain.testing.contract_checks import CHECKS, checks


def find(name: str) -> list[Analysis]:
    """The analysis with a name, or all analyses of the plugin or distribution with that name.

    Raises:
        UsageError: Nothing with the name is installed, or the plugin provides no analysis.
        PluginError: The plugin is broken, or several plugins provide an analysis with the name.
    """
    installed = registry.load()
    analyses, models = installed.analyses, installed.models
    for problem in installed.broken:
        if any(name in (plugin.name, plugin.distribution) for plugin in problem.plugins):
            raise PluginError(str(problem))
    if name in analyses or name in analyses.clashes:
        return [installed.get(name)[0]]
    provided = [analyses[each] for each, plugin in analyses.suppliers.items() if name in (plugin.name, plugin.distribution)]
    if provided:
        return provided
    if any(name in (plugin.name, plugin.distribution) for plugin in models.suppliers.values()):
        raise UsageError(f"The plugin '{name}' provides models but no analysis; there is nothing to check.")
    names = [*analyses, *(plugin.distribution for plugin in analyses.suppliers.values())]
    raise UsageError(
        f"No analysis, plugin or distribution is installed as '{name}'.{suggest(name, names)} Install it first "
        f"(pip install -e FOLDER); 'cnnexplain list' shows the installed analyses."
    )


def conformance(name: str, *, tolerance: float = TOLERANCE, skip: Sequence[str] = ()) -> Callable[[str], None]:
    """Creates a pytest test with one case for each check.

    Args:
        name: The name of an installed analysis.
        tolerance: Relative tolerance for results that should be equal.
        skip: Checks to omit, such as "backends", which starts every installed backend.

    Returns:
        The test function. Assign it to a name that starts with "test".

    Raises:
        UsageError: The analysis is not installed, or a check to skip does not exist.
        PluginError: The plugin is broken.
    """
    import pytest

    analysis, _ = registry.load().get(name)
    candidate = Candidate(analysis, tolerance=tolerance)
    names = [check.name for check in CHECKS]
    skipped = [former_names.CHECKS.get(each, each) for each in skip]
    for each in skipped:
        if each not in names:
            raise UsageError(f"There is no check '{each}'.{suggest(each, names)}")

    @pytest.mark.parametrize("check", [check.name for check in checks(analysis) if check.name not in skipped])
    def test(check: str) -> None:
        __tracebackhide__ = True
        outcome = candidate.outcome(check)
        if outcome.passed is None:
            pytest.skip(outcome.message)
        if not outcome.passed:
            pytest.fail(f"{name}, {check}: {outcome.message}", pytrace=False)

    return test

"""Every installed analysis passes the checks that plugins are put to; those that start processes of their own are slow."""

import pytest

from cnnexplain.plugin import registry
from cnnexplain.testing import Candidate, conformance

ANALYSES = registry.load().analyses
SLOW = ("saved", "backends")

globals().update({f"test_{name.replace('-', '_')}": conformance(name, skip=SLOW) for name in ANALYSES})


@pytest.mark.slow
@pytest.mark.parametrize("check", SLOW)
@pytest.mark.parametrize("name", ANALYSES)
def test_in_processes_of_their_own(name, check):
    outcome = Candidate(ANALYSES[name], together=tuple(ANALYSES)).outcome(check)
    assert outcome.passed, outcome.words

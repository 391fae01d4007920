"""Every installed analysis passes the checks that plugins are put to; those that start processes of their own are slow."""

import pytest

from cnnexplain.plugin import registry
from cnnexplain.testing import Candidate, conformance

ANALYSES = registry.load().analyses

globals().update({f"test_{name.replace('-', '_')}": conformance(name, skip=("saved", "backends")) for name in ANALYSES})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "check"),
    [
        *((name, "saved") for name in ANALYSES),
        # The others are compared by tests/numeric/test_golden.py.
        pytest.param("saliency", "backends", marks=pytest.mark.backends),
    ],
)
def test_in_processes_of_their_own(name, check):
    outcome = Candidate(ANALYSES[name], together=tuple(ANALYSES)).outcome(check)
    assert outcome.passed, outcome.message

"""Every installed analysis passes the checks that plugins are put to; the other backends are among the slow tests."""

import pytest

from cnnexplain import registry
from cnnexplain.testing import Candidate, conformance

ANALYSES = registry.load().analyses

globals().update({f"test_{name.replace('-', '_')}": conformance(name, skip=["backends"]) for name in ANALYSES})


@pytest.mark.slow
@pytest.mark.parametrize("name", ANALYSES)
def test_every_backend(name):
    outcome = Candidate(ANALYSES[name], together=tuple(ANALYSES)).outcome("backends")
    assert outcome.passed, outcome.words

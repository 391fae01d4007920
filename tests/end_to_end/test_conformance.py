"""Every installed analysis passes the checks that plugins are put to; those that start processes of their own are slow."""

import functools
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnnexplain.plugin import registry
from cnnexplain.testing import Candidate, conformance, sample_models

ANALYSES = registry.load().analyses
PROGRAM = Path(__file__).parent.parent / "programs/declare.py"

globals().update({f"test_{name.replace('-', '_')}": conformance(name, skip=("saved", "backends")) for name in ANALYSES})


@functools.cache
def declarations():
    """The declarations of all analyses, in one process: none imports anything heavy if all together import nothing."""
    pairs = [(plugin.name, name) for name, plugin in ANALYSES.suppliers.items()]
    done = subprocess.run(
        [sys.executable, PROGRAM, *itertools.chain(*pairs)],
        env={**os.environ, "COLUMNS": "600", "NO_COLOR": "1", "_TYPER_FORCE_DISABLE_TERMINAL": "1"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return {name: json.loads(line) for (_, name), line in zip(pairs, done.stdout.splitlines(), strict=True)}


@pytest.fixture(autouse=True)
def together(monkeypatch):
    """The analyses share the process that declares them, and the models, which each is checked not to change."""
    monkeypatch.setattr(Candidate, "declaration", property(lambda candidate: declarations()[candidate.analysis.name]))
    monkeypatch.setattr(sample_models, "classifier", classifier)


classifier = functools.cache(sample_models.classifier)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "check"),
    [
        # What all of them draw from saved results without Keras is compared by test_saved.py, in one process.
        ("saliency", "saved"),
        # The others are compared by tests/numeric/test_golden.py.
        pytest.param("saliency", "backends", marks=pytest.mark.backends),
    ],
)
def test_built_in_plugins_conform_in_separate_processes(name, check):
    outcome = Candidate(ANALYSES[name]).outcome(check)
    assert outcome.passed, outcome.message

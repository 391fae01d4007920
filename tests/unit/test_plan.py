"""How long several analyses will take, in words."""

import pages
import pytest

from cnnexplain.pipeline import plan


def step(name, passes, images=1):
    return plan.Step(pages.analysis(name), {}, images, passes)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([step("one", 2.0)], "Running 1 analysis: about 5 s."),
        ([step("one", 2.0), step("two", 1800.0)], "Running 2 analyses: about 20 s."),
        ([step("one", 1e4, 5), step("two", None)], "Running 2 analyses: about 2 min, plus an unknown time for two."),
        ([step("one", 1e6)], "Running 1 analysis: about 2.8 hours."),
        ([step("one", None), step("two", None)], "Running 2 analyses; no estimate of the time is available."),
    ],
)
def test_estimate_is_passes_times_seconds_plus_overhead(given, words):
    assert plan.estimate(given, 0.01) == words

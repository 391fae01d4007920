"""Generated cases: hypothesis derives them from the tests themselves, so that every run tries the same."""

import hypothesis
from campaign import CASES

hypothesis.settings.register_profile(
    "campaign",
    max_examples=CASES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
hypothesis.settings.load_profile("campaign")

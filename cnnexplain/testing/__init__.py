"""Whether an analysis keeps what its users rely on: the checks of `cnnexplain check-plugin`, and of a plugin's own tests.

    from cnnexplain.testing import conformance

    test_conformance = conformance("my-analysis")

is a test for pytest, with a case for each of `CHECKS`. They run the analysis with the options of its `Analysis.trial`, on
the LeNet and on small models made for them. Importing this module imports neither Keras nor pytest.
"""

from cnnexplain.testing.conformance import TOLERANCE, Candidate, Outcome, checks, conformance, find
from cnnexplain.testing.contract_checks import CHECKS, Check

__all__ = ["CHECKS", "TOLERANCE", "Candidate", "Check", "Outcome", "checks", "conformance", "find"]

"""Conformance tests for analyses: the checks of `cnnexplain check-plugin`, also for the tests of a plugin.

    from cnnexplain.testing import conformance

    test_conformance = conformance("my-analysis")

creates a pytest test with one case for each of `CHECKS`. The checks run the analysis with the options in its
`Analysis.trial` on the LeNet and on small sample models. Importing this module imports neither Keras nor pytest.
"""

from cnnexplain.testing.candidate import TOLERANCE, Candidate, Outcome
from cnnexplain.testing.check import Check
from cnnexplain.testing.conformance import conformance, find
from cnnexplain.testing.contract_checks import CHECKS, checks

__all__ = ["CHECKS", "TOLERANCE", "Candidate", "Check", "Outcome", "checks", "conformance", "find"]

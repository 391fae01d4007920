"""Every analysis computes what it did when golden/ was made, with TensorFlow, on whichever backend Keras runs."""

import golden_runs as golden
import numpy as np
import pytest

pytestmark = pytest.mark.backends

OPTIMIZED = ("inversion", "activation-maximization")
"""What is optimized may end at another picture of the same value."""


@pytest.mark.parametrize("name", golden.ANALYSES)
def test_arrays_equal_the_golden_file(name):
    found = golden.computed(name)
    with np.load(golden.FOLDER / f"{name}.npz") as arrays:
        expected = dict(arrays)
    assert set(found) == set(expected)
    for key, array in expected.items():
        assert found[key].shape == array.shape, key
        if key.startswith("facts/"):
            np.testing.assert_allclose(found[key], array, rtol=1e-2, err_msg=key)
        elif name not in OPTIMIZED:
            np.testing.assert_allclose(found[key], array, rtol=0, atol=1e-4 * np.abs(array).max(), err_msg=key)
    assert name not in OPTIMIZED or any(key.startswith("facts/") for key in expected)

"""SmoothGrad through the Python API: how many noisy copies it takes until the mean gradient stands.

Run it with: python examples/smoothgrad.py
"""

import cnnexplain as cx

clf = cx.load()
for samples in (5, 20, 80):
    record = cx.explain("smoothgrad", clf, "mnist:test/42", samples=samples, error=0.0)
    error = record.facts["relative_error"][0]
    print(f"of {samples} copies: the mean gradient is known to {error:.0%} of itself")

for path in record.save("cnnexplain-out/example-smoothgrad"):
    print(f"wrote {path}")

"""SmoothGrad with the Python API: how the error of the mean gradient falls with the number of noisy copies.

Run it with: python examples/smoothgrad.py
"""

import cnnexplain as cx

clf = cx.load()
for samples in (5, 20, 80):
    record = cx.explain("smoothgrad", clf, "mnist:test/42", samples=samples, error=0.0)
    error = record.facts["relative_error"][0]
    print(f"{samples} copies: relative error of the mean gradient {error:.0%}")

for path in record.save("cnnexplain-out/example-smoothgrad"):
    print(f"wrote {path}")

"""Integrated gradients with the Python API: the attributions sum to the difference from the score of the baseline.

Run it with: python examples/integrated_gradients.py
"""

import cnnexplain as cx

clf = cx.load()
for baseline in ("black", "gray", "blur"):
    record = cx.explain("integrated-gradients", clf, "mnist:test/42", baseline=baseline)
    total, difference = record.facts["sum"][0], record.facts["difference"][0]
    print(f"baseline {baseline}: the attributions sum to {total:.3f} logits; the logit differs by {difference:.3f}")

for path in record.save("cnnexplain-out/example-integrated-gradients"):
    print(f"wrote {path}")

"""Class activation maps with the Python API: four methods for a digit, and the evidence for a 4 rather than a 9.

Run it with: python examples/gradcam.py
"""

import cnnexplain as cx

clf = cx.load()
for method in ("gradcam", "gradcam++", "scorecam", "layercam"):
    record = cx.explain("gradcam", clf, "mnist:test/42", method=method)
    peak, place, positive = (record.facts[name][0] for name in ("peak", "peak_place", "positive"))
    print(f"{method}: peak {peak:.2f} at (row, column) {place} of {record.facts['layer'][0]}, {positive:.0%} of it positive")

record = cx.explain("gradcam", clf, "mnist:test/42", target=4, against=9)
evidence = record.arrays["evidence"][0]  # (h, w), signed, before the ReLU
print(f"a 4 rather than a 9: evidence from {evidence.min():.3f} to {evidence.max():.3f} logits")

for path in record.save("cnnexplain-out/example-gradcam"):
    print(f"wrote {path}")

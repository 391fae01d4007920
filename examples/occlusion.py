"""Occlusion through the Python API: where a square must lie to lower the score of a digit, and to turn it into another.

Run it with: python examples/occlusion.py
"""

import cnnexplain as cx

clf = cx.load()
for patch in (4, 7):
    record = cx.explain("occlusion", clf, "mnist:test/42", patch=patch)
    logit, drop = record.facts["unoccluded_logit"][0], record.facts["largest_drop"][0]
    prediction = record.arrays["prediction"][0]  # of each position of the square, (rows, columns)
    share = (prediction != record.explained[0].prediction).mean()
    print(f"a square of {patch}×{patch} pixels lowers the logit of {logit:.2f} by up to {drop:.2f},")
    print(f"  most at row {record.facts['largest_drop_square'][0][0]}, column {record.facts['largest_drop_square'][0][1]},")
    print(f"  and changes the prediction at {share:.1%} of {prediction.size} positions")

for path in record.save("cnnexplain-out/example-occlusion"):
    print(f"wrote {path}")

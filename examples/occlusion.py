"""Occlusion with the Python API: the effect of a square on the score and on the prediction, for two sizes.

Run it with: python examples/occlusion.py
"""

import cnnexplain as cx

clf = cx.load()
for patch in (4, 7):
    record = cx.explain("occlusion", clf, "mnist:test/42", patch=patch)
    logit, drop = record.facts["unoccluded_logit"][0], record.facts["largest_drop"][0]
    prediction = record.arrays["prediction"][0]  # for each position of the square, (rows, columns)
    changed = (prediction != record.explained[0].prediction).mean()
    row, column = record.facts["largest_drop_square"][0]
    print(f"{patch}×{patch} pixels: the logit falls from {logit:.2f} by up to {drop:.2f}, at row {row}, column {column};")
    print(f"  the prediction changes at {changed:.1%} of {prediction.size} positions")

for path in record.save("cnnexplain-out/example-occlusion"):
    print(f"wrote {path}")

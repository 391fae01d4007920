"""Gradient × input with the Python API: how close the sum of the attributions is to the change of the score.

Run it with: python examples/gradient_x_input.py
"""

import cnnexplain as cx

clf = cx.load()
for target in (4, 9):
    record = cx.explain("gradient-x-input", clf, "mnist:test/42", target=target)
    total, difference = record.facts["sum"][0], record.facts["difference"][0]
    print(
        f"class {target}: attributions sum to {total:.2f} logits; from 0 to the image, the logit changes by {difference:.2f}"
    )

for path in record.save("cnnexplain-out/example-gradient-x-input"):
    print(f"wrote {path}")

"""RISE with the Python API: the pixel with the largest gain, and whether there are enough masks.

Run it with: python examples/rise.py
"""

import cnnexplain as cx

clf = cx.load()
for masks in (200, 2000):
    record = cx.explain("rise", clf, "mnist:test/42", masks=masks)
    row, column = record.facts["peak_pixel"][0]
    error = record.facts["relative_error"][0]
    print(f"{masks} masks: the largest gain is at row {row}, column {column}; relative error {error:.0%}")

for path in record.save("cnnexplain-out/example-rise"):
    print(f"wrote {path}")

"""RISE through the Python API: what the network says under random masks, and whether there were enough of them.

Run it with: python examples/rise.py
"""

import cnnexplain as cx

clf = cx.load()
for masks in (200, 2000):
    record = cx.explain("rise", clf, "mnist:test/42", masks=masks)
    row, column = record.facts["peak_pixel"][0]
    error = record.facts["relative_error"][0]
    print(f"{masks} masks: the pixel that helps the most is at row {row}, column {column}; error {error:.0%} of the map")

for path in record.save("cnnexplain-out/example-rise"):
    print(f"wrote {path}")

"""Kernels through the Python API: what the LeNet's convolutions look for, and whether any of their kernels is idle.

Run it with: python examples/filters.py
"""

import cnnexplain as cx

clf = cx.load()
digits = cx.read_images([f"mnist:test/{number}" for number in range(200)], clf)
record = cx.explain("filters", clf, dataset=digits)

for layer in record.facts["layers"]:
    idle = f"{layer['dead']} dead, {layer['never_active']} never active, {layer['duplicates']} duplicates"
    print(f"{layer['name']}: {layer['kernels']} kernels {layer['kernel']} of norm {layer['norm']}, {idle}")
kernel = record.arrays["kernel/conv1"]  # raw, (5, 5, 1, 30)
best = record.facts["strongest"]["conv1"][0]["patches"][0]
print(f"kernel 0 of conv1 from {kernel[..., 0].min():.2f} to {kernel[..., 0].max():.2f}")
print(f"it matches best at row {best['row']}, column {best['column']} of {best['image']}: {best['response']:.2f}")

for path in record.save("cnnexplain-out/example-filters"):
    print(f"wrote {path}")

"""Kernels with the Python API: what the convolutions of the LeNet respond to, and whether any kernel is unused.

Run it with: python examples/filters.py
"""

import cnnexplain as cx

clf = cx.load()
digits = cx.read_images([f"mnist:test/{number}" for number in range(200)], clf)
record = cx.explain("filters", clf, dataset=digits)

for layer in record.facts["layers"]:
    unused = f"{layer['dead']} dead, {layer['never_active']} never active, {layer['duplicates']} duplicates"
    print(f"{layer['name']}: {layer['kernels']} kernels of {layer['kernel']}, norms {layer['norm']}, {unused}")
kernels = record.arrays["kernel/conv1"]  # raw, (5, 5, 1, 30)
best = record.facts["strongest"]["conv1"][0]["patches"][0]
print(f"the weights of kernel 0 of conv1 range from {kernels[..., 0].min():.2f} to {kernels[..., 0].max():.2f}")
print(f"its strongest response is {best['response']:.2f}, at row {best['row']}, column {best['column']} of {best['image']}")

for path in record.save("cnnexplain-out/example-filters"):
    print(f"wrote {path}")

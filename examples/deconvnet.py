"""The deconvnet with the Python API: what the feature maps that matter for a digit respond to, by three backward rules.

Run it with: python examples/deconvnet.py
"""

import cnnexplain as cx

clf = cx.load()
record = cx.explain("deconvnet", clf, "mnist:test/42", layer="relu2", rule=["deconvnet", "guided", "gradient"], maps=4)

for fact in record.facts["strongest"][0]["relu2"]:
    rows, columns = fact["field"]
    print(f"map {fact['map']} contributes {fact['contribution']:.2f} to the logit; unit at rows {rows}, columns {columns}")
projection = record.arrays["projection/relu2/deconvnet"]  # raw and signed, (N, maps, h, w, C)
print(f"projections of shape {projection.shape}, values from {projection.min():.3f} to {projection.max():.3f}")
strongest = record.facts["over_dataset"]["relu2"][0]["strongest"]
print(f"map 0 responds most to {', '.join(patch['image'] for patch in strongest[:3])}")

for path in record.save("cnnexplain-out/example-deconvnet"):
    print(f"wrote {path}")

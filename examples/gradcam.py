"""The CAM family through the Python API: four ways to weigh the same feature maps, and where each looks.

Run it with: python examples/gradcam.py
"""

import cnnexplain as cx

clf = cx.load()
for method in ("gradcam", "gradcam++", "layercam", "scorecam"):
    record = cx.explain("gradcam", clf, "mnist:test/42", method=method)
    cam, place = record.arrays["cam"][0], record.facts["peak_place"][0]  # raw, at the resolution of the layer
    share = record.facts["positive"][0]
    print(
        f"{method}: {share:.0%} of the {cam.size} places of {record.facts['layer'][0]} speak for the class, most at {place}"
    )

for path in record.save("cnnexplain-out/example-gradcam"):
    print(f"wrote {path}")

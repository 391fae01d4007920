"""Saliency with the Python API: the gradient of the score, and the pixels to which it is most sensitive.

Run it with: python examples/saliency.py
"""

import cnnexplain as cx

clf = cx.load()
images = cx.read_images(["mnist:test/42", "mnist:test/0"], clf)
print(f"{clf!r} predicts {clf.predict(images).argmax(axis=1).tolist()}")

record = cx.explain("saliency", clf, images)
gradient = record.arrays["gradient"]  # raw and signed, (N, H, W, C)
print(f"gradient of shape {gradient.shape}: {gradient.min():.3f} to {gradient.max():.3f} logits per unit of the input")
print(f"most sensitive pixels (row, column): {record.facts['peak_pixel']}")

for path in record.save("cnnexplain-out/example-saliency"):
    print(f"wrote {path}")

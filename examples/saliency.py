"""Saliency through the Python API: which pixels raise the score of the class, and which lower it.

Run it with: python examples/saliency.py
"""

import cnnexplain as cx

clf = cx.load()
images = cx.read_images(["mnist:test/42", "mnist:test/0"], clf)
print(f"{clf!r} reads {clf.predict(images).argmax(axis=1).tolist()}")

record = cx.explain("saliency", clf, images)
gradient = record.arrays["gradient"]  # raw and signed, (N, H, W, C)
print(f"gradient {gradient.shape} from {gradient.min():.3f} to {gradient.max():.3f} logits per unit of input")
print(f"most sensitive pixels (row, column): {record.facts['peak_pixel']}")

for path in record.save("cnnexplain-out/example-saliency"):
    print(f"wrote {path}")

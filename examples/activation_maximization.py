"""Activation maximization through the Python API: which image raises the score of a class, or a feature map, the most.

Run it with: python examples/activation_maximization.py
"""

import cnnexplain as cx

clf = cx.load()
record = cx.explain("activation-maximization", clf, target=[3, 8, cx.Logit(4) - cx.Logit(9), cx.Channel("conv2", 14)])

images = record.arrays["optimum"]  # an image for each unit, in the model's input range
print(f"{len(images)} images {images.shape[1:]} from {images.min():.2f} to {images.max():.2f}")
for unit, value, best, place in zip(*(record.facts[name] for name in ("unit", "value", "best", "best_image")), strict=True):
    print(f"{unit}: {value:.2f}, and {best:.2f} for {place}, the best of the test images")

for path in record.save("cnnexplain-out/example-activation-maximization"):
    print(f"wrote {path}")

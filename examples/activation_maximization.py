"""Activation maximization with the Python API: images that activate two classes, a difference and a feature map.

Run it with: python examples/activation_maximization.py
"""

import cnnexplain as cx

clf = cx.load()
record = cx.explain("activation-maximization", clf, target=[3, 8, cx.Logit(4) - cx.Logit(9), cx.Channel("conv2", 14)])

images = record.arrays["optimum"]  # one image per unit, in the model's input range
print(f"{len(images)} images of shape {images.shape[1:]}, values from {images.min():.2f} to {images.max():.2f}")
facts = record.facts
for unit, value, best, name in zip(facts["unit"], facts["value"], facts["best"], facts["best_image"], strict=True):
    print(f"{unit}: {value:.2f}; the best test image, {name}, reaches {best:.2f}")

for path in record.save("cnnexplain-out/example-activation-maximization"):
    print(f"wrote {path}")

"""Representation inversion with the Python API: what each layer of the LeNet retains of a digit.

Run it with: python examples/inversion.py
"""

import cnnexplain as cx

clf = cx.load()
images = cx.read_images(["mnist:test/42", "mnist:test/0"], clf)
layers = ["conv1", "pool1", "pool2", "dense", "logits"]
record = cx.explain("inversion", clf, images, layer=layers)

for index, explained in enumerate(record.explained):
    print(explained.source.name)
    for layer in layers:
        representation, pixel = (record.facts[name][index][layer] for name in ("representation_error", "pixel_error"))
        print(f"  {layer:8} representation error {representation:.3f}, pixel error {pixel:.3f}")
reconstruction = record.arrays["reconstruction/logits"]  # (N, H, W, C), in the model's input range but not clipped to it
print(f"the reconstructions from the logits are classified as {clf.predict(reconstruction).argmax(axis=1).tolist()}")

for path in record.save("cnnexplain-out/example-inversion"):
    print(f"wrote {path}")

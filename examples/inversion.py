"""Representation inversion through the Python API: what each layer of the LeNet still knows of a digit.

Run it with: python examples/inversion.py
"""

import cnnexplain as cx

clf = cx.load()
record = cx.explain(
    "inversion", clf, ["mnist:test/42", "mnist:test/0"], layer=["conv1", "pool1", "pool2", "dense", "logits"]
)

for explained, errors, pixels in zip(
    record.explained, record.facts["representation_error"], record.facts["pixel_error"], strict=True
):
    print(explained.source.name)
    for layer, error in errors.items():
        print(f"  {layer:8} representation error {error:.3f}, pixel error {pixels[layer]:.3f}")
found = record.arrays["reconstruction/logits"]  # (N, H, W, C), in the model's input range but not clipped to it
print(f"the image made of ten logits reads {clf.predict(found).argmax(axis=1).tolist()}")

for path in record.save("cnnexplain-out/example-inversion"):
    print(f"wrote {path}")

"""Intermediate outputs through the Python API: what each layer makes of two digits, and which channels stay dead.

Run it with: python examples/intermediate_outputs.py
"""

import cnnexplain as cx

clf = cx.load()
images = cx.read_images(["mnist:test/42", "mnist:test/0"], clf)

record = cx.explain("intermediate-outputs", clf, images, scale="channel")
for layer in record.facts["layers"][0]:
    print(f"{layer['name']}: {layer['min']:.2f} to {layer['max']:.2f}, {layer['dead']} of {layer['shape'][-1]} dead")
relu1 = record.arrays["output/relu1"]  # raw, (N, 24, 24, 30)
print(f"strongest map of relu1 for each image: {relu1.max(axis=(1, 2)).argmax(axis=1).tolist()}")

for path in record.save("cnnexplain-out/example-intermediate-outputs"):
    print(f"wrote {path}")

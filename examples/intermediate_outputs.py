"""Intermediate outputs with the Python API: which feature maps of a digit support its class, and which are dead.

Run it with: python examples/intermediate_outputs.py
"""

import cnnexplain as cx

clf = cx.load()
images = cx.read_images(["mnist:test/42", "mnist:test/0"], clf)

record = cx.explain("intermediate-outputs", clf, images, scale="channel")
for layer in record.facts["layers"][0]:
    print(f"{layer['name']}: {layer['min']:.2f} to {layer['max']:.2f}, {layer['dead']} of {layer['shape'][-1]} dead")
contributions = record.arrays["contribution/relu2"]  # Σ activation × gradient over each map, in logits, (N, 30)
for index, (values, logit) in enumerate(zip(contributions, record.facts["value"], strict=True)):
    print(f"image {index}: map {values.argmax()} of relu2 contributes {values.max():+.2f} to the logit, {logit:.2f}")

difference = cx.explain("intermediate-outputs", clf, "mnist:test/42", target=4, against=9, layer="relu2")
print(f"for a 4 rather than a 9: maps {difference.facts['layers'][0][0]['shown'][:3]}")

for path in record.save("cnnexplain-out/example-intermediate-outputs"):
    print(f"wrote {path}")

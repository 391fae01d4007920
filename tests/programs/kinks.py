"""Gradients of EfficientNet-lite0, and which of its ReLU6 units are active: kinks.py FOLDER OUT."""

import sys

import numpy as np

import cnnexplain as cx

clf = cx.load("efficientnet-lite0")
photos = np.asarray(cx.read_images(sys.argv[1], clf))
images = np.concatenate([photos * share for share in np.linspace(0.6, 1, 6, dtype=np.float32)])
before = [layer.name for layer in clf.layers if layer.name.endswith(("stem_bn", "expand_bn", "depthwise_bn", "head_bn"))]
outputs = clf.activations(images, before).values()
active = [np.packbits(((each > 0) & (each < 6)).reshape(len(images), -1), axis=1) for each in outputs]
gradient = clf.gradient(images, np.full(len(images), 285))
np.savez(sys.argv[2], gradient=gradient, active=np.concatenate(active, axis=1))

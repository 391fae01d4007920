"""Models of a formula, whose attributions can be worked out by hand, for images of 4×3 pixels in color from −1 to 2."""

import keras
import numpy as np

import cnnexplain as cx

SHAPE = (4, 3, 3)
"""Not square, so that swapped axes show."""

RANGE = cx.Preprocess(*SHAPE[:2], scale=1 / 85, mean=(1.0, 1.0, 1.0))
"""Black is −1 and white 2, so that the number 0 is no end and not the middle of the input range."""


def formula(weights, function=lambda u: u, bias=0.0, preprocess=RANGE):
    """The classifier with the logits function(Σ w x + bias), with weights (4, 3, 3, K)."""
    inputs = keras.Input(weights.shape[:3])
    dense = keras.layers.Dense(weights.shape[3])
    model = keras.Model(inputs, function(dense(keras.layers.Flatten()(inputs))))
    dense.set_weights([weights.reshape(-1, weights.shape[3]), np.full(weights.shape[3], bias, np.float32)])
    return cx.load(model, preprocess=preprocess, logits=True)


def weights_and_images(seed=0, classes=3, count=2):
    """Random weights (4, 3, 3, K) and images (N, 4, 3, 3), in single precision."""
    random = np.random.default_rng(seed)
    weights = random.normal(0, 0.5, (*SHAPE, classes)).astype(np.float32)
    return weights, random.uniform(-1, 2, (count, *SHAPE)).astype(np.float32)

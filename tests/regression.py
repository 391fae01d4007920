"""Tiny models of numbers that are no probabilities: an age, a box."""

import keras
import numpy as np
from keras import layers

QUICK = {
    "activation-maximization": {"steps": 2, "starts": 1, "diversity": 1},
    "inversion": {"iterations": 2, "most": 2, "parametrization": "pixels"},
    "occlusion": {"patch": 4, "stride": 4},
    "rise": {"masks": 16},
    "integrated-gradients": {"steps": 4},
    "smoothgrad": {"samples": 4},
}
"""Options with which an analysis takes no time."""


def network(*tail, seed=0):
    inputs = keras.Input((12, 10, 3))
    x = layers.Conv2D(6, 3, activation="relu", name="conv")(inputs)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    for layer in tail:
        x = layer(x)
    model = keras.Model(inputs, x)
    random = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(random.normal(0, 0.7, weight.shape))
    return model


def age(activation=None):
    """Of a person, some 60 years."""
    model = network(layers.Dense(1, activation=activation, name="age"))
    model.layers[-1].bias.assign([58])
    return model


def box():
    return network(layers.Dense(4, name="box"))

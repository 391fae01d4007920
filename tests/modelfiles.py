"""Model files that are written by hand, as Keras 3 would not: `write(path, sequential(layer("Dense", "d", units=3)))`."""

import io
import json
import zipfile

import h5py


def layer(kind, name, /, module="keras.layers", **config):
    """The description of a layer."""
    return {"module": module, "class_name": kind, "config": {"name": name, **config}, "registered_name": None}


def sequential(*layers, shape=(8, 8, 3)):
    """The description of a sequential model of images."""
    opening = layer("InputLayer", "input", batch_shape=[None, *shape])
    return layer("Sequential", "net", module="keras", layers=[opening, *layers])


def head():
    """The last layers of a classifier."""
    return layer("GlobalAveragePooling2D", "pool"), layer("Dense", "scores", units=3, activation="softmax")


def write(path, config, *, weights=lambda file: file.create_group("layers"), version="3.12.0", text=None, packed=False):
    """A `.keras` file of this description, with the weights that a function puts into an HDF5 file."""
    stored = io.BytesIO()
    with h5py.File(stored, "w") as file:
        weights(file)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", json.dumps(config) if text is None else text)
        archive.writestr("model.weights.h5", stored.getvalue())
    return path

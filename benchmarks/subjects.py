"""The networks of the benchmarks with their images, loaded by cnnexplain."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import keras
import numpy as np

import cnnexplain as cx
from benchmarks.subject import Subject
from cnnexplain import backend

PHOTOS = Path(__file__).parent.parent / "examples" / "photos"


@cache
def subject(name: str) -> Subject:
    """The network of a name, loaded once."""
    return {"LeNet": lenet, "EfficientNet-lite0": lite0, "VGG16": vgg16}[name]()


def lenet() -> Subject:
    """The included LeNet, with test digits."""
    return _subject("LeNet", cx.load(), [f"mnist:test/{index}" for index in range(1024)], 256, "relu2")


def lite0() -> Subject:
    """EfficientNet-lite0, with the photographs of the examples."""
    photos = [str(path) for path in sorted(PHOTOS.glob("*.jpg"))]
    return _subject("EfficientNet-lite0", cx.load("efficientnet-lite0"), photos, 8, "head_relu")


def vgg16() -> Subject:
    """VGG16 with random weights, as only the time counts, with a photograph."""
    keras.utils.set_random_seed(0)
    model = keras.applications.VGG16(weights=None)
    classifier = cx.load(model, preprocess=cx.Preprocess(224, 224, "rgb", 1.0, (127,), (128,)))
    return _subject("VGG16", classifier, [str(PHOTOS / "cat.jpg")], 8, "block5_conv3")


def _subject(name: str, classifier: cx.Classifier, images: list[str], batch: int, last: str) -> Subject:
    preprocess = classifier.preprocess
    # A GPU needs many images at once to be busy.
    batch = max(batch, classifier.batch_size) if backend.current().device_memory() else batch
    colors = np.stack([preprocess.black, preprocess.gray, preprocess.white]).astype(np.float32)
    read = np.asarray(cx.read_images(images, classifier))
    return Subject(name, classifier.model, read, batch, last, colors, classifier)

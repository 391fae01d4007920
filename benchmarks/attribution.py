"""Compares the run time of saliency and SmoothGrad with tf-keras-vis, on the LeNet, for one image and for many.

Runs the two packages alternately, so that other load on the machine affects both, and prints the medians and the ratios.
The first round, which compiles, is not timed. Run it with: python benchmarks/attribution.py [ROUNDS]
"""

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
from tf_keras_vis.saliency import Saliency

import cnnexplain as cx

SAMPLES, NOISE = 50, 0.15


def main(rounds: int) -> None:
    """Prints a row for each method and number of images."""
    clf = cx.load()
    # tf-keras-vis needs a functional model. The softmax at its end does not affect the time.
    theirs = Saliency(keras.Model(clf.model.inputs, clf.model.outputs), clone=False)
    print(f"{'':34} {'cnnexplain':>12} {'tf-keras-vis':>12} {'ratio':>7}")
    for count in (1, 16):
        digits = np.asarray(cx.read_images([f"mnist:test/{index}" for index in range(count)], clf))
        classes = [int(each) for each in clf.predict(digits).argmax(axis=1)]
        rows: dict[str, list[Callable[[], object]]] = {
            "saliency": [partial(cx.explain, "saliency", clf, digits), partial(theirs, _score(classes), digits)],
            f"SmoothGrad, {SAMPLES} copies": [
                partial(cx.explain, "smoothgrad", clf, digits, samples=SAMPLES, error=0.0, noise=NOISE),
                partial(theirs, _score(classes), digits, smooth_samples=SAMPLES, smooth_noise=NOISE),
            ],
        }
        for name, pair in rows.items():
            times = np.array([[_seconds(run) for run in pair] for _ in range(rounds + 1)])[1:]
            seconds, other = (statistics.median(each) for each in times.T.tolist())
            label = f"{name}, {count} image" + ("s" if count > 1 else "")
            print(f"{label:34} {1e3 * seconds:9.1f} ms {1e3 * other:9.1f} ms {other / seconds:7.1f}")


def _score(classes: list[int]) -> Callable[[Any], list[Any]]:
    """A function that returns the output for the class of each image."""
    return lambda outputs: [outputs[image, index] for image, index in enumerate(classes)]


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)

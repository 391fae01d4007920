"""Compares Adam with the paper's optimizer in representation inversion: the final loss and the run time.

Inverts every layer of the LeNet for ten test digits with both. For each layer, it prints the mean losses, the seconds, and
the seconds after which Adam's loss was below the final loss of the paper's optimizer. Compilation is not timed.
Run it with: python benchmarks/inversion.py
"""

import time
from dataclasses import replace

import numpy as np
from cnnexplain_plugins.inversion import inversion, loss

import cnnexplain as cx


def main() -> None:
    """Prints a row for each layer, and the totals."""
    clf = cx.load()
    images = np.asarray(cx.read_images([f"mnist:test/{index}" for index in range(10)], clf))
    rows = []
    print("layer        paper's loss  Adam's loss   ratio   paper's s  Adam's s  s until below the paper's")
    for layer in inversion.representations(clf):
        codes, weights = [clf.activations(images, [layer])[layer]], [loss.weights(clf, layer, None, None)]
        ends, seconds = {}, {}
        for name in ("momentum", "adam"):
            descent = inversion.pixels(clf, [layer], codes, weights, name, None, None, 0)
            replace(descent, steps=1).minimize(clf, lambda *_: None)
            started = time.perf_counter()
            ends[name] = descent.minimize(clf, lambda *_: None).values.mean(axis=(1, 2))
            seconds[name] = time.perf_counter() - started
        paper, adam = ends["momentum"].min(), ends["adam"].min()
        below = np.flatnonzero(ends["adam"] < paper)
        until = below[0] / inversion.ITERATIONS["adam"] * seconds["adam"] if len(below) else np.nan
        rows.append((paper, adam, seconds["momentum"], seconds["adam"], until))
        print(
            f"{layer:12} {paper:12.4f} {adam:12.4f} {paper / adam:7.2f} "
            f"{seconds['momentum']:11.2f} {seconds['adam']:9.2f} {until:9.2f}"
        )
    paper, adam, slow, fast, until = np.sum(rows, axis=0)
    print(f"{'all':12} {paper:12.4f} {adam:12.4f} {paper / adam:7.2f} {slow:11.2f} {fast:9.2f} {until:9.2f}")


if __name__ == "__main__":
    main()

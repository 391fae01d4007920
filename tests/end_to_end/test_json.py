"""The documents that `--json` prints: one on standard output, and nothing else there."""

import json

import pytest

import cnnexplain as cx
from cnnexplain.plugin import registry

pytestmark = pytest.mark.usefixtures("blank_pictures")


@pytest.fixture
def document(cli):
    """The document of a command, its exit code, and what went where errors go."""

    def run(*arguments, code=0):
        ended, out, err = cli(*arguments, "--json")
        assert ended == code, err
        assert out.isascii()

        def refuse(constant):
            raise AssertionError(f"{constant} is no JSON")

        return json.loads(out, parse_constant=refuse), err

    return run


def test_list_contains_analyses_options_and_models(document, install):
    install("bad-plugin", "print('hello')\nimport nothing_of_the_kind")
    found, err = document("list")
    saliency = next(each for each in found["analyses"] if each["name"] == "saliency")
    assert saliency["distribution"] == "cnnexplain"
    assert saliency["options"][0] | {"help": ""} == {
        "name": "crops",
        "flag": "--crops",
        "type": "str",
        "default": "one",
        "optional": False,
        "many": False,
        "choices": ["one", "ten"],
        "min": None,
        "max": None,
        "help": "",
    }
    assert {"lenet", "keras:VGG16"} <= {each["name"] for each in found["models"]}
    assert "nothing_of_the_kind" in found["problems"][0]
    assert "hello" in err


def test_info(document):
    found, err = document("info")
    assert err == ""
    used = next(each for each in found["backends"] if each["name"] == found["backend"])
    assert used["version"]
    assert used["devices"]
    assert found["configuration"] == []


def test_evaluate_does_not_round(document, lenet):
    from cnnexplain.training.evaluation import evaluate

    found, err = document("evaluate")
    figures = evaluate(lenet)
    assert err == ""
    assert (found["accuracy"], found["log_loss"]) == (figures.accuracy, pytest.approx(figures.loss))
    assert found["confusion"] == figures.confusion.tolist()
    assert found["images"] == 10_000


def test_doctor(document, model, tmp_path):
    model().save(tmp_path / "mine.keras")
    found, err = document("doctor", "mine.keras", code=1)
    assert err == ""
    assert (found["well"], found["images"], found["model"]["input"]["assumed"]) == (False, 0, ["range"])
    layers = {each["name"]: each for each in found["layers"]}
    assert (layers["conv"]["shape"], layers["pool"]["receptive_field"]) == ([10, 8, 6], [4, 4])
    assert (layers["conv"]["relu_rules"], layers["hidden"]["relu_rules"]) == (["guided", "deconvnet"], None)
    assert all(each["works"] for each in found["analyses"])
    assert "range" in found["findings"][0]


def test_run(document, model, tmp_path):
    model().save(tmp_path / "mine.keras")
    names = [f"mnist:test/{index}" for index in range(23)]
    found, err = document("run", "saliency", *names, "--model", "mine.keras", "--target", "3")
    assert "pixels were scaled to 0 to 1" in err
    assert "Wrote" not in err
    assert [each["name"] for each in found["images"]] == names
    assert len(found["pictures"]) == 23
    classifier = cx.load(tmp_path / "mine.keras")
    probabilities = classifier.predict(cx.read_images(names, classifier))
    assert [each["probability"] for each in found["images"]] == pytest.approx(probabilities.max(axis=1))
    assert [each["target_probability"] for each in found["images"]] == pytest.approx(probabilities[:, 3])
    assert (found["error"], found["kept"], found["files"][-1]) == (None, 0, "cnnexplain-out/saliency/result.json")
    again, _ = document("run", "saliency", *names, "--model", "mine.keras", "--target", "3", "--resume")
    assert (again["kept"], again["images"]) == (23, [])


def test_run_without_images_reports_it_on_stderr(document):
    found, err = document("run", "saliency")
    assert err == "No image given: explaining the sample digit mnist:test/42.\n"
    assert found["images"][0]["prediction"] == "4"


def test_run_all_contains_results_and_errors(document, monkeypatch, install, plugin_code):
    code = plugin_code("scaling").replace("return Result(", 'print("noise")\n    return Result(')
    install("good-plugin", code)
    install("worse-plugin", plugin_code("failing").replace("return Result(", "raise RuntimeError('oh')\n    return Result("))
    offers = registry.load()
    for name in [name for name in offers.analyses if name not in ("scaling", "failing")]:
        del offers.analyses.found[name]
    found, err = document("run", "all", "mnist:test/1", code=1)
    assert {each["analysis"]: bool(each["error"]) for each in found["analyses"]} == {"failing": True, "scaling": False}
    assert "noise" in err
    assert err.splitlines()[-1] == "Error: 1 of 2 analyses failed: failing."


def test_errors_leave_standard_output_empty(cli):
    for arguments in (
        ["run", "saliency", "--target", "11"],
        ["doctor", "nothing.keras"],
        ["evaluate", "--model", "none.h5"],
    ):
        code, out, err = cli(*arguments, "--json")
        assert (code, out) == (2, "")
        assert err.startswith("Error: ") or "\nError: " in err


def test_numbers_that_are_not_finite_are_null(capsys):
    from cnnexplain.cli import console

    with console.document(True) as emit:
        emit({"a": [float("nan"), (float("inf"), 1.5)], "ü": None})
    assert json.loads(capsys.readouterr().out) == {"a": [None, [None, 1.5]], "ü": None}

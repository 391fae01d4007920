"""Models of numbers that are no probabilities: an age, an angle, a box."""

import json
import re

import keras
import numpy as np
import pytest
from PIL import Image
from regression import QUICK, age, box

import cnnexplain as cx
from cnnexplain import Logit
from cnnexplain.doctor import examine
from cnnexplain.errors import ModelError, OutputError, UsageError
from cnnexplain.results.record import Record


@pytest.fixture
def images(random):
    return random.uniform(0, 1, (3, 12, 10, 3)).astype(np.float32)


def own(model, images):
    return keras.ops.convert_to_numpy(model(images, training=False))


@pytest.mark.parametrize("activation", [None, "relu", "softplus"])
def test_values_equal_the_model_output(activation, images):
    model = age(activation)
    clf = cx.load(model, values=True, unit="years")
    assert (clf.head, clf.outputs, clf.unit, clf.certain) == ("values", 1, "years", True)
    assert clf.labels == ("age", "age down")
    np.testing.assert_allclose(clf.predict(images), own(model, images), rtol=1e-6)
    np.testing.assert_allclose(clf.logits(images), own(model, images) * [1, -1], rtol=1e-6)
    up, down = (clf.gradient(images, [target] * 3) for target in (0, 1))
    assert np.abs(up).max() > 1e-3
    np.testing.assert_array_equal(up, -down)
    np.testing.assert_array_equal(clf.gradient(images, [-Logit("age")] * 3), down)
    with pytest.raises(ModelError, match=r"values.*which have no probabilities"):
        clf.probabilities(clf.logits(images))


def test_values_are_selected_by_name_or_index(images):
    model = box()
    clf = cx.load(model, values=True, labels=["x0", "y0", "x1", "y1"])
    np.testing.assert_allclose(clf.predict(images), own(model, images), rtol=1e-5)
    assert clf.labels[:5] == ("x0", "y0", "x1", "y1", "x0 down")
    assert [clf.target(each) for each in (2, "x1", "x1 up", "x1 down", "2")] == [2, 2, 2, 6, 2]
    assert cx.load(model, values=True).labels[:4] == ("box 0", "box 1", "box 2", "box 3")
    record = cx.explain("gradient-x-input", clf, images, target="y1 down", against="x0")
    assert record.explained[1].objective == "y1 down − x0"
    outputs = own(model, images)
    np.testing.assert_allclose(record.facts["logit"], -outputs[:, 3] - outputs[:, 0], rtol=1e-4, atol=1e-5)
    assert record.explained[1].value == pytest.approx(outputs[1, 3], rel=1e-5)


@pytest.mark.parametrize(
    ("labels", "target", "against", "words"),
    [
        (["age"], "agee", None, "There is no value 'agee'. Did you mean 'age'?"),
        (["age"], 2, None, "There is no value '2'. The model has age, each of them also as 'age down', or up and down."),
        (["x0", "y0", "x1", "y1"], "5", None, "There is no value '5'. The model has x0, y0, x1, y1,"),
        (["age"], "down", "up", "must be different values (both refer to 'age'), and the model has no other output."),
        (["x0", "y0", "x1", "y1"], "down", None, "The model has 4 values; name the one to explain, such as 'x0 down'."),
        (["x0", "y0", "x1", "y1"], "x0", "x0 down", "must be different values (both refer to 'x0'); choose another one."),
    ],
)
def test_invalid_targets_of_values_are_refused(labels, target, against, words, images):
    clf = cx.load(age() if len(labels) == 1 else box(), values=True, labels=labels)
    with pytest.raises(UsageError, match=re.escape(words)):
        cx.explain("saliency", clf, images, target=target, against=against)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, ModelError, "returns one number, which may be any number.*--logits .*--probabilities .*--values"),
        ({"unit": "years", "logits": True}, UsageError, "A unit \\('years'\\) belongs to values; give --values"),
        ({"values": True, "probabilities": True}, UsageError, "only one of logits, probabilities and values"),
        ({"values": True, "unit": "y" * 41}, UsageError, "takes a text of up to 40 characters"),
        ({"values": True, "labels": ["a", "b"]}, UsageError, "There are 2 labels for the 1 value of"),
    ],
)
def test_declared_value_settings_must_be_consistent(options, error, words):
    with pytest.raises(error, match=words):
        cx.load(age(), **options)


def test_sidecars_declare_values(tmp_path, images):
    age().save(tmp_path / "age.keras")
    (tmp_path / "age.json").write_text(json.dumps({"scale": "1/255", "head": "values", "unit": "years"}))
    clf = cx.load(tmp_path / "age.keras")
    assert (clf.head, clf.unit) == ("values", "years")
    # What is said when it is loaded counts more.
    assert cx.load(tmp_path / "age.keras", logits=True).head == "sigmoid"
    assert cx.load(tmp_path / "age.keras", unit="months").unit == "months"
    (tmp_path / "age.json").write_text(json.dumps({"head": "probabilites"}))
    with pytest.raises(ModelError, match=r"'head' takes one of logits, probabilities, values.*Did you mean 'probabilities'"):
        cx.load(tmp_path / "age.keras")


def test_occlusion_uses_the_unit_of_the_value(images):
    model = age()
    clf = cx.load(model, values=True, unit="years")
    up, down = (cx.explain("occlusion", clf, images, target=target, patch=4, stride=4) for target in ("up", "down"))
    assert not [name for name in (*up.arrays, *up.facts) if "probab" in name or "prediction" in name]
    np.testing.assert_allclose(up.facts["unoccluded_logit"], own(model, images)[:, 0], rtol=1e-6)
    np.testing.assert_array_equal(up.arrays["logit"], -down.arrays["logit"])
    hidden = own(model, up.arrays["occluded"].astype(np.float32))[:, 0]
    np.testing.assert_allclose(up.facts["largest_drop"], own(model, images)[:, 0] - hidden, rtol=1e-3, atol=1e-4)
    before, after = (float(own(model, each.arrays["occluded"])[0, 0]) for each in (down, down))
    assert after == before
    assert down.finding(0).startswith("Hiding the square at row ")
    assert re.search(r"(raises|lowers) 'age' the (most|least).*: 6\d(\.\d+)? → 6\d(\.\d+)? years\.", down.finding(0))


def test_rise_and_score_cam_weigh_by_value(images):
    model = age()
    clf = cx.load(model, values=True)
    record = cx.explain("rise", clf, images, masks=64)
    assert not [name for name in (*record.arrays, *record.facts) if "probab" in name]
    asked = cx.explain("rise", clf, images, masks=64, of="logit")
    np.testing.assert_array_equal(record.arrays["gain"], asked.arrays["gain"])
    np.testing.assert_allclose(record.facts["logit"], own(model, images)[:, 0], rtol=1e-6)
    up, down = (cx.explain("gradcam", clf, images, method="scorecam", target=each) for each in ("up", "down"))
    assert np.abs(up.arrays["evidence"]).max() > 0
    np.testing.assert_allclose(up.arrays["evidence"], -down.arrays["evidence"], rtol=1e-5, atol=1e-6)


def texts(figure):
    return "\n".join(text.get_text() for text in figure.findobj(lambda each: hasattr(each, "get_text")))


def test_the_first_value_is_the_default(images):
    record = cx.explain("saliency", cx.load(box(), values=True), images)
    (warning,) = [each for each in record.warnings if "4 outputs" in each]
    assert "The first, 'box 0', is explained; choose another one with --target" in warning
    assert not [each for each in cx.explain("saliency", cx.load(age(), values=True), images).warnings if "values" in each]


def test_saved_results_keep_values(tmp_path, images):
    clf = cx.load(age(), values=True, unit="years")
    record = cx.explain("occlusion", clf, images, target="down", patch=4, stride=4)
    record.save(tmp_path / "out")
    loaded = Record.load(tmp_path / "out")
    assert loaded.explained == record.explained
    assert (loaded.explained[0].unit, loaded.explained[0].target) == ("years", 1)
    assert texts(loaded.figure(1)) == texts(record.figure(1))
    assert loaded.finding(0) == record.finding(0)
    path = tmp_path / "out/result.json"
    for damage in ({"unit": 3}, {"unit": ["years"]}):
        written = path.read_text()
        path.write_text(json.dumps(json.loads(written) | {"model": json.loads(written)["model"] | damage}))
        with pytest.raises(OutputError, match="is damaged"):
            Record.load(tmp_path / "out")
        path.write_text(written)
    cx.redraw(tmp_path / "out")
    index = (tmp_path / "out/index.html").read_text() if (tmp_path / "out/index.html").exists() else ""
    assert "%" not in re.sub(r"<style.*?</style>|<script.*?</script>|<[^>]*>", "", index, flags=re.DOTALL)


def test_the_command_line_shows_values(cli, tmp_path, random):
    age().save(tmp_path / "age.keras")
    Image.fromarray(random.integers(0, 255, (12, 10, 3)).astype(np.uint8)).save(tmp_path / "ada.png")
    said = ("--model", "age.keras", "--values", "--value-unit", "years", "--input-scale", "1/255")
    code, out, _ = cli("run", "occlusion", "ada.png", *said, "--patch", 4, "--stride", 4)
    assert code == 0
    assert re.search(r"│ ada\.png │ age +│ 6\d\.\d+ years │", out)
    assert "robab" not in out
    code, out, _ = cli("run", "occlusion", "ada.png", *said, "--target", "down", "--patch", 4, "--stride", 4, "--json")
    (image,) = json.loads(out)["images"]
    assert (image["prediction"], image["target"], image["unit"]) == ("age", "age down", "years")
    assert 60 < image["value"] < 70
    assert image["probability"] is image["target_probability"] is None
    page = (tmp_path / "cnnexplain-out/occlusion/index.html").read_text()
    assert re.search(r"<strong>age</strong> 6\d\.\d+ years", page)
    code, out, _ = cli("doctor", "age.keras", "ada.png", *said[2:])
    assert "values in years: numbers, not probabilities" in out
    assert "robabilit" not in out.replace("numbers, not probabilities", "")
    code, _, err = cli("run", "saliency", "ada.png", "--model", "age.keras", "--values", "--logits")
    assert (code, err.count("\n")) == (2, 1)
    assert "--logits (logits=True) and --values (values=True)" in err


def test_reports_show_values(tmp_path, images):
    clf = cx.load(box(), values=True, unit="px", labels=["x0", "y0", "x1", "y1"])
    records = [cx.explain(name, clf, images[:2], target="y0", **QUICK.get(name, {})) for name in ("saliency", "occlusion")]
    cx.write_report(tmp_path / "report.html", clf, records)
    page = (tmp_path / "report.html").read_text()
    shown = re.sub(r"<script.*?</script>|<style.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL)
    assert re.search(r"4 values in px", shown)
    value = f"{own(clf.model, images)[0, 1]:.4g}".replace("-", "−")
    assert re.search(rf"y0\s+{value} px", shown)
    assert not re.search("robab|oftmax|logit", shown), re.findall(".{60}(?:robab|oftmax|logit).{60}", shown)


@pytest.mark.slow
def test_the_doctor_suggests_other_output_types(images):
    found = examine(cx.load(box()), images).findings
    assert any("Confirm with --logits; if they are other numbers, use --values" in each for each in found)
    assert not any("--values" in each for each in examine(cx.load(box(), values=True), images).findings)

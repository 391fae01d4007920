"""Names of earlier versions are accepted wherever names come in."""

import json
import shutil

import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain import former_names
from cnnexplain.errors import PluginError, UsageError
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.plugin import Analysis, Result
from cnnexplain.results.record import Record

pytestmark = pytest.mark.usefixtures("blank_pictures")


def run(classifier, images):
    """Nothing."""
    return Result({})


def test_configuration_keys_keep_hyphens():
    assert former_names.key("input-colour") == "input-color"
    assert former_names.key("input_colour") == "input_color"
    assert former_names.key("colours") == "colours"
    assert former_names.flag("--input-colour=grey") == "--input-color=grey"
    assert former_names.flag("input-colour") == "input-colour"
    assert former_names.renamed({"a": [{"colour": "grey"}, "grey"], "b": 1}) == {"a": [{"color": "gray"}, "gray"], "b": 1}


@pytest.mark.parametrize("words", [("--input-colour", "grey"), ("--input-colour=grey",), ("--input-color", "gray")])
def test_a_former_option_is_accepted(cli, words):
    code, _, err = cli("run", "saliency", *words)
    assert code == 0, err
    assert "colour" not in cli("run", "saliency", "--help")[1]


def test_former_configuration_keys_are_accepted(cli, tmp_path):
    (tmp_path / "cnnexplain.toml").write_text('input_colour = "grey"\n[run.occlusion]\nfill = "grey"\n')
    code, _, err = cli("run", "occlusion")
    assert code == 0, err
    (tmp_path / "cnnexplain.toml").write_text('input_colour = "gry"\n')
    code, _, err = cli("run", "occlusion")
    assert (code, "Did you mean 'gray'?" in err) == (2, True)


def test_former_model_settings_are_accepted(tmp_path, lenet):
    assert cx.load(preprocess={"colour": "grey"}).preprocess == lenet.preprocess
    (tmp_path / "lenet.json").write_text(json.dumps({"colour": "grey", "scale": "1/255", "fit": "digit"}))
    assert cx.load(preprocess=tmp_path / "lenet.json").preprocess == lenet.preprocess
    assert Preprocess(28, 28, "grey", fit="digit") == lenet.preprocess
    assert Preprocess(28, 28, colour="grey", fit="digit") == lenet.preprocess
    np.testing.assert_array_equal(lenet.preprocess.grey, lenet.preprocess.gray)
    assert lenet.preprocess.colour == "gray"


def test_a_former_name_beside_the_current_one_is_refused(cli, tmp_path, lenet, noise):
    with pytest.raises(
        UsageError, match=r"Preprocess\(\) got both 'colour' and 'color', its present name; remove 'colour'."
    ):
        Preprocess(28, 28, color="gray", colour="gray")
    signals = np.ones((4, 10), np.float32)
    with pytest.raises(UsageError, match=r"project\(\) got both 'seeds' and 'signals', its present name; remove 'seeds'."):
        lenet.project(noise, "logits", signals=signals, seeds=signals, rule="guided")
    with pytest.raises(UsageError, match="The settings got both 'colour' and 'color'"):
        cx.load(preprocess={"colour": "gray", "color": "gray"})
    (tmp_path / "cnnexplain.toml").write_text('input_colour = "gray"\ninput-color = "gray"\n')
    code, _, err = cli("run", "occlusion")
    assert (code, "'input_colour' and 'input-color' are the same option" in err) == (2, True), err


def test_former_baseline_names_are_accepted(lenet, noise):
    before, now = (cx.explain("gradient-x-input", lenet, noise, baseline=word) for word in ("grey", "gray"))
    np.testing.assert_array_equal(before.arrays["attribution"], now.arrays["attribution"])
    with pytest.raises(UsageError, match="Did you mean 'gray'"):
        cx.explain("gradient-x-input", lenet, noise, baseline="gry")


def test_former_methods_and_parameters_are_accepted(lenet, noise):
    signals = np.ones((4, 10), np.float32)
    present = lenet.project(noise, "logits", signals=signals, rule="guided")
    np.testing.assert_array_equal(lenet.project(noise, "logits", seeds=signals, rule="guided"), present)
    with pytest.raises(TypeError, match="unexpected keyword argument 'seed'"):
        lenet.project(noise, "logits", seed=signals, rule="guided")
    np.testing.assert_array_equal(cx.Logit(4).seeds(lenet)["logits"], np.eye(10)[4])
    spans = cx.Spans((0, 2), (3, 4))
    assert spans.behind(np.array([[0, 1], [1, -1]])) == cx.Spans((0, 2), (4, 4))
    assert spans.with_those_of(cx.Spans((1, 1), (2, 2))) == cx.Spans((0, 1), (3, 4))


def test_former_fields_of_an_analysis_are_accepted():
    former = Analysis("a", run, run, "Nobody 2026", note="It shows little.", reading="Bright is much.")
    assert (former.limitations, former.how_to_read) == ("It shows little.", "Bright is much.")
    assert former == Analysis("a", run, run, "Nobody 2026", limitations="It shows little.", how_to_read="Bright is much.")
    with pytest.raises(PluginError, match="'a' has both note and limitations"):
        Analysis("a", run, run, "Nobody 2026", note="It shows little.", limitations="It shows little.")
    with pytest.raises(PluginError, match="'a' has the how_to_read 5; expected text"):
        Analysis("a", run, run, "Nobody 2026", reading=5)


@pytest.fixture
def earlier(folder, tmp_path):
    """A result that 8106e88 wrote, with `--baseline grey --steps 8`."""
    path = tmp_path / "o" / "integrated-gradients"
    shutil.copytree(folder / "tests/earlier/integrated-gradients", path)
    return path


def test_a_saved_result_with_former_names_is_read(earlier):
    record = Record.load(earlier)
    assert record.preprocess.color == "gray"
    assert np.abs(record.facts["convergence_delta"]).max() > 0
    assert record.facts["relative_convergence_delta"][0] > 0
    assert "residual" not in record.facts
    again = record.save(earlier.parent / "again")
    assert json.loads((earlier.parent / "again" / "result.json").read_text())["facts"]["convergence_delta"]
    assert len(again) > 3


def test_third_party_facts_are_not_renamed(earlier):
    content = json.loads((earlier / "result.json").read_text())
    content["plugin"]["distribution"] = "acme"
    (earlier / "result.json").write_text(json.dumps(content))
    assert "residual" in Record.load(earlier).facts


def test_a_result_with_former_names_is_resumed(cli, earlier):
    words = ("run", "integrated-gradients", "mnist:test/1", "mnist:test/2", "--steps", 8, "--out", "o", "--resume")
    before = (earlier / "result.json").read_bytes()
    for baseline in ("gray", "grey"):
        code, _, err = cli(*words, "--baseline", baseline, "--dpi", 20)
        assert code == 0, err
        assert (earlier / "result.json").read_bytes() == before
    code, _, err = cli(*words, "--baseline", "white", "--dpi", 20)
    assert (code, "belongs to another request: options.baseline was gray, now white" in err.replace('"', "")) == (2, True), (
        err
    )


def test_a_result_with_former_names_is_redrawn(cli, earlier):
    code, _, err = cli("redraw", earlier, "--dpi", 20)
    assert code == 0, err

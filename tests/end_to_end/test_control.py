"""The control on the command line, in files, pictures and pages."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import cnnexplain as cx
from cnnexplain import draw
from cnnexplain.checks import shuffling
from cnnexplain.cli import configuration_files
from cnnexplain.draw.control_panel import TITLE, as_record
from cnnexplain.errors import ModelError, PluginError, UsageError
from cnnexplain.pipeline import control, parts
from cnnexplain.results.joining import join

DIGIT = "mnist:test/42"


def panel_of(figure):
    (found,) = (axes for axes in figure.axes if axes.get_title() == TITLE)
    return found


def texts(panel):
    return [text.get_text() for text in panel.texts]


def test_run_draws_and_saves_the_control(cli, lenet, tmp_path):
    code, out, err = cli("run", "saliency", DIGIT, "--control")
    assert (code, err) == (0, "")
    folder = tmp_path / "cnnexplain-out/saliency"
    record = cx.Record.load(folder)
    (correlation,) = json.loads((folder / "result.json").read_text())["facts"]["control_rank_correlation"]
    note = f"The map has a rank correlation of {correlation:.2f} with that of the network with shuffled weights."
    assert note in out.replace("\n", " ")
    assert record.notes() == [note]
    assert note in (folder / "index.html").read_text()
    expected = cx.explain("saliency", lenet, DIGIT, control=True)
    with np.load(folder / "arrays.npz") as stored:
        assert set(stored) == {"input", "gradient", "saliency", "control/gradient", "control/saliency"}
        np.testing.assert_allclose(stored["control/saliency"], expected.control.arrays["saliency"], rtol=1e-5)
    assert record.control.facts == expected.control.facts
    # It names the real model, so it is not a record that could be saved.
    assert not hasattr(record, "control_record")
    # What was saved is drawn again, with the same panel.
    (before,) = folder.glob("*.png")
    old = before.read_bytes()
    before.unlink()
    assert cli("run", "saliency", DIGIT, "--control", "--resume")[0] == 0
    assert before.read_bytes() == old
    assert cli("redraw", folder)[0] == 0
    assert before.read_bytes() == old
    code, out, _ = cli("verify", folder)
    assert code == 0
    assert "of 4 arrays" in out.replace("\n", " ")


def test_a_changed_control_is_found_by_verify(cli, tmp_path):
    assert cli("run", "saliency", DIGIT, "--control", "--pictures", "none")[0] == 0
    path = tmp_path / "cnnexplain-out/saliency/arrays.npz"
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["control/saliency"][0, 3, 4] += 1
    np.savez(path, **arrays)
    code, out, _ = cli("verify", path.parent)
    assert code == 1
    assert "'control/saliency'" in out


def test_the_same_model_without_keras_is_drawn_the_same(lenet, shell, tmp_path, folder):
    record = cx.explain("gradcam", lenet, DIGIT, control=True)
    saved = tmp_path / "gradcam"
    record.save(saved, dpi=50)
    (picture,) = saved.glob("*.png")
    before = picture.read_bytes()
    done = shell(folder / "tests/programs/redraw_without_keras.py", saved)
    assert done.returncode == 0, done.stderr
    assert picture.read_bytes() == before


def test_resuming_needs_the_same_choice(cli, blank_pictures, tmp_path):
    images = [DIGIT, "mnist:test/3"]
    assert cli("run", "saliency", *images)[0] == 0
    # A result of an earlier version does not have the key.
    path = tmp_path / "cnnexplain-out/saliency/result.json"
    content = json.loads(path.read_text())
    del content["request"]["control"]
    path.write_text(json.dumps(content))
    assert cli("run", "saliency", *images, "--resume")[0] == 0
    code, _, err = cli("run", "saliency", *images, "--resume", "--control")
    assert code == 2
    assert "belongs to another request: it was made without --control, now with it." in err
    assert cli("run", "saliency", *images, "--control")[0] == 0
    code, _, err = cli("run", "saliency", *images, "--resume")
    assert code == 2
    assert "belongs to another request: it was made with --control, now without it." in err


def test_an_analysis_without_a_map_has_no_control(cli, lenet, tmp_path):
    words = "The analysis 'filters' has no map of the image, so there is no control for it."
    code, _, err = cli("run", "filters", "--control")
    assert (code, err) == (2, f"Error: {words}\n")
    with pytest.raises(UsageError, match="no map of the image"):
        cx.explain("intermediate-outputs", lenet, DIGIT, control=True)
    # In a configuration file, the option is for the other analyses.
    (tmp_path / configuration_files.NAME).write_text("[run]\ncontrol = true\n")
    assert cli("run", "intermediate-outputs", DIGIT, "--pictures", "none")[0] == 0


def test_a_report_shows_the_control_beside_the_map(cli, tmp_path):
    chosen = [word for name in ("saliency", "gradient-x-input", "filters") for word in ("--analysis", name)]
    code, out, err = cli("report", DIGIT, *chosen, "--control")
    assert code == 0, err
    assert "saliency: The map has a rank correlation of " in out.replace("\n", " ")
    page = (tmp_path / "cnnexplain-out/report.html").read_text()
    assert "--control" in page
    data = json.loads(page.partition('<script type="application/json" class="data">')[2].partition("</script>")[0])
    assert [(each["analysis"], each["name"]) for each in data] == [
        ("saliency", "saliency"),
        ("saliency", TITLE),
        ("gradient-x-input", "pixel_attribution"),
        ("gradient-x-input", TITLE),
    ]
    assert [each["signed"] for each in data] == [False, False, True, True]
    assert data[0]["data"] != data[1]["data"]
    record = cx.Record.load(tmp_path / "cnnexplain-out/saliency")
    assert data[1]["limit"] == pytest.approx(draw.percentile_limit(record.control.arrays["saliency"][0]))
    assert record.notes()[0] in page


def test_json_documents_state_the_control(cli, blank_pictures):
    code, out, _ = cli("run", "saliency", DIGIT, "--control", "--json")
    assert code == 0
    (image,) = json.loads(out)["images"]
    correlation = image["control"]["rank_correlation"]
    assert set(image["control"]) == {"rank_correlation", "note"}
    assert image["control"]["note"].startswith(f"The map has a rank correlation of {correlation:.2f} with")
    code, out, _ = cli("run", "saliency", DIGIT, "--json")
    (image,) = json.loads(out)["images"]
    assert image["control"] is None


@pytest.mark.parametrize(
    ("analysis", "name", "limit"),
    [
        ("saliency", "saliency", draw.percentile_limit),
        ("gradient-x-input", "pixel_attribution", draw.percentile_limit),
        ("rise", "gain", lambda values: np.abs(values).max()),
        ("occlusion", "logit_drop", draw.percentile_limit),
    ],
)
def test_the_control_is_drawn_like_the_map(lenet, analysis, name, limit):
    options = {"rise": {"masks": 40}}.get(analysis, {})
    record = cx.explain(analysis, lenet, DIGIT, control=True, **options)
    figure = record.figure()
    plain = cx.explain(analysis, lenet, DIGIT, **options).figure()
    panel = panel_of(figure)
    (image,) = panel.images
    values = record.control.arrays[name][0]
    np.testing.assert_array_equal(image.get_array(), values)
    signed = analysis != "saliency"
    assert image.get_clim() == pytest.approx((-limit(values) if signed else 0, limit(values)))
    assert texts(panel) == [
        f"rank correlation {record.facts['control_rank_correlation'][0]:.2f}; its own color scale".replace("-", "−")
    ]
    # Nothing else moves, and all of it fits.
    assert figure.get_figheight() == plain.get_figheight()
    for axes, other in zip(figure.axes, plain.axes, strict=False):
        place, before = axes.get_position(original=True), other.get_position(original=True)
        np.testing.assert_allclose(
            np.array([place.x0, place.width]) * figure.get_figwidth(),
            np.array([before.x0, before.width]) * plain.get_figwidth(),
        )
    assert panel.get_position(original=True).x0 * figure.get_figwidth() > plain.get_figwidth() - draw.GAP - 1e-9
    assert panel.get_position(original=True).x1 < 1
    assert not any(axes.get_title() == TITLE for axes in plain.axes)


def test_a_map_that_is_enlarged_has_an_enlarged_control(lenet):
    record = cx.explain("gradcam", lenet, DIGIT, control=True)
    (image,) = panel_of(record.figure()).images
    np.testing.assert_array_equal(image.get_array(), as_record(record, record.control).overlay(0))


def test_a_control_that_is_zero_says_so():
    """A network that sums its pixels through a ReLU: shuffled, its negative weight of the sum may come first."""
    inputs = keras.Input((4, 4, 1))
    total = keras.layers.Dense(2, use_bias=False)(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, keras.layers.Softmax()(keras.layers.Dense(2, use_bias=False)(keras.layers.ReLU()(total))))
    first = np.full((16, 2), -1.0)
    first[:, 0] = 1
    model.set_weights([first, np.eye(2)])
    clf = cx.load(model, preprocess=cx.Preprocess(4, 4, color="gray"))
    image = np.ones((1, 4, 4, 1), np.float32)
    record = cx.explain("saliency", clf, image, target=0, control=True)
    record.control.arrays["saliency"][...] = 0
    assert record.notes() == ["The map of the network with shuffled weights is zero everywhere."]
    assert texts(panel_of(record.figure())) == ["zero everywhere"]


PLUGIN = """
import numpy as np
from cnnexplain.plugin import Analysis, Option, Result, hookimpl
from typing import Annotated

def run(classifier, images, targets, *, what: Annotated[str, Option("A word.")] = "map"):
    "A map that ignores the network."
    maps = images.mean(axis=-1) if what != "scores" else images.mean(axis=-1) * classifier.logits(images)[:, :1, None]
    facts = {"mean": maps.mean(axis=(1, 2)).tolist()}
    if what == "clash":
        return Result({"bright": maps, "control/bright": maps}, facts)
    return Result({"other" if what == "none" else "bright": maps}, facts)

def draw(record, index):
    from matplotlib.figure import Figure
    figure = Figure((4, 3), layout="constrained")
    if record.options["what"] != "bare":
        panel = figure.subplots()
        panel.set_xlabel("columns")
        panel.imshow(record.images[index])
    return figure

@hookimpl
def cnnexplain_analyses():
    return [Analysis("brightness", run, draw, "Nobody 2026", maps={"bright": "units"})]
"""


def test_third_party_maps_have_a_control(install, lenet, tmp_path):
    install("acme-brightness", PLUGIN)
    record = cx.explain("brightness", lenet, [DIGIT, "mnist:test/3"], control=True)
    # A map that ignores the network equals its control.
    assert record.facts["control_rank_correlation"] == pytest.approx([1, 1])
    assert record.notes(1)[0].endswith("; it hardly shows what the network has learned.")
    # So does an opposite map, as in `cnnexplain verify`.
    opposite = replace(record, facts={**record.facts, "control_rank_correlation": [-0.95, 0.5]})
    assert [notes[0].endswith("has learned.") for notes in map(opposite.notes, range(2))] == [True, False]
    figure = record.figure(1)
    # The picture says so, too.
    assert record.notes(1) == [text.get_text().replace("\n", " ") for text in figure.texts]
    first, panel = figure.axes[0], panel_of(figure)
    first, second = (axes.get_position(original=True) for axes in (first, panel))
    assert (first.y0, first.y1) == pytest.approx((second.y0, second.y1))
    assert first.x1 < second.x0
    # There is room for the title.
    assert second.y1 < 1 - 0.29 / figure.get_figheight()
    assert figure.get_figwidth() > 6
    assert panel_of(cx.explain("brightness", lenet, DIGIT, control=True, what="bare").figure())
    record.save(tmp_path / "out", dpi=40)
    again = cx.Record.load(tmp_path / "out")
    np.testing.assert_array_equal(again.control.arrays["bright"], record.control.arrays["bright"])


def test_results_that_have_no_control_say_so(install, lenet, monkeypatch):
    install("acme-brightness", PLUGIN)
    record = cx.explain("brightness", lenet, DIGIT, control=True, what="none")
    assert record.control is None
    assert any("There is no control" in warning for warning in record.warnings)
    with pytest.raises(PluginError, match=r"'control/bright', a name that is used for the control"):
        cx.explain("brightness", lenet, DIGIT, control=True, what="clash")


@pytest.mark.parametrize("layout", [None, "constrained"])
@pytest.mark.parametrize("place", ["upper right", "center right", "lower center", (0.6, 0.8)])
def test_a_legend_of_the_figure_stays_left_of_the_control(lenet, layout, place):
    def figure(_, __):
        made = Figure((4, 3), layout=layout)
        made.subplots().plot([0, 1], label="line")
        made.legend(loc=place)
        return made

    record = cx.explain("saliency", lenet, DIGIT, control=True)
    record = replace(record, analysis=replace(record.analysis, draw=figure))
    before = replace(record, control=None).figure()
    after = record.figure()
    boxes = []
    for each in (before, after):
        each.draw_without_rendering()
        boxes.append(each.legends[0].get_window_extent().get_points() / each.dpi)
    np.testing.assert_allclose(*boxes, atol=1e-6)
    panel = panel_of(after).get_window_extent().get_points() / after.dpi
    assert boxes[1][1, 0] < panel[0, 0]


@pytest.mark.parametrize("head", ["sigmoid", "values"])
def test_other_heads_have_a_control(cli, tmp_path, head):
    """The control and all checks of a network whose outputs are not those of a softmax."""
    inputs = keras.Input((12, 10, 3))
    features = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    outputs = keras.layers.Dense(3, activation=None if head == "values" else head)(keras.layers.Flatten()(features))
    keras.Model(inputs, outputs).save(tmp_path / "model.keras")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 10, 3), np.uint8)).save(tmp_path / "image.png")
    if head == "values":
        (tmp_path / "model.json").write_text('{"head": "values"}')
    model = ("--model", "model.keras")
    code, out, err = cli("run", "gradient-x-input", "image.png", *model, "--control", "--verify")
    assert (code, "Traceback" in err) == (0, False), out + err
    folder = tmp_path / "cnnexplain-out/gradient-x-input"
    record = cx.Record.load(folder)
    classifier = cx.load(tmp_path / "model.keras")
    assert classifier.head == head
    target = record.explained[0].target
    expected = cx.explain("gradient-x-input", shuffling.shuffled(classifier), record.images, target=target)
    values = expected.arrays["pixel_attribution"]
    np.testing.assert_allclose(record.control.arrays["pixel_attribution"], values, rtol=0, atol=1e-5 * np.abs(values).max())
    assert record.verification.passed
    assert cli("verify", folder, *model)[0] == 0


def failing(monkeypatch, *calls):
    """Lets the control fail in these calls, counted from 0; returns the list of the calls."""
    run, made = control.run_analysis, []

    def fail(*arguments, **keywords):
        made.append(len(made))
        if made[-1] in calls:
            raise ModelError("It is broken.")
        return run(*arguments, **keywords)

    monkeypatch.setattr(control, "run_analysis", fail)
    return made


BROKEN = "There is no control, because the network with shuffled weights can't be explained: It is broken."


def test_a_control_that_fails_leaves_the_explanation(cli, lenet, monkeypatch, tmp_path):
    failing(monkeypatch, 0, 1)
    record = cx.explain("saliency", lenet, DIGIT, control=True)
    assert (record.control, record.warnings, record.notes()) == (None, (BROKEN,), [])
    plain = cx.explain("saliency", lenet, DIGIT)
    assert record.facts == plain.facts
    np.testing.assert_array_equal(record.arrays["saliency"], plain.arrays["saliency"])
    code, _, err = cli("run", "saliency", DIGIT, "--control")
    assert code == 0
    assert BROKEN in err.replace("\n", " ")
    assert cli("verify", tmp_path / "cnnexplain-out/saliency")[0] == 0


@pytest.mark.parametrize("fails", [0, 1, 2])
def test_parts_of_a_control_that_fails_are_joined_without_it(lenet, monkeypatch, fails):
    """Four batches of one image in two parts: from the first failure on, there is no control."""
    monkeypatch.setattr(parts, "PART_IMAGES", 2)
    monkeypatch.setattr(lenet, "batch_size", 1)
    calls = failing(monkeypatch, fails)
    images = [f"mnist:test/{index}" for index in range(4)]
    found = list(cx.explain_parts("saliency", lenet, images, control=True))
    assert len(calls) == fails + 1
    # A part has a control for all of its images, or none.
    assert [record.control is not None for record in found] == [fails == 2, False]
    assert [BROKEN in record.warnings for record in found] == [fails < 2, fails == 2]
    joined = join(found)
    assert joined.control is None
    assert "control_rank_correlation" not in joined.facts
    assert joined.warnings.count(BROKEN) == 1
    assert len(joined) == 4


def test_a_model_that_cannot_be_copied_gives_one_line(cli, model, tmp_path, monkeypatch):
    model().save(tmp_path / "model.keras")

    def refuse(*_):
        raise ValueError("no copies")

    monkeypatch.setattr(shuffling, "_permuted", refuse)
    code, _, err = cli("run", "saliency", DIGIT, "--model", "model.keras", "--control")
    assert code == 1
    assert "Error: 'model.keras' can't be copied to shuffle its weights: " in err
    assert "Traceback" not in err
    assert not (tmp_path / "cnnexplain-out/saliency/result.json").exists()

"""What the core hands to an analysis and takes from it, with plugins made for the purpose."""

import json
from dataclasses import replace

import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain.errors import ModelError, PluginError, UsageError
from cnnexplain.pipeline import targets
from cnnexplain.plugin import registry

HEAD = """
import numpy as np
from typing import Annotated
from cnnexplain.plugin import Analysis, Option, Result, hookimpl

def figure(record, words):
    from cnnexplain import draw
    made = draw.sheet(record, 3, 2)
    draw.heading(made, words)
    return made
"""

WEIGHTS = (
    HEAD
    + """
def run(classifier, objectives, dataset, progress):
    "What the weights are."
    progress(1, 2)
    count = 0 if dataset is None else sum(len(batch) for _, batch in dataset.batches())
    names = [str(objective) for objective in objectives]
    return Result({"weights": classifier.model.get_weights()[0]}, {"asked": names, "counted": count}, warnings=("Beware.",))

def overview(record):
    return {"first weights": figure(record, "weights"), "others": figure(record, "others")}

@hookimpl
def cnnexplain_analyses():
    return [Analysis("weights", run, None, "Nobody 2026", overview, "Weights are only weights.")]
"""
)

BOTH = (
    HEAD
    + """
def run(images, dataset, *, what: Annotated[str, Option("What to do.")] = "well"):
    "The mean of images and of a data set."
    result = Result({"mean": np.array([image.mean() for image in images])})
    if what == "alone" or dataset is None and what != "late":
        return result
    counted = 0 if dataset is None else len(dataset)
    facts = {"counted": [counted] if what == "listed" else counted}
    return Result(result.arrays, {}, Result({"mean" if what == "clash" else "all": np.zeros(3)}, facts))

def draw(record, index):
    return figure(record, record.explained[index].source.name)

@hookimpl
def cnnexplain_analyses():
    return [Analysis("means", run, draw, "Nobody 2026", lambda record: {"all": figure(record, "all")})]
"""
)

UNEVEN = (
    HEAD
    + """
def run(images, progress):
    "Another array for each chunk."
    progress(1, 2)
    progress(2, 2)
    return Result({"a" if len(images) == 2 else "b": images})

def draw(record, index):
    return figure(record, "never")

@hookimpl
def cnnexplain_analyses():
    return [Analysis("uneven", run, draw, "Nobody")]
"""
)

FAILING = (
    HEAD
    + """
from cnnexplain.errors import ModelError

def refuse(images):
    "Refuses every model."
    raise ModelError("This model is not to its taste.")

def crash(images):
    "Crashes."
    return 1 / 0

def draw(record, index):
    return figure(record, "never")

@hookimpl
def cnnexplain_analyses():
    return [Analysis("refusing", refuse, draw, "Nobody"), Analysis("crashing", crash, draw, "Nobody")]
"""
)


def test_an_analysis_of_the_model_alone(lenet, install, tmp_path, noise):
    install("acme-weights", WEIGHTS)
    seen = []
    record = cx.explain("weights", lenet, target=[4, "9"], against=[1, 2], progress=lambda *done: seen.append(done))
    assert seen == [(1, 2)]
    assert record.facts == {"asked": ["4 − 1", "9 − 2"], "counted": 10_000}
    assert (len(record), record.explained, record.warnings) == (0, (), ("Beware.",))
    assert cx.explain("weights", lenet, dataset=noise).facts == {"asked": [], "counted": 4}
    assert [path.name for path in record.save(tmp_path / "out")] == [
        *("first-weights.png", "others.png"),
        *("arrays.npz", "index.html", "result.json"),
    ]
    result = json.loads((tmp_path / "out/result.json").read_text())
    assert result["images"] == []
    assert result["overview"] == ["first-weights.png", "others.png"]
    assert (result["limitations"], result["warnings"]) == ("Weights are only weights.", ["Beware."])
    assert result["dataset"] == {"name": "mnist:test", "images": 10_000, "skipped": {}}
    with np.load(tmp_path / "out/arrays.npz") as arrays:
        assert list(arrays) == ["weights"]
    assert record.overview()["others"].texts[0].get_text() == "Weights are only weights."
    with pytest.raises(IndexError, match=r"0 images; got index 0; see overview\(\) for results that belong to no image"):
        record.figure()
    for given, words in (
        ({"against": 3}, "needs a target from which 3 is subtracted"),
        ({"target": 10}, "no class 10"),
    ):
        with pytest.raises(UsageError, match=words):
            cx.explain("weights", lenet, **given)


def test_images_select_the_classes_of_a_model_analysis(lenet, install, noise, monkeypatch):
    install("acme-weights", WEIGHTS)
    order = np.argsort(-lenet.predict(noise), axis=1)
    record = cx.explain("weights", lenet, noise)
    wanted = list(dict.fromkeys(str(index) for index in order[:, :2].ravel()))
    assert record.facts["asked"] == wanted
    assert (len(record), record.images.shape, record.warnings) == (0, (0, 28, 28, 1), ("Beware.",))
    first = int(order[0, 0])
    assert cx.explain("weights", lenet, noise[:1], target=3).facts["asked"] == ["3"]
    other = (first + 1) % 10
    assert cx.explain("weights", lenet, noise[:1], against=other).facts["asked"] == [f"{first} − {other}"]
    with pytest.raises(UsageError, match=f"predicted to be {first}, which is also 'against'. Choose another"):
        cx.explain("weights", lenet, noise[:1], against=first)
    monkeypatch.setattr(targets, "PREDICTED", 1)
    record = cx.explain("weights", lenet, noise)
    assert record.facts["asked"] == wanted[:1]
    assert record.warnings[0] == f"The images belong to {len(wanted)} different classes; the first 1 of them are explained."


def test_images_are_refused_where_no_classes_are_explained(lenet, install, noise):
    install("acme-plain", WEIGHTS.replace("objectives, dataset", "dataset").replace("in objectives", "in ()"))
    with pytest.raises(UsageError, match="explains the model itself and takes no images"):
        cx.explain("weights", lenet, noise)


def test_a_non_finite_model_is_refused_without_images(install, model):
    install("acme-weights", WEIGHTS)
    broken = model()
    broken.layers[-1].bias.assign(np.full(5, np.nan))
    with pytest.raises(ModelError, match="probabilities that are not finite"):
        cx.explain("weights", cx.load(broken))
    assert cx.explain("weights", cx.load(model())).facts["counted"] == 0


def test_the_data_set_is_passed_once(lenet, install, noise, tmp_path, monkeypatch):
    install("acme-means", BOTH)
    monkeypatch.setattr(lenet, "batch_size", 3)
    record = cx.explain("means", lenet, noise, dataset=noise)
    np.testing.assert_allclose(record.arrays["mean"], noise.mean(axis=(1, 2, 3)), rtol=1e-6)
    assert (record.arrays["all"].shape, record.facts) == ((3,), {"counted": 4})
    assert [path.name for path in record.save(tmp_path / "out")][3:5] == ["array-3.png", "all.png"]
    with pytest.raises(PluginError, match="returned 'mean' both for the images and for the overview"):
        cx.explain("means", lenet, noise, what="clash")
    with pytest.raises(PluginError, match="returned the fact 'counted' of the overview as a list"):
        cx.explain("means", lenet, noise, what="listed")
    with pytest.raises(PluginError, match="returned an overview, but got no data set"):
        cx.explain("means", lenet, noise, what="late")
    # A model of no digits looks through the images where no data set is named.
    assert cx.explain("means", lenet, noise, what="alone").provenance["dataset"]["name"] == "mnist:test"


def test_the_images_are_the_data_set_of_other_models(install, model, random):
    install("acme-means", BOTH)
    images = random.uniform(0, 1, (3, 12, 10, 3)).astype(np.float32)
    record = cx.explain("means", cx.load(model()), images)
    assert record.provenance["dataset"] == {"name": "the images given", "images": 3, "skipped": {}}


def test_inconsistent_results_are_refused_and_progress_is_monotonic(lenet, install, noise, monkeypatch):
    install("acme-uneven", UNEVEN)
    monkeypatch.setattr(lenet, "batch_size", 2)
    seen = []
    cx.explain("uneven", lenet, noise, progress=lambda *done: seen.append(done))
    assert seen == [(250, 1000), (500, 1000), (750, 1000), (1000, 1000)]
    with pytest.raises(PluginError, match="different arrays, shapes or facts for different images"):
        cx.explain("uneven", lenet, noise[:3])


def test_missing_images_are_an_error(lenet):
    with pytest.raises(UsageError, match="'saliency' explains images: give at least one"):
        cx.explain("saliency", lenet)


def test_the_command_of_a_model_analysis(cli, install, tmp_path):
    install("acme-weights", WEIGHTS)
    code, out, err = cli("run", "weights", "--target", "4", "--against", "9", "--dataset", "mnist:test")
    assert code == 0
    assert err == "Warning: Beware.\n"
    assert "Note: Weights are only weights." in out
    assert out.endswith("Wrote 2 pictures, arrays.npz, index.html and result.json to cnnexplain-out/weights\n")
    assert (tmp_path / "cnnexplain-out/weights/others.png").is_file()
    assert json.loads((tmp_path / "cnnexplain-out/weights/result.json").read_text())["facts"]["asked"] == ["4 − 9"]
    assert cli("run", "weights", "photo.png")[0] == 2
    code, out, _ = cli("run", "weights", "mnist:test/7", "--json")
    assert code == 0
    facts = json.loads((tmp_path / "cnnexplain-out/weights/result.json").read_text())["facts"]
    assert (len(facts["asked"]), facts["asked"][0]) == (2, "9")
    assert json.loads(out)["images"] == []


@pytest.fixture
def few(monkeypatch, blank_pictures):
    """Leaves the cheap analyses and what a test installs, so that all of them run in a moment."""
    whole = registry.load

    def load():
        found = whole()
        kept = {name: analysis for name, analysis in found.analyses.items() if name not in LEFT_OUT}
        return replace(found, analyses=replace(found.analyses, found=kept))

    monkeypatch.setattr(registry, "load", load)


LEFT_OUT = (
    *("activation-maximization", "deconvnet", "filters", "gradcam", "gradient-x-input"),
    *("integrated-gradients", "inversion", "rise", "smoothgrad"),
)


def test_run_all_runs_every_analysis_and_reports_those_that_fail(cli, install, tmp_path, few, monkeypatch):
    from cnnexplain.results.writer import Writer

    def broken(add):
        def drawn(self, record, *arguments):
            if record.analysis.name == "occlusion":
                raise ValueError("no pen")
            return add(self, record, *arguments)

        return drawn

    install("acme-weights", WEIGHTS)
    code, out, _ = cli("run", "all", "mnist:test/0", "--target", "9", "--out", "here")
    assert code == 0
    for name in ("saliency", "weights", "occlusion", "intermediate-outputs"):
        assert (tmp_path / "here" / name / "result.json").exists()
        assert f"│ {name} " in out
    assert json.loads((tmp_path / "here/saliency/result.json").read_text())["images"][0]["target"] == "9"
    (tmp_path / "here/saliency/arrays.npz").unlink()
    before = (tmp_path / "here/weights/result.json").stat().st_mtime_ns
    code, out, _ = cli("run", "all", "mnist:test/0", "--target", "9", "--out", "here", "--resume")
    assert code == 0
    assert out.count("already done") == 3
    assert (tmp_path / "here/saliency/arrays.npz").exists()
    assert (tmp_path / "here/weights/result.json").stat().st_mtime_ns == before
    install("acme-failing", FAILING)
    monkeypatch.setattr(Writer, "add", broken(Writer.add))
    code, out, err = cli("run", "all", "mnist:test/0", "--out", "there")
    assert code == 1
    assert (tmp_path / "there" / "saliency" / "result.json").exists()
    assert not (tmp_path / "there" / "refusing").exists()
    table = [line for line in out.splitlines() if "failed" in line]
    assert len(table) == 3
    # Those that don't tell how many passes they take are run last.
    assert "ValueError: no pen" in table[0]
    assert "ZeroDivisionError: division by zero" in table[1]
    assert "This model is not to its taste." in table[2]
    assert err.splitlines()[-1].endswith("analyses failed: occlusion, crashing, refusing.")


def test_run_all_skips_foreign_folders(cli, tmp_path, few):
    (tmp_path / "cnnexplain-out" / "occlusion").mkdir(parents=True)
    (tmp_path / "cnnexplain-out" / "occlusion" / "notes.txt").write_text("mine")
    code, out, err = cli("run", "all")
    assert code == 1
    assert "contains files that cnnexplain did not write" in out
    assert err.splitlines()[-1].endswith("analyses failed: occlusion.")
    assert (tmp_path / "cnnexplain-out" / "saliency" / "result.json").exists()


def test_run_all_interrupted_says_what_was_kept(cli, tmp_path, few, monkeypatch):
    from cnnexplain.pipeline import parts

    run = parts.run_parts

    def interrupted(request, start):
        if request.analysis.name == "occlusion":
            raise KeyboardInterrupt
        return run(request, start)

    monkeypatch.setattr(parts, "run_parts", interrupted)
    code, _, err = cli("run", "all")
    assert code == 130
    assert err == (
        "Interrupted; kept in cnnexplain-out: intermediate-outputs, saliency. The same command with --resume continues.\n"
    )
    assert (tmp_path / "cnnexplain-out" / "saliency" / "result.json").exists()


def test_run_all_checks_arguments_before_it_starts(cli, few):
    assert cli("run", "all", "--target", "cat")[0] == 2
    code, _, err = cli("run", "all", "nothing.png")
    assert (code, err.splitlines()[-1]) == (2, "Error: There is no file 'nothing.png'.")
    assert cli("run", "all", "--dataset", "nothing")[0] == 2


def test_no_analysis_may_be_named_all():
    from cnnexplain.plugin import Analysis

    with pytest.raises(PluginError, match="No analysis can be named 'all'"):
        Analysis("all", lambda images: None, lambda record, index: None, "Nobody")


def test_the_graph_is_compared_with_the_model_on_the_image(random):
    """A call() that does something else for bright images alone: the noise that a model is loaded with does not show it."""
    import keras

    class Bright(keras.Model):
        def call(self, inputs, training=None, mask=None):
            scores = super().call(inputs, training=training, mask=mask)
            return scores + 5.0 * keras.ops.cast(keras.ops.min(inputs) > 0.9, "float32") * keras.ops.arange(3.0)

    inputs = keras.Input((6, 6, 1))
    clf = cx.load(Bright(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs))), logits=True)
    dark = random.uniform(size=(1, 6, 6, 1)).astype(np.float32)
    assert cx.explain("saliency", clf, dark).arrays["gradient"].shape == dark.shape
    clf = cx.load(clf.model, logits=True)
    with pytest.raises(ModelError, match="computes other scores than its layers do"):
        cx.explain("saliency", clf, np.ones_like(dark))

"""`cnnexplain.benchmark`: methods, controls, metrics, masks and maps of other tools."""

import dataclasses
import html
import json

import numpy as np
import pytest
from PIL import Image

import cnnexplain as cx
from cnnexplain.errors import PluginError, UsageError
from cnnexplain.evaluation import benchmark, methods, saving
from cnnexplain.plugin import registry

SAMPLES = ["mnist:test/0", "mnist:test/1", "mnist:test/2"]
CONTROLS = ["random", "sobel", "gaussian", "|input − black|"]


@pytest.fixture(scope="module")
def board(lenet):
    return cx.benchmark(["saliency", "gradcam:method=layercam,layer=conv1"], lenet, SAMPLES, metrics="deletion")


def test_a_benchmark_scores_the_maps_of_the_methods_and_of_the_controls(board, lenet):
    assert list(board.methods) == ["saliency", "gradcam:method=layercam,layer=conv1", *CONTROLS]
    assert board.options["gradcam:method=layercam,layer=conv1"]["method"] == "layercam"
    assert board.images == SAMPLES
    assert [lenet.labels[target] for target in board.targets] == ["7", "2", "1"]
    assert board.scores("deletion").shape == (3, 6)
    best = board.standings("deletion", "black")
    means = [each.mean for each in best]
    assert means == sorted(means)
    assert {each.method for each in best} == set(board.methods)
    assert best[-1].method == "random"


@pytest.mark.backends
def test_the_maps_are_those_of_explain(board, lenet):
    """The same maps, given as arrays of another tool, have the same scores."""
    images = cx.read_images(SAMPLES, lenet)
    maps = {
        "first": cx.explain("saliency", lenet, images).arrays["saliency"],
        "second": cx.explain("gradcam", lenet, images, method="layercam", layer="conv1").arrays["map"],
    }
    again = cx.benchmark([], lenet, images, metrics=["deletion"], maps=maps)
    assert list(again.methods.values())[:2] == ["file", "file"]
    for score in again.defined("deletion"):
        np.testing.assert_allclose(again.scores("deletion", score), board.scores("deletion", score), rtol=1e-4, atol=1e-5)


def test_the_scores_depend_on_the_target_and_the_seed_only(lenet):
    first, again = (cx.benchmark("saliency", lenet, SAMPLES[:2], metrics="insertion", target=[3, "5"]) for _ in range(2))
    np.testing.assert_array_equal(first.scores("insertion"), again.scores("insertion"))
    assert first.targets == [3, 5]
    alone = cx.benchmark("saliency", lenet, SAMPLES[:1], metrics="insertion", target=3)
    np.testing.assert_allclose(alone.scores("insertion"), first.scores("insertion")[:1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("metric", ["pixel-flipping", "infidelity"])
def test_the_scores_of_an_image_depend_on_the_seed_but_not_on_its_place(lenet, metric):
    maps = np.random.default_rng(0).uniform(size=(28, 28))
    images = cx.read_images(SAMPLES[:2], lenet)

    def scores(places, seed=0):
        given = {"map": np.stack([maps] * len(places))}
        board = cx.benchmark([], lenet, images[places], metrics=metric, target=7, maps=given, seed=seed)
        return dict(zip(board.methods, board.scores(metric)[-1], strict=True))

    first, second, other = scores([0]), scores([1, 0]), scores([0], seed=1)
    for method, value in first.items():
        assert second[method] == pytest.approx(value, rel=1e-4, abs=1e-5)
        assert other[method] != pytest.approx(value, rel=1e-3)


def test_the_random_control_depends_on_the_seed(lenet):
    zero, again, one = (
        cx.benchmark("saliency", lenet, SAMPLES[:2], metrics="sparseness", seed=seed).scores("sparseness")
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(zero, again)
    # Of the methods, only the random control has random numbers here.
    assert ((zero != one) == [False, True, False, False, False]).all()


def test_the_document_has_all_numbers(board):
    document = board.document()
    (metric,) = document["metrics"]
    assert metric["limitations"] == board.metrics["deletion"].limitations
    assert [score["name"] for score in metric["scores"]] == list(board.metrics["deletion"].scores)
    assert metric["scores"][0]["values"] == board.scores("deletion").tolist()
    # Three images are too few for an interval.
    assert all(each["interval"] is None and each["images"] == 3 for each in metric["scores"][0]["methods"])
    assert document["methods"][0] == {"name": "saliency", "kind": "analysis", "options": {"crops": "one"}}


INVALID = {
    "no such analysis": ({"analyses": "salency"}, "no analysis 'salency'. Did you mean 'saliency'"),
    "no map": ({"analyses": "filters"}, "'filters' has no map of the image that could be compared. Analyses with maps: "),
    "no such option": ({"analyses": "saliency:crop=ten"}, "no option 'crop'. Did you mean 'crops'"),
    "no value": ({"analyses": "saliency:ten"}, "are written name=value, but got 'ten'"),
    "not a number": ({"analyses": "rise:masks=many"}, "--masks takes a whole number, but got 'many'"),
    "an option twice": ({"analyses": "gradcam:layer=conv1,layer=conv2"}, "'gradcam' give 'layer' twice: .*; give it once"),
    "no name": ({"analyses": [3]}, "analyses takes names such as 'gradcam:method=layercam', but got 3"),
    "a number as analyses": ({"analyses": 3}, "analyses takes names such as .*, but got 3"),
    "a number as metric": ({"metrics": [3]}, "metrics takes names such as 'deletion', but got 3"),
    "a negative seed": ({"seed": -1}, "seed must be a whole number of at least 0, but got -1"),
    "a seed with a fraction": ({"seed": 0.5}, "seed must be a whole number of at least 0, but got 0.5"),
    "a flag as seed": ({"seed": True}, "seed must be a whole number of at least 0, but got True"),
    "twice": ({"analyses": ["saliency", "saliency"]}, "Two methods are called 'saliency'"),
    "nothing": ({"analyses": []}, "no method to compare"),
    "no such metric": ({"metrics": "deltion"}, "no metric 'deltion'. Did you mean 'deletion'"),
    "no metric": ({"metrics": []}, "no metric to compute; name at least one of "),
    "no such class": ({"target": "ten"}, "ten"),
    "an objective": ({"target": cx.Logit(1) - cx.Logit(2)}, "explains classes"),
    "masks of another shape": (
        {"masks": np.zeros((3, 7, 7))},
        r"masks have the shape \(3, 7, 7\); expected .*\(3, 28, 28\)",
    ),
    "ragged masks": ({"masks": [[1], [1, 2]]}, "masks are not an array of numbers: ValueError"),
    "masks of other values": ({"masks": np.full((3, 28, 28), 0.01)}, r"The masks contain 0\.01; expected 0 and 1\."),
    "negative masks": ({"masks": np.full((3, 28, 28), -1)}, "The masks contain -1; expected 0 and 1"),
    "masks that are not finite": ({"masks": np.full((3, 28, 28), np.nan)}, "The masks contain nan; expected 0 and 1"),
    "bright masks": ({"masks": np.full((3, 28, 28), 255, np.uint8)}, "The masks contain 255; expected 0 and 1"),
    "no folder of masks": ({"masks": "nowhere"}, "no folder of masks 'nowhere'"),
    "maps of another shape": ({"maps": {"lime": np.zeros((3, 7, 7))}}, r"expected \(3, 28, 28\)"),
}


@pytest.mark.parametrize("kind", INVALID)
def test_invalid_arguments_are_refused(kind, lenet):
    change, words = INVALID[kind]
    arguments = {"analyses": "saliency", "images": SAMPLES, "metrics": "deletion", **change}
    with pytest.raises(UsageError, match=words):
        cx.benchmark(arguments.pop("analyses"), lenet, arguments.pop("images"), **arguments)


@pytest.fixture
def narrow(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    return cli


def test_the_command_prints_a_table_that_fits_80_columns(narrow, board):
    options = ["gradcam:method=layercam,layer=conv1", "--metric", "deletion"]
    code, out, err = narrow("benchmark", "saliency", *options, *SAMPLES)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    rows = [line.split() for line in out.splitlines()]
    (saliency,) = [row for row in rows if row[:1] == ["saliency"]]
    means = [board.standings("deletion", score) for score in board.metrics["deletion"].scores]
    means = [next(each.mean for each in standings if each.method == "saliency") for standings in means]
    assert [float(cell.strip("†").replace("−", "-")) for cell in saliency[1:]] == pytest.approx(means, abs=6e-4)
    told = " ".join(out.split())
    assert f"Cannot tell: {board.metrics['deletion'].limitations}" in told
    assert f"Computed with: {board.metrics['deletion'].protocol}" in told
    assert "Fewer than 10 images give no interval" in told


def test_the_command_prints_json(cli, board):
    options = ["gradcam:method=layercam,layer=conv1", "--metric", "deletion", "--json"]
    code, out, _ = cli("benchmark", "saliency", *options, *SAMPLES)
    assert code == 0
    document, expected = json.loads(out), json.loads(json.dumps(board.document()))
    assert document["metrics"][0]["scores"][0]["methods"] == expected["metrics"][0]["scores"][0]["methods"]
    assert document["images"] == expected["images"]


def test_the_command_marks_scores_that_do_not_beat_a_control(cli, lenet, tmp_path):
    flat = np.zeros((10, 28, 28))
    np.save(tmp_path / "flat.npy", flat)
    samples = [f"mnist:test/{number}" for number in range(10)]
    code, out, _ = cli("benchmark", "--maps", f"flat={tmp_path / 'flat.npy'}", "--metric", "insertion", *samples)
    assert code == 0
    (row,) = [line.split() for line in out.splitlines() if line.strip().startswith("flat ")]
    assert row[1].endswith("†")
    # With maps and without the name of an analysis, only the maps are compared with the controls.
    assert "saliency" not in out
    assert "95% interval" in out
    assert "excludes 0" in out


def test_a_benchmark_writes_its_numbers_and_a_page(board, lenet, tmp_path):
    methods = ["saliency", "gradcam:method=layercam,layer=conv1"]
    written = cx.benchmark(methods, lenet, SAMPLES, metrics=["deletion", "sparseness"], out=tmp_path / "new" / "out")
    folder = tmp_path / "new" / "out"
    assert sorted(path.name for path in folder.iterdir()) == ["benchmark.json", "index.html", "scores.jsonl"]
    document = json.loads((folder / "benchmark.json").read_text())
    assert document == json.loads(json.dumps(written.document()))
    np.testing.assert_array_equal(document["metrics"][0]["scores"][0]["values"], board.scores("deletion"))
    page = (folder / "index.html").read_text()
    for metric in written.metrics.values():
        assert html.escape(metric.limitations) in page
        assert html.escape(metric.protocol) in page
    for name in SAMPLES:
        assert f'<span class="name">{name}</span> · explained: ' in page
    # The image and six maps of each image.
    assert page.count("data:image/png;base64,") == 3 * 7
    assert f"<td>{document['metrics'][1]['scores'][0]['values'][2][1]:.3f}</td>" in page


def test_an_interrupted_benchmark_continues_where_it_was(lenet, tmp_path, monkeypatch):
    def run(**options):
        arguments = {"metrics": ["deletion", "sparseness"], "out": tmp_path / "out", **options}
        return cx.benchmark("saliency", lenet, SAMPLES, **arguments)

    whole = cx.benchmark("saliency", lenet, SAMPLES, metrics=["deletion", "sparseness"])

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(progress=stop)
    scores = tmp_path / "out" / "scores.jsonl"
    kept = scores.read_text().splitlines()
    assert len(kept) == 3
    # Killed in the middle of a line, it continues with the image of that line.
    scores.write_text("\n".join([*kept[:2], kept[2][:50]]))
    seen = []
    resumed = run(resume=True, progress=lambda done, total: seen.append(done))
    assert seen == [2, 3]
    assert resumed.images == SAMPLES
    assert resumed.targets == whole.targets
    np.testing.assert_array_equal(resumed.scores("deletion"), whole.scores("deletion"))
    assert (tmp_path / "out" / "index.html").read_text().count("data:image/png;base64,") == 3 * 6
    again = run(resume=True, progress=lambda done, total: pytest.fail("Everything was done."))
    np.testing.assert_array_equal(again.scores("sparseness"), whole.scores("sparseness"))
    with pytest.raises(UsageError, match=r"belong to another request: other seed\. Leave out --resume to replace them"):
        run(resume=True, seed=1)
    assert len(run(seed=1)) == 3


def test_only_scores_of_the_same_request_are_resumed(lenet, tmp_path):
    images = np.asarray(cx.read_images(SAMPLES[:2], lenet))
    masks, maps = np.ones((2, 28, 28)), {"lime": np.eye(28)[None] * np.ones((2, 1, 1))}

    def run(model=lenet, given=images, **options):
        arguments = {"metrics": "relevance-mass", "masks": masks, "maps": maps, "out": tmp_path / "out", **options}
        return cx.benchmark("saliency", model, given, **arguments)

    run()
    run(resume=True, progress=lambda *_: pytest.fail("Everything was done."))
    other = cx.load("lenet", preprocess=dataclasses.replace(lenet.preprocess, interpolation="nearest"))
    for changed, words in (
        ({"given": 1 - images}, "images"),
        ({"masks": np.eye(28)[None] * masks}, "masks"),
        ({"maps": {"lime": maps["lime"] + 1}}, "maps"),
        ({"model": other}, "input"),
    ):
        with pytest.raises(UsageError, match=f"another request: other {words}"):
            run(resume=True, **changed)


def test_the_contents_of_files_belong_to_the_request(lenet, tmp_path, digit_file):
    def run(**options):
        return cx.benchmark("saliency", lenet, [digit_file], metrics="relevance-mass", out=tmp_path / "out", **options)

    (tmp_path / "masks").mkdir()
    mask = tmp_path / "masks" / f"{digit_file.stem}.png"
    Image.new("L", (28, 28), 255).save(mask)
    run(masks=tmp_path / "masks")
    run(masks=tmp_path / "masks", resume=True, progress=lambda *_: pytest.fail("Everything was done."))
    with Image.open(digit_file) as image:
        image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(digit_file)
    with pytest.raises(UsageError, match="other images"):
        run(masks=tmp_path / "masks", resume=True)
    run(masks=tmp_path / "masks")
    half = Image.new("L", (28, 28), 255)
    half.paste(0, (0, 0, 14, 28))
    half.save(mask)
    with pytest.raises(UsageError, match="other masks"):
        run(masks=tmp_path / "masks", resume=True)


DAMAGED = {
    "an empty object": lambda line: b"{}",
    "no JSON": lambda line: line[:50],
    "invalid UTF-8": lambda line: b"\xff" + line,
    "fewer scores": lambda line: line.replace(b'"Gini": [', b'"Gini": [1, '),
    "another score": lambda line: line.replace(b'"Gini"', b'"Gin"'),
    "another place": lambda line: line.replace(b'"place": 1', b'"place": 7'),
    "no text": lambda line: line.replace(b'"name": "mnist:test/1"', b'"name": 3'),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_file_of_scores_is_reported_with_its_line(kind, lenet, tmp_path):
    def run(**options):
        return cx.benchmark("saliency", lenet, SAMPLES, metrics="sparseness", out=tmp_path, **options)

    run()
    path = tmp_path / "scores.jsonl"
    lines = path.read_bytes().splitlines()
    damaged = DAMAGED[kind](lines[2])
    assert damaged != lines[2]
    path.write_bytes(b"\n".join([*lines[:2], damaged, lines[3], b""]))
    with pytest.raises(cx.OutputError, match=r"Line 3 of '.*scores.jsonl' is damaged; leave out --resume"):
        run(resume=True)
    assert len(run()) == 3


def test_files_of_others_are_not_replaced(lenet, tmp_path):
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(cx.OutputError, match="exists and is not part of a benchmark; choose another folder with --out"):
        cx.benchmark("saliency", lenet, SAMPLES[:1], metrics="sparseness", out=tmp_path)
    (tmp_path / "scores.jsonl").write_text("mine")
    with pytest.raises(
        cx.OutputError, match="exists and is not a score file of cnnexplain; choose another folder with --out"
    ):
        cx.benchmark("saliency", lenet, SAMPLES[:1], metrics="sparseness", out=tmp_path)
    assert (tmp_path / "scores.jsonl").read_text() == (tmp_path / "index.html").read_text() == "mine"


def test_the_command_resumes(cli, tmp_path):
    words = ["benchmark", "saliency", *SAMPLES[:2], "--metric", "sparseness", "--out", tmp_path / "there"]
    code, first, _ = cli(*words)
    assert code == 0
    assert f"Wrote the page and all numbers to {tmp_path / 'there' / 'benchmark'}" in first
    assert cli(*words, "--resume") == (0, first, "")
    code, _, err = cli(*words, "--resume", "--seed", "3")
    assert (code, err.count("\n")) == (2, 1)
    assert "belong to another request: other seed" in err


def test_images_that_cannot_be_read_are_skipped(cli, tmp_path, digit_file):
    folder = tmp_path / "digits"
    folder.mkdir()
    digit_file.rename(folder / "seven.png")
    (folder / "broken.png").write_text("no image")
    code, out, err = cli("benchmark", "saliency", folder, "--metric", "sparseness")
    assert (code, err.count("\n")) == (0, 1)
    assert "broken.png' was skipped" in err
    assert "1 image, seed 0" in out
    (folder / "seven.png").unlink()
    code, out, err = cli("benchmark", "saliency", folder, "--metric", "sparseness")
    assert code == 1
    assert "None of the 1 images" in err


def test_the_figures_for_digits(lenet):
    """Measured independently on 100 digits, of which these are the first: what leads, and what loses to an edge detector."""
    cams = [f"gradcam:method={name}" for name in ("gradcam", "gradcam++", "layercam")]
    samples = [f"mnist:test/{number}" for number in range(20)]
    names = ["deletion", "insertion", "mu-fidelity", "infidelity"]
    board = cx.benchmark(["integrated-gradients", "saliency", *cams], lenet, samples, metrics=names)
    deletion, insertion = ({each.method: each for each in board.standings(name)} for name in ("deletion", "insertion"))
    assert board.standings("deletion")[0].method == "integrated-gradients"
    assert deletion["integrated-gradients"].unbeaten == ()
    assert insertion["|input − black|"].mean == pytest.approx(0.96, abs=0.01)
    for name in cams:
        assert insertion[name].mean < insertion["sobel"].mean
        assert "sobel" in insertion[name].unbeaten
    (best, *_) = board.standings("mu-fidelity")
    assert best.method == "integrated-gradients"
    assert best.mean == pytest.approx(0.814, abs=0.02)
    leaders = [each.method for each in board.standings("infidelity")[:2]]
    assert "|input − black|" in leaders


def test_metrics_that_take_most_of_the_time_are_computed_if_they_or_all_are_named():
    offered = registry.load().metrics
    masked = {"pointing-game", "relevance-rank", "relevance-mass"}
    assert set(benchmark.select(None, masked=True)) == set(offered) - {"max-sensitivity", "smprt"}
    assert set(benchmark.select("smprt", masked=False)) == {"smprt"}
    assert set(benchmark.select(["all"], masked=False)) == set(offered) - masked
    assert set(benchmark.select("all", masked=True)) == set(offered)


def test_all_metrics_do_not_hide_a_mistake_in_another_name():
    with pytest.raises(UsageError, match="no metric 'no-such-metric'"):
        benchmark.select(["all", "no-such-metric"], masked=False)
    with pytest.raises(UsageError, match="'pointing-game' needs the relevant pixels"):
        benchmark.select(["all", "pointing-game"], masked=False)


def test_an_interrupted_command_says_how_to_continue(cli, tmp_path, monkeypatch):
    words = ["benchmark", "saliency", *SAMPLES, "--metric", "sparseness", "--out", str(tmp_path)]
    computed = saving.scored

    def stop(setup, start):
        yield next(computed(setup, start))
        raise KeyboardInterrupt

    monkeypatch.setattr(saving, "scored", stop)
    code, out, err = cli(*words)
    assert (code, out) == (130, "")
    told = " ".join(err.split())
    assert f"Interrupted: the scores of 1 of 3 images are kept in {tmp_path / 'benchmark'}; the same command with" in told
    monkeypatch.undo()
    assert cli(*words, "--resume")[0] == 0


def test_the_metrics_are_listed(cli):
    code, out, _ = cli("list")
    assert code == 0
    assert "Metrics from cnnexplain" in out
    assert registry.load().metrics["road"].summary in " ".join(out.split())
    assert out.count("Computed only with --metric NAME or --metric all.") == 2
    listed = json.loads(cli("list", "--json")[1])["metrics"]
    assert [metric["name"] for metric in listed] == list(registry.load().metrics)
    assert listed[0]["limitations"]
    assert {metric["name"] for metric in listed if not metric["default"]} == {"max-sensitivity", "smprt"}


USAGE = {
    "neither": (["salency"], "'salency' is neither an analysis nor an image. Did you mean 'saliency'?"),
    "no image": (["saliency", "digit.png"], "There is no file 'digit.png'"),
    "no metric": (
        ["saliency", "mnist:test/1", "--metric", "delete"],
        "There is no metric 'delete'. Did you mean 'deletion'?",
    ),
    "maps": (["mnist:test/1", "--maps", "lime"], "--maps takes NAME=FILE, such as lime=lime.npy, but got 'lime'."),
    "masks": (["saliency", "mnist:test/1", "--masks", "masks"], "There is no folder of masks 'masks'."),
}


@pytest.mark.parametrize("kind", USAGE)
def test_invalid_usage_is_reported_in_one_line(kind, cli):
    words, message = USAGE[kind]
    code, out, err = cli("benchmark", *words)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err


METRIC = """
import numpy as np
from cnnexplain.plugin import Metric, hookimpl

def run(maps, mask, explain, image, target, random):
    "The share of a map within the mask, and how the map of a darker image differs."
    again = explain(image[None] * 0.5)[:, 0]
    return {RETURNED}

@hookimpl
def cnnexplain_metrics():
    return [Metric("inside", run, "Nobody 2026", {"mean": "higher", "change": "neither"}, "None.", "It says nothing.")]
"""
RETURNED = "{'mean': (maps * mask).sum(axis=(1, 2)) / mask.sum(), 'change': np.abs(again - maps).mean(axis=(1, 2))}"


def test_a_metric_of_a_plugin_gets_masks_and_explains_again(install, lenet, tmp_path):
    install("acme-inside", METRIC.replace("{RETURNED}", RETURNED))
    with pytest.raises(UsageError, match="'inside' needs the relevant pixels of each image; give them with --masks"):
        cx.benchmark("saliency", lenet, SAMPLES, metrics="inside")
    mask = np.zeros((28, 28), np.uint8)
    mask[3:9, 10:20] = 255
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks" / "mnist-test-1.png")
    maps = {"lime": np.ones((3, 28, 28))}
    board = cx.benchmark("saliency", lenet, SAMPLES, metrics="inside", masks=tmp_path / "masks", maps=maps)
    means, changes = board.scores("inside", "mean"), board.scores("inside", "change")
    assert np.isnan(means[[0, 2]]).all()
    assert list(board.warnings) == ["2 of 3 images have no mask; the metrics that need masks leave them out."]
    saliency = cx.explain("saliency", lenet, SAMPLES).arrays["saliency"]
    assert means[1, 0] == pytest.approx(saliency[1, 3:9, 10:20].mean(), rel=1e-4)
    # The maps of a file can't be computed for another image; that of a Gaussian does not change.
    assert np.isnan(changes[1, list(board.methods).index("lime")])
    assert changes[1, list(board.methods).index("gaussian")] == 0
    half = cx.explain("saliency", lenet, cx.read_images(SAMPLES[1:2], lenet) * 0.5, target=2).arrays["saliency"]
    assert changes[1, 0] == pytest.approx(np.abs(half[0] - saliency[1]).mean(), rel=1e-3)
    with pytest.raises(UsageError, match=r"has no mask for any of the 1 images; expected files such as 'mnist-test-0\.png'"):
        cx.benchmark("saliency", lenet, SAMPLES[:1], metrics="inside", masks=tmp_path / "masks")


def test_masks_are_read_before_anything_is_computed(lenet, tmp_path, monkeypatch):
    masks = np.zeros((2, 28, 28), np.uint8)
    masks[1, 3:9, 10:20] = 255
    for number, mask in enumerate(masks):
        Image.fromarray(mask).save(tmp_path / f"mnist-test-{number}.png")
    board = cx.benchmark("saliency", lenet, SAMPLES, metrics="relevance-rank", masks=tmp_path)
    assert np.isfinite(board.scores("relevance-rank")).all(axis=1).tolist() == [False, True, False]
    assert [warning.partition(";")[0] for warning in board.warnings] == [
        "1 of 3 images have no mask",
        "1 of 3 images have a mask without relevant pixels",
    ]
    (tmp_path / "mnist-test-2.png").write_text("no image")
    monkeypatch.setattr(type(lenet), "logits", lambda *_: pytest.fail("Something was computed."))
    with pytest.raises(cx.ImageError, match="mnist-test-2"):
        cx.benchmark("saliency", lenet, SAMPLES, metrics="relevance-rank", masks=tmp_path)


WRONG = {
    "another name": ("{'means': maps[:, 0, 0]}", r"returned \['means'\]; expected a dict with 'mean', 'change'"),
    "a number": (
        "{'mean': 3.0, 'change': maps[:, 0, 0]}",
        "returned 3.0 as 'mean'; expected 5 real numbers, one for each map",
    ),
    "infinity": ("{'mean': maps[:, 0, 0] + np.inf, 'change': 0}", "returned an infinite 'mean'; expected NaN"),
    "an error": ("1 / 0", r"failed: ZeroDivisionError: division by zero \(wrong_metric_module.py, line 8\)"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_metric_that_breaks_its_contract_is_named(kind, install, lenet):
    code, words = WRONG[kind]
    install("wrong-metric", METRIC.replace("{RETURNED}", code))
    with pytest.raises(PluginError, match=rf"wrong-metric 1.5: run\(\) of the metric 'inside' {words}"):
        cx.benchmark("saliency", lenet, SAMPLES[:1], metrics="inside", masks=np.ones((1, 28, 28)))


def test_a_metric_that_is_not_defined_for_a_model_is_left_out_with_its_reason(install, lenet):
    code = METRIC.replace(
        "    again =", "    from cnnexplain import UsageError\n    raise UsageError('Not for this model.')\n    again ="
    )
    install("undefined-metric", code.replace("{RETURNED}", "{}"))
    board = cx.benchmark("saliency", lenet, SAMPLES[:1], metrics=["inside", "deletion"], masks=np.ones((1, 28, 28)))
    assert board.undefined == {"inside": "Not for this model."}
    assert [metric["name"] for metric in board.document()["metrics"]] == ["deletion"]
    with pytest.raises(cx.CnnExplainError, match=r"No metric is defined for .*: Not for this model"):
        cx.benchmark("saliency", lenet, SAMPLES[:1], metrics=["inside"], masks=np.ones((1, 28, 28)))


ANALYSES = """
import numpy as np
from cnnexplain import ModelError
from cnnexplain.plugin import Analysis, Result, hookimpl

def analysis(name, fails):
    def run(classifier, images, targets):
        "A map."
        if fails(images):
            raise ModelError("Not for this image.")
        return Result({"map": np.ones(images.shape[:3], np.float32)})

    return Analysis(name, run, lambda record, index: None, "Nobody 2026", maps={"map": "none"}, how_to_read="Not.")

@hookimpl
def cnnexplain_analyses():
    return [analysis("always-fails", lambda images: True), analysis("never-fails", lambda images: False)]
"""


@pytest.fixture
def only_failing(install, monkeypatch):
    install("acme-failing", ANALYSES)
    monkeypatch.setattr(methods, "comparable", lambda: ["saliency", "always-fails", "never-fails"])


def test_an_analysis_that_fails_is_left_out_unless_it_was_named(only_failing, lenet, cli, tmp_path):
    board = cx.benchmark(None, lenet, SAMPLES, metrics="sparseness", out=tmp_path)
    assert board.left_out == {"always-fails": "Not for this image."}
    assert board.notes() == ["'always-fails' is left out: Not for this image."]
    document = board.document()
    assert [method["name"] for method in document["methods"]] == ["saliency", "never-fails", *CONTROLS]
    assert document["left_out"] == board.left_out
    assert {each.method for each in board.standings("sparseness")} == {"saliency", "never-fails", *CONTROLS}
    assert np.shape(document["metrics"][0]["scores"][0]["values"]) == (3, 6)
    whole = cx.benchmark(["saliency", "never-fails"], lenet, SAMPLES, metrics="sparseness")
    assert document["metrics"] == whole.document()["metrics"]
    assert (tmp_path / "index.html").read_text().count("data:image/png;base64,") == 3 * 7
    resumed = cx.benchmark(None, lenet, SAMPLES, metrics="sparseness", out=tmp_path, resume=True)
    assert resumed.document() == document
    with pytest.raises(cx.ModelError, match="Not for this image"):
        cx.benchmark(["saliency", "always-fails"], lenet, SAMPLES, metrics="sparseness")
    code, out, err = cli("benchmark", *SAMPLES, "--metric", "sparseness")
    assert code == 0
    assert "Warning: 'always-fails' is left out: Not for this image." in err
    assert "always-fails" not in out


def test_the_truth_leaves_out_an_analysis_that_fails(only_failing):
    board = cx.benchmark_truth(cases=["linear"], images=2)
    assert board.left_out == {"always-fails": "linear: Not for this image."}
    assert {each.method for each in board.standings()} == {"saliency", "never-fails", *CONTROLS}
    assert len(board.document()["cases"][0]["metrics"]["pointing-game"]) == 6
    assert board.document()["left_out"] == board.left_out


def failing_metric(error):
    return (
        METRIC.replace("maps, mask, explain", "maps, explain")
        .replace("    again =", f"    import cnnexplain\n    if image.mean() > 0.1:\n        raise {error}\n    again =")
        .replace("{RETURNED}", "{'mean': maps.mean(axis=(1, 2)), 'change': maps.mean(axis=(1, 2))}")
    )


def test_a_broken_metric_does_not_stop_the_others(install, lenet, cli):
    install("broken-metric", METRIC.replace("maps, mask,", "maps,").replace("{RETURNED}", "1 / 0"))
    code, out, err = cli("benchmark", "saliency", SAMPLES[0], "--metric", "inside", "--metric", "sparseness")
    assert code == 1
    assert "Warning: 'inside' failed for 1 of 1 images; 'mnist:test/0': plugin" in err
    assert "of broken-metric 1.5: run() of the metric 'inside' failed: ZeroDivisionError" in err
    assert "sparseness" in out
    board = cx.benchmark("saliency", lenet, SAMPLES[:1], metrics=["inside", "sparseness"])
    assert [metric["name"] for metric in board.document()["metrics"]] == ["sparseness"]
    assert board.undefined == {}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("cnnexplain.UsageError('Too bright.')", "'inside' is not defined for 1 of 3 images; 'mnist:test/1': Too bright."),
        ("MemoryError", "'inside' failed for 1 of 3 images; 'mnist:test/1': There is not enough memory for 'inside'"),
    ],
)
def test_an_error_for_one_image_leaves_the_scores_of_the_others(error, words, install, lenet):
    means = [image.mean() for image in np.asarray(cx.read_images(SAMPLES, lenet))]
    assert [mean > 0.1 for mean in means] == [False, True, False]
    install("one-image", failing_metric(error))
    board = cx.benchmark("saliency", lenet, SAMPLES, metrics="inside")
    assert np.isfinite(board.scores("inside")).all(axis=1).tolist() == [True, False, True]
    (note,) = board.notes()
    assert note.startswith(words)
    assert board.undefined == {}
    (metric,) = board.document()["metrics"]
    assert metric["scores"][0]["values"][1] == [None] * 5


def test_the_rule_follows_the_number_of_images_with_a_score(cli, lenet, tmp_path):
    """Nine of twelve images have masks: there are no intervals, whatever the number of all images is."""
    samples = [f"mnist:test/{number}" for number in range(12)]
    for number in range(9):
        Image.new("L", (28, 28), 255).save(tmp_path / f"mnist-test-{number}.png")
    names = ["--metric", "relevance-mass", "--metric", "sparseness"]
    arguments = ("benchmark", "saliency", *samples, *names, "--masks", tmp_path, "--out", tmp_path / "out")
    code, out, _ = cli(*arguments)
    assert code == 0
    mass, sparseness = " ".join(out.split()).split("sparseness ")
    assert "9 of 12 images have a score. Fewer than 10 images give no interval: a method beats a control" in mass
    assert "excludes 0" not in mass
    assert "A method beats a control if the 95% interval of their difference, image by image, excludes 0." in sparseness
    document = json.loads((tmp_path / "out" / "benchmark" / "benchmark.json").read_text())
    page = (tmp_path / "out" / "benchmark" / "index.html").read_text()
    assert all(metric["rule"] in page for metric in document["metrics"])
    assert "Brackets show 95% bootstrap intervals over the images (2000 resamples); they are given if there are" in page

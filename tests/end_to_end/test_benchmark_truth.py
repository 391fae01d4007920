"""The comparison of methods on networks whose relevant pixels are known."""

import dataclasses
import html
import json

import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain.evaluation.truth import leaderboard


@pytest.fixture(scope="module")
def board():
    methods = ["saliency", "gradient-x-input", "gradcam:method=layercam"]
    return cx.benchmark_truth(methods, cases=["linear", "exclusive-or"], images=12, seed=3)


def test_gradients_find_all_pixels_of_networks_that_are_linear_there(board):
    for metric in leaderboard.METRICS:
        means = dict(zip(board.first.methods, board.means(metric).T, strict=True))
        assert list(board.cases) == ["linear", "exclusive-or"]
        np.testing.assert_allclose(means["saliency"], 1, rtol=1e-12)
        np.testing.assert_allclose(means["gradient-x-input"], 1, rtol=1e-12)
        assert (means["random"] < 0.7).all()


def test_a_random_map_scores_the_share_of_relevant_pixels(board):
    shares = [case.masks.mean() for case in board.cases.values()]
    place = [*board.first.methods].index("random")
    for metric in ("relevance-rank", "relevance-mass"):
        np.testing.assert_allclose(board.means(metric)[:, place], shares, atol=0.06)


def test_standings_are_the_means_over_all_images(board):
    standings = {each.method: each for each in board.standings()}
    means = dict(zip(board.first.methods, board.means().mean(axis=0), strict=True))
    for name, each in standings.items():
        assert each.mean == pytest.approx(means[name])
        assert each.images == 24
        low, high = each.interval
        assert low <= each.mean <= high
    assert standings["saliency"].unbeaten == ()


def test_the_magnitude_counts_where_evidence_is_of_both_signs(board):
    maps = np.random.default_rng(0).normal(size=(12, 24, 24))
    signed, unsigned = board.cases.values()
    np.testing.assert_array_equal(signed.relevance(maps), maps)
    np.testing.assert_array_equal(unsigned.relevance(maps), np.abs(maps))
    # Half of the patch lowers the score, and still counts.
    gradients = unsigned.classifier.gradient(unsigned.images, unsigned.targets)[..., 0]
    assert (gradients[unsigned.masks] < 0).mean() == pytest.approx(0.5)
    assert (board.boards["exclusive-or"].scores("relevance-rank")[:, 0] == 1).all()


def test_the_document_has_cases_methods_and_intervals(board):
    document = json.loads(json.dumps(board.document(), allow_nan=False))
    assert [case["name"] for case in document["cases"]] == ["linear", "exclusive-or"]
    assert [metric["name"] for metric in document["metrics"]] == list(leaderboard.METRICS)
    assert document["methods"][2] == {
        "name": "gradcam:method=layercam",
        "kind": "analysis",
        "options": {"method": "layercam", "layer": None},
    }
    (first, *_) = document["metrics"][0]["methods"]
    assert first["mean"] == pytest.approx(1)
    assert len(first["interval"]) == 2
    assert repr(board) == "TruthBoard(7 methods, 2 cases)"


def test_the_seed_determines_the_scores(board):
    again, other = (cx.benchmark_truth("saliency", cases="linear", images=12, seed=seed) for seed in (3, 4))
    first, second = (each.boards["linear"].scores("relevance-mass")[:, -4:] for each in (board, again))
    np.testing.assert_array_equal(first, second)
    assert (other.cases["linear"].images != again.cases["linear"].images).any()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"cases": "xor"}, "There is no case 'xor'. The cases are linear, "),
        ({"cases": ["linear", "maximun"]}, "Did you mean 'maximum'?"),
        ({"cases": []}, "There is no case to make; name at least one of linear, "),
        ({"images": 0}, "must be a whole number from 1 to 500, but got 0"),
        ({"images": 2.5}, "but got 2.5"),
        ({"analyses": "inversion", "cases": "linear"}, "has no map of the image"),
        ({"analyses": ["no-such"], "cases": "linear"}, "no-such"),
        ({"analyses": [3]}, "analyses takes names such as 'gradcam:method=layercam', but got 3."),
        ({"analyses": ["saliency", "saliency"]}, "Two methods are called 'saliency'"),
        ({"analyses": []}, "There is no method to compare"),
        ({"seed": -1}, "The seed must be a whole number of at least 0, but got -1."),
    ],
)
def test_bad_arguments_are_refused_before_a_network_is_made(given, words, monkeypatch):
    for name, maker in leaderboard.MAKERS.items():
        made = dataclasses.replace(maker, make=lambda *_: pytest.fail("A network was made."))
        monkeypatch.setitem(leaderboard.MAKERS, name, made)
    with pytest.raises(cx.UsageError) as caught:
        cx.benchmark_truth(**given)
    assert words in str(caught.value)


def test_progress_counts_cases():
    seen = []
    cx.benchmark_truth("saliency", cases=["linear", "maximum", "linear"], images=1, progress=lambda *step: seen.append(step))
    assert seen == [(1, 2), (2, 2)]


def test_the_folder_has_the_numbers_and_a_page_with_images_masks_and_maps(board, tmp_path):
    methods, cases = ["saliency", "gradient-x-input", "gradcam:method=layercam"], ["linear", "exclusive-or"]
    written = cx.benchmark_truth(methods, cases=cases, images=12, seed=3, out=tmp_path / "new" / "out")
    folder = tmp_path / "new" / "out"
    assert sorted(path.name for path in folder.iterdir()) == ["benchmark.json", "index.html", "scores.jsonl"]
    document = json.loads((folder / "benchmark.json").read_text())
    assert document == json.loads(json.dumps(board.document())) == json.loads(json.dumps(written.document()))
    page = (folder / "index.html").read_text()
    for case in board.summaries.values():
        assert html.escape(case.right) in page
    # Four images of each network, with their masks and seven maps.
    assert page.count("data:image/png;base64,") == 2 * 4 * (2 + 7)
    assert page.count("<script") == page.count("http://") == 0
    score = board.boards["linear"].scores("relevance-rank")[1, 3]
    assert f"<em>random</em> <strong>{score:.3f}</strong>" in page


def test_an_interrupted_run_continues_without_making_known_networks_again(tmp_path, monkeypatch):
    def run(**options):
        return cx.benchmark_truth("saliency", cases=["linear", "maximum"], images=2, out=tmp_path, **options)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(progress=stop)
    # What was written of a line when the program was killed is ignored.
    path = tmp_path / "scores.jsonl"
    path.write_bytes(path.read_bytes() + b'{"name": "maxi')
    maker = leaderboard.MAKERS["linear"]
    monkeypatch.setitem(
        leaderboard.MAKERS, "linear", dataclasses.replace(maker, make=lambda *_: pytest.fail("The network was made again."))
    )
    resumed = run(resume=True)
    assert list(resumed.cases) == ["maximum"]
    page = (tmp_path / "index.html").read_text()
    monkeypatch.undo()
    whole = run()
    assert resumed.document() == whole.document()
    assert (tmp_path / "index.html").read_text() == page


@pytest.mark.parametrize(
    ("change", "words"),
    [({"seed": 1}, "belong to another request: other seed"), ({"analyses": "gradient-x-input"}, "other methods.")],
)
def test_scores_of_another_request_are_not_resumed(change, words, tmp_path):
    given = {"analyses": "saliency", "cases": "linear", "images": 1, "out": tmp_path}
    cx.benchmark_truth(**given)
    with pytest.raises(cx.UsageError, match=words):
        cx.benchmark_truth(**{**given, **change}, resume=True)


def test_a_damaged_line_and_files_of_others_are_refused(tmp_path):
    given = {"analyses": "saliency", "cases": "linear", "images": 1, "out": tmp_path}
    cx.benchmark_truth(**given)
    path = tmp_path / "scores.jsonl"
    path.write_text(path.read_text().replace('"outcomes": [{', '"outcomes": [{}, {'))
    with pytest.raises(cx.OutputError, match=r"Line 2 of .* is damaged; leave out --resume"):
        cx.benchmark_truth(**given, resume=True)
    path.unlink()
    with pytest.raises(cx.OutputError, match="is not part of a benchmark"):
        cx.benchmark_truth(**given)


def test_names_on_the_page_are_escaped(board):
    from cnnexplain.rendering import truth_page

    changed = json.loads(json.dumps(board.document()))
    changed["cases"][0]["right"] = changed["notes"] = ["<script>alert(1)</script>"]
    page = truth_page.render(changed, board.boards)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


CASES = ["--case", "linear", "--case", "exclusive-or"]


def test_the_command_prints_a_table_that_fits_80_columns(cli, monkeypatch, board):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = cli("benchmark", "--truth", "saliency", "gradcam:method=layercam", "--seed", "3", *CASES)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}
    assert rows["saliency"] == ["1.000"] * 3
    assert all(cell.endswith("†") or float(cell) < 0.7 for cell in rows["random"])
    told = " ".join(out.split())
    assert "2 networks with 20 images each, seed 3." in told
    assert all(f"{name}: {case.right}" in told for name, case in board.cases.items())


def test_an_interrupted_command_says_how_to_continue(cli, tmp_path, monkeypatch):
    maker = leaderboard.MAKERS["maximum"]

    def stop(*_):
        raise KeyboardInterrupt

    words = ["benchmark", "--truth", "saliency", "--case", "linear", "--case", "maximum", "--out", str(tmp_path)]
    monkeypatch.setitem(leaderboard.MAKERS, "maximum", dataclasses.replace(maker, make=stop))
    code, out, err = cli(*words)
    assert (code, out) == (130, "")
    told = " ".join(err.split())
    assert f"Interrupted: the scores of 1 of 2 networks are kept in {tmp_path / 'truth'}; the same command with" in told
    assert not (tmp_path / "truth" / "index.html").exists()
    monkeypatch.undo()
    assert cli(*words, "--resume")[0] == 0
    assert (tmp_path / "truth" / "index.html").exists()


def test_the_command_prints_json(cli):
    code, out, _ = cli("benchmark", "--truth", "saliency", "--case", "linear", "--json")
    document = json.loads(out)
    assert code == 0
    assert [case["name"] for case in document["cases"]] == ["linear"]
    assert document["metrics"][0]["methods_trained"] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--truth", "mnist:test/1", "--target", "3"], "leave out mnist:test/1, --target."),
        (["--truth", "--metric", "deletion"], "leave out --metric."),
        (["--truth", "--maps", "a=b.npy"], "leave out --maps."),
        (
            ["--truth", "--input-scale", "1", "--labels", "names.txt", "--logits"],
            "leave out --input-scale, --labels, --logits.",
        ),
        (["--truth", "--model", "lenet", "--masks", "there"], "leave out --masks, --model."),
        (["--truth", "--case", "linaer"], "There is no case 'linaer'. Did you mean 'linear'?"),
        (["--case", "linear"], "--case selects a network of --truth; give both."),
    ],
)
def test_invalid_usage_of_the_command_is_reported_in_one_line(cli, words, message):
    code, out, err = cli("benchmark", *words)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err


def test_the_page_of_the_docs_has_the_figures(board, folder, monkeypatch):
    monkeypatch.syspath_prepend(str(folder / "docs"))
    import make_truth

    marks = ("measured", "cases", "leaderboard", "by case")
    empty = "".join(f"<!-- {mark} -->\nold\n<!-- end of {mark} -->\n" for mark in marks)
    document = {**board.document(), "software": "Keras"}
    # None of the two networks was trained.
    for metric in document["metrics"]:
        metric["methods_trained"] = metric["methods"]
    page = make_truth.page(empty, document)
    assert "old" not in page
    assert make_truth.page(page, document) == page
    assert "2 networks with 12 images each, seed 3" in page
    assert "| `gradient-x-input` | **1.00** | **1.00** |" in page
    assert "| *\\|input − black\\|* | " in page
    with pytest.raises(ValueError, match="no part between <!-- cases -->"):
        make_truth.page(empty.replace("cases", "networks"), document)

"""Records → a page that holds all it shows; what is untrusted stays text."""

import base64
import hashlib
import json
import re
import shlex

import numpy as np
import pages
import pytest
from matplotlib.figure import Figure
from pages import Read, made
from PIL import Image

import cnnexplain as cx
from cnnexplain import draw
from cnnexplain.errors import OutputError, UsageError
from cnnexplain.plugin import registry
from cnnexplain.rendering import record_display
from cnnexplain.rendering.drawn import compacted
from cnnexplain.results import report_file
from cnnexplain.results.record import Record
from cnnexplain.training.evaluation import Evaluation


def data_of(read, which="data"):
    return [json.loads(text) for tag, attributes, text in read.held if attributes.get("class") == which]


def test_maps_are_stored_with_16_bits():
    record = pages.record(["one.png", "two.png"])
    found = data_of(Read(made(record)))
    assert [[each["name"] for each in image] for image in found] == [["signed_map", "unsigned_map"]] * 2
    for index, image in enumerate(found):
        for each in image:
            values = record.arrays[each["name"]][index]
            np.testing.assert_allclose(pages.unpacked(each), values, rtol=0, atol=np.ptp(values) / 2**16)
            assert each["unit"] == "volts"
            assert each["main"] == (each["name"] == "signed_map")
        # The second image has no negative value; its map is still one of signed values, as in the first.
        assert [each["signed"] for each in image] == [True, False]
    assert (record.arrays["signed_map"][1] > 0).all()
    first, second = (
        pages.record([name], arrays={"signed_map": values})
        for name, values in zip(
            ("one.png", "two.png"), (record.arrays["signed_map"][:1], record.arrays["signed_map"][1:]), strict=True
        )
    )
    assert [[each["signed"] for each in image] for image in data_of(Read(made(first, second)))] == [[True], [True]]


def test_page_and_pictures_use_the_same_colors():
    read = Read(made(pages.record()))
    colors = json.loads(next(text for _, attributes, text in read.held if attributes.get("id") == "palettes"))
    signed = np.frombuffer(base64.b64decode(colors["signed"]["bar"]), np.uint8).reshape(256, 3)
    assert abs(signed[127:129].astype(int) - 247).max() <= 3  # White at zero.
    assert signed[0, 2] > signed[0, 0]  # Blue below,
    assert signed[255, 0] > signed[255, 2]  # red above.
    with draw.use_style(draw.Palette(unsigned="gray")):
        chosen = Read(made(pages.record()))
    colors = json.loads(next(text for _, attributes, text in chosen.held if attributes.get("id") == "palettes"))
    assert np.frombuffer(base64.b64decode(colors["unsigned"]["bar"]), np.uint8).tolist() == [
        each for value in range(256) for each in [value] * 3
    ]
    over = np.frombuffer(base64.b64decode(colors["unsigned"]["over"]), np.uint8).reshape(256, 4)
    with draw.use_style(draw.Palette(unsigned="gray")):
        np.testing.assert_array_equal(over, np.round(255 * draw.overlay_colormap()))


def test_content_security_policy_allows_only_its_own_style_and_script():
    html = made(pages.record())
    read = Read(html)
    policy = next(each["content"] for each in read.all("meta") if each.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for tag, source in (("style", "style-src"), ("script", "script-src")):
        (text,) = (text for name, attributes, text in read.held if name == tag and "type" not in attributes)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[source] == f"'sha256-{digest}'"
    # What is fetched when a page is opened is named in one of these.
    named = [each[key] for _, each in read.elements for key in ("src", "srcset", "poster", "data", "action") if key in each]
    assert named
    assert all(address.startswith("data:image/webp;base64,") for address in named)
    assert not read.all("link")
    assert "url(" not in html
    assert "@import" not in html
    assert not any("style" in attributes or key.startswith("on") for _, attributes in read.elements for key in attributes)
    links = {each["href"] for each in read.all("a")}
    assert {link for link in links if not link.startswith("#")} == {"https://arxiv.org/abs/2601.01234"}


def test_the_unit_of_a_map_may_depend_on_the_options():
    deep = pages.analysis(maps={"signed_map": lambda options: f"volts at {options['depth']}"})
    assert [each["unit"] for each in data_of(Read(made(pages.record(made=deep))))[0]] == ["volts at 3"]


def test_a_warning_is_shown_once_with_its_analyses():
    both = ("Dark.",)
    first, second = (pages.record(made=pages.analysis(name), warnings=both) for name in ("one", "two"))
    assert Read(made(first, second)).text.count("one, two: Dark.") == 1


def test_the_verification_is_shown_with_the_method_and_failures_are_noted():
    found = pages.verification(word=pages.HOSTILE, values=(0.5, 3.0, None))
    read = Read(pages.made(pages.record(verification=found), pages.record(made=pages.analysis("other"))))
    assert f"made-map: {found.outcome}; see Methods." in read.text
    assert f"limitations · ✗ {found.outcome}" in read.text
    assert read.text.count("✗ Verification: 1 of 2 checks failed: far") == 1
    assert "✗ failed 3 ≤ 1" in read.text
    assert len(read.all("script")) == len(Read(pages.made(pages.record())).all("script"))
    assert "see Methods" not in Read(pages.made(pages.record(verification=pages.verification()))).text


def test_untrusted_text_is_escaped():
    word = pages.HOSTILE
    labels = (f"cat{word}", f"dog{word}", f"owl{word}")
    record = pages.record(
        [f"one{word}.png"],
        word=word,
        made=pages.analysis(
            paper=f"Nobody{word} 2026", word=word, maps={f"map{word}": f"volts{word}"}, finding=lambda *_: f"found{word}"
        ),
        arrays={f"map{word}": np.ones((1, pages.HEIGHT, pages.WIDTH), np.float32)},
        options={"depth": f"4{word}"},
        facts={f"fact{word}": [{f"key{word}": [word]}]},
        labels=labels,
        warnings=(f"warned{word}",),
        skipped={f"skipped{word}": f"because{word}"},
        provenance={**pages.PROVENANCE, "plugin": {"name": word, "distribution": f"maker{word}", "version": word}},
        targets=[2],
    )
    classifier = pages.Stand(labels=labels)
    html = made(
        record, classifier=classifier, command=f"cnnexplain {word}", failed={"bad": f"failed{word}"}, pending=[f"late{word}"]
    )
    plain = made(pages.record())
    read, other = Read(html), Read(plain)
    assert len(read.all("script")) == len(other.all("script")) == 3
    assert not any(key.startswith("on") for _, attributes in read.elements for key in attributes)
    assert {attributes.get("src", "")[:5] for attributes in read.all("img")} == {"data:"}
    for before in (
        "cat",
        "dog",
        "owl",
        "one",
        "4",
        "fact",
        "key",
        "warned",
        "skipped",
        "because",
        "maker",
        "failed",
        "volts",
        "found",
        "late",
    ):
        assert before + word in read.text, before
    assert any(word in each["alt"] for each in read.all("img"))
    # JSON in the page can't end its element either, and says the same when it is read.
    ((each,),) = data_of(read)
    assert (each["name"], each["unit"]) == (f"map{word}", f"volts{word}")
    fragment = Read(record_display.record_html(record))
    assert not fragment.all("script")
    assert len(fragment.all("img")) == 1


def test_a_page_has_summary_reading_help_and_limitations():
    record = pages.record(
        ["one.png", "two.png"],
        options={"depth": 5},
        facts={"peak": [1.5, -0.25], "peak_pixel": [[3, 4], [5, 6]]},
        skipped={"three.png": "it is empty"},
    )
    read = Read(made(record, command="cnnexplain report one.png"))
    for words in ("What was made.", "Its reading.", "Its limit.", "--depth 5", "How deep.", "peak pixel", "5, 6", "−0.25"):
        assert words in read.text
    assert "Nobody 2026 (arXiv:2601.01234)" in read.text
    assert "three.png was skipped: it is empty" in read.text
    assert "cnnexplain report one.png" in read.text
    assert "ab" * 32 in read.text
    assert "167 in 2 layers" in read.text
    assert "4 × 6 × 2" in read.text
    assert all("alt" in each for each in read.all("img"))
    ids = [each["id"] for _, each in read.elements if "id" in each]
    assert len(ids) == len(set(ids))
    assert {each["href"][1:] for each in read.all("a") if each["href"].startswith("#")} <= set(ids)
    assert {each["aria-labelledby"] for _, each in read.elements if "aria-labelledby" in each} <= set(ids)


def test_classes_are_sorted_with_bars_of_their_probability():
    read = Read(made(pages.record()))
    assert [each["width"] for each in read.all("rect") if each["class"] == "fill"] == ["62.50%", "25.00%", "12.50%"]
    assert re.search(r"dog ?62\.5% .*owl ?25\.0% .*cat ?12\.5%", read.text)


def test_the_preprocessed_image_is_shown():
    record = pages.record()
    (seen, *_) = (each for each in Read(made(record)).all("img") if "width" in each)
    from io import BytesIO

    pixels = np.asarray(Image.open(BytesIO(base64.b64decode(seen["src"].partition(",")[2]))))
    np.testing.assert_array_equal(pixels[..., 0], np.round(255 * record.images[0, ..., 0]).astype(np.uint8))


def test_each_image_appears_once_with_all_results():
    first = pages.record(["one.png", "two.png"])
    second = pages.record(["one.png"], made=pages.analysis("another"), targets=[2])
    read = Read(made(first, second))
    assert [each.get("id") for each in read.all("section") if each.get("class") == "image"] == ["image-1", "image-2"]
    assert [[each["analysis"] for each in image] for image in data_of(read)] == [
        ["made-map", "another", "made-map", "another"],
        ["made-map", "made-map"],
    ]
    assert [each["target"] for each in data_of(read)[0]] == ["", "owl", "", "owl"]


def test_overviews_have_their_own_section():
    overview = pages.analysis("whole", overview=lambda record: {"its-title": Figure((1, 1))}, dataset=True)
    record = pages.record(made=overview, facts={"peak": [1.5], "of_all": {"images": ["x"]}})
    html = made(record)
    alone = html[html.index('id="alone"') : html.index('id="model"')]
    assert "its title" in alone
    assert "of all" in alone
    assert "peak" not in alone
    assert "of all" not in html[: html.index('id="alone"')]


def test_facts_of_the_same_length_form_a_table():
    facts = {"strongest_maps": [{"stem_relu": [{"map": 24, "activation": 6.25}, {"map": 5, "activation": 1e-9}]}]}
    read = Read(made(pages.record(facts=facts)))
    assert "strongest maps" in read.text
    assert re.search(r"stem_relu ?2 entries ?map ?activation ?24 ?6.25 ?5 ?1e−09", read.text)
    mixed = Read(made(pages.record(facts={"mixed": [[{"a": 1}, {"b": [2, None, True]}]]})))
    assert re.search(r"a ?1 .*b ?2, ?–, ?yes", mixed.text)


def test_accuracy_of_digit_models_is_shown():
    read = Read(made(pages.record(), tested=Evaluation(0.9941, 0.0188, np.zeros((10, 10), np.int64))))
    assert "accuracy 99.41%, log loss 0.0188" in read.text


def test_non_unicode_names_are_escaped(tmp_path):
    record = pages.record(["caf\udce9.png"])
    report_file.write(tmp_path / "report.html", made(record))
    assert b"caf\\udce9.png" in (tmp_path / "report.html").read_bytes()


def test_a_report_replaces_only_reports(tmp_path):
    path = tmp_path / "report.html"
    stand = pages.Stand()
    assert cx.write_report(path, stand, [pages.record()]) == path
    assert cx.write_report(str(path), stand, [pages.record(["two.png"])]) == path
    assert "two.png" in path.read_text()
    path.write_text("<!doctype html>\n<p>mine")
    with pytest.raises(OutputError, match="is not a report of cnnexplain"):
        cx.write_report(path, stand, [pages.record()])
    assert path.read_text() == "<!doctype html>\n<p>mine"
    with pytest.raises(UsageError, match="got none"):
        cx.write_report(tmp_path / "none.html", stand, [])
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError):
        cx.write_report(tmp_path / "folder", stand, [pages.record()])
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "report.html"]


def test_a_notebook_shows_a_classifier_and_the_analyses(lenet):
    read = Read(lenet._repr_html_())
    assert "268,820 in 9 layers" in read.text
    assert "conv1 Conv2D 24 × 24 × 30 780" in re.sub(r"(?<=\w)(?=Conv2D|24 ×|780)", " ", read.text)
    analyses = cx.analyses()
    assert analyses is registry.load().analyses
    read = Read(analyses._repr_html_())
    for name, analysis in analyses.items():
        assert name in read.text
        assert analysis.summary in read.text
        assert f"{name}: {analysis.summary}" in repr(analyses)


FAILING = """
from cnnexplain.plugin import Analysis, Result, hookimpl

def run(classifier, images):
    "It fails."
    raise ValueError("no <b>luck</b>")

@hookimpl
def cnnexplain_analyses():
    return [Analysis("failing", run, lambda record, index: None, "Nobody 2026")]
"""


@pytest.fixture
def failing(install, monkeypatch):
    install("failing-plugin", FAILING)
    registry.load.cache_clear()
    yield
    registry.load.cache_clear()


def test_the_command_writes_a_page_with_failures(cli, failing, tmp_path, digit_file):
    code, out, err = cli("report", digit_file, "--analysis", "saliency", "--analysis", "failing", "--target", "3")
    assert code == 1
    assert "1 of 2 analyses failed: failing." in err
    assert "Wrote cnnexplain-out/report.html" in out
    read = Read((tmp_path / "cnnexplain-out/report.html").read_text())
    assert "failing failed: plugin " in read.text
    assert ": run() of 'failing' failed: ValueError: no <b>luck</b>" in read.text
    ((each,),) = data_of(read)
    with np.load(tmp_path / "cnnexplain-out/saliency/arrays.npz") as arrays:
        values = arrays["saliency"][0]
        np.testing.assert_allclose(pages.unpacked(each, 28, 28), values, rtol=0, atol=np.ptp(values) / 2**12)
    assert each["target"] == "3"
    typed = f"cnnexplain report --analysis saliency --analysis failing --target 3 {shlex.quote(str(digit_file))}"
    assert typed in read.text
    # The picture is the one that was written, and not drawn twice.
    png = (tmp_path / "cnnexplain-out/saliency/seven.png").read_bytes()
    webp = compacted(Record.load(tmp_path / "cnnexplain-out/saliency"), [png], {}).pictures[0]
    assert base64.b64encode(webp).decode() in {each["src"].partition(",")[2] for each in read.all("img")}
    assert (tmp_path / "cnnexplain-out/saliency/index.html").exists()
    assert not (tmp_path / "cnnexplain-out/failing").exists()


def test_an_interrupted_report_contains_finished_analyses(cli, tmp_path, monkeypatch):
    from cnnexplain.cli import execution

    run, seen = execution.run_analysis, []

    def interrupted(analysis, *rest, **callbacks):
        seen.append(analysis.name)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return run(analysis, *rest, **callbacks)

    monkeypatch.setattr(execution, "run_analysis", interrupted)
    code, _, err = cli("report", "--analysis", "saliency", "--analysis", "gradcam")
    assert code == 130
    assert f"Interrupted: cnnexplain-out/report.html contains {seen[0]} of 2 analyses." in err
    assert sorted(each.name for each in (tmp_path / "cnnexplain-out").iterdir()) == ["report.html", seen[0]]
    read = Read((tmp_path / "cnnexplain-out/report.html").read_text())
    assert f"Not finished when this page was written: {seen[1]}." in read.text
    assert [each["id"] for each in read.all("article")] == ["image-1-1", "method-1"]
    seen[:] = ["another"]
    code, _, err = cli("report", "--analysis", "saliency", "--out", "nothing")
    assert code == 130
    assert "no analysis had finished, and no report was written" in err
    assert not (tmp_path / "nothing").exists()


COSTS = """
from typing import Annotated
import numpy as np
from matplotlib.figure import Figure
from cnnexplain.plugin import Analysis, Option, Result, hookimpl

def run(classifier, images, *, samples: Annotated[int, Option("How many.")] = 50):
    "It counts."
    return Result({"map": images[..., 0] * samples})

def costs(classifier, options):
    if options["samples"] == 21:
        raise ValueError("no luck")
    return 3 * options["samples"]

def found(record, index):
    return f"There are {record.options['samples']} samples."

@hookimpl
def cnnexplain_analyses():
    def made(name, **more):
        return Analysis(name, run, lambda record, index: Figure((1, 1)), "Nobody 2026", maps={"map": "units"}, **more)

    return [
        made("a-unknown", quick={"samples": 2}),
        made("b-dear", passes=costs, quick={"samples": 20}, finding=found),
        made("c-cheap", passes=costs, quick={"samples": 3}),
        made("d-broken", passes=costs, quick={"samples": 21}),
    ]
"""


@pytest.fixture
def costly(install, monkeypatch):
    """Analyses that tell how many passes they take, and others, and no more of them."""
    install("costly-plugin", COSTS)
    registry.load.cache_clear()
    found = registry.load().analyses.found
    for name in [name for name in found if not name.startswith(("a-", "b-", "c-", "d-"))]:
        del found[name]
    yield
    registry.load.cache_clear()


def test_a_report_runs_cheap_analyses_first(cli, costly, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(report_file, "write", lambda path, html: written.append(Read(html)))
    code, out, err = cli("report", "mnist:test/1", "mnist:test/2")
    assert code == 0, err
    assert re.search(r"Running 4 analyses: about \d+ s, plus an unknown time for a-unknown, d-broken\.", out)
    assert re.findall(r"(?m)^│ ([a-d]-\w+)", out) == ["c-cheap", "b-dear", "a-unknown", "d-broken"]
    # The page grows after each.
    order = ["c-cheap", "b-dear", "a-unknown", "d-broken"]
    for number, read in enumerate(written, start=1):
        methods = [each["id"] for each in read.all("article") if each["id"].startswith("method")]
        assert len(methods) == number
        pending = f"Not finished when this page was written: {', '.join(order[number:])}."
        assert (pending in read.text) == (number < 4)
    last = written[-1].text
    assert "Quick: --samples 20 instead of 50; use --full for the defaults." in last
    assert last.count("There are 20 samples.") == 2
    facts = [json.loads((tmp_path / f"cnnexplain-out/{name}/result.json").read_text()) for name in order]
    assert [each["options"]["samples"] for each in facts] == [3, 20, 2, 21]
    assert [each["images"][0]["finding"] for each in facts] == [None, "There are 20 samples.", None, None]


def test_full_report_and_run_all_use_defaults_in_order_of_cost(cli, costly, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(report_file, "write", lambda path, html: written.append(Read(html)))
    code, out, err = cli("report", "mnist:test/1", "--full")
    assert code == 0, err
    assert "There are 50 samples." in out
    assert "instead of" not in written[-1].text
    assert "accuracy 99.41%" in written[-1].text
    assert "cnnexplain report --full mnist:test/1" in written[-1].text
    code, out, err = cli("run", "all", "mnist:test/1", "mnist:test/2")
    assert code == 0, err
    assert re.findall(r"(?m)^│ ([a-d]-\w+)", out) == ["b-dear", "c-cheap", "d-broken", "a-unknown"]
    code, out, err = cli("run", "b-dear", "mnist:test/1", "mnist:test/2", "--samples", "7")
    assert "mnist:test/1: There are 7 samples.\nmnist:test/2: There are 7 samples." in out
    code, out, err = cli("run", "b-dear", "mnist:test/1", "--json")
    assert json.loads(out)["images"][0]["finding"] == "There are 50 samples."

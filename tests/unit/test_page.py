"""Records → a page that holds all it shows; what is untrusted stays text."""

import base64
import hashlib
import shlex
import weakref
from dataclasses import replace

import numpy as np
import pages
import pytest
from matplotlib.figure import Figure
from pages import Read, made

from cnnexplain import draw
from cnnexplain.cli.commands import report
from cnnexplain.errors import UsageError
from cnnexplain.rendering import packed_maps, record_display
from cnnexplain.rendering.python_program import python_program
from cnnexplain.results import index_files


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((6, 8)),
        np.full((6, 8), 0.25),
        np.linspace(-1e-12, 3e-12, 48).reshape(6, 8),
        np.linspace(-1, 1e6, 48).reshape(6, 8) * (np.arange(48).reshape(6, 8) % 3 > 0),
        np.where(np.arange(48).reshape(6, 8) == 20, -1, 0),
        np.linspace(0.6, 0.65, 48).reshape(6, 8),
    ],
)
def test_packed_maps_are_within_half_a_step(values):
    each = packed_maps.packed(values)
    found = pages.unpacked(each)
    np.testing.assert_allclose(found, values, rtol=1e-12, atol=0.501 * np.ptp(values) / (2**16 - 2))
    assert (found[values == 0] == 0).all()


def test_noisy_maps_have_32_steps(random):
    values = random.normal(0, 1, (160, 160))
    each = packed_maps.packed(values)
    assert each["step"] == pytest.approx(draw.percentile_limit(values) / 32)
    np.testing.assert_allclose(pages.unpacked(each, 160, 160), values, rtol=0, atol=0.501 * each["step"])
    # Close to the entropy of its codes.
    assert len(each["data"]) * 3 / 4 < 1.02 * 160 * 160 * 5.6 / 8
    # An outlier neither makes the others coarser nor is it clipped.
    values[3, 4] = 1e4
    each = packed_maps.packed(values)
    np.testing.assert_allclose(pages.unpacked(each, 160, 160), values, rtol=0, atol=0.09)
    smooth = np.outer(np.linspace(-1, 1, 160), np.linspace(0, 1, 160) ** 2)
    assert packed_maps.packed(smooth)["step"] == pytest.approx(2 / (2**16 - 2))


def test_larger_maps_are_quantized_more_coarsely(random):
    smooth = draw.enlarged(random.normal(0, 1, (4, 4)), 224, 224)
    steps = []
    for grain in (0, 0.0001, 0.01, 0.1):
        values = smooth + random.normal(0, grain, smooth.shape)
        each = packed_maps.packed(values)
        np.testing.assert_allclose(pages.unpacked(each, 224, 224), values, rtol=0, atol=0.501 * each["step"])
        steps.append(each["step"] / draw.percentile_limit(values))
        assert steps[-1] <= 1.001 / 32
    assert steps == sorted(steps)
    assert steps[0] < 1 / 100 < steps[-1]


def test_large_maps_without_readout_are_averaged(random):
    values = random.normal(0, 1, (161, 160))
    each = packed_maps.painted(values)
    assert each["block"] == 2
    found = pages.unpacked(each, 81, 80)
    np.testing.assert_allclose(found[3, 4], values[6:8, 8:10].mean(), rtol=0, atol=0.501 * each["step"])
    np.testing.assert_allclose(found[80, 4], values[160:, 8:10].mean(), rtol=0, atol=0.501 * each["step"])
    assert packed_maps.painted(np.zeros((160, 160)))["block"] == 1


def test_records_of_another_model_are_refused():
    with pytest.raises(UsageError, match="must be from the same model"):
        made(pages.record(), classifier=pages.Stand(sha256="cd" * 32))
    with pytest.raises(UsageError, match="must be from the same model"):
        made(pages.record(), classifier=pages.Stand(labels=("a", "b", "c")))


def test_the_python_program_names_images_targets_and_changed_options():
    record = pages.record(["one.png", "it's.png"], options={"depth": 5}, targets=[1, 2])
    program = next(line for line in python_program([record], pages.Stand()).splitlines() if line.startswith("cx.explain"))
    called = {}
    explain = staticmethod(lambda *given, **options: called.update(given=given, options=options))
    read = staticmethod(lambda names, classifier, *, invert: (names, invert))
    scope = {"cx": type("", (), {"explain": explain, "read_images": read})}
    exec(program, {**scope, "classifier": None})
    assert called == {
        "given": ("made-map", None, (["one.png", "it's.png"], False)),
        "options": {"target": [1, 2], "depth": 5},
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"images": None}, ["mnist:test/42"]),
        ({"images": ["a b.png", "it's; rm -rf.png"]}, ["a b.png", "it's; rm -rf.png"]),
        ({"images": ["-a.png"]}, ["--", "-a.png"]),
        ({"images": ["a.png"], "invert": False}, ["--no-invert", "a.png"]),
        (
            {"images": ["a.png"], "target": "-1", "input_mean": "0.5,1", "analysis": ["x", "y z"]},
            ["--target=-1", "--input-mean", "0.5,1", "--analysis", "x", "--analysis", "y z", "a.png"],
        ),
        ({"images": ["a.png"], "target": "-1; reboot"}, ["--target=-1; reboot", "a.png"]),
        ({"images": ["a.png"], "logits": False, "model": "lenet"}, ["a.png"]),
    ],
)
def test_the_command_is_quoted_for_a_shell(given, words):
    defaults = dict.fromkeys(["images", "invert", "target", "input_mean", "analysis"]) | {"logits": False, "model": "lenet"}
    line = report.command_line(given, defaults, configured=False)
    assert shlex.split(line) == ["cnnexplain", "report", *words]


def test_defaults_that_a_configuration_could_change_are_written_out():
    given = {"images": ["a.png"], "dpi": 130, "logits": False, "target": None}
    line = report.command_line(given, {"images": None, "dpi": 130, "logits": False, "target": None}, configured=True)
    assert line == "cnnexplain report --dpi 130 a.png"


def parts_of(count, size, alive):
    """The parts of a result as its files hold them, and how many of them are in memory at once."""

    class Images(list):
        __hash__ = object.__hash__

    def part(number):
        return Images(
            {
                "source": f"folder/{number}-{index}.png",
                "prediction": "cat",
                "prediction_index": 0,
                "probability": 0.5,
                "target": "dog",
                "target_index": 1,
                "target_probability": 0.25,
                "objective": None,
                "picture": f"{number}-{index}.png",
                "finding": "What was found.",
            }
            for index in range(size)
        )

    here = weakref.WeakSet()
    for number in range(count):
        images = part(number)
        here.add(images)
        alive.append(len(here))
        small = {"files": [f"{number}.webp", f"{number}-2.webp"], "height": 6, "width": 8, "columns": 8}
        each = {"images": images, "warnings": ["same"], "skipped": {}, "thumbnails": small}
        del images
        yield each
        del each


RESULT = {
    **pages.PROVENANCE,
    "cnnexplain": "0.1.0",
    "options": {"depth": 3},
    "overview": [],
    "seconds": 2.0,
    "complete": True,
}


def test_index_pages_read_one_part_at_a_time(tmp_path, monkeypatch):
    alive = []
    monkeypatch.setattr("cnnexplain.rendering.thumbnails.EACH", 60)
    index_files.write_index(tmp_path / "index.html", pages.analysis(), RESULT, parts_of(40, 100, alive), 4000)
    read = Read((tmp_path / "index.html").read_text())
    assert max(alive) <= 2
    tiles = [each for each in read.all("li") if each.get("class") == "tile"]
    assert len(tiles) == 4000
    # The second sheet of a part begins after 60 images.
    assert [tiles[place]["data-sheet"] for place in (0, 59, 60)] == ["./0.webp", "./0.webp", "./0-2.webp"]
    assert [tiles[place]["data-place"] for place in (0, 59, 60, 99, 100)] == ["0", "59", "0", "39", "0"]
    sheets = [each for each in read.all("li") if each.get("class") == "sheet"]
    assert [(each["data-name"], each["data-count"]) for each in sheets[:3]] == [
        ("./0.webp", "60"),
        ("./0-2.webp", "40"),
        ("./1.webp", "60"),
    ]
    assert "./39-99.png" in {each.get("href") for each in read.all("a")}
    # No picture is fetched before it is near the screen: the script asks for them.
    assert [each for each in read.all("img") if "src" in each] == []
    assert read.text.count("What was found.") == 4000
    assert "explained: dog 25.0%" in read.text
    # A warning of all the parts is told once.
    assert read.text.count("same") == 1
    assert "incomplete: some images are not explained yet" not in read.text


def test_index_pages_escape_and_link_only_local_files(tmp_path):
    (part,) = parts_of(1, 3, [])
    names = ["javascript:alert(1).png", "a b#c?d.svg", "x.pdf"]
    for image, name in zip(part["images"], names, strict=True):
        image |= {"picture": name, "source": pages.HOSTILE, "prediction": pages.HOSTILE}
    # As a result of an earlier version has it.
    for image in part["images"]:
        del image["finding"]
    del part["thumbnails"]
    index_files.write_index(tmp_path / "index.html", pages.analysis(word=pages.HOSTILE), RESULT, [part], 3)
    read = Read((tmp_path / "index.html").read_text())
    assert len(read.all("script")) == 1
    policy = next(each["content"] for each in read.all("meta") if each.get("http-equiv") == "Content-Security-Policy")
    (script,) = (text for name, _, text in read.held if name == "script")
    assert f"script-src 'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy
    addresses = {each["href"] for each in read.all("a") if "arxiv" not in each.get("href", "arxiv")} | {
        each["src"] for each in read.all("img") if "src" in each
    }
    assert addresses == {"./javascript%3Aalert%281%29.png", "./a%20b%23c%3Fd.svg", "./x.pdf"}
    assert [each["src"] for each in read.all("img") if "src" in each] == [
        "./javascript%3Aalert%281%29.png",
        "./a%20b%23c%3Fd.svg",
    ]
    assert pages.HOSTILE in read.text


def test_index_pages_show_verdicts_as_words_and_marks(tmp_path):
    def shown(found):
        index_files.write_index(tmp_path / "index.html", pages.analysis(), RESULT, parts_of(1, 2, []), 2, found)
        return Read((tmp_path / "index.html").read_text())

    sources = ("one.png", f"two{pages.HOSTILE}.png")
    read = shown(pages.verification(sources, word=pages.HOSTILE, values=(0.5, float("nan"), None)))
    assert "✗ Verification: 1 of 2 checks failed: far" in read.text
    for words in ("✓ passed 0.5 ≤ 1", "✗ failed nan ≤ 1", "– no verdict – ≤ 1", f"Measured.{pages.HOSTILE}"):
        assert words in read.text
    assert read.text.index("Is it what the method defines?") < read.text.index("Is it stable?")
    assert not [each for each in read.all("img") if each.get("src") == "x"]
    # What is wrong is open.
    assert {"class": "more checks", "open": None} in read.all("details")
    read = shown(pages.verification(sources))
    assert "✓ Verification: 2 checks passed, 1 without a verdict" in read.text
    assert {"class": "more checks"} in read.all("details")
    assert "Verification" not in shown(None).text


def test_notebooks_show_the_first_images_of_a_record():
    record = pages.record([f"{number}.png" for number in range(5)])
    read = Read(record._repr_html_())
    assert len(read.all("img")) == record_display.SHOWN == 3
    assert "… and 2 more images" in read.text
    assert "signed_map 5 × 6 × 8" in read.text
    assert record._repr_png_().startswith(b"\x89PNG")
    alone = replace(pages.analysis(overview=lambda record: {"title": Figure((1, 1))}, dataset=True), maps={})
    of_none = pages.record([], made=alone, facts={})
    assert [each["alt"] for each in Read(of_none._repr_html_()).all("img")] == ["made-map: title"]
    assert of_none._repr_png_().startswith(b"\x89PNG")


def test_invalid_report_arguments_are_refused_early(cli, tmp_path, monkeypatch):
    monkeypatch.setattr("cnnexplain.cli.session.load", None)
    code, _, err = cli("report", *(f"mnist:test/{index}" for index in range(21)))
    assert code == 2
    assert "takes up to 20 images, but got 21" in err
    code, _, err = cli("report", "--analysis", "salency")
    assert code == 2
    assert "Did you mean 'saliency'?" in err
    (tmp_path / "cnnexplain-out").mkdir()
    (tmp_path / "cnnexplain-out/report.html").write_text("mine")
    code, _, err = cli("report")
    assert code == 1
    assert "is not a report of cnnexplain" in err
    assert (tmp_path / "cnnexplain-out/report.html").read_text() == "mine"

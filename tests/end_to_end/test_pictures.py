"""Pictures drawn by other processes while results are computed, and results with pictures of some images or of none."""

import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

import cnnexplain as cx
from cnnexplain.errors import OutputError, UsageError
from cnnexplain.pipeline import parts, plan
from cnnexplain.plugin import registry
from cnnexplain.rendering.pictures import Pictures
from cnnexplain.results import picture_workers, writer
from cnnexplain.results.picture_workers import PictureWorkers
from cnnexplain.results.record import Record

FIVE = [f"mnist:test/{index}" for index in (3, 1, 4, 1, 5)]
NAMES = ["mnist-test-3.png", "mnist-test-1.png", "mnist-test-4.png", "mnist-test-1-2.png", "mnist-test-5.png"]
OUT = Path("cnnexplain-out/saliency")

PLUGIN = """
import os
from cnnexplain.plugin import Analysis, Result, hookimpl
def run(classifier, images):
    "Nothing."
    return Result({"kept": images})
def draw(record, index):
    from matplotlib.figure import Figure
    print("a plugin may print", flush=True)
    if index == 2:
        CODE
    return Figure((0.1, 0.1))
@hookimpl
def cnnexplain_analyses():
    return [Analysis("aa-drawn", run, draw, "Nobody 2026")]
"""


@pytest.fixture
def many(monkeypatch):
    """As if five images were many: other processes draw, and a part has three or four images."""
    monkeypatch.setattr(writer, "FEW", 1)
    monkeypatch.setattr(picture_workers, "CHUNK", 2)
    monkeypatch.setattr(parts, "MOST_READ", 2)
    monkeypatch.setattr(parts, "PART_IMAGES", 3)


@pytest.fixture
def plugin(install):
    """Installs a plugin that executes this code to draw the third image of a part."""

    return lambda code: install("drawn-elsewhere", PLUGIN.replace("CODE", code))


@pytest.fixture
def two(monkeypatch):
    """Leaves two cheap analyses and what a test installs."""
    whole = registry.load

    def load():
        found = whole()
        names = [name for name in ("gradient-x-input", "saliency", "aa-drawn") if name in found.analyses]
        return replace(found, analyses=replace(found.analyses, found={name: found.analyses[name] for name in names}))

    monkeypatch.setattr(registry, "load", load)


def content(folder):
    """The files of a result, without the run time."""
    held = {path.name: path.read_bytes() for path in folder.iterdir()}
    for name in [name for name in held if name.endswith(".json")]:
        held[name] = {**json.loads(held[name]), "seconds": 0}
    # The page states the run time, too.
    return {name: value for name, value in held.items() if name != "index.html"}


def pictures(folder=OUT):
    return sorted(path.name for path in folder.glob("*.png"))


def listed(folder=OUT):
    result = json.loads((folder / "result.json").read_text())
    read = [json.loads((folder / name).read_text()) for name in result.get("parts", ["result.json"])]
    names = [image["picture"] for part in read for image in part["images"]]
    assert sorted(result["files"]) == sorted(path.name for path in folder.iterdir())
    return names


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.usefixtures("many")
def test_workers_draw_the_same_pictures(cli, monkeypatch):
    submit, here = PictureWorkers.submit, []

    def checked(self, folder, part, *given):
        assert (folder / part).exists()
        Record.load(folder)
        submit(self, folder, part, *given)

    draw = picture_workers.picture_tasks.draw
    monkeypatch.setattr(PictureWorkers, "submit", checked)
    monkeypatch.setattr(picture_workers.picture_tasks, "draw", lambda task: here.append(task) or draw(task))
    assert cli("run", "saliency", *FIVE, "--dpi", 40)[0] == 0
    assert not here
    monkeypatch.setattr(writer, "FEW", 100)
    assert cli("run", "saliency", *FIVE, "--dpi", 40, "--out", "expected")[0] == 0
    assert content(OUT) == content(Path("expected/saliency"))
    assert pictures() == sorted(NAMES)


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("change", [("sys.executable", "/nowhere/python"), ("PROGRAM", "raise SystemExit")])
def test_without_workers_this_process_draws(cli, monkeypatch, change):
    monkeypatch.setattr(f"cnnexplain.results.picture_workers.{change[0]}", change[1])
    assert cli("run", "saliency", *FIVE, "--dpi", 20)[0] == 0
    assert listed() == NAMES


@pytest.mark.usefixtures("many")
def test_analyses_unknown_to_workers_are_drawn_here(cli, monkeypatch):
    def unknown(process, task):
        yield from ()
        raise UsageError("There is no such analysis.")

    monkeypatch.setattr(picture_workers, "_asked", unknown)
    assert cli("run", "saliency", *FIVE, "--dpi", 20)[0] == 0
    assert listed() == NAMES


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise ValueError('no ink')", "draw() of 'aa-drawn' failed: ValueError: no ink"),
        ("os._exit(3)", "A process that draws pictures ended unexpectedly (exit code 3)"),
    ],
)
def test_a_failed_picture_is_reported_and_results_are_kept(cli, plugin, code, words):
    plugin(code)
    code, _, err = cli("run", "aa-drawn", *FIVE, "--dpi", 20)
    assert code == 1
    assert words in err
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert len(Record.load("cnnexplain-out/aa-drawn").arrays["kept"]) in (4, 5)


@pytest.mark.usefixtures("many")
def test_output_of_plugins_while_drawing_is_harmless(cli, plugin):
    plugin("pass")
    code, out, err = cli("run", "aa-drawn", *FIVE, "--dpi", 20)
    assert (code, err) == (0, "")
    assert "may print" not in out
    assert listed(Path("cnnexplain-out/aa-drawn")) == NAMES


@pytest.mark.usefixtures("many")
def test_pictures_follow_after_an_interrupted_run(cli, monkeypatch):
    assert cli("run", "saliency", *FIVE, "--dpi", 20, "--target", 3)[0] == 0
    former = {name: (OUT / name).read_bytes() for name in pictures()}
    with monkeypatch.context() as patch:
        # No picture is drawn.
        patch.setattr(PictureWorkers, "_work", lambda self: None)
        patch.setattr(PictureWorkers, "wait", interrupt)
        code, _, err = cli("run", "saliency", *FIVE, "--dpi", 20, "--target", 5)
    assert code == 130
    assert err == (
        f"Interrupted: 5 images are done and kept in {OUT}; 5 of their pictures are not drawn; the same command with "
        "--resume continues, or cnnexplain redraw draws the pictures.\n"
    )
    # No picture of the earlier result passes for one of this.
    assert pictures() == []
    assert [path.name for path in OUT.iterdir() if path.name.startswith(".")] == []
    assert len(Record.load(OUT)) == 5
    code, out, _ = cli("run", "saliency", *FIVE, "--dpi", 20, "--target", 5, "--resume")
    assert (code, out) == (0, f"Kept 5 finished images in {OUT}; drew 5 missing pictures.\n")
    assert listed() == NAMES
    resumed = {name: (OUT / name).read_bytes() for name in pictures()}
    assert all(resumed[name] != former[name] for name in NAMES)
    (OUT / NAMES[1]).unlink()
    assert cli("redraw", OUT, "--dpi", 20)[0] == 0
    assert {name: (OUT / name).read_bytes() for name in pictures()} == resumed


@pytest.mark.usefixtures("many")
def test_pictures_stopped_by_an_interruption_are_counted(cli, monkeypatch):
    def interrupted(self, *_):
        while not self.done:
            self.check(OUT)
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(PictureWorkers, "wait", interrupted)
    code, _, err = cli("run", "saliency", *FIVE, *FIVE, *FIVE, "--dpi", 60)
    left = 15 - len(pictures())
    assert code == 130
    assert left
    assert f"15 images are done and kept in {OUT}; {left} of their pictures" in err


@pytest.mark.usefixtures("many", "two")
def test_the_next_analysis_does_not_wait_for_pictures(cli, monkeypatch):
    run, work, begun, waited = parts.run_parts, PictureWorkers._work, [], []
    last = threading.Event()

    def running(request, start):
        begun.append(request.analysis.name)
        if len(begun) == 2:
            last.set()
        return run(request, start)

    def later(self):
        waited.append(last.wait(60))
        work(self)

    monkeypatch.setattr(parts, "run_parts", running)
    monkeypatch.setattr(PictureWorkers, "_work", later)
    assert cli("run", "all", *FIVE, "--dpi", 20)[0] == 0
    assert set(waited) == {True}
    assert [listed(OUT.with_name(name)) for name in begun] == [NAMES, NAMES]


@pytest.mark.usefixtures("many", "plugin", "two")
def test_run_all_reports_pictures_that_fail_after_the_next_analysis(cli, plugin, monkeypatch):
    plugin("raise ValueError('no ink')")
    # The failing pictures are the first ones.
    monkeypatch.setattr("cnnexplain.pipeline.plan.steps", first_of_all(plan.steps, "aa-drawn"))
    code, out, err = cli("run", "all", *FIVE, "--dpi", 20)
    assert code == 1
    (failed,) = (line for line in out.splitlines() if "failed" in line)
    assert "draw() of 'aa-drawn' failed: ValueError: no ink" in failed
    assert err.splitlines()[-1] == "Error: 1 of 3 analyses failed: aa-drawn."
    assert [listed(OUT.with_name(name)) for name in ("saliency", "gradient-x-input")] == [NAMES, NAMES]


def first_of_all(steps, name):
    return lambda *given, **named: sorted(steps(*given, **named), key=lambda step: step.analysis.name != name)


@pytest.mark.usefixtures("many", "two")
def test_run_all_interrupted_says_how_many_pictures_are_missing(cli, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(PictureWorkers, "_work", lambda self: None)
        patch.setattr(PictureWorkers, "wait", interrupt)
        code, _, err = cli("run", "all", *FIVE, "--dpi", 20)
    assert code == 130
    assert err == (
        "Interrupted; kept in cnnexplain-out: saliency, gradient-x-input. 10 of their pictures are not drawn; the same "
        "command with --resume continues.\n"
    )
    assert cli("run", "all", *FIVE, "--dpi", 20, "--resume")[0] == 0
    assert listed(OUT) == NAMES


@pytest.mark.usefixtures("many")
def test_resuming_draws_only_the_requested_pictures(cli, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(PictureWorkers, "_work", lambda self: None)
        patch.setattr(PictureWorkers, "wait", interrupt)
        assert cli("run", "saliency", *FIVE, "--dpi", 20)[0] == 130
    assert cli("run", "saliency", *FIVE, "--dpi", 20, "--pictures", "none", "--resume")[0] == 0
    assert pictures() == []
    assert cli("run", "saliency", *FIVE, "--dpi", 20, "--pictures", 2, "--resume")[0] == 0
    assert pictures() == sorted(NAMES[:2])


@pytest.mark.usefixtures("many")
def test_a_picture_that_cannot_be_moved_affects_only_its_result(tmp_path, lenet):
    records = [cx.explain("saliency", lenet, FIVE[:3], target=target) for target in (3, 5)]
    for name, record in zip("ab", records, strict=True):
        record.save(tmp_path / name, dpi=20)
    blocked = tmp_path / "a" / NAMES[0]
    blocked.unlink()
    blocked.mkdir()
    (blocked / "kept").touch()
    (tmp_path / "b" / NAMES[0]).unlink()
    with PictureWorkers() as workers:
        for name in "ab":
            result = json.loads((tmp_path / name / "result.json").read_text())
            workers.submit(tmp_path / name, "result.json", result, list(enumerate(NAMES[:3])), [], Pictures(dpi=20))
        with pytest.raises(OutputError):
            workers.wait(tmp_path / "a")
        workers.wait(tmp_path / "b")
    assert (tmp_path / "b" / NAMES[0]).is_file()


@pytest.mark.usefixtures("many")
def test_redraw_works_in_this_process(tmp_path, lenet, monkeypatch):
    monkeypatch.setattr("cnnexplain.results.picture_workers.sys.executable", "/nowhere/python")
    drawn = []
    for image in ("mnist:test/3", "mnist:test/7"):
        cx.explain("saliency", lenet, [image] * 3, target=3).save(tmp_path / "out", dpi=20)
        redrawn = cx.redraw(tmp_path / "out", dpi=30)
        drawn.append(sorted(path.read_bytes() for path in redrawn if path.suffix == ".png"))
    assert drawn[0] != drawn[1]


def test_redraw_with_workers_uses_the_same_style(cli, monkeypatch):
    monkeypatch.setattr(parts, "MOST_READ", 2)
    monkeypatch.setattr(parts, "PART_IMAGES", 3)
    assert cli("run", "gradient-x-input", *FIVE, "--pictures", "none")[0] == 0
    folder, drawn = Path("cnnexplain-out/gradient-x-input"), []
    for few in (100, 1):
        monkeypatch.setattr(writer, "FEW", few)
        seen = []
        cx.redraw(folder, dpi=30, signed="PuOr_r", contours=True, regions=4, progress=lambda *now: seen.append(now))  # noqa: B023
        assert seen[-1] == (5, 5)
        drawn.append(content(folder))
    assert drawn[0] == drawn[1]
    before = content(folder)
    monkeypatch.setattr(PictureWorkers, "_drawn", lambda self, process, task: fail())
    with pytest.raises(OutputError, match="no ink"):
        cx.redraw(folder, dpi=40)
    assert content(folder) == before


def fail():
    raise OutputError("no ink")


@pytest.mark.parametrize("where", ["whole", "many"])
def test_pictures_of_the_first_images_or_of_none(cli, request, where):
    if where == "many":
        request.getfixturevalue("many")
    for number, drawn in (("2", NAMES[:2]), ("none", []), ("0", []), ("9", NAMES)):
        code, out, _ = cli("run", "saliency", *FIVE, "--dpi", 20, "--pictures", number)
        assert code == 0
        assert f"Wrote {f'{len(drawn)} pictures' if drawn else 'arrays.npz' if where == 'whole' else 'index.html'}" in out
        assert listed() == [*drawn, *[None] * (5 - len(drawn))]
        page = (OUT / "index.html").read_text()
        assert page.count('<li class="tile"') == 5
        assert page.count('<a href="./mnist') == len(drawn) + (len(drawn) if page.count("<article") else 0)
        assert len(Record.load(OUT)) == 5


def test_pictures_can_be_drawn_and_removed_later(cli, monkeypatch):
    monkeypatch.setattr(parts, "MOST_READ", 2)
    monkeypatch.setattr(parts, "PART_IMAGES", 3)
    assert cli("run", "saliency", *FIVE, "--dpi", 20, "--pictures", "none")[0] == 0
    assert cli("redraw", OUT, "--dpi", 20, "--pictures", 2)[1] == f"Drew 2 pictures in {OUT}\n"
    assert listed() == [*NAMES[:2], None, None, None]
    assert cli("redraw", OUT, "--dpi", 20)[0] == 0
    assert listed() == NAMES
    assert cli("redraw", OUT, "--format", "svg", "--pictures", 1)[0] == 0
    assert listed() == ["mnist-test-3.svg", None, None, None, None]
    assert cx.redraw(OUT, pictures=0) == []
    assert listed() == [None] * 5
    # What is resumed has what the earlier run had.
    assert cli("run", "saliency", *FIVE, "--format", "svg", "--resume")[0] == 0
    assert listed() == [None] * 5


def test_overviews_can_be_drawn_later(cli):
    folder = Path("cnnexplain-out/filters")
    assert cli("run", "filters", "--layer", "conv1", "--dpi", 20)[0] == 0
    before = content(folder)
    assert pictures(folder)
    assert cli("run", "filters", "--layer", "conv1", "--dpi", 20, "--pictures", "none")[0] == 0
    assert pictures(folder) == []
    assert cli("redraw", folder, "--dpi", 20)[0] == 0
    after = content(folder)
    for each in (before, after):
        each["result.json"]["files"].sort()
    assert after == before


def test_a_report_without_pictures_still_has_the_maps(cli):
    words = ("report", "--analysis", "saliency", "--analysis", "gradcam", *FIVE[:2], "--dpi", 20)
    sizes = []
    for number in ("all", "1", "none"):
        assert cli(*words, "--pictures", number)[0] == 0
        page = Path("cnnexplain-out/report.html").read_text()
        assert page.count('class="picture" src=') == {"all": 4, "1": 2, "none": 0}[number]
        assert page.count('class="data">') == 2
        assert ("--pictures" in page) == (number != "all")
        sizes.append(len(page))
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("value", ["-1", "some", "1.5", "", "9" * 400])
def test_a_wrong_number_of_pictures_is_refused(cli, value):
    code, _, err = cli("run", "saliency", "--pictures", value)
    assert code == 2
    assert "--pictures" in err
    assert len(err) < 300


def test_a_configuration_file_sets_the_number(cli):
    for value, wanted in (("1", NAMES[:1]), ('"none"', []), ('"all"', NAMES)):
        Path("cnnexplain.toml").write_text(f"[run]\npictures = {value}\ndpi = 20\n")
        assert cli("run", "saliency", *FIVE)[0] == 0
        assert pictures() == sorted(wanted)
    for value in ("-1", "true", "1.5", '"some"', "[1]"):
        Path("cnnexplain.toml").write_text(f"[run]\npictures = {value}\n")
        code, _, err = cli("run", "saliency", *FIVE)
        assert code == 2
        assert '\'run.pictures\' takes a whole number, "none" or "all", but got ' in err


@pytest.mark.parametrize("most", [-1, 1.5, True, "all"])
def test_the_python_api_refuses_invalid_numbers(most):
    with pytest.raises(UsageError, match="number of pictures is 0 or more, or None for all"):
        Pictures(most=most)


def test_a_full_disk_is_reported(tmp_path, lenet):
    cx.explain("saliency", lenet, FIVE[:1]).save(tmp_path / "out", dpi=20)
    result = json.loads((tmp_path / "out/result.json").read_text())
    gone = str(tmp_path / "gone")
    task = picture_workers.PictureTask(
        str(tmp_path / "out"), "result.json", result, [(0, "a.png")], [], "png", 20, None, gone, moved=True
    )
    with pytest.raises(OutputError, match="Can't write"):
        list(picture_workers.picture_tasks.draw(task))

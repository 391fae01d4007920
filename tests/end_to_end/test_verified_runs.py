"""`--verify` of `run` and `report`: checks that are saved with the result, shown on its pages, and kept later."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pages
import pytest

import cnnexplain as cx
from cnnexplain.errors import UsageError
from cnnexplain.pipeline import parts
from cnnexplain.verification import stability, verify

pytestmark = pytest.mark.usefixtures("blank_pictures")

FIVE = [f"mnist:test/{index}" for index in range(5)]

PLUGIN = """
import numpy as np
from cnnexplain import checks
from cnnexplain.plugin import Analysis, Result, hookimpl

def run(classifier, images, objectives):
    "Half of the gradient."
    gradient = classifier.gradient(images, objectives) / 2
    return Result({"gradient": gradient, "map": np.abs(gradient).max(axis=-1)})

def of_model(classifier, objectives):
    "Shows the targets."
    return Result({}, overview=Result({"targets": np.array([each.target for each in objectives])}))

@hookimpl
def cnnexplain_analyses():
    return [
        Analysis("halved", run, lambda record, index: None, "Nobody 2026", maps={"map": "x"},
                 checks=(checks.gradient("gradient"),)),
        Analysis("of-model", of_model, None, "Nobody 2026", lambda record: {}),
    ]
"""


@pytest.fixture
def few_checks(monkeypatch):
    """Only the checks that the analysis declares, and that a second run gives the same."""

    def checks(found):
        own = [("definition", check) for check in found[0].record.analysis.checks]
        return [*own, ("stability", stability.checks()[0])]

    monkeypatch.setattr(verify, "all_checks", checks)


@pytest.fixture
def small(monkeypatch):
    """Parts of up to three images."""
    monkeypatch.setattr(parts, "MOST_READ", 1)
    monkeypatch.setattr(parts, "PART_IMAGES", 3)


def page(path):
    return pages.Read(Path(path).read_text()).text


def test_a_verified_result_has_its_checks_in_every_form(cli, tmp_path):
    arguments = ("saliency", *FIVE[:2], "--target", "4", "--against", "9", "--verify")
    code, out, err = cli("run", *arguments)
    assert code == 0, err
    for words in ("Verifying the result: about 5 s.", "saliency, lenet, 2 images", "random weights"):
        assert words in out
    folder = tmp_path / "cnnexplain-out/saliency"
    content = json.loads((folder / "result.json").read_text())["verification"]
    assert set(content) == {"passed", "checks", "seconds"}
    assert content["passed"] is True
    assert {len(check["images"]) for check in content["checks"]} == {2}
    record = cx.Record.load(folder)
    assert record.verification.images == tuple(FIVE[:2])
    assert f"saliency: {record.verification.outcome}." in out
    assert f"✓ Verification: {record.verification.outcome}" in page(folder / "index.html")
    cx.redraw(folder, dpi=20)
    assert json.loads((folder / "result.json").read_text())["verification"] == content
    assert f"✓ Verification: {record.verification.outcome}" in page(folder / "index.html")
    # What is finished is not verified again.
    code, out, _ = cli("run", *arguments, "--dpi", "20", "--resume", "--json")
    document = json.loads(out)
    assert (code, document["kept"], document["images"]) == (0, 2, [])
    assert document["verification"] == record.verification.as_json()


@pytest.mark.usefixtures("few_checks")
def test_a_failed_check_is_the_exit_code_after_everything_is_written(cli, install, tmp_path):
    install("halved", PLUGIN)
    code, out, _ = cli("run", "halved", *FIVE[:2], "--verify")
    folder = tmp_path / "cnnexplain-out/halved"
    assert code == 1
    assert "halved: 1 of 2 checks failed: gradient." in out
    assert cx.Record.load(folder).verification.failed == ("gradient",)
    assert "✗ failed" in page(folder / "index.html")
    code, out, _ = cli("run", "halved", *FIVE[:2], "--verify", "--resume", "--json")
    assert (code, json.loads(out)["verification"]["passed"]) == (1, False)
    code, out, _ = cli("run", "halved", *FIVE[:2])
    assert code == 0
    assert cx.Record.load(folder).verification is None
    code, out, _ = cli("report", *FIVE[:2], "--analysis", "halved", "--analysis", "saliency", "--verify")
    assert code == 1
    assert "Verifying the results: about" in out
    passed = cx.Record.load(tmp_path / "cnnexplain-out/saliency").verification.outcome
    assert f"saliency: {passed}." in out
    report = page(tmp_path / "cnnexplain-out/report.html")
    for words in ("halved: 1 of 2 checks failed: gradient; see Methods.", f"✓ {passed}", "--verify"):
        assert words in report


@pytest.mark.usefixtures("few_checks")
def test_all_analyses_are_verified(cli, install, tmp_path, monkeypatch):
    from cnnexplain.cli import session

    install("halved", PLUGIN)
    registry = session.registry()
    found = {name: registry.analyses[name] for name in ("halved", "saliency", "of-model")}
    kept = replace(registry, analyses=replace(registry.analyses, found=found))
    monkeypatch.setattr(session, "registry", lambda: kept)
    code, out, _ = cli("run", "all", FIVE[0], "--target", "3", "--verify", "--json")
    assert code == 1
    verdicts = {each["analysis"]: each["verification"]["passed"] for each in json.loads(out)["analyses"]}
    assert verdicts == {"halved": False, "saliency": True, "of-model": True}
    code, out, _ = cli("run", "all", FIVE[0], "--target", "3", "--verify", "--resume")
    assert code == 1
    assert "1 of 2 checks failed: gradient │" in out
    code, out, _ = cli("run", "all", FIVE[0], "--target", "3", "--json")
    assert code == 0
    assert {each["verification"] for each in json.loads(out)["analyses"]} == {None}


@pytest.mark.usefixtures("few_checks", "small")
def test_parts_are_verified_one_by_one_and_resumed(cli, tmp_path):
    assert cli("run", "gradient-x-input", *FIVE, "--verify")[0] == 0
    folder = tmp_path / "cnnexplain-out/gradient-x-input"
    assert "verification" not in json.loads((folder / "result.json").read_text())
    first = json.loads((folder / "result-00001.json").read_text())["verification"]
    whole = cx.Record.load(folder).verification
    assert whole.images == tuple(FIVE)
    shown = f"✓ Verification: {whole.outcome}"
    assert page(folder / "index.html").count(shown) == 1
    (folder / "arrays-00002.npz").unlink()
    code, _, err = cli("run", "gradient-x-input", *FIVE, "--resume")
    assert code == 2
    assert "belongs to another request: it was made with --verify, now without it." in err
    code, out, _ = cli("run", "gradient-x-input", *FIVE, "--verify", "--resume")
    assert code == 0
    assert "Kept 3 finished images" in out
    assert "gradient-x-input, lenet, 5 images" in out
    assert json.loads((folder / "result-00001.json").read_text())["verification"] == first
    again = cx.Record.load(folder).verification
    assert [row.measurements for row in again.rows] == [row.measurements for row in whole.rows]
    assert page(folder / "index.html").count(shown) == 1
    # A part that is not verified leaves the result unverified.
    content = json.loads((folder / "result-00002.json").read_text())
    del content["verification"]
    (folder / "result-00002.json").write_text(json.dumps(content))
    assert [part.verification is None for part in cx.load_parts(folder)] == [False, True]
    assert cx.Record.load(folder).verification is None


@pytest.mark.usefixtures("few_checks", "small")
def test_ctrl_c_while_verifying_keeps_the_parts_before(cli, tmp_path, monkeypatch):
    def interrupted(kind, check, found):
        if found[0].record.span.start:
            raise KeyboardInterrupt
        return check_row(kind, check, found)

    check_row = verify.check_row
    with monkeypatch.context() as patch:
        patch.setattr(verify, "check_row", interrupted)
        code, _, err = cli("run", "gradient-x-input", *FIVE, "--verify")
    assert code == 130
    assert "Interrupted: 5 images are done and kept in cnnexplain-out/gradient-x-input; not all of them are verified" in err
    folder = tmp_path / "cnnexplain-out/gradient-x-input"
    first, second = cx.load_parts(folder)
    assert first.verification.images == tuple(FIVE[:3])
    assert second.verification is None
    assert "Verification" not in page(folder / "index.html")
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("arrays-*.npz")}
    assert cli("run", "gradient-x-input", *FIVE, "--verify", "--resume")[0] == 0
    whole = cx.Record.load(folder).verification
    assert whole.images == tuple(FIVE)
    assert f"✓ Verification: {whole.outcome}" in page(folder / "index.html")
    # Nothing is computed again.
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("arrays-*.npz")} == before


@pytest.mark.usefixtures("few_checks")
@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("saliency", "; it is not verified; the same command with --resume continues."),
        ("of-model", ", but not verified; the same command runs it again."),
    ],
)
def test_ctrl_c_while_verifying_loses_nothing(name, state, cli, install, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    install("halved", PLUGIN)
    arguments = ("run", name, *([FIVE[0]] if name == "saliency" else ["--target", "3"]))
    with monkeypatch.context() as patch:
        patch.setattr(verify, "check_row", interrupted)
        code, _, err = cli(*arguments, "--verify")
        assert code == 130
        assert f"kept in cnnexplain-out/{name}{state}" in err
    folder = tmp_path / "cnnexplain-out" / name
    record = cx.Record.load(folder)
    assert record.verification is None
    code, _, err = cli(*arguments, "--verify", *(["--resume"] if name == "saliency" else []))
    assert code == 0, err
    again = cx.Record.load(folder)
    assert again.verification.passed
    assert f"✓ Verification: {again.verification.outcome}" in page(folder / "index.html")
    for array in record.arrays:
        assert (again.arrays[array] == record.arrays[array]).all()
    with monkeypatch.context() as patch:
        patch.setattr(verify, "check_row", interrupted)
        code, _, err = cli("run", "all", FIVE[0], "--verify")
    assert code == 130
    assert "(not verified)" in err


@pytest.mark.usefixtures("few_checks", "small")
def test_a_saved_result_of_several_parts_is_recomputed_part_by_part(cli, tmp_path, monkeypatch):
    from cnnexplain.verification import saved

    copies = []
    shuffled = saved.shuffled
    monkeypatch.setattr(saved, "shuffled", lambda classifier: copies.append(1) or shuffled(classifier))
    assert cli("run", "gradient-x-input", *FIVE, "--control", "--verify")[0] == 0
    folder = tmp_path / "cnnexplain-out/gradient-x-input"
    arrays = dict(np.load(folder / "arrays-00002.npz"))
    arrays["pixel_attribution"][1] *= 2
    np.savez(folder / "arrays-00002.npz", **arrays)
    code, out, err = cli("verify", folder)
    assert code == 1
    assert "gradient-x-input: 1 of 3 checks failed: arrays." in out
    words = " ".join(out.replace("│", " ").split())
    assert "[part 2: the largest difference is in 'pixel_attribution'" in words
    assert "arrays]" in words
    assert "arrays, image" not in words
    # The saved checks still say that all is well.
    assert cx.Record.load(folder).verification.passed
    assert "The checks that are saved in cnnexplain-out/gradient-x-input were not repeated" in err.replace(
        str(tmp_path) + "/", ""
    )
    # The shuffled network is copied once for all parts.
    assert copies == [1]


@pytest.mark.usefixtures("few_checks", "small")
def test_a_finished_result_is_verified_later(cli, tmp_path, monkeypatch):
    assert cli("run", "gradient-x-input", *FIVE)[0] == 0
    folder = tmp_path / "cnnexplain-out/gradient-x-input"
    names = {path.name for path in folder.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(parts, "run_parts", None)
        assert cli("run", "gradient-x-input", *FIVE, "--verify", "--resume")[0] == 0
    assert cx.Record.load(folder).verification.images == tuple(FIVE)
    assert {path.name for path in folder.iterdir()} == names
    # What is missing is computed and verified.
    (folder / "arrays-00002.npz").unlink()
    assert cli("run", "gradient-x-input", *FIVE, "--verify", "--resume")[0] == 0
    assert cx.Record.load(folder).verification.images == tuple(FIVE)


def test_a_result_of_an_earlier_version_is_resumed_and_has_no_verification(cli, tmp_path):
    earlier = Path(__file__).parents[1] / "earlier/saliency"
    assert cx.Record.load(earlier).verification is None
    shutil.copytree(earlier, tmp_path / "earlier")
    cx.redraw(tmp_path / "earlier", dpi=20)
    assert "Verification" not in page(tmp_path / "earlier/index.html")
    assert cli("run", "saliency", FIVE[0])[0] == 0
    path = tmp_path / "cnnexplain-out/saliency/result.json"
    content = json.loads(path.read_text())
    assert content["request"].pop("verify") is False
    path.write_text(json.dumps(content))
    assert cli("run", "saliency", FIVE[0], "--resume")[0] == 0
    assert cli("run", "saliency", FIVE[0], "--resume", "--verify")[0] == 0
    assert cx.Record.load(path.parent).verification.passed


def test_a_record_is_saved_with_its_verification(lenet, tmp_path):
    record = cx.explain("saliency", lenet, FIVE[:2])
    model = {"name": lenet.name, "sha256": lenet.sha256}
    found = pages.verification(FIVE[:2], analysis="saliency", model=model)
    record.verified(found).save(tmp_path / "saved")
    assert record.verification is None
    assert cx.Record.load(tmp_path / "saved").verification.as_json() == {
        **found.as_json(),
        "model": record.provenance["model"],
    }
    for other in (
        pages.verification(FIVE[:1], analysis="saliency", model=model),
        pages.verification(FIVE[:2], analysis="gradcam", model=model),
        pages.verification(FIVE[:2], analysis="saliency", model={"sha256": "0"}),
        cx.Verification("saliency", model, tuple(FIVE[:2]), pages.verification(FIVE[:1]).rows, 1.0),
    ):
        with pytest.raises(UsageError, match="not of this record, with its options, targets and arrays; pass what"):
            record.verified(other)


@pytest.mark.usefixtures("few_checks")
def test_the_verification_of_another_record_is_refused(lenet, tmp_path):
    record = cx.explain("gradcam", lenet, FIVE[0], target=3)
    found = cx.verify(record, lenet)
    assert record.verified(found).verification is found
    record.save(tmp_path / "saved")
    assert cx.Record.load(tmp_path / "saved").verified(found).verification is found
    for other in (
        cx.explain("gradcam", lenet, FIVE[0], target=3, method="layercam"),
        cx.explain("gradcam", lenet, FIVE[0], target=4),
        replace(record, arrays={name: array + 1 for name, array in record.arrays.items()}),
        replace(record, images=record.images / 2),
    ):
        with pytest.raises(UsageError, match="not of this record"):
            other.verified(found)

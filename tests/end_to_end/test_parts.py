"""Many images, explained and written part after part; what a run that was ended leaves, and how it goes on."""

import json
import os
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import cnnexplain as cx
from cnnexplain import files
from cnnexplain.errors import ImageError, PluginError, UsageError
from cnnexplain.inputs import datasets
from cnnexplain.pipeline import parts
from cnnexplain.rendering.pictures import Pictures
from cnnexplain.results import writer as report
from cnnexplain.results.record import Record

SEVEN = [f"mnist:test/{index}" for index in (3, 1, 4, 1, 5, 9, 2)]


@pytest.fixture
def small(monkeypatch):
    """Parts of three images, of which two are read at once, and pictures that are drawn in a moment."""
    monkeypatch.setattr(parts, "MOST_READ", 2)
    monkeypatch.setattr(parts, "PART_IMAGES", 3)
    monkeypatch.setattr(Record, "figure", lambda record, index: Figure((0.1, 0.1)))


def digits(folder, *indices):
    folder.mkdir(exist_ok=True)
    for index in indices:
        Image.fromarray(datasets.sample(f"mnist:test/{index}")[0]).save(folder / f"{index}.png")


def held(folder):
    """All that a folder holds but how long it took: what is common, the images and facts of each part, arrays, pictures."""
    result = json.loads((folder / "result.json").read_text())
    assert result["complete"]
    parts = [json.loads((folder / name).read_text()) for name in result["parts"]]
    arrays = []
    for number in range(1, len(parts) + 1):
        with np.load(folder / f"arrays-{number:05}.npz") as saved:
            arrays.append({name: saved[name].tobytes() for name in saved})
    for each in (result, *parts):
        del each["seconds"]
    names = sorted(path.name for path in folder.iterdir())
    assert sorted(result["files"]) == names
    return result, parts, arrays, {name: (folder / name).read_bytes() for name in names if name.endswith(".png")}


def test_parts_joined_equal_a_single_run(lenet, small):
    whole = cx.explain("saliency", lenet, SEVEN, target=[0, 1, 2, 3, 4, 5, 6])
    seen = []
    parts = list(
        cx.explain_parts("saliency", lenet, SEVEN, target=[0, 1, 2, 3, 4, 5, 6], progress=lambda *done: seen.append(done))
    )
    assert [part.span for part in parts] == [range(4), range(4, 7)]
    assert whole.span == range(7)
    for name, array in whole.arrays.items():
        np.testing.assert_allclose(np.concatenate([part.arrays[name] for part in parts]), array, atol=1e-6)
    assert [each for part in parts for each in part.explained] == list(whole.explained)
    assert [each for part in parts for each in part.facts["peak_pixel"]] == whole.facts["peak_pixel"]
    assert seen == [(2, 7), (4, 7), (6, 7), (7, 7)]
    (last,) = cx.explain_parts("saliency", lenet, SEVEN, target=[0, 1, 2, 3, 4, 5, 6], start=4)
    np.testing.assert_array_equal(last.arrays["gradient"], parts[1].arrays["gradient"])
    assert last.explained == parts[1].explained


def test_large_arrays_end_a_part(lenet, monkeypatch):
    monkeypatch.setattr(parts, "MOST_READ", 2)
    one = 28 * 28 * 4 * 3  # Input, gradient and map of an image.
    monkeypatch.setattr(parts, "PART_BYTES", 3 * one)
    assert [len(part) for part in cx.explain_parts("saliency", lenet, SEVEN)] == [4, 3]
    monkeypatch.setattr(parts, "PART_BYTES", 2 * one)
    assert [len(part) for part in cx.explain_parts("saliency", lenet, SEVEN)] == [2, 2, 2, 1]


def test_a_part_is_freed_before_the_next_is_computed(lenet, small):
    first, held = None, []
    parts = cx.explain_parts("saliency", lenet, SEVEN, progress=lambda *_: held.append(first and first()))
    first = weakref.ref(next(parts).arrays["gradient"])
    assert first() is not None
    held.clear()
    assert len(next(parts)) == 3
    assert held == [None, None]


def test_a_model_in_memory_is_hashed_once_for_all_parts(model, small, random, monkeypatch):
    classifier, hashed = cx.load(model()), []
    digest = type(classifier).sha256.fget
    monkeypatch.setattr(type(classifier), "sha256", property(lambda self: hashed.append(1) or digest(self)))
    records = list(
        cx.explain_parts("saliency", classifier, random.uniform(0, 1, (7, *classifier.preprocess.shape)).astype(np.float32))
    )
    assert len(records) > 1
    assert len(hashed) == 1
    assert len({record.provenance["model"]["sha256"] for record in records}) == 1


def test_only_the_first_part_has_the_overview(lenet, small, tmp_path):
    names = SEVEN[:5]
    whole = cx.explain("deconvnet", lenet, names, dataset=names, layer=["relu2"], maps=2)
    parts = list(cx.explain_parts("deconvnet", lenet, names, dataset=names, layer=["relu2"], maps=2))
    key = "projection/relu2/deconvnet"
    np.testing.assert_allclose(np.concatenate([part.arrays[key] for part in parts]), whole.arrays[key], atol=1e-5)
    assert [each for part in parts for each in part.facts["strongest"]][4] == parts[1].facts["strongest"][0]
    np.testing.assert_allclose(parts[0].arrays["patch/relu2"], whole.arrays["patch/relu2"], atol=1e-6)
    assert set(parts[1].arrays) == {key}
    assert set(parts[1].facts) == {"strongest", "rules", "value"}
    assert list(parts[0].overview()) == ["strongest-patches-relu2"]
    assert parts[1].overview() == {}


def test_the_images_are_the_default_data_set(model, small, random, tmp_path):
    for number in range(5):
        Image.fromarray(random.integers(0, 256, (12, 10, 3), np.uint8)).save(tmp_path / f"{number}.png")
    parts = list(cx.explain_parts("deconvnet", cx.load(model()), tmp_path, layer=["conv"], maps=1))
    assert parts[0].provenance["dataset"] == {"name": "the images given", "images": 5, "skipped": {}}
    strongest = parts[0].facts["over_dataset"]["conv"][0]["strongest"]
    assert {Path(each["image"]).name for each in strongest} == {f"{number}.png" for number in range(5)}


def test_broken_files_are_skipped_unless_given_by_name(cli, small, tmp_path):
    digits(tmp_path / "set", 0, 1, 2, 3, 4)
    for name in ("00.png", "2b.png", "2c.png", "9.png"):
        (tmp_path / "set" / name).write_bytes(b"no image")
    code, _, err = cli("run", "saliency", "set")
    assert code == 0
    names = "set/00.png, set/2b.png, set/2c.png, set/9.png"
    assert err == f"Warning: 4 images can't be read and were skipped: {names}.\n"
    result, parts, _, pictures = held(tmp_path / "cnnexplain-out/saliency")
    assert list(result["skipped"]) == names.split(", ")
    assert "is not an image that can be read" in result["skipped"]["set/9.png"]
    assert [image["source"] for part in parts for image in part["images"]] == [f"set/{i}.png" for i in range(5)]
    assert [part["span"] for part in parts] == [[0, 4], [4, 9]] or [part["span"] for part in parts] == [[0, 6], [6, 9]]
    assert set(pictures) == {f"{i}.png" for i in range(5)}
    code, _, err = cli("run", "saliency", "set", "set/9.png", "--out", "elsewhere")
    assert code == 1
    assert err.startswith("Error: 'set/9.png' is not an image that can be read")
    assert not (tmp_path / "elsewhere").exists()
    for index in range(5):
        (tmp_path / "set" / f"{index}.png").unlink()
    code, _, err = cli("run", "saliency", "set")
    assert code == 1
    assert "None of the 4 images of 'the images given' can be used; the first, 'set/00.png'" in err


def test_a_single_part_has_the_files_of_a_saved_record(cli, tmp_path, lenet):
    digits(tmp_path / "set", 0, 1)
    (tmp_path / "set" / "x.png").write_bytes(b"no image")
    assert cli("run", "saliency", "set")[0] == 0
    folder = tmp_path / "cnnexplain-out/saliency"
    assert sorted(path.name for path in folder.iterdir()) == [
        "0.png",
        "1.png",
        "arrays.npz",
        "index.html",
        "result.json",
        "thumbnails.webp",
    ]
    result = json.loads((folder / "result.json").read_text())
    assert (result["complete"], result["span"], list(result["skipped"])) == (True, [0, 3], ["set/x.png"])
    record = cx.explain("saliency", lenet, ["set/0.png", "set/1.png"])
    record.save(tmp_path / "saved")
    saved = json.loads((tmp_path / "saved" / "result.json").read_text())
    assert set(result) - set(saved) == {"request"}
    assert saved["images"] == result["images"]


def test_picture_names_are_unique_over_all_parts(cli, small, tmp_path):
    digits(tmp_path / "a", 0, 1, 2)
    digits(tmp_path / "b", 1, 2, 3)
    assert cli("run", "saliency", "a", "b")[0] == 0
    result, parts, arrays, pictures = held(tmp_path / "cnnexplain-out/saliency")
    names = ["0.png", "1.png", "2.png", "1-2.png", "2-2.png", "3.png"]
    assert [image["picture"] for part in parts for image in part["images"]] == names
    assert set(pictures) == set(names)
    assert result["parts"] == ["result-00001.json", "result-00002.json"]
    assert [len(each["input"]) // (28 * 28 * 4) > 2 or each for each in arrays[:1]] == [True]
    assert (result["analysis"], result["options"], result["model"]["name"]) == ("saliency", {"crops": "one"}, "lenet")
    assert "images" not in result


def test_the_summary_counts_images_that_are_not_listed(cli, small, monkeypatch):
    monkeypatch.setattr("cnnexplain.cli.outcome.SHOWN", 2)
    code, out, _ = cli("run", "saliency", *SEVEN)
    assert code == 0
    assert "… and 5 more" in out
    assert [line for line in out.splitlines() if "Wrote" in line] == [
        "Wrote 7 pictures, index.html and result.json, and the numbers in 2 parts to cnnexplain-out/saliency"
    ]


def stopping(monkeypatch, moves):
    """Ends the process, as Ctrl-C would, before one of the moves of files into their places."""
    replace, left = Path.replace, moves

    def move(path, target):
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", move)


@pytest.mark.parametrize("existing", [False, True])
def test_a_run_interrupted_at_any_move_resumes_identically(lenet, tmp_path, small, monkeypatch, existing):
    request = {"analysis": "saliency"}

    def run(folder, *, resume=False):
        writer = report.Writer(folder, SEVEN, Pictures(dpi=20), request, resume=resume)
        start = writer.start
        for record in cx.explain_parts("saliency", lenet, SEVEN, start=start):
            writer.add(record)
        return start

    run(tmp_path / "whole")
    expected = held(tmp_path / "whole")
    starts = set()
    for moves in range(1 + 4 + 2 + 1 + 3 + 2 + 2 + 2):
        out = tmp_path / f"{moves}"
        if existing:
            cx.explain("saliency", lenet, "mnist:test/77").save(out)
        else:
            out.mkdir()
        with monkeypatch.context() as patch:
            stopping(patch, moves)
            try:
                run(out)
            except KeyboardInterrupt:
                pass
            else:
                break
        assert not [path for path in out.iterdir() if path.name.startswith(files.PREFIX)]
        if existing and not moves:
            # The earlier result is still whole, and of another request.
            with pytest.raises(UsageError, match="can't be continued"):
                run(out, resume=True)
            continue
        starts.add(run(out, resume=True))
        assert held(out) == expected
        assert report.Writer(out, SEVEN, Pictures(dpi=20), request, resume=True).complete
    assert moves > 10
    assert starts == {0, 4}


def test_a_missing_file_of_a_part_is_rebuilt(cli, small, tmp_path):
    assert cli("run", "saliency", *SEVEN)[0] == 0
    folder = tmp_path / "cnnexplain-out/saliency"
    expected = held(folder)
    (folder / "arrays-00002.npz").unlink()
    code, out, _ = cli("run", "saliency", *SEVEN, "--resume")
    assert code == 0
    assert "Kept 4 finished images in cnnexplain-out/saliency; explained 3 more." in out
    assert held(folder) == expected


def test_a_finished_run_is_not_changed(cli, small, tmp_path):
    code, out, _ = cli("run", "saliency", *SEVEN, "--resume")
    assert code == 0
    folder = tmp_path / "cnnexplain-out/saliency"
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    code, out, _ = cli("run", "saliency", *SEVEN, "--resume")
    assert (code, out) == (
        0,
        "Kept 7 finished images in cnnexplain-out/saliency; nothing left to do.\n",
    )
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_different_request_is_not_resumed(cli, small, tmp_path, model, lenet):
    assert cli("run", "saliency", *SEVEN)[0] == 0
    model().save(tmp_path / "other.keras")
    for arguments, words in (
        ([*SEVEN, "--target", "3"], "target was null, now 3"),
        ([*SEVEN, "--target", "3", "--against", "5"], "target was null, now 3; against was null, now 5"),
        ([*SEVEN, "--crops", "ten"], 'options.crops was "one", now "ten"'),
        (SEVEN[:-1], "images.count was 7, now 6"),
        ([*SEVEN[:-1], "mnist:test/8"], 'images.sha256 was "'),
        ([*SEVEN, "--invert"], "invert was null, now true"),
        ([*SEVEN, "--format", "pdf", "--dpi", "40"], 'format was "png", now "pdf"; dpi was 130, now 40'),
        ([*SEVEN, "--model", "other.keras"], 'model.name was "lenet", now "other.keras"; model.sha256'),
    ):
        code, _, err = cli("run", "saliency", *arguments, "--resume")
        assert code == 2
        assert "belongs to another request: " in err
        assert words in err
        assert "Leave out --resume to replace it, or choose another --out." in err
    cx.explain("saliency", lenet, SEVEN).save("saved/saliency")
    code, _, err = cli("run", "saliency", *SEVEN, "--resume", "--out", "saved")
    assert code == 2
    assert "can't be continued: it does not record its request" in err
    # Without the option it is replaced.
    assert cli("run", "saliency", *SEVEN[:2])[0] == 0
    assert sorted(path.name for path in (tmp_path / "cnnexplain-out/saliency").iterdir()) == [
        *("arrays.npz", "index.html", "mnist-test-1.png", "mnist-test-3.png", "result.json", "thumbnails.webp")
    ]


def test_ctrl_c_reports_what_is_kept_and_how_to_resume(cli, small, tmp_path, monkeypatch):
    def interrupted(self, record, progress):
        if record.span.start:
            raise KeyboardInterrupt
        return add(self, record, progress)

    add = report.Writer.add
    with monkeypatch.context() as patch:
        patch.setattr(report.Writer, "add", interrupted)
        code, _, err = cli("run", "saliency", *SEVEN)
    assert code == 130
    assert err == (
        "Interrupted: 4 images are done and kept in cnnexplain-out/saliency; the same command with --resume continues.\n"
    )
    result = json.loads((tmp_path / "cnnexplain-out/saliency/result.json").read_text())
    assert (result["complete"], result["parts"]) == (False, ["result-00001.json"])
    assert cli("run", "saliency", *SEVEN, "--resume")[0] == 0
    assert len(held(tmp_path / "cnnexplain-out/saliency")[1]) == 2


def test_files_of_other_programs_are_never_changed(cli, small, tmp_path):
    folder = tmp_path / "cnnexplain-out/saliency"
    assert cli("run", "saliency", *SEVEN)[0] == 0
    (folder / "arrays-00002.npz").unlink()
    (folder / "notes.txt").write_text("mine")
    (folder / "mnist-test-1.png").write_bytes(b"of the first part")
    assert cli("run", "saliency", *SEVEN, "--resume")[0] == 0
    assert cli("run", "saliency", *SEVEN[:1])[0] == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "arrays.npz",
        "index.html",
        "mnist-test-3.png",
        "notes.txt",
        "result.json",
    ]
    (folder / "mnist-test-9.png").write_text("mine")
    code, _, err = cli("run", "saliency", *SEVEN)
    assert code == 1
    assert "mnist-test-9.png' exists and is not part of the earlier result" in err


@pytest.mark.slow
def test_a_killed_run_resumes_byte_for_byte(cli, small, folder, tmp_path):
    names = [f"mnist:test/{index}" for index in range(20)]
    assert cli("run", "saliency", *names, "--out", "whole")[0] == 0
    out = tmp_path / "cnnexplain-out/saliency"
    with subprocess.Popen(
        [sys.executable, folder / "tests/programs/small_parts.py", "run", "saliency", *names],
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 120
        while not (out / "arrays-00002.npz").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    assert not json.loads((out / "result.json").read_text())["complete"]
    times = {path.name: path.stat().st_mtime_ns for path in out.glob("arrays-*.npz")}
    code, words, _ = cli("run", "saliency", *names, "--resume")
    assert code == 0
    assert "finished images in" in words
    assert (out / "arrays-00001.npz").stat().st_mtime_ns == times["arrays-00001.npz"]
    # The pictures that this test draws are blank.
    assert held(out)[:-1] == held(tmp_path / "whole/saliency")[:-1]


def test_the_first_part_has_all_data_of_the_overview(lenet):
    from cnnexplain.plugin import Analysis

    def run(images):
        """Nothing."""

    with pytest.raises(PluginError, match="takes images and has an overview, but takes no data set"):
        Analysis("made", run, lambda record, index: None, "Nobody", overview=lambda record: {})


def test_parts_of_images_in_memory_and_of_streams(lenet, small, noise):
    assert [len(part) for part in cx.explain_parts("saliency", lenet, noise)] == [4]
    stream = cx.open_stream("mnist:test", lenet)
    part = next(cx.explain_parts("saliency", lenet, stream))
    assert [each.source.name for each in part.explained] == [f"mnist:test/{index}" for index in range(4)]
    with pytest.raises(UsageError, match="Got 2 targets for 4 images"):
        next(cx.explain_parts("saliency", lenet, noise, target=[1, 2]))
    with pytest.raises(ImageError, match="contains no image"):
        next(cx.explain_parts("saliency", lenet, noise[:0]))

"""A record → a folder, at once or not at all."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

import cnnexplain as cx
from cnnexplain import files
from cnnexplain.draw import formatting
from cnnexplain.errors import OutputError
from cnnexplain.rendering.pictures import compact
from cnnexplain.results.file_names import picture_names


@pytest.fixture(scope="module")
def record(lenet):
    return cx.explain("saliency", lenet, ["mnist:test/42", "mnist:test/7"], target=9)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_result_folder_has_pictures_arrays_and_json(record, tmp_path, lenet):
    paths = record.save(tmp_path / "out")
    assert names(tmp_path) == ["out"]
    assert [path.name for path in paths] == [
        "mnist-test-42.png",
        "mnist-test-7.png",
        "arrays.npz",
        "thumbnails.webp",
        "index.html",
        "result.json",
    ]
    with np.load(paths[2], allow_pickle=False) as arrays:
        assert set(arrays) == {"input", "gradient", "saliency"}
        np.testing.assert_array_equal(arrays["gradient"], record.arrays["gradient"])
        np.testing.assert_array_equal(arrays["input"], record.images)
    result = json.loads(paths[5].read_text())
    assert (result["analysis"], result["options"]) == ("saliency", {"crops": "one"})
    first = result["images"][0]
    assert (first["source"], first["picture"]) == ("mnist:test/42", "mnist-test-42.png")
    assert (first["prediction"], first["target"]) == ("4", "9")
    assert first["probability"] == pytest.approx(float(lenet.predict(record.images)[0, 4]))
    assert first["target_probability"] == pytest.approx(float(lenet.predict(record.images)[0, 9]))
    assert len(first["sha256"]) == len(result["model"]["sha256"]) == 64
    assert result["plugin"] == {"name": "saliency", "distribution": "cnnexplain", "version": cx.__version__}
    assert result["keras"]["backend"] == keras.backend.backend()
    assert result["seconds"] > 0
    assert result["facts"]["logit"] == pytest.approx(lenet.logits(record.images)[:, 9].tolist(), rel=1e-4)
    with Image.open(paths[0]) as picture:
        picture.verify()


def test_a_new_result_replaces_only_the_old_one(record, lenet, tmp_path):
    record.save(tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    cx.explain("saliency", lenet, "mnist:test/3").save(tmp_path / "out")
    assert names(tmp_path / "out") == [
        "arrays.npz",
        "index.html",
        "mnist-test-3.png",
        "notes.txt",
        "result.json",
    ]
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_foreign_folders_are_not_changed(record, tmp_path):
    for content in ("{}", "no json", '{"files": ["notes.txt"]}', "[]", '{"files": 3, "format": "cnnexplain result 1"}'):
        folder = tmp_path / str(hash(content))
        folder.mkdir()
        (folder / "result.json").write_text(content)
        (folder / "notes.txt").write_text("mine")
        with pytest.raises(OutputError, match="contains files that cnnexplain did not write"):
            record.save(folder)
        assert names(folder) == ["notes.txt", "result.json"]


def test_foreign_files_are_not_overwritten(record, lenet, tmp_path):
    cx.explain("saliency", lenet, "mnist:test/3").save(tmp_path / "out")
    (tmp_path / "out" / "mnist-test-7.png").write_text("mine")
    with pytest.raises(OutputError, match=r"mnist-test-7\.png' exists and is not part"):
        record.save(tmp_path / "out")
    assert names(tmp_path / "out") == [
        "arrays.npz",
        "index.html",
        "mnist-test-3.png",
        "mnist-test-7.png",
        "result.json",
    ]


def test_a_manipulated_file_list_cannot_leave_the_folder(record, lenet, tmp_path):
    record.save(tmp_path / "out")
    outside = tmp_path / "precious.txt"
    outside.write_text("mine")
    path = tmp_path / "out" / "result.json"
    result = json.loads(path.read_text())
    path.write_text(json.dumps(result | {"files": ["../precious.txt", str(outside), "..", "", *result["files"]]}))
    cx.explain("saliency", lenet, "mnist:test/3").save(tmp_path / "out")
    assert outside.read_text() == "mine"


def test_an_error_while_writing_keeps_the_old_result(record, lenet, tmp_path, monkeypatch):
    cx.explain("saliency", lenet, "mnist:test/3").save(tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OutputError, match="No space left on device"):
        record.save(tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("moves", range(6))
@pytest.mark.parametrize("existing", [False, True])
def test_a_run_interrupted_while_moving_can_be_repeated(
    blank_pictures, record, lenet, tmp_path, monkeypatch, moves, existing
):
    out = tmp_path / "out"
    out.mkdir()
    if existing:
        cx.explain("saliency", lenet, "mnist:test/3").save(out)
    left, replace = moves, Path.replace

    def interrupted(path, target):
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            record.save(out)
    assert not [path for path in out.iterdir() if path.name.startswith(files.PREFIX)]
    record.save(out)
    assert names(out) == [
        "arrays.npz",
        "index.html",
        "mnist-test-42.png",
        "mnist-test-7.png",
        "result.json",
        "thumbnails.webp",
    ]
    assert len(json.loads((out / "result.json").read_text())["images"]) == 2


def test_only_leftovers_of_dead_processes_are_removed(record, tmp_path):
    with subprocess.Popen([sys.executable, "-c", "pass"]) as ended:
        pass
    dead, alive = (tmp_path / f"{files.PREFIX}{number}-x" for number in (ended.pid, os.getpid()))
    for folder in (dead, alive):
        folder.mkdir()
        (folder / "half.png").touch()
    record.save(tmp_path / "out")
    assert names(tmp_path) == [alive.name, "out"]


def test_symbolic_links_to_folders_are_followed(record, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far")
    record.save(tmp_path / "link")
    assert "result.json" in names(tmp_path / "far")


def test_non_unicode_names_are_escaped(record, tmp_path):
    from dataclasses import replace

    source = replace(record.explained[0].source, name="bad\udcff.png")
    odd = replace(record, explained=(replace(record.explained[0], source=source),), images=record.images[:1])
    paths = odd.save(tmp_path / "out")
    assert json.loads(paths[-1].read_text())["images"][0]["source"] == "bad\udcff.png"


def test_an_output_path_that_is_a_file_is_refused(record, tmp_path):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(OutputError, match="file"):
            record.save(path)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_kill_while_writing_leaves_a_complete_file(folder, tmp_path):
    path = tmp_path / "out.bin"
    for delay in (0.0, 0.003, 0.011, 0.02):
        program = folder / "tests/programs/keep_writing.py"
        with subprocess.Popen([sys.executable, program, path], stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(delay)
            os.kill(process.pid, signal.SIGKILL)
        assert path.read_bytes() == b"x" * 200_000


def test_an_error_while_writing_keeps_the_old_file(tmp_path):
    path = tmp_path / "a" / "out.txt"
    with files.replacing(path) as temporary:
        temporary.write_text("old")
    assert path.stat().st_mode & 0o777 == 0o666 & ~files._umask()

    def fail():
        with files.replacing(path) as temporary:
            temporary.write_text("half")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert (path.read_text(), names(path.parent)) == ("old", ["out.txt"])


def test_overview_pictures_keep_their_full_names():
    titles = ["strongest-patches-body/conv1", "strongest-patches-conv.1", "conv1"]
    names = picture_names(["photos/conv1.png"], titles, suffix="png")
    assert names == ["conv1.png", "strongest-patches-body-conv1.png", "strongest-patches-conv.1.png", "conv1-2.png"]


def test_picture_names_are_safe_and_unique():
    assert picture_names(["a/seven.png", "b/Seven.jpg", "mnist:test/3", "array[0]"], suffix="png") == [
        "seven.png",
        "Seven-2.png",
        "mnist-test-3.png",
        "array-0.png",
    ]
    strange = ["/tmp/<b>x & \x1b[31m.png", "...", "日本.png"]
    assert picture_names(strange, suffix="png") == ["b-x-31m.png", "image.png", "日本.png"]
    assert len(picture_names(["x" * 400 + ".png"], suffix="png")[0]) < 100


def test_figures_show_each_image_with_its_own_caption(record):
    for index, words in enumerate(("mnist:test/42\npredicted 4", "mnist:test/7\npredicted 9")):
        figure = record.figure(index)
        assert figure.get_suptitle().startswith(words)
        assert "target 9" in figure.get_suptitle()
        panels = figure.axes[:3]
        np.testing.assert_array_equal(panels[0].images[0].get_array(), record.images[index, ..., 0])
        np.testing.assert_array_equal(panels[1].images[0].get_array(), record.arrays["saliency"][index])
        assert panels[1].images[0].get_clim() == pytest.approx((0, np.percentile(record.arrays["saliency"][index], 99.5)))
        assert figure.axes[3].get_ylabel() == "logits per unit of input\n0.5% clipped"
    with pytest.raises(IndexError, match="2 images; got index 2"):
        record.figure(2)


def test_the_overlay_shows_the_image_where_the_map_is_zero_and_the_color_at_its_peak(record):
    drawn = np.asarray(record.figure(0).axes[2].images[0].get_array())
    saliency = record.arrays["saliency"][0]
    quiet = saliency == saliency.min()
    np.testing.assert_allclose(drawn[quiet], np.repeat(record.images[0][quiet], 3, axis=-1), atol=0.01)
    peak = np.unravel_index(saliency.argmax(), saliency.shape)
    color = np.array(mpl.colormaps["viridis"](1.0)[:3])
    np.testing.assert_allclose(drawn[peak], 0.9 * color + 0.1 * record.images[0][peak], atol=0.01)


def test_a_map_of_zeros_draws_without_nan(record):
    from dataclasses import replace

    blank = replace(record, arrays={"saliency": np.zeros_like(record.arrays["saliency"])})
    figure = blank.figure(0)
    figure.canvas.draw()
    assert np.isfinite(figure.axes[2].images[0].get_array()).all()
    assert figure.axes[1].images[0].get_clim() == (0, 1)


def test_untrusted_names_are_drawn_literally(record, tmp_path):
    from dataclasses import replace

    explained = replace(record.explained[0], source=replace(record.explained[0].source, name="$\\frac{1}$日\x1b.png"))
    odd = replace(record, explained=(explained,), labels=("$x^$",) * 10, images=record.images[:1])
    assert odd.figure(0).get_suptitle().startswith("$\\frac{1}$□□.png\npredicted $x^$")
    odd.save(tmp_path / "out")


@pytest.mark.parametrize(
    ("probability", "words"),
    [(1.0, "100.0%"), (0.99996, "> 99.9%"), (0.993, "99.3%"), (0.0004, "< 0.1%"), (0.0, "0.0%")],
)
def test_a_probability_is_never_rounded_to_certainty(probability, words):
    assert formatting.probability(probability) == words


@pytest.mark.parametrize("most", [3_000, 60_000, 400_000])
def test_picture_quality_follows_the_byte_limit(random, most):
    grain = Image.fromarray(random.integers(0, 255, (100, 600, 3), np.uint8)).resize((1800, 300))
    written = compact(grain, most)
    with Image.open(io.BytesIO(written)) as picture:
        assert picture.format == "WEBP"
        assert picture.height == pytest.approx(picture.width / 6, abs=0.6)
        # There is an end to it.
        assert (picture.width == 400) == (most == 3_000)
        assert len(written) <= most or most == 3_000
    plain = Image.new("RGB", (90, 30), (1, 2, 3))
    with Image.open(io.BytesIO(compact(plain, most))) as picture:
        np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), np.asarray(plain))

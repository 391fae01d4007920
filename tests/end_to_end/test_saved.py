"""Results read back and drawn again: nothing is lost, nothing is computed, and what is damaged or foreign is named."""

import json
import re
import shutil
import zipfile

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import cnnexplain as cx
from cnnexplain.errors import OutputError, PluginError, UsageError
from cnnexplain.plugin.registry import load as registry
from cnnexplain.rendering.pictures import FORMATS, Pictures
from cnnexplain.results.record import Record

TWO = ["mnist:test/3", "mnist:test/8"]
EVERY = sorted(registry().analyses)


@pytest.fixture(scope="module")
def results(lenet, tmp_path_factory):
    """What each analysis found for two digits, quickly, with the folder that it was saved to."""
    found = {}
    for name, analysis in registry().analyses.items():
        images = TWO if "images" in analysis.inputs else None
        dataset = {"dataset": TWO} if "dataset" in analysis.inputs else {}
        record = cx.explain(name, lenet, images, **dataset, **analysis.trial)
        folder = tmp_path_factory.mktemp(name) / "result"
        with pytest.MonkeyPatch.context() as patch:
            # Tests look at the pictures of two of them.
            if name not in ("saliency", "occlusion"):
                patch.setattr(Record, "figure", lambda record, index: Figure((1, 1)))
                patch.setattr(Record, "overview", lambda record: {})
            record.save(folder, dpi=50)
        found[name] = record, folder
    return found


@pytest.mark.parametrize("name", EVERY)
def test_a_record_survives_saving_and_loading(results, name):
    record, folder = results[name]
    again = Record.load(folder)
    for what in ("analysis", "options", "explained", "facts", "labels", "preprocess", "warnings", "span", "skipped"):
        assert getattr(again, what) == getattr(record, what), what
    assert json.dumps(again.provenance) == json.dumps(record.provenance)
    assert again.seconds == pytest.approx(record.seconds, abs=1e-4)
    for mine, theirs in (
        (again.images, record.images),
        *((again.arrays[name], record.arrays[name]) for name in record.arrays),
    ):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)
    assert set(again.arrays) == set(record.arrays)


def test_a_result_of_version_0_1_is_still_read(folder):
    record = Record.load(folder / "tests/earlier/saliency")
    assert record.arrays["saliency"].shape == (1, 28, 28)
    assert (record.explained[0].prediction, record.explained[0].source.name) == (4, "mnist:test/42")


def test_redrawn_pictures_are_identical(results, tmp_path):
    folder = shutil.copytree(results["saliency"][1], tmp_path / "result")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    drawn = cx.redraw(folder, dpi=50)
    assert {path.name for path in drawn} == {name for name in before if name.endswith(".png")}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("kind", FORMATS)
def test_a_result_can_be_redrawn_in_another_format(results, tmp_path, kind):
    folder = shutil.copytree(results["saliency"][1], tmp_path / "result")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    drawn, _ = cx.redraw(folder, format=kind, dpi=50)
    first = drawn.read_bytes()
    assert first.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind])
    result = json.loads((folder / "result.json").read_text())
    assert [image["picture"] for image in result["images"]] == [f"mnist-test-3.{kind}", f"mnist-test-8.{kind}"]
    assert sorted(result["files"]) == sorted(path.name for path in folder.iterdir())
    # Unless another is asked for it keeps the format that it has.
    cx.redraw(folder, dpi=50)
    assert drawn.read_bytes() == first
    cx.redraw(folder, format="png", dpi=50)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_colors_and_size_change_pictures_but_not_arrays(results, tmp_path):
    folder = shutil.copytree(results["occlusion"][1], tmp_path / "result")
    numbers = (folder / "arrays.npz").read_bytes(), (folder / "result.json").read_bytes()
    pictures = {}
    for options in ({}, {"signed": "PuOr_r"}, {"unsigned": "cividis"}, {"dpi": 100}, {"contours": True}):
        path, _ = cx.redraw(folder, **{"dpi": 50} | options)
        with Image.open(path) as picture:
            pictures[str(options)] = np.asarray(picture.convert("RGB"), np.int64)
        assert ((folder / "arrays.npz").read_bytes(), (folder / "result.json").read_bytes()) == numbers
    plain, signed, unsigned, large, contours = pictures.values()
    assert np.abs(plain - signed).sum() > 1000
    assert np.abs(plain - unsigned).sum() > 1000
    assert np.abs(plain - contours).sum() > 1000
    assert abs(large.shape[0] - 2 * plain.shape[0]) <= 1
    # PuOr runs from orange to purple: where the usual colors are red, it has as much green as red, nearly.
    reddest = np.unravel_index((plain[..., 0] - plain[..., 1]).argmax(), plain.shape[:2])
    assert signed[reddest][1] > plain[reddest][1] + 30


@pytest.fixture
def parts(lenet, tmp_path, monkeypatch, cli):
    """A result of seven digits in parts of four and three."""
    monkeypatch.setattr("cnnexplain.pipeline.parts.MOST_READ", 2)
    monkeypatch.setattr("cnnexplain.pipeline.parts.PART_IMAGES", 3)
    digits = [f"mnist:test/{index}" for index in range(7)]
    assert cli("run", "saliency", *digits, "--dpi", "30")[0] == 0
    return digits, tmp_path / "cnnexplain-out/saliency"


@pytest.mark.parametrize("other", [{"other": np.zeros(3)}, {"gradient": np.zeros((3, 5, 5, 1))}])
def test_parts_with_different_arrays_are_reported_as_damaged(parts, other):
    folder = parts[1]
    with np.load(folder / "arrays-00002.npz") as stored:
        arrays = {"input": stored["input"], **other}
    np.savez(folder / "arrays-00002.npz", **arrays)
    with pytest.raises(OutputError, match="is damaged: its parts do not match: "):
        Record.load(folder)


def test_joined_parts_are_redrawn(lenet, parts):
    digits, folder = parts
    whole = cx.explain("saliency", lenet, digits)
    assert [part.span for part in cx.load_parts(folder)] == [range(4), range(4, 7)]
    record = Record.load(folder)
    assert record.explained == whole.explained
    assert record.facts == whole.facts
    assert record.span == range(7)
    np.testing.assert_array_equal(record.arrays["gradient"], whole.arrays["gradient"])
    np.testing.assert_array_equal(record.images, whole.images)
    seen = []
    drawn = cx.redraw(folder, format="svg", progress=lambda *done: seen.append(done))
    assert [path.name for path in drawn] == [f"mnist-test-{index}.svg" for index in range(7)]
    assert seen == [(done, 7) for done in range(1, 8)]
    result = json.loads((folder / "result.json").read_text())
    assert sorted(result["files"]) == sorted(path.name for path in folder.iterdir())
    second = json.loads((folder / "result-00002.json").read_text())
    assert [image["picture"] for image in second["images"]] == ["mnist-test-4.svg", "mnist-test-5.svg", "mnist-test-6.svg"]
    assert set(second["files"]) == {
        "arrays-00002.npz",
        "result-00002.json",
        "thumbnails-00002.webp",
        *(image["picture"] for image in second["images"]),
    }


def test_only_the_first_part_has_the_overview(lenet, tmp_path, monkeypatch):
    monkeypatch.setattr("cnnexplain.pipeline.parts.PART_IMAGES", 1)
    monkeypatch.setattr("cnnexplain.pipeline.parts.MOST_READ", 1)
    from cnnexplain.results import writer as report

    writer = report.Writer(tmp_path / "out", TWO, Pictures("png", 40))
    monkeypatch.setattr(Record, "figure", lambda record, index: Figure((1, 1)))
    for record in cx.explain_parts("deconvnet", lenet, TWO, dataset=TWO, layer=["conv2"], maps=1):
        writer.add(record)
    first, second = cx.load_parts(tmp_path / "out")
    assert first.overview()
    assert second.overview() == {}
    assert Record.load(tmp_path / "out").facts["over_dataset"] == first.facts["over_dataset"]
    assert len(cx.redraw(tmp_path / "out", dpi=40)) == 2 + len(first.overview())


def test_a_failed_redraw_changes_nothing(results, tmp_path, monkeypatch):
    folder = shutil.copytree(results["saliency"][1], tmp_path / "result")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for failure in (KeyboardInterrupt, PluginError("no")):

        def fail(*_, failure=failure, **__):
            raise failure

        with monkeypatch.context() as patch:
            patch.setattr(Figure, "savefig", fail)
            with pytest.raises((KeyboardInterrupt, PluginError)):
                cx.redraw(folder, format="pdf")
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (folder / "mnist-test-8.pdf").write_text("mine")
    with pytest.raises(OutputError, match=r"mnist-test-8\.pdf' exists and is not part of"):
        cx.redraw(folder, format="pdf")
    assert (folder / "mnist-test-8.pdf").read_text() == "mine"
    monkeypatch.setattr(Record, "figure", lambda record, index: Figure((60, 2)))
    with pytest.raises(OutputError, match="is too large for 1200 dpi; choose a smaller --dpi"):
        cx.redraw(folder, dpi=1200)


def edited(folder, **changes):
    content = json.loads((folder / "result.json").read_text()) | changes
    (folder / "result.json").write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


def image(folder, **changes):
    images = json.loads((folder / "result.json").read_text())["images"]
    edited(folder, images=[images[0] | changes, *images[1:]])


def arrays(folder, **changes):
    with np.load(folder / "arrays.npz") as stored:
        np.savez(folder / "arrays.npz", **(dict(stored) | changes))


def squeezed(folder):
    with np.load(folder / "arrays.npz") as stored:
        np.savez_compressed(folder / "arrays.npz", **stored)


def lying(folder):
    """An array whose header promises far more numbers than there are."""
    with zipfile.ZipFile(folder / "arrays.npz", "w") as archive:
        header = b"\x93NUMPY\x01\x00"
        words = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 9999999999), }\n"
        archive.writestr("input.npy", header + len(words).to_bytes(2, "little") + words + bytes(8))


DAMAGES = {
    "no JSON": lambda folder: (folder / "result.json").write_text("{"),
    "nested too deep": lambda folder: (folder / "result.json").write_text("[" * 100_000),
    "a list": lambda folder: (folder / "result.json").write_text("[]"),
    "bytes": lambda folder: (folder / "result.json").write_bytes(b"\xff\xfe\x00"),
    "no labels": lambda folder: edited(folder, labels=None),
    "no model": lambda folder: edited(folder, model=None),
    "a model of text": lambda folder: edited(folder, model="lenet"),
    "no backend": lambda folder: edited(folder, keras={"version": "3"}),
    "not said whether it is complete": lambda folder: edited(folder, complete=None),
    "labels of numbers": lambda folder: edited(folder, labels=list(range(10))),
    "few labels": lambda folder: edited(folder, labels=["zero"]),
    "no images": lambda folder: edited(folder, images=None),
    "images of text": lambda folder: edited(folder, images="ab"),
    "fewer images": lambda folder: edited(folder, images=[]),
    "files of numbers": lambda folder: edited(folder, files=[1]),
    "no parts": lambda folder: edited(folder, parts=[]),
    "an unknown part": lambda folder: edited(folder, parts=["result-00001.json"]),
    "a negative class": lambda folder: image(folder, prediction_index=-1),
    "a class of text": lambda folder: image(folder, prediction_index="3"),
    "no prediction": lambda folder: image(folder, prediction_index=None),
    "no probability": lambda folder: image(folder, probability=None),
    "odd input": lambda folder: edited(folder, input={"height": 0, "width": 28, "color": "gray"}),
    "an unknown key of the input": lambda folder: edited(folder, input={"depth": 3}),
    "no span": lambda folder: edited(folder, span=[0]),
    "options of text": lambda folder: edited(folder, options="crops"),
    "no arrays": lambda folder: (folder / "arrays.npz").unlink(),
    "arrays cut off": lambda folder: (folder / "arrays.npz").write_bytes((folder / "arrays.npz").read_bytes()[:500]),
    "arrays of text": lambda folder: (folder / "arrays.npz").write_text("numbers"),
    "compressed arrays": squeezed,
    "a lying header": lying,
    "pickled arrays": lambda folder: arrays(folder, gradient=np.array([{}, {}])),
    "other images": lambda folder: arrays(folder, input=np.zeros((2, 5, 5, 1), np.float32)),
    "a map of other images": lambda folder: arrays(folder, saliency=np.zeros((1, 3, 28), np.float32)),
    "a map with a channel": lambda folder: arrays(folder, saliency=np.zeros((2, 28, 28, 1), np.float32)),
    "an array of other images": lambda folder: arrays(folder, gradient=np.zeros((3, 28, 28, 1), np.float32)),
    "an array of text": lambda folder: arrays(folder, gradient=np.array(["a", "b"])),
    "an array with NaN": lambda folder: arrays(folder, gradient=np.full((2, 28, 28, 1), np.nan, np.float32)),
    "an infinite array": lambda folder: arrays(folder, saliency=np.full((2, 28, 28), np.inf)),
    "images with NaN": lambda folder: arrays(folder, input=np.full((2, 28, 28, 1), np.nan, np.float32)),
    "a fact for one of two images": lambda folder: edited(folder, facts={"logit": [1.0]}),
    "one fact for all images": lambda folder: edited(folder, facts={"logit": 1.0}),
    "facts of text": lambda folder: edited(folder, facts="logit"),
    "a probability that is NaN": lambda folder: image(folder, probability=float("nan")),
    "a number too large": lambda folder: (folder / "result.json").write_text(
        re.sub(r'"seconds": [^,\n]*', '"seconds": 1e999', (folder / "result.json").read_text())
    ),
    "images of text in the arrays": lambda folder: arrays(folder, input=np.array(["a", "b"])),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_results_are_reported(results, tmp_path, damage, cli):
    folder = shutil.copytree(results["saliency"][1], tmp_path / "result")
    DAMAGES[damage](folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(OutputError, match="is damaged: "):
        Record.load(folder)
    code, out, err = cli("redraw", str(folder))
    assert (code, out) == (1, "")
    assert err.startswith("Error: The ")
    assert err.count("\n") <= 2
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_an_analysis_does_not_draw_results_of_another(results, tmp_path, cli):
    folder = shutil.copytree(results["saliency"][1], tmp_path / "result")
    edited(folder, analysis="gradcam")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    code, out, err = cli("redraw", "result")
    assert (code, out) == (1, "")
    assert err.startswith(
        "Error: The result in 'result' may be damaged, or written by another version of 'gradcam'; run the analysis again: "
        f"plugin 'saliency' of cnnexplain {cx.__version__}: draw() of 'gradcam' failed: KeyError: 'evidence' "
    )
    assert err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    with pytest.raises(PluginError, match="may be damaged") as caught:
        cx.redraw(folder)
    assert isinstance(caught.value.__cause__.__cause__, KeyError)


def test_overview_arrays_may_have_other_lengths(results, tmp_path):
    """Of an analysis that looks through a data set only lists and maps are known to be of the images."""
    folder = shutil.copytree(results["deconvnet"][1], tmp_path / "result")
    record = Record.load(folder)
    assert any(len(array) != len(record) for array in record.arrays.values())
    name = next(name for name, fact in record.facts.items() if isinstance(fact, list))
    edited(folder, facts=dict(record.facts) | {name: record.facts[name][:1]})
    with pytest.raises(OutputError, match=f"is damaged: '{name}' has no entry for each of 2 images"):
        Record.load(folder)


def test_foreign_folders_and_wrong_names_have_specific_errors(results, tmp_path, cli):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").touch()
    assert cli("redraw", "mine")[::2] == (1, "Error: The folder 'mine' contains no result: it has no result.json.\n")
    (tmp_path / "mine/result.json").write_text('{"format": "another program"}')
    assert "'mine/result.json' was not written by cnnexplain" in cli("redraw", "mine")[2]
    assert cli("redraw", "none")[::2] == (
        2,
        "Error: There is no folder 'none'; expected the folder of a result, such as cnnexplain-out/saliency.\n",
    )
    shutil.copytree(results["saliency"][1], tmp_path / "out/saliency")
    assert "There are results in its subfolders saliency: choose one of them." in cli("redraw", "out")[2]
    edited(tmp_path / "out/saliency", analysis="lime", plugin={"distribution": "lime-plugin", "version": "2"})
    code, _, err = cli("redraw", "out/saliency")
    assert code == 2
    assert "belongs to the analysis 'lime', from lime-plugin 2, which is not installed." in err
    for words, option in (
        ("Matplotlib has no colormap 'virdis'. Did you mean 'viridis'?", ["--unsigned", "virdis"]),
        ("but got 'jpeg'", ["--format", "jpeg"]),
        ("a whole number from 20 to 1200 as dpi, but got 5", ["--dpi", "5"]),
    ):
        code, _, err = cli("redraw", str(results["saliency"][1]), *option)
        assert code == 2
        assert words in err


def test_file_names_in_a_result_cannot_leave_its_folder(results, tmp_path):
    folder = shutil.copytree(results["saliency"][1], tmp_path / "result")
    (tmp_path / "mine.png").write_text("mine")
    image(folder, picture="../mine.png")
    with pytest.raises(OutputError, match="its pictures are duplicates or not among its files"):
        cx.redraw(folder)
    shutil.copy(folder / "arrays.npz", tmp_path)
    edited(folder, files=["../arrays.npz", "result.json"])
    with pytest.raises(OutputError, match="is damaged"):
        Record.load(folder)
    assert (tmp_path / "mine.png").read_text() == "mine"


@pytest.mark.slow
def test_every_analysis_is_redrawn_identically_without_keras(results, shell, folder, tmp_path):
    folders = [tmp_path / name for name in results]
    for path, (record, _) in zip(folders, results.values(), strict=True):
        record.save(path, dpi=50)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for path in before:
        if path.suffix == ".png":
            path.write_bytes(b"")
    done = shell(folder / "tests/programs/redraw_without_keras.py", *folders, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("Drew ") == len(folders)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_format_and_dpi_options(cli, lenet, tmp_path):
    assert cli("run", "saliency", "--format", "svg", "--dpi", "40")[0] == 0
    assert (tmp_path / "cnnexplain-out/saliency/mnist-test-42.svg").exists()
    record = cx.explain("saliency", lenet, "mnist:test/42")
    small, large = (record.save(tmp_path / str(dpi), dpi=dpi)[0] for dpi in (40, 80))
    with Image.open(small) as one, Image.open(large) as two:
        assert np.abs(np.array(two.size) - 2 * np.array(one.size)).max() <= 1
    with pytest.raises(UsageError, match="but got 'gif'"):
        record.save(tmp_path / "gif", format="gif")
    assert not (tmp_path / "gif").exists()
    assert cx.Record.load(tmp_path / "40").labels == lenet.labels

"""Results that anyone may have changed: what is wrong is named in one line, and nothing of the folder changes."""

import json
import os
import re
import shutil
import zipfile

import numpy as np
import pages
import pytest
from campaign import snapshot

import cnnexplain as cx
from cnnexplain.errors import CnnExplainError, OutputError
from cnnexplain.rendering.pictures import Pictures
from cnnexplain.results import file_names, json_kinds, npz, result_files, schema
from cnnexplain.results import writer as report
from cnnexplain.results.record import Record

TWO = ["mnist:test/3", "mnist:test/8"]


@pytest.fixture(scope="module")
def saved(lenet, tmp_path_factory):
    """A result of two images, of which one wrong value after another is told."""
    folder = tmp_path_factory.mktemp("saved") / "saliency"
    record = cx.explain("saliency", lenet, TWO, control=True)
    model = record.provenance["model"]
    record = record.verified(pages.verification(TWO, analysis="saliency", model=model, values=(0.5, float("nan"), None)))
    writer = report.Writer(folder, TWO, Pictures(dpi=20), {"analysis": "saliency"})
    writer.add(record)
    return record, folder


def edited(folder, change):
    path = folder / "result.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def replaced(name, value):
    return lambda folder: edited(folder, lambda content: content.update({name: value}))


def image(**values):
    return lambda folder: edited(folder, lambda content: content["images"][0].update(values))


def files(*names):
    return lambda folder: edited(folder, lambda content: content["files"].extend(names))


def nested(name, **values):
    return lambda folder: edited(folder, lambda content: content[name].update(values))


def measured(**values):
    return {"value": 0.5, "limit": 1.0, "passed": True, "detail": "", **values}


CHECKED = {"kind": "x", "check": "x", "meaning": "x", "passed": True, "error": "", "images": [measured(), measured()]}


def checked(**values):
    """Other values for the first check, which passes."""
    return lambda folder: edited(folder, lambda content: content["verification"]["checks"][0].update(values))


def written(pattern, text):
    """Another text for what a pattern finds in `result.json`."""

    def change(folder):
        path = folder / "result.json"
        path.write_text(re.sub(pattern, lambda _: text, path.read_text(), count=1))

    return change


def text(content):
    return lambda folder: (folder / "result.json").write_text(content)


def instead(name, make):
    """Something else in the place of a file."""

    def change(folder):
        (folder / name).unlink()
        make(folder / name)

    return change


def arrays(change):
    """Other bytes for `arrays.npz`."""
    return lambda folder: (folder / "arrays.npz").write_bytes(change((folder / "arrays.npz").read_bytes()))


def members(change):
    """Other members for `arrays.npz`: `change` gives their names and bytes for those that there are."""

    def write(folder):
        with zipfile.ZipFile(folder / "arrays.npz") as archive:
            before = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(folder / "arrays.npz", "w") as archive:
            for name, content in change(before):
                archive.writestr(zipfile.ZipInfo(name), content)

    return write


def headed(words, version=b"\1\0", rest=b""):
    """Members with another header in place of their own."""
    header = b"\x93NUMPY" + version + len(words).to_bytes(2, "little") + words.encode() + rest
    return members(lambda before: [(name, header) for name in before])


def flagged(local, central, bits):
    """Bits set in the first member's two headers of the ZIP file."""

    def change(content):
        changed = bytearray(content)
        for start, place in ((b"PK\3\4", local), (b"PK\1\2", central)):
            changed[changed.find(start) + place] |= bits
        return bytes(changed)

    return arrays(change)


def array(name, values):
    def write(folder):
        with np.load(folder / "arrays.npz") as stored:
            np.savez(folder / "arrays.npz", **(dict(stored) | {name: values}))

    return write


def twice_in_the_directory(folder):
    """The members of `arrays.npz` are listed twice, but lie there once: small files may stand for large ones so."""
    content = (folder / "arrays.npz").read_bytes()
    start, end = content.find(b"PK\1\2"), content.rfind(b"PK\5\6")
    directory = content[start:end]
    count = 2 * int.from_bytes(content[end + 10 : end + 12], "little")
    sizes = count.to_bytes(2, "little") * 2 + (2 * len(directory)).to_bytes(4, "little")
    (folder / "arrays.npz").write_bytes(content[:end] + directory + content[end : end + 8] + sizes + content[end + 16 :])


DEEP = 100_000
SHAPE = "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }\n"
UNREADABLE = {
    "brackets": text("[" * DEEP),
    "closed brackets": text("[" * DEEP + "]" * DEEP),
    "objects in objects": text('{"a":' * DEEP),
    "no bytes": text(""),
    "NULs": text("\0" * 1000),
    "too many values": text("[" + "[]," * 5_000_000 + "[]]"),
    "too many bytes": text('"' + "a" * (65 << 20) + '"'),
    "a number of 5,000 digits": written(r'"probability": [^,]*', '"probability": ' + "1" * 5000),
    "10**400": written(r'"probability": [^,]*', '"probability": ' + "1" + "0" * 400),
    "an infinite number": written(r'"seconds": [^,\n]*', '"seconds": -Infinity'),
    "a number beyond all": written(r'"seconds": [^,\n]*', '"seconds": 1e999'),
    "a key twice": written('"format"', '"files": [], "format"'),
    "another text encoding": lambda folder: (folder / "result.json").write_bytes(b'{"format": "\xe9"}'),
    "a pipe": instead("result.json", os.mkfifo),
    "a folder": instead("result.json", os.mkdir),
    "a link to itself": instead("result.json", lambda path: path.symlink_to(path.name)),
    "a link to a device": instead("result.json", lambda path: path.symlink_to("/dev/zero")),
    "a link to nothing": instead("result.json", lambda path: path.symlink_to("nowhere")),
    "files null": replaced("files", None),
    "files of an object": replaced("files", {}),
}
"""What nothing is known of: even a new result can't take its place."""

WRONG = {
    **{
        f"{name!r} among the files": files(name)
        for name in (
            *("a\0b.png", "\ud800.png", "sub", "a" * 300 + ".png", "/etc/passwd", "..", ".", "", "../mine.png"),
            *("thesis.docx", ".bashrc", ".hidden.png", "a/b.png", "a\\b.png", "a\n.png", "\x1b[31m.png"),
        )
    },
    "a number among the files": files(5),
    "a list among the files": files([]),
    "a file twice": files("mnist-test-3.png"),
    **{
        f"{value!r} as {name}": replaced(name, value)
        for name, values in {
            "analysis": (None, 5, [], "x" * 20_000),
            "options": (None, 5, [], "x"),
            "overview": (None, {}, [5], ["mine.png"], ["arrays.npz"]),
            "input": (None, [], {}, {"height": 28}),
            "labels": (None, 5, [], {}, [None], ["a"], "abcdefghij"),
            "model": (None, 5, {}, {"name": None}),
            "plugin": (None, [], {"distribution": "x"}),
            "keras": (None, [], {"version": 3, "backend": "x"}),
            "request": (None, 5, [], "x", True),
            "complete": (None, 1, "yes"),
            "images": (None, {}, 5, [None], ["x"], [{}], []),
            "facts": (None, 5, [], {"logit": [1.0]}),
            "warnings": (None, "x", [5]),
            "skipped": (None, [], {"a": None}),
            "seconds": (None, "1", True, -1, []),
            "span": (None, 2, [2], [2, 0], [0, 1], [5, 7], [0, 2, 3], ["0", "2"], [0, 2.0], [False, 2]),
            "control": (None, 5, [], {}, {"facts": None}, {"facts": {"logit": [1.0]}}),
            "thumbnails": (5, [], {}, {"files": "x", "height": 1, "width": 1, "columns": 1}),
            "parts": (None, [], 5, ["result.json"], ["result-00002.json"], ["../x.json"], ["result-00001.json"]),
            "limitations": (5, []),
            "verification": (5, [], "passed", {}, {"passed": True, "checks": {}, "seconds": 1}),
            "cnnexplain": (None, 5),
        }.items()
        for value in values
    },
    **{
        f"{value!r} as an image's {name}": image(**{name: value})
        for name, values in {
            "probability": ("0.5", None, True, [], 7, -1),
            "target_probability": ("0.5", False, 7),
            "prediction_index": (None, "3", 3.0, True, -1, 10, 10**30),
            "target_index": ("3", 1.5, -1, 10, []),
            "source": (None, 5, [], "x" * 1_000_000),
            "sha256": (None, 5),
            "inverted": (None, 1, "no"),
            "objective": (5, {}),
            "finding": (5, {}),
            "picture": (True, 5, "a\0.png", "../mine.png", "result.json", "arrays.npz", "mnist-test-8.png"),
        }.items()
        for value in values
    },
    **{
        f"{value!r} as a check's {name}": checked(**{name: value})
        for name, values in {
            "kind": (None, 5, "", "x" * 61),
            "check": (None, 5, "", "x" * 61, "\x1b[31m", "a\nb"),
            "meaning": (None, 5, "", "x" * 10_001),
            "passed": (0, "yes", False, None),
            "error": (None, 5, "It stops."),
            "images": (None, {}, [], [None], [5, 5], ["x", "y"], [{}, {}]),
        }.items()
        for value in values
    },
    **{
        f"{value!r} as a measured {name}": checked(images=[measured(), measured(**{name: value})])
        for name, values in {
            "value": ("0.5", True, [], 2),
            "limit": ("1", True, [], 0.1),
            "passed": (None, False, 1, "yes"),
            "detail": (None, 5, [], "x" * 10_001),
        }.items()
        for value in values
    },
    "a measurement too many": checked(images=[measured()] * 3),
    "a verdict that contradicts the checks": nested("verification", passed=True),
    "checks beyond all": nested("verification", checks=[CHECKED] * 1001),
    "a time that is negative": nested("verification", seconds=-1),
    "no source": lambda folder: edited(folder, lambda content: content["images"][0].pop("source")),
    "an unknown key of the input": nested("input", depth=3),
    "a height that is true": nested("input", height=True),
    "a height beyond all": nested("input", height=10**12, width=10**12),
    "a fit that is a list": nested("input", fit=[]),
    "an assumption of text": nested("input", assumed=5),
    "a mean beyond all": nested("input", mean=[1e300]),
    "a std of nearly nothing": nested("input", std=[1e-300]),
    "a mean of much text": nested("input", mean="x" * 10_000),
    **{
        f"arrays cut at {length}": arrays(lambda content, n=length: content[:n])
        for length in (0, 10, 100, 3000, -1, -30, -200)
    },
    **{f"arrays without {length} bytes": arrays(lambda content, n=length: content[n:]) for length in (1, 40, 1000)},
    "a byte flipped": arrays(lambda content: content[:3000] + bytes([content[3000] ^ 255]) + content[3001:]),
    "a later version of ZIP": flagged(4, 6, 255),
    "encrypted": flagged(6, 8, 1),
    "an unknown compression": flagged(8, 10, 99),
    "a header cut off": members(lambda before: [(name, content[:40]) for name, content in before.items()]),
    "a header of hyphens": headed("-" * 9000),
    "a header of brackets": headed("(" * 9000),
    "a header of control characters": headed("\x1b[31m\0\a" * 50),
    "a header of Python 2": headed(SHAPE % "(2L, 28L, 28L)"),
    "a header of a version to come": headed(SHAPE % "(2,)", b"\x09\0"),
    "more numbers than there are": headed(SHAPE % "(2, 999999999999)", rest=bytes(8)),
    "fewer than no numbers": headed(SHAPE % "(-2, -784)", rest=bytes(8)),
    "an object": headed(SHAPE.replace("<f4", "|O") % "(2,)", rest=b"cos\nsystem\n(S'touch pwned'\ntR."),
    "no member": members(lambda before: []),
    "members twice": twice_in_the_directory,
    "text among the members": members(lambda before: [*before.items(), ("notes.txt", b"x")]),
    "a name of control characters": members(lambda before: [*before.items(), ("\x1b[31m.npy", before["input.npy"])]),
    "many members": members(lambda before: [*before.items(), *((f"{i}.npy", b"") for i in range(70_000))]),
    "compressed": lambda folder: np.savez_compressed(folder / "arrays.npz", **dict(np.load(folder / "arrays.npz"))),
    "no map of the control": members(lambda before: [each for each in before.items() if "control/saliency" not in each[0]]),
    "a control of another size": array("control/saliency", np.zeros((2, 28, 27), np.float32)),
    "a control that is not finite": array("control/gradient", np.full((2, 28, 28, 1), np.nan, np.float32)),
    "no correlation with the control": lambda folder: edited(
        folder, lambda content: content["facts"].pop("control_rank_correlation")
    ),
    "a correlation of text": nested("facts", control_rank_correlation=["0.5", "x"]),
    "a correlation above 1": nested("facts", control_rank_correlation=[0.5, 7.0]),
    "a correlation of null": nested("facts", control_rank_correlation=[None, 0.5]),
    "arrays of a control that is not there": lambda folder: edited(folder, lambda content: content.pop("control")),
    "text in an array": array("gradient", np.array(["a", "b"])),
    "dates in an array": array("dates", np.zeros(2, "M8[s]")),
    "records in an array": array("records", np.zeros(2, "i4,f4")),
    "arrays that are a pipe": instead("arrays.npz", os.mkfifo),
    "arrays that are a folder": instead("arrays.npz", os.mkdir),
    "arrays that are a link to itself": instead("arrays.npz", lambda path: path.symlink_to(path.name)),
    "arrays that are a device": instead("arrays.npz", lambda path: path.symlink_to("/dev/zero")),
    "no arrays": lambda folder: (folder / "arrays.npz").unlink(),
}
"""What a new result may replace."""


def fails(folder, call):
    """The message of an error that is one line of text and leaves the folder as it was."""
    before = snapshot(folder)
    with pytest.raises(CnnExplainError) as caught:
        call()
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 600
    assert snapshot(folder) == before
    return message


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved[1], tmp_path / "out/saliency")


@pytest.mark.parametrize("case", [*UNREADABLE, *WRONG])
def test_invalid_results_give_one_line_and_are_not_changed(saved, folder, case):
    (UNREADABLE | WRONG)[case](folder)
    record, request = saved[0], {"analysis": "saliency"}
    assert "saliency'" in fails(folder, lambda: Record.load(folder))
    assert "saliency'" in fails(folder, lambda: cx.redraw(folder, dpi=20))
    if case in UNREADABLE:
        words = "contains files that cnnexplain did not write, or whose result.json is damaged ("
        assert words in fails(folder, lambda: record.save(folder))
        assert words in fails(folder, lambda: report.Writer(folder, TWO, Pictures(), request, resume=True))


@pytest.mark.parametrize("case", WRONG)
def test_invalid_results_are_replaced_by_new_ones(saved, folder, case, monkeypatch):
    WRONG[case](folder)
    (folder / "notes.txt").write_text("mine")
    # Nothing of it is drawn, which takes the most time.
    monkeypatch.setattr(Pictures, "save", lambda self, figure, path: path.write_bytes(b"picture"))
    monkeypatch.setattr(Record, "figure", lambda self, index: None)
    writer = report.Writer(folder, TWO, Pictures(), {"analysis": "saliency"})
    if case in ("arrays that are a pipe", "arrays that are a folder", "arrays that are a device"):
        # What is no file was never written here.
        with pytest.raises(OutputError, match=r"arrays\.npz' exists and is not part of the earlier result"):
            writer.add(saved[0])
        return
    writer.add(saved[0])
    assert Record.load(folder).explained == saved[0].explained
    assert (folder / "notes.txt").read_text() == "mine"
    listed = json.loads((folder / "result.json").read_text())["files"]
    assert {path.name for path in folder.iterdir()} == {*listed, "notes.txt"}


def test_resuming_an_invalid_result_is_refused_or_rebuilds_it(saved, folder):
    request = {"analysis": "saliency"}
    assert report.Writer(folder, TWO, Pictures(), request, resume=True).complete
    kept = []
    for case, change in WRONG.items():
        shutil.rmtree(folder)
        shutil.copytree(saved[1], folder)
        change(folder)
        before = snapshot(folder)
        words = "Leave out --resume to replace it."
        try:
            # Of the arrays only the headers are read, and of the JSON no more than its form.
            if report.Writer(folder, TWO, Pictures(), request, resume=True).complete:
                kept.append(case)
        except CnnExplainError as error:
            words = str(error)
        assert words.isprintable(), case
        assert "Leave out --resume to replace it." in words, case
        assert snapshot(folder) == before, case
    assert not [case for case in kept if "as an image's" in case or "among the files" in case or " cut at " in case]


def test_written_results_are_read_back(saved, folder):
    content = result_files.read_result(folder)
    known = {*schema.RUN, *schema.RUN_LATER, *schema.PART, *schema.PART_LATER}
    assert known - set(content) == {"dataset"}
    assert set(content) <= known
    for each in content["images"]:
        assert set(schema.IMAGE) <= set(each) <= {*schema.IMAGE, *schema.IMAGE_LATER}
    # A later version may write more, and what it writes is kept.
    edited(folder, lambda content: content.update(weather={"sun": [1, None]}))
    image(mood="good")(folder)
    assert Record.load(folder).explained == saved[0].explained
    cx.redraw(folder, dpi=20)
    content = result_files.read_result(folder)
    assert (content["weather"], content["images"][0]["mood"]) == ({"sun": [1, None]}, "good")


def test_a_result_of_a_later_version_is_reported(saved, folder):
    edited(folder, lambda content: content.update(format="cnnexplain result 2"))
    later = r"later version \('cnnexplain result 2'\): use that version"
    for call in (lambda: Record.load(folder), lambda: saved[0].save(folder)):
        with pytest.raises(OutputError, match=later):
            call()


def test_a_result_that_is_replaced_while_it_is_read_is_not_mixed(saved, folder, monkeypatch):
    read = npz.read

    def replacing(path):
        image(source="another")(folder)
        return read(path)

    monkeypatch.setattr(npz, "read", replacing)
    with pytest.raises(OutputError, match="was replaced by another run while it was read; read it again"):
        Record.load(folder)


def test_a_result_of_a_killed_run_is_reported_and_replaced(saved, folder):
    text('{"format": "cnnexplain result 1", "files": ["mnist-test-3.png", "mnist-test-8.png", "arrays.npz", "index.html", '
         '"thumbnails.webp"]}')(folder)  # fmt: skip
    assert "contains an incomplete result: a run ended while writing it" in fails(folder, lambda: Record.load(folder))
    assert not report.Writer(folder, TWO, Pictures(), {"analysis": "saliency"}, resume=True).complete
    saved[0].save(folder, dpi=20)
    assert len(Record.load(folder)) == 2


@pytest.mark.parametrize("length", [300, 9_000])
def test_long_names_are_drawn_quickly(folder, length):
    image(source="x" * length, objective="y" * length)(folder)
    edited(folder, lambda content: content.update(labels=["z" * length] * 10))
    assert cx.redraw(folder, dpi=20)


@pytest.mark.parametrize("letter", ["é", "日", "𝔘", "𠀀"])
def test_names_of_pictures_fit_into_a_folder(tmp_path, letter):
    (name,) = file_names.picture_names([letter * 90 + ".png"], suffix="png")
    (tmp_path / name).touch()
    assert json_kinds.FILE_NAME(name, "it") is None


@pytest.mark.parametrize("error", [["abc"], [None], [[0.5]], [{}], [True], [-1.0], 0.5, "x"])
def test_a_relative_error_that_is_no_number_is_refused(lenet, tmp_path, error):
    folder = tmp_path / "smoothgrad"
    cx.explain("smoothgrad", lenet, TWO[:1], samples=2).save(folder, dpi=20)
    assert isinstance(Record.load(folder).notes(0), list)
    nested("facts", relative_error=error)(folder)
    assert "relative_error" in fails(folder, lambda: Record.load(folder))


def test_results_without_a_relative_error_load(lenet, tmp_path):
    folder = tmp_path / "smoothgrad"
    cx.explain("smoothgrad", lenet, TWO[:1], samples=2).save(folder, dpi=20)
    edited(folder, lambda content: content["facts"].pop("relative_error"))
    assert Record.load(folder).notes(0) == []

"""Saved results changed anywhere: every way to use them ends well or with one line, and then changes nothing.

A result that is replaced, or drawn again, can be read afterwards.
"""

import json
import os
import random
import shutil

import numpy as np
import pytest
from campaign import assert_plain, snapshot
from hypothesis import given
from hypothesis import strategies as st

from cnnexplain.errors import CnnExplainError, line
from cnnexplain.pipeline import parts
from cnnexplain.rendering import raster
from cnnexplain.results import json_files, schema
from cnnexplain.results.damage import DamageError
from cnnexplain.results.record import Record

pytestmark = pytest.mark.slow

IMAGES = ["mnist:test/3", "mnist:test/8", "mnist:test/5"]
HOSTILE = [
    *(None, True, False, 0, -1, 1, 2, 1.5, -0.0, 10**18, 10**400, 1e308, float("nan"), float("inf"), 2**63),
    *("", "0.5", "\0", "\ud800", "..", "/etc/passwd", "../mine.png", "mine.png", "a" * 300, "x" * 20_000, "\x1b[31m\u202e"),
    *(
        [],
        {},
        [[]],
        [None],
        {"a": None},
        [{}],
        ["mine.png"],
        {"files": ["mine.png"]},
        "result.json",
        "arrays.npz",
        "thesis.docx",
    ),
]
"""Values for any place of the JSON."""

OTHERS = {
    "a folder": lambda path: (path.mkdir(), (path / "mine").write_text("mine")),
    "a pipe": os.mkfifo,
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to a folder": lambda path: path.symlink_to(".."),
    "a link to a file": lambda path: path.symlink_to("../mine.png"),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "nothing": lambda path: None,
    "no bytes": lambda path: path.touch(),
}
"""What may stand in the place of a file."""


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """A verified result in one piece, and one in parts, as the command line writes them."""
    from cnnexplain.cli.app import main

    folder = tmp_path_factory.mktemp("originals")
    with pytest.MonkeyPatch.context() as patch:
        assert main(["run", "saliency", *IMAGES, "--verify", "--dpi", "20", "--out", str(folder / "whole")]) == 0
        patch.setattr(parts, "MOST_READ", 1)
        patch.setattr(parts, "PART_IMAGES", 1)
        assert main(["run", "saliency", *IMAGES, "--verify", "--dpi", "20", "--out", str(folder / "parts")]) == 0
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Figures are laid out, but not rendered, which takes the most time."""
    monkeypatch.setattr(raster, "pixels", lambda figure, dpi: np.zeros((1, 1, 3), np.uint8))


def places(content, path=()):
    """The way to each value of a JSON document."""
    if path:
        yield path
    if isinstance(content, dict | list):
        for key in content if isinstance(content, dict) else range(len(content)):
            yield from places(content[key], (*path, key))


def change_json(chance, path):
    """Replaces, removes or adds values at random places."""
    content = json.loads(path.read_text())
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        *way, last = chance.choice(list(places(content)))
        around = content
        for key in way:
            around = around[key]
        what = chance.random()
        if what < 0.75:
            around[last] = chance.choice(HOSTILE)
        elif what < 0.9:
            del around[last]
        elif isinstance(around, dict):
            around[chance.choice(["", "new", "files", "parts", "format"])] = chance.choice(HOSTILE)
        else:
            around.append(chance.choice(HOSTILE))
    path.write_text(json.dumps(content))


def change_bytes(chance, path):
    """Flips, cuts, doubles or overwrites bytes."""
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice([1, 1, 2, 10])):
        at, length = chance.randrange(len(content) + 1), chance.choice([1, 2, 20, 500])
        what = chance.random()
        if what < 0.5:
            content[at : at + length] = chance.randbytes(length)
        elif what < 0.7:
            del content[at:]
        elif what < 0.8:
            del content[at : at + length]
        else:
            content[at:at] = chance.choice([content[at : at + length], b"[" * 50_000, b"PK\1\2", b"\x93NUMPY", b'"'])
    path.write_bytes(content)


def change(chance, folder):
    """Changes something of a result, most often in its JSON."""
    result = chance.random()
    names = sorted(path.name for path in folder.iterdir())
    if result < 0.55:
        change_json(chance, folder / chance.choice([name for name in names if name.endswith(".json")]))
    elif result < 0.8:
        change_bytes(chance, folder / chance.choice([name for name in names if name.endswith((".json", ".npz"))]))
    else:
        path = folder / chance.choice(names)
        path.unlink()
        OTHERS[chance.choice(list(OTHERS))](path)


@given(seed=st.integers(0, 2**32))
def test_changed_results_are_harmless(originals, cli, tmp_path, seed):
    chance = random.Random(seed)
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    kind = chance.choice(["whole", "parts"])
    shutil.copytree(originals / kind, tmp_path / "out")
    folder = tmp_path / "out/saliency"
    (tmp_path / "out/mine.png").write_text("mine")
    change(chance, folder)
    (folder / "thesis.docx").write_text("mine")
    before = snapshot(tmp_path)
    way = chance.choice(["load", "load", "load", "redraw", "redraw", "save", "resume", "run"])
    if way in ("load", "save"):
        try:
            record = Record.load(folder if way == "load" else originals / "whole/saliency")
            if way == "save":
                record.save(folder, dpi=20)
        except CnnExplainError as error:
            code, printed = error.exit_code, str(error)
            assert printed.isprintable()
        else:
            code, printed = 0, ""
    else:
        options = {"redraw": ["redraw", folder], "run": ["run", "saliency", IMAGES[1], "--out", "out"]}.get(
            way, ["run", "saliency", *IMAGES, "--out", "out", "--resume"]
        )
        code, out, err = cli(*options, "--dpi", "20")
        printed = out + err if code else ""
    assert_plain(code, printed)
    assert (tmp_path / "out/mine.png").read_text() == (folder / "thesis.docx").read_text() == "mine"
    assert not list(tmp_path.rglob(".cnnexplain-*"))
    if code or way == "load":
        assert snapshot(tmp_path) == before
    elif way in ("save", "run"):
        assert len(Record.load(folder)) == {"save": 3, "run": 1}[way]


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", errors="replace")))
def test_any_bytes_are_read_or_give_one_line(tmp_path, content):
    path = tmp_path / "result.json"
    path.write_bytes(content)
    words = ""
    try:
        schema.check_result(json_files.read(path))
    except DamageError as damage:
        words = line(damage)
    assert words
    assert words.isprintable()

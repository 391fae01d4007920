"""Globs: what Python's own module finds is the oracle, but for links."""

import glob
import os

import numpy as np
import pytest

from cnnexplain.inputs import folders


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for _ in range(30):
        folder = tmp_path.joinpath(*random.choice(["a", "b", ".h", "c1", "[x]"], random.integers(0, 4)))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / random.choice(["x.png", "y.jpg", ".z.png", "A.PNG", "[q].png"])).touch()
    return random


def test_globs_find_what_pythons_glob_finds(tree):
    words = ["**", "*", "a", "b", "*.png", "?", "[ab]", "x.png", ".*", "[[]x]", "c?", "nothing"]
    for _ in range(300):
        pattern = tree.choice(["", "./", f"{os.getcwd()}/"]) + "/".join(tree.choice(words, tree.integers(1, 4)))
        expected = sorted({path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)})
        assert sorted(map(os.path.normpath, folders.matching(pattern))) == sorted(map(os.path.normpath, expected)), pattern


def test_cyclic_links_are_followed_once(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in "cdefgh":
        (tmp_path / "a" / name).symlink_to("..")
        (tmp_path / "a" / "b" / name).symlink_to(tmp_path)
    (tmp_path / "a" / "x.png").touch()
    assert folders.matching(f"{tmp_path}/**/*.png") == [f"{tmp_path}/a/x.png"]
    assert folders.matching(f"{tmp_path}/**/**/**/*.png") == [f"{tmp_path}/a/x.png"]


def test_linked_folders_are_searched(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x.png").touch()
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "link").symlink_to("../real")
    assert folders.matching(f"{tmp_path}/base/**/*.png") == [f"{tmp_path}/base/link/x.png"]


def test_unreadable_folders_are_empty():
    assert folders.matching("/proc/self/fd/*/x/*") == []
    assert folders.matching("no folder/**/*") == []

"""Folders of images, and globs."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnnexplain as cx
from cnnexplain.inputs.images import find

pytestmark = pytest.mark.usefixtures("blank_pictures")


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Class folders with files of every ending, hidden ones, and what is no image."""
    monkeypatch.chdir(tmp_path)
    names = ["cat/1.jpg", "cat/2.JFIF", "cat/young/1.jpe", "dog/1.jpg", "dog/1.JPG", "dog-x/1.png", "a.PNG", "b.Tiff"]
    left_out = [
        "cat/.hidden.jpg",
        ".git/x.png",
        "__MACOSX/cat/._1.jpg",
        "__MACOSX/x.jpg",
        "cat/notes.txt",
        "cat/jpg",
        ".jpg",
    ]
    for name in names + left_out:
        path = tmp_path / "d" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((28, 28), len(name), np.uint8)).save(path, "PNG")
    return tmp_path / "d"


ALL = ["a.PNG", "b.Tiff", "cat/1.jpg", "cat/2.JFIF", "cat/young/1.jpe", "dog/1.JPG", "dog/1.jpg", "dog-x/1.png"]


def test_files_with_the_same_name_get_separate_pictures(pictures, lenet):
    record = cx.explain("saliency", lenet, cx.read_images("d", lenet, invert=False))
    assert [explained.source.name for explained in record.explained] == [f"d/{name}" for name in ALL]
    paths = [path.name for path in record.save(pictures.parent / "out") if path.suffix == ".png"]
    assert len({name.casefold() for name in paths}) == len(ALL)


def test_result_pictures_are_not_read_as_images(cli, pictures, lenet):
    """A folder is explained twice, with the results in it."""
    os.chdir(pictures)
    for _ in range(2):
        code, _, err = cli("run", "saliency", ".", "--no-invert", "--dpi", "20")
        assert code == 0, err
        assert len(list(Path("cnnexplain-out/saliency").glob("*.png"))) == len(ALL)
    assert find(["."]) == ALL
    assert find(["**/*.png"]) == ["dog-x/1.png"]
    # Asked for by name they are.
    assert len(find(["cnnexplain-out/saliency"])) > len(ALL)

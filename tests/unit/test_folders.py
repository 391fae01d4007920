"""Folders of images, and globs."""

import os
import time

import numpy as np
import pytest
from PIL import Image

from cnnexplain.errors import ImageError, UsageError
from cnnexplain.inputs import folders, image_stream
from cnnexplain.inputs.images import find


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


def test_folders_are_read_recursively(pictures):
    assert find(["d"]) == [f"d/{name}" for name in ALL]
    assert find(["d/"]) == find(["./d"]) == find(["d"])
    assert find([pictures]) == [str(pictures / name) for name in ALL]
    assert image_stream.check("d") == find(["d"])
    os.chdir(pictures)
    assert find(["."]) == ALL


def test_globs(pictures):
    inside = [f"d/{name}" for name in ALL if name.endswith(".jpg")]
    assert find(["d/**/*.jpg"]) == find(["d/[cd]*/*.jpg"]) == inside
    assert find([f"{pictures}/**/*.jpg"]) == [str(pictures / name[2:]) for name in inside]
    assert find(["**/*.jpg"]) == inside
    assert find(["**/1.*"]) == sorted(f"d/{name}" for name in ALL if "1." in name)
    assert find(["d/**/young/*"]) == ["d/cat/young/1.jpe"]
    assert find(["d/**/cat/**/*.jpe"]) == ["d/cat/young/1.jpe"]
    assert find(["d/dog/**"]) == ["d/dog/1.JPG", "d/dog/1.jpg"]
    with pytest.raises(UsageError, match="No file matches"):
        find(["d/**/*.bmp"])
    (pictures / "[x]").mkdir()
    (pictures / "a.PNG").rename(pictures / "[x]" / "a.PNG")
    assert find(["d/**/a.*"]) == ["d/[x]/a.PNG"]


def test_symbolic_links_are_followed_once(pictures):
    (pictures / "cat" / "around").symlink_to(pictures)
    (pictures / "dog" / "around").symlink_to(pictures / "cat")
    (pictures / "self").symlink_to(pictures / "self")
    (pictures / "gone.jpg").symlink_to(pictures / "nowhere.jpg")
    outside = pictures.parent / "elsewhere"
    (pictures / "cat").rename(outside)
    (pictures / "cat").symlink_to(outside)
    started = time.perf_counter()
    assert find(["d"]) == [f"d/{name}" for name in ALL]
    assert find(["d/**/*.jpg"]) == [f"d/{name}" for name in ALL if name.endswith(".jpg")]
    assert time.perf_counter() - started < 2


def test_a_link_to_a_folder_is_a_folder(pictures):
    (pictures.parent / "link").symlink_to(pictures)
    assert find(["link"]) == [f"link/{name}" for name in ALL]


def test_a_folder_without_images_lists_the_supported_formats(tmp_path):
    (tmp_path / "deep" / "empty").mkdir(parents=True)
    with pytest.raises(ImageError, match=r"contains no image \(.*\.jfif"):
        find([tmp_path])


def test_thousands_of_files_are_found_quickly(tmp_path):
    for number in range(3000):
        path = tmp_path / str(number % 50) / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    started = time.perf_counter()
    assert len(find([tmp_path])) == len(folders.matching(f"{tmp_path}/**/*.jpg")) == 3000
    assert time.perf_counter() - started < 2

"""Folders of images, and globs."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnnexplain as cx
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


def test_folders_of_class_folders_are_read_to_any_depth(pictures):
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


def test_links_are_followed_once(pictures):
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


def test_a_link_to_a_folder_with_images_is_a_folder(pictures):
    (pictures.parent / "link").symlink_to(pictures)
    assert find(["link"]) == [f"link/{name}" for name in ALL]


def test_a_folder_without_images_says_which_it_would_take(tmp_path):
    (tmp_path / "deep" / "empty").mkdir(parents=True)
    with pytest.raises(ImageError, match=r"holds no image \(.*\.jfif"):
        find([tmp_path])


def test_thousands_of_files_are_found_at_once(tmp_path):
    for number in range(3000):
        path = tmp_path / str(number % 50) / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    started = time.perf_counter()
    assert len(find([tmp_path])) == len(folders.matching(f"{tmp_path}/**/*.jpg")) == 3000
    assert time.perf_counter() - started < 2


def test_files_of_one_name_have_pictures_of_their_own(pictures, lenet):
    record = cx.explain("saliency", lenet, cx.read_images("d", lenet, invert=False))
    assert [explained.source.name for explained in record.explained] == [f"d/{name}" for name in ALL]
    paths = [path.name for path in record.save(pictures.parent / "out") if path.suffix == ".png"]
    assert len({name.casefold() for name in paths}) == len(ALL)


def test_the_pictures_of_results_are_no_images(cli, pictures, lenet):
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

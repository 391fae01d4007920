"""`cnnexplain benchmark` on photographs of unequal sizes, with masks and maps of other tools in files, and bad input."""

import json
import re

import keras
import numpy as np
import pytest
from PIL import Image

HEIGHT, WIDTH = 16, 20
SIZES = {"wide.jpg": (60, 30), "tall.png": (20, 50), "small.png": (20, 16)}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A folder with a model of RGB images, photographs, their masks, and maps of other tools."""
    folder = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((HEIGHT, WIDTH, 3)),
            keras.layers.Conv2D(4, 3, activation="relu", name="conv"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, "softmax"),
        ]
    )
    model.save(folder / "model.keras")
    (folder / "masks").mkdir()
    for name, size in SIZES.items():
        Image.fromarray(random.integers(0, 255, (*size[::-1], 3), np.uint8)).save(folder / name)
        # The left half of each photograph is relevant; the masks have the size of the photographs.
        mask = np.zeros(size[::-1], np.uint8)
        mask[:, : size[0] // 2] = 255
        Image.fromarray(mask).save(folder / "masks" / f"{name.split('.')[0]}.png")
    left = np.zeros((3, HEIGHT, WIDTH), np.float32)
    left[:, :, : WIDTH // 2] = np.linspace(1, 2, WIDTH // 2)
    np.save(folder / "left.npy", left)
    np.savez(folder / "others.npz", right=left[:, :, ::-1], other=left)
    return folder


@pytest.fixture
def run(photographs, cli, monkeypatch):
    """Runs the command in the folder."""
    monkeypatch.chdir(photographs)
    model = ["--model", "model.keras", "--input-fit", "stretch"]
    return lambda *words: cli("benchmark", *words, *model)


def test_photographs_with_masks_and_maps_of_other_tools(run, tmp_path):
    words = ["saliency", "occlusion", *SIZES, "--masks", "masks", "--maps", "left=left.npy", "--maps", "right=others.npz"]
    metrics = ["--metric", "deletion", "--metric", "road", "--metric", "relevance-rank", "--metric", "max-sensitivity"]
    code, out, _ = run(*words, *metrics, "--out", str(tmp_path), "--json")
    assert code == 0
    document = json.loads(out)
    assert [each["name"] for each in document["images"]] == list(SIZES)
    scores = {
        metric["name"]: {each["name"]: each["mean"] for each in metric["scores"][0]["methods"]}
        for metric in document["metrics"]
    }
    assert {name for name in scores["deletion"] if scores["deletion"][name] is not None} >= {"saliency", "left", "right"}
    # The masks were fitted to the model's input as the photographs were, and are not mirrored.
    assert scores["relevance-rank"]["left"] == 1
    assert scores["relevance-rank"]["right"] == 0
    assert all(0 <= value <= 1 for value in scores["relevance-rank"].values())
    # Maps of other tools can't be computed again.
    assert scores["max-sensitivity"]["left"] is None
    assert scores["max-sensitivity"]["occlusion"] >= 0
    page = (tmp_path / "benchmark" / "index.html").read_text()
    for name in SIZES:
        assert f'alt="Mask of {name}"' in page
        assert f'alt="Map of right for {name}"' in page
    # The photograph, the mask, two analyses, two maps of files and four controls of each.
    assert page.count("data:image/png;base64,") == 3 * (2 + 2 + 2 + 4)


def changed(array, place=(1, 2, 3), value=np.nan):
    copy = np.array(array)
    copy[place] = value
    return copy


BAD_MAPS = {
    "another size": (lambda left: left[:, ::2], r"'given' have the shape \(3, 8, 20\); expected \(3, 16, 20\)"),
    "another number": (lambda left: left[:2], r"have the shape \(2, 16, 20\); expected \(3, 16, 20\)"),
    "NaN": (changed, r"Map 1 of 'given' contains a value that is not finite \(NaN or infinity\)"),
    "text": (lambda left: left.astype(str), "expected real numbers"),
    "pickled objects": (lambda left: np.array([{}, left], object), "'given.npy' does not contain an array of numbers: "),
}


@pytest.mark.parametrize("kind", BAD_MAPS)
def test_bad_maps_are_refused_in_a_line_and_nothing_is_written(kind, run, photographs, tmp_path):
    change, message = BAD_MAPS[kind]
    np.save(photographs / "given.npy", change(np.load(photographs / "left.npy")), allow_pickle=True)
    code, out, err = run("saliency", *SIZES, "--maps", "given=given.npy", "--out", str(tmp_path / "out"))
    assert (code, out) == (2, "")
    assert len(err.splitlines()) <= 2
    assert re.search(message, " ".join(err.split()))
    assert not (tmp_path / "out" / "benchmark").exists()


def test_bad_masks_are_refused_in_a_line(run, photographs, tmp_path):
    for name in ("unrelated", "empty"):
        (tmp_path / name).mkdir()
    Image.new("L", (9, 9), 255).save(tmp_path / "unrelated" / "dog.png")
    code, out, err = run("saliency", *SIZES, "--masks", str(tmp_path / "unrelated"))
    assert (code, out) == (2, "")
    assert "has no mask for any of the 3 images; expected files such as 'wide.png'" in " ".join(err.split())
    for name, size in SIZES.items():
        Image.new("L", size, 0).save(tmp_path / "empty" / f"{name.split('.')[0]}.png")
    words = ["saliency", *SIZES, "--masks", str(tmp_path / "empty"), "--metric", "relevance-rank"]
    code, out, err = run(*words, "--out", str(tmp_path / "out"))
    assert (code, out) == (2, "")
    assert "No mask has a relevant pixel: expected pixels of at least half the brightness" in " ".join(err.split())
    assert not (tmp_path / "out" / "benchmark").exists()


def test_a_folder_with_the_scores_of_another_model_is_not_resumed(run, photographs, cli, tmp_path):
    words = ["saliency", *SIZES, "--metric", "sparseness", "--out", str(tmp_path)]
    assert run(*words)[0] == 0
    before = (tmp_path / "benchmark" / "scores.jsonl").read_bytes()
    model = keras.saving.load_model(photographs / "model.keras")
    model.layers[-1].bias.assign([1.0, 0, 0])
    model.save(tmp_path / "other.keras")
    code, _, err = cli("benchmark", *words, "--model", str(tmp_path / "other.keras"), "--input-fit", "stretch", "--resume")
    assert code == 2
    told = " ".join(err.split())
    assert "belong to another request: other model. Leave out --resume to replace them, or choose another --out." in told
    code, _, err = run("gradient-x-input", *words[1:], "--resume")
    assert code == 2
    assert "another request: other methods" in " ".join(err.split())
    assert (tmp_path / "benchmark" / "scores.jsonl").read_bytes() == before


def test_too_few_images_have_no_interval_and_an_undefined_metric_says_why(run, tmp_path):
    code, out, _ = run("saliency", "wide.jpg", "--metric", "sparseness", "--out", str(tmp_path), "--json")
    (metric,) = json.loads(out)["metrics"]
    assert code == 0
    assert all(each["interval"] is None for score in metric["scores"] for each in score["methods"])

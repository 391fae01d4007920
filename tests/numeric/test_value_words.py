"""Pages, pictures, tables and files of a regression model speak of its values: of no class, logit or probability."""

import json
import re
from html import unescape

import keras
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from regression import QUICK, age, box

import cnnexplain as cx
from cnnexplain.plugin import registry
from cnnexplain.rendering import raster
from cnnexplain.results.record import Record

CLASSIFIERS = re.compile(r"\bclass(es)?\b(?! tokens?\b)|\blogits?\b|probab|softmax|\bpredicted\b", re.IGNORECASE)
"""Words that are true of a classifier alone."""

BOTH = "regression"
"""What a sentence says that tells what holds for each of the two."""

ANALYSES = registry.load().analyses
MODEL = ("--model", "net.keras", "--values", "--value-unit", "years", "--input-scale", "1/255")


def wrong(text):
    sentences = re.split(r"(?<=[.!?;])\s+|\n", text)
    return [each.strip() for each in sentences if CLASSIFIERS.search(each) and BOTH not in each]


def read(page):
    """What is read on a page: its text, what a screen reader says, and the units of its maps."""
    body = re.sub(r"<script.*?</script>|<style.*?</style>|<p>Arrays: .*?</p>", " ", page, flags=re.DOTALL)
    spoken = re.findall(r'\b(?:alt|title|aria-label|placeholder)="([^"]*)"', body)
    units = re.findall(r'"(?:\w*_)?unit": *"([^"]*)"', page)
    return unescape("\n".join([re.sub(r"<[^>]*>", "\n", body), *spoken, *units]))


def written(figure):
    return "\n".join(text.get_text() for text in figure.findobj(lambda each: hasattr(each, "get_text")))


@pytest.fixture
def photographs(tmp_path, random):
    pixels = random.integers(0, 255, (2, 12, 10, 3)).astype(np.uint8)
    for name, image in zip("ab", pixels, strict=True):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    return pixels


@pytest.fixture
def unpainted(monkeypatch):
    """The texts of the figures that are saved, whose pixels are not rendered."""
    texts = []

    def pixels(figure, dpi):
        texts.append(written(figure))
        return np.zeros((1, 1, 3), np.uint8)

    monkeypatch.setattr(raster, "pixels", pixels)
    return texts


@pytest.mark.parametrize(
    ("name", "make"),
    [
        # With one of the two models the words of an analysis are read in any run of the tests, with the other in slow ones.
        pytest.param(name, make, marks=[pytest.mark.slow] if (number + place) % 2 else [])
        for number, name in enumerate(ANALYSES)
        for place, make in enumerate([age, box])
    ],
)
def test_analyses_of_regression_models_mention_no_classes(name, make, cli, tmp_path, photographs, unpainted, monkeypatch):
    analysis, model = ANALYSES[name], make()
    model.save(tmp_path / "net.keras")
    # A page of several images has more on it.
    images = (["a.png", "b.png"] if make is age else ["a.png"]) if "images" in analysis.inputs else []
    targeted = bool({"targets", "objectives"} & {*analysis.inputs})
    target = ("--target", "down" if make is age else "box 1") if targeted else ()
    quick = [word for option, value in QUICK.get(name, {}).items() for word in (f"--{option}", value)]
    code, out, err = cli("run", name, *images, *MODEL, *target, *quick, "--dpi", 30)
    assert code == 0, err
    folder = tmp_path / "cnnexplain-out" / name
    result, record = json.loads((folder / "result.json").read_text()), Record.load(folder)
    pictures = "\n".join(unpainted)
    # A report has the same pictures.
    monkeypatch.setattr(Record, "figure", lambda record, index=0: Figure())
    classifier = cx.load("net.keras", values=True, unit="years", preprocess=record.preprocess)
    cx.write_report(tmp_path / "report.html", classifier, [record])
    said = {
        "terminal": out + err,
        "page": read((folder / "index.html").read_text()),
        "result": "\n".join(
            [result["limitations"], *result["warnings"], *(each["finding"] or "" for each in result["images"])]
        ),
        "notebook": read(record._repr_html_()),
        "report": read((tmp_path / "report.html").read_text()),
        "pictures": pictures,
    }
    assert pictures
    assert {where: wrong(text) for where, text in said.items() if wrong(text)} == {}
    assert "probab" not in json.dumps(result["facts"]) + "".join(record.arrays)
    if images:
        place = 1 if targeted and make is box else 0
        own = keras.ops.convert_to_numpy(model(photographs.astype(np.float32) / 255, training=False))[:, place]
        np.testing.assert_allclose([each["value"] for each in result["images"]], own[: len(images)], rtol=1e-4)
        assert {each["probability"] for each in result["images"]} == {None}
        assert "years" in said["pictures"]
        assert ("age 6" if make is age else f"box {place} ") in said["pictures"]


@pytest.mark.slow
def test_report_and_doctor_mention_values(cli, tmp_path, photographs):
    box().save(tmp_path / "net.keras")
    code, out, err = cli("report", "a.png", *MODEL, "--analysis", "saliency", "--target", "box 2")
    assert code == 0, err
    shown = out + err + read((tmp_path / "cnnexplain-out/report.html").read_text())
    code, out, err = cli("doctor", "net.keras", "a.png", *MODEL[2:])
    assert code == 0, err
    assert wrong(shown + out.replace("numbers, not probabilities", "") + err) == []
    assert "4 values in years" in shown


@pytest.mark.parametrize("text", ["The class is shown.", "Logits, by pixel", "its probability", "predicted age; regression"])
def test_forbidden_words_are_detected(text):
    assert wrong(f"Nothing here.\n{text}")
    assert not wrong("The class token, or the values of a regression model and the class of another.")

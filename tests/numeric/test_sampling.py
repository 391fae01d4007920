"""Resizing without anti-aliasing is what Keras' loaders do."""

import json
import os

import keras
import numpy as np
import pytest
from PIL import Image

import cnnexplain as cx
from cnnexplain.doctor import examine
from cnnexplain.errors import UsageError
from cnnexplain.inputs import decode, large_images, resize_filters
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.plugin import registry

SIZES = [
    ((31, 47), (12, 12)),
    ((47, 31), (12, 9)),
    ((9, 14), (20, 33)),
    ((24, 24), (12, 12)),
    ((40, 6), (8, 8)),
    ((90, 61), (12, 10)),
]


def photograph(random, height, width):
    """Coarse shapes with grain, so that every pixel counts."""
    coarse = Image.fromarray(random.integers(0, 256, (5, 6, 3)).astype(np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    return np.clip(np.asarray(coarse, int) + random.integers(-40, 40, (height, width, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize(
    ("fit", "options"),
    [("stretch", {}), ("crop", {"crop_to_aspect_ratio": True}), ("pad", {"pad_to_aspect_ratio": True})],
)
def test_equals_image_dataset_from_directory(fit, options, interpolation, tmp_path, random):
    pytest.importorskip("tensorflow")
    for number, (size, made) in enumerate(SIZES):
        folder = tmp_path / str(number)
        folder.mkdir()
        pixels = photograph(random, *size)
        Image.fromarray(pixels).save(folder / "x.png")
        found = keras.utils.image_dataset_from_directory(
            folder, labels=None, image_size=made, interpolation=interpolation, verbose=False, **options
        )
        preprocess = Preprocess(*made, scale=1.0, fit=fit, interpolation=interpolation, antialias=False)
        image, _ = preprocess.apply(pixels.astype(np.float32) / 255)
        np.testing.assert_allclose(image, next(iter(found))[0], atol=2e-3)


def test_equals_load_img_for_nearest(tmp_path, random):
    for size, made in SIZES:
        pixels = photograph(random, *size)
        Image.fromarray(pixels).save(tmp_path / "x.png")
        for options, tolerance in (({}, 0), ({"interpolation": "bilinear"}, 1.5)):
            expected = keras.utils.load_img(tmp_path / "x.png", target_size=made, **options)
            preprocess = Preprocess(*made, scale=1.0, interpolation=options.get("interpolation", "nearest"))
            image, _ = preprocess.apply(pixels.astype(np.float32) / 255)
            np.testing.assert_allclose(image, np.asarray(expected, np.float32), atol=tolerance + 1e-3)


def test_bilinear_pixels_are_means_of_four(random):
    """By hand: from 4 to 2 pixels the centers lie between the first two and between the last two."""
    picture = random.uniform(0, 1, (4, 4, 1)).astype(np.float32)
    image = resize_filters.Grid(resize_filters.axis(4, 2, "bilinear"), resize_filters.axis(4, 2, "bilinear")).sample(picture)
    np.testing.assert_allclose(image, picture.reshape(2, 2, 2, 2, 1).mean(axis=(1, 3)), rtol=1e-6)
    # From 6 to 2 they lie on the second and the fifth, and all others are not seen.
    picture = random.uniform(0, 1, (6, 6, 1)).astype(np.float32)
    image = resize_filters.Grid(resize_filters.axis(6, 2, "bilinear"), resize_filters.axis(6, 2, "bilinear")).sample(picture)
    np.testing.assert_allclose(image, picture[1::3, 1::3], rtol=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    "options", [{"antialias": False}, {"interpolation": "nearest"}, {"antialias": False, "interpolation": "bicubic"}]
)
@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_large_images_use_the_same_pixels(fit, options, orientation, tmp_path, random, monkeypatch):
    monkeypatch.setattr(large_images, "BLOCK", 500)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(photograph(random, 53, 71)).save(tmp_path / "x.png", exif=exif)
    share = {"crop": 0.9} if fit == "crop" else {}
    clf = cx.load(keras.Sequential([keras.Input((9, 14, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]), logits=True)
    clf.preprocess = Preprocess(9, 14, fit=fit, **options, **share)
    whole = cx.read_images(tmp_path / "x.png", clf)
    monkeypatch.setattr(decode, "LARGE", 100)
    large = cx.read_images(tmp_path / "x.png", clf)
    np.testing.assert_allclose(np.asarray(large), np.asarray(whole), atol=1e-6)
    assert large.sources[0].resized


def test_sidecar_and_option(tmp_path, cli, random):
    model = keras.Sequential([keras.Input((9, 14, 3)), keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")])
    model.save(tmp_path / "m.keras")
    (tmp_path / "m.json").write_text(json.dumps({"antialias": False, "scale": 1}))
    assert not cx.load(tmp_path / "m.keras").preprocess.antialias
    assert cx.load(tmp_path / "m.keras", preprocess={"antialias": True}).preprocess.antialias
    assert cx.load(tmp_path / "m.keras", preprocess={"antialias": True}).preprocess.scale == 1
    Image.fromarray(photograph(random, 53, 71)).save(tmp_path / "x.png")
    run = ("run", "saliency", "x.png", "--model", "m.keras")

    def applied():
        return json.loads((tmp_path / "cnnexplain-out/saliency/result.json").read_text())["input"]["antialias"]

    assert cli(*run)[0] == 0
    assert not applied()
    assert cli(*run, "--resume", "--input-antialias", "true")[0] == 2
    assert cli(*run, "--input-antialias", "true")[0] == 0
    assert applied()
    assert cx.Record.load(tmp_path / "cnnexplain-out/saliency").preprocess.antialias
    (tmp_path / "cnnexplain.toml").write_text("input-antialias = false\n")
    assert cli(*run)[0] == 0
    assert not applied()
    (tmp_path / "m.json").write_text(json.dumps({"antialias": "no"}))
    assert "takes true or false, but got 'no'" in cli(*run)[2]
    with pytest.raises(UsageError, match="takes True or False as antialias"):
        Preprocess(9, 9, antialias=0)


def test_the_doctor_counts_affected_predictions(tmp_path, random, monkeypatch):
    """Fine stripes are gray to a model that sees means, and are stripes to one that sees single pixels."""
    monkeypatch.setattr("cnnexplain.plugin.registry.load", lambda: registry.collect([]))
    monkeypatch.chdir(tmp_path)
    names = []
    for number in range(4):
        pixels = np.full((60, 60, 3), 128, np.uint8)
        if number < 3:
            pixels[:] = 96
            pixels[:, 2::5] = 255
        names.append(f"{number}.png")
        Image.fromarray(pixels).save(names[-1])
    # The score of the second class is the brightness less 0.75; gray is 0.5, and the stripes that are hit are white.
    model = keras.Sequential([keras.Input((12, 12, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)])
    model.layers[-1].set_weights([np.array([[0, 1 / 3]] * 3), np.array([0, -0.75])])
    clf = cx.load(model, logits=True, preprocess={"scale": "1/255"})
    (found,) = (each for each in examine(clf, names).findings if "anti-aliasing" in each)
    assert found.startswith("Resized without anti-aliasing, like image_dataset_from_directory of Keras, 3 of 4 images")
    assert "--input-antialias false" in found
    single = cx.load(model, logits=True, preprocess={"scale": "1/255", "antialias": False})
    assert any("Resized with anti-aliasing, 3 of 4 images" in each for each in examine(single, names).findings)
    assert not any("anti-aliasing" in each for each in examine(clf, cx.read_images(names, clf)[3:]).findings)
    assert not any("anti-aliasing" in each for each in examine(clf, np.asarray(cx.read_images(names, clf))).findings)
    os.remove(names[3])
    assert examine(clf, cx.read_images(names[:3], clf)).images == 3

"""Everything that users get wrong, through the real command line: plain lines, the right exit code, nothing left behind."""

import os
import struct
import zlib
from pathlib import Path

import keras
import numpy as np
import pytest
from campaign import snapshot
from PIL import Image


def png(width, height):
    """A PNG of a few bytes that claims a size."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def unusual_files(tmp_path_factory, model):
    """A folder of files that can't be explained, and of models that can't be loaded."""
    folder = tmp_path_factory.mktemp("unusual")
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("This is not an image.")
    (folder / "code.svg").write_text("<svg/>")
    (folder / "bomb.png").write_bytes(png(60_000, 60_000))
    (folder / "large.png").write_bytes(png(12_000, 10_000))
    (folder / "zero.png").write_bytes(png(0, 5))
    values = np.zeros((28, 28), np.float32)
    Image.fromarray(values - 1).save(folder / "negative.tiff")
    values[3, 4] = np.nan
    Image.fromarray(values).save(folder / "nan.tiff")
    for suffix in ("png", "jpg", "webp", "gif", "tiff", "bmp"):
        path = folder / f"cut.{suffix}"
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (folder / "none").mkdir()
    (folder / "none" / "notes.txt").write_text("no image")
    whole = folder / "whole.keras"
    model().save(whole)
    (folder / "cut.keras").write_bytes(whole.read_bytes()[:2000])
    (folder / "text.keras").write_text("This is not a model.")
    (folder / "folder.keras").mkdir()
    (folder / "old.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    code = [keras.Input((28, 28, 1)), keras.layers.Lambda(lambda x: x), keras.layers.Flatten(), keras.layers.Dense(3)]
    keras.Sequential(code).save(folder / "code.keras")
    keras.Sequential([keras.Input((784,)), keras.layers.Dense(3)]).save(folder / "flat.keras")
    (folder / "taken").write_text("a file")
    (folder / "notes.txt").write_text("a line")
    (folder / "typo.keras").write_bytes(whole.read_bytes())
    (folder / "typo.json").write_text('{"colur": "rgb"}')
    model().save_weights(folder / "only.weights.h5")
    (folder / "mine" / "saliency").mkdir(parents=True)
    (folder / "mine" / "saliency" / "thesis.txt").write_text("years of work")
    return folder


ROWS = {
    "missing file": (2, ["no.png"], "There is no file 'no.png'."),
    "mistyped file": (2, ["empti.png"], "Did you mean 'empty.png'?"),
    "glob without a match": (2, ["*.jp2"], "No file matches '*.jp2'."),
    "empty file": (1, ["empty.png"], "The file 'empty.png' is empty."),
    "text as image": (1, ["text.png"], "'text.png' is not an image that can be read (PNG, JPEG"),
    "another format": (1, ["code.svg"], "'code.svg' is not an image that can be read"),
    "truncated PNG": (1, ["cut.png"], "'cut.png' is damaged or truncated"),
    "truncated JPEG": (1, ["cut.jpg"], "'cut.jpg' is damaged or truncated"),
    "truncated WebP": (1, ["cut.webp"], "cut.webp"),
    "truncated GIF": (1, ["cut.gif"], "'cut.gif' is damaged or truncated"),
    "truncated TIFF": (1, ["cut.tiff"], "cut.tiff"),
    "truncated BMP": (1, ["cut.bmp"], "'cut.bmp' is damaged or truncated"),
    "no pixels": (1, ["zero.png"], "zero.png"),
    "decompression bomb": (1, ["bomb.png"], "'bomb.png' has more than 100 megapixels"),
    "too many pixels": (1, ["large.png"], "'large.png' has more than 100 megapixels"),
    "NaN in an image": (1, ["nan.tiff"], "'nan.tiff' contains a value that is not finite (NaN or infinity)."),
    "negative pixels": (1, ["negative.tiff"], "'negative.tiff' has values from -1 to -1; expected 0 to 65535."),
    "one bad among good": (1, ["mnist:test/1", "text.png"], "'text.png' is not an image"),
    "folder without images": (1, ["none"], "The folder 'none' contains no image"),
    "unknown sample": (2, ["mnist:tset/42"], "Did you mean 'mnist:test/42'?"),
    "sample out of range": (2, ["mnist:test/10000"], "mnist:test/9999"),
    "option value": (2, ["--crops", "tne"], "--crops takes one of one, ten, but got 'tne'. Did you mean 'ten'?"),
    "unknown option": (2, ["--taget", "3"], "No such option: --taget"),
    "target out of range": (2, ["--target", "10"], "There is no class 10: the model has 10, 0 to 9."),
    "unknown label": (2, ["--target", "four"], "There is no class labeled 'four'."),
    "model missing": (2, ["--model", "no.keras"], "There is no model file 'no.keras'."),
    "model mistyped": (2, ["--model", "lent"], "Did you mean 'lenet'?"),
    "model is a folder": (2, ["--model", "folder.keras"], "There is no model file 'folder.keras'."),
    "model truncated": (1, ["--model", "cut.keras"], "'cut.keras' is not a Keras model file (.keras), or is truncated."),
    "old model file truncated": (1, ["--model", "old.h5"], "'old.h5' is not an HDF5 file (.h5), or is truncated."),
    "empty name": (2, [""], "An image was given by an empty name"),
    "name too long": (2, ["x" * 300], "File name too long"),
    "address": (2, ["https://example.org/x.png"], "There is no file 'https://example.org/x.png'."),
    "model is text": (1, ["--model", "text.keras"], "'text.keras' is not a Keras model file"),
    "model with code": (1, ["--model", "code.keras"], "'code.keras' contains Python code (Lambda) and is rejected"),
    "model without images": (1, ["--model", "flat.keras"], "takes (784), which is not an image"),
    "model with weights alone": (1, ["--model", "only.weights.h5"], "'only.weights.h5' contains only weights"),
    "sidecar mistyped": (1, ["--model", "typo.keras"], "There is no key 'colur'. Did you mean 'color'?"),
    "size": (2, ["--input-size", "0"], "--input-size takes whole numbers from 1 to 8192"),
    "fit mistyped": (2, ["--input-fit", "croop"], "Did you mean 'crop'?"),
    "scale": (2, ["--input-scale", "1/0"], "--input-scale takes a number above 0, such as 0.5 or '1/255', but got '1/0'."),
    "mean of two": (2, ["--input-mean", "1,2"], "Preprocess takes one finite number as mean"),
    "means of gray": (2, ["--input-mean", "1,2,3"], "Preprocess takes one finite number as mean"),
    "another size": (2, ["--input-size", "32x30"], "takes (28, 28, 1), but is declared to take (32, 30, 1)"),
    "preprocessing missing": (2, ["--preprocess", "no.json"], "There is no preprocessing file 'no.json'."),
    "preprocessing of no kind": (2, ["--preprocess", "photo"], "Expected module:name"),
    "preprocessing elsewhere": (2, ["--preprocess", "no_module:f"], "No module named 'no_module', neither installed nor"),
    "preprocessing not straight": (2, ["--preprocess", "numpy:square"], "'numpy:square' can't be the preprocessing"),
    "labels missing": (2, ["--labels", "no.txt"], "There is no labels file 'no.txt'."),
    "labels of too few": (2, ["--labels", "notes.txt"], "There is 1 label for the 10 classes"),
    "labels that are no text": (1, ["--labels", "whole.keras"], "is not text in UTF-8"),
    "weights missing": (2, ["--weights", "no.h5"], "There is no weights file 'no.h5'."),
    "weights of a file": (
        2,
        ["--model", "whole.keras", "--weights", "old.h5"],
        "Weights can only be given for models by name",
    ),
    "custom object": (
        2,
        ["--custom-objects", "Swish"],
        "Expected module:name, such as my_module:my_function, but got 'Swish'.",
    ),
    "output": (2, ["--output", "scores"], "has no output 'scores'"),
    "out is a file": (1, ["--out", "taken"], "taken"),
    "out in a file": (1, ["--out", "/dev/null/x"], "Can't write to '/dev/null/x/saliency'"),
    "out holds other files": (1, ["--out", "mine"], "contains files that cnnexplain did not write; choose another"),
}


@pytest.mark.parametrize("row", ROWS)
def test_bad_input(cli, unusual_files, monkeypatch, row):
    """All in one folder, since none may change it."""
    code, arguments, words = ROWS[row]
    monkeypatch.chdir(unusual_files)
    before = snapshot(unusual_files)
    found, _, err = cli("run", "saliency", *arguments)
    assert found == code
    assert words in err
    assert err.startswith("Error: ")
    assert len(err.splitlines()) <= 2
    assert len(err) < 400
    assert "Traceback" not in err
    assert snapshot(unusual_files) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "salency"], "No such command 'salency'. Did you mean 'saliency'?"),
        (["rnu"], "No such command 'rnu'. Did you mean 'run'?"),
        (["train", "--epochs", "0"], "'--epochs': Input should be greater than or equal to 1"),
        (["train", "--epochs", "x"], "unable to parse string as an integer, but got 'x'."),
        (["report", "--crops", "ten"], "No such option here: --crops. It belongs to 'cnnexplain run saliency'."),
        (["doctor", "--model", "m.keras"], "Give the model as an argument: cnnexplain doctor MODEL."),
        (["train", "--out", "model.h5"], "--out must end in .keras, but got 'model.h5'."),
        (["evaluate", "--model", "no.keras"], "There is no model file 'no.keras'."),
    ],
)
def test_bad_commands(cli, tmp_path, arguments, words):
    code, _, err = cli(*arguments)
    assert code == 2
    assert words in err
    assert len(err.splitlines()) <= 2
    assert list(tmp_path.iterdir()) == []


def test_training_does_not_start_if_its_output_is_not_writable(cli):
    code, out, err = cli("train", "--out", "/dev/null/m.keras")
    assert (code, out) == (1, "")
    assert err.startswith("Error: Can't write to '/dev/null/m.keras'")


def test_only_digit_models_are_evaluated_on_mnist(cli, tmp_path, model):
    model().save(tmp_path / "mine.keras")
    code, _, err = cli("evaluate", "--model", "mine.keras")
    assert code == 2
    assert "can't be evaluated on MNIST" in err


def test_missing_permissions_name_the_path(cli, tmp_path, digit_file, model, monkeypatch):
    # Root may read and write everything, so the system's answer is given in its place.
    def denied(function):
        def asked(path, *arguments, **options):
            if path.name in ("seven.png", "locked.keras"):
                raise PermissionError(13, "Permission denied")
            return function(path, *arguments, **options)

        return asked

    model().save(tmp_path / "locked.keras")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", denied(Path.read_bytes))
        patch.setattr(Path, "open", denied(Path.open))
        code, _, err = cli("run", "saliency", "seven.png")
        assert (code, err) == (1, "Error: Can't read 'seven.png': Permission denied.\n")
        code, _, err = cli("run", "saliency", "--model", "locked.keras")
        assert (code, err) == (1, "Error: Can't read 'locked.keras': Permission denied.\n")
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda *_: False)
        code, _, err = cli("run", "saliency", "seven.png")
    assert code == 1
    assert err.startswith("Error: Can't write to 'cnnexplain-out/saliency'")


def test_control_characters_in_file_names_are_escaped(cli):
    code, _, err = cli("run", "saliency", "\x1b[31mred.png")
    assert code == 2
    assert "\x1b" not in err
    assert "\\x1b[31mred.png" in err


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["run", "saliency", "seven.png"], ["train", "--epochs", "1"]])
def test_a_full_disk_is_reported_and_leaves_no_files(shell, folder, tmp_path, digit_file, arguments):
    """The system's limit on a file's size stands in for a full disk: writes fail in the middle of a file."""
    done = shell(folder / "tests/programs/limited_file_size.py", *arguments)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Error: Can't write ")
    assert "Traceback" not in done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [digit_file]

"""The command line as users type it."""

import json
import os
import signal
import subprocess
import sys
import time

import networks
import numpy as np
import pytest
from PIL import Image

from cnnexplain.cli.app import main


def test_a_run_without_images_explains_the_sample_digit(cli, tmp_path):
    code, out, err = cli("run", "saliency")
    assert (code, err) == (0, "")
    assert "explaining the sample digit mnist:test/42" in out
    assert "Wrote mnist-test-42.png, arrays.npz, index.html and result.json to cnnexplain-out/saliency" in out
    folder = tmp_path / "cnnexplain-out" / "saliency"
    assert sorted(path.name for path in folder.iterdir()) == [
        "arrays.npz",
        "index.html",
        "mnist-test-42.png",
        "result.json",
    ]
    result = json.loads((folder / "result.json").read_text())
    assert (result["images"][0]["prediction"], result["images"][0]["target"]) == ("4", "4")


def test_options_reach_the_analysis(cli, tmp_path):
    code, out, _ = cli("run", "saliency", "mnist:test/0", "mnist:test/1", "--target", "9", "--crops", "ten", "--out", "a/b")
    assert code == 0
    result = json.loads((tmp_path / "a/b/saliency/result.json").read_text())
    assert result["options"] == {"crops": "ten"}
    assert [(image["prediction"], image["target"]) for image in result["images"]] == [("7", "9"), ("2", "9")]
    assert "Wrote 2 pictures, arrays.npz, index.html and result.json to a/b/saliency" in out


def test_inverting_a_dark_digit_is_reported(cli, tmp_path, digit_file):
    with Image.open(digit_file) as digit:
        Image.fromarray(255 - np.asarray(digit)).resize((280, 280)).save(tmp_path / "photo.png")
    code, out, _ = cli("run", "saliency", "photo.png")
    assert code == 0
    assert "Inverted because dark on light: photo.png." in out
    assert "Centered on the model's 28 rows × 28 columns like MNIST's digits: photo.png." in out
    result = json.loads((tmp_path / "cnnexplain-out/saliency/result.json").read_text())
    assert (result["images"][0]["prediction"], result["images"][0]["inverted"]) == ("7", True)
    code, out, _ = cli("run", "saliency", "photo.png", "--no-invert")
    assert "Inverted" not in out


def test_assumptions_about_another_model_are_printed(cli, tmp_path, model):
    model().save(tmp_path / "mine.keras")
    code, out, _ = cli("run", "saliency", "--model", "mine.keras")
    assert code == 0
    assert "The model's input range is unknown: pixels were scaled to 0 to 1." in out
    assert "Resized to the model's 12 rows × 10 columns: mnist:test/42." in out
    assert json.loads((tmp_path / "cnnexplain-out/saliency/result.json").read_text())["input"]["assumed"] == ["range"]


def test_guessed_logits_are_reported_unless_declared(cli):
    _, model = networks.build("plain", "logits")
    model.save("scores.keras")
    said = "its outputs are assumed to be scores before a softmax. Confirm with --logits"
    for known in ([], ["--logits"]):
        code, out, _ = cli("run", "gradient-x-input", "--model", "scores.keras", *known)
        assert code == 0
        assert (said in out) != bool(known)


def test_brackets_in_names_are_printed_literally(cli, tmp_path, digit_file):
    digit_file.rename(tmp_path / "[red]seven[blue].png")
    code, out, _ = cli("run", "saliency", "[[]red]seven[[]blue].png")
    assert code == 0
    assert "│ [red]seven[blue].png" in out
    assert "Wrote red-seven-blue.png, arrays.npz, index.html and result.json to cnnexplain-out/saliency" in out
    code, _, err = cli("run", "saliency", "[/red].png")
    assert (code, err) == (2, "Error: No file matches '[/red].png'.\n")


def test_many_images_are_counted_instead_of_listed(cli, monkeypatch):
    monkeypatch.setattr("cnnexplain.cli.outcome.SHOWN", 2)
    code, out, _ = cli("run", "saliency", *(f"mnist:test/{i}" for i in range(5)))
    assert code == 0
    assert "… and 3 more" in out
    assert out.count("Wrote ") == 1
    assert "Wrote 5 pictures, arrays.npz, index.html and result.json to cnnexplain-out/saliency" in out


def test_third_party_analysis_has_a_command_with_options(cli, install, plugin_code, tmp_path):
    install("acme-scaling", plugin_code("scaling"))
    code, out, _ = cli("run", "scaling", "--help")
    assert code == 0
    for words in ("The image times a factor.", "Nobody 2026", "acme-scaling 1.5", "--scale", "A factor. (at least 0)"):
        assert words in out
    assert "--target" not in out
    assert cli("run", "scaling", "--scale", "2")[0] == 0
    assert (tmp_path / "cnnexplain-out/scaling/mnist-test-42.png").exists()
    code, _, err = cli("run", "scaling", "--scale", "-1")
    assert (code, err) == (2, "Error: --scale takes a number of at least 0, but got -1.0.\n")


WRAPPED = """
from cnnexplain.plugin import Analysis, Result, hookimpl

def run(classifier, images):
    "Is interrupted while a class is made, which Python tells by an error of its own."
    class Interrupted:
        def __set_name__(self, owner, name):
            raise KeyboardInterrupt
    try:
        type("Made", (), {"name": Interrupted()})
    except KeyboardInterrupt as error:  # From Python 3.12 on it is not wrapped.
        raise RuntimeError("Error calling __set_name__") from error

def draw(record, index): ...

@hookimpl
def cnnexplain_analyses():
    return [Analysis("aa-wrapped", run, draw, "Nobody 2026", passes=lambda *_: 0)]
"""


def test_ctrl_c_wrapped_in_another_error_is_recognized(cli, install):
    install("wrapped", WRAPPED)
    code, _, err = cli("run", "aa-wrapped")
    assert (code, err.splitlines()[-1]) == (130, "Interrupted: nothing more was written.")
    code, _, err = cli("run", "all")
    assert (code, err.splitlines()[-1]) == (
        130,
        "Interrupted; no analysis had finished. The same command with --resume continues.",
    )


def test_list_names_broken_plugins_and_shows_the_others(cli, install, plugin_code):
    install("bad-plugin", "import nothing_of_the_kind")
    install("first-maker", plugin_code("scaling"))
    install("second-maker", plugin_code("scaling"))
    code, out, err = cli("list")
    assert code == 0
    assert "saliency" in out
    assert "Warning: plugin 'bad-plugin' of bad-plugin 1.5: ModuleNotFoundError" in err
    assert "first-maker 1.5" in err
    assert "second-maker 1.5" in err
    assert cli("run", "saliency")[0] == 0
    code, _, err = cli("run", "bad-plugin")
    assert code == 2
    assert "Warning: plugin 'bad-plugin' of bad-plugin 1.5: ModuleNotFoundError" in err
    code, _, err = cli("run", "scaling", "mnist:test/1", "--scale", "2")
    assert code == 1
    assert "first-maker 1.5" in err.splitlines()[-1]
    assert "second-maker 1.5" in err.splitlines()[-1]


def test_classes_of_a_model_are_listed_with_their_indices(cli):
    code, listed, _ = cli("list", "--classes")
    assert (code, listed.split()) == (0, [word for digit in range(10) for word in (str(digit), str(digit))])
    code, listed, _ = cli("list", "--classes", "--json")
    assert (code, json.loads(listed)["classes"]) == (0, list(map(str, range(10))))
    code, _, err = cli("list", "--model", "lenet.keras")
    assert (code, err) == (2, "Error: --model applies only to --classes; add --classes.\n")


def test_list_run_help_and_version(cli):
    code, listed, _ = cli("list")
    assert code == 0
    for words in ("saliency", "arXiv:1312.6034", "cnnexplain 0.1.0", "How strongly the score"):
        assert words in listed
    assert cli("run") == (0, listed, "")
    for words in ("lenet", "keras:NAME", "NAME is one of ConvNeXtBase", "MobileNetV2", "28×28 gray → 10 classes"):
        assert words in listed
    code, out, _ = cli("run", "saliency", "--help")
    for words in (
        "How strongly the score",
        "arXiv:1312.6034",
        "--model",
        "--target",
        "--out",
        "--invert",
        "--crops",
        "one|ten",
    ):
        assert words in out
    for words in ("Model and its input", "--input-size", "stretch|crop|pad|digit", "--custom-objects", "--weights"):
        assert words in out
    assert cli("--version") == (0, "cnnexplain 0.1.0\n", "")


def test_no_arguments_show_the_help(cli):
    code, out, err = cli()
    assert code == 2
    assert "Usage: cnnexplain" in out
    assert err == ""


def test_a_missing_backend_is_reported(shell):
    done = shell("-m", "cnnexplain", "run", "saliency", env={"KERAS_BACKEND": "nothing"})
    assert done.returncode == 2
    assert done.stderr == "Error: cnnexplain has no backend 'nothing'. The backends are tensorflow, jax, torch.\n"


def test_info_shows_versions_devices_and_folders(cli):
    import keras

    code, out, _ = cli("info")
    assert code == 0
    for words in (keras.__version__, "tensorflow", "cpu:0", "lenet.keras", "mnist.npz"):
        assert words in out


def test_evaluate_prints_accuracy_log_loss_and_the_confusion_matrix(cli, lenet, small_mnist):
    from cnnexplain.training.evaluation import evaluate

    code, out, _ = cli("evaluate")
    found = evaluate(lenet)
    assert code == 0
    assert f"accuracy  {found.accuracy:.2%}" in out
    assert f"log loss  {found.loss:.4f}" in out
    for count in np.diag(found.confusion):
        assert str(count) in out


@pytest.fixture
def small_mnist(monkeypatch):
    from cnnexplain.inputs import datasets

    images, digits = datasets.mnist("train")
    monkeypatch.setattr(datasets.DataSet, "load", lambda _, split: (images[:200], digits[:200]))


def test_train_prints_each_epoch_and_the_test_accuracy(cli, tmp_path, small_mnist):
    code, out, err = cli("train", "--epochs", "2", "--batch-size", "50", "--seed", "3", "--out", "m.keras")
    assert code == 0
    assert "epoch  1: loss" in err
    assert "epoch  2: loss" in err
    assert "Saved the model of epoch" in out
    assert "Test images: log loss" in out
    assert "Wrote m.keras" in out
    assert "Wrote m.json" in out
    assert cli("evaluate", "--model", "m.keras", "--input-fit", "stretch")[0] == 0
    before = (tmp_path / "m.keras").read_bytes()
    code, _, err = cli("train", "--epochs", "1", "--out", "m.keras")
    assert (code, err) == (2, "Error: 'm.keras' exists; choose another --out, or replace it with --overwrite.\n")
    assert (tmp_path / "m.keras").read_bytes() == before
    (tmp_path / "m.keras").rename(tmp_path / "kept.keras")
    (tmp_path / "m.json").write_text("mine")
    code, _, err = cli("train", "--epochs", "1", "--out", "m.keras")
    assert (code, err) == (2, "Error: 'm.json' exists; choose another --out, or replace it with --overwrite.\n")
    assert (tmp_path / "m.json").read_text() == "mine"
    assert cli("train", "--epochs", "1", "--out", "m.keras", "--overwrite")[0] == 0
    assert json.loads((tmp_path / "m.json").read_text())["fit"] == "digit"
    assert (tmp_path / "m.keras").read_bytes() != before


def test_help_and_list_import_nothing_heavy(shell, folder):
    commands = [["--help"], ["list"], ["run"], ["run", "saliency", "--help"]]
    done = shell(folder / "tests/programs/heavy_imports.py", json.dumps(commands))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [[0, 0, 0, 0], []]


def test_the_help_of_the_program_loads_neither_commands_nor_plugins(shell):
    listed = "[name for name in sys.modules if name.startswith(('cnnexplain.cli.commands', 'cnnexplain.plugin', 'pluggy'))]"
    code = f"import sys; from cnnexplain.cli.app import main; main(['--help']); main(['runn']); print({listed})"
    done = shell("-c", code)
    assert "check-plugin" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
    assert done.stderr == "Error: No such command 'runn'. Did you mean 'run'?\n"


def test_importing_the_package_imports_neither_keras_nor_matplotlib(shell):
    done = shell("-c", "import cnnexplain, sys; print({'keras', 'matplotlib', 'numpy'} & set(sys.modules))")
    assert done.stdout == "set()\n"


@pytest.mark.slow
def test_installed_command_hides_tensorflow_messages(shell, tmp_path):
    quiet = shell("-m", "cnnexplain", "run", "saliency")
    assert (quiet.returncode, quiet.stderr) == (0, "")
    loud = shell("-m", "cnnexplain", "info", "--verbose")
    assert loud.returncode == 0
    assert "oneDNN" in loud.stderr or "cpu_feature_guard" in loud.stderr


def interrupt(tmp_path, arguments, until):
    """Starts the command, sends Ctrl-C once `until()` is true, and returns exit code and errors."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cnnexplain", *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    deadline = time.monotonic() + 300
    while not until() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert until()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_during_a_run_leaves_no_files_and_reports_it(tmp_path):
    out = tmp_path / "cnnexplain-out"
    names = [f"mnist:test/{i}" for i in range(300)]
    # The folder appears when drawing begins.
    code, _, err = interrupt(tmp_path, ["run", "saliency", *names], lambda: out.is_dir() and any(out.iterdir()))
    assert code == 130
    assert err == "Interrupted: nothing more was written.\n"
    assert not out.exists() or not list(out.iterdir())


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_during_training_keeps_the_best_model(tmp_path):
    path = tmp_path / "m.keras"
    code, out, err = interrupt(tmp_path, ["train", "--batch-size", "1000", "--out", "m.keras"], path.exists)
    assert code == 130
    assert err.splitlines()[-1] == "Interrupted: nothing more was written."
    assert "Saved the model of epoch 1" in out
    assert main(["evaluate", "--model", str(path)]) == 0

"""What the shell offers after the Tab key, asked for as the shells' scripts ask."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time

import keras
import pytest

import cnnexplain as cx
from cnnexplain.cli.app import main
from cnnexplain.loading import model_config


@pytest.fixture
def tab(monkeypatch, capfd, tmp_path):
    """What bash is offered for a line that is typed so far; the last word is the one that is being typed."""
    monkeypatch.chdir(tmp_path)

    def offered(line):
        words = ["cnnexplain", *line.split(" ")]
        monkeypatch.setenv("COMP_WORDS", "\n".join(words))
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        monkeypatch.setenv("_CNNEXPLAIN_COMPLETE", "complete_bash")
        capfd.readouterr()
        main([])
        out, err = capfd.readouterr()
        assert err == ""
        return out.split()

    return offered


def test_layers_of_the_model_on_the_command_line_are_offered(tab, model, tmp_path):
    assert tab("run deconvnet --layer conv") == ["conv1", "conv2"]
    model("nested").save(tmp_path / "mine.keras")
    assert tab("run intermediate-outputs --model mine.keras --layer ") == [
        *("body/conv", "body/pool", "body/flatten", "body/hidden", "head/scores")
    ]
    assert tab("run intermediate-outputs --model keras:VGG16 --layer ") == []
    assert tab("run intermediate-outputs --model nothing.keras --layer ") == []
    (tmp_path / "broken.keras").write_bytes(b"PK\x03\x04 nothing")
    assert tab("run intermediate-outputs --model broken.keras --layer ") == []


def shared():
    """A network whose nested model and whose activation are called twice, with a sum."""
    inner = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(3, 1, name="conv")], name="inner")
    activation = keras.layers.ReLU(name="relu")
    inputs = keras.Input((8, 8, 3))
    x = activation(inner(inputs))
    x = activation(inner(x)) + x
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax", name="out")(pooled))


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_layer_names_are_those_of_the_classifier(ending, model, tmp_path):
    for number, network in enumerate([model(), model("nested"), model("softmax"), shared()]):
        path = tmp_path / f"net{number}{ending}"
        if ending == ".h5" and number == 3:
            continue  # Keras can't read back a sum in HDF5.
        network.save(path)
        found = model_config.layers(model_config.read(path).config)
        assert sorted(found) == sorted(layer.name for layer in cx.load(path).layers)


def test_classes_come_from_the_model_or_a_labels_file(tab, model, tmp_path):
    assert tab("run saliency --target ") == list("0123456789")
    model().save(tmp_path / "mine.keras")
    assert tab("run saliency --model mine.keras --target ") == []
    (tmp_path / "mine.json").write_text('{"labels": ["cat", "dog", "sea lion", "ant", "bee"]}')
    assert tab("run saliency --model mine.keras --target ") == ["cat", "dog", "ant", "bee"]
    assert tab("run saliency --model mine.keras --against d") == ["dog"]
    (tmp_path / "names.txt").write_text("x\ny\n")
    assert tab("run saliency --model mine.keras --labels names.txt --target ") == ["x", "y"]
    assert tab("run saliency --model keras:VGG16 --target ") == []


def test_all_metrics_are_offered_as_one_word(tab):
    assert tab("benchmark --metric s") == ["smprt", "sparseness"]
    assert tab("benchmark --metric al") == ["all"]


def test_zsh_and_fish_get_the_same_completions(shell):
    zsh = shell(
        "-m",
        "cnnexplain",
        env={"_CNNEXPLAIN_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "cnnexplain run saliency --crops "},
    )
    assert zsh.stdout == '_arguments \'*: :(("one"\n"ten"))\'\n'
    line = {"_TYPER_COMPLETE_ARGS": "cnnexplain run deconvnet --layer=conv", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    fish = shell("-m", "cnnexplain", env={"_CNNEXPLAIN_COMPLETE": "complete_fish", **line})
    assert (fish.stdout, fish.stderr, fish.returncode) == ("conv1\nconv2\n", "", 0)
    line = {"_TYPER_COMPLETE_ARGS": "cnnexplain run saliency ", "_TYPER_COMPLETE_FISH_ACTION": "is-args"}
    files = shell("-m", "cnnexplain", env={"_CNNEXPLAIN_COMPLETE": "complete_fish", **line})
    assert (files.stdout, files.returncode) == ("", 1)


def test_completing_imports_nothing_heavy(shell, folder):
    done = shell(folder / "tests/programs/complete.py", "run deconvnet --layer c", "run saliency --target 1", "doctor . . k")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.skipif(shutil.which("bash") is None, reason="There is no bash.")
def test_completion_works_in_bash(tmp_path):
    (tmp_path / "cnnexplain").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cnnexplain "$@"\n')
    (tmp_path / "cnnexplain").chmod(0o755)
    # A folder whose models are found by the shell, and the script that the program prints.
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TERM": "dumb", "HOME": str(tmp_path)}
    script = subprocess.run(
        [sys.executable, "-m", "cnnexplain", "--show-completion", "bash"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    (tmp_path / "rc").write_text(script + "\nbind 'set enable-bracketed-paste off'\nPS1='ready> '\n")
    terminal, its_end = pty.openpty()
    bash = subprocess.Popen(
        ["bash", "--rcfile", "rc", "-i"],
        cwd=tmp_path,
        env=env,
        start_new_session=True,
        stdin=its_end,
        stdout=its_end,
        stderr=its_end,
    )
    os.close(its_end)

    def shown(text, wanted):
        os.write(terminal, text.encode())
        seen, deadline = "", time.monotonic() + 120
        while wanted not in seen and time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.1)[0]:
                seen += os.read(terminal, 4096).decode().replace("\a", "")
        return seen

    try:
        assert "ready> " in shown("", "ready> ")
        for line, completed in (
            ("cnnexplain run sal", "cnnexplain run saliency "),
            ("cnnexplain run deconvnet mnist:te", "cnnexplain run deconvnet mnist:test/"),
            ("cnnexplain run deconvnet --layer=co", "cnnexplain run deconvnet --layer=conv"),
            ("cnnexplain doctor keras:Den", "cnnexplain doctor keras:DenseNet"),
        ):
            assert completed in shown(f"{line}\t", completed)
            shown("\x15", "")
    finally:
        bash.kill()
        bash.wait()
        os.close(terminal)

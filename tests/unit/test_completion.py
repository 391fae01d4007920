"""What the shell offers after the Tab key, asked for as the shells' scripts ask."""

import json
import zipfile

import pytest

from cnnexplain.cli.app import main


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


def test_commands_analyses_options_and_values(tab):
    assert {"run", "list", "doctor", "evaluate", "info", "train"} <= set(tab(""))
    assert tab("run in") == ["integrated-gradients", "intermediate-outputs", "inversion"]
    assert tab("run saliency --cr") == ["--crops"]
    assert tab("run saliency --crops ") == ["one", "ten"]
    assert tab("run saliency --crops=t") == ["ten"]
    assert tab("evaluate --backend ") == ["tensorflow", "jax", "torch"]
    assert tab("run saliency --input-fit c") == ["crop"]
    assert tab("run saliency --format s") == tab("redraw out --format s") == ["svg"]
    assert tab("report --analysis sa") == tab("check-plugin sa") == ["saliency"]


def test_models_and_their_files_and_folders(tab, tmp_path):
    (tmp_path / "nets").mkdir()
    for name in ("kept.keras", "nets/old.h5", "nets/notes.txt", "a b.keras"):
        (tmp_path / name).touch()
    assert tab("run saliency --model ke")[-1] == "kept.keras"
    assert "keras:VGG16" in tab("evaluate --model ke")
    assert tab("doctor le") == ["lenet"]
    assert tab("doctor ne") == ["nets/"]
    assert tab("doctor nets/") == ["nets/old.h5"]
    # The shell itself offers what it must quote.
    assert tab("doctor a") == []


def test_samples_are_offered_ten_at_a_time(tab):
    assert tab("run saliency ") == []
    assert tab("run saliency mnist:tr") == [f"mnist:train/{digit}" for digit in range(10)]
    assert tab("run saliency mnist:test/99") == ["mnist:test/99", *(f"mnist:test/99{digit}" for digit in range(10))]
    assert tab("run saliency mnist:test/0") == ["mnist:test/0"]
    assert tab("run saliency mnist:test/9999") == ["mnist:test/9999"]
    assert tab("run deconvnet --dataset m") == ["mnist:test", "mnist:train"]


def test_bash_splits_words_at_colons(tab):
    assert tab("run saliency mnist : te")[:2] == ["test/0", "test/1"]
    assert tab("run saliency mnist :")[:2] == ["test/0", "test/1"]
    assert tab("run saliency mnist : test/7 --crops ") == ["one", "ten"]
    assert tab("run saliency --model = keras : VGG1") == ["VGG16", "VGG19"]
    assert tab("run saliency --crops = t") == ["ten"]


def test_names_with_shell_syntax_are_not_offered(tab, tmp_path):
    layers = [
        {"class_name": "Dense", "config": {"name": name}} for name in ("good", "$(bad)", "`bad`", "a b", '"', "\\", "-o")
    ]
    with zipfile.ZipFile(tmp_path / "evil.keras", "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Sequential", "config": {"layers": layers}}))
    assert tab("run intermediate-outputs --model evil.keras --layer ") == ["good", "_"]


@pytest.mark.parametrize(
    "line", ["nothing ", "run nothing --", "run saliency --nothing ", "run 'open", "--", "run saliency 'a b"]
)
def test_no_input_causes_an_error(tab, line):
    tab(line)


def test_printing_or_failing_plugins_do_not_disturb_completion(tab, install):
    from cnnexplain.plugin import registry

    install(
        "loud-plugin", "import sys\nprint('hello')\nprint('oops', file=sys.stderr)\nraise RuntimeError('no')", module="loud"
    )
    registry.load.cache_clear()
    try:
        assert tab("run sal") == ["saliency"]
    finally:
        registry.load.cache_clear()

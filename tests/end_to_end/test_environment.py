"""The program in odd surroundings, and Matplotlib's settings."""

import os
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain.cli import environment

HOSTILE = {
    "text.usetex": True,
    "font.size": 30,
    "savefig.dpi": 30,
    "savefig.bbox": "tight",
    "image.cmap": "jet",
    "axes.grid": True,
}


@pytest.fixture
def record(lenet):
    return cx.explain("saliency", lenet, "mnist:test/0")


def test_pictures_ignore_user_matplotlib_settings(record, tmp_path):
    expected = [path.read_bytes() for path in record.save(tmp_path / "plain") if path.suffix == ".png"]
    with mpl.rc_context(HOSTILE):
        before = dict(mpl.rcParams)
        found = [path.read_bytes() for path in record.save(tmp_path / "odd") if path.suffix == ".png"]
        assert dict(mpl.rcParams) == before
    assert found == expected


@pytest.mark.parametrize("given", ["0", "1", "-5", "abc", "²", "9" * 9, "9" * 5000])
def test_an_invalid_columns_variable_is_ignored(cli, monkeypatch, given):
    monkeypatch.setenv("COLUMNS", given)
    monkeypatch.setenv("TERMINAL_WIDTH", given)
    code, out, _ = cli("--help")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 300
    assert "COLUMNS" not in os.environ


def test_unsupported_characters_are_replaced():
    error = UnicodeEncodeError("ascii", "28×28 → ½", 2, 9, "no")
    assert environment._encoded(error) == ("x28 -> \\xbd", 9)


def program(folder, command, **variables):
    return subprocess.run(
        ["bash", "-c", f"{sys.executable} -m cnnexplain {command}"],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=200,
        check=False,
    )


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("list > /dev/full", 1, "Error: Can't write to standard output: No space left on device."),
        ("list --json > /dev/full", 1, "Error: Can't write to standard output: No space left on device."),
        ("list 2>&- >&- <&-", 0, ""),
        ("nonsense 2>&-", 2, ""),
        ("nonsense 2> /dev/full", 2, ""),
        ("list | head -c 1", 0, ""),
        ("> /dev/full", 1, ""),
    ],
)
def test_closed_output_streams(tmp_path, command, code, words):
    completing = {"_CNNEXPLAIN_COMPLETE": "complete_bash", "COMP_WORDS": "cnnexplain\nli", "COMP_CWORD": "1"}
    done = program(tmp_path, command, **(completing if command.startswith(">") else {}))
    assert (done.returncode, done.stderr.strip()) == (code, words)


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    """What `cnnexplain list` prints in usual surroundings."""
    return program(tmp_path_factory.mktemp("usual"), "list", COLUMNS="300").stdout


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONWARNINGS": "error", "MPLBACKEND": "nonsense"},
        {"PYTHONOPTIMIZE": "2"},
        {"HOME": "/nonexistent", "TMPDIR": "/nonexistent", "XDG_CONFIG_HOME": "/dev/null"},
    ],
)
def test_list_output_does_not_depend_on_the_environment(tmp_path, listed, variables):
    done = program(tmp_path, "list", COLUMNS="300", **variables)
    assert (done.returncode, done.stderr) == (0, "")
    if "PYTHONIOENCODING" not in variables:
        assert done.stdout == listed
    assert "28x28 gray -> 10 classes" in done.stdout or "28×28 gray → 10 classes" in done.stdout
    assert cx.analyses()["saliency"].summary[:30] in done.stdout


@pytest.mark.parametrize(
    "content",
    [
        b"text.usetex: True\nfont.size: 30\n",
        pytest.param(b"\xff\xfe", marks=pytest.mark.slow),
        pytest.param(None, marks=pytest.mark.slow),
    ],
)
def test_matplotlibrc_of_the_working_folder_is_ignored(record, tmp_path, content):
    picture = next(path for path in record.save(tmp_path / "result") if path.suffix == ".png")
    before = picture.read_bytes()
    picture.write_bytes(b"")
    if content is None:
        os.mkfifo(tmp_path / "matplotlibrc")
    else:
        (tmp_path / "matplotlibrc").write_bytes(content)
    done = program(tmp_path, "redraw result")
    assert (done.returncode, done.stderr) == (0, "")
    assert picture.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"floatx": "float99"}', "Keras can't start"),
        pytest.param("[1]", "Keras can't start", marks=pytest.mark.slow),
        pytest.param('{"backend": "nonsense"}', "Keras can't start", marks=pytest.mark.slow),
        ('{"floatx": "float16", "image_data_format": "channels_first", "epsilon": 0.5}', ""),
    ],
)
def test_keras_settings_do_not_change_results(lenet, tmp_path, content, words):
    home = tmp_path / "home"
    home.mkdir()
    (home / "keras.json").write_text(content)
    variables = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-m", "cnnexplain", "run", "saliency", "mnist:test/0"],
        cwd=tmp_path,
        env={**variables, "KERAS_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    if words:
        assert done.returncode == 1
        assert done.stderr.startswith(f"Error: {words}: ")
        assert f"Correct or remove its configuration file '{home / 'keras.json'}'" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    else:
        assert done.returncode == 0, done.stderr
        found = cx.Record.load(tmp_path / "cnnexplain-out" / "saliency").arrays["gradient"]
        expected = cx.explain("saliency", lenet, "mnist:test/0").arrays["gradient"]
        np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_deleted_working_folder_is_reported(tmp_path):
    done = program(tmp_path, "redraw x", PYTHONSAFEPATH="1")
    assert "no longer exists" not in done.stderr
    (tmp_path / "gone").mkdir()
    done = program(tmp_path, f"list; cd gone; rmdir ../gone; {sys.executable} -m cnnexplain redraw x")
    assert done.returncode == 2
    assert done.stderr.endswith("The current folder no longer exists.\n")
    assert len(done.stderr.splitlines()) == 1


def test_an_unexpected_error_is_one_line(cli, monkeypatch):
    def broken():
        raise ZeroDivisionError("x" * 5000)

    monkeypatch.setattr("cnnexplain.cli.configuration_files.default_files", broken)
    code, _, err = cli("list")
    assert code == 1
    assert err.startswith("Error: cnnexplain failed unexpectedly: ZeroDivisionError: x")
    assert len(err) < 500
    with pytest.raises(ZeroDivisionError):
        cli("list", "--verbose")

"""Configuration files: what they may say, which one counts more, and what is said of a wrong one."""

import json
import sys

import pytest

from cnnexplain.cli import configuration

pytestmark = pytest.mark.usefixtures("blank_pictures")


@pytest.fixture
def write(tmp_path):
    def put(text, name=configuration.NAME):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return put


@pytest.fixture
def default(cli):
    """The default that the help of `run saliency` shows for an option, given what to write before the command."""

    def find(flag, *before):
        code, out, err = cli(*before, "run", "saliency", "--help")
        assert code == 0, err
        # A default that is long has a line of its own.
        text = " ".join(" ".join(out.replace("│", " ").split()).partition(f" {flag} ")[2].split(" --")[0].split())
        return text.partition("[default: ")[2].partition("]")[0]

    return find


def test_precedence_command_line_nearest_file_other_files(cli, default, write, tmp_path):
    write('out = "user"\n[run.saliency]\ncrops = "ten"', "config/cnnexplain/config.toml")
    assert (default("--out"), default("--crops")) == ("user", "ten")
    # The nearer file counts more, though it says it for all analyses and the farther for this one.
    write('out = "near"\n[run.saliency]\ncrops = "one"')
    write('[run]\nout = "named"\n[run.saliency]\ncrops = "ten"', "named.toml")
    assert (default("--out"), default("--crops")) == ("near", "one")
    assert (default("--out", "--config", "named.toml"), default("--crops", "--config", "named.toml")) == ("named", "ten")
    assert cli("--config", "named.toml", "run", "saliency", "--out", "typed")[0] == 0
    assert json.loads((tmp_path / "typed/saliency/result.json").read_text())["options"] == {"crops": "ten"}


def test_model_settings_of_a_file_are_used_and_shown_in_help(cli, write, model, tmp_path):
    model().save(tmp_path / "mine.keras")
    write('model = "mine.keras"\ninput_scale = "1/127.5"\ninput-mean = [1, 1, 1]\ninput-size = [12, 10]\nlogits = false')
    assert cli("run", "saliency")[0] == 0
    said = json.loads((tmp_path / "cnnexplain-out/saliency/result.json").read_text())["input"]
    assert (said["assumed"], said["scale"], said["mean"]) == ([], pytest.approx(1 / 127.5), [1, 1, 1])
    assert "[default: mine.keras]" in cli("evaluate", "--help")[1]


@pytest.mark.parametrize(
    "key", ['custom-objects = ["evil:run"]', 'preprocess = "evil:run"', '[run]\npreprocess = "evil:run"']
)
def test_discovered_files_may_not_name_code(cli, write, tmp_path, monkeypatch, key):
    monkeypatch.delitem(sys.modules, "evil", raising=False)
    write("import pathlib\npathlib.Path('ran').touch()\ndef run(x): return x / 255", "evil.py")
    write(key)
    code, _, err = cli("run", "saliency")
    assert code == 2
    assert "names Python code, which only a file given with --config may do" in err
    assert not (tmp_path / "ran").exists()
    if "preprocess" in key:
        code, _, err = cli("--config", configuration.NAME, "run", "saliency")
        assert code == 0, err
        assert (tmp_path / "ran").exists()
        assert cli("--config", str(tmp_path / configuration.NAME), "list")[0] == 0
        # The user's own file is the user's own word.
        (tmp_path / "ran").unlink()
        write((tmp_path / configuration.NAME).read_text(), "config/cnnexplain/config.toml")
        (tmp_path / configuration.NAME).unlink()
        assert "[default: evil:run]" in cli("run", "saliency", "--help")[1]


def test_info_names_the_configuration_files_in_use(cli, write):
    write("verbose = false")
    own = write("[info]", "config/cnnexplain/config.toml")
    assert f"configuration  {own}, cnnexplain.toml" in cli("info")[1]


def test_a_bad_file_is_reported_before_keras_is_imported(shell, folder, write):
    write('modle = "x"')
    done = shell(folder / "tests/programs/heavy_imports.py", json.dumps([["run", "saliency"]]))
    codes, heavy = json.loads(done.stdout)
    assert (codes, "keras" in heavy) == ([2], False)

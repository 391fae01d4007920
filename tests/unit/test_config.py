"""Configuration files: what they may say, which one counts more, and what is said of a wrong one."""

import json
import sys

import pytest

from cnnexplain.cli import configuration


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


def test_the_command_line_counts_more_than_the_nearer_file_and_that_more_than_the_farther(cli, default, write, tmp_path):
    write('out = "user"\n[run.saliency]\ncrops = "ten"', "config/cnnexplain/config.toml")
    assert (default("--out"), default("--crops")) == ("user", "ten")
    # The nearer file counts more, though it says it for all analyses and the farther for this one.
    write('out = "near"\n[run.saliency]\ncrops = "one"')
    write('[run]\nout = "named"\n[run.saliency]\ncrops = "ten"', "named.toml")
    assert (default("--out"), default("--crops")) == ("near", "one")
    assert (default("--out", "--config", "named.toml"), default("--crops", "--config", "named.toml")) == ("named", "ten")
    assert cli("--config", "named.toml", "run", "saliency", "--out", "typed")[0] == 0
    assert json.loads((tmp_path / "typed/saliency/result.json").read_text())["options"] == {"crops": "ten"}


def test_an_own_table_counts_more_than_run_and_that_more_than_the_top(default, write):
    write('out = "top"\ninvert = true\n[run]\nout = "run"\n[run.saliency]\nout = "own"')
    assert default("--out") == "own"
    write('out = "top"\n[run.saliency]\ncrops = "ten"\n[run]\nout = "run"')
    assert default("--out") == "run"


def test_what_a_file_says_of_the_model_is_used_and_shown_in_the_help(cli, write, model, tmp_path):
    model().save(tmp_path / "mine.keras")
    write('model = "mine.keras"\ninput_scale = "1/127.5"\ninput-mean = [1, 1, 1]\ninput-size = [12, 10]\nlogits = false')
    assert cli("run", "saliency")[0] == 0
    said = json.loads((tmp_path / "cnnexplain-out/saliency/result.json").read_text())["input"]
    assert (said["assumed"], said["scale"], said["mean"]) == ([], pytest.approx(1 / 127.5), [1, 1, 1])
    assert "[default: mine.keras]" in cli("evaluate", "--help")[1]


def test_what_holds_for_all_is_not_what_another_command_calls_alike(cli, write):
    write('out = "results"')
    assert "[default: results]" in cli("run", "saliency", "--help")[1]
    assert "[default: lenet.keras]" in cli("train", "--help")[1]
    write('[train]\nout = "mine.keras"')
    assert "[default: mine.keras]" in cli("train", "--help")[1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('modle = "lenet"', "There is no option 'modle'. Did you mean 'model'?"),
        ('[run.saliancy]\ncrops = "ten"', "There is no command for the table [run.saliancy]. Did you mean 'saliency'?"),
        ('[run.saliency]\ncrops = "tne"', "'run.saliency.crops' takes one of one, ten, but got 'tne'. Did you mean 'ten'?"),
        ('[run.saliency]\ncrop = "ten"', "There is no option 'run.saliency.crop'. Did you mean 'crops'?"),
        ('crops = "ten"', "There is no option 'crops'. It belongs in [run.saliency]."),
        ("[run.occlusion]\npatch = 0", "'run.occlusion.patch' takes a number of at least 1, but got 0."),
        ('[run.occlusion]\npatch = "7"', "'run.occlusion.patch' takes a whole number, but got '7'."),
        ("[run.occlusion]\npatch = 7.5", "'run.occlusion.patch'"),
        ('[run.intermediate-outputs]\nlayer = "x"', "'run.intermediate-outputs.layer' takes a list, each a text in quotes"),
        ("input-size = [224, 0]", "'input-size' takes whole numbers from 1 to 8192"),
        ('input-fit = "crp"', "'input-fit' takes one of stretch, crop, pad, digit, but got 'crp'. Did you mean 'crop'?"),
        ('backend = "jaxx"', "'backend' takes one of tensorflow, jax, torch, but got 'jaxx'. Did you mean 'jax'?"),
        ('format = "pgn"', "'format': Pictures are written as png, svg, pdf, but got 'pgn'. Did you mean 'png'?"),
        ("dpi = 5", "'dpi': Pictures take a whole number from 20 to 1200 as dpi, but got 5."),
        ('logits = "yes"', "'logits' takes true or false, but got 'yes'."),
        ("model = 3", "'model' takes a text in quotes, but got 3."),
        ("model = true", "'model' takes a text in quotes, but got true."),
        ("[train]\nepochs = 0", "'train.epochs'"),
        ("[train]\noverwrite = true", "There is no option 'train.overwrite'."),
        ("resume = true", "There is no option 'resume'."),
        ("run = 3", "There is no option 'run'."),
        ('[saliency]\ncrops = "ten"', "There is no command for the table [saliency]. Use [run.saliency]."),
        ('[report]\nanalysis = ["salency"]', "There is no analysis 'salency'. Did you mean 'saliency'?"),
        ("[model]\nname = 1", "There is no command for the table [model]."),
    ],
)
def test_every_key_and_value_is_checked_whatever_the_command(cli, write, text, words):
    write(text)
    for command in (["run", "saliency"], ["list"]):
        code, out, err = cli(*command)
        assert (code, out) == (2, "")
        assert err.startswith("Error: In 'cnnexplain.toml': " + words)
        assert err.count("\n") == 1


def test_files_that_can_not_be_read(cli, write, tmp_path):
    code, _, err = cli("--config", "none.toml", "list")
    assert (code, err) == (2, "Error: Can't read the configuration file 'none.toml': No such file or directory.\n")
    write("[run")
    code, _, err = cli("list")
    assert (code, err[:42]) == (2, "Error: 'cnnexplain.toml' is not valid TOML")
    (tmp_path / configuration.NAME).write_bytes(b"a = '\xff'")
    assert cli("list")[0] == 2
    (tmp_path / configuration.NAME).write_bytes(b"# " + b"a" * configuration.MAX_BYTES)
    code, _, err = cli("list")
    assert (code, err) == (2, "Error: 'cnnexplain.toml' has more than 1 MiB, which is too large for a configuration file.\n")


@pytest.mark.parametrize(
    "key", ['custom-objects = ["evil:run"]', 'preprocess = "evil:run"', '[run]\npreprocess = "evil:run"']
)
def test_a_file_that_is_found_names_no_code(cli, write, tmp_path, monkeypatch, key):
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


def test_preprocessing_by_a_json_file_is_no_code(cli, write):
    write('{"scale": "1/255"}', "input.json")
    write('preprocess = "input.json"')
    assert "[default: input.json]" in cli("run", "saliency", "--help")[1]


def test_info_names_the_files_in_force(cli, write):
    write("verbose = false")
    own = write("[info]", "config/cnnexplain/config.toml")
    assert f"configuration  {own}, cnnexplain.toml" in cli("info")[1]


def test_a_wrong_file_is_told_of_before_keras_starts(shell, write):
    write('modle = "x"')
    done = shell(
        "-c", "import sys; from cnnexplain.cli.app import main; print(main(['run', 'saliency']), 'keras' in sys.modules)"
    )
    assert done.stdout == "2 False\n"

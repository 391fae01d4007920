"""Configuration files: what they may say, which one counts more, and what is said of a wrong one."""

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


def test_precedence_of_tables(default, write):
    write('out = "top"\ninvert = true\n[run]\nout = "run"\n[run.saliency]\nout = "own"')
    assert default("--out") == "own"
    write('out = "top"\n[run.saliency]\ncrops = "ten"\n[run]\nout = "run"')
    assert default("--out") == "run"


def test_shared_keys_do_not_apply_to_unrelated_options(cli, write):
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
def test_every_key_and_value_is_checked_for_any_command(cli, write, text, words):
    write(text)
    for command in (["run", "saliency"], ["list"]):
        code, out, err = cli(*command)
        assert (code, out) == (2, "")
        assert err.startswith("Error: In 'cnnexplain.toml': " + words)
        assert err.count("\n") == 1


def test_unreadable_files(cli, write, tmp_path):
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


def test_preprocessing_from_a_json_file_is_allowed(cli, write):
    write('{"scale": "1/255"}', "input.json")
    write('preprocess = "input.json"')
    assert "[default: input.json]" in cli("run", "saliency", "--help")[1]

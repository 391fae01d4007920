"""Command lines with hostile values for every option of every command: each is refused before anything is loaded."""

import itertools

import hypothesis
import pytest
import typer.main
from campaign import assert_plain
from hypothesis import strategies

from cnnexplain.cli import app as command_line

pytestmark = pytest.mark.slow

HOSTILE = (
    *("", " ", "-", "--", "-1", "0", "1e400", "nan", "inf", "-inf", "9" * 30, "9" * 5000, "1.5.2", "0x10", "½", "²", "٣"),
    *("é", "日本語", "x" * 20000, "a b", "\x00", "\x1b[31mred\x1b[0m", "\r\n", "\udcff", "[red]", "{}", "%s", "$HOME", "~"),
    *(
        "None",
        "null",
        "true",
        "--help",
        "-h",
        "--out",
        "/dev/null/x",
        "/dev/full",
        "/",
        ".",
        "..",
        "../" * 2000,
        "*",
        "**",
        "[",
    ),
    *("a:b", "os:system", "a:b:c", ":", "a,b", "1,2", "1,2,3,4", "1x1", "0x0", "9x9x9", ",", "1/0", "1/255", "lenet", "a=b"),
    "[",
)
PLAIN = ("mnist:test/0", "saliency", "0", "1", "png", "tensorflow", "lenet", "1/255", "224x224", "name")

# What is always refused, and so late that all else was looked at: nothing is ever computed.
END = ("--backend", "nonsense")


def commands(group, path=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        elif not command.hidden:
            yield (*path, name), command


ALL = dict(commands(typer.main.get_command(command_line.command_app())))
# Those that take no backend would do what they are asked to.
TRIED = {words: command for words, command in ALL.items() if any(each.name == "backend" for each in command.params)}


@strategies.composite
def typed(draw):
    """A command with some of its options, one value at least being hostile."""
    words, command = draw(strategies.sampled_from(sorted(TRIED.items(), key=lambda item: item[0])))
    found = []
    for _ in range(draw(strategies.integers(1, 4))):
        parameter = draw(strategies.sampled_from(command.params))
        value = draw(strategies.sampled_from(HOSTILE) | strategies.text(max_size=20) | strategies.sampled_from(PLAIN))
        if parameter.name in ("help", "backend"):
            continue
        if parameter.param_type_name == "argument":
            found.append([value])
        elif parameter.is_flag:
            found.append([draw(strategies.sampled_from([*parameter.opts, *parameter.secondary_opts]))])
        else:
            found.append(draw(strategies.sampled_from([[parameter.opts[0], value], [f"{parameter.opts[0]}={value}"]])))
    places = [END, *map(tuple, found)]
    return [*words, *itertools.chain.from_iterable(draw(strategies.permutations(places)))]


@hypothesis.given(words=typed())
def test_a_command_line_with_hostile_values_is_refused(cli, words, tmp_path):
    code, _, err = cli(*words)
    # A value that is "--help" is an option of its own.
    assert_plain(code, err if code else "", codes=(1, 2) if not {"--help", "-h"} & set(words) else (0, 1, 2))
    assert "failed unexpectedly" not in err
    assert not list(tmp_path.iterdir())


@hypothesis.given(
    words=strategies.lists(strategies.sampled_from([*HOSTILE, *PLAIN]) | strategies.text(max_size=9), max_size=4)
)
def test_unknown_commands_are_refused(cli, words, tmp_path):
    words = [word for word in words if word not in ("list", "info", "run")]
    code, _, err = cli("run", "saliency", *END, *words)
    assert_plain(code, err if code else "", codes=(0, 1, 2))
    assert "failed unexpectedly" not in err
    assert not list(tmp_path.iterdir())


VALUES = ("1", "-1", "[1]", "[[]]", "'x'", "nan", "inf", "9" * 5000, "9" * 4000, "1e999", "{}", "1979-05-27", "00:00:00")
written = strategies.builds(
    "{} = {}\n[run.{}]\n{} = {}".format,
    strategies.sampled_from(["dpi", "out", "model", "target", "labels", "x", "custom-objects", "input-size"]),
    strategies.sampled_from([*VALUES, "true", "'''\n'''"]),
    strategies.sampled_from(["saliency", "smoothgrad", "all", "nonsense", "'\\u001b'"]),
    strategies.sampled_from(["samples", "noise", "dpi", "invert", "resume"]),
    strategies.sampled_from([*VALUES, '"\\u0000"', "false"]),
)


@hypothesis.given(text=written | strategies.text(max_size=60))
def test_a_configuration_is_checked(cli, text, tmp_path):
    path = tmp_path / "odd.toml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    code, _, err = cli("--config", path, "run", "smoothgrad", *END)
    assert_plain(code, err, codes=(1, 2))
    assert "failed unexpectedly" not in err
    assert [each.name for each in tmp_path.iterdir()] == ["odd.toml"]

"""One signature → options, checks and errors."""

from typing import Annotated, Literal

import pytest

from cnnexplain.cli.run_options import run_options
from cnnexplain.errors import PluginError, UsageError
from cnnexplain.plugin import Analysis, Option, Result
from cnnexplain.plugin.options import COMMON, INPUTS, inputs, parameters, validate


def run(
    classifier,
    images,
    *,
    size: Annotated[int, Option("Pixels.", min=1, max=9)] = 3,
    weight: Annotated[float, Option("A weight.", min=0)] = 0.5,
    rule: Annotated[Literal["plain", "guided"], Option("A rule.")] = "plain",
    fill: Annotated[float | None, Option("A gray.")] = None,
    shown: Annotated[bool, Option("Whether.")] = True,
    layer: Annotated[tuple[str, ...], Option("Layers.")] = (),
    unit: Annotated[tuple[int, ...], Option("Units.", min=0)] = (1, 2),
    rules: Annotated[tuple[Literal["plain", "guided"], ...], Option("Rules.")] = ("plain",),
):
    """Shows nothing.

    More words.
    """
    return Result({})


def test_options_come_from_the_signature():
    found = parameters(run)
    assert [(p.name, p.flag, p.type, p.default) for p in found] == [
        ("size", "--size", int, 3),
        ("weight", "--weight", float, 0.5),
        ("rule", "--rule", str, "plain"),
        ("fill", "--fill", float, None),
        ("shown", "--shown", bool, True),
        ("layer", "--layer", str, ()),
        ("unit", "--unit", int, (1, 2)),
        ("rules", "--rules", str, ("plain",)),
    ]
    assert [p.many for p in found] == [False] * 5 + [True] * 3
    assert (found[0].option.min, found[0].option.max, found[2].choices) == (1, 9, ("plain", "guided"))
    assert inputs(run) == ("classifier", "images")
    assert Analysis("nothing", run, run, "Nobody").summary == "Shows nothing."


def test_defaults_are_filled_in_and_integers_are_accepted_as_floats():
    values = validate(parameters(run), {"weight": 2, "fill": 1})
    given = {"weight": 2.0, "fill": 1.0}
    assert values == {"size": 3, "rule": "plain", "shown": True, "layer": (), "unit": (1, 2), "rules": ("plain",)} | given
    assert isinstance(values["weight"], float)
    assert validate(parameters(run), {"fill": None})["fill"] is None


def test_repeated_options_take_one_or_several_values():
    values = validate(parameters(run), {"layer": "conv1", "unit": [3], "rules": ("guided", "plain")})
    assert (values["layer"], values["unit"], values["rules"]) == (("conv1",), (3,), ("guided", "plain"))
    assert validate(parameters(run), {"layer": []})["layer"] == ()
    # What is typed may be a number: --layer 3 is layer=3.
    assert validate(parameters(run), {"layer": [3, "4"]})["layer"] == ("3", "4")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"size": 0}, "--size takes a number from 1 to 9, but got 0"),
        ({"size": 10}, "--size takes a number from 1 to 9, but got 10"),
        ({"size": 2.5}, "--size takes an integer, but got 2.5"),
        ({"size": True}, "--size takes an integer, but got True"),
        ({"weight": -0.1}, "--weight takes a number of at least 0, but got -0.1"),
        ({"weight": float("nan")}, "--weight takes a number of at least 0, but got nan"),
        ({"weight": float("inf")}, "--weight takes a number of at least 0, but got inf"),
        ({"weight": None}, "--weight takes a number, but got None"),
        ({"rule": "gided"}, "--rule takes one of plain, guided, but got 'gided'. Did you mean 'guided'?"),
        ({"shown": 1}, "--shown takes True or False, but got 1"),
        ({"unit": [1, -1]}, "--unit takes a number of at least 0, but got -1"),
        ({"unit": [1.5]}, "--unit takes an integer, but got 1.5"),
        ({"rules": ["plain", "gided"]}, "--rules takes one of plain, guided, but got 'gided'. Did you mean 'guided'?"),
        ({"unit": []}, "--unit takes at least one value, but got none."),
        ({"layer": [None]}, "--layer takes text, but got None"),
        (
            {"sice": 1},
            "no option 'sice'. Did you mean 'size'? It takes size, weight, rule, fill, shown, layer, unit, rules.",
        ),
    ],
)
def test_errors_state_the_value_and_what_was_expected(given, words):
    with pytest.raises(UsageError) as error:
        validate(parameters(run), given)
    assert words in str(error.value)


def no_option(images, *, size: int = 3):
    """S."""


def no_default(images, *, size: Annotated[int, Option("Pixels.")]):
    """S."""


def odd_type(images, *, size: Annotated[bytes, Option("Pixels.")] = b""):
    """S."""


def reserved(images, *, target: Annotated[int, Option("Pixels.")] = 0):
    """S."""


def no_help(images, *, size: Annotated[int, Option(None)] = 0):
    """S."""


def odd_bounds(images, *, size: Annotated[int, Option("Pixels.", min="1")] = 0):
    """S."""


def bounded_word(images, *, size: Annotated[str, Option("Pixels.", min=1)] = ""):
    """S."""


def bad_default(images, *, size: Annotated[int, Option("Pixels.", min=1)] = 0):
    """S."""


def unknown_input(images, clasifier):
    """S."""


def no_docstring(images):
    return Result({})


def no_images(classifier):
    """S."""


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (no_option, "'size' without an Option"),
        (no_default, "'size' without a default"),
        (odd_type, "'size' as <class 'bytes'>"),
        (no_help, "the help None; expected a sentence"),
        (odd_bounds, "bounds that are not numbers"),
        (bounded_word, "as str with bounds, which only numbers have"),
        (reserved, "'target', but this name is reserved"),
        (bad_default, "an invalid default: --size takes a number of at least 1"),
        (unknown_input, "takes 'clasifier'.*Did you mean 'classifier'?"),
        (no_docstring, "no docstring"),
        (no_images, "takes no images: it needs a function as overview"),
    ],
)
def test_invalid_declarations_are_refused(function, words):
    with pytest.raises(PluginError, match=words):
        Analysis("broken", function, run, "Nobody")


def test_reserved_names_are_those_of_the_command_line():
    assert sorted(COMMON) == sorted(run_options(INPUTS, ""))


def test_paper_run_and_draw_are_required():
    with pytest.raises(PluginError, match="as paper"):
        Analysis("x", run, run, None)
    with pytest.raises(PluginError, match="needs a function as run, but got None"):
        Analysis("x", None, run, "Nobody")
    with pytest.raises(PluginError, match="needs a function as draw, but got None"):
        Analysis("x", run, None, "Nobody")


def test_model_analyses_have_no_maps():
    def run(classifier):
        """Shows nothing."""

    with pytest.raises(PluginError, match="can't have maps of images, but got heat"):
        Analysis("x", run, None, "Nobody", lambda record: {}, maps={"heat": "logits"})


@pytest.mark.parametrize("name", ["Saliency", "a b", "-x", "", "x_y", "../x"])
def test_names_are_lowercase_words(name):
    with pytest.raises(PluginError, match="lowercase words"):
        Analysis(name, run, run, "Nobody")


def declaring(option):
    """An analysis with one option more."""
    found = {"Annotated": Annotated, "Literal": Literal, "Option": Option}
    exec(f'def run(classifier, images, *, {option}):\n    "Shows something."', found)
    return found["run"]


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("format: Annotated[str, Option('A word.')] = ''", "'format', but this name is reserved"),
        ("dpi: Annotated[int, Option('A number.')] = 1", "'dpi', but this name is reserved"),
        ("resume: Annotated[bool, Option('Whether.')] = False", "'resume', but this name is reserved"),
        ("verify: Annotated[bool, Option('Whether.')] = False", "'verify', but this name is reserved"),
        ("control: Annotated[bool, Option('Whether.')] = False", "'control', but this name is reserved"),
        ("start: Annotated[int, Option('A number.')] = 1", "'start', but this name is reserved"),
        ("input_size: Annotated[int, Option('A number.')] = 1", "'input_size', but this name is reserved"),
        ("no_invert: Annotated[bool, Option('Whether.')] = False", "'no_invert', but this name is reserved"),
        ("a: Annotated[bool, Option('W.')] = True, no_a: Annotated[bool, Option('W.')] = True", "'a' and 'no_a'"),
        ("_a: Annotated[int, Option('A number.')] = 1", "lowercase words joined by underscores"),
        ("Size: Annotated[int, Option('A number.')] = 1", "lowercase words joined by underscores"),
        ("é: Annotated[int, Option('A number.')] = 1", "lowercase words joined by underscores"),
        (f"{'a' * 99}: Annotated[int, Option('A number.')] = 1", "lowercase words joined by underscores"),
        ("a: Annotated[tuple[bool, ...], Option('Whether.')] = ()", "as a tuple of bool"),
        ("a: Annotated[tuple[int | None, ...], Option('A number.')] = ()", "or with None"),
        ("a: Annotated[tuple[int, ...], Option('A number.')] = 1", "the default 1; expected a tuple"),
        ("a: Annotated[int, Option('A number.')] = 10 ** 5000", "got <int of 16610 bits>"),
    ],
)
def test_options_unsupported_by_the_command_line_are_refused(option, words):
    with pytest.raises(PluginError, match=words):
        Analysis("broken", declaring(option), run, "Nobody")


@pytest.mark.parametrize("value", [10**4000, -(2**63) - 1, 2**63], ids=lambda value: f"{value.bit_length()} bits")
def test_integers_are_limited_to_64_bits(value):
    declared = parameters(declaring("a: Annotated[int, Option('A number.')] = 1"))
    with pytest.raises(UsageError, match="--a takes a number, but got"):
        validate(declared, {"a": value})
    assert validate(declared, {"a": 2**63 - 1}) == {"a": 2**63 - 1}

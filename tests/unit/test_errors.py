"""What errors say of values and of other errors: one line, short, and never a second failure."""

import numpy as np
import pytest

from cnnexplain.errors import ModelError, PluginError, UsageError, foreign, line, reason, shown
from cnnexplain.interruption import interrupted


class Unwritable:
    def __repr__(self):
        raise SystemExit


class UnprintableError(Exception):
    def __str__(self):
        raise ValueError


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("four", "'four'"),
        (4.5, "4.5"),
        (None, "None"),
        (np.float32(0.5), "np.float32(0.5)"),
        (np.zeros((300, 3), np.uint8), "<ndarray of shape (300, 3), uint8>"),
        ([np.zeros(9), 1], "[<ndarray of shape (9,), float64>, 1]"),
        ([10**6000], "[<int of 19932 bits>]"),
        ({"key": "\x1b[31mred\n"}, r"{'key': '\x1b[31mred\n'}"),
        (Unwritable(), "<Unwritable>"),
    ],
)
def test_a_value_is_written_in_one_line(value, words):
    assert shown(value) == words


def test_an_invalid_argument_is_a_value_error_too():
    assert issubclass(UsageError, ValueError)
    assert not issubclass(ModelError, ValueError)


def test_errors_never_repeat_long_values():
    assert str(ModelError("x" * 5000)) == "x" * 79 + "…"
    assert str(ModelError("a word " * 500)) == ("a word " * 500)[:899] + "…"
    assert str(ModelError("two\nlines")) == "two\\nlines"
    assert str(ModelError("It is short.")) == "It is short."


def test_truncated_values_keep_their_closing_quote():
    name = "x" * 300
    assert str(ModelError(f"There is no '{name}'. Give one.")) == f"There is no '{'x' * 78}…'. Give one."
    assert str(ModelError(f"Can't read ('{name}'): gone.")) == f"Can't read ('{'x' * 77}…'): gone."
    assert str(ModelError(f'"{name}", "{name}"')) == f'"{"x" * 78}…", "{"x" * 78}…"'


@pytest.mark.parametrize("value", ["x" * 10**6, ["y"] * 10**6, "\n" * 999, dict.fromkeys(range(99), "z" * 99), b"x" * 9999])
def test_large_values_are_truncated(value):
    assert len(shown(value)) <= 80
    assert len(shown(value).splitlines()) == 1


def test_recursive_lists_are_shown():
    found = []
    found.append(found)
    assert shown(found) == "[[[[[[[...]]]]]]]"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("axes don't match"), "ValueError: axes don't match"),
        (MemoryError(), "MemoryError"),
        (KeyError("x"), "KeyError: 'x'"),
        (SystemExit(0), "SystemExit: 0"),
        (UnprintableError(), "UnprintableError"),
        (ValueError("\x1b[31mred\x1b[0m\x07"), r"ValueError: red\x07"),
        (ExceptionGroup("many", [KeyError("x")]), "ExceptionGroup: many (1 sub-exception): KeyError: 'x'"),
        (
            ValueError(
                "Exception encountered when calling Outer.call().\n\n\x1b[1mException encountered when calling Inner.call()."
                "\n\n\x1b[1mboom\x1b[0m\n\nArguments received by Inner.call():\n  • x=3\x1b[0m\n\n"
                "Arguments received by Outer.call()"
            ),
            "ValueError: boom",
        ),
        (
            TypeError(
                "Could not automatically infer the output shape / dtype of 'a' (of type A). Either the `A.call()` method is "
                "incorrect, or you need to implement the `A.compute_output_spec() / compute_output_shape()` method. Error "
                "encountered:\n\nboom"
            ),
            "TypeError: boom",
        ),
        (
            ValueError(
                "Graph execution error:\n\nDetected at node a/Reshape defined at (most recent call last):\n"
                "<stack traces unavailable>\nInput to reshape is a tensor\n\t [[{{node a/Reshape}}]] [Op:__inference_x_1]"
            ),
            "ValueError: Input to reshape is a tensor",
        ),
        (
            NotImplementedError(
                "{{function_node __wrapped__Cast_device_/job:a}} Can't cast string to float [Op:Cast] name: "
            ),
            "NotImplementedError: Can't cast string to float",
        ),
        (NotImplementedError("Can't cast [Op:Cast] name: net/cast\nat all"), "NotImplementedError: Can't cast at all"),
        (NameError("not a valid root scope name: x"), "NameError: not a valid root scope name: x"),
    ],
)
def test_an_error_is_shown_as_class_and_message(error, words):
    assert reason(error) == words


def test_long_messages_are_truncated():
    assert len(reason(ValueError("a line\n" * 10**6))) <= 200 + len("ValueError: ")
    assert len(reason(type("X" * 10**4, (Exception,), {})())) <= 80
    assert line("a  b\nc") == "a b c"


def test_errors_of_foreign_code_are_converted():
    def failing(error):
        with foreign(lambda raised: PluginError(f"It failed: {reason(raised)}"), MemoryError):
            raise error

    for error in (ValueError("x"), SystemExit(0), GeneratorExit(), StopIteration(), UnprintableError()):
        with pytest.raises(PluginError, match=r"^It failed: ") as found:
            failing(error)
        assert found.value.__cause__ is error
    with pytest.raises(KeyboardInterrupt):
        failing(KeyboardInterrupt())
    for error in (MemoryError(), ModelError("said")):
        with pytest.raises(type(error)) as found:
            failing(error)
        assert found.value is error
    with pytest.raises(PluginError, match="It failed: ModelError: x"):
        failing(ModelError("x" * 5000))
    caused = RuntimeError("of a class")
    caused.__cause__ = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        failing(caused)


def test_cyclic_causes_are_not_an_interruption():
    error = ValueError()
    error.__cause__ = error
    assert not interrupted(error)

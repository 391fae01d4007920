"""What a check measures, and how its measurements become rows and verdicts."""

import json

import numpy as np
import pytest

from cnnexplain.errors import PluginError
from cnnexplain.plugin import Analysis, Check, Measurement
from cnnexplain.results import verification_json
from cnnexplain.results.verification import CONSTANT, Row, Verification, joined

NAN = float("nan")


@pytest.mark.parametrize(
    ("measurement", "passed", "excess"),
    [
        (Measurement(0.5, 1.0), True, 0.5),
        (Measurement(2.0, 1.0), False, 2.0),
        (Measurement(0.0, 0.0), True, 0.0),
        (Measurement(1e-9, 0.0), False, float("inf")),
        (Measurement(NAN, 1.0), False, float("inf")),
        (Measurement(3.0), None, -1.0),
        (Measurement(None, detail="no map"), None, -1.0),
    ],
)
def test_a_value_up_to_the_limit_passes(measurement, passed, excess):
    assert measurement.passed is passed
    assert measurement.excess == excess


def test_numbers_of_numpy_become_floats():
    found = Measurement(np.float32(0.5), np.array(1))
    assert (type(found.value), type(found.limit), found.passed) == (float, float, True)
    document = Verification("mine", {}, (), (row(found),), 1.0).as_json()
    assert json.loads(json.dumps(document))["checks"][0]["passed"] is True


@pytest.mark.parametrize("number", ["1e-4", [1.0], np.zeros(2), 1j, 10**400])
def test_what_is_no_number_is_no_measurement(number):
    for arguments in ((number, 1.0), (1.0, number)):
        with pytest.raises(PluginError, match=r"A measurement has the (value|limit) .*; expected a number or None"):
            Measurement(*arguments)


def test_a_detail_is_text():
    with pytest.raises(PluginError, match="A measurement has the detail 3; expected text"):
        Measurement(1.0, 1.0, 3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((3, "It is.", print), "A check has the name 3"),
        (("", "It is.", print), "A check has the name ''"),
        (("x" * 61, "It is.", print), "up to 60 printable characters"),
        (("sum", None, print), "'sum' has the meaning None; expected text"),
        (("sum", "It is.", 3), "'sum' needs a function as run, but got 3"),
    ],
)
def test_a_check_has_a_name_a_meaning_and_a_function(arguments, words):
    with pytest.raises(PluginError, match=words):
        Check(*arguments)


def run(classifier):
    """Shows nothing."""


@pytest.mark.parametrize("checks", [3, "gradient", [3], {"gradient": 1}])
def test_checks_must_be_checks(checks):
    with pytest.raises(PluginError, match=r"'mine' has the checks .*; expected a tuple of Check objects"):
        Analysis("mine", run, None, "Nobody 2026", lambda record: {}, checks=checks)


CHECK = Check("sum", "The parts add up.", lambda subject: Measurement(0.0))
OTHER = Check("seeds", "Seeds agree.", lambda subject: Measurement(0.0))


def row(*measurements, error=""):
    return Row("definition", CHECK, measurements, error)


def test_a_row_shows_the_worst_image_and_fails_with_any():
    found = row(Measurement(None, detail="none"), Measurement(0.1, 1.0), Measurement(3.0, 2.0), Measurement(9.0))
    assert found.worst == 2
    assert (found.value, found.limit, found.verdict) == ("3", "2", "FAILED")
    assert row(Measurement(0.1, 1.0), Measurement(9.0)).verdict == "passed"
    assert row(Measurement(9.0)).verdict == "–"
    assert row(error="The check can't be completed.").verdict == "FAILED"


def test_a_verification_is_strict_json_and_says_what_failed():
    rows = (row(Measurement(0.1, 1.0)), row(Measurement(NAN, 1.0)), row(Measurement(None, detail="no map")))
    found = Verification("mine", {"name": "net"}, ("a.png",), rows, 1.5)
    document = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert document["passed"] is False
    assert [each["passed"] for each in document["checks"]] == [True, False, None]
    assert document["checks"][1]["value"] is None
    assert found.conclusion == "mine: 1 of 2 checks failed: sum."
    assert Verification("mine", {}, (), rows[:1], 1.0).conclusion == "mine: the 1 check passed."
    assert "0.1" in repr(found)
    assert Verification("mine", {}, (), rows[2:], 1.0).conclusion == "mine: no check applies."


def test_a_conclusion_counts_what_has_no_verdict_and_names_constant_maps():
    passed, constant = Measurement(0.1, 1.0), Measurement(None, detail=CONSTANT)

    def outcome(images, *rows):
        return Verification("mine", {}, tuple(map(str, range(images))), tuple(row(*each) for each in rows), 1.0).outcome

    assert outcome(1, [passed], [passed]) == "all 2 checks passed"
    assert outcome(1, [passed], [passed], [Measurement(0.5)]) == "2 checks passed, 1 without a verdict"
    assert outcome(1, [passed], [constant], [constant]) == "1 check passed, 2 without a verdict; the map is constant"
    assert outcome(3, [passed] * 3, [passed, passed, constant]) == "all 2 checks passed; 1 of 3 maps is constant"
    failed = outcome(3, [Measurement(2.0, 1.0)] * 3, [passed, constant, constant])
    assert failed == "1 of 2 checks failed: sum; 2 of 3 maps are constant"
    assert outcome(1, [constant]) == "no check applies; the map is constant"


def test_parts_join_to_one_verification():
    first = Verification("mine", {}, ("a", "b"), (row(Measurement(0.5, 1.0), Measurement(2.0, 1.0)),), 1.0)
    second = Verification(
        "mine", {}, ("c",), (row(Measurement(0.25, 1.0)), Row("stability", OTHER, (Measurement(0.0, 1.0),))), 2.0
    )
    third = Verification("mine", {}, ("d", "e"), (row(Measurement(0.5, 1.0), error="It stops."),), 4.0)
    found = joined([first, second])
    assert (found.images, found.seconds, found.failed) == (("a", "b", "c"), 3.0, ("sum",))
    assert [each.value for each in found.rows[0].measurements] == [0.5, 2.0, 0.25]
    assert [each.detail for each in found.rows[1].measurements] == ["not checked", "not checked", ""]
    stopped = joined([second, third])
    assert (stopped.rows[0].error, stopped.rows[0].verdict) == ("It stops.", "FAILED")
    assert [len(each.measurements) for each in stopped.rows] == [3, 3]
    assert joined([first]) is first
    assert joined([]) is None


INF = float("inf")


@pytest.mark.parametrize("limit", [1.0, NAN, INF, None])
@pytest.mark.parametrize("value", [0.5, 2.0, NAN, INF, -INF, None])
def test_a_verdict_survives_the_file(value, limit):
    measurement = Measurement(value, limit, "words")
    found = Verification("mine", {"name": "net"}, ("a.png",), (row(measurement),), 1.5)
    content = json.loads(json.dumps(verification_json.write(found), allow_nan=False))
    verification_json.check(content, 1)
    read = verification_json.read(content, {"analysis": "mine", "model": {"name": "net"}}, [{"source": "a.png"}])
    assert (read.rows[0].passed, read.rows[0].shown.detail) == (found.rows[0].passed, measurement.detail)
    assert verification_json.write(read) == content
    assert (read.analysis, read.model, read.images, read.seconds) == ("mine", {"name": "net"}, ("a.png",), 1.5)


def test_long_texts_of_a_plugin_are_cut():
    check = Check("sum", "m" * 20_000, lambda subject: Measurement(0.0))
    rows = (Row("definition", check, (Measurement(0.0, 1.0, "d" * 20_000),), "e" * 20_000),)
    content = verification_json.write(Verification("mine", {}, ("a",), rows, 1.0))
    verification_json.check(content, 1)
    assert len(content["checks"][0]["images"][0]["detail"]) == 10_000


def test_an_error_survives_the_file():
    found = Verification("mine", {}, ("a", "b"), (row(Measurement(0.5, 1.0), error="It stops."),), 1.5)
    content = verification_json.write(found)
    verification_json.check(content, 2)
    read = verification_json.read(content, {"analysis": "mine", "model": {}}, [{"source": "a"}, {"source": "b"}])
    assert (read.rows[0].error, read.passed) == ("It stops.", False)

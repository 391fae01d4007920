"""The arithmetic of the benchmarks: medians, ratios, the agreement of numbers, JSON files and their comparison."""

import importlib.util
import itertools
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """The benchmarks are programs of the checkout, not part of the package."""
    monkeypatch.syspath_prepend(str(ROOT))


def scripted(*values):
    """A timer that returns the given values in turn, in seconds by the clock and twice as many of the processor."""
    from benchmarks.timing import Sample

    left, calls = iter(values), []

    def timer(count):
        value = next(left)
        calls.append((count, value))
        return Sample(value, 2 * value)

    timer.calls = calls
    return timer


def contender(median):
    return {"first": 2.0, "median": median, "samples": [median], "cpu": [median]}


def row(name, ratio=None, median=1.0, **other):
    """A measured row; without a ratio, it has no limit."""
    made = {"work": name, "subject": "LeNet", "backend": "tensorflow", "unit": "s", "goal": None, "peers": {}}
    made["contenders"] = {"ours": contender(median)}
    if ratio is not None:
        made |= {"ratio": ratio, "cpu_ratio": ratio}
        made["contenders"]["limit"] = contender(median / ratio)
    return made | other


def test_median_is_over_the_samples_after_the_first_call():
    from benchmarks.timing import alternate

    measured = alternate({"ours": scripted(4, 4, 1, 2, 6)}, 3)["ours"]
    assert measured.first.value == 4
    assert [each.value for each in measured.samples] == [1, 2, 6]
    assert measured.median == 2
    assert measured.as_json() == {"first": 4, "median": 2, "samples": [1, 2, 6], "cpu": [2, 4, 12]}


def test_first_call_counts_if_it_is_the_only_one():
    from benchmarks.timing import alternate, ratio

    measured = alternate({"ours": scripted(6), "limit": scripted(4)}, 0)
    assert measured["ours"].median == 6
    assert ratio(measured["ours"], measured["limit"]) == 1.5


def test_fast_calls_are_repeated_within_a_sample_and_slow_ones_are_not():
    from benchmarks.timing import alternate

    fast, slow = scripted(1.0, 0.01, 0.02), scripted(6.0, 7.0)
    alternate({"fast": fast, "slow": slow}, 1)
    assert fast.calls == [(1, 1.0), (1, 0.01), (5, 0.02)]
    assert slow.calls == [(1, 6.0), (1, 7.0)]


def test_ratio_is_the_median_over_rounds_not_the_ratio_of_medians():
    from benchmarks.timing import Measured, Sample, ratio

    # The machine was busy in the second round, for both.
    ours = Measured(Sample(0, 0), [Sample(2, 1), Sample(40, 1), Sample(6, 1)])
    limit = Measured(Sample(0, 0), [Sample(1, 1), Sample(20, 4), Sample(2, 2)])
    assert ratio(ours, limit) == 2
    assert ratio(ours, limit, cpu=True) == 0.5
    assert math.isnan(ratio(Measured(Sample(1, 1)), Measured(Sample(0, 0))))


def test_contenders_alternate_in_changing_order():
    from benchmarks.timing import Sample, alternate

    order = []

    def timer(name):
        return lambda _: order.append(name) or Sample(9, 9)

    alternate({name: timer(name) for name in "ab"}, 3)
    assert "".join(order) == "ab" + "ab" + "ba" + "ab"


def test_no_round_starts_after_the_deadline():
    from benchmarks.timing import alternate

    measured = alternate({"ours": scripted(*itertools.repeat(9, 3))}, 5, seconds=0)
    assert len(measured["ours"].samples) == 1


def test_results_of_a_call_share_its_time(monkeypatch):
    from benchmarks import timing

    clock = iter([0, 6])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    assert timing.local(lambda: None, results=3)(2).value == 1


def test_numbers_agree_up_to_a_share_of_outliers():
    from benchmarks.rows import compare

    expected = {"map": np.array([0.0, 4.0, -8.0, 1.0])}
    worst, share = compare({"map": [0.0, 4.0, -8.0, 1.0], "other": [1]}, expected)
    assert (worst, share) == (0, 0)
    worst, share = compare({"map": [0.0, 4.0, -8.004, 3.0]}, expected)
    assert worst == pytest.approx(0.25)
    assert share == 0.25
    assert compare({"map": [0.0, 4.0, -8.0, np.nan]}, expected)[1] == 0.25
    with pytest.raises(ValueError, match=r"shape \(4,\), but ours has \(2,\)"):
        compare({"map": [0.0, 4.0]}, expected)


def test_row_reports_ratio_difference_and_peers():
    from benchmarks.rows import measure
    from benchmarks.rows import row as compared

    peers = {"peer": scripted(6, 6), "remote": scripted(8, 8), "remote limit": scripted(4, 4)}
    made = compared("work", "LeNet", lambda: {"x": [1.0, 2.0]}, lambda: {"x": np.array([1.0, 2.5])}, 1.1)
    timers = {"ours": lambda _: [call(1) for call in (made.timers["ours"], scripted(6))][1]}
    timers |= {"limit": lambda _: [call(1) for call in (made.timers["limit"], scripted(3))][1], **peers}
    result = measure(type(made)(**{**made.__dict__, "timers": timers, "repeat": False}), 1, 60)
    assert result["ratio"] == result["cpu_ratio"] == 2
    assert result["peers"] == {"peer": 2, "remote": 2}
    assert result["difference"] == pytest.approx(0.2)
    assert not result["agrees"]
    json.dumps(result)


def test_json_file_keeps_other_rows(tmp_path):
    from benchmarks.tables import read, write

    path = tmp_path / "report.json"
    write({"commit": "1", "rows": [row("a", 2.0), row("b", 3.0)]}, path)
    write({"commit": "2", "rows": [row("b", 1.0), row("b", 9.0, backend="jax")]}, path)
    report = read(path)
    assert report["commit"] == "2"
    assert [(each["work"], each["backend"], each["ratio"]) for each in report["rows"]] == [
        ("a", "tensorflow", 2.0),
        ("b", "tensorflow", 1.0),
        ("b", "jax", 9.0),
    ]


@pytest.mark.parametrize(("ratio", "status"), [(2.2, 0), (2.4, 1), (1.0, 0)])
def test_comparison_fails_if_a_row_became_slower(tmp_path, ratio, status):
    from benchmarks.tables import write

    before, after = tmp_path / "before.json", tmp_path / "after.json"
    write({"rows": [row("saliency", 2.0), row("gone", 1.0)]}, before)
    write({"rows": [row("saliency", ratio, median=50.0), row("new", 1.0)]}, after)
    program = [sys.executable, str(ROOT / "benchmarks" / "compare.py"), str(before), str(after)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert f"{ratio:.2f}" in done.stdout
    assert ("SLOWER" in done.stdout) == bool(status)
    assert "LeNet gone tensorflow: not measured again" in done.stdout


def test_row_without_limit_is_compared_by_its_value():
    from benchmarks.compare import changes

    [change] = changes({"rows": [row("report", median=8.0)]}, {"rows": [row("report", median=10.0)]})
    assert change.factor == 1.25


def test_line_shows_quantities_and_goals():
    from benchmarks.tables import line, quantity

    assert [quantity(value, unit) for value, unit in ((0.0123, "s"), (12.34, "s"), (1234.5, "MiB"))] == [
        "12.3 ms",
        "12.3 s",
        "1234 MiB",
    ]
    assert "120 s" in line(row("report", goal=120))
    assert "DIFFERS" in line(row("saliency", 2.0, difference=0.5, agrees=False))
    assert "Captum 1.02" in line(row("saliency", 2.0, peers={"Captum": 1.02}))


def test_tables_replace_the_text_between_markers():
    spec = importlib.util.spec_from_file_location("make_performance", ROOT / "docs" / "make_performance.py")
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    after = {"rows": [row("saliency", 1.25, goal=1.3, peers={"Captum": 1.02}), row("report", median=8.0, goal=5)]}
    assert page.table(after, {"rows": [row("saliency", 2.5)]}).splitlines()[2:] == [
        "| saliency | LeNet | 1 s | 800 ms | 2 s | 2.50 | **1.25** | 1.3 | 1.02 |",
        "| report | LeNet | 8 s |  | 2 s |  | 8 s | 5 s |  |",
    ]
    assert page.gpu_table(after).splitlines()[2] == "| saliency | LeNet | 1 s | 800 ms | 1.25 |"
    text = "a\n<!-- table -->\nold\n<!-- end of table -->\nb"
    assert page.replaced(page.replaced(text, "table", "new"), "table", r"\1") == text.replace("old", "\n\\1\n")
    for mark in ("table", "gpu"):
        assert page.replaced(page.PAGE.read_text(encoding="utf-8"), mark, "")

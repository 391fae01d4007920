"""Declarations of metrics."""

import pytest

from cnnexplain.errors import PluginError
from cnnexplain.plugin import Metric, registry


def run(maps, random):
    """How large a map is."""


GOOD = {
    "name": "size",
    "run": run,
    "paper": "Nobody 2026",
    "scores": {"mean": "higher"},
    "protocol": "No settings.",
    "limitations": "It says nothing.",
}


def test_a_metric_reads_its_summary_and_inputs_from_its_function():
    metric = Metric(**GOOD)
    assert metric.summary == "How large a map is."
    assert metric.inputs == ("maps", "random")


def unknown(maps, img):
    """Takes another input."""


def without_maps(image):
    """Takes no maps."""


def without_text(maps):
    pass


BAD = {
    "name": ({"name": "Size of Maps"}, "metric name 'Size of Maps' must be lowercase words joined by hyphens"),
    "reserved name": ({"name": "all"}, "can't be called 'all', which stands for all metrics"),
    "run": ({"run": 3}, "needs a function as run, but got 3"),
    "paper": ({"paper": ""}, "has '' as paper; expected a sentence"),
    "limitations": ({"limitations": None}, "has None as limitations; expected a sentence"),
    "protocol": ({"protocol": " "}, "has ' ' as protocol; expected a sentence"),
    "no scores": ({"scores": {}}, r"has \{\} as scores; expected a dict from names to 'higher' or 'lower' or 'neither'"),
    "direction": ({"scores": {"mean": "hihger"}}, "has 'hihger' for the score 'mean'.*Did you mean 'higher'"),
    "score's name": ({"scores": {"x" * 41: "higher"}}, "expected a printable name of at most 40 characters"),
    "an unknown input": ({"run": unknown}, "takes 'img', but the inputs of a metric are maps, image,"),
    "no maps": ({"run": without_maps}, "takes no 'maps', which are what it evaluates"),
    "no docstring": ({"run": without_text}, "has no docstring; its first line is the summary"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_declaration_that_breaks_a_rule_is_refused(kind):
    change, words = BAD[kind]
    with pytest.raises(PluginError, match=words):
        Metric(**{**GOOD, **change})


def test_the_built_in_metrics_come_from_an_entry_point():
    metrics = registry.load().metrics
    assert {"deletion", "insertion"} <= set(metrics)
    assert {plugin.name for plugin in metrics.suppliers.values()} == {"metrics"}


@pytest.mark.parametrize("name", registry.load().metrics)
def test_a_built_in_metric_says_what_it_computes_and_what_it_cannot_tell(name):
    metric = registry.load().metrics[name]
    assert metric.summary.endswith(".")
    assert metric.limitations.endswith(".")
    assert metric.protocol.endswith(".")
    assert metric.protocol[0] == metric.protocol[0].upper()


PLUGIN = """
from cnnexplain.plugin import Metric, hookimpl

def run(maps):
    "The mean of a map."
    return {"mean": maps.mean(axis=(1, 2))}

@hookimpl
def cnnexplain_metrics():
    return [Metric("map-mean", run, "Nobody 2026", {"mean": "neither"}, "No settings.", "It says nothing.")]
"""


def test_a_plugin_with_metrics_only_is_found(install):
    install("acme-metrics", PLUGIN)
    found = registry.load()
    assert found.problems == ()
    assert found.metrics.pick("map-mean")[1].distribution == "acme-metrics"


def test_a_broken_metric_is_reported_with_its_plugin_and_the_others_work(install):
    install("bad-metrics", PLUGIN.replace('"neither"', '"nothing"'))
    found = registry.load()
    (problem,) = found.problems
    assert "bad-metrics 1.5: The metric 'map-mean' has 'nothing' for the score 'mean'" in str(problem)
    assert "deletion" in found.metrics


def test_two_metrics_with_one_name_are_an_error_that_names_both(install):
    install("first-meter", PLUGIN)
    install("second-meter", PLUGIN)
    with pytest.raises(PluginError, match=r"first-meter 1\.5 and plugin .*each offers a metric named 'map-mean'"):
        registry.load().metrics.pick("map-mean")

"""Real plugin packages, whole and broken, found through their entry points."""

from importlib.metadata import entry_points

import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain.errors import PluginError, UsageError
from cnnexplain.plugin import registry


def test_third_party_plugins_run_like_built_in_ones(install, plugin_code, lenet, noise, tmp_path):
    install("acme-scaling", plugin_code("scaling"))
    record = cx.explain("scaling", lenet, noise, scale=3)
    np.testing.assert_allclose(record.arrays["scaled"], 3 * noise)
    assert record.facts["mean"] == pytest.approx(noise.mean(axis=(1, 2, 3)).tolist())
    assert record.explained[0].target is None
    assert record.provenance["plugin"] == {"name": "acme-scaling", "distribution": "acme-scaling", "version": "1.5"}
    assert len(record.save(tmp_path / "out")) == 4 + 4
    with pytest.raises(UsageError, match="takes no target"):
        cx.explain("scaling", lenet, noise, target=1)


BROKEN = {
    "import error": (
        "import a_module_that_is_not_there",
        "ModuleNotFoundError: No module named 'a_module_that_is_not_there'",
    ),
    "syntax error": ("def (", "SyntaxError"),
    "exit": ("raise SystemExit(3)", "SystemExit: 3"),
    "no exception": ("class Base(BaseException):\n    pass\nraise Base('odd')", "Base: odd"),
    "unprintable": (
        "class OddError(Exception):\n    def __str__(self):\n        raise ValueError\nraise OddError",
        "OddError",
    ),
    "long": ("raise ValueError('line\\n' * 5000)", "ValueError: line line"),
    "endless": (
        "import itertools\nfrom cnnexplain.plugin import hookimpl\n@hookimpl\ndef cnnexplain_analyses():\n"
        "    return itertools.count()",
        "must return a list of Analysis, but it contains 0",
    ),
    "no hook": (
        "x = 1",
        "no function 'cnnexplain_analyses' or 'cnnexplain_models' or 'cnnexplain_metrics' or 'cnnexplain_references' marked",
    ),
    "hook raises": (
        "from cnnexplain.plugin import hookimpl\n@hookimpl\ndef cnnexplain_analyses():\n    return 1 / 0",
        "ZeroDivisionError: division by zero",
    ),
    "hook with an argument": (
        "from cnnexplain.plugin import hookimpl\n@hookimpl\ndef cnnexplain_analyses(x):\n    return []",
        "PluginValidationError",
    ),
    "no analyses": (
        "from cnnexplain.plugin import hookimpl\n@hookimpl\ndef cnnexplain_analyses():\n    return ['saliency']",
        "must return a list of Analysis, but it contains 'saliency'",
    ),
    "forgotten return": (
        "from cnnexplain.plugin import hookimpl\n@hookimpl\ndef cnnexplain_analyses():\n    []",
        "returned nothing; expected a list of Analysis",
    ),
    "bad signature": (
        "from cnnexplain.plugin import Analysis, hookimpl\n"
        "def run(images, *, size: int = 3):\n    'S.'\n"
        "@hookimpl\ndef cnnexplain_analyses():\n    return [Analysis('odd', run, run, 'Nobody')]",
        "'size' without an Option",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_plugin_is_reported_and_others_work(install, lenet, noise, kind):
    code, cause = BROKEN[kind]
    before = set(registry.collect(entry_points(group="cnnexplain")).analyses)
    assert len(before) >= 12
    install("bad-plugin", code, point="oddity")
    found = registry.load()
    assert set(found.analyses) == before
    (problem,) = found.problems
    assert str(problem).startswith("plugin 'oddity' of bad-plugin 1.5: ")
    assert cause in str(problem)
    assert len(str(problem)) < 400
    assert len(cx.explain("saliency", lenet, noise)) == 4
    with pytest.raises(UsageError, match=r"There is no analysis 'odd'.*plugin 'oddity' of bad-plugin 1.5"):
        cx.explain("odd", lenet, noise)


def test_duplicate_analysis_names_report_both_plugins(install, plugin_code, lenet, noise):
    install("first-maker", plugin_code("scaling"))
    install("second-maker", plugin_code("scaling"))
    with pytest.raises(PluginError, match=r"first-maker 1\.5 and plugin .*second-maker 1\.5.*named 'scaling'"):
        cx.explain("scaling", lenet, noise)
    assert len(cx.explain("saliency", lenet, noise)) == 4


def test_an_unknown_analysis_gets_a_suggestion(lenet, noise):
    with pytest.raises(UsageError, match=r"no analysis 'salency'. Did you mean 'saliency'?"):
        cx.explain("salency", lenet, noise)


RESULTS = {
    "none": ("None", "returned a NoneType; expected a Result"),
    "one map for all": ("Result({'map': images[0]})", "array 'map' of shape"),
    "objects": ("Result({'map': images.astype(object)})", "returned object in 'map'; expected numbers"),
    "a list": ("Result({'map': [1, 2]})", "array 'map'"),
    "the input's name": ("Result({'input': images})", "an array named 'input'; expected a printable name"),
    "a parameter's name": (
        "Result({'allow_pickle': images})",
        "an array named 'allow_pickle'; expected a printable name",
    ),
    "a path": ("Result({'../x': images})", "an array named '../x'; expected a printable name"),
    "one fact for all": ("Result({'map': images}, {'mean': 3.0})", "fact 'mean'; expected a list with one entry per image"),
    "a text for all": ("Result({'map': images}, {'name': 'four'})", "fact 'name'; expected a list with one entry per image"),
    "a fact that is no JSON": (
        "Result({'map': images}, {'mean': list(images[:, 0, 0, 0])})",
        "fact 'mean', which is not JSON",
    ),
    "a fact that is not finite": (
        "Result({'map': images}, {'mean': [float('nan')] * 4})",
        "fact 'mean', which is not JSON",
    ),
    "an error of its own": (
        "images[99]",
        r"run.. of 'scaling' failed: IndexError: .* \(bad_result_module.py, line 8\)",
    ),
}


@pytest.mark.parametrize("kind", RESULTS)
def test_a_result_that_breaks_the_contract_is_refused(install, plugin_code, lenet, noise, kind):
    value, words = RESULTS[kind]
    code = plugin_code("scaling").replace("return Result({", f"return {value}\n    ({{", 1)
    install("bad-result", code)
    with pytest.raises(PluginError, match=words):
        cx.explain("scaling", lenet, noise)


@pytest.mark.parametrize(
    ("end", "words"),
    [("return None", "returned None"), ("1 / 0", r"failed: ZeroDivisionError: .*drawing_module.py, line \d+\)")],
)
def test_a_failing_draw_is_reported(install, plugin_code, lenet, noise, end, words):
    install("bad-drawing", plugin_code("scaling").replace("return figure", end))
    with pytest.raises(PluginError, match=rf"draw\(\) of 'scaling' {words}"):
        cx.explain("scaling", lenet, noise).figure(0)


@pytest.mark.parametrize("does", ["raise SystemExit(0)", "import sys; sys.exit(0)", "raise BaseException('odd')"])
def test_a_plugin_that_exits_has_failed(install, plugin_code, cli, does):
    code = plugin_code("scaling").replace("    return Result", f"    {does}\n    return Result")
    install("leaving", code)
    code, _, err = cli("run", "scaling", "mnist:test/0")
    assert code == 1
    assert err.startswith("Error: plugin 'leaving' of leaving 1.5: run() of 'scaling' failed: ")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("size", ["(0, 0)", "(1e5, 1)", "(float('nan'), 1)"])
def test_figures_of_invalid_size_are_refused(install, plugin_code, lenet, noise, tmp_path, size):
    code = plugin_code("scaling").replace("return figure", f"figure.bbox_inches.p1 = {size}; return figure")
    install("sizing", code)
    with pytest.raises(PluginError, match=r"plugin 'sizing' of sizing 1.5: draw\(\) of 'scaling' returned a figure of"):
        cx.explain("scaling", lenet, noise).save(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_figure_that_cannot_be_written_names_its_plugin(install, plugin_code, lenet, noise, tmp_path):
    code = plugin_code("scaling").replace("return figure", "figure.text(0, 0, '$\\\\nonsense$'); return figure")
    install("writing", code)
    with pytest.raises(
        PluginError, match=r"A figure of plugin 'writing' of writing 1.5: draw\(\) .* can't be drawn: ValueError"
    ):
        cx.explain("scaling", lenet, noise).save(tmp_path / "out")


def test_non_finite_values_are_refused(install, plugin_code, lenet, noise):
    install("not-finite", plugin_code("scaling").replace("np.float32(scale)", "np.float32('nan')"))
    with pytest.raises(cx.ModelError, match="not finite"):
        cx.explain("scaling", lenet, noise)

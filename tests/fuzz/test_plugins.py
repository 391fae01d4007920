"""Plugins that misbehave at one place: each ends in one plain error that names it, and harms no other."""

import itertools
import sys
import tempfile
from pathlib import Path

import hypothesis
import pytest
from campaign import LONGEST
from hypothesis import strategies

import cnnexplain as cx
from cnnexplain.pipeline import plan
from cnnexplain.plugin import registry

pytestmark = pytest.mark.slow

PLUGIN = """
from typing import Annotated, Literal
import numpy as np
from cnnexplain.plugin import Analysis, NamedModel, Option, Panel, Pretrained, Result, hookimpl

class Unprintable(Exception):
    def __str__(self):
        raise ValueError
class Base(BaseException):
    pass
class Unwritable:
    def __repr__(self):
        raise SystemExit
def loop():
    return loop()
def circle():
    found = []
    found.append(found)
    return found

{module}

def run(classifier, images, progress, {options}):
    "Something odd."
    arrays = {{"map": images[..., 0]}}
    facts = {{"mean": [0.0] * len(images)}}
    {run}
    return Result(arrays, facts)

def draw(record, index):
    from matplotlib.figure import Figure
    figure = Figure(figsize=(1, 1))
    {draw}
    return figure

def finding(record, index):
    {finding}
    return "A finding."

def panels(record, index):
    {panels}
    return [Panel("Maps", record.arrays["map"][index][None], ["0"], "units")]

def overlay(record, index):
    {overlay}
    return record.arrays["map"][index]

def passes(classifier, options):
    {passes}
    return 1

def unit(options):
    {unit}
    return "units"

def load(weights):
    {load}

@hookimpl
def cnnexplain_analyses():
    {hook}
    given = dict(
        name="odd", run=run, draw=draw, paper="Nobody 2026", finding=finding, panels=panels, overlay=overlay, passes=passes,
        maps={{"map": unit}},
    )
    {declaration}
    return [Analysis(**given)]

@hookimpl
def cnnexplain_models():
    {models}
    return [NamedModel("odd-model", "Nothing.", load)]
"""

ERRORS = (
    *("ValueError('x')", "SystemExit(0)", "SystemExit", "SystemExit('bye')", "MemoryError", "RecursionError", "Unprintable"),
    *(
        "Base('x')",
        "ExceptionGroup('many', [ValueError('x'), Unprintable()])",
        "KeyError('x')",
        "StopIteration",
        "UserWarning",
    ),
    *(
        "UserWarning",
        "GeneratorExit",
        "ValueError('line\\n' * 5000)",
        "ValueError(np.zeros((500, 9)))",
        "ValueError('\\x1b[31mred\\x07')",
    ),
    *("OSError(28, 'No space left on device')", "UnicodeDecodeError('utf-8', b'x', 0, 1, 'odd')", "AssertionError"),
    *(
        "__import__('cnnexplain').PluginError('x' * 5000)",
        "ModuleNotFoundError('no', name='keras')",
        "type('X' * 5000, (Exception,), {})()",
    ),
)
DOES = (
    *(f"raise {error}" for error in ERRORS),
    "loop()",
    "1 / 0",
    "undefined",
    "import sys; sys.exit(0)",
    "__import__('nope')",
)
VALUES = (
    *("None", "3", "-1", "'text'", "''", "b'x'", "[]", "()", "{}", "{1: 2}", "object()", "Unwritable()", "lambda *a: None"),
    *("float('nan')", "float('inf')", "10 ** 5000", "'x' * 10000", "'two\\nlines'", "'\\x1b[31m'", "'\\ud800'", "circle()"),
    *("np.zeros((500, 9))", "np.zeros(0)", "np.array([None])", "np.array(['x'])", "[np.zeros(3), 'x']", "[[1], [2, 3]]"),
    *("(x for x in ())", "iter([1])", "range(10 ** 9)", "type", "Ellipsis", "Result", "[None]", "{'map': None}", "True"),
)
FIGURES = ("(0, 0)", "(1e5, 1)", "(-1, 1)", "(float('nan'), 1)", "(1e-9, 1e-9)", "(100, 100)", "(1, 1e300)")
RESULTS = (
    "arrays",
    "arrays, facts, None, 'warning'",
    "arrays, facts, 3",
    "arrays, facts, Result(arrays)",
    "{'map': images[..., 0].astype(object)}",
    "{'map': images[:0, ..., 0]}",
    "{'map': np.float32(3)}",
    "{'map': np.full(images.shape[:3], np.nan)}",
    "{'x' * 70000: images}",
    "{'\\ud800': images}",
    "{'../x': images}",
    "arrays, {'mean': circle()}",
    "arrays, {'mean': [10 ** 5000]}",
    "arrays, {'mean': ['\\ud800']}",
    "arrays, {'mean': [{'x': {1, 2}}]}",
    "arrays, {3: [1]}",
    "arrays, [1]",
    "arrays, facts, None, (3,)",
)
OPTION = "*, size: Annotated[int, Option('A number.')] = 1"
OPTIONS = (
    "*, format: Annotated[str, Option('A word.')] = ''",
    "*, dpi: Annotated[int, Option('A number.')] = 1",
    "*, no_invert: Annotated[bool, Option('Whether.')] = False",
    "*, x: Annotated[bool, Option('Whether.')] = False, no_x: Annotated[bool, Option('Whether.')] = False",
    "*, start: Annotated[int, Option('A number.')] = 1",
    "*, _x: Annotated[int, Option('A number.')] = 1",
    "*, Size: Annotated[int, Option('A number.')] = 1",
    "*, été: Annotated[int, Option('A number.')] = 1",
    "*, x: Annotated[tuple[bool, ...], Option('Whether.')] = ()",
    "*, x: Annotated[Literal['a'], Option('One.')] = 'b'",
    "*, x: Annotated[int, Option('A number.', min=5, max=3)] = 4",
    "*, x: Annotated[int, Option(3)] = 4",
    "*, x: Annotated[int | str, Option('Either.')] = 4",
    "*, x: Annotated[nonsense, Option('A number.')] = 4",
    "*, x: Annotated[float, Option('A number.', min='a')] = 4",
    "*, x: Annotated[int, Option('A number.')] = 10 ** 5000",
    "*, x=1",
    "*args",
    "**options",
    "x",
    f"*, {'x' * 500}: Annotated[int, Option('A number.')] = 1",
)
FIELDS = (
    "name",
    "run",
    "draw",
    "paper",
    "overview",
    "limitations",
    "how_to_read",
    "maps",
    "overlay",
    "trial",
    "quick",
    "passes",
    "finding",
)
PLACES = ("module", "hook", "models", "run", "draw", "finding", "panels", "overlay", "passes", "unit", "load")

raising = strategies.tuples(strategies.sampled_from(PLACES), strategies.sampled_from(DOES))
returning = strategies.tuples(
    strategies.sampled_from([place for place in PLACES if place != "module"]),
    strategies.sampled_from(VALUES).map("return {}".format),
)
drawing = strategies.sampled_from(FIGURES).map(lambda size: ("draw", f"figure.set_size_inches(*{size})"))
resulting = strategies.sampled_from(RESULTS).map(lambda given: ("run", f"return Result({given})"))
declaring = strategies.tuples(strategies.sampled_from(FIELDS), strategies.sampled_from(VALUES)).map(
    lambda pair: ("declaration", f"given[{pair[0]!r}] = {pair[1]}")
)
optional = strategies.sampled_from(OPTIONS).map(lambda words: ("options", words))
faults = strategies.one_of(raising, returning, drawing, resulting, declaring, optional)

numbers = itertools.count()


@pytest.fixture
def tried(lenet, monkeypatch):
    """Installs a plugin with one fault and does with it all that users do."""

    def attempt(place, does):
        with tempfile.TemporaryDirectory() as folder:
            module = f"odd_plugin_{next(numbers)}"
            parts = dict.fromkeys((*PLACES, "declaration"), "pass") | {
                "options": "*, size: Annotated[int, Option('A.')] = 1"
            }
            code = PLUGIN.format(**parts | {place: does})
            (Path(folder) / f"{module}.py").write_bytes(code.encode())
            info = Path(folder) / "odd_dist-1.5.dist-info"
            info.mkdir()
            (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-dist\nVersion: 1.5\n")
            (info / "entry_points.txt").write_text(f"[cnnexplain]\nodd-plugin = {module}\n")
            monkeypatch.syspath_prepend(folder)
            registry.load.cache_clear()
            try:
                return list(steps(lenet, Path(folder)))
            finally:
                sys.path.remove(folder)
                sys.modules.pop(module, None)
                registry.load.cache_clear()

    return attempt


def steps(lenet, folder):
    """Every error met on the way."""
    found = registry.load()
    assert "saliency" in found.analyses
    yield from map(str, found.problems)
    actions = [lambda: cx.load("odd-model"), lambda: next(cx.explain_parts("odd", lenet, "mnist:test/0"))]
    if "odd" in found.analyses:
        actions.append(lambda: plan.steps([found.analyses["odd"]], lenet, 1, quick=False))
    record = None
    for act in actions:
        try:
            made = act()
        except cx.CnnExplainError as error:
            yield str(error)
        else:
            record = made if isinstance(made, cx.Record) else record
    if record is None:
        return
    for act in (
        record.figure,
        record.finding,
        record.panels,
        record.overlay,
        record._repr_html_,
        lambda: record.save(folder / "out"),
        lambda: record.save(folder / "svg", format="svg"),
    ):
        try:
            act()
        except cx.CnnExplainError as error:
            yield str(error)


@hypothesis.given(fault=faults)
def test_misbehaving_plugins_give_one_line(tried, fault):
    for message in tried(*fault):
        assert len(message) <= LONGEST, message
        assert len(message.splitlines()) <= 2, message
        assert "odd" in message or "does not suffice" in message or "x" * 99 in message, message


@pytest.mark.parametrize(
    "place", ["module", "hook", "models", "run", "draw", "finding", "panels", "overlay", "passes", "load"]
)
def test_ctrl_c_in_a_plugin_is_propagated(tried, place):
    with pytest.raises(KeyboardInterrupt):
        tried(place, "raise KeyboardInterrupt")

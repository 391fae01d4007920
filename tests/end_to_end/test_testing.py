"""Analyses that are broken in one way each, and the check that finds it: that one and no other."""

import functools
import json
import re
from importlib.util import find_spec
from typing import Annotated, Literal

import numpy as np
import pytest

from cnnexplain import testing
from cnnexplain.errors import PluginError, UsageError
from cnnexplain.plugin import Analysis, Check, Measurement, Option, Panel, Result, registry
from cnnexplain.plugin.options import INPUTS
from cnnexplain.plugin.registry import Offers, Plugin, Registry
from cnnexplain.testing import model_checks, sample_models
from cnnexplain.testing.check import HEAVY_MODULES

classifier = functools.cache(sample_models.classifier)
ELSEWHERE = ("imports", "help", "saved", "backends")
"""Checks that look at the installed plugin in a process of its own."""

Power = Annotated[float, Option("What the products are raised to.", min=0.5, max=4)]
Sign = Annotated[Literal["both", "above"], Option("Which products count: 'both' signs, or those 'above' zero.")]


def product(classifier, images, targets):
    return images * classifier.gradient(images, targets)


def run(classifier, images, targets, *, power: Power = 1.0, sign: Sign = "both"):
    """How strongly each pixel bears on the score."""
    found = product(classifier, images, targets)
    kept = np.abs(found) if sign == "both" else np.maximum(found, 0)
    return Result({"map": kept.max(axis=-1) ** power}, {"sum": [float(each.sum()) for each in found]})


def draw(record, index):
    from cnnexplain import draw

    figure, (panel,) = draw.row(1, record)
    draw.unsigned_map(panel, record.arrays["map"][index], "logits", bar=False)
    return figure


FIELDS = {
    "name": "probe",
    "run": run,
    "draw": draw,
    "paper": "Nobody 2026",
    "limitations": "It does not show why.",
    "how_to_read": "Bright pixels matter.",
    "maps": {"map": "logits"},
    "passes": lambda classifier, options: 2,
    "finding": lambda record, index: f"The largest value is {record.arrays['map'][index].max():.3g}.",
    "panels": lambda record, index: [Panel("map", record.arrays["map"][index : index + 1], ["0"], "logits")],
    "checks": (Check("sum", "The map sums to 1.", lambda subject: Measurement(0.0, 1.0)),),
}


def returns(make):
    """run() with another result, made of what it is given and of the usual one."""

    def broken(classifier, images, targets, *, power: Power = 1.0, sign: Sign = "both"):
        """How strongly each pixel bears on the score."""
        return make(classifier, images, targets, run(classifier, images, targets, power=power, sign=sign))

    return {"run": broken}


def mapped(make):
    """run() whose map is made of the usual one and of the images."""
    return returns(
        lambda classifier, images, targets, usual: Result({"map": make(usual.arrays["map"], images)}, usual.facts)
    )


def spoilt(classifier, images, targets, usual):
    images *= np.float32(0.5)
    return usual


def forced(classifier, images, targets, usual):
    images.flags.writeable = True
    return spoilt(classifier, images, targets, usual)


def frozen(classifier, images, targets, usual):
    if classifier.name == "branches":
        classifier.model.layers[1].trainable = False
    return usual


def trained(classifier, images, targets, usual):
    if classifier.name == "branches":
        classifier.model(images, training=True)
    return usual


def moved(classifier, images, targets, usual):
    if classifier.name == "branches":
        classifier.model.weights[-2].assign(classifier.model.weights[-2] + 1)
    return usual


def untargeted(classifier, images, targets, *, power: Power = 1.0, sign: Sign = "both"):
    """How strongly each pixel bears on the score."""
    return run(classifier, images, np.zeros_like(targets), power=power, sign=sign)


def worded(classifier, images, targets, *, fill: Annotated[str, Option("What hides: 'black' or 'white'.")] = "black"):
    """How strongly each pixel bears on the score."""
    return Result({"map": product(classifier, images, targets).max(axis=-1) * {"black": 1, "white": 2}[fill]})


def divided(classifier, images, targets, *, parts: Annotated[int, Option("How many parts.", min=0)] = 3):
    """How strongly each pixel bears on the score."""
    return Result({"map": product(classifier, images, targets).max(axis=-1), "parts": np.full(len(images), 12 // parts)})


def idle(classifier, images, targets, *, exact: Annotated[bool, Option("Whether to be exact.")] = False):
    """How strongly each pixel bears on the score."""
    return Result({"map": product(classifier, images, targets).max(axis=-1)})


def draw_scaled(record, index):
    from cnnexplain import draw

    image = record.images[index, ..., 0]
    figure, (panel,) = draw.row(1, record)
    draw.unsigned_map(panel, (image - image.min()) / (image.max() - image.min()), "", bar=False)
    return figure


def draw_the_first(record, index):
    return draw(record, index) if index == 0 else None


def draw_over(record, index):
    record.arrays["map"][index] /= 2
    return draw(record, index)


def draw_warning(record, index):
    figure = draw(record, index)
    figure.suptitle("中")
    return figure


BROKEN = {
    "no reading": (
        {"how_to_read": ""},
        "declaration",
        "'how_to_read' is ''; expected a sentence on how to read the pictures",
    ),
    "no note": (
        {"limitations": "mind"},
        "declaration",
        "'limitations' is 'mind'; expected a sentence on what the pictures do not show",
    ),
    "no year": ({"paper": "Nobody"}, "declaration", "Its paper is 'Nobody'; expected authors, year and identifier"),
    "no unit": ({"maps": {"map": ""}}, "declaration", "the unit ''"),
    "not finite": (mapped(lambda usual, images: usual * np.nan), "results", "not finite (NaN or infinity) in 'map'"),
    "no JSON": (
        returns(lambda c, i, t, usual: Result(usual.arrays, {"sum": list(usual.arrays["map"].sum(axis=(1, 2)))})),
        "results",
        "the fact 'sum', which is not JSON",
    ),
    "nothing found": (
        {**returns(lambda c, i, t, usual: Result({}, usual.facts)), "maps": {}, "draw": lambda record, index: 1},
        "results",
        "Its result has no arrays",
    ),
    "no map": ({"maps": {"mop": "logits"}}, "maps", "Its maps include 'mop', but run() returns map"),
    "no pixels": (
        {
            **returns(lambda c, i, t, usual: Result({**usual.arrays, "image": i}, usual.facts)),
            "maps": {"image": "logits"},
        },
        "results",
        "the map 'image' as float32 of shape (3, 28, 28, 1); expected real numbers, of shape (3, 28, 28). Remove",
    ),
    "images overwritten": (returns(spoilt), "results", "read-only"),
    "images forced": (returns(forced), "images", "run() changed the images"),
    "frozen": (returns(frozen), "model", "It changed the user's model: its configuration, which layers are trainable"),
    "trained": (returns(trained), "model", "moving_mean"),
    "weights": (returns(moved), "model", "the weight scores/kernel"),
    "unseeded": (
        mapped(lambda usual, images: usual + np.random.default_rng().uniform(0, 1, usual.shape)),
        "repeats",
        "A second run on the same images gives another result: 'map' differs by up to",
    ),
    "normalized": (
        mapped(lambda usual, images: usual / max(usual.max(), 1e-9)),
        "neighbors",
        "The result for an image depends on the other images: 'map' differs",
    ),
    "shared out": (mapped(lambda usual, images: usual / len(usual)), "batch", "'map' differs by up to"),
    "noise by place": (
        mapped(lambda usual, images: usual * np.random.default_rng(0).uniform(0.5, 1, usual.shape)),
        "batch",
        "draw random numbers for one image",
    ),
    "another class": ({"run": untargeted}, "target", "Explaining class 0 and class 1 gives the same numbers"),
    "declared wrongly": (
        {"checks": (Check("sum", "The map sums to 1.", lambda subject: Measurement(2.0, 1.0, "sum 3")),)},
        "definition",
        "Its check 'sum' fails: sum 3. It measured 2, above the limit 1. It means: The map sums to 1.",
    ),
    "the first alone": ({"draw": draw_the_first}, "drawing", "returned None; expected a Matplotlib figure"),
    "drawn over": ({"draw": draw_over}, "drawing", "Drawing changed the arrays"),
    "no such letter": ({"draw": draw_warning}, "drawing", "missing from font"),
    "two lines": (
        {"finding": lambda record, index: "One.\nTwo."},
        "finding",
        "returned 'One.\\nTwo.'; expected one line of text",
    ),
    "no full stop": ({"finding": lambda record, index: "much"}, "finding", "returned 'much'; expected a sentence"),
    "no finding": (
        {"finding": lambda record, index: record.facts["sun"]},
        "finding",
        "finding() of 'probe' failed: KeyError",
    ),
    "no panels": ({"panels": lambda record, index: []}, "panels", "panels() returned no panels for image 0"),
    "no passes": ({"passes": lambda classifier, options: 0}, "passes", "passes() returned 0 for the options {}"),
    "passes failed": ({"passes": lambda classifier, options: options["parts"]}, "passes", "passes() failed: KeyError"),
    "0 / 0": ({"draw": draw_scaled}, "plain", "invalid value encountered in divide"),
    "any word": (
        {"run": worded},
        "options",
        "--fill 'no such value', which its declaration allows, fails: plugin 'probe' of probe 1: run() of",
    ),
    "a bound": (
        {"run": divided},
        "options",
        "--parts 0, which its declaration allows, fails: plugin 'probe' of probe 1: run() of 'probe' failed: Zero",
    ),
    "no effect": ({"run": idle}, "choices", "--exact changes neither numbers nor pictures"),
    "square images": (
        mapped(lambda usual, images: usual + usual.transpose(0, 2, 1)),
        "models",
        "For a model with color images taller than wide",
    ),
}

CHANGING = ("frozen", "trained", "weights")
"""Those that change a model, and need one of their own."""


@pytest.fixture
def outcomes(lenet, monkeypatch):
    """The outcomes of all checks of an analysis that is made of these fields, by name."""

    def look(fields, models=classifier):
        analysis = Analysis(**{**FIELDS, **fields})
        offers = Offers("an analysis", {"probe": analysis}, {"probe": Plugin("probe", "probe", "1")})
        monkeypatch.setattr(registry, "load", lambda: Registry(offers, Offers("a model")))
        monkeypatch.setattr(sample_models, "classifier", models)
        candidate = testing.Candidate(analysis)
        candidate.lenet = lenet
        names = [check.name for check in testing.checks(analysis) if check.name not in ELSEWHERE]
        return {name: candidate.outcome(name) for name in names}

    return look


def test_a_sound_analysis_passes(outcomes):
    found = outcomes({})
    assert {name: outcome.message for name, outcome in found.items()} == dict.fromkeys(found, "")
    assert [name for name in found if name not in ELSEWHERE] == [
        check.name for check in testing.CHECKS if check.name not in ELSEWHERE
    ]


@pytest.mark.parametrize("kind", BROKEN)
def test_each_defect_fails_only_its_check(outcomes, kind):
    fields, check, words = BROKEN[kind]
    found = outcomes(fields, sample_models.classifier if kind in CHANGING else classifier)
    message = found[check].message
    assert {name: outcome.message for name, outcome in found.items() if outcome.passed is False} == {check: message}
    assert words in message
    needing = {name for name, outcome in found.items() if outcome.passed is None}
    assert all(found[name].message.startswith("skipped, because '") for name in needing)


GOOD = """
from cnnexplain.plugin import Analysis, Option, Result, hookimpl

def run(classifier, images):
    "Which pixels are bright."
    return Result({"map": images.mean(axis=-1)})

def draw(record, index):
    from cnnexplain import draw
    figure, (panel,) = draw.row(1, record)
    draw.unsigned_map(panel, record.arrays["map"][index], "brightness")
    return figure

@hookimpl
def cnnexplain_analyses():
    return [
        Analysis("brightness", run, draw, "Nobody 2026", limitations="It asks no model.", how_to_read="Bright is bright.")
    ]
"""


OPTION = "from typing import Annotated\ndef run(classifier, images, *, gain: Annotated[float, Option({})] = 1.0):"

DECLARED = {
    "imports": ("import matplotlib\n" + GOOD, "Declaring it imports matplotlib, which slows down every command"),
    "help": (
        GOOD.replace("def run(classifier, images):", OPTION.format("'A \\x1b[31mred word.'")),
        "expected a sentence",
    ),
}


@pytest.mark.parametrize("check", ["imports", "help"])
def test_a_separate_process_checks_the_declaration(install, check):
    code, words = DECLARED[check]
    install("bright-maker", code, point="bright")
    candidate = testing.Candidate(testing.find("brightness")[0])
    found = {name: candidate.outcome(name) for name in ("declaration", "imports", "help")}
    assert [name for name, outcome in found.items() if outcome.passed is False] == [check]
    assert words in found[check].message


KEYED = GOOD.replace("axis=-1)})", "axis=-1)}, {'means': [{0: float(image.mean())} for image in images]})").replace(
    "    return figure", "    figure.suptitle(str(record.facts['means'][index][0]))\n    return figure"
)
REMEMBERED = "seen = []\n" + GOOD.replace("    return Result", "    seen.append(1)\n    return Result").replace(
    "    return figure", "    figure.suptitle('run here' if seen else 'not run here')\n    return figure"
)
WITH_KERAS = GOOD.replace("    from cnnexplain import draw", "    import keras\n    from cnnexplain import draw")
UNSAVED = {
    "keys": (KEYED, r"KeyError: 0 \(.+, line \d+\)\. Expected draw\(\) to read only the record\. In JSON"),
    "memory": (REMEMBERED, "The picture drawn from saved results differs"),
    "keras": (WITH_KERAS, "import of keras halted"),
}


@pytest.mark.parametrize("kind", ["keys", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("memory", "keras"))])
def test_drawing_data_outside_the_record_is_detected(install, lenet, kind):
    code, words = UNSAVED[kind]
    install("bright-maker", code, point="bright")
    candidate = testing.Candidate(testing.find("brightness")[0])
    candidate.lenet = lenet
    found = {name: candidate.outcome(name) for name in ("results", "repeats", "batch", "drawing", "saved", "plain")}
    assert [name for name, outcome in found.items() if outcome.passed is False] == ["saved"]
    assert re.search(words, found["saved"].message)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("jax") is None, reason="needs JAX beside TensorFlow")
def test_code_for_one_backend_is_detected(install, monkeypatch):
    other = "import keras\n    images = images + (keras.backend.backend() != 'tensorflow')\n    return Result"
    install("bright-maker", GOOD.replace("return Result", other), point="bright")
    monkeypatch.setattr(model_checks, "BACKENDS", {"tensorflow": "", "jax": ""})
    candidate = testing.Candidate(testing.find("brightness")[0])
    assert candidate.outcome("models").passed
    assert (
        "The results on jax differ from those on tensorflow: 'branches/map' differs" in candidate.outcome("backends").message
    )


def test_names_of_analyses_plugins_and_distributions(install):
    install("bright-maker", GOOD, point="bright")
    for name in ("brightness", "bright", "bright-maker"):
        assert [analysis.name for analysis in testing.find(name)] == ["brightness"]
    assert {"saliency", "occlusion"} <= {analysis.name for analysis in testing.find("cnnexplain")}
    with pytest.raises(UsageError, match="'keras-applications' provides models but no analysis"):
        testing.find("keras-applications")
    with pytest.raises(UsageError, match=r"installed as 'salency'\. Did you mean 'saliency'\? Install it first"):
        testing.find("salency")


def test_a_broken_plugin_is_reported_with_its_cause(install):
    install("bad-maker", "import nothing_at_all", point="bad")
    with pytest.raises(PluginError, match=r"plugin 'bad' of bad-maker 1\.5: ModuleNotFoundError"):
        testing.find("bad")


def test_the_command_prints_its_findings(cli, install, monkeypatch):
    monkeypatch.setattr(model_checks, "BACKENDS", {"tensorflow": ""})
    install("bright-maker", GOOD, point="bright")
    code, out, _ = cli("check-plugin", "bright-maker")
    lines = [line.split() for line in out.splitlines()]
    assert code == 0
    assert [words[:2] for words in lines[:-1]] == [
        ["✓", check.name] for check in testing.checks(testing.find("brightness")[0])
    ]
    assert out.splitlines()[-1] == f"brightness passes all {len(lines) - 1} checks."
    assert cli("check-plugin", "nothing")[0] == 2


def test_the_command_fails_if_a_check_fails(cli, install, monkeypatch):
    monkeypatch.setattr(model_checks, "BACKENDS", {"tensorflow": ""})
    install("bright-maker", GOOD.replace("images.mean(axis=-1)", "images * float('nan')"), point="bright")
    code, out, _ = cli("check-plugin", "brightness")
    assert code == 1
    assert "✗ results" in out
    assert "– images       skipped, because 'results' did not pass" in out
    assert out.splitlines()[-1] == "brightness fails 1 of 14 checks: results."


def test_importing_it_imports_nothing_heavy(shell):
    program = (
        "import sys, json, cnnexplain.testing; print(json.dumps([name for name in sys.argv[1:] if name in sys.modules]))"
    )
    assert json.loads(shell("-c", program, *HEAVY_MODULES, "pytest").stdout) == []


def test_an_unknown_check_cannot_be_skipped():
    with pytest.raises(UsageError, match=r"no check 'backend'\. Did you mean 'backends'"):
        testing.conformance("saliency", skip=["backend"])


def test_a_check_can_be_skipped_by_its_former_name():
    names = [
        [mark.args[1] for mark in testing.conformance("saliency", skip=[name]).pytestmark]
        for name in ("neighbours", "neighbors")
    ]
    assert names[0] == names[1]
    assert "neighbors" not in names[0][0]
    assert "batch" in names[0][0]


def test_every_check_is_documented(folder):
    page = (folder / "docs" / "plugins.md").read_text().partition("## Conformance tests")[2]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.MULTILINE)
    assert rows == [(check.name, check.requirement) for check in testing.CHECKS]


def test_the_guide_shows_the_example_and_all_inputs(folder):
    """The files are those that test_packages installs and runs."""
    page = (folder / "docs" / "plugins.md").read_text()
    shown = re.findall(r"^<!-- file: (\S+) -->$", page, re.MULTILINE)
    assert len(shown) == 4
    assert all(name.startswith("examples/third_party_plugin/") and (folder / name).is_file() for name in shown)
    rows = re.findall(r"^\| `(\w+)` \| .* \|$", page.partition("**`Result`**")[0], re.MULTILINE)
    assert rows == list(INPUTS)

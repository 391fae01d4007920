"""The checks of `cnnexplain.testing`, each a function that raises an error which says what is wrong with an analysis."""

from __future__ import annotations

import importlib.util
import json
import math
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.backend import BACKENDS
from cnnexplain.errors import CnnExplainError, PluginError, UsageError, failure, foreign, shown
from cnnexplain.plugin.analysis import Analysis
from cnnexplain.plugin.options import validate
from cnnexplain.testing import comparison, processes

if TYPE_CHECKING:
    from cnnexplain.plugin.options import Parameter
    from cnnexplain.results.record import Record
    from cnnexplain.testing import Candidate
    from cnnexplain.types import Array

ELSEWHERE, ODD = 1e-3, 0.01
"""By how much values may differ between backends, and of which share of them no such thing is asked: where a ReLU stands
within rounding of its kink the gradient jumps."""

HEAVY = ("keras", "tensorflow", "jax", "torch", "matplotlib")
"""What takes seconds to import, and is of no use to a command that only shows what there is."""

NOWHERE = "no such value"
"""What no option of text can mean."""


@dataclass(frozen=True)
class Check:
    """One thing that is asked of every analysis.

    Args:
        name: A word.
        says: What holds where it passes.
        run: Raises a `CnnExplainError` that says what was found, what was expected and how to mend it.
        needs: The checks without which it can say nothing.
        applies: Which analyses it is about.
    """

    name: str
    says: str
    run: Callable[[Candidate], None]
    needs: tuple[str, ...] = ()
    applies: Callable[[Analysis], bool] = lambda _: True


def _declaration(candidate: Candidate) -> None:
    analysis = candidate.analysis
    sentences = {
        "summary": (analysis.summary, "what it shows, as the first line of run()'s docstring"),
        "how_to_read": (analysis.how_to_read, "how to read the pictures, as Analysis(…, how_to_read=…)"),
        "limitations": (analysis.limitations, "what the pictures don't show, as Analysis(…, limitations=…)"),
    }
    for what, (words, meaning) in sentences.items():
        if not _sentence(words):
            raise PluginError(f"'{what}' is {shown(words)}; expected a sentence on {meaning}, with a full stop.")
    if not re.search(r"\b(19|20)\d\d\b", analysis.paper):
        raise PluginError(f"Its paper is '{analysis.paper}'; expected authors, year and number, for those who look it up.")
    for name in analysis.maps:
        unit = analysis.unit(name, validate(analysis.options, analysis.trial))
        if not isinstance(unit, str) or not unit.strip():
            raise PluginError(f"Its map '{name}' has the unit {shown(unit)}; expected words such as 'logits', or 'no unit'.")


def _sentence(words: object) -> bool:
    return isinstance(words, str) and words.isprintable() and words.rstrip().endswith((".", "?", "!"))


def _imports(candidate: Candidate) -> None:
    heavy = candidate.declared["heavy"]
    if heavy:
        raise PluginError(
            f"Declaring it imports {', '.join(heavy)}, for which every command would wait; expected none of "
            f"{', '.join(HEAVY)}. Import the mathematics inside run() and what draws inside draw()."
        )


def _help(candidate: Candidate) -> None:
    said = candidate.declared
    if said["code"]:
        raise PluginError(f"'cnnexplain run {candidate.analysis.name} --help' exits with {said['code']}; expected 0.")
    printed = " ".join(said["help"].split())
    odd = {char for char in said["help"] if not char.isprintable() and char != "\n"}
    if odd:
        raise PluginError(f"Its help holds {', '.join(map(repr, sorted(odd)))}; expected printable text.")
    for option in candidate.analysis.options:
        text = option.option.help
        if not _sentence(text) or text[0].islower():
            raise PluginError(
                f"{option.flag} has the help {shown(text)}; expected a sentence, with a capital and a full stop."
            )
        for words in (option.flag, text):
            if " ".join(words.split()) not in printed:
                raise PluginError(f"Its help does not show '{words}'; expected all of the options, each with its sentence.")


def _options(candidate: Candidate) -> None:
    for option in candidate.analysis.options:
        for value in _refused(option):
            try:
                candidate.explain(candidate.lenet, candidate.images[:1], options={option.name: value})
            except UsageError:
                continue
            raise PluginError(f"{option.flag} took {shown(value)}; expected a UsageError that says what it takes.")
        for value in _doubtful(option):
            try:
                candidate.explain(candidate.lenet, candidate.images[:1], options={option.name: value})
            except UsageError:
                continue
            except CnnExplainError as error:
                raise PluginError(
                    f"{option.flag} {shown(value)}, which its declaration allows, ends in: {error} Expected a result, or a "
                    "UsageError that says what it takes; or bounds in its Option."
                ) from error


def _refused(option: Parameter) -> Iterator[object]:
    """Values that the declaration of an option forbids."""
    yield {"an": "object"}
    yield from [NOWHERE] if option.choices or option.type is not str else []
    low, high = option.option.min, option.option.max
    yield from [option.type(low - 1)] if low is not None else []
    yield from [option.type(high + 1)] if high is not None else []
    yield from [float("nan"), float("inf")] if option.type is float else []


def _doubtful(option: Parameter) -> Iterator[object]:
    """Values that the declaration allows and the analysis may not; no large whole number, which may stand for hours."""
    yield from [NOWHERE] if option.type is str and not option.choices else []
    bounds = (option.option.min, option.option.max if option.type is float else None)
    yield from [option.type(bound) for bound in bounds if bound is not None]


def _results(candidate: Candidate) -> None:
    record = candidate.record
    if not record.arrays:
        raise PluginError("Its result has no arrays; expected the numbers that its pictures are drawn from.")
    for warning in record.warnings:
        if not _sentence(warning):
            raise PluginError(f"Its result warns {shown(warning)}; expected a sentence, which users read.")


def _maps(candidate: Candidate) -> None:
    found = candidate.record.arrays
    for name in candidate.analysis.maps:
        if name not in found:
            raise PluginError(f"It names '{name}' among its maps, but returns {', '.join(found)}; name one of its arrays.")


def _images(candidate: Candidate) -> None:
    if not np.array_equal(candidate.record.images, candidate.images):
        raise PluginError("run() changed the images that it was given; expected them as they were. Work on images.copy().")


def _model(candidate: Candidate) -> None:
    changed = [words for trial in candidate.made.values() for words in trial.changed]
    if changed:
        raise PluginError(
            f"It changed the user's model: {', '.join(changed[:5])}. Expected it untouched; work on a copy of it, such as "
            "keras.models.clone_model makes."
        )


def _repeats(candidate: Candidate) -> None:
    again = candidate.explain(candidate.lenet, candidate.images)
    apart = comparison.apart(again.arrays, candidate.record.arrays, candidate.tolerance)
    apart = apart or comparison.apart_facts(again.facts, candidate.record.facts, candidate.tolerance)
    if apart:
        raise PluginError(
            f"The same images give something else the second time: {apart}. Expected the same; draw random numbers from "
            "numpy.random.default_rng(seed), with the seed as an option, and keep nothing between two runs."
        )


def _neighbors(candidate: Candidate) -> None:
    images = candidate.images
    # The first image stands for those that were explained before, so that no data set is given.
    among, others = (candidate.explain(candidate.lenet, images[order], start=1) for order in ([0, 1, 2], [2, 1, 0]))
    apart = comparison.apart(comparison.first(among.arrays), comparison.first(others.arrays), candidate.tolerance)
    apart = apart or comparison.apart_facts(
        comparison.first(among.facts), comparison.first(others.facts), candidate.tolerance
    )
    if apart:
        raise PluginError(
            f"What is found for an image depends on which others are explained with it: {apart}. Expected each by itself; "
            "take maxima and means over the image's own axes, and leave normalizing to draw()."
        )


def _batch(candidate: Candidate) -> None:
    images, record = candidate.images, candidate.record
    for place in range(len(images)):
        alone = candidate.explain(candidate.lenet, images[[0, place]], start=1)
        within = {name: record.arrays[name][place] for name in alone.arrays}
        facts = {name: record.facts[name][place] for name in alone.facts}
        apart = comparison.apart(comparison.first(alone.arrays), within, candidate.tolerance)
        apart = apart or comparison.apart_facts(comparison.first(alone.facts), facts, candidate.tolerance)
        if apart:
            raise PluginError(
                f"An image explained alone gives something else than among others: {apart}. Expected the same within "
                f"{candidate.tolerance:g} of the largest value; let nothing depend on how many images there are or on an "
                "image's place among them, and draw random numbers for one image, to be used for all."
            )


def _target(candidate: Candidate) -> None:
    one, other = (candidate.explain(candidate.lenet, candidate.images[:1], target=target) for target in (0, 1))
    if comparison.same(one, other):
        raise PluginError(
            "Explaining class 0 and class 1 gives the same numbers; expected different ones. Make run() use the "
            "targets or objectives that it names, or don't name them."
        )


def _choices(candidate: Candidate) -> None:
    analysis, images = candidate.analysis, candidate.images[:1]
    usual: Record | None = None
    for option in filter(_chosen, analysis.options):
        usual = usual or candidate.explain(candidate.lenet, images)
        given = analysis.trial.get(option.name, option.default)
        differs = False
        for choice in option.choices or (True, False):
            if choice in (given if option.many else (given,)):
                continue
            try:
                record = candidate.explain(candidate.lenet, images, options={option.name: choice})
            except UsageError:
                # Some need another option beside them.
                differs = True
                continue
            except CnnExplainError as error:
                raise PluginError(f"{option.flag} {choice} does not work: {error}") from error
            differs = differs or not comparison.same(record, usual) or not comparison.same_pictures(record, usual)
        if not differs:
            raise PluginError(
                f"{option.flag} changes neither numbers nor pictures, whatever is chosen; expected a difference. Use it in "
                "run() or draw(), or take it out."
            )


def _chosen(option: Parameter) -> bool:
    return bool(option.choices) or option.type is bool


def _drawing(candidate: Candidate) -> None:
    record = candidate.record
    before = {name: array.copy() for name, array in record.arrays.items()}
    figures = candidate.figures
    if not figures:
        raise PluginError("It draws nothing; expected a figure for each image from draw(), or some from overview().")
    for name in figures:
        if not isinstance(name, str | int) or name == "":
            raise PluginError(f"overview() names a figure {shown(name)}; expected words, which become the name of its file.")
    if not all(comparison.identical(record.arrays[name], array) for name, array in before.items()):
        raise PluginError("Drawing changed the arrays of the record; expected them as they were. Work on copies.")


def _finding(candidate: Candidate) -> None:
    record = candidate.record
    for index in range(len(record)):
        sentence = record.finding(index)
        if not _sentence(sentence):
            raise PluginError(f"finding() returned {shown(sentence)}; expected a sentence in one line, with a full stop.")


def _panels(candidate: Candidate) -> None:
    record = candidate.record
    for index in range(len(record)):
        if not record.panels(index):
            raise PluginError(f"panels() returned none for image {index}; expected at least one Panel.")


def _passes(candidate: Candidate) -> None:
    analysis = candidate.analysis
    assert analysis.passes is not None
    for options in ({}, analysis.quick, analysis.trial):
        # A plugin is anyone's code.
        with foreign(partial(_passes_failed, analysis)):
            count = analysis.passes(candidate.lenet, validate(analysis.options, options))
        if isinstance(count, bool) or not isinstance(count, int | float) or not 0 < count < math.inf:
            raise PluginError(
                f"passes() returned {shown(count)} for the options {dict(options)}; expected a number above 0."
            )


def _passes_failed(analysis: Analysis, error: BaseException) -> PluginError:
    assert analysis.passes is not None
    return PluginError(f"passes() failed: {failure(error, analysis.passes)}")


REDRAWING = """
import sys
sys.modules |= dict.fromkeys(sys.argv[3:])
from cnnexplain import Record
Record.load(sys.argv[1]).save(sys.argv[2])
"""


def _saved(candidate: Candidate) -> None:
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        first, again = Path(folder) / "first", Path(folder) / "again"
        paths = candidate.explain(candidate.lenet, candidate.images[:1]).save(first)
        without = [name for name in HEAVY if name != "matplotlib"]
        done = processes.run(REDRAWING, str(first), str(again), *without)
        if done.returncode:
            raise PluginError(
                "Where Keras can't be imported it can't be drawn from what was saved: "
                f"{processes.last(done.stderr).rstrip('.')}. Expected draw() to read the record alone; in JSON tuples "
                "become lists, and whole numbers that are keys become text."
            )
        for path in paths:
            if path.suffix == ".png":
                with Image.open(path) as before, Image.open(again / path.name) as after:
                    same = comparison.identical(np.asarray(after), np.asarray(before))
                if not same:
                    raise PluginError(
                        "Drawn from what was saved a picture comes out otherwise; expected the same. Let draw() read the "
                        "record alone, and keep in it what it needs."
                    )


def _plain(candidate: Candidate) -> None:
    preprocess = candidate.lenet.preprocess
    gray = np.broadcast_to(preprocess.gray, (1, *preprocess.shape)).astype(np.float32)
    try:
        comparison.figures(candidate.explain(candidate.lenet, gray))
    except CnnExplainError as error:
        raise PluginError(
            f"For an image all of one gray: {error} Check for maps of zeros, and divisions by their largest value."
        ) from error


def _models(candidate: Candidate) -> None:
    for name, trial in candidate.made.items():
        try:
            if isinstance(trial.record, CnnExplainError):
                raise trial.record
            comparison.figures(trial.record, 1)
        except CnnExplainError as error:
            raise PluginError(f"For a model of {_described(name)}: {error}") from error


def _described(name: str) -> str:
    from cnnexplain.testing import sample_models

    words = " ".join((sample_models.MADE[name].__doc__ or "").rstrip(".").split())
    return words[:1].lower() + words[1:]


def _backends(candidate: Candidate) -> None:
    import keras

    here = keras.backend.backend()
    expected = candidate.made_arrays()
    for backend in BACKENDS:
        if backend == here or importlib.util.find_spec(backend) is None:
            continue
        found = _elsewhere(backend, candidate.together)[candidate.analysis.name]
        if isinstance(found, str):
            raise PluginError(f"On {backend}, and not on {here}: {found}")
        apart = comparison.apart(found, expected, max(ELSEWHERE, candidate.tolerance), ODD)
        if apart:
            raise PluginError(
                f"On {backend} it finds something else than on {here}: {apart}. Expected the same but for rounding; use "
                "keras.ops and what Classifier offers alone."
            )


COMPUTING = """
import json, sys
import numpy as np
from cnnexplain import testing
from cnnexplain.plugin import registry
from cnnexplain.errors import CnnExplainError
folder, *names = sys.argv[1:]
refused = {}
for name in names:
    try:
        np.savez(f"{folder}/{name}.npz", **testing.Candidate(registry.load().get(name)[0]).made_arrays())
    except CnnExplainError as error:
        refused[name] = str(error)
print(json.dumps(refused))
"""


@cache
def _elsewhere(backend: str, names: tuple[str, ...]) -> dict[str, dict[str, Array] | str]:
    """What analyses find on another backend for the models made for the checks; of those that fail there, why."""
    with tempfile.TemporaryDirectory() as folder:
        done = processes.run(COMPUTING, folder, *names, KERAS_BACKEND=backend)
        if done.returncode:
            return dict.fromkeys(names, f"Keras can't be run on it: {processes.last(done.stderr)}")
        found: dict[str, dict[str, Array] | str] = dict(json.loads(done.stdout.splitlines()[-1]))
        for name in names:
            if name not in found:
                with np.load(Path(folder) / f"{name}.npz") as arrays:
                    found[name] = dict(arrays)
    return found


def _of_images(analysis: Analysis) -> bool:
    return "images" in analysis.inputs


CHECKS = (
    Check("declaration", "it states what it shows, how to read it, its limitations, and its source", _declaration),
    Check("imports", "declaring it imports neither Keras nor a backend nor Matplotlib", _imports),
    Check("help", "its help shows every option", _help, ("imports",)),
    Check("results", "its numbers are finite, and its facts are JSON", _results),
    Check("images", "it does not modify the images", _images, ("results",), _of_images),
    Check("model", "it does not modify the model", _model, ("results",)),
    Check("repeats", "repeated runs give the same result", _repeats, ("images", "model")),
    Check("maps", "the maps that it names are among its arrays", _maps, ("results",), lambda analysis: bool(analysis.maps)),
    Check("neighbors", "the numbers of an image do not depend on the other images", _neighbors, ("repeats",), _of_images),
    Check("batch", "a batch gives the same results as single images", _batch, ("neighbors",), _of_images),
    Check(
        "target",
        "it explains the target that it is given",
        _target,
        ("repeats",),
        lambda analysis: bool({"targets", "objectives"} & set(analysis.inputs)),
    ),
    Check("drawing", "it draws every image without a warning", _drawing, ("results",)),
    Check(
        "finding",
        "it states its finding in one sentence",
        _finding,
        ("results",),
        lambda analysis: analysis.finding is not None,
    ),
    Check(
        "panels",
        "it provides small maps for every image",
        _panels,
        ("results",),
        lambda analysis: analysis.panels is not None,
    ),
    Check(
        "passes",
        "it states how many passes an image takes",
        _passes,
        applies=lambda analysis: analysis.passes is not None,
    ),
    Check("saved", "it draws the same picture from saved results, without Keras", _saved, ("drawing",)),
    Check("plain", "it handles a uniform gray image", _plain, ("drawing",), _of_images),
    Check("options", "its options reject invalid values", _options, ("results",), lambda analysis: bool(analysis.options)),
    Check(
        "choices",
        "its choices work, and have an effect",
        _choices,
        ("repeats", "drawing"),
        lambda analysis: any(map(_chosen, analysis.options)),
    ),
    Check(
        "models",
        "it works for branches, batch normalization, and gray and color images that are not square",
        _models,
        ("plain",),
    ),
    Check("backends", "it gives the same results on every installed backend", _backends, ("models",)),
)
"""All that is asked of an analysis, in the order in which it is looked at."""

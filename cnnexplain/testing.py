"""Whether an analysis keeps what its users rely on: the checks of `cnnexplain check-plugin`, and of a plugin's own tests.

    from cnnexplain.testing import conformance

    test_conformance = conformance("my-analysis")

is a test for pytest, with a case for each of `CHECKS`. They run the analysis with the options of its `Analysis.trial`, on
the LeNet and on small models made for them. Importing this module imports neither Keras nor pytest.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from cnnexplain import registry
from cnnexplain.backend import BACKENDS
from cnnexplain.errors import CnnExplainError, PluginError, UsageError, suggest
from cnnexplain.plugin import Analysis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cnnexplain.arrays import Array, Floats
    from cnnexplain.classifier import Classifier
    from cnnexplain.options import Parameter
    from cnnexplain.record import Record

__all__ = ["CHECKS", "TOLERANCE", "Candidate", "Check", "Outcome", "checks", "conformance", "find"]

TOLERANCE = 1e-4
"""By how much of an array's largest magnitude its values may differ where they should be the same, since a batch is summed
up in another order than a single image; of a fact by how much of its own, or of 1 where it is smaller."""

ELSEWHERE, ODD = 1e-3, 0.01
"""By how much values may differ between backends, and of which share of them no such thing is asked: where a ReLU stands
within rounding of its kink the gradient jumps."""

HEAVY = ("keras", "tensorflow", "jax", "torch", "matplotlib")
"""What takes seconds to import, and is of no use to a command that only shows what there is."""

NOWHERE = "no such value"
"""What no option of text can mean."""


class Candidate:
    """An analysis that is put to the checks, with what was found for it so far.

    Args:
        analysis: An installed one.
        tolerance: As `TOLERANCE`; a larger one suits what is optimised in many steps, each of which amplifies rounding.
        together: The names of the analyses that are checked with it, so that each backend is started once for all of them.
    """

    def __init__(self, analysis: Analysis, *, tolerance: float = TOLERANCE, together: Sequence[str] = ()) -> None:
        self.analysis = analysis
        self.tolerance = tolerance
        self.together = tuple(together) or (analysis.name,)
        self._outcomes: dict[str, Outcome] = {}

    @cached_property
    def lenet(self) -> Classifier:
        """The LeNet."""
        from cnnexplain import loading

        return loading.load()

    @cached_property
    def images(self) -> Floats:
        """(3, 28, 28, 1): digits in noise."""
        from cnnexplain import specimens

        return specimens.pictures(self.lenet, 3)

    @cached_property
    def record(self) -> Record:
        """What it finds for the LeNet and the images."""
        return self.explain(self.lenet, self.images)

    @cached_property
    def figures(self) -> dict[object, Array]:
        """The pixels of all that it draws of `record`, by the image's number or the name."""
        return _figures(self.record)

    @cached_property
    def made(self) -> dict[str, Trial]:
        """What comes of it on each of the models made for the checks."""
        from cnnexplain import specimens

        return {name: self._tried(specimens.made(name)) for name in specimens.MADE}

    @cached_property
    def declared(self) -> dict[str, Any]:
        """What a new process says of its declaration and its help."""
        _, plugin = registry.load().get(self.analysis.name)
        done = _process(DECLARING, plugin.name, self.analysis.name, json.dumps(HEAVY), COLUMNS="600")
        if done.returncode:
            raise PluginError(f"It can't be declared in a process of its own: {_last(done.stderr)}")
        said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return said

    def explain(
        self,
        classifier: Classifier,
        images: Floats,
        *,
        start: int = 0,
        target: int | None = None,
        options: Mapping[str, object] = MappingProxyType({}),
    ) -> Record:
        """Runs it on copies of the images from that place on, which are its data set too; it gets none for a start above 0.

        Args:
            classifier: The model.
            images: (N, H, W, C) in the model's input range.
            start: The place of the first image to explain.
            target: The class to explain.
            options: Its own, over those of `Analysis.trial`.

        Raises:
            CnnExplainError: As `cnnexplain.explain` does.
        """
        from cnnexplain.pipeline import explain_parts

        given: dict[str, Any] = {**self.analysis.trial, **options, "target": target}
        if "dataset" in self.analysis.inputs:
            given["dataset"] = images.copy()
        shown = images.copy() if "images" in self.analysis.inputs else None
        return next(explain_parts(self.analysis.name, classifier, shown, start=start, **given))

    def made_arrays(self) -> dict[str, Array]:
        """The arrays found for those models, by "model/array".

        Raises:
            CnnExplainError: It failed for one of them.
        """
        arrays: dict[str, Array] = {}
        for name, trial in self.made.items():
            if isinstance(trial.record, CnnExplainError):
                raise trial.record
            arrays |= {f"{name}/{array}": values for array, values in trial.record.arrays.items()}
        return arrays

    def _tried(self, classifier: Classifier) -> Trial:
        from cnnexplain import specimens

        images = specimens.pictures(classifier, 2)
        before = _state(classifier, images)
        record: Record | CnnExplainError
        try:
            record = self.explain(classifier, images)
        except CnnExplainError as error:
            record = error
        after = _state(classifier, images)
        return Trial(record, tuple(name for name in before if not _identical(after.get(name), before[name])))

    def outcome(self, name: str) -> Outcome:
        """What comes of one of `CHECKS`; each is made once, after those that it needs."""
        if name not in self._outcomes:
            self._outcomes[name] = self._made(next(check for check in CHECKS if check.name == name))
        return self._outcomes[name]

    def _made(self, check: Check) -> Outcome:
        applying = [each.name for each in checks(self.analysis)]
        for need in check.needs:
            if need in applying and not self.outcome(need).passed:
                return Outcome(check, None, f"not made, since '{need}' did not pass")
        try:
            check.run(self)
        except CnnExplainError as error:
            return Outcome(check, False, str(error))
        return Outcome(check, True)


@dataclass(frozen=True)
class Trial:
    """What came of an analysis on a model made for the checks.

    Args:
        record: What it found, or why it did not.
        changed: What of the model was another after it than before.
    """

    record: Record | CnnExplainError
    changed: tuple[str, ...]


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


@dataclass(frozen=True)
class Outcome:
    """What came of a check.

    Args:
        check: Which.
        passed: Whether it passed; None where it was not made.
        words: What was found, or why it was not made; empty where it passed.
    """

    check: Check
    passed: bool | None
    words: str = ""


def find(name: str) -> list[Analysis]:
    """The analysis of that name, or all those of the entry point or the distribution of that name.

    Raises:
        UsageError: There is none, or the plugin offers no analysis.
        PluginError: The plugin is broken, or another one claims the name too.
    """
    found = registry.load()
    analyses = found.analyses
    for problem in found.broken:
        if any(name in (plugin.name, plugin.distribution) for plugin in problem.plugins):
            raise PluginError(str(problem))
    if name in analyses or name in analyses.clashes:
        return [found.get(name)[0]]
    supplied = [analyses[each] for each, plugin in analyses.suppliers.items() if name in (plugin.name, plugin.distribution)]
    if supplied:
        return supplied
    if any(name in (plugin.name, plugin.distribution) for plugin in found.models.suppliers.values()):
        raise UsageError(f"The plugin '{name}' offers models and no analysis; there is nothing to check.")
    known = [*analyses, *(plugin.distribution for plugin in analyses.suppliers.values())]
    raise UsageError(
        f"No analysis, plugin or distribution is installed as '{name}'.{suggest(name, known)} Install it first "
        f"(pip install -e FOLDER); 'cnnexplain list' shows what there is."
    )


def checks(analysis: Analysis) -> tuple[Check, ...]:
    """The checks that are about an analysis."""
    return tuple(check for check in CHECKS if check.applies(analysis))


def conformance(name: str, *, tolerance: float = TOLERANCE, skip: Sequence[str] = ()) -> Callable[[str], None]:
    """A test for pytest, with a case for each check.

    Args:
        name: The installed analysis, as users call it.
        tolerance: As `Candidate` takes it.
        skip: Checks to leave out, such as "backends", which starts every backend that is installed.

    Returns:
        The function, to be given a name that begins with "test".

    Raises:
        UsageError: It is not installed, or there is no such check.
        PluginError: It is broken.
    """
    import pytest

    analysis, _ = registry.load().get(name)
    candidate = Candidate(analysis, tolerance=tolerance)
    for each in skip:
        if each not in [check.name for check in CHECKS]:
            raise UsageError(f"There is no check '{each}'.{suggest(each, [check.name for check in CHECKS])}")

    @pytest.mark.parametrize("check", [check.name for check in checks(analysis) if check.name not in skip])
    def test(check: str) -> None:
        __tracebackhide__ = True
        outcome = candidate.outcome(check)
        if outcome.passed is None:
            pytest.skip(outcome.words)
        if not outcome.passed:
            pytest.fail(f"{name}, {check}: {outcome.words}", pytrace=False)

    return test


def _declaration(candidate: Candidate) -> None:
    analysis = candidate.analysis
    sentences = {
        "summary": (analysis.summary, "what it shows, as the first line of run()'s docstring"),
        "reading": (analysis.reading, "how to read the pictures, as Analysis(…, reading=…)"),
        "note": (analysis.note, "what the pictures don't show, as Analysis(…, note=…)"),
    }
    for what, (words, meaning) in sentences.items():
        if not _sentence(words):
            raise PluginError(f"Its {what} is {words!r}; expected a sentence on {meaning}, with a full stop.")
    if not re.search(r"\b(19|20)\d\d\b", analysis.paper):
        raise PluginError(f"Its paper is '{analysis.paper}'; expected authors, year and number, for those who look it up.")
    for name, unit in analysis.maps.items():
        if not isinstance(unit, str) or not unit.strip():
            raise PluginError(f"Its map '{name}' has the unit {unit!r}; expected words such as 'logits', or 'no unit'.")


def _sentence(words: object) -> bool:
    return isinstance(words, str) and words.isprintable() and words.rstrip().endswith((".", "?", "!"))


DECLARING = """
import contextlib, io, json, sys
from importlib.metadata import entry_points
from cnnexplain import registry
found = registry.collect(entry_points(group="cnnexplain", name=sys.argv[1]))
if sys.argv[2] not in found.analyses:
    raise SystemExit(" ".join(map(str, found.problems)) or f"'{sys.argv[1]}' does not offer it there")
heavy = [name for name in json.loads(sys.argv[3]) if name in sys.modules]
from cnnexplain import cli
printed = io.StringIO()
with contextlib.redirect_stdout(printed):
    code = cli.main(["run", sys.argv[2], "--help"])
print(json.dumps({"heavy": heavy, "help": printed.getvalue(), "code": code}))
"""


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
            raise PluginError(f"{option.flag} has the help {text!r}; expected a sentence, with a capital and a full stop.")
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
            raise PluginError(f"{option.flag} took {value!r}; expected a UsageError that says what it takes.")
        for value in _doubtful(option):
            try:
                candidate.explain(candidate.lenet, candidate.images[:1], options={option.name: value})
            except UsageError:
                continue
            except CnnExplainError as error:
                raise PluginError(
                    f"{option.flag} {value!r}, which its declaration allows, ends in: {error} Expected a result, or a "
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
            raise PluginError(f"Its result warns {warning!r}; expected a sentence, which users read.")


def _maps(candidate: Candidate) -> None:
    record = candidate.record
    expected = record.images.shape[:3]
    for name in candidate.analysis.maps:
        if name not in record.arrays:
            raise PluginError(
                f"It names '{name}' among its maps, but returns {', '.join(record.arrays)}; name one of its arrays."
            )
        array = record.arrays[name]
        if array.shape != expected or array.dtype.kind == "c":
            raise PluginError(
                f"Its map '{name}' is {array.dtype} of shape {array.shape}; expected real numbers {expected}, one for each "
                "pixel of each image. Take what is no such map out of Analysis(…, maps=…)."
            )


def _images(candidate: Candidate) -> None:
    import numpy as np

    if not np.array_equal(candidate.record.images, candidate.images):
        raise PluginError("run() changed the images that it was given; expected them as they were. Work on images.copy().")


def _model(candidate: Candidate) -> None:
    changed = [words for trial in candidate.made.values() for words in trial.changed]
    if changed:
        raise PluginError(
            f"It changed the user's model: {', '.join(changed[:5])}. Expected it untouched; work on a copy of it, such as "
            "keras.models.clone_model makes."
        )


def _state(classifier: Classifier, images: Floats) -> dict[str, Any]:
    """All of a model that an analysis could change."""
    import keras

    model = classifier.model
    weights = {f"the weight {weight.path}": keras.ops.convert_to_numpy(weight).copy() for weight in model.weights}
    return {
        **weights,
        "its configuration": model.to_json(),
        "what of it is trainable": [layer.trainable for layer in model.layers],
        "its output": keras.ops.convert_to_numpy(model(images, training=False)),
    }


def _repeats(candidate: Candidate) -> None:
    again = candidate.explain(candidate.lenet, candidate.images)
    apart = _apart(again.arrays, candidate.record.arrays, candidate.tolerance)
    apart = apart or _apart_facts(again.facts, candidate.record.facts, candidate.tolerance)
    if apart:
        raise PluginError(
            f"The same images give something else the second time: {apart}. Expected the same; draw random numbers from "
            "numpy.random.default_rng(seed), with the seed as an option, and keep nothing between two runs."
        )


def _neighbours(candidate: Candidate) -> None:
    images = candidate.images
    # The first image stands for those that were explained before, so that no data set is given.
    among, others = (candidate.explain(candidate.lenet, images[order], start=1) for order in ([0, 1, 2], [2, 1, 0]))
    apart = _apart(_first(among.arrays), _first(others.arrays), candidate.tolerance)
    apart = apart or _apart_facts(_first(among.facts), _first(others.facts), candidate.tolerance)
    if apart:
        raise PluginError(
            f"What is found for an image depends on which others are explained with it: {apart}. Expected each by itself; "
            "take maxima and means over the image's own axes, and leave normalising to draw()."
        )


def _batch(candidate: Candidate) -> None:
    images, record = candidate.images, candidate.record
    for place in range(len(images)):
        alone = candidate.explain(candidate.lenet, images[[0, place]], start=1)
        within = {name: record.arrays[name][place] for name in alone.arrays}
        facts = {name: record.facts[name][place] for name in alone.facts}
        apart = _apart(_first(alone.arrays), within, candidate.tolerance)
        apart = apart or _apart_facts(_first(alone.facts), facts, candidate.tolerance)
        if apart:
            raise PluginError(
                f"An image explained alone gives something else than among others: {apart}. Expected the same within "
                f"{candidate.tolerance:g} of the largest value; let nothing depend on how many images there are or on an "
                "image's place among them, and draw random numbers for one image, to be used for all."
            )


def _target(candidate: Candidate) -> None:
    one, other = (candidate.explain(candidate.lenet, candidate.images[:1], target=target) for target in (0, 1))
    if _same(one, other):
        raise PluginError(
            "Explaining class 0 and class 1 gives the same numbers; expected what is asked for. Make run() use the "
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
            differs = differs or not _same(record, usual) or not _same_pictures(record, usual)
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
            raise PluginError(f"overview() names a figure {name!r}; expected words, which become the name of its file.")
    if not all(_identical(record.arrays[name], array) for name, array in before.items()):
        raise PluginError("Drawing changed the arrays of the record; expected them as they were. Work on copies.")


REDRAWING = """
import sys
sys.modules |= dict.fromkeys(sys.argv[3:])
from cnnexplain import Record
Record.load(sys.argv[1]).save(sys.argv[2])
"""


def _saved(candidate: Candidate) -> None:
    import numpy as np
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        first, again = Path(folder) / "first", Path(folder) / "again"
        paths = candidate.explain(candidate.lenet, candidate.images[:1]).save(first)
        without = [name for name in HEAVY if name != "matplotlib"]
        done = _process(REDRAWING, str(first), str(again), *without)
        if done.returncode:
            raise PluginError(
                f"Where Keras can't be imported it can't be drawn from what was saved: {_last(done.stderr)} Expected draw() "
                "to read the record alone; in JSON tuples become lists, and whole numbers as keys become text."
            )
        for path in paths:
            if path.suffix == ".png":
                with Image.open(path) as before, Image.open(again / path.name) as after:
                    same = _identical(np.asarray(after), np.asarray(before))
                if not same:
                    raise PluginError(
                        "Drawn from what was saved a picture comes out otherwise; expected the same. Let draw() read the "
                        "record alone, and keep in it what it needs."
                    )


def _plain(candidate: Candidate) -> None:
    import numpy as np

    preprocess = candidate.lenet.preprocess
    grey = np.broadcast_to(preprocess.grey, (1, *preprocess.shape)).astype(np.float32)
    try:
        _figures(candidate.explain(candidate.lenet, grey))
    except CnnExplainError as error:
        raise PluginError(
            f"For an image all of one grey: {error} Mind maps of zeros, and divisions by their largest value."
        ) from error


def _models(candidate: Candidate) -> None:
    for name, trial in candidate.made.items():
        try:
            if isinstance(trial.record, CnnExplainError):
                raise trial.record
            _figures(trial.record, 1)
        except CnnExplainError as error:
            raise PluginError(f"For a model of {_described(name)}: {error}") from error


def _described(name: str) -> str:
    from cnnexplain import specimens

    words = " ".join((specimens.MADE[name].__doc__ or "").rstrip(".").split())
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
        apart = _apart(found, expected, max(ELSEWHERE, candidate.tolerance), ODD)
        if apart:
            raise PluginError(
                f"On {backend} it finds something else than on {here}: {apart}. Expected the same but for rounding; use "
                "keras.ops and what Classifier offers alone."
            )


COMPUTING = """
import json, sys
import numpy as np
from cnnexplain import registry, testing
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
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        done = _process(COMPUTING, folder, *names, KERAS_BACKEND=backend)
        if done.returncode:
            return dict.fromkeys(names, f"Keras can't be run on it: {_last(done.stderr)}")
        found: dict[str, dict[str, Array] | str] = dict(json.loads(done.stdout.splitlines()[-1]))
        for name in names:
            if name not in found:
                with np.load(Path(folder) / f"{name}.npz") as arrays:
                    found[name] = dict(arrays)
    return found


def _process(program: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a Python program in a process of its own, in which what can be imported here can be imported too."""
    paths = os.pathsep.join(path for path in sys.path if path)
    plain = {"PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1", "_TYPER_FORCE_DISABLE_TERMINAL": "1"}
    return subprocess.run(  # noqa: S603  # The interpreter and the programs are our own.
        [sys.executable, "-c", program, *words],
        env={**os.environ, **plain, **environment},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def _last(text: str) -> str:
    """The last line, which of a traceback says what is wrong."""
    return (text.strip().splitlines() or ["it ended without a word."])[-1]


def _figures(record: Record, images: int | None = None) -> dict[object, Array]:
    """The pixels of the figures of its first images, or of all, and of the overview, by the image's number or the name."""
    with warnings.catch_warnings():
        # Of maps that are divided by zero, and of letters that no font has.
        for kind in (RuntimeWarning, UserWarning):
            warnings.simplefilter("error", kind)
        drawn: dict[object, Figure] = {index: record.figure(index) for index in range(len(record))[:images]}
        drawn |= dict(record.overview().items())
        return {name: _pixels(figure) for name, figure in drawn.items()}


def _pixels(figure: Figure) -> Array:
    """(h, w, 4) uint8."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    try:
        canvas.draw()  # type: ignore[no-untyped-call]
    # What a plugin has put into a figure may fail in any way when it is rendered.
    except Exception as error:
        raise PluginError(f"Its figure can't be rendered: {type(error).__name__}: {error}") from error
    return np.array(canvas.buffer_rgba())  # type: ignore[no-untyped-call]


def _identical(found: object, expected: object) -> bool:
    import numpy as np

    return found is not None and bool(np.array_equal(found, expected))  # type: ignore[arg-type]


def _same(one: Record, other: Record) -> bool:
    return not (_apart(one.arrays, other.arrays, 0) or _apart_facts(one.facts, other.facts, 0))


def _same_pictures(one: Record, other: Record) -> bool:
    found, expected = _figures(one), _figures(other)
    return found.keys() == expected.keys() and all(_identical(found[name], expected[name]) for name in found)


def _first(found: Mapping[str, Any]) -> dict[str, Any]:
    """Of arrays or facts, each with an entry for each image, what is of the first image."""
    return {name: values[0] for name, values in found.items()}


def _apart(found: Mapping[str, Array], expected: Mapping[str, Array], tolerance: float, odd: float = 0.0) -> str:
    """Where arrays differ, in words; empty where they don't.

    Args:
        found: Arrays by name.
        expected: Arrays by name.
        tolerance: By how much of the largest expected magnitude values may differ; others than fractions must be equal.
        odd: The share of an array's values that may differ by more.
    """
    import numpy as np

    if set(found) != set(expected):
        return f"arrays {', '.join(found)} and {', '.join(expected)}"
    for name, array in expected.items():
        other = np.asarray(found[name])
        if other.shape != np.shape(array):
            return f"'{name}' has the shape {other.shape} and {np.shape(array)}"
        exact = np.asarray(array).dtype.kind in "biu"
        distance = np.abs(np.subtract(other, array, dtype=np.result_type(other, array, np.float64)))
        largest = max(float(np.abs(array).max(initial=0)), 1e-6)
        if (distance > (0 if exact else tolerance * largest)).mean() > odd if distance.size else False:
            return f"'{name}' differs by up to {distance.max():.2g}, its largest magnitude being {largest:.2g}"
    return ""


def _apart_facts(found: Mapping[str, Any], expected: Mapping[str, Any], tolerance: float) -> str:
    if set(found) != set(expected):
        return f"facts {', '.join(found)} and {', '.join(expected)}"
    for name, fact in expected.items():
        if not _near(found[name], fact, tolerance):
            return f"the fact '{name}' is {_short(found[name])} and {_short(fact)}"
    return ""


def _near(found: Any, expected: Any, tolerance: float) -> bool:
    """Whether JSON-able values are the same, but for rounding of fractions."""
    if isinstance(expected, float) and isinstance(found, int | float):
        return abs(found - expected) <= tolerance * max(1.0, abs(expected))
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        return set(found) == set(expected) and all(_near(found[key], expected[key], tolerance) for key in expected)
    if isinstance(expected, list | tuple) and isinstance(found, list | tuple):
        return len(found) == len(expected) and all(map(_near, found, expected, [tolerance] * len(found)))
    return bool(found == expected)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _of_images(analysis: Analysis) -> bool:
    return "images" in analysis.inputs


CHECKS = (
    Check("declaration", "it says what it shows, how to read it, what it doesn't show, and who defined it", _declaration),
    Check("imports", "declaring it imports neither Keras nor a backend nor Matplotlib", _imports),
    Check("help", "its help shows every option", _help, ("imports",)),
    Check("results", "it finds finite numbers, and facts that are JSON", _results),
    Check("images", "it leaves the images as they are", _images, ("results",), _of_images),
    Check("model", "it leaves the model as it is", _model, ("results",)),
    Check("repeats", "the same again gives the same", _repeats, ("images", "model")),
    Check("maps", "its maps have a number for each pixel", _maps, ("results",), lambda analysis: bool(analysis.maps)),
    Check("neighbours", "an image's numbers don't depend on its neighbours", _neighbours, ("repeats",), _of_images),
    Check("batch", "a batch gives what single images give", _batch, ("neighbours",), _of_images),
    Check(
        "target",
        "it explains the class that is asked for",
        _target,
        ("repeats",),
        lambda analysis: bool({"targets", "objectives"} & set(analysis.inputs)),
    ),
    Check("drawing", "it draws every image, without a warning", _drawing, ("results",)),
    Check("saved", "it draws the same from what was saved, without Keras", _saved, ("drawing",)),
    Check("plain", "a plain grey image is no trouble", _plain, ("drawing",), _of_images),
    Check(
        "options", "its options refuse what they can't take", _options, ("results",), lambda analysis: bool(analysis.options)
    ),
    Check(
        "choices",
        "its choices work, and change something",
        _choices,
        ("repeats", "drawing"),
        lambda analysis: any(map(_chosen, analysis.options)),
    ),
    Check(
        "models",
        "it works on branches, batch normalization, grey and colour images that are not square",
        _models,
        ("plain",),
    ),
    Check("backends", "it finds the same on every backend that is installed", _backends, ("models",)),
)
"""All that is asked of an analysis, in the order in which it is looked at."""

"""The noise of methods that average over random copies: its estimate, and where it is larger than what the map shows."""

import json
import re

import keras
import numpy as np
import pytest
from functions import formula

import cnnexplain as cx
from cnnexplain.cli.app import main
from cnnexplain.errors import PluginError, UsageError
from cnnexplain.numerics import relative_error
from cnnexplain.pipeline import parts
from cnnexplain.plugin import NOISE_LIMIT, Sampling

WORDS = "More than half of this map is noise: its standard error is"

SEVERAL = "For some images, more than half of the map is noise (see relative_error)."


def test_relative_error_is_the_ratio_of_root_mean_squares(random):
    errors, maps = random.uniform(0, 1, (3, 4, 5, 2)), random.normal(size=(3, 4, 5, 2))
    maps[1] = 0
    expected = []
    for error, values in zip(errors, maps, strict=True):
        above = below = 0.0
        for one, other in zip(error.ravel(), values.ravel(), strict=True):
            above, below = above + one**2, below + other**2
        expected.append((above / below) ** 0.5 if below else 0.0)
    np.testing.assert_allclose(relative_error(errors, maps), expected, rtol=1e-12)
    assert relative_error(errors, maps)[1] == 0


def erratic(random, contrast):
    """A score that oscillates with the pixels, with a large or small linear part: its gradient is random under noise."""
    weights = random.normal(0, 30, (6, 5, 3, 2)).astype(np.float32)
    return formula(weights, lambda scores: keras.ops.sin(scores) + contrast * scores, preprocess=cx.Preprocess(6, 5))


@pytest.mark.backends
@pytest.mark.parametrize("analysis", ["smoothgrad", "rise"])
def test_the_estimate_is_the_deviation_of_maps_with_other_seeds(model, random, analysis):
    clf = cx.load(model())
    image = random.uniform(0, 1, (1, 12, 10, 3)).astype(np.float32)
    options = {"smoothgrad": {"samples": 24, "error": 0.0}, "rise": {"masks": 60, "of": "logit"}}[analysis]
    name = {"smoothgrad": "gradient", "rise": "gain"}[analysis]
    records = [cx.explain(analysis, clf, image, target=1, seed=seed, **options) for seed in range(30)]
    maps = np.stack([record.arrays[name][0] for record in records]).astype(np.float64)
    noise = np.sqrt(maps.var(axis=0, ddof=1).mean())
    sizes = np.sqrt((maps**2).mean(axis=tuple(range(1, maps.ndim))))
    estimates = [record.facts["relative_error"][0] for record in records]
    # The mean over 30 runs of a ratio that varies by about a tenth.
    assert np.mean(estimates) == pytest.approx(np.mean(noise / sizes), rel=0.1)


@pytest.mark.backends
def test_noise_above_the_limit_is_reported_and_noise_below_it_is_not(random):
    image = random.uniform(0, 1, (1, 6, 5, 3)).astype(np.float32)
    options = {"samples": 16, "noise": 0.3, "error": 0.0, "target": 0}
    noisy = cx.explain("smoothgrad", erratic(random, 0.0), image, **options)
    clear = cx.explain("smoothgrad", erratic(random, 100.0), image, **options)
    assert noisy.facts["relative_error"][0] > NOISE_LIMIT > clear.facts["relative_error"][0]
    (warning,) = noisy.warnings
    share = round(100 * noisy.facts["relative_error"][0])
    assert warning == (
        f"{WORDS} {share}% of its root mean square. To reduce it, use more --samples or less --noise, or sum the map over "
        "regions (redraw --regions)."
    )
    assert noisy.notes() == [warning]
    assert (clear.warnings, clear.notes()) == ((), [])
    figure, plain = noisy.figure(), clear.figure()
    shown = [text.get_text().replace("\n", " ") for text in figure.texts]
    assert warning in shown
    assert not any(WORDS in text.get_text() for text in plain.texts)
    assert figure.get_figheight() > plain.get_figheight()


def test_above_the_limit_most_of_the_mean_square_is_noise(random):
    """At √½, the expected mean square of the map is twice that of the exact one."""
    exact = random.normal(size=(2000, 8, 8))
    for share in (0.6, 0.8):
        error = share / np.sqrt(1 - share**2)
        maps = exact + random.normal(0, error, exact.shape)
        found = relative_error(np.full(maps.shape, error), maps).mean()
        assert found == pytest.approx(share, abs=0.01)
        assert (found > NOISE_LIMIT) == ((maps - exact).var() > exact.var())


def test_the_advice_depends_on_what_stopped_the_sampling(random):
    image = random.uniform(0, 1, (1, 6, 5, 3)).astype(np.float32)
    record = cx.explain("smoothgrad", erratic(random, 0.0), image, samples=64, noise=0.3, error=1.0, target=0)
    if record.facts["stopped_by"] == ["samples"]:
        assert "--samples" in record.notes()[0]
    record.facts["stopped_by"][0] = "error"
    assert record.notes()[0].endswith(" To reduce it, use a smaller --error.")


def test_the_warning_on_several_maps_has_no_count(lenet):
    record = cx.explain("rise", lenet, ["mnist:test/42", "mnist:test/1"], masks=8, of="logit")
    assert min(record.facts["relative_error"]) > NOISE_LIMIT
    assert record.warnings == (f"{SEVERAL} To reduce it, use more --masks or fewer --cells.",)
    record.facts["relative_error"][0] = 0.1
    assert record.notes(0) == []
    assert record.notes(1)[0].startswith(WORDS)


def test_the_command_line_files_and_pages_say_so(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["run", "rise", "mnist:test/42", "--masks", "8", "--of", "logit"]) == 0
    assert WORDS in " ".join(capfd.readouterr().err.split())
    folder = tmp_path / "cnnexplain-out/rise"
    assert WORDS in json.loads((folder / "result.json").read_text())["warnings"][0]
    assert WORDS in (folder / "index.html").read_text()
    record = cx.Record.load(folder)
    assert any(WORDS in text.get_text() for text in record.figure().texts)
    cx.write_report(tmp_path / "page.html", cx.load(), [record])
    found = re.findall(r'<span class="finding">(.*?)</span>', (tmp_path / "page.html").read_text())
    assert any(WORDS in sentence for sentence in found)


def test_parts_have_the_same_warning(install, lenet, noise, monkeypatch):
    """Parts of 3 and 1 images: equal warnings of parts are one warning of the run."""
    monkeypatch.setattr(parts, "PART_IMAGES", 3)
    monkeypatch.setattr(lenet, "batch_size", 1)
    install("acme-random", plugin())
    found = list(cx.explain_parts("random", lenet, noise))
    assert list(map(len, found)) == [3, 1]
    assert {record.warnings for record in found} == {(f"{SEVERAL} To reduce it, use more --copies.",)}


PLUGIN = """
import numpy as np
from cnnexplain.plugin import Analysis, Result, Sampling, hookimpl

def run(classifier, images):
    "A map of random numbers."
    maps = images.mean(axis=-1)
    return Result({{"map": maps}}, {facts})

def draw(record, index):
    from cnnexplain import draw
    figure, (panel,) = draw.row(1, record)
    draw.caption(figure, record, index)
    return figure

@hookimpl
def cnnexplain_analyses():
    return [Analysis("random", run, draw, "Nobody 2026", maps={maps}, sampling=Sampling("error", {advice}))]
"""


def plugin(facts='{"error": [0.9] * len(images)}', advice='"use more --copies"', maps='{"map": "units"}'):
    return PLUGIN.format(facts=facts, advice=advice, maps=maps)


def test_third_party_analyses_state_their_noise(install, lenet, noise):
    install("acme-random", plugin())
    record = cx.explain("random", lenet, noise)
    assert record.notes(3) == [f"{WORDS} 90% of its root mean square. To reduce it, use more --copies."]
    assert record.warnings == (f"{SEVERAL} To reduce it, use more --copies.",)


@pytest.mark.parametrize("facts", ["{}", '{"error": ["0.9"] * len(images)}', '{"error": [-1.0] * len(images)}'])
def test_a_missing_or_wrong_error_breaks_the_contract(install, lenet, noise, facts):
    install("acme-random", plugin(facts))
    with pytest.raises(PluginError, match=r"the fact 'error' as .*; expected a relative error per image"):
        cx.explain("random", lenet, noise)


@pytest.mark.parametrize("advice", ["lambda record, index: 1 / 0", "lambda record, index: None"])
def test_advice_that_fails_is_the_plugins_error(install, lenet, noise, advice):
    install("acme-random", plugin(advice=advice))
    with pytest.raises(PluginError, match=r"advice\(\) of 'random' (failed|returned None)"):
        cx.explain("random", lenet, noise)


def test_invalid_declarations_are_refused(install, lenet, noise):
    for arguments in [("", "use more"), (None, "use more"), ("error", ""), ("error", 5)]:
        with pytest.raises(PluginError, match="A sampling needs"):
            Sampling(*arguments)
    install("acme-random", plugin(maps="{}"))
    with pytest.raises(UsageError, match="expected a Sampling of an analysis with maps"):
        cx.explain("random", lenet, noise)

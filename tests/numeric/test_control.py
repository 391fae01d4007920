"""The control of an explanation, against the analysis of a network that is shuffled and explained by hand."""

import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain import checks
from cnnexplain.pipeline import parts

pytestmark = pytest.mark.backends


def spearman(first, second):
    """Spearman's rank correlation with mean ranks: Pearson's correlation of how many values are smaller, ties half."""
    ranks = [
        np.array([(values < each).sum() + 0.5 * (values == each).sum() for each in values.ravel()], float)
        for values in (first, second)
    ]
    return np.corrcoef(*ranks)[0, 1]


@pytest.mark.parametrize(
    ("analysis", "options"),
    [
        ("saliency", {}),
        ("gradient-x-input", {"against": 3}),
        ("rise", {"masks": 12}),
        ("smoothgrad", {"samples": 3}),
        ("gradcam", {}),
    ],
)
def test_the_control_explains_the_same_classes_of_the_shuffled_network(model, random, analysis, options):
    clf = cx.load(model(seed=3))
    images = random.uniform(0, 1, (3, 12, 10, 3)).astype(np.float32)
    weights = clf.model.get_weights()
    record = cx.explain(analysis, clf, images, control=True, **options)
    classes = [explained.target for explained in record.explained]
    shuffled = checks.shuffled(clf)
    assert classes == clf.predict(images).argmax(axis=1).tolist()
    # The shuffled network predicts others.
    assert not set(classes) & {0, *shuffled.predict(images).argmax(axis=1).tolist()}
    expected = cx.explain(analysis, shuffled, images, target=classes, **options)
    assert set(record.control.arrays) == set(expected.arrays)
    for name, array in expected.arrays.items():
        scale = np.abs(array).max() or 1
        np.testing.assert_allclose(record.control.arrays[name], array, rtol=0, atol=1e-5 * scale)
    name = next(iter(record.analysis.maps))
    for index, correlation in enumerate(record.facts["control_rank_correlation"]):
        own, other = record.arrays[name][index], record.control.arrays[name][index]
        assert correlation == pytest.approx(spearman(own, other), abs=1e-9)
    # Neither the real explanation nor the model changes.
    plain = cx.explain(analysis, clf, images, **options)
    for key, array in plain.arrays.items():
        np.testing.assert_array_equal(record.arrays[key], array)
    assert plain.control is None
    assert {**plain.facts, "control_rank_correlation": record.facts["control_rank_correlation"]} == record.facts
    for before, after in zip(weights, clf.model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_parts_have_the_controls_of_their_images(model, random, monkeypatch):
    clf = cx.load(model())
    images = random.uniform(0, 1, (5, 12, 10, 3)).astype(np.float32)
    whole = cx.explain("saliency", clf, images, target=2, control=True)
    monkeypatch.setattr(parts, "MOST_READ", 2)
    monkeypatch.setattr(parts, "LEAST_READ", 2)
    joined = cx.explain("saliency", clf, images, target=2, control=True)
    monkeypatch.setattr(parts, "PART_IMAGES", 2)
    found = list(cx.explain_parts("saliency", clf, images, target=2, control=True))
    assert [len(record) for record in found] == [2, 2, 1]
    for name, array in whole.control.arrays.items():
        scale = np.abs(array).max()
        np.testing.assert_allclose(joined.control.arrays[name], array, rtol=0, atol=1e-5 * scale)
        np.testing.assert_allclose(
            np.concatenate([record.control.arrays[name] for record in found]), array, rtol=0, atol=1e-5 * scale
        )
    assert joined.control.facts["logit"] == pytest.approx(whole.control.facts["logit"], rel=1e-4, abs=1e-6)
    assert len(joined.facts["control_rank_correlation"]) == 5


def test_progress_counts_both_networks(model, random):
    clf = cx.load(model())
    images = random.uniform(0, 1, (2, 12, 10, 3)).astype(np.float32)
    told = []
    cx.explain("smoothgrad", clf, images, samples=4, control=True, progress=lambda *done: told.append(done))
    shares = [done / total for done, total in told]
    assert shares == sorted(shares)
    assert any(0 < share <= 0.5 for share in shares)
    assert shares[-1] == 1


def test_an_objective_is_explained_for_the_shuffled_network(model, random):
    clf = cx.load(model())
    images = random.uniform(0, 1, (1, 12, 10, 3)).astype(np.float32)
    objective = cx.Channel("conv", 2)
    record = cx.explain("saliency", clf, images, target=objective, control=True)
    expected = cx.explain("saliency", checks.shuffled(clf), images, target=objective)
    scale = np.abs(expected.arrays["gradient"]).max()
    np.testing.assert_allclose(record.control.arrays["gradient"], expected.arrays["gradient"], rtol=0, atol=1e-5 * scale)

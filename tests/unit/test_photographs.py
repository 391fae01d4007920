"""A photograph is told from a picture of a digit."""

import numpy as np
import pytest
from PIL import Image

from cnnexplain.inputs import datasets
from cnnexplain.inputs.photographs import is_photograph, separability


def on_paper(number, paper, ink, side=300):
    """A digit drawn with ink on paper under uneven light, as a camera sees it."""
    digit = Image.fromarray(datasets.mnist("test")[0][number]).resize((side, side), Image.Resampling.BICUBIC)
    strokes = np.asarray(digit, np.float32)[..., None] / 255
    y, x = np.mgrid[:side, :side] / side
    light = (0.5 + 0.5 * (0.6 * x + 0.4 * y))[..., None]
    noise = np.random.default_rng(number).normal(0, 0.02, (side, side, 3))
    return np.clip((np.array(paper) * (1 - strokes) + np.array(ink) * strokes) * light + noise, 0, 1).astype(np.float32)


PAPERS = [((0.95, 0.95, 0.93), (0.1, 0.1, 0.1)), ((0.9, 0.85, 0.6), (0.1, 0.15, 0.5)), ((0.6, 0.5, 0.4), (0.1, 0.1, 0.3))]


@pytest.mark.parametrize(("paper", "ink"), PAPERS)
def test_digits_on_paper_are_not_photographs(paper, ink):
    found = [is_photograph(on_paper(number, paper, ink)) for number in range(30)]
    assert not any(found)


def test_photographs_are_recognized(folder):
    for path in sorted((folder / "examples" / "photos").glob("*.jpg")):
        with Image.open(path) as file:
            picture = np.asarray(file, np.float32) / 255
        assert is_photograph(picture)
        # In gray, upside down and darker too.
        assert is_photograph(0.6 * picture.mean(axis=-1, keepdims=True)[::-1])
        assert not is_photograph(picture[:40, :40])


def test_separability_is_the_between_group_variance_share():
    values = np.array([0, 0, 1, 1, 1, 5, 6.0])
    best = max(
        1 - (len(low) * np.var(low) + len(high) * np.var(high)) / (len(values) * np.var(values))
        for low, high in ((values[:cut], values[cut:]) for cut in range(1, len(values)))
    )
    assert separability(values[::-1]) == pytest.approx(best)
    assert separability(np.array([0, 0, 1, 1])) == pytest.approx(1)
    assert separability(np.ones((3, 3))) == 1

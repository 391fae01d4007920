"""Real plugin packages, whole and broken, found through their entry points."""

from importlib.metadata import entry_points

import pytest

import cnnexplain as cx
from cnnexplain.plugin import registry


@pytest.fixture(autouse=True)
def fresh():
    registry.load.cache_clear()
    yield
    registry.load.cache_clear()


def test_the_built_in_analyses_come_from_an_entry_point():
    found = registry.load()
    assert found.analyses.suppliers["saliency"].distribution == "cnnexplain"
    assert found.analyses.suppliers["saliency"].version == cx.__version__
    assert found.problems == ()
    assert [point.value for point in entry_points(group="cnnexplain", name="saliency")] == ["cnnexplain_plugins.saliency"]

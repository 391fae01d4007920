"""No import cycles. That sub-packages import only those below them is checked by import-linter (see pyproject.toml)."""

from graphlib import CycleError, TopologicalSorter

import grimp
import pytest


def test_no_import_cycles():
    # Imports within functions count, those for type checkers alone do not.
    graph = grimp.build_graph("cnnexplain", exclude_type_checking_imports=True, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert "cnnexplain.errors" in imports["cnnexplain.inputs.images"]
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(f"an import cycle: {' is imported by '.join(error.args[1])}")

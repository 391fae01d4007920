"""The public names: which there are, that they are documented, and that the built-in plugins import no others."""

import importlib
import inspect

import pytest
from public_names import PUBLIC


def exported(name):
    """`__all__` of a module, or the names that it defines itself and that have no underscore."""
    module = importlib.import_module(name)
    own = [key for key, value in vars(module).items() if not key.startswith("_") and _own(module, value)]
    return sorted(getattr(module, "__all__", own))


def _own(module, value):
    return not inspect.ismodule(value) and getattr(value, "__module__", module.__name__) == module.__name__


@pytest.mark.parametrize("module", PUBLIC)
def test_exported_names_are_stable(module):
    assert exported(module) == PUBLIC[module]
    for name in PUBLIC[module]:
        assert getattr(importlib.import_module(module), name) is not None


def test_numerics_lists_its_names_without_importing_keras(shell):
    program = (
        "import sys\nfrom cnnexplain import numerics, plugin\nnumerics.BASELINES\nprint({'keras', 'numpy'} & {*sys.modules})"
    )
    done = shell("-c", program)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "set()\n"

"""The public names: which there are, that they are documented, and that the built-in plugins import no others."""

import ast
import re

import pytest
from public_names import PUBLIC


@pytest.mark.parametrize("module", PUBLIC)
def test_every_exported_name_is_documented(module, folder):
    """By a heading of its own, or by that of its module, under which mkdocstrings puts all that has a docstring."""
    pages = "".join((folder / "docs" / name).read_text() for name in ("api.md", "api-plugins.md"))
    headings = set(re.findall(r"^::: ([\w.]+)$", pages, re.MULTILINE))
    elsewhere = {name: {f"{other}.{name}" for other in PUBLIC if name in PUBLIC[other]} for name in PUBLIC[module]}
    assert [name for name, places in elsewhere.items() if not headings & {module, *places}] == []


def imports(tree):
    """What a module imports, type checking included: (module, name), the name None for `import module`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level
            yield from ((node.module, alias.name) for alias in node.names)


def attributes(tree):
    """What a module takes of modules of ours that it has imported whole, such as `draw.title`: (module, name)."""
    known = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "cnnexplain"
        for alias in node.names
        if f"{node.module}.{alias.name}" in PUBLIC
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in known:
            yield known[node.value.id], node.attr


def test_the_built_in_plugins_import_public_names_only(folder):
    files = sorted((folder / "plugins").rglob("*.py"))
    files += sorted((folder / "examples").rglob("*.py"))
    files += sorted((folder / "cnnexplain").rglob("*.py.template"))
    assert len(files) > 40
    private = []
    for path in files:
        tree = ast.parse(path.read_text().replace("$module", "module"))
        for module, name in [*imports(tree), *attributes(tree)]:
            if module.partition(".")[0] != "cnnexplain" or f"{module}.{name}" in PUBLIC:
                continue
            if module not in PUBLIC or (name is not None and name not in PUBLIC[module]):
                private.append(f"{path.name}: {module} {name}")
    assert not private


def test_a_small_method_is_one_short_module(folder):
    assert len((folder / "plugins/cnnexplain_plugins/gradient_x_input.py").read_text().splitlines()) <= 80


STARTS = """
import gc, sys, types
from cnnexplain.backend.start import starting
young = []
with starting():
    pass
print([any(each is young for each in gc.get_objects(generation=2)), gc.isenabled()])
if {frozen}:
    gc.freeze()
with starting():
    assert gc.isenabled() == ("keras" in sys.modules)
    young = []
    sys.modules["keras"] = types.ModuleType("keras")
old = any(each is young for each in gc.get_objects(generation=2))
with starting():
    assert gc.isenabled()
print([old, gc.get_freeze_count() > 0, gc.isenabled()])
"""


@pytest.mark.parametrize("frozen", [False, True])
def test_the_first_import_of_keras_postpones_garbage_collection(shell, frozen):
    """Unless the caller has frozen objects, which stay so; an import without Keras leaves all as it is."""
    done = shell("-c", STARTS.format(frozen=frozen))
    assert (done.stdout, done.stderr) == (f"[False, True]\n[{not frozen}, {frozen}, True]\n", "")

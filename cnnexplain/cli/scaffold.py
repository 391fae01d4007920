"""The package that `cnnexplain new-plugin` creates: a working analysis with its test and its page, as a starting point."""

from __future__ import annotations

import importlib.util
import re
from importlib import resources
from pathlib import Path
from string import Template

from cnnexplain import __version__, files
from cnnexplain.errors import OutputError, UsageError
from cnnexplain.plugin import registry
from cnnexplain.plugin.analysis import ALL

FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    ".gitignore": "gitignore",
    "$module.py": "method.py",
    "tests/test_$word.py": "test.py",
    "docs/$name.md": "page.md",
}
"""The files of the package and their templates."""

LONGEST = 40
"""Maximum number of characters of a name; with longer ones, lines of the package would become too long."""


def check_name(name: str) -> None:
    """Checks that a new analysis can have this name.

    Raises:
        UsageError: The name is invalid or taken.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > LONGEST:
        raise UsageError(
            "The name of an analysis must be lowercase words joined by hyphens, such as 'edge-energy', "
            f"with at most {LONGEST} characters, but got '{name[: 2 * LONGEST]}'."
        )
    installed = registry.load()
    analyses = installed.analyses
    plugins = {plugin.name for offers in (analyses, installed.models) for plugin in offers.suppliers.values()}
    if name == ALL:
        raise UsageError(f"No analysis can be named '{ALL}', which stands for all of them.")
    taken = name in plugins or name in analyses or name in analyses.clashes
    if taken or importlib.util.find_spec(_module(name)) is not None:
        raise UsageError(f"The name '{name}' is taken by an installed plugin; choose another.")


def write(name: str, folder: Path) -> list[Path]:
    """Writes the package of an analysis into a new folder, atomically.

    Returns:
        The paths of its files.

    Raises:
        UsageError: The name is invalid or taken.
        OutputError: The folder exists, or can't be created.
    """
    check_name(name)
    if folder.exists():
        raise OutputError(f"'{folder}' exists; choose another folder with --out.")
    files.check_writable(folder)
    words = {
        "name": name,
        "distribution": f"cnnexplain-{name}",
        "module": _module(name),
        "word": name.replace("-", "_"),
        "version": __version__,
    }
    templates = resources.files("cnnexplain.cli") / "skeleton"
    paths = [Path(Template(path).substitute(words)) for path in FILES]
    with files.staging(folder) as staged:
        for path, template in zip(paths, FILES.values(), strict=True):
            text = Template((templates / f"{template}.template").read_text(encoding="utf-8")).substitute(words)
            (staged / path).parent.mkdir(parents=True, exist_ok=True)
            (staged / path).write_text(text, encoding="utf-8")
        staged.rename(folder)
    return [folder / path for path in paths]


def _module(name: str) -> str:
    return f"cnnexplain_{name.replace('-', '_')}"

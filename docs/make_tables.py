"""Generates the tables of all analyses in README.md and docs/methods.md from their declarations.

Run it in the root of the repository: python docs/make_tables.py
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from cnnexplain.plugin import Analysis, registry

ROOT = Path(__file__).parent.parent

HEADS = {
    ROOT / "README.md": "| analysis | shows | paper |\n|---|---|---|\n",
    ROOT / "docs" / "methods.md": "| analysis | how to read it | limitations | in a report |\n|---|---|---|---|\n",
}
"""The pages, and the first two lines of the table on each; the rows follow."""


def pages() -> dict[Path, str]:
    """The text of each page with an up-to-date table."""
    found = registry.load().analyses
    own = [analysis for name, analysis in found.items() if found.suppliers[name].distribution == "cnnexplain"]
    rows = {ROOT / "README.md": map(readme, own), ROOT / "docs" / "methods.md": map(methods, own)}
    return {page: _replaced(page.read_text(encoding="utf-8"), head, rows[page]) for page, head in HEADS.items()}


def _replaced(text: str, head: str, rows: Iterable[str]) -> str:
    """The page with these rows in its table, one per line."""
    before, _, after = text.partition(head)
    return before + head + "".join(f"{row}\n" for row in rows) + re.sub(r"\A(\|.*\n)*", "", after)


def readme(analysis: Analysis) -> str:
    """A row with what the analysis shows, and its paper."""
    return f"| [`{analysis.name}`](docs/analyses/{analysis.name}.md) | {analysis.summary} | {_links(analysis.paper)} |"


def methods(analysis: Analysis) -> str:
    """A row with how to read the analysis, its limitations, and the options used by reports."""
    name = f"[{analysis.name}](analyses/{analysis.name}.md)"
    return f"| {name} | {analysis.how_to_read} | {analysis.limitations} | {_options(analysis)} |"


def _links(paper: str) -> str:
    paper = re.sub(r"arXiv:([\d.]*\d)", r"[arXiv:\1](https://arxiv.org/abs/\1)", paper)
    return re.sub(r"doi:([^\s)]+)", r"[doi:\1](https://doi.org/\1)", paper)


def _options(analysis: Analysis) -> str:
    flags = {option.name: option.flag for option in analysis.options}
    return ", ".join(f"`{flags[name]} {_typed(value)}`" for name, value in analysis.quick.items())


def _typed(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8")

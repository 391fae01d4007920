"""Generates the tables of all analyses in README.md and docs/methods.md from their declarations.

Run it in the root of the repository: python docs/make_tables.py
"""

from __future__ import annotations

import re
from pathlib import Path

from cnnexplain.plugin import Analysis, registry

ROOT = Path(__file__).parent.parent

BLOCK = re.compile(r"(?<=<!-- table of analyses -->\n).*?(?=<!-- end of table -->)", re.DOTALL)
"""The text between the two lines that mark a table."""


def pages() -> dict[Path, str]:
    """The text of each page with an up-to-date table."""
    found = registry.load().analyses
    own = [analysis for name, analysis in found.items() if found.suppliers[name].distribution == "cnnexplain"]
    tables = {ROOT / "README.md": readme(own), ROOT / "docs" / "methods.md": methods(own)}
    texts = {page: page.read_text(encoding="utf-8") for page in tables}
    return {page: BLOCK.sub(lambda _, table=table: f"\n{table}\n", texts[page]) for page, table in tables.items()}


def readme(analyses: list[Analysis]) -> str:
    """What each analysis shows, with its paper."""
    rows = [f"| [`{a.name}`](docs/analyses/{a.name}.md) | {a.summary} | {_links(a.paper)} |" for a in analyses]
    return "\n".join(["| analysis | shows | paper |", "|---|---|---|", *rows, ""])


def methods(analyses: list[Analysis]) -> str:
    """How to read each analysis, its limitations, and the options used by reports."""
    rows = [
        f"| [{each.name}](analyses/{each.name}.md) | {each.reading} | {each.note} | {_options(each)} |" for each in analyses
    ]
    return "\n".join(["| analysis | how to read it | limitations | in a report |", "|---|---|---|---|", *rows, ""])


def _links(paper: str) -> str:
    paper = re.sub(r"arXiv:([\d.]*\d)", r"[arXiv:\1](https://arxiv.org/abs/\1)", paper)
    return re.sub(r"doi:([^\s)]+)", r"[doi:\1](https://doi.org/\1)", paper)


def _options(analysis: Analysis) -> str:
    flags = {option.name: option.flag for option in analysis.options}
    return ", ".join(f"`{flags[name]} {value}`" for name, value in analysis.quick.items())


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8")

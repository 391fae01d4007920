"""Generates the table of costs in docs/methods.md: the passes that each analysis declares, for the two included networks.

Run it in the root of the repository, with the `photos` extra installed: python docs/make_costs.py
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import cnnexplain as cx
from cnnexplain.plugin import registry
from cnnexplain.plugin.options import validate

PAGE = Path(__file__).parent / "methods.md"

HEAD = (
    "| analysis | LeNet | EfficientNet-lite0 | LeNet, in a report | EfficientNet-lite0, in a report |\n"
    "|---|---|---|---|---|\n"
)


def page() -> str:
    """The text of the page with an up-to-date table."""
    before, _, after = PAGE.read_text(encoding="utf-8").partition(HEAD)
    return before + HEAD + "".join(f"{row}\n" for row in rows()) + re.sub(r"\A(\|.*\n)*", "", after)


def rows() -> Iterator[str]:
    """A row for each analysis, the cheapest first."""
    found = registry.load().analyses
    classifiers = [cx.load(), cx.load("efficientnet-lite0")]
    costs = {}
    for name, analysis in found.items():
        if found.suppliers[name].distribution == "cnnexplain" and analysis.passes is not None:
            settings = [validate(analysis.options, given) for given in ({}, analysis.quick)]
            costs[name] = [round(analysis.passes(clf, options)) for options in settings for clf in classifiers]
    for name, passes in sorted(costs.items(), key=lambda item: (item[1], item[0])):
        yield f"| {name} | {' | '.join(f'{number:,}' for number in passes)} |"


if __name__ == "__main__":
    text = page()
    PAGE.write_text(text, encoding="utf-8")

"""Templates → HTML: an environment that escapes whatever it is given, and writes values as all our pages do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jinja2

LISTED = 25
"""How many entries of a long fact are shown before the rest are counted."""


def environment() -> jinja2.Environment:
    """A new environment of the templates in the folder `rendering/pages`.

    It has the filters of `parts.html`; a page that needs more adds them to its own.
    """
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("cnnexplain", "rendering/pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"number": _number, "shape": _shape, "pieces": _pieces, "typed": _typed}
    made.globals |= {"listed": LISTED, "alike": _alike}
    return made


def fragment(name: str, **values: object) -> str:
    """HTML for a notebook: no page of its own, no script and no style sheet.

    Args:
        name: The file of the template.
        **values: What it is filled with.
    """
    return _plain().get_template(name).render(values)


@cache
def _plain() -> jinja2.Environment:
    return environment()


def _number(value: object) -> str:
    """A number of a fact, for people: four digits that count."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "−")
    return str(value).replace("-", "−") if isinstance(value, int) else str(value)


def _typed(value: object) -> str:
    """An option's value as it is typed, several with commas between them."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _alike(entries: Sequence[Any]) -> bool:
    """Whether entries of a fact are mappings with the same keys, so that they make the rows of a table."""
    return all(isinstance(entry, Mapping) and entry.keys() == entries[0].keys() for entry in entries)


def _shape(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))


def _pieces(paper: str) -> list[tuple[str, str]]:
    """A paper's name in pieces, each with the arXiv number that follows it, the last with none."""
    pieces = re.split(r"arXiv:(\d{4}\.\d{4,5})", paper)
    return list(zip(pieces[::2], [*pieces[1::2], ""], strict=True))

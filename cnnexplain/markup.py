"""The Jinja environment for HTML: it escapes all values, and has filters for formatting them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jinja2

LISTED = 25
"""Entries of a long fact that are shown before the rest is counted."""


def environment() -> jinja2.Environment:
    """A new environment for the templates in the folder `rendering/pages`.

    It has the filters that `parts.html` uses. Pages that need more add them.
    """
    created = jinja2.Environment(
        loader=jinja2.PackageLoader("cnnexplain", "rendering/pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    created.filters |= {"number": _number, "shape": _shape, "pieces": _pieces, "typed": _typed}
    created.globals |= {"listed": LISTED, "alike": _alike}
    return created


def fragment(name: str, **values: object) -> str:
    """An HTML fragment for a notebook, without scripts and style sheets.

    Args:
        name: The file name of the template.
        **values: The values of its variables.
    """
    return _plain().get_template(name).render(values)


@cache
def _plain() -> jinja2.Environment:
    return environment()


def _number(value: object) -> str:
    """A number with four significant digits, or yes, no or a dash."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "−")
    return str(value).replace("-", "−") if isinstance(value, int) else str(value)


def _typed(value: object) -> str:
    """The value of an option; several values are separated by commas."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _alike(entries: Sequence[Any]) -> bool:
    """Whether the entries of a fact are mappings with the same keys, so that they can be shown as a table."""
    return all(isinstance(entry, Mapping) and entry.keys() == entries[0].keys() for entry in entries)


def _shape(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))


def _pieces(paper: str) -> list[tuple[str, str]]:
    """The reference to a paper, split at its arXiv numbers: (text, number that follows it), the last without a number."""
    pieces = re.split(r"arXiv:(\d{4}\.\d{4,5})", paper)
    return list(zip(pieces[::2], [*pieces[1::2], ""], strict=True))

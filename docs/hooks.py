"""What the site says of the analyses is read from their code, and its mathematics needs no script.

MkDocs calls these functions while it builds the site; mkdocs.yml names this file.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from cnnexplain.plugin import Analysis, registry
from cnnexplain.plugin.options import Parameter

ROOT = Path(__file__).parent.parent
"""Of the repository."""

MARKER = re.compile(r"^<!-- (?P<what>about|options|file): (?P<of>\S+) -->$", re.MULTILINE)
"""Stands alone on a line of a page, where what the analysis says of itself, its options, or the text of a file go."""

LATEX = re.compile(r'<(?P<tag>div|span) class="arithmatex">\\[\[(](?P<latex>.*?)\\[\])]</(?P=tag)>', re.DOTALL)
"""A formula as the extension arithmatex leaves it."""


def on_config(config: Any) -> None:
    """Puts a page for each installed analysis into the navigation."""
    for section in config.nav:
        if "Analyses" in section:
            section["Analyses"] = [f"analyses/{name}.md" for name in registry.load().analyses]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with its markers replaced.

    Raises:
        UsageError: A marker names an analysis that isn't installed.
        FileNotFoundError: A marker names a file that isn't there.
    """

    def replaced(marker: re.Match[str]) -> str:
        if marker["what"] == "file":
            return file(ROOT / marker["of"])
        analysis, _ = registry.load().get(marker["of"])
        return about(analysis) if marker["what"] == "about" else options(analysis)

    return MARKER.sub(replaced, markdown)


def on_page_content(content: str, **_: Any) -> str:
    """The page with MathML, which browsers draw by themselves, for LaTeX."""
    return LATEX.sub(_mathml, content)


def about(analysis: Analysis) -> str:
    """What the analysis says of itself: what it shows, how to read it, its limits and its paper."""
    rows = [
        ("Shows", analysis.summary),
        ("Read", analysis.reading),
        ("Note", analysis.note),
        ("Paper", re.sub(r"arXiv:([\d.]*\d)", r"[arXiv:\1](https://arxiv.org/abs/\1)", analysis.paper)),
        ("Run", f"`cnnexplain run {analysis.name}`"),
    ]
    return "\n\n".join(['!!! abstract "In short"', *(f"    **{name}:** {text}" for name, text in rows if text)])


def options(analysis: Analysis) -> str:
    """A table of the analysis' own options."""
    if not analysis.options:
        return "This analysis has no options of its own."
    head = "| option | takes | default | meaning |\n|---|---|---|---|\n"
    return head + "\n".join(_row(parameter) for parameter in analysis.options)


def file(path: Path) -> str:
    """The text of a file as a block of code."""
    language = {".py": "python", ".toml": "toml", ".md": "markdown"}[path.suffix]
    return f"```{language}\n{path.read_text(encoding='utf-8')}```"


def _row(parameter: Parameter) -> str:
    cells = [f"`{parameter.flag}`", _takes(parameter), _default(parameter), parameter.option.help]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _takes(parameter: Parameter) -> str:
    low, high = parameter.option.min, parameter.option.max
    kind = {int: "a whole number", float: "a number", str: "text", bool: "nothing"}[parameter.type]
    if parameter.choices:
        kind = ", ".join(f"`{choice}`" for choice in parameter.choices)
    elif low is not None and high is not None:
        kind += f" from {low:g} to {high:g}"
    elif low is not None or high is not None:
        kind += f" of at least {low:g}" if low is not None else f" of at most {high:g}"
    return f"{kind}; repeatable" if parameter.many else kind


def _default(parameter: Parameter) -> str:
    """The default, or a dash where the help tells what is done without the option."""
    default = parameter.default
    if default is None or default == ():
        return "–"
    if isinstance(default, bool):
        return "yes" if default else "no"
    return ", ".join(f"`{value}`" for value in (default if isinstance(default, tuple) else (default,)))


def _mathml(found: re.Match[str]) -> str:
    from latex2mathml.converter import convert

    latex = html.unescape(found["latex"])
    mathml = convert(latex, display="block" if found["tag"] == "div" else "inline")
    # A command that isn't known is passed on as it is.
    if "\\" in mathml:
        raise ValueError(f"No MathML can be made of all of '{latex}'.")
    return mathml

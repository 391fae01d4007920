"""MkDocs hooks, named in mkdocs.yml: descriptions of the analyses come from their code, and formulas become MathML."""

from __future__ import annotations

import ast
import html
import re
from pathlib import Path
from typing import Any

from cnnexplain.plugin import Analysis, Metric, registry
from cnnexplain.plugin.options import Parameter

ROOT = Path(__file__).parent.parent
"""The root of the repository."""

MARKER = re.compile(r"^<!-- (?P<what>about|summary|options|file|gallery|modules|metric): (?P<of>\S+) -->$", re.MULTILINE)
"""A line of a page that is replaced by generated text, such as a description, a table of options or a file."""

LATEX = re.compile(r'<(?P<tag>div|span) class="arithmatex">\\[\[(](?P<latex>.*?)\\[\])]</(?P=tag)>', re.DOTALL)
"""A formula in the output of the extension arithmatex."""


def on_config(config: Any) -> None:
    """Adds a page for each installed analysis to the navigation."""
    for section in config.nav:
        if "Analyses" in section:
            section["Analyses"] = [f"analyses/{name}.md" for name in registry.load().analyses]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with its markers replaced.

    Raises:
        UsageError: A marker names an analysis or a metric that is not installed.
        FileNotFoundError: A marker names a file that does not exist.
    """

    def replaced(marker: re.Match[str]) -> str:
        if marker["what"] == "file":
            return file(ROOT / marker["of"])
        if marker["what"] == "gallery":
            return gallery(markdown)
        if marker["what"] == "modules":
            return modules(ROOT / marker["of"])
        if marker["what"] == "metric":
            return about_metric(registry.load().metrics.pick(marker["of"])[0])
        analysis, _ = registry.load().get(marker["of"])
        if marker["what"] == "summary":
            return analysis.summary
        return about(analysis) if marker["what"] == "about" else options(analysis)

    return MARKER.sub(replaced, markdown)


def on_page_content(content: str, **_: Any) -> str:
    """The page with MathML, which browsers render without scripts, in place of LaTeX."""
    return LATEX.sub(_mathml, content)


def about(analysis: Analysis) -> str:
    """The analysis' own description: what it shows, how to read it, its limitations and its paper."""
    rows = [
        ("What it shows", analysis.summary),
        ("How to read it", analysis.how_to_read),
        ("Limitations", analysis.limitations),
        ("Paper", _linked(analysis.paper)),
        ("Command", f"`cnnexplain run {analysis.name}`"),
        ("Terms", "[Glossary](../glossary.md)"),
    ]
    return _box(rows)


def about_metric(metric: Metric) -> str:
    """The metric's own description: what it measures, its scores, its settings, what it cannot tell, and its paper."""
    better = [f"{name} ({better} is better)" if better != "neither" else name for name, better in metric.scores.items()]
    return _box(
        [
            ("What it measures", metric.summary),
            ("Scores", "; ".join(better)),
            ("Settings", metric.protocol),
            ("What it cannot tell", metric.limitations),
            ("Paper", _linked(metric.paper)),
        ]
    )


def _box(rows: list[tuple[str, str]]) -> str:
    return "\n\n".join(['!!! abstract "Summary"', *(f"    **{name}:** {text}" for name, text in rows if text)])


def _linked(paper: str) -> str:
    return re.sub(r"arXiv:([\d.]*\d)", r"[arXiv:\1](https://arxiv.org/abs/\1)", paper)


def options(analysis: Analysis) -> str:
    """A table of the options that only this analysis has."""
    if not analysis.options:
        return "This analysis has no options of its own."
    head = "| option | type | default | meaning |\n|---|---|---|---|\n"
    return head + "\n".join(_row(parameter) for parameter in analysis.options)


def gallery(page: str) -> str:
    """A section for each analysis that has none on the page, with all of its pictures."""
    sections = []
    for name, analysis in registry.load().analyses.items():
        if f"\n## {name}\n" not in page:
            paths = sorted((ROOT / "docs" / "images").glob(f"{name}-*.webp"))
            pictures = [f"![{path.stem}](images/{path.name})" for path in paths]
            sections += [f"## {name}", f"{analysis.summary} [More](analyses/{name}.md)", *pictures]
    return "\n\n".join(sections)


def modules(folder: Path) -> str:
    """A list of the modules in a folder and its packages, each with the first line of its docstring."""
    lines = []
    for path in sorted(folder.rglob("*.py"), key=lambda path: (path.parent, path.name != "__init__.py", path.name)):
        parts = path.parent.relative_to(folder).parts
        name = f"**{'/'.join([folder.name, *parts])}/**" if path.name == "__init__.py" else f"`{path.name}`"
        summary = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
        lines.append(f"{'    ' * (path.name != '__init__.py')}- {name}: {summary}")
    return "\n".join(lines)


def file(path: Path) -> str:
    """The text of a file as a code block."""
    language = {".py": "python", ".toml": "toml", ".md": "markdown"}[path.suffix]
    return f"```{language}\n{path.read_text(encoding='utf-8')}```"


def _row(parameter: Parameter) -> str:
    cells = [f"`{parameter.flag}`", _takes(parameter), _default(parameter), parameter.option.help]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _takes(parameter: Parameter) -> str:
    low, high = parameter.option.min, parameter.option.max
    kind = {int: "integer", float: "number", str: "text", bool: "flag"}[parameter.type]
    if parameter.choices:
        kind = ", ".join(f"`{choice}`" for choice in parameter.choices)
    elif low is not None and high is not None:
        kind += f", {low:g} to {high:g}"
    elif low is not None or high is not None:
        kind += f", at least {low:g}" if low is not None else f", at most {high:g}"
    return f"{kind}; repeatable" if parameter.many else kind


def _default(parameter: Parameter) -> str:
    """The default, or a dash if the help says what happens without the option."""
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
    # The converter passes unknown commands on unchanged.
    if "\\" in mathml:
        raise ValueError(f"'{latex}' contains LaTeX that cannot be converted to MathML.")
    return mathml

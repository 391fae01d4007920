"""Converts former names in saved results to the current ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnnexplain import former_names


def result(content: Mapping[str, Any]) -> dict[str, Any]:
    """Converts the content of `result.json`, before it is checked."""
    renamed = {former_names.FIELDS.get(name, name): value for name, value in content.items()}
    return part({**renamed, "input": former_names.renamed(renamed["input"])} if "input" in renamed else renamed, renamed)


def part(content: Mapping[str, Any], whole: Mapping[str, Any]) -> dict[str, Any]:
    """Converts the content of the file of a part, before it is checked.

    Args:
        content: The content.
        whole: The content of `result.json`. The facts of third-party plugins are not changed.
    """
    plugin, facts = whole.get("plugin"), content.get("facts")
    built_in = isinstance(plugin, Mapping) and plugin.get("distribution") == "cnnexplain"
    if not built_in or not isinstance(facts, Mapping):
        return dict(content)
    return {**content, "facts": {former_names.FACTS.get(name, name): value for name, value in facts.items()}}

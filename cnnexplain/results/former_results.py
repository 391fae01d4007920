"""Converts former names in saved results to the current ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnnexplain import former_names


def result(content: Mapping[str, Any]) -> dict[str, Any]:
    """Converts the content of `result.json`, before it is checked."""
    found = {former_names.FIELDS.get(name, name): value for name, value in content.items()}
    return part({**found, "input": former_names.renamed(found["input"])} if "input" in found else found, found)


def part(content: Mapping[str, Any], of: Mapping[str, Any]) -> dict[str, Any]:
    """Converts the content of the file of a part, before it is checked.

    Args:
        content: The content.
        of: The content of `result.json`. The facts of third-party plugins are not changed.
    """
    plugin, facts = of.get("plugin"), content.get("facts")
    built_in = isinstance(plugin, Mapping) and plugin.get("distribution") == "cnnexplain"
    if not built_in or not isinstance(facts, Mapping):
        return dict(content)
    return {**content, "facts": {former_names.FACTS.get(name, name): value for name, value in facts.items()}}

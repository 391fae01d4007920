"""Docstrings, also if Python strips them (PYTHONOPTIMIZE=2)."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any


def docstring(function: Callable[..., Any]) -> str:
    """The docstring of a function without its indentation; empty if it has none."""
    text = inspect.getdoc(function)
    if text is None and not __debug__ and inspect.isfunction(function):
        try:
            (parsed,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
        except (OSError, SyntaxError, ValueError):
            return ""
        text = ast.get_docstring(parsed) if isinstance(parsed, ast.FunctionDef) else None
    return text or ""

"""What a function says of itself, also where Python was told to leave docstrings out (PYTHONOPTIMIZE=2)."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any


def docstring(function: Callable[..., Any]) -> str:
    """The docstring of a function without its indentation; empty where it has none."""
    said = inspect.getdoc(function)
    if said is None and not __debug__ and inspect.isfunction(function):
        try:
            (read,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
        except (OSError, SyntaxError, ValueError):
            return ""
        said = ast.get_docstring(read) if isinstance(read, ast.FunctionDef) else None
    return said or ""

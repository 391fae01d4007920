"""Imports an object by a name such as "package.module:function"."""

from __future__ import annotations

import os
import re
import sys
from importlib import import_module
from typing import Any

from cnnexplain.errors import CnnExplainError, UsageError, foreign, line, reason, shown, suggest


def check(text: str) -> tuple[str, str]:
    """Splits "module:name" into the module and the name.

    Raises:
        UsageError: The text does not have this form.
    """
    parts = re.fullmatch(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):([^\W\d]\w*(?:\.[^\W\d]\w*)*)", text)
    if parts is None:
        raise UsageError(f"Expected module:name, such as my_module:my_function, but got {shown(text)}.")
    return parts[1], parts[2]


def find(text: str) -> Any:
    """Imports a module, which is installed or in the current folder, and returns an object of it.

    Args:
        text: "module:name", given by the user. Never pass text from a file, because importing runs the module.

    Raises:
        UsageError: The text has another form, or there is no such module or name.
        CnnExplainError: Importing the module fails.
    """
    module, name = check(text)
    try:
        folder = os.getcwd()
    except OSError as error:
        raise CnnExplainError(f"Can't import '{line(text)}': the current folder does not exist anymore.") from error
    added = folder not in sys.path
    if added:
        # At the end, so that a file in the folder never replaces an installed module.
        sys.path.append(folder)
    try:
        # The module is the user's code, and may raise anything.
        with foreign(
            lambda error: CnnExplainError(f"Importing '{line(text)}' failed: {reason(error)}"), ModuleNotFoundError
        ):
            item: Any = import_module(module)
        for part in name.split("."):
            if not hasattr(item, part):
                names = [each for each in dir(item) if not each.startswith("_")]
                path = getattr(sys.modules.get(module), "__file__", None)
                raise UsageError(f"'{module}' ({path}) has no '{line(name)}'.{suggest(part, names)}")
            item = getattr(item, part)
    except ModuleNotFoundError as error:
        raise UsageError(f"Can't import '{line(text)}': {error}, neither installed nor in the current folder.") from error
    finally:
        if added:
            sys.path.remove(folder)
    return item

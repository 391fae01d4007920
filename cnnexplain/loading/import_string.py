"""A name such as "package.module:function" → what Python has by that name."""

from __future__ import annotations

import os
import re
import sys
from importlib import import_module
from typing import Any

from cnnexplain.errors import CnnExplainError, UsageError, foreign, line, reason, shown, suggest


def check(text: str) -> tuple[str, str]:
    """The module and the name in it.

    Raises:
        UsageError: The text is no "module:name".
    """
    parts = re.fullmatch(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):([^\W\d]\w*(?:\.[^\W\d]\w*)*)", text)
    if parts is None:
        raise UsageError(f"Expected module:name, such as my_module:my_function, but got {shown(text)}.")
    return parts[1], parts[2]


def find(text: str) -> Any:
    """Imports a module, of those installed or from the current folder, and returns what it has by a name.

    Args:
        text: "module:name"; only a user's own words, never those of a file, since importing runs the module.

    Raises:
        UsageError: The text has another form, or there is no such module or name.
        CnnExplainError: The module fails when it is imported.
    """
    module, name = check(text)
    try:
        here = os.getcwd()
    except OSError as error:
        raise CnnExplainError(f"Can't import '{line(text)}': the current folder is gone.") from error
    added = here not in sys.path
    if added:
        # Last, so that a file of the folder never stands in for what is installed.
        sys.path.append(here)
    try:
        # The module is the user's own code, and may fail in any way.
        with foreign(
            lambda error: CnnExplainError(f"Importing '{line(text)}' failed: {reason(error)}"), ModuleNotFoundError
        ):
            found = import_module(module)
        for part in name.split("."):
            if not hasattr(found, part):
                known = [each for each in dir(found) if not each.startswith("_")]
                place = getattr(sys.modules.get(module), "__file__", None)
                raise UsageError(f"'{module}' ({place}) has no '{line(name)}'.{suggest(part, known)}")
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        raise UsageError(f"Can't import '{line(text)}': {error}, neither installed nor in the current folder.") from error
    finally:
        if added:
            sys.path.remove(here)
    return found

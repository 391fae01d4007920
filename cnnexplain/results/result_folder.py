"""The folder of a result: which of its files a new result may replace, and how they are replaced safely."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnexplain import files, interruption
from cnnexplain.errors import OutputError, line
from cnnexplain.results import json_files, lock, schema
from cnnexplain.results.damage import DamageError
from cnnexplain.results.file_names import RESULT, listed
from cnnexplain.results.schema import FORMAT

EARLIER, UNFINISHED = "earlier", "unfinished.json"
"""Next to the files to be moved: a folder for those of the earlier result, and the interim `result.json`."""

LISTED = 10
"""Conflicting files that an error lists by name before it counts the rest."""


def check_folder(folder: Path) -> list[str]:
    """The names of the files of an earlier result, which a new result may replace; none for a new or empty folder.

    This includes files that only the file of a part lists: earlier versions did not lock the folder, and two simultaneous
    runs left them.

    Raises:
        OutputError: `folder` is a file, or contains files but no result of cnnexplain.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"'{folder}' is a file; expected a folder to write to.")
        files.check_writable(folder)
        if not folder.exists() or not any(not path.name.startswith(files.PREFIX) for path in folder.iterdir()):
            return []
        known = schema.file_names(json_files.read(folder / RESULT))
        for part in sorted(path for path in folder.glob("result-*.json") if path.name not in known):
            with contextlib.suppress(DamageError):
                known += [part.name, *schema.file_names(json_files.read(part))]
        existing = set(os.listdir(folder))
        # Anyone may have changed the lists: only files are replaced.
        return [name for name in dict.fromkeys([RESULT, *known]) if name not in existing or _is_file(folder / name)]
    except DamageError as damage:
        damage_note = f", or whose {RESULT} is damaged ({line(damage)})" if os.path.lexists(folder / RESULT) else ""
        raise OutputError(
            f"The folder '{folder}' contains files that cnnexplain did not write{damage_note}; choose another with --out"
            f"{', or empty the folder' if damage_note else ''}."
        ) from damage
    except OSError as error:
        raise OutputError(f"Can't use the folder '{folder}': {error.strerror}.") from error


def _is_file(path: Path) -> bool:
    """Whether a path is a file, or a link to a file or to nothing."""
    return path.is_file() or (path.is_symlink() and not path.exists())


def refuse_foreign(folder: Path, names: Iterable[str], ours: Collection[str]) -> None:
    """Checks that none of these names is taken by a file that is not part of the earlier result.

    Args:
        folder: The folder.
        names: The names of the files to be written.
        ours: The names of the files of the earlier result.

    Raises:
        OutputError: At least one of them is.
    """
    foreign = [name for name in names if name not in ours and os.path.lexists(folder / name)]
    if not foreign:
        return
    others = f", and neither are {listed(foreign[1:], LISTED)}" if len(foreign) > 1 else ""
    raise OutputError(
        f"'{folder / foreign[0]}' exists and is not part of the earlier result{others}; choose another with --out, "
        f"or delete {'them' if others else 'it'}."
    )


def replace_files(
    staged: Path, folder: Path, names: Sequence[str], result: Mapping[str, Any], ours: Collection[str], gone: Iterable[str]
) -> None:
    """Moves files into a folder so that a process killed at any moment leaves a result that can be replaced.

    Ctrl-C is delayed until all files are moved. If one can't be moved, those before it are moved back.

    Args:
        staged: The folder with the files.
        folder: The folder of the result.
        names: The names of the files, `result.json` last.
        result: The interim content of `result.json`.
        ours: The names of the files of the earlier result.
        gone: The names of files of the earlier result to remove.

    Raises:
        OutputError: A file in the folder is not ours, or the folder was removed in the meantime.
    """
    lock.check(folder)
    refuse_foreign(folder, names, ours)
    earlier = staged / EARLIER
    earlier.mkdir()
    moved: list[tuple[Path, Path]] = []

    def move(source: Path, target: Path) -> None:
        source.replace(target)
        moved.append((source, target))

    with interruption.held():
        try:
            if (folder / RESULT).exists():
                shutil.copyfile(folder / RESULT, earlier / RESULT)
            json_files.write(staged / UNFINISHED, {"format": FORMAT, **result, "files": sorted({*ours, *names})})
            (staged / UNFINISHED).replace(folder / RESULT)
            for name in [*names[:-1], *gone]:
                if os.path.lexists(folder / name):
                    move(folder / name, earlier / name)
            for name in names[:-1]:
                move(staged / name, folder / name)
            (staged / RESULT).replace(folder / RESULT)
        except OSError:
            with contextlib.suppress(OSError):
                for source, target in reversed(moved):
                    target.replace(source)
                if (earlier / RESULT).exists():
                    (earlier / RESULT).replace(folder / RESULT)
                else:
                    (folder / RESULT).unlink(missing_ok=True)
            raise

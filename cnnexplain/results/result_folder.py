"""The folder of a result: which of its files are ours, what they are called, and how new ones take their place."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnexplain import files, interruption
from cnnexplain.errors import OutputError, line
from cnnexplain.results import json_files, lock, schema
from cnnexplain.results.json_kinds import DamageError
from cnnexplain.results.schema import FORMAT, RESULT

INDEX = "index.html"
"""The page of a result."""

EARLIER, UNFINISHED = "earlier", "unfinished.json"
"""Beside the files that are to be moved: a folder for those of the earlier result, and what `result.json` says meanwhile."""

NAMED = 10
"""How many files that are in the way are named, before the rest are counted."""


def check_folder(folder: Path) -> list[str]:
    """The files of an earlier result in `folder`, which a new result may replace; none for a new or empty folder.

    Files that `result.json` doesn't list count too where the file of a part lists them: two runs at once, which earlier
    versions did not keep apart, have left such files.

    Raises:
        OutputError: `folder` is a file, or holds files but no result that cnnexplain wrote.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"'{folder}' is a file; expected a folder to write to.")
        files.check_writable(folder)
        if not folder.exists() or not any(not path.name.startswith(files.PREFIX) for path in folder.iterdir()):
            return []
        listed = schema.named(json_files.read(folder / RESULT))
        for part in sorted(path for path in folder.glob("result-*.json") if path.name not in listed):
            with contextlib.suppress(DamageError):
                listed += [part.name, *schema.named(json_files.read(part))]
        here = set(os.listdir(folder))
        # The lists may have been changed by anyone: what is no file is not replaced.
        return [name for name in dict.fromkeys([RESULT, *listed]) if name not in here or _is_file(folder / name)]
    except DamageError as damage:
        whose = f", or whose {RESULT} is damaged ({line(damage)})" if os.path.lexists(folder / RESULT) else ""
        raise OutputError(
            f"The folder '{folder}' holds files that cnnexplain did not write{whose}; choose another with --out"
            f"{', or empty the folder' if whose else ''}."
        ) from damage
    except OSError as error:
        raise OutputError(f"Can't use the folder '{folder}': {error.strerror}.") from error


def _is_file(path: Path) -> bool:
    """Whether it is a file, or a link that leads to one or nowhere."""
    return path.is_file() or (path.is_symlink() and not path.exists())


def refuse_foreign(folder: Path, names: Iterable[str], ours: Collection[str]) -> None:
    """Sees that nothing of these names stands in the folder but files that are ours.

    Raises:
        OutputError: Something does.
    """
    foreign = [name for name in names if name not in ours and os.path.lexists(folder / name)]
    if not foreign:
        return
    also = f", and neither are {schema.listed(foreign[1:], NAMED)}" if len(foreign) > 1 else ""
    raise OutputError(
        f"'{folder / foreign[0]}' exists and is not part of the earlier result{also}; choose another with --out, "
        f"or delete {'them' if also else 'it'}."
    )


def replace_files(
    staged: Path, folder: Path, names: Sequence[str], result: Mapping[str, Any], ours: Collection[str], gone: Iterable[str]
) -> None:
    """Moves files into a folder, so that a kill at any moment leaves one whose result can be replaced.

    Ctrl-C waits until they are moved; where one can't be moved, those before it are put back.

    Args:
        staged: Where the files lie.
        folder: Where they go.
        names: Their names, `result.json` last.
        result: What `result.json` says until then.
        ours: The names of the files of the earlier result.
        gone: Those of them to remove.

    Raises:
        OutputError: A file in the folder is not ours, or the folder was removed meanwhile.
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


def picture_names(
    sources: Sequence[str], titles: Sequence[str] = (), taken: Iterable[str] = (), *, suffix: str
) -> list[str]:
    """A file name for each source and title, made safe, and numbered where two are alike; a source's without its folder.

    Args:
        sources: The names of images.
        titles: The names of what belongs to no image.
        taken: File names that are in use.
        suffix: What they end in, without the dot.
    """
    names: list[str] = []
    used = {name.casefold() for name in taken}
    numbers: dict[str, int] = {}
    stems = [source if re.match(r"\w+:\w+/", source) else Path(source).stem for source in sources]
    for words in (*stems, *titles):
        stem = re.sub(r"[^\w.-]+", "-", words).strip("-.")[:80] or "image"
        # A file name has up to 255 bytes, and a letter up to four.
        stem = stem.encode()[:200].decode(errors="ignore")
        name, number = f"{stem}.{suffix}", numbers.get(stem.casefold(), 1)
        while name.casefold() in used:
            number += 1
            name = f"{stem}-{number}.{suffix}"
        # So that a thousand images of one name are not counted through a thousand times.
        numbers[stem.casefold()] = number
        used.add(name.casefold())
        names.append(name)
    return names

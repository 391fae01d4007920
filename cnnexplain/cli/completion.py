"""Shell completions. None of them starts Keras, and none of them ever fails."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Callable, Iterable, MutableMapping
from pathlib import Path
from typing import Any

import typer

from cnnexplain.cli.environment import unwritable
from cnnexplain.inputs import datasets
from cnnexplain.loading import model_config, model_names, sidecar
from cnnexplain.model import model_files
from cnnexplain.plugin.analysis import NamedModel

VARIABLE = "_CNNEXPLAIN_COMPLETE"
"""The environment variable in which the shell's script asks for completions, and names the shell."""


def asked() -> bool:
    """Whether the program was started by a shell's completion."""
    return bool(os.environ.get(VARIABLE))


def typed() -> list[str]:
    """The words on the command line that is being typed, roughly."""
    return f"{os.environ.get('COMP_WORDS', '')} {os.environ.get('_TYPER_COMPLETE_ARGS', '')}".split()


def complete(app: Callable[..., Any]) -> int:
    """Prints the completions that Typer finds, and returns the exit code that the shell's script expects.

    Args:
        app: Called with the environment as Typer reads it; prints the completions and ends with SystemExit.
    """
    left_off, code = "", 0
    offers = io.StringIO()
    with contextlib.redirect_stdout(offers), contextlib.redirect_stderr(io.StringIO()):
        try:
            if os.environ[VARIABLE] == "complete_bash":
                left_off = _rejoin(os.environ)
            app()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        # The user is still typing: a half-written line, a broken plugin or model file just has nothing to offer.
        except BaseException:  # noqa: BLE001
            code = 1
    try:
        sys.stdout.write("".join(f"{line.removeprefix(left_off)}\n" for line in offers.getvalue().splitlines()))
        sys.stdout.flush()
    except OSError as error:
        unwritable(error)
        return 1
    return code


def _rejoin(environment: MutableMapping[str, str]) -> str:
    """Joins the words that bash splits at ":" and "=", and returns the prefix to omit from each completion.

    Args:
        environment: `COMP_WORDS`, a word on each line, and `COMP_CWORD`, the number of the one that is being typed.
    """
    last = int(environment["COMP_CWORD"])
    words: list[str] = []
    broken = joined = False
    for word in environment["COMP_WORDS"].split("\n")[: last + 1]:
        sign = word == ":" or (word == "=" and bool(words) and words[-1].startswith("--"))
        if words and (sign or joined):
            words[-1] += word
        else:
            words.append(word)
            broken = False
        broken |= word == ":"
        joined = sign
    environment["COMP_WORDS"], environment["COMP_CWORD"] = "\n".join(words), str(len(words) - 1)
    value = words[-1].partition("=")[2] if words[-1].startswith("--") else words[-1]
    return value[: value.rindex(":") + 1] if broken else ""


def _plain(names: Iterable[str]) -> list[str]:
    """The names that are literal in every shell: zsh evaluates completions as code."""
    return [name for name in names if re.fullmatch(r"[A-Za-z0-9_./:+@%,][A-Za-z0-9_./:+@%,-]*", name)]


def of(words: Iterable[str]) -> Callable[[], list[str]]:
    """A few words that never change."""
    known = list(words)
    return lambda: known


def analyses() -> list[str]:
    """The installed analyses."""
    from cnnexplain.plugin import registry

    return list(registry.load().analyses)


def named_models(incomplete: str) -> list[str]:
    """The included model, those of the plugins, model files and the folders on the way to them."""
    from cnnexplain.plugin import registry

    place = Path(incomplete if incomplete.endswith("/") else os.path.dirname(incomplete))
    start = incomplete[: incomplete.rfind("/") + 1]
    found = sorted(os.scandir(place), key=lambda entry: entry.name) if place.is_dir() else []
    shown = [entry for entry in found if not entry.name.startswith(".")]
    folders = [f"{start}{entry.name}/" for entry in shown if entry.is_dir()]
    files = [f"{start}{entry.name}" for entry in shown if model_files.is_file(entry.name)]
    return [model_files.INCLUDED, *registry.load().models, *_plain([*files, *folders])]


def samples(incomplete: str) -> list[str]:
    """The digits of MNIST, ten at a time; nothing, for which the shell offers files, until the name of the set is begun."""
    start = next((f"mnist:{split}/" for split in datasets.SPLITS if incomplete.startswith(f"mnist:{split}/")), None)
    if start is None:
        offered = [f"mnist:{split}/{digit}" for split in datasets.SPLITS for digit in range(10)]
        return offered if incomplete else []
    known = re.compile(r"0|[1-9][0-9]*")
    numbers = [incomplete.removeprefix(start) + digit for digit in ["", *map(str, range(10))]]
    split = start[len("mnist:") : -1]
    return [f"{start}{each}" for each in numbers if known.fullmatch(each) and int(each) < datasets.SPLITS[split]]


def data_sets(incomplete: str) -> list[str]:
    """The splits of MNIST; nothing, for which the shell offers folders, until the name is begun."""
    return [f"mnist:{split}" for split in datasets.SPLITS] if incomplete else []


def layers(context: typer.Context) -> list[str]:
    """The layers of the model named before, where that is a file or the one that is included."""
    place = model_names.find(context.params["model"])
    return [] if isinstance(place, NamedModel) else _plain(model_config.layers(model_config.read(place).config))


def labels(context: typer.Context) -> list[str]:
    """The classes of the model named before, where a file of labels or a sidecar names them."""
    given, model = context.params.get("labels"), context.params["model"]
    if given is not None:
        return _plain(sidecar.read_labels(Path(given)))
    place = model_names.find(model)
    if isinstance(place, NamedModel):
        return []
    settings = {"labels": map(str, range(10))} if model == model_files.INCLUDED else sidecar.beside(place)
    return _plain(settings.get("labels", ()))

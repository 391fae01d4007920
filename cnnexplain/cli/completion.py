"""Shell completions. They never import Keras and never raise an error."""

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

from cnnexplain.cli.environment import COMPLETION, unwritable
from cnnexplain.inputs import datasets
from cnnexplain.model import model_files


def typed_words() -> list[str]:
    """The words of the command line that is being typed, split at spaces only."""
    return f"{os.environ.get('COMP_WORDS', '')} {os.environ.get('_TYPER_COMPLETE_ARGS', '')}".split()


def complete(app: Callable[..., Any]) -> int:
    """Prints the completions that Typer finds, and returns the exit code that the shell's script expects.

    Args:
        app: Called with the environment as Typer reads it; prints the completions and ends with SystemExit.
    """
    prefix, code = "", 0
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(io.StringIO()):
        try:
            if os.environ[COMPLETION] == "complete_bash":
                prefix = _rejoin(os.environ)
            app()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        # The line is incomplete: an error, for example of a broken plugin or model file, means no completions.
        except BaseException:  # noqa: BLE001
            code = 1
    try:
        sys.stdout.write("".join(f"{line.removeprefix(prefix)}\n" for line in output.getvalue().splitlines()))
        sys.stdout.flush()
    except OSError as error:
        unwritable(error)
        return 1
    return code


def _rejoin(environment: MutableMapping[str, str]) -> str:
    """Joins the words that bash splits at ":" and "=", and returns the prefix to omit from each completion.

    Args:
        environment: `COMP_WORDS`, one word per line, and `COMP_CWORD`, the index of the word that is being typed.
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
    """The names without characters that are special in a shell: zsh evaluates completions as code."""
    return [name for name in names if re.fullmatch(r"[A-Za-z0-9_./:+@%,][A-Za-z0-9_./:+@%,-]*", name)]


def fixed_words(words: Iterable[str]) -> Callable[[], list[str]]:
    """Completes with a fixed list of words."""
    completions = list(words)
    return lambda: completions


def analyses() -> list[str]:
    """The installed analyses."""
    from cnnexplain.plugin import registry

    return list(registry.load().analyses)


def metrics() -> list[str]:
    """The installed metrics, and the word for all of them."""
    from cnnexplain.plugin import registry
    from cnnexplain.plugin.metric import ALL

    return [*registry.load().metrics, ALL]


def named_models(incomplete: str) -> list[str]:
    """The included model, the models of plugins, model files and folders."""
    from cnnexplain.plugin import registry

    folder = Path(incomplete if incomplete.endswith("/") else os.path.dirname(incomplete))
    prefix = incomplete[: incomplete.rfind("/") + 1]
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name) if folder.is_dir() else []
    visible = [entry for entry in entries if not entry.name.startswith(".")]
    folders = [f"{prefix}{entry.name}/" for entry in visible if entry.is_dir()]
    files = [f"{prefix}{entry.name}" for entry in visible if model_files.is_file(entry.name)]
    return [model_files.INCLUDED, *registry.load().models, *_plain([*files, *folders])]


def samples(incomplete: str) -> list[str]:
    """The samples of the included data sets, ten at a time; nothing for an empty word: the shell completes file names."""
    name, slash, number = incomplete.partition("/")
    if not incomplete:
        return []
    if name not in datasets.SPLITS or not slash:
        return [sample for dataset, split in datasets.SPLITS.values() for sample in dataset.samples(split, 10)]
    dataset, split = datasets.SPLITS[name]
    numbers = [number + digit for digit in ["", *map(str, range(10))]]
    valid = re.compile(r"0|[1-9][0-9]*")
    return [f"{name}/{each}" for each in numbers if valid.fullmatch(each) and int(each) < dataset.splits[split]]


def data_sets(incomplete: str) -> list[str]:
    """The included data sets; nothing for an empty word, for which the shell completes folders."""
    return list(datasets.SPLITS) if incomplete else []


def layers(context: typer.Context) -> list[str]:
    """The layers of the model given before, if it is a file or the included model."""
    from cnnexplain.loading import model_config, model_names
    from cnnexplain.plugin.named_model import NamedModel

    path = model_names.find(context.params["model"])
    return [] if isinstance(path, NamedModel) else _plain(model_config.layers(model_config.read(path).config))


def labels(context: typer.Context) -> list[str]:
    """The classes of the model given before, if a labels file or a sidecar names them."""
    from cnnexplain.loading import model_names, sidecar
    from cnnexplain.plugin.named_model import NamedModel

    path, model = context.params.get("labels"), context.params["model"]
    if path is not None:
        return _plain(sidecar.read_labels(Path(path)))
    model_path = model_names.find(model)
    if isinstance(model_path, NamedModel):
        return []
    settings = {"labels": datasets.MNIST.labels} if model == model_files.INCLUDED else sidecar.next_to(model_path)
    return _plain(settings.get("labels", ()))

"""Configuration files: defaults for the options of the command line, checked key by key.

The file `cnnexplain.toml` in the current folder is untrusted, like the images and models next to it.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cnnexplain import former_names
from cnnexplain.backend import BACKENDS
from cnnexplain.cli.configuration_files import NAME, user_file
from cnnexplain.errors import UsageError, line, shown, suggest
from cnnexplain.loading import import_string, sidecar
from cnnexplain.rendering.pictures import Pictures, most

if TYPE_CHECKING:
    from cnnexplain.plugin.options import Parameter

EXCLUDED = ("config", "help", "install_completion", "json", "overwrite", "resume", "show_completion", "version")
"""Options that a configuration file can't set."""

MAX_BYTES = 1 << 20
"""Maximum size of a file in bytes."""


@dataclass(frozen=True)
class Command:
    """A command that takes options, such as `run saliency`.

    Args:
        words: The words that call it.
        options: Its options by their names in TOML.
        own: The options that the analysis itself declares.
    """

    words: tuple[str, ...]
    options: Mapping[str, Any]
    own: tuple[str, ...] = ()


def defaults(context: typer.Context, paths: Sequence[Path], named: Path | None) -> dict[str, Any]:
    """The values of the files, as the `default_map` of the commands; a later file overrides an earlier one.

    Args:
        context: The context of the whole command line.
        paths: The files.
        named: The file given by the user; None if there is none.

    Raises:
        UsageError: A file can't be read, is not TOML, or has an unknown key or an invalid value.
    """
    # The commands of `run` come first: elsewhere an option of the same name, such as --out of `train`, may differ.
    commands = sorted(_commands(context.command, context, ()), key=lambda command: command.words[0] != "run")
    merged: dict[str, Any] = {}
    # Resolved, so that --config can name the file in the current folder.
    trusted = {path.resolve() for path in (user_file(), named) if path is not None}
    for path in paths:
        content = _read(path)
        try:
            for command, values in _values(content, (), commands, context).items():
                place = merged
                for word in commands[command].words:
                    place = place.setdefault(word, {})
                if path.resolve() not in trusted:
                    _check_harmless(values)
                place |= {commands[command].options[key].name: value for key, value in values.items()}
        except UsageError as error:
            raise UsageError(f"In '{path}': {error}") from error
    return merged


def _commands(group: Any, context: typer.Context, words: tuple[str, ...]) -> Iterator[Command]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if hasattr(command, "list_commands"):
            yield from _commands(command, context, (*words, name))
        elif not command.hidden:
            options = [each for each in command.params if each.param_type_name == "option" and each.name not in EXCLUDED]
            own = tuple(parameter.flag.removeprefix("--") for parameter in _declared((*words, name)))
            yield Command((*words, name), {each.name.replace("_", "-"): each for each in options}, own)


def _declared(words: Sequence[str]) -> tuple[Parameter, ...]:
    """The options declared by the analysis that a command runs."""
    from cnnexplain.plugin import registry

    analysis = registry.load().analyses.get(words[-1]) if words[0] == "run" else None
    return () if analysis is None else analysis.options


def _read(path: Path) -> dict[str, Any]:
    try:
        # Opening a missing file or a folder raises an error, but opening a pipe would block.
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise UsageError(f"'{path}' is not a file.")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise UsageError(f"'{path}' has more than {MAX_BYTES >> 20} MiB, which is too large for a configuration file.")
        return tomllib.loads(data.decode("utf-8"))
    except OSError as error:
        raise UsageError(f"Can't read the configuration file '{path}': {error.strerror}.") from error
    except UsageError:
        raise
    # Python rejects integers with thousands of digits.
    except (ValueError, RecursionError) as error:
        raise UsageError(f"'{path}' is not valid TOML: {line(error)}.") from error


def _values(
    table: Mapping[str, Any], words: tuple[str, ...], commands: Sequence[Command], context: typer.Context
) -> dict[int, dict[str, Any]]:
    """The checked values of a table for each command, by the index of the command; inner tables override outer ones.

    Args:
        table: The table.
        words: The path of the table, such as ("run", "saliency").
        commands: All commands.
        context: The context of the whole command line.
    """
    numbers = [number for number, command in enumerate(commands) if command.words[: len(words)] == words]
    inner = {commands[number].words[len(words)] for number in numbers if len(commands[number].words) > len(words)}
    single = len(numbers) == 1
    options = _shared_options([commands[number] for number in numbers])
    values: dict[int, dict[str, Any]] = {}
    given: dict[str, str] = {}
    # Tables come last, because they override the values.
    for word, value in sorted(table.items(), key=lambda item: isinstance(item[1], Mapping)):
        key = former_names.key(word.replace("_", "-"))
        setting = ".".join((*words, word))
        if isinstance(value, Mapping):
            if word not in inner:
                tables = [".".join(command.words) for command in commands if command.words[-1] == word]
                hint = f" Use [{tables[0]}]." if tables else suggest(word, inner) + _listed(inner)
                raise UsageError(f"There is no command for the table [{setting}].{hint}")
            for number, inner_values in _values(value, (*words, word), commands, context).items():
                values[number] = values.get(number, {}) | inner_values
            continue
        if key not in options:
            tables = [f"[{'.'.join(commands[number].words)}]" for number in numbers if key in commands[number].options]
            hint = f" It belongs in {', '.join(tables)}." if tables else suggest(key, options) + _listed(options)
            raise UsageError(f"There is no option '{setting}'.{hint}")
        if key in given:
            raise UsageError(f"'{given[key]}' and '{setting}' are the same option. Remove one of them.")
        given[key] = setting
        for number in numbers:
            command = commands[number]
            option = command.options.get(key)
            excluded = key in command.own and not single
            if option is not None and not excluded and option.metavar == options[key].metavar:
                values.setdefault(number, {})[key] = _value(command, key, value, setting, context)
    return values


def _shared_options(commands: Sequence[Command]) -> dict[str, Any]:
    """The options that a table for these commands may set: all options of a single command, or those that several share."""
    shared = Counter(key for command in commands for key in command.options if key not in command.own)
    options: dict[str, Any] = {}
    for command in commands:
        for key, option in command.options.items():
            if len(commands) == 1 or shared[key] > 1:
                options.setdefault(key, option)
    return options


def _listed(names: Any) -> str:
    return f" Known: {', '.join(sorted(names))}." if names else ""


def _value(command: Command, key: str, value: Any, setting: str, context: typer.Context) -> Any:
    """The value as the command line takes it, after the checks of the option."""
    option = command.options[key]
    expected = _wanted(option)
    if key.startswith("input-") or key == "show-bands":
        sidecar.check({key.removeprefix("input-").replace("-", "_"): value}, lambda _: f"'{setting}'")
        joined = "x" if key == "input-size" else ","
        if isinstance(value, bool):
            return str(value).lower()
        return joined.join(map(str, value)) if isinstance(value, list) else str(value)
    if key == "pictures":
        return _pictures(value, setting)
    if isinstance(value, bool) != (expected == "true or false") or isinstance(value, Mapping):
        raise UsageError(f"'{setting}' takes {expected}, but got {_shown(value)}.")
    if isinstance(value, list) != option.multiple:
        raise UsageError(f"'{setting}' takes {expected}, but got {_shown(value)}.")
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, str) != ("text" in expected) or not isinstance(each, str | int | float):
            raise UsageError(f"'{setting}' takes {expected}, but got {_shown(value)}.")
    if key == "backend" and value not in BACKENDS:
        raise UsageError(f"'{setting}' takes one of {', '.join(BACKENDS)}, but got '{value}'.{suggest(value, BACKENDS)}")
    if key == "preprocess" and not value.endswith(".json"):
        import_string.check(value)
    if key == "analysis":
        from cnnexplain.plugin import registry

        for each in value:
            registry.load().get(each)
    if key == "custom-objects":
        for each in value:
            import_string.check(each)
    if key in ("format", "dpi"):
        try:
            Pictures(**{key: value})
        except UsageError as error:
            raise UsageError(f"'{setting}': {error}") from None
    try:
        option.process_value(context, value)
    except typer.TyperException as error:
        raise UsageError(f"'{setting}': {error.format_message()}") from error
    _check_option(command, option.name, value, setting)
    return value


def _pictures(value: Any, setting: str) -> str:
    """A number of pictures, or "none" or "all", as the command line takes it."""
    text = value if isinstance(value, str) else str(value) if type(value) is int else ""
    try:
        most(text)
    except UsageError:
        raise UsageError(f'\'{setting}\' takes a whole number, "none" or "all", but got {_shown(value)}.') from None
    return text


def _wanted(option: Any) -> str:
    """Describes the TOML value that an option takes."""
    kind = str(option.type_descriptor.annotation)
    if option.is_flag:
        return "true or false"
    one = "a whole number" if "int" in kind else "a number" if "float" in kind else "a text in quotes"
    return f"a list, each {one}" if option.multiple else one


def _check_option(command: Command, name: str, value: Any, setting: str) -> None:
    """Checks the value of an option that the analysis itself declares."""
    for parameter in _declared(command.words):
        if parameter.name == name:
            parameter.check(value, f"'{setting}'")


def _check_harmless(values: Mapping[str, Any]) -> None:
    code = [key for key in ("custom-objects", "preprocess") if key in values]
    for key in code:
        if key == "custom-objects" or not values[key].endswith(".json"):
            raise UsageError(
                f"'{key}' names Python code, which only a file given with --config may do. If you trust this file: "
                f"cnnexplain --config {NAME} …"
            )


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else shown(value, 60)

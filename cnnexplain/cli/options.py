"""Options for Typer: those that several commands share, and those that an analysis declares."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeAlias

import typer
from rich.markup import escape

from cnnexplain.backend import BACKENDS
from cnnexplain.cli import completion
from cnnexplain.plugin.options import Parameter
from cnnexplain.rendering.pictures import ALL, FORMATS, MAX_DPI, MIN_DPI, NONE, Pictures

Declared: TypeAlias = dict[str, tuple[Any, Any]]
"""Options by the names of their parameters: the annotation and the default of each."""

BackendOption = Annotated[
    str | None,
    typer.Option(
        "--backend",
        metavar="NAME",
        help=f"The backend of Keras: {'|'.join(BACKENDS)}. Default: KERAS_BACKEND, Keras' configuration or tensorflow.",
        autocompletion=completion.fixed_words(BACKENDS),
    ),
]

VerboseOption = Annotated[bool, typer.Option("--verbose", help="Show the log messages of the backend.")]

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document to standard output; all other messages go to standard error.")
]

PRINTING_OPTIONS: Declared = {"json": (JsonOption, False), "verbose": (VerboseOption, False)}

PICTURE_OPTIONS: Declared = {
    "format": (
        Annotated[
            str,
            typer.Option(
                "--format",
                metavar="|".join(FORMATS),
                help="The file format of the pictures.",
                autocompletion=completion.fixed_words(FORMATS),
            ),
        ],
        Pictures.format,
    ),
    "dpi": (
        Annotated[
            int,
            typer.Option(
                "--dpi",
                metavar="N",
                help=f"The resolution of the pictures in pixels per inch ({MIN_DPI} to {MAX_DPI}). In SVG and PDF files, "
                "it applies to the maps.",
            ),
        ],
        Pictures.dpi,
    ),
    "pictures": (
        Annotated[
            str,
            typer.Option(
                "--pictures",
                metavar=f"N|{NONE}|{ALL}",
                help="Draw pictures of the first N images only, of none, or of all. Drawing thousands of pictures takes "
                "minutes.",
                autocompletion=completion.fixed_words([NONE, ALL]),
            ),
        ],
        ALL,
    ),
}
"""The options of commands that write pictures."""


def declare(command: Callable[..., None], declared: Mapping[str, tuple[Any, Any]]) -> Callable[..., None]:
    """The function with these parameters as its signature, from which Typer creates the options of a command."""
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for name, (annotation, default) in declared.items()
        ]
    )
    command.__annotations__ = {name: annotation for name, (annotation, _) in declared.items()}
    return command


def typed(context: typer.Context) -> list[str]:
    """The names of the parameters that were given on the command line, rather than in a configuration file."""
    return [name for name in context.params if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"]


def analysis_options(parameters: Sequence[Parameter]) -> Declared:
    """The options that an analysis declares. `Parameter.check` checks their ranges and choices."""
    return {parameter.name: _analysis_option(parameter) for parameter in parameters}


def _analysis_option(parameter: Parameter) -> tuple[Any, Any]:
    option = parameter.option
    metavar = "|".join(parameter.choices) or None
    bounds = [f"at least {option.min:g}"] if option.min is not None else []
    bounds += [f"at most {option.max:g}"] if option.max is not None else []
    text = option.help + (f" ({', '.join(bounds)})" if bounds else "")
    kind: Any = parameter.type | None if parameter.optional else parameter.type
    if parameter.many:
        kind, text = list[kind], f"{text} (Repeatable.)"
    declarations = (parameter.flag,) if parameter.type is not bool else ()
    # By convention, plugins call an option for a layer `layer`.
    offers = completion.layers if parameter.name == "layer" else completion.fixed_words(parameter.choices)
    declared = typer.Option(
        *declarations, help=escape(text), metavar=metavar, rich_help_panel="This analysis", autocompletion=offers
    )
    return Annotated[kind, declared], (list(parameter.default) if parameter.many else parameter.default)

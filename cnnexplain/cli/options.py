"""The options of the command line that several commands share, and those that an analysis declares, as Typer takes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeAlias

import typer
from rich.markup import escape

from cnnexplain.backend import BACKENDS
from cnnexplain.cli import completion
from cnnexplain.plugin.options import Parameter
from cnnexplain.rendering.pictures import FORMATS, MAX_DPI, MIN_DPI, Pictures

Declared: TypeAlias = dict[str, tuple[Any, Any]]
"""Options by the names of their parameters: the annotation and the default of each."""

BackendOption = Annotated[
    str | None,
    typer.Option(
        "--backend",
        metavar="NAME",
        help=f"The backend of Keras: {'|'.join(BACKENDS)}. Default: KERAS_BACKEND or Keras' own settings, else tensorflow.",
        autocompletion=completion.of(BACKENDS),
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
                autocompletion=completion.of(FORMATS),
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
                help=f"The resolution of the pictures in pixels per inch ({MIN_DPI} to {MAX_DPI}); in SVG and PDF, of the "
                "maps in them.",
            ),
        ],
        Pictures.dpi,
    ),
}
"""The options of commands that write pictures."""


def declare(command: Callable[..., None], declared: Mapping[str, tuple[Any, Any]]) -> Callable[..., None]:
    """The function with a signature of these parameters, from which Typer makes the options of a command."""
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for name, (annotation, default) in declared.items()
        ]
    )
    command.__annotations__ = {name: annotation for name, (annotation, _) in declared.items()}
    return command


def analysis_options(parameters: Sequence[Parameter]) -> Declared:
    """The options that an analysis declares. Ranges and choices are checked in one place, `Parameter.check`."""
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
    # The name by which plugins ask for a layer.
    offers = completion.layers if parameter.name == "layer" else completion.of(parameter.choices)
    declared = typer.Option(
        *declarations, help=escape(text), metavar=metavar, rich_help_panel="This analysis", autocompletion=offers
    )
    return Annotated[kind, declared], (list(parameter.default) if parameter.many else parameter.default)

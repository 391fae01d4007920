"""The command `studio`: a local web page that shows a network at work."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable
from typing import Annotated, Any

import typer

from cnnexplain.cli import console, session, summary
from cnnexplain.cli.model_options import MODEL_OPTIONS, ModelArguments, model_arguments
from cnnexplain.cli.options import VerboseOption, declare
from cnnexplain.errors import UsageError
from cnnexplain.inputs import images

SAMPLES = 200
"""The most images of a folder that a page offers."""

DIGITS = tuple(f"mnist:test/{index}" for index in (3, 2, 1, 18, 4, 8, 11, 0, 61, 7))
"""A test image of MNIST for each digit."""

STUDIO_OPTIONS = {
    "images": (
        Annotated[
            list[str] | None,
            typer.Option("--images", metavar="FOLDER", help="Images that the page offers: a folder, files, or samples."),
        ],
        None,
    ),
    "port": (
        Annotated[
            int | None,
            typer.Option("--port", metavar="N", min=1, max=65535, help="The port. Default: the first free one from 8765."),
        ],
        None,
    ),
    "no_open": (Annotated[bool, typer.Option("--no-open", help="Do not open the page in the browser.")], False),
    "verbose": (VerboseOption, False),
}


def studio_command() -> Callable[..., None]:
    """The command, with the options of a model."""

    def command(*, images: list[str] | None, port: int | None, no_open: bool, verbose: bool, **given: Any) -> None:
        _studio(model_arguments(given), images, port, opens=not no_open, verbose=verbose)

    return declare(command, {**STUDIO_OPTIONS, **MODEL_OPTIONS})


def _studio(arguments: ModelArguments, names: list[str] | None, port: int | None, *, opens: bool, verbose: bool) -> None:
    try:
        from cnnexplain.studio import server
        from cnnexplain.studio.requests import Studio
    except ModuleNotFoundError as error:
        raise UsageError(f"The studio needs the package '{error.name}': pip install 'cnnexplain[studio]'.") from error

    listener = server.bound(port)
    found = images.find(names)[:SAMPLES] if names else None
    with console.quiet(verbose), console.progress() as display:
        classifier = session.load(arguments, display)
    summary.print_assumptions(classifier)
    samples = found or (DIGITS if classifier.preprocess.digits else ())

    def ready(address: str) -> None:
        console.say(f"The studio shows '{classifier.name}' at {address}")
        console.say("Ctrl-C ends it.")
        if opens:
            webbrowser.open(address)

    with console.quiet(verbose):
        server.serve(Studio(classifier, samples), listener, ready)

"""The command `redraw`: redraws the pictures of a result with other colors, resolution or format."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from cnnexplain.cli import console, session
from cnnexplain.cli.commands.report import REPORT
from cnnexplain.cli.options import PICTURE_OPTIONS, declare
from cnnexplain.rendering.pictures import most

CONTOURS = "Outline the strongest tenth of the pixels in maps that are drawn over an image."
REGIONS = (
    "Sum maps of gradients and attributions that are drawn over an image over squares of this size; 1 for no sums. "
    "Default: depends on the image."
)


def redraw_command() -> Callable[..., None]:
    """The command, with the options of all commands that write pictures."""

    def command(*, folder: Path, **given: Any) -> None:
        session.warn_of_problems()
        with console.progress() as shown:
            from cnnexplain.results.redraw import redraw

            number = most(given.pop("pictures"))
            drawn = redraw(folder, **given, pictures=number, progress=console.bar(shown, "Drawing"))
        console.say(f"Drew {len(drawn)} picture{'s' if len(drawn) != 1 else ''} in {folder}")
        if (page := folder.parent / REPORT).exists():
            console.say(f"{page} still has the earlier pictures.")

    folder = Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The folder of one analysis, such as cnnexplain-out/saliency.")
    ]
    return declare(
        command,
        {
            "folder": (folder, inspect.Parameter.empty),
            **PICTURE_OPTIONS,
            "format": (PICTURE_OPTIONS["format"][0], None),
            "unsigned": _colormap("--unsigned", "maps that start at 0, such as inferno or cividis", "viridis"),
            "signed": _colormap("--signed", "signed maps, such as PuOr_r or coolwarm", "RdBu_r"),
            "contours": (Annotated[bool, typer.Option("--contours", help=CONTOURS)], False),
            "regions": (Annotated[int | None, typer.Option("--regions", min=1, metavar="PIXELS", help=REGIONS)], None),
        },
    )


def _colormap(flag: str, which: str, default: str) -> tuple[Any, Any]:
    text = f"Matplotlib colormap for {which}. Default: {default}."
    return Annotated[str | None, typer.Option(flag, metavar="COLORMAP", help=text)], None

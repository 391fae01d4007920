"""Printing: consoles, escaping of untrusted text, progress displays."""

from __future__ import annotations

import atexit
import logging
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout, suppress
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from cnnexplain.interruption import check

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, TaskID
    from rich.table import Table


NARROW = 70
"""Below this number of columns, texts are printed below their names instead of next to them."""


def out() -> Console:
    """The console for results."""
    return Console()


def err() -> Console:
    """The console for errors, warnings and progress."""
    return Console(stderr=True)


def plain(text: str) -> Text:
    """The literal text, not interpreted as Rich markup, with escapes for characters that are not printable."""
    return Text("".join(char if char.isprintable() else repr(char)[1:-1] for char in text))


def say(text: str) -> None:
    """Prints one line without wrapping it, so that paths can be copied."""
    out().print(plain(text), soft_wrap=True)


def paragraph(text: str, style: str = "") -> None:
    """Prints a text, wrapped at the width of the terminal."""
    out().print(plain(text), style=style)


def definitions(entries: Iterable[tuple[str, Sequence[str]]]) -> None:
    """Prints names with paragraphs of text next to them, or below them on a narrow terminal."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Column, Table

    console = out()
    if console.width < NARROW:
        for name, paragraphs in entries:
            console.print(plain(name), style="bold")
            for text in paragraphs:
                console.print(Padding(plain(text), (0, 0, 0, 2)))
        return
    grid = Table.grid(Column(style="bold", no_wrap=True), Column(overflow="fold"), padding=(0, 2))
    for name, paragraphs in entries:
        grid.add_row(plain(name), Group(*map(plain, paragraphs)))
    console.print(grid)


def show(shown: Table) -> None:
    """Prints a table; if it is too wide, each row as one line without wrapping, so that it can be copied."""
    console = out()
    if console.measure(shown, options=console.options.update(max_width=10_000)).maximum <= console.width:
        console.print(shown)
        return
    for cells in zip(*(column.cells for column in shown.columns), strict=True):
        say("  ".join(filter(None, map(str, cells))))


@contextmanager
def document(wanted: bool) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Reserves standard output for one JSON document, if wanted: all other output goes to standard error.

    Yields a function that prints the document: strict JSON in ASCII, with null for numbers that are not finite.
    """
    import json

    results = sys.stdout
    with redirect_stdout(sys.stderr) if wanted else nullcontext():
        yield lambda content: print(json.dumps(_finite(content), indent=2, allow_nan=False), file=results, flush=True)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def complain(text: str, style: str = "") -> None:
    """Prints one line to standard error; errors of that stream are ignored."""
    with suppress(OSError, SystemExit):
        err().print(plain(text), soft_wrap=True, style=style)


def progress() -> AbstractContextManager[Progress]:
    """A progress display; shown on terminals only."""
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeRemainingColumn

    return _live(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


def training_progress() -> AbstractContextManager[Progress]:
    """A progress display of a training, whose tasks have a field `figures`; shown on terminals only."""
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

    figures = TextColumn("{task.fields[figures]}")
    return _live(TextColumn("{task.description}"), BarColumn(), figures, TimeRemainingColumn(), TextColumn("left"))


def bar(progress: Progress, what: str) -> Callable[[int, int], None]:
    """A callback that shows `done` of `total` as a bar, which disappears when all is done.

    Every long computation calls one, so it also checks for a Ctrl-C that was lost.
    """
    tasks: list[TaskID] = []

    def update(done: int, total: int) -> None:
        check()
        if not tasks:
            tasks.append(progress.add_task(what, total=total))
        progress.update(tasks[0], completed=done, total=total, visible=done < total)

    return update


@contextmanager
def quiet(verbose: bool) -> Iterator[None]:
    """Hides the log messages of the backend, unless `verbose`.

    TensorFlow's C++ code writes some of them to file descriptor 2 regardless of `TF_CPP_MIN_LOG_LEVEL`. Inside the block,
    that descriptor is redirected to the null device, while Python's `sys.stderr` still writes to the terminal. It is
    redirected again when the program ends, because TensorFlow also writes during shutdown.
    """
    if verbose:
        yield
        return
    atexit.register(_mute)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    stderr, terminal = sys.stderr, os.dup(2)
    settings: dict[str, Any] = {name: getattr(stderr, name, None) for name in ("encoding", "errors")}
    # With --json, other messages go to standard error too.
    aside = sys.stdout is stderr
    try:
        with open(os.devnull, "w") as null_device, open(os.dup(terminal), "w", buffering=1, **settings) as shown:
            stderr.flush()
            os.dup2(null_device.fileno(), 2)
            sys.stderr = shown
            try:
                with redirect_stdout(shown) if aside else nullcontext():
                    yield
            finally:
                sys.stderr = stderr
                os.dup2(terminal, 2)
    finally:
        os.close(terminal)


def _mute() -> None:
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    with open(os.devnull, "w") as null_device:
        os.dup2(null_device.fileno(), 2)


@contextmanager
def _live(*columns: ProgressColumn) -> Iterator[Progress]:
    from rich.progress import Progress

    console = err()
    # FORCE_COLOR requests colors in a file or pipe, where a progress display is still useless.
    shown = console.is_terminal and not console.is_dumb_terminal and console.file.isatty()
    display = Progress(*columns, console=console, transient=True, disable=not shown)
    # A disabled display is not started: Rich 14 and older print an empty line at its end.
    with nullcontext() if display.disable else display:
        yield display

"""What the command line prints with: consoles, text from outside made harmless, progress displays."""

from __future__ import annotations

import atexit
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, TaskID


def out() -> Console:
    """The console for results."""
    return Console()


def err() -> Console:
    """The console for errors, warnings and progress."""
    return Console(stderr=True)


def plain(text: str) -> Text:
    """The text as it is, never as Rich's markup, with each character that could drive a terminal shown as its escape."""
    return Text("".join(char if char.isprintable() else repr(char)[1:-1] for char in text))


def say(text: str) -> None:
    """Prints one line, which is not broken, so that paths can be copied."""
    out().print(plain(text), soft_wrap=True)


def complain(text: str, style: str = "") -> None:
    """Prints one line to where errors go."""
    err().print(plain(text), soft_wrap=True, style=style)


def progress() -> AbstractContextManager[Progress]:
    """A display of what is being done and how much of it is left; shown on terminals alone."""
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeRemainingColumn

    return _live(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


def training_progress() -> AbstractContextManager[Progress]:
    """A display of a training, whose tasks have a field `figures`; shown on terminals alone."""
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

    figures = TextColumn("{task.fields[figures]}")
    return _live(TextColumn("{task.description}"), BarColumn(), figures, TimeRemainingColumn(), TextColumn("left"))


def bar(progress: Progress, what: str) -> Callable[[int, int], None]:
    """A callback that shows `done` of `total` as a bar, which goes away when all is done."""
    tasks: list[TaskID] = []

    def update(done: int, total: int) -> None:
        if not tasks:
            tasks.append(progress.add_task(what, total=total))
        progress.update(tasks[0], completed=done, visible=done < total)

    return update


@contextmanager
def quiet(verbose: bool) -> Iterator[None]:
    """Keeps the backend's own lines off the terminal, unless `verbose`.

    TensorFlow's C++ code writes some of them to file descriptor 2 whatever `TF_CPP_MIN_LOG_LEVEL` says, so that descriptor
    leads nowhere meanwhile, while Python's `sys.stderr` still leads to the terminal. It leads nowhere again when the program
    ends, since TensorFlow also writes while it is taken down.
    """
    if verbose:
        yield
        return
    atexit.register(_mute)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    stderr, terminal = sys.stderr, os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere, open(os.dup(terminal), "w", buffering=1) as shown:
            stderr.flush()
            os.dup2(nowhere.fileno(), 2)
            sys.stderr = shown
            try:
                yield
            finally:
                sys.stderr = stderr
                os.dup2(terminal, 2)
    finally:
        os.close(terminal)


def _mute() -> None:
    sys.stderr.flush()
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)


@contextmanager
def _live(*columns: ProgressColumn) -> Iterator[Progress]:
    from rich.progress import Progress

    console = err()
    display = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    # Where nothing is shown it isn't started either: Rich 14 and older end even a disabled display with an empty line.
    with nullcontext() if display.disable else display:
        yield display

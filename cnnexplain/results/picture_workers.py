"""Processes that draw pictures while the results of the next images are computed."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from cnnexplain import files
from cnnexplain.errors import OutputError, UsageError
from cnnexplain.interruption import check_interrupted
from cnnexplain.rendering.pictures import Pictures
from cnnexplain.results import picture_tasks
from cnnexplain.results.picture_tasks import PictureTask

if TYPE_CHECKING:
    from cnnexplain.draw import Style

CHUNK = 16
"""Images of a task, so that all processes have work until the end."""

MOST = 8
"""Processes at most: each takes about 100 MB."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables with the number of threads of NumPy's matrix products, which would wait for each other on busy cores."""

JOIN = 1.0
"""Seconds to wait for a thread that still draws when the block is left."""

POLL = 0.1
"""Seconds between two updates of the progress."""

PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from cnnexplain.results.picture_tasks import serve; serve()"
)
"""The program of a process. It doesn't import modules from the current folder, which is untrusted."""


class PictureWorkers:
    """Draws pictures in other processes. Leaving the `with` block ends them, whether they have finished or not.

    Attributes:
        done: The number of pictures drawn so far.
        total: The number of pictures submitted so far.
    """

    def __init__(self) -> None:
        self.done = self.total = 0
        self._tasks: queue.SimpleQueue[PictureTask | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._processes: list[subprocess.Popen[str]] = []
        self._errors: dict[str, BaseException] = {}
        self._lock = threading.Lock()
        self._drawing_here = threading.Lock()
        self._closed = False
        self._staged: dict[Path, Path] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> PictureWorkers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._lock:
            self._closed = True
            for process in self._processes:
                process.kill()
        for _ in self._threads:
            self._tasks.put(None)
        try:
            for thread in self._threads:
                # A picture that is drawn in this process can't be interrupted.
                thread.join(JOIN)
        finally:
            picture_tasks.forget()
            self._stack.close()

    def submit(
        self,
        folder: Path,
        part: str,
        result: Mapping[str, Any],
        images: Sequence[tuple[int, str]],
        overview: Sequence[str],
        pictures: Pictures,
        *,
        style: Style | None = None,
        into: Path | None = None,
    ) -> None:
        """Draws the pictures of a part of a result.

        Args:
            folder: The folder of the result, which the caller has locked.
            part: The JSON file of the part.
            result: The content of `result.json`.
            images: The index of each image within the part, and the name of its picture.
            overview: The names of the pictures that belong to no single image.
            pictures: Format and resolution of the pictures.
            style: The style of the pictures; None for the default.
            into: The folder to write them to; None moves each into the folder of the result when it is finished.
        """
        if into is None and folder not in self._staged:
            self._staged[folder] = self._stack.enter_context(files.staging(folder))
        common = {name: result[name] for name in picture_tasks.COMMON if name in result}
        task = PictureTask(
            folder=str(folder),
            part=part,
            common=common,
            images=[],
            overview=[],
            format=pictures.format,
            dpi=pictures.dpi,
            style=None if style is None else asdict(style),
            into=str(into or self._staged[folder]),
            moved=into is None,
        )
        tasks = [replace(task, images=images[start : start + CHUNK]) for start in range(0, len(images), CHUNK)]
        for each in [*tasks, *([replace(task, overview=overview)] if overview else [])]:
            self.total += len(each.names)
            self._tasks.put(each)
            if len(self._threads) < _processes():
                self._threads.append(threading.Thread(target=self._work, daemon=True))
                self._threads[-1].start()

    def check(self, folder: Path) -> None:
        """Checks that no picture of a result has failed so far.

        Raises:
            PluginError: A picture can't be drawn.
            OutputError: A picture can't be written, or a process has ended.
        """
        error = self._errors.get(str(folder))
        if error is not None:
            raise error

    def wait(self, folder: Path, progress: Callable[[int, int], None] = lambda *_: None) -> None:
        """Waits until all pictures are drawn, or one of this result has failed.

        Args:
            folder: The folder of the result.
            progress: Called repeatedly with the number of pictures drawn, and the number of all.

        Raises:
            CnnExplainError: As for `check`.
        """
        while self.done < self.total:
            self.check(folder)
            progress(self.done, self.total)
            time.sleep(POLL)
        self.check(folder)
        progress(self.done, self.total)

    def _work(self) -> None:
        """Draws tasks with one process, until there are no more."""
        process: subprocess.Popen[str] | None = None
        while (task := self._tasks.get()) is not None and not self._closed:
            left = len(task.names)
            try:
                if process is None or process.poll() is not None:
                    _end(process)
                    process = self._started()
                for name in self._drawn(process, task):
                    if task.moved:
                        with files.plain_errors(Path(task.folder)):
                            (Path(task.into) / name).replace(Path(task.folder) / name)
                    left -= 1
                    with self._lock:
                        self.done += 1
            # The main thread raises it.
            except BaseException as error:  # noqa: BLE001
                self._errors.setdefault(task.folder, error)
                # It may still answer the rest of this task.
                _end(process)
                process = None
                with self._lock:
                    # Pictures that an interruption leaves undrawn still count.
                    self.total -= 0 if self._closed else left
        _end(process)

    def _started(self) -> subprocess.Popen[str] | None:
        """A new process; None if none can be started."""
        with self._lock:
            if self._closed:
                return None
            try:
                process = subprocess.Popen(  # noqa: S603
                    [sys.executable, "-P", "-c", PROGRAM, json.dumps([path for path in sys.path if isinstance(path, str)])],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    encoding="utf-8",
                    env={**os.environ, **dict.fromkeys(THREADS, "1")},
                    # Ctrl-C is for the main program, which ends this one.
                    start_new_session=True,
                )
            except OSError:
                return None
            self._processes.append(process)
        assert process.stdout is not None
        # Start-up files of the environment may print something first.
        for line in process.stdout:
            if line == f'"{picture_tasks.READY}"\n':
                return process
        _end(process)
        return None

    def _drawn(self, process: subprocess.Popen[str] | None, task: PictureTask) -> Iterator[str]:
        """The names of the pictures of a task as they are drawn."""
        if process is not None:
            try:
                yield from _asked(process, task)
                return
            except UsageError:
                # The analysis is known in this process only, for example because a test has registered it.
                pass
        with self._drawing_here:
            for name in picture_tasks.draw(task):
                if self._closed:
                    return
                yield name


def _processes() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST)


def _end(process: subprocess.Popen[str] | None) -> None:
    """Ends a process and closes its pipes."""
    if process is not None:
        process.kill()
        with contextlib.suppress(OSError), process:
            pass


def _asked(process: subprocess.Popen[str], task: PictureTask) -> Iterator[str]:
    """Lets a process draw a task."""
    assert process.stdin is not None
    try:
        process.stdin.write(picture_tasks.to_line(task))
        process.stdin.flush()
    except OSError as error:
        check_interrupted(error)
        raise _ended(process, task) from error
    while (answer := _answer(process)) != "":
        name = picture_tasks.from_answer(answer)
        if name is None:
            return
        yield name
    raise _ended(process, task)


def _answer(process: subprocess.Popen[str]) -> Any:
    """The next answer of a process; "" if it has ended."""
    assert process.stdout is not None
    line = process.stdout.readline()
    return json.loads(line) if line else ""


def _ended(process: subprocess.Popen[str], task: PictureTask) -> OutputError:
    return OutputError(
        f"A process that draws pictures ended unexpectedly (exit code {process.wait()}); memory may have run out. The "
        f"results are kept in '{task.folder}'; 'cnnexplain redraw' draws their pictures."
    )

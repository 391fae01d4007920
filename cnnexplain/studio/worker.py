"""One thread that computes for all pages: they take turns, and live updates come before long work."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

Work = Callable[[], None]


class Canceled(BaseException):
    """Long work is no longer wanted. It is not an `Exception`, so that analyses that handle errors don't handle it."""


@dataclass(eq=False)
class Job:
    """Work for a page.

    Args:
        page: The page that it is for.
        name: What it computes; the page's next job with this name replaces it.
        work: Computes it and sends the result.
        live: Whether it is short and comes before all jobs that are not, even while one of them runs.
    """

    page: Hashable
    name: str
    work: Work
    live: bool
    canceled: bool = field(default=False, init=False)


class Worker:
    """Runs jobs one after another in its own thread; their work handles its own errors."""

    def __init__(self) -> None:
        self._waiting: list[Job] = []
        self._running: Job | None = None
        self._served: dict[Hashable, int] = {}
        self._turn = itertools.count(1)
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="cnnexplain-studio", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def submit(self, page: Hashable, name: str, work: Work, *, live: bool = False) -> None:
        """Adds work for a page. It replaces the page's job of this name, whether that waits or runs."""
        with self._changed:
            self._cancel(lambda job: job.page == page and job.name == name)
            self._waiting.append(Job(page, name, work, live))
            self._changed.notify()

    def cancel(self, page: Hashable, name: str | None = None) -> None:
        """Cancels the page's job of this name, or all its jobs."""
        with self._changed:
            self._cancel(lambda job: job.page == page and name in (None, job.name))
            if name is None:
                self._served.pop(page, None)

    def yield_to_live(self) -> None:
        """Runs the live jobs that wait. Long work calls it between its steps; it raises `Canceled` once it is not wanted."""
        running = self._running
        while True:
            with self._changed:
                if running is not None and (running.canceled or self._closed):
                    raise Canceled
                job = self._take(live=True)
            if job is None:
                return
            _do(job)

    def close(self) -> None:
        """Cancels all jobs, and waits until the thread has ended."""
        with self._changed:
            self._closed = True
            self._cancel(lambda _: True)
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _cancel(self, matches: Callable[[Job], bool]) -> None:
        self._waiting = [job for job in self._waiting if not matches(job)]
        if self._running is not None and matches(self._running):
            self._running.canceled = True

    def _take(self, *, live: bool) -> Job | None:
        """The next job: of the page that was served least recently, live jobs first."""
        jobs = [job for job in self._waiting if job.live or not live]
        if not jobs:
            return None
        # min returns the first of equals: the jobs of a page keep their order.
        job = min(jobs, key=lambda job: (not job.live, self._served.get(job.page, 0)))
        self._waiting.remove(job)
        self._served[job.page] = next(self._turn)
        return job

    def _run(self) -> None:
        while True:
            with self._changed:
                while (job := self._take(live=False)) is None:
                    if self._closed:
                        return
                    self._changed.wait()
                if self._closed:
                    return
                self._running = job
            _do(job)
            with self._changed:
                self._running = None


def _do(job: Job) -> None:
    with contextlib.suppress(Canceled):
        job.work()

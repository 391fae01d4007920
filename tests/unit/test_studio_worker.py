"""The studio's thread: pages take turns, live jobs come first, and newer jobs replace older ones."""

import threading

import pytest

from cnnexplain.studio.worker import Canceled, Worker


@pytest.fixture
def worker():
    """A worker whose first job waits until the test calls `go`."""
    made = Worker()
    made.start()
    made.go, started = threading.Event(), threading.Event()

    def first():
        started.set()
        made.go.wait(10)

    made.submit("nobody", "first", first)
    assert started.wait(10)
    yield made
    made.go.set()
    made.close()


def finished(worker):
    """Waits until all jobs are done."""
    done = threading.Event()
    worker.submit("last", "last", done.set)
    worker.go.set()
    assert done.wait(10)


def test_pages_take_turns_and_live_jobs_come_first(worker):
    made = []
    for name in ("one", "two", "three"):
        worker.submit("greedy", name, lambda name=name: made.append(name))
    worker.submit("modest", "other", lambda: made.append("other"))
    worker.submit("modest", "live", lambda: made.append("live"), live=True)
    finished(worker)
    assert made == ["live", "one", "other", "two", "three"] or made == ["live", "one", "two", "three", "other"]
    assert made.index("other") < made.index("three")


def test_a_newer_job_replaces_one_that_waits(worker):
    made = []
    worker.submit("page", "see", lambda: made.append("old"), live=True)
    worker.submit("other", "see", lambda: made.append("of another page"), live=True)
    worker.submit("page", "see", lambda: made.append("new"), live=True)
    finished(worker)
    assert sorted(made) == ["new", "of another page"]


def test_long_work_lets_live_jobs_pass_and_stops_once_it_is_replaced(worker):
    made, step, next_step = [], threading.Event(), threading.Event()

    def long():
        try:
            for number in range(100):
                made.append(number)
                step.set()
                next_step.wait(10)
                next_step.clear()
                worker.yield_to_live()
        except Canceled:
            made.append("canceled")
            raise

    worker.submit("page", "explain", long)
    worker.go.set()
    assert step.wait(10)
    worker.submit("page", "see", lambda: made.append("live"), live=True)
    step.clear()
    next_step.set()
    assert step.wait(10)
    assert made == [0, "live", 1]
    worker.submit("page", "explain", lambda: made.append("again"))
    next_step.set()
    finished(worker)
    assert made == [0, "live", 1, "canceled", "again"]


def test_a_page_that_leaves_gets_nothing_more(worker):
    made = []
    worker.submit("page", "see", lambda: made.append("see"), live=True)
    worker.submit("page", "explain", lambda: made.append("explain"))
    worker.cancel("page")
    finished(worker)
    assert made == []

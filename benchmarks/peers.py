"""The peers as contenders: packages in this environment, and those that run next to it in environments of their own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import keras

from benchmarks.subject import Subject
from benchmarks.timing import Sample, Timer, local

ROOT = Path(__file__).parent.parent


class Peer(NamedTuple):
    """A package to compare with.

    Args:
        module: The module of the benchmarks with its calls by the names of rows, `CALLS`, and perhaps its own `LIMITS`.
        requirements: What to install in an environment of its own; none for a package in this environment.
        overrides: Requirements that replace those of the package itself.
        backend: The backend of Keras.
    """

    module: str
    requirements: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    backend: str = "tensorflow"


PEERS = {
    "tf-keras-vis": Peer("peers_tf_keras_vis"),
    # Without the libraries for GPUs, which its requirement of TensorFlow includes.
    "Xplique": Peer("peers_xplique", ("xplique==2.0.2",), ("tensorflow==2.20.0",)),
    "Captum": Peer("peers_captum", ("captum==0.9.0", "keras>=3.12", "torch"), backend="torch"),
}

_workers: dict[str, Worker] = {}
"""The peers that run in environments of their own."""


def timers(family: str, subject: Subject, **numbers: float) -> dict[str, Timer]:
    """The contenders for a row: each peer that has such a method, and its limit if it runs in an environment of its own."""
    contenders = {}
    if keras.backend.backend() == "tensorflow" and importlib.util.find_spec("tf_keras_vis"):
        from benchmarks.peers_tf_keras_vis import CALLS

        if family in CALLS:
            contenders["tf-keras-vis"] = local(CALLS[family](subject, **numbers))
    for name, worker in _workers.items():
        if family in worker.families:
            for contender, part in ((name, "peer"), (f"{name} limit", "limit")):
                contenders[contender] = worker.timer(part, family, subject, numbers)
    return contenders


@contextmanager
def started(folder: Path) -> Iterator[None]:
    """Starts the peers with environments of their own, which are made in a folder if they do not exist."""
    with TemporaryDirectory() as shared:
        for name, peer in PEERS.items():
            if peer.requirements:
                _workers[name] = Worker(_python(folder / name, peer), peer, Path(shared))
        try:
            yield
        finally:
            for worker in _workers.values():
                worker.stop()
            _workers.clear()


class Worker:
    """A process in the environment of a peer, which makes calls when it is asked to, so that they alternate with ours.

    Args:
        python: The interpreter of the environment.
        peer: The peer.
        shared: A folder for networks and images.
    """

    def __init__(self, python: Path, peer: Peer, shared: Path) -> None:
        self._shared = shared
        environment = {**os.environ, "KERAS_BACKEND": peer.backend, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
        command = [str(python), "-m", "benchmarks.peer_worker", peer.module, str(shared)]
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.families: list[str] = self._receive()

    def timer(self, part: str, family: str, subject: Subject, numbers: dict[str, float]) -> Timer:
        """The peer itself ("peer") or the limit in its environment ("limit")."""
        if not (self._shared / f"{subject.name}.npz").exists():
            subject.save(self._shared)

        def timer(calls: int) -> Sample:
            assert self._process.stdin is not None
            request = {"part": part, "family": family, "subject": subject.name, "numbers": numbers, "calls": calls}
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            return Sample(*self._receive())

        return timer

    def stop(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()

    def _receive(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the process ended"}
        if isinstance(answer, dict):
            sys.exit(f"{' '.join(map(str, self._process.args[2:4]))}: {answer['error']}")  # type: ignore[index]
        return answer


def _python(environment: Path, peer: Peer) -> Path:
    """The interpreter of an environment, which is made with uv if it does not exist."""
    python = environment / "bin" / "python"
    if not python.exists():
        uv = [sys.executable, "-m", "uv"]
        print(f"Installing {', '.join(peer.requirements)} in {environment}", flush=True)
        subprocess.run([*uv, "venv", "--quiet", "--python", "3.11", str(environment)], check=True)
        overrides = environment / "overrides.txt"
        overrides.write_text("\n".join(peer.overrides))
        options = ["--quiet", "--python", str(python), "--override", str(overrides)]
        subprocess.run([*uv, "pip", "install", *options, *peer.requirements], check=True)
    return python

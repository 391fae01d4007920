"""Makes timed calls of a peer in its own environment, as `peers.Worker` asks for them, one line of JSON for each.

Run as python -m benchmarks.peer_worker MODULE FOLDER. The first answer is the list of rows that the peer has.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from benchmarks.subject import Subject
from benchmarks.timing import local


def main(module: str, folder: str) -> None:
    """Answers requests until the input ends."""
    peer = importlib.import_module(f"benchmarks.{module}")
    # Whatever the packages print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    @cache
    def subject(name: str) -> Subject:
        return Subject.load(Path(folder), name)

    @cache
    def contender(part: str, family: str, name: str, numbers: str) -> Callable[[], object]:
        calls = peer.CALLS if part == "peer" else peer.LIMITS
        return calls[family](subject(name), **json.loads(numbers))  # type: ignore[no-any-return]

    def answer(value: object) -> None:
        print(json.dumps(value), file=answers, flush=True)

    answer(list(peer.CALLS))
    for line in sys.stdin:
        request = json.loads(line)
        try:
            call = contender(request["part"], request["family"], request["subject"], json.dumps(request["numbers"]))
            answer(local(call)(request["calls"]))
        except Exception as error:  # noqa: BLE001  # The main process reports it.
            answer({"error": f"{request['family']} on {request['subject']}: {type(error).__name__}: {error}"})


if __name__ == "__main__":
    main(*sys.argv[1:])

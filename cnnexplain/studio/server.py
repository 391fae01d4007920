"""Serves the studio on this machine until it is interrupted."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

import uvicorn

from cnnexplain.errors import UsageError
from cnnexplain.studio.access import Access
from cnnexplain.studio.app import application
from cnnexplain.studio.requests import Studio

HOST = "127.0.0.1"

PORT = 8765
"""The port that is tried first."""

TRIED = 20
"""The number of ports that are tried."""

LARGEST_MESSAGE = 16 << 20
"""The most bytes of a message from a page: the pixels of an input, and what to compute."""


def bound(port: int | None) -> socket.socket:
    """A socket on this port of the loopback interface, or, for None, on the first free one from `PORT`.

    Raises:
        UsageError: The port is in use, or not allowed.
    """
    candidates = range(PORT, PORT + TRIED) if port is None else [port]
    for candidate in candidates:
        try:
            return _bound(candidate)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            problem = error
    if port is None:
        raise UsageError(f"The ports {PORT} to {PORT + TRIED - 1} are all in use; give a free one with --port.")
    if problem.errno == errno.EACCES:
        raise UsageError(f"Port {port} is not allowed; use one from 1024 to 65535.")
    with bound(None) as free:
        raise UsageError(f"Port {port} is in use. Port {free.getsockname()[1]} is free: --port {free.getsockname()[1]}.")


def _bound(port: int) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        found.bind((HOST, port))
    except OSError:
        found.close()
        raise
    return found


def serve(studio: Studio, listener: socket.socket, ready: Callable[[str], None]) -> None:
    """Serves pages until Ctrl-C.

    Args:
        studio: What pages ask.
        listener: From `bound`.
        ready: Called with the address to open once pages can be served.
    """
    allowed = Access(listener.getsockname()[1])
    config = uvicorn.Config(
        application(studio, allowed),
        log_level="warning",
        ws="websockets-sansio",
        ws_max_size=LARGEST_MESSAGE,
        ws_max_queue=8,
        timeout_graceful_shutdown=1,
        lifespan="off",
        server_header=False,
    )

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready(allowed.address)

    studio.start()
    try:
        Server(config).run(sockets=[listener])
    finally:
        studio.worker.close()

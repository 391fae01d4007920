"""A connected page."""

from __future__ import annotations

import asyncio

from starlette.websockets import WebSocket, WebSocketDisconnect

WAITING = 64
"""The most results that wait for a slow page before it is disconnected; the page then connects again."""


class Page:
    """A connected page, to which any thread can send results.

    Args:
        socket: Its WebSocket, which is accepted.
    """

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._loop = asyncio.get_running_loop()
        self._slow = False
        self._results: asyncio.Queue[bytes] = asyncio.Queue(WAITING)

    def send(self, message: bytes) -> None:
        """Sends a message, from any thread. Messages to a page that is gone are dropped."""
        self._loop.call_soon_threadsafe(self._put, message)

    def _put(self, message: bytes) -> None:
        self._slow = self._slow or self._results.full()
        if not self._slow:
            self._results.put_nowait(message)

    async def receive(self) -> bytes | None:
        """The next message from the page; None once it is gone."""
        try:
            return await self._socket.receive_bytes()
        except (WebSocketDisconnect, KeyError):
            # A message of text has no bytes.
            return None

    async def pass_on(self) -> None:
        """Sends the results, until it is canceled or the page has missed one."""
        while not self._slow:
            await self._socket.send_bytes(await self._results.get())
        await self._socket.close(1013, "The page takes results too slowly.")

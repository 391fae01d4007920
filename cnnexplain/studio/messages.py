"""Messages between a page and the server: a JSON header and bytes, in one binary WebSocket message.

The first 4 bytes are the length of the header, as a little-endian integer; the header is UTF-8; the rest are the bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from cnnexplain.errors import UsageError

LARGEST_HEADER = 1 << 16
"""The most bytes in the header of a message from a page."""


def packed(header: dict[str, Any], parts: Iterable[bytes | memoryview] = ()) -> bytes:
    """A message with this header and the concatenated parts."""
    text = json.dumps(header, allow_nan=False).encode()
    return b"".join([len(text).to_bytes(4, "little"), text, *parts])


def unpacked(message: bytes) -> tuple[dict[str, Any], memoryview]:
    """The header of a message from a page, and its bytes.

    Raises:
        UsageError: The message is not in this format.
    """
    length = int.from_bytes(message[:4], "little")
    if len(message) < 4 or length > min(LARGEST_HEADER, len(message) - 4):
        raise UsageError("A message is shorter than its header, or its header is too long.")
    try:
        header = json.loads(message[4 : 4 + length])
    except (ValueError, RecursionError):
        raise UsageError("The header of a message is not JSON.") from None
    if not isinstance(header, dict):
        raise UsageError(f"The header of a message is a {type(header).__name__}; expected an object.")
    return header, memoryview(message)[4 + length :]

"""The images that pages work on: pixels of the model's input size, kept by the hash of their contents."""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from cnnexplain.errors import UsageError
from cnnexplain.inputs import images
from cnnexplain.inputs.preprocess import Preprocess

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt8

KEPT = 256
"""The number of inputs that are kept; the ones used least recently are dropped."""


class Inputs:
    """Inputs (H, W, 1 or 3), uint8 from 0 (black) to 255 (white), red first."""

    def __init__(self, preprocess: Preprocess) -> None:
        self.preprocess = preprocess
        self._kept: OrderedDict[str, UInt8[np.ndarray, "H W c"]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, 1 or 3)."""
        return self.preprocess.shape

    def add(self, pixels: UInt8[np.ndarray, "H W c"]) -> str:
        """Keeps pixels, and returns the name by which `get` finds them."""
        name = hashlib.sha256(pixels.tobytes()).hexdigest()[:16]
        with self._lock:
            self._kept[name] = pixels
            self._kept.move_to_end(name)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return name

    def add_bytes(self, data: memoryview) -> str:
        """`add` for the bytes of pixels in row-major order."""
        expected = int(np.prod(self.shape))
        if len(data) != expected:
            raise UsageError(f"An image has {len(data)} bytes; expected {expected}, for {self.shape}.")
        return self.add(np.frombuffer(data, np.uint8).reshape(self.shape))

    def get(self, name: str) -> UInt8[np.ndarray, "H W c"]:
        """The pixels of an input."""
        with self._lock:
            if name not in self._kept:
                raise UsageError("This input is no longer kept; choose or draw it again.")
            self._kept.move_to_end(name)
            return self._kept[name]

    def read(self, name: str) -> str:
        """`add` for a file or sample, prepared as for the other commands."""
        image, _ = images.read(name, self.preprocess, None)
        return self.add(self.pixels(image))

    def pixels(self, image: Float32[np.ndarray, "H W C"]) -> UInt8[np.ndarray, "H W c"]:
        """An input in the model's range as pixels."""
        return np.asarray(np.rint(np.clip(self.preprocess.decode(image), 0, 1) * 255), np.uint8)

    def encoded(self, name: str) -> Float32[np.ndarray, "1 H W C"]:
        """An input in the model's range."""
        pixels = self.get(name).astype(np.float32) / 255
        return np.asarray(self.preprocess.encode(pixels)[None])

    def png(self, name: str) -> bytes:
        """An input as a PNG file."""
        pixels = self.get(name)
        file = io.BytesIO()
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "png")
        return file.getvalue()

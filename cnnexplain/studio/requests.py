"""What pages ask for, and the answers."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from cnnexplain.errors import CnnExplainError, UsageError, shown
from cnnexplain.model.classifier import Classifier
from cnnexplain.studio import live, messages
from cnnexplain.studio.inputs import Inputs
from cnnexplain.studio.page import Page
from cnnexplain.studio.worker import Worker


class Studio:
    """A model, the inputs that pages work on, and the thread that computes.

    Args:
        classifier: The model.
        samples: The names of the samples and image files that pages offer.
    """

    def __init__(self, classifier: Classifier, samples: Sequence[str]) -> None:
        self.classifier, self.samples = classifier, tuple(samples)
        self.inputs = Inputs(classifier.preprocess)
        self.worker = Worker()

    def take(self, page: Page, message: bytes) -> None:
        """Starts to compute what a page asks for; a later message of the same kind replaces one that waits.

        A message has an integer "id", which the answer repeats, and "do", what to compute. If it can't be done, the answer
        has an "error".
        """
        header, data = messages.unpacked(message)
        number, kind = header.get("id"), header.get("do")
        if not isinstance(number, int) or not isinstance(kind, str) or kind not in KINDS:
            raise UsageError(
                f"A message has the id {shown(number)} and asks for {shown(kind)}; expected {', '.join(KINDS)}."
            )
        answer = partial(KINDS[kind], self, header, data)
        self.worker.submit(page, kind, lambda: page.send(_answered(number, answer)), live=True)

    def start(self) -> None:
        """Starts the thread, which first compiles the forward pass."""
        self.worker.start()
        self.worker.submit(self, "compile", self._compile)

    def _compile(self) -> None:
        preprocess = self.classifier.preprocess
        live.forward_pass(self.classifier, np.tile(preprocess.background, (1, preprocess.height, preprocess.width, 1)))

    def leave(self, page: Page) -> None:
        """Cancels what a page asked for."""
        self.worker.cancel(page)


Answer = tuple[dict[str, Any], list[bytes]]


def _see(studio: Studio, header: dict[str, Any], data: memoryview) -> Answer:
    """A forward pass for the pixels, or for an "input" that is kept; with "layers" as in `live.seen`."""
    name = studio.inputs.add_bytes(data) if data else str(header.get("input"))
    layers = header.get("layers")
    if not isinstance(layers, dict):
        raise UsageError("The message has no object 'layers'.")
    return live.seen(studio.classifier, studio.inputs, name, layers)


KINDS: dict[str, Callable[[Studio, dict[str, Any], memoryview], Answer]] = {"see": _see}
"""What a page can ask for."""


def _answered(number: int, answer: Callable[[], Answer]) -> bytes:
    try:
        header, parts = answer()
    except CnnExplainError as error:
        header, parts = {"error": str(error)}, []
    except Exception as error:  # noqa: BLE001  # The thread serves all pages; the terminal gets the traceback.
        traceback.print_exc()
        header, parts = {"error": f"Unexpected {type(error).__name__}; the terminal has the details."}, []
    return messages.packed({"id": number, **header}, parts)

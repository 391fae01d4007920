"""The names that select rows of the table."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from benchmarks.rows import Row

DIGITS, PHOTOS, LARGE = "LeNet", "EfficientNet-lite0", "VGG16"

BOTH = (DIGITS, PHOTOS)


class Family(NamedTuple):
    """The rows of one name.

    Args:
        module: The module whose function of that name yields the rows.
        networks: The networks that they are measured on; none if the function takes no network.
        device: Whether the rows are also of interest on a GPU.
    """

    module: str
    networks: tuple[str, ...] = ()
    device: bool = False

    def rows(self, name: str) -> Callable[..., Iterator[Row]]:
        """The function that yields the rows, of a `Subject` if they have networks."""
        function: Any = getattr(importlib.import_module(f"benchmarks.{self.module}"), name.replace("-", "_"))
        return function  # type: ignore[no-any-return]


FAMILIES = {
    "saliency": Family("gradient_rows", BOTH, device=True),
    "smoothgrad": Family("gradient_rows", BOTH, device=True),
    "integrated-gradients": Family("gradient_rows", BOTH, device=True),
    "gradcam": Family("gradient_rows", BOTH, device=True),
    "intermediate-outputs": Family("gradient_rows", BOTH, device=True),
    "occlusion": Family("masking_rows", (*BOTH, LARGE), device=True),
    "rise": Family("masking_rows", BOTH, device=True),
    "deconvnet": Family("pullback_rows", BOTH, device=True),
    "top-patches": Family("pullback_rows", (DIGITS,), device=True),
    "activation-maximization": Family("optimization_rows", BOTH, device=True),
    "inversion": Family("optimization_rows", BOTH, device=True),
    "training-steps": Family("training_rows"),
    "training-full": Family("training_rows"),
    "cold": Family("process_rows"),
    "first-result": Family("process_rows"),
    "memory": Family("process_rows"),
    "metrics": Family("metric_rows", BOTH),
    "pictures": Family("picture_rows", (DIGITS,)),
    "reports": Family("process_rows"),
}

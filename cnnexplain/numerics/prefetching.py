"""Draws the random numbers of later copies on another thread while the network computes earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Shaped


@contextmanager
def prefetched(
    draw: Callable[[range], Sequence[Shaped[np.ndarray, "c ..."]]], count: int
) -> Iterator[Callable[[range], Sequence[Shaped[np.ndarray, "c ..."]]]]:
    """A context with `draw` that, after each call, draws as many of the next copies on another thread, one by one.

    It is faster for the `parameters` of `Copies` that take long to draw, such as noise. NumPy and most other libraries that
    compute with large arrays release the lock of Python meanwhile.

    Args:
        draw: A range of copies ↦ arrays (c, …). Its results may depend only on the range.
        count: The number of copies.
    """
    ahead: dict[int, Future[Sequence[Shaped[np.ndarray, "1 ..."]]]] = {}
    with ThreadPoolExecutor(max_workers=1) as pool:

        def drawn(part: range) -> Sequence[Shaped[np.ndarray, "c ..."]]:
            # Blocks differ in length, so the next one may begin or end anywhere.
            ready = range(part.start, next((copy for copy in part if copy not in ahead), part.stop))
            pieces = [ahead.pop(copy).result() for copy in ready]
            if len(ready) < len(part):
                pieces.append(draw(range(ready.stop, part.stop)))
            for copy in range(part.stop, min(part.stop + len(part), count)):
                if copy not in ahead:
                    ahead[copy] = pool.submit(draw, range(copy, copy + 1))
            return pieces[0] if len(pieces) == 1 else [np.concatenate(each) for each in zip(*pieces, strict=True)]

        yield drawn

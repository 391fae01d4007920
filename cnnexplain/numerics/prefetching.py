"""Draws the random numbers of later copies on another thread while the network computes earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Shaped


@contextmanager
def prefetched(
    draw: Callable[[range], Sequence[Shaped[np.ndarray, "c ..."]]], count: int
) -> Iterator[Callable[[range], Sequence[Shaped[np.ndarray, "c ..."]]]]:
    """A context with `draw` that, after each call, draws the next range of the same length on another thread.

    It is faster for the `parameters` of `Copies` that take long to draw, such as noise. NumPy and most other libraries that
    compute with large arrays release the lock of Python meanwhile.

    Args:
        draw: A range of copies ↦ arrays (c, …). Its results may depend only on the range.
        count: The number of copies.
    """
    ahead: dict[range, Future[Sequence[Shaped[np.ndarray, "c ..."]]]] = {}
    with ThreadPoolExecutor(max_workers=1) as pool:

        def drawn(part: range) -> Sequence[Shaped[np.ndarray, "c ..."]]:
            future = ahead.pop(part, None)
            arrays = draw(part) if future is None else future.result()
            ahead.clear()
            following = range(part.stop, min(part.stop + len(part), count))
            if following:
                ahead[following] = pool.submit(draw, following)
            return arrays

        yield drawn

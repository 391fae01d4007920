"""Sentences that say how far the map of an image can be trusted: its noise, and the control."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnexplain.errors import PluginError, failure, foreign, shown
from cnnexplain.plugin.sampling import NOISE_LIMIT
from cnnexplain.results.control import CORRELATION

if TYPE_CHECKING:
    from cnnexplain.results.record import Record

ALIKE = 0.9
"""The magnitude of the rank correlation with the map for shuffled weights above which a map hardly depends on the weights:
that of the control, and in `cnnexplain verify`."""


def is_noise(record: Record, index: int) -> bool:
    """Whether more than half of the map of image `index` is noise."""
    sampling = record.analysis.sampling
    # Earlier results of an analysis may lack the fact.
    if sampling is None or sampling.relative_error not in record.facts:
        return False
    return float(record.facts[sampling.relative_error][index]) > NOISE_LIMIT


def noise_note(record: Record, index: int) -> str | None:
    """A sentence if more than half of the map of image `index` is noise, and what reduces it.

    Raises:
        PluginError: `Sampling.advice` failed or returned something other than a line of text.
    """
    sampling = record.analysis.sampling
    if sampling is None or not is_noise(record, index):
        return None
    from cnnexplain.draw.formatting import percent

    error = percent(record.facts[sampling.relative_error][index])
    return (
        f"More than half of this map is noise: its standard error is {error} of its root mean square. To reduce it, "
        f"{advice(record, index)}."
    )


def advice(record: Record, index: int) -> str:
    """What reduces the noise of the map of image `index`.

    Raises:
        PluginError: `Sampling.advice` failed or returned something other than a line of text.
    """
    sampling = record.analysis.sampling
    assert sampling is not None
    state, name = sampling.advice, record.analysis.name
    if isinstance(state, str):
        return state
    function = state
    with foreign(lambda error: PluginError(f"advice() of '{name}' failed: {failure(error, function)}")):
        text = function(record, index)
    if not isinstance(text, str) or not text.isprintable():
        raise PluginError(f"advice() of '{name}' returned {shown(text)}; expected one line of text.")
    return text


def noise_warnings(record: Record, images: int) -> list[str]:
    """Warnings of a record, or of a part, of a run on a number of images. They have no counts, since parts are joined."""
    noisy = [index for index in range(len(record)) if is_noise(record, index)]
    if images == 1:
        return [note for note in [noise_note(record, index) for index in noisy] if note is not None]
    texts = dict.fromkeys(advice(record, index) for index in noisy)
    return [
        f"For some images, more than half of the map is noise (see relative_error). To reduce it, {text}." for text in texts
    ]


def is_alike(record: Record, index: int) -> bool:
    """Whether the map of image `index` is nearly that of the network with shuffled weights."""
    name = None if record.control is None else record.analysis.main_map(record.control.arrays)
    if record.control is None or name is None:
        return False
    return bool(record.control.arrays[name][index].any()) and abs(float(record.facts[CORRELATION][index])) > ALIKE


def control_note(record: Record, index: int) -> str | None:
    """A sentence on how much the map of image `index` depends on the weights; None without a control."""
    if record.control is None:
        return None
    name = record.analysis.main_map(record.control.arrays)
    if name is None or not record.control.arrays[name][index].any():
        return "The map of the network with shuffled weights is zero everywhere."
    from cnnexplain.draw.formatting import correlation as as_text

    correlation = float(record.facts[CORRELATION][index])
    meaning = "; it hardly shows what the network has learned" if is_alike(record, index) else ""
    return (
        f"The map has a rank correlation of {as_text(correlation)} with that of the network with shuffled weights{meaning}."
    )

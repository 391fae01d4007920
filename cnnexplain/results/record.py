"""What an explanation found, with all that is needed to draw it and to trace where it came from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cnnexplain.errors import PluginError, failure, foreign, line, shown
from cnnexplain.plugin.analysis import Analysis, Panel
from cnnexplain.plugin.registry import Plugin
from cnnexplain.results import reader
from cnnexplain.results.explained import Explained
from cnnexplain.results.joining import join
from cnnexplain.results.schema import damaged
from cnnexplain.types import Array, Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cnnexplain.inputs.preprocess import Preprocess


Made = TypeVar("Made")

INCHES = 500
"""Of a figure's sides, at most."""


@dataclass(frozen=True, repr=False)
class Record:
    """The outcome of `cnnexplain.explain`.

    Args:
        analysis: The analysis that was run.
        options: Every option of the analysis with the value used.
        images: (N, H, W, C) float32, the images as the model saw them, in its input range; N is 0 for an analysis of none.
        explained: For each image its source, prediction and target.
        arrays: The analysis' arrays, raw and signed; those of images have the images first, those of the overview follow.
        facts: The analysis' numbers by name; those of images have one entry per image.
        labels: The names of the classes.
        preprocess: The model's input range, for drawing the images.
        provenance: JSON-able: model, plugin and versions.
        warnings: Warnings for the user, a sentence each.
        seconds: How long the analysis took.
        span: The places that its images have among all that were given; those that could not be read are counted too.
        skipped: The names of the images in `span` that could not be read, each with the reason.
    """

    analysis: Analysis
    options: Mapping[str, Any]
    images: Floats
    explained: tuple[Explained, ...]
    arrays: Mapping[str, Array]
    facts: Mapping[str, Any]
    labels: tuple[str, ...]
    preprocess: Preprocess
    provenance: Mapping[str, Any]
    warnings: tuple[str, ...]
    seconds: float
    span: range
    skipped: Mapping[str, str]

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in self.arrays.items())
        return f"Record({self.analysis.name} of {len(self.images)} images: {shapes})"

    def __len__(self) -> int:
        return len(self.images)

    def _repr_html_(self) -> str:
        """What a notebook shows: the first pictures, or the overview's."""
        from cnnexplain.rendering import page

        return page.record_fragment(self)

    def _repr_png_(self) -> bytes:
        """The first picture, where a notebook shows no HTML."""
        from cnnexplain.rendering import page

        return page.record_png(self)

    def figure(self, index: int = 0) -> Figure:
        """A Matplotlib figure of image `index`.

        Raises:
            IndexError: There is no such image.
            PluginError: The analysis can't draw it.
        """
        draw = self.analysis.draw
        if draw is None or not -len(self) <= index < len(self):
            overview = "" if self.analysis.overview is None else "; what belongs to none of them is in overview()"
            raise IndexError(f"The record has {len(self)} images; got index {index}{overview}.")
        return self._called("draw", draw, lambda: self._figure(draw(self, index % len(self))))

    def overview(self) -> dict[str, Figure]:
        """Matplotlib figures, by name, of what belongs to no single image; none where the analysis has nothing of the kind.

        Raises:
            PluginError: The analysis can't draw them.
        """
        draw = self.analysis.overview
        if draw is None:
            return {}
        return self._called("draw", draw, lambda: {str(name): self._figure(figure) for name, figure in draw(self).items()})

    def finding(self, index: int = 0) -> str | None:
        """A sentence that states what was found for image `index`; None where the analysis states nothing.

        Raises:
            IndexError: There is no such image.
            PluginError: The analysis can't state it, or returned something else than a line of text.
        """
        state = self.analysis.finding
        if not -len(self) <= index < len(self):
            raise IndexError(f"The record has {len(self)} images; got index {index}.")
        if state is None:
            return None
        sentence = self._called("finding", state, lambda: state(self, index % len(self)))
        if not isinstance(sentence, str) or not sentence.strip() or not sentence.isprintable():
            raise PluginError(f"{self._function('finding')} returned {shown(sentence)}; expected a sentence in one line.")
        return sentence

    def overlay(self, index: int = 0) -> Array | None:
        """What is laid over image `index`, (H, W): its main map, made readable; None where the analysis has no maps.

        Raises:
            IndexError: There is no such image.
            PluginError: The analysis can't give it, or gives something else.
        """
        name = next((name for name in self.analysis.maps if name in self.arrays), None)
        if name is None:
            return None
        values: Array = self.arrays[name][index]
        prepare = self.analysis.overlay
        if prepare is None:
            return values
        return self._called("overlay", prepare, lambda: self._overlay(prepare(self, index % len(self)), values.shape))

    def _overlay(self, found: object, shape: tuple[int, ...]) -> Array:
        # Anything else is not converted: range(10 ** 9) would take 8 GB.
        if (
            isinstance(found, np.ndarray)
            and found.shape == shape
            and found.dtype.kind in "biuf"
            and np.isfinite(found).all()
        ):
            return found
        what = f"{line(found.dtype)} of shape {found.shape}" if isinstance(found, np.ndarray) else shown(found)
        raise PluginError(
            f"{self._function('overlay')} returned {what}; expected an array of finite real numbers of shape {shape}."
        )

    def panels(self, index: int = 0) -> list[Panel]:
        """The small maps of image `index`, such as those of each layer; none where the analysis has none.

        Raises:
            IndexError: There is no such image.
            PluginError: The analysis can't give them, or gives something else.
        """
        give = self.analysis.panels
        if not -len(self) <= index < len(self):
            raise IndexError(f"The record has {len(self)} images; got index {index}.")
        if give is None:
            return []
        return self._called("panels", give, lambda: self._panels(give(self, index % len(self))))

    def _panels(self, found: object) -> list[Panel]:
        if not isinstance(found, list | tuple) or not all(isinstance(each, Panel) for each in found):
            raise PluginError(f"{self._function('panels')} returned {shown(found)}; expected a list of Panel.")
        for panel in found:
            maps, count = panel.maps, len(panel.names)
            if not isinstance(maps, np.ndarray):
                raise PluginError(
                    f"{self._function('panels')} gave {shown(maps)} for the maps in {shown(panel.title)}; expected an array "
                    "(K, h, w) of finite numbers."
                )
            told = count if panel.values is None else len(panel.values)
            if maps.ndim != 3 or not maps.size or len(maps) != count or told != count or not np.isfinite(maps).all():
                raise PluginError(
                    f"{self._function('panels')} gave {count} names and {told} values for maps of shape {maps.shape} in "
                    f"{shown(panel.title)}; expected one of each for every map (K, h, w) of finite numbers."
                )
        return list(found)

    def _called(self, name: str, function: Callable[..., Any], call: Callable[[], Made]) -> Made:
        from cnnexplain.matplotlib_settings import drawing

        with drawing(), foreign(lambda error: PluginError(f"{self._function(name)} failed: {failure(error, function)}")):
            return call()

    def _function(self, name: str) -> str:
        """A function of the analysis, with the plugin that it comes from, to begin an error with."""
        plugin = self.provenance.get("plugin", {})
        words = (plugin.get(key, "") for key in ("name", "distribution", "version"))
        return f"{Plugin(*map(line, words))}: {name}() of '{self.analysis.name}'"

    def _figure(self, figure: object) -> Figure:
        from matplotlib.figure import Figure

        begin = f"{self._function('draw')} returned"
        if not isinstance(figure, Figure):
            raise PluginError(f"{begin} {shown(figure)}; expected a Matplotlib figure.")
        width, height = map(float, figure.get_size_inches())
        if not all(0 < side <= INCHES for side in (width, height)):
            raise PluginError(f"{begin} a figure of {width:.3g} × {height:.3g} inches; expected at most {INCHES} a side.")
        # By which an error tells whose it is where it can't be written.
        figure.set_label(f"A figure of {self._function('draw')}")
        return figure

    def save(self, folder: str | os.PathLike[str], *, format: str = "png", dpi: int = 130) -> list[Path]:  # noqa: A002
        """Writes the pictures, `arrays.npz` and `result.json` into a folder.

        Args:
            folder: Where to; made when it is not there. An earlier result in it is replaced.
            format: Of the pictures: "png", "svg" or "pdf".
            dpi: The pictures' pixels per inch, from 20 to 1200.

        Returns:
            The paths of what was written.

        Raises:
            UsageError: There is no such format, or it does not come in that many dpi.
            OutputError: The folder can't be written, or holds files that cnnexplain did not write.
        """
        from cnnexplain.rendering.pictures import Pictures
        from cnnexplain.results import writer

        return writer.write(self, Path(folder), Pictures(format, dpi))

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Record:
        """What `save` or the command line wrote into a folder; needs neither Keras nor the model.

        Args:
            folder: The folder of one analysis, such as "cnnexplain-out/saliency". A result that was written in parts is
                put together; `cnnexplain.load_parts` reads one part after another.

        Raises:
            UsageError: The folder does not exist, or its analysis is not installed.
            OutputError: The folder holds no result that cnnexplain wrote, or one that is damaged.
        """
        records = list(load_parts(folder))
        try:
            return join(records)
        except reader.DAMAGES as error:
            raise damaged(Path(folder), f"its parts are not alike: {reader.words(error)}") from error


def load_parts(folder: str | os.PathLike[str]) -> Iterator[Record]:
    """The records of a result, one for each part that was written, as `cnnexplain.explain_parts` gave them.

    Args:
        folder: The folder of one analysis, such as "cnnexplain-out/saliency".

    Yields:
        A record of each part, read when its turn comes; one where the result was written as a whole.

    Raises:
        UsageError: The folder does not exist, or its analysis is not installed.
        OutputError: The folder holds no result that cnnexplain wrote, or one that is damaged.
    """
    for part in reader.read_parts(folder):
        yield Record(**part)
        # Nothing of it is held while the next part is read.
        part.clear()

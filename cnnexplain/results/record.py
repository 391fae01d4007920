"""The results of an analysis, with everything needed to draw and reproduce them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cnnexplain.errors import PluginError, UsageError, failure, foreign, line, shown
from cnnexplain.plugin.analysis import Analysis, Panel, Result
from cnnexplain.plugin.registry import Plugin
from cnnexplain.results import fingerprint, reader
from cnnexplain.results.control import CORRELATION
from cnnexplain.results.damage import damaged
from cnnexplain.results.explained import Explained
from cnnexplain.results.joining import join
from cnnexplain.results.notes import control_note, is_alike, noise_note
from cnnexplain.results.plugin_output import checked_figure, checked_overlay, checked_panels

if TYPE_CHECKING:
    from jaxtyping import Float32, Shaped
    from matplotlib.figure import Figure

    from cnnexplain.inputs.preprocess import Preprocess
    from cnnexplain.results.verification import Verification


Made = TypeVar("Made")


@dataclass(frozen=True, repr=False)
class Record:
    """The results of `cnnexplain.explain`.

    Args:
        analysis: The analysis that was run.
        options: All options of the analysis with their values.
        images: (N, H, W, C) float32, the images in the model's input range; N is 0 for an analysis without images.
        explained: The source, prediction and target of each image.
        arrays: Arrays by name, raw and signed. The first axis is the images, except for arrays of the overview, which are
            last.
        facts: Values by name, with one entry per image, except for those of the overview.
        labels: The names of the classes.
        preprocess: The model's preprocessing, for drawing the images.
        provenance: The model, plugin and versions, JSON-able.
        warnings: Warnings for the user, a sentence each.
        seconds: The run time of the analysis.
        span: The range of its images among all given images, including those that could not be read.
        skipped: The images in `span` that could not be read, each with the reason.
        control: The result of the same analysis, targets and options for the network with shuffled weights: `arrays` and
            `facts`, as above; None if it was not requested.
        verification: The checks of this result, as `verified` has added them; None if it was not verified.
    """

    analysis: Analysis
    options: Mapping[str, Any]
    images: Float32[np.ndarray, "N H W C"]
    explained: tuple[Explained, ...]
    arrays: Mapping[str, Shaped[np.ndarray, " ..."]]
    facts: Mapping[str, Any]
    labels: tuple[str, ...]
    preprocess: Preprocess
    provenance: Mapping[str, Any]
    warnings: tuple[str, ...]
    seconds: float
    span: range
    skipped: Mapping[str, str]
    control: Result | None = None
    verification: Verification | None = None

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in self.arrays.items())
        return f"Record({self.analysis.name} of {len(self.images)} images: {shapes})"

    def __len__(self) -> int:
        return len(self.images)

    def _repr_html_(self) -> str:
        """HTML for notebooks: the first pictures, or those of the overview."""
        from cnnexplain.rendering import record_display

        return record_display.record_html(self)

    def _repr_png_(self) -> bytes:
        """The first picture, for notebooks that show no HTML."""
        from cnnexplain.rendering import record_display

        return record_display.record_png(self)

    def figure(self, index: int = 0) -> Figure:
        """A Matplotlib figure of image `index`.

        Raises:
            IndexError: There is no such image.
            PluginError: The analysis can't draw it.
        """
        draw = self.analysis.draw
        if draw is None or not -len(self) <= index < len(self):
            overview = "" if self.analysis.overview is None else "; see overview() for results that belong to no image"
            raise IndexError(f"The record has {len(self)} images; got index {index}{overview}.")
        place = index % len(self)
        return self._called("draw", draw, lambda: self._annotated(draw(self, place), place))

    def _annotated(self, drawn: object, index: int) -> Figure:
        """The figure of the analysis, with the map of the control, and a warning if the map is noise or like the control."""
        from cnnexplain.draw.captions import warning
        from cnnexplain.draw.control_panel import add_control, as_record

        figure = checked_figure(self._function("draw"), drawn)
        if self.control is not None:
            add_control(figure, self, as_record(self, self.control), index, self.facts[CORRELATION][index])
        doubts = [noise_note(self, index), control_note(self, index) if is_alike(self, index) else None]
        if text := " ".join(doubt for doubt in doubts if doubt is not None):
            warning(figure, text)
        return figure

    def overview(self) -> dict[str, Figure]:
        """Matplotlib figures, by name, of results that belong to no single image; empty if the analysis has none.

        Raises:
            PluginError: The analysis can't draw them.
        """
        draw = self.analysis.overview
        if draw is None:
            return {}
        function = self._function("draw")
        return self._called(
            "draw", draw, lambda: {str(name): checked_figure(function, figure) for name, figure in draw(self).items()}
        )

    def finding(self, index: int = 0) -> str | None:
        """A sentence that states the result for image `index`; None if the analysis has none.

        Raises:
            IndexError: There is no such image.
            PluginError: `Analysis.finding` failed or returned something other than a line of text.
        """
        state = self.analysis.finding
        if not -len(self) <= index < len(self):
            raise IndexError(f"The record has {len(self)} images; got index {index}.")
        if state is None:
            return None
        sentence = self._called("finding", state, lambda: state(self, index % len(self)))
        if not isinstance(sentence, str) or not sentence.strip() or not sentence.isprintable():
            raise PluginError(f"{self._function('finding')} returned {shown(sentence)}; expected one line of text.")
        return sentence

    def notes(self, index: int = 0) -> list[str]:
        """Sentences that say how far the map of image `index` can be trusted: its noise, and what the control shows.

        Raises:
            IndexError: There is no such image.
            PluginError: `Sampling.advice` failed.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"The record has {len(self)} images; got index {index}.")
        return [note for note in (noise_note(self, index), control_note(self, index)) if note is not None]

    def overlay(self, index: int = 0) -> Shaped[np.ndarray, "H W"] | None:
        """The map (H, W) to draw over image `index`: its main map, prepared for display; None if the analysis has no maps.

        Raises:
            IndexError: There is no such image.
            PluginError: `Analysis.overlay` failed or returned something else.
        """
        name = self.analysis.main_map(self.arrays)
        if name is None:
            return None
        values: Shaped[np.ndarray, "H W"] = self.arrays[name][index]
        prepare = self.analysis.overlay
        if prepare is None:
            return values
        return self._called(
            "overlay",
            prepare,
            lambda: checked_overlay(self._function("overlay"), prepare(self, index % len(self)), values.shape),
        )

    def panels(self, index: int = 0) -> list[Panel]:
        """Groups of small maps of image `index`, such as the feature maps of each layer; empty if the analysis has none.

        Raises:
            IndexError: There is no such image.
            PluginError: `Analysis.panels` failed or returned something else.
        """
        function = self.analysis.panels
        if not -len(self) <= index < len(self):
            raise IndexError(f"The record has {len(self)} images; got index {index}.")
        if function is None:
            return []
        return self._called(
            "panels", function, lambda: checked_panels(self._function("panels"), function(self, index % len(self)))
        )

    def _called(self, name: str, function: Callable[..., Any], call: Callable[[], Made]) -> Made:
        from cnnexplain.matplotlib_settings import drawing

        with drawing(), foreign(lambda error: PluginError(f"{self._function(name)} failed: {failure(error, function)}")):
            return call()

    def _function(self, name: str) -> str:
        """The start of an error message: the plugin, and a function of its analysis."""
        plugin = self.provenance.get("plugin", {})
        parts = (plugin.get(key, "") for key in ("name", "distribution", "version"))
        return f"{Plugin(*map(line, parts))}: {name}() of '{self.analysis.name}'"

    def verified(self, verification: Verification) -> Record:
        """This record with its verification, which `save` writes and pages show.

        Args:
            verification: What `cnnexplain.verify` has returned for this record.

        Raises:
            UsageError: It is the verification of another record.
        """
        sources = tuple(explained.source.name for explained in self.explained)
        model = self.provenance.get("model", {})
        own = self.analysis.name, model.get("sha256"), sources
        count = max(len(self), 1)
        complete = all(row.error or len(row.measurements) == count for row in verification.rows)
        same = own == (verification.analysis, verification.model.get("sha256"), verification.images)
        if not same or not complete or verification.record not in ("", fingerprint.of_record(self)):
            raise UsageError(
                f"The verification of '{verification.analysis}' for {len(verification.images)} images is not of this "
                "record, with its options, targets and arrays; pass what cnnexplain.verify returns for it."
            )
        return replace(self, verification=verification)

    def save(self, folder: str | os.PathLike[str], *, format: str = "png", dpi: int = 130) -> list[Path]:  # noqa: A002
        """Writes the pictures, `arrays.npz` and `result.json` into a folder.

        Args:
            folder: The folder, created if it does not exist. An earlier result in it is replaced.
            format: Format of the pictures: "png", "svg" or "pdf".
            dpi: Resolution of the pictures in pixels per inch, from 20 to 1200.

        Returns:
            The paths of the files.

        Raises:
            UsageError: The format or the resolution is invalid.
            OutputError: The folder can't be written, or contains files that cnnexplain did not write.
        """
        from cnnexplain.rendering.pictures import Pictures
        from cnnexplain.results import writer

        return writer.write(self, Path(folder), Pictures(format, dpi))

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Record:
        """Loads a result that `save` or the command line has written. Needs neither Keras nor the model.

        Args:
            folder: The folder of one analysis, such as "cnnexplain-out/saliency". The parts of a result are joined;
                `cnnexplain.load_parts` reads them one by one.

        Raises:
            UsageError: The folder does not exist, or its analysis is not installed.
            OutputError: The folder contains no result, or a damaged one.
        """
        records = list(load_parts(folder))
        try:
            return join(records)
        except reader.DAMAGES as error:
            raise damaged(Path(folder), f"its parts do not match: {reader.words(error)}") from error


def load_parts(folder: str | os.PathLike[str]) -> Iterator[Record]:
    """The records of the parts of a result, as `cnnexplain.explain_parts` has yielded them.

    Args:
        folder: The folder of one analysis, such as "cnnexplain-out/saliency".

    Yields:
        A record for each part, read one by one; a single record if the result has no parts.

    Raises:
        UsageError: The folder does not exist, or its analysis is not installed.
        OutputError: The folder contains no result, or a damaged one.
    """
    for part in reader.read_parts(folder):
        yield Record(**part)
        # Frees the memory of this part before the next one is read.
        part.clear()

"""What an examination of a model reports."""

from __future__ import annotations

from dataclasses import dataclass

from cnnexplain.loading.infer_preprocess import Range
from cnnexplain.model.geometry.axes import Field
from cnnexplain.model.geometry.layers import Layer


@dataclass(frozen=True)
class LayerReport:
    """Properties of a layer.

    Args:
        layer: The layer.
        field: The receptive field of its units; None if it has no feature maps or if the field is unknown.
        unknown: Why the receptive field is unknown, or "".
        rules: The rules of `deconvnet` that can project its feature maps to the pixels; () if it has no feature maps.
        refused: Why some of the rules can't, or "".
        silent: Number of channels that are zero for all images.
    """

    layer: Layer
    field: Field | None
    unknown: str
    rules: tuple[str, ...]
    refused: str
    silent: int


@dataclass(frozen=True)
class Trial:
    """The outcome of running an analysis on one image with few steps.

    Args:
        analysis: The name of the analysis.
        works: Whether it returned a result.
        remarks: The error, or the warnings of the result.
    """

    analysis: str
    works: bool
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Examination:
    """The outcome of `examine`.

    Args:
        layers: The layers in the order of computation.
        findings: Problems, each with a remedy.
        trials: One for every installed analysis.
        images: Number of images used; 0 for noise.
        expected: The pixel range that the model's first operations expect; None if they do not determine it.
    """

    layers: tuple[LayerReport, ...]
    findings: tuple[str, ...]
    trials: tuple[Trial, ...]
    images: int
    expected: Range | None = None

    @property
    def well(self) -> bool:
        """Whether there is no finding and every analysis works."""
        return not self.findings and all(trial.works for trial in self.trials)

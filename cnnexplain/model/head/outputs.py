"""What a user declares about a model's output: which of several, what it represents, and how to reduce a map of scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from cnnexplain.errors import UsageError, suggest

Kind: TypeAlias = Literal["logits", "probabilities", "values"]
Reduction: TypeAlias = Literal["mean", "max"] | tuple[int, int]


@dataclass(frozen=True)
class Output:
    """The output to explain, as far as it is declared.

    Args:
        name: Its name; None for the only one.
        kind: What it represents, regardless of the layer: "logits", "probabilities" or "values"; None to infer it from the
            model's layers.
        reduce: How to reduce an output (N, H, W, K) over the pixels: "mean", "max", or a row and column to select.
        unit: The unit of values, such as "years".
    """

    name: str | None = None
    kind: Kind | None = None
    reduce: Reduction | None = None
    unit: str | None = None

    def completed(self, sidecar: Mapping[str, Any]) -> Output:
        """The output with the "head" and "unit" of a sidecar, unless it declares its own."""
        # The unit belongs to what the sidecar declares.
        unit = sidecar.get("unit") if self.kind in (None, sidecar.get("head")) else None
        return replace(self, kind=self.kind or sidecar.get("head"), unit=unit if self.unit is None else self.unit)

    def check_unit(self, head: str) -> None:
        """Checks that only values have a unit.

        Raises:
            UsageError: Scores or probabilities have one.
        """
        if self.unit and head != "values":
            raise UsageError(f"A unit ('{self.unit}') belongs to values; give --values (values=True) too.")


ONLY = Output()
"""The only output of a model, without declarations."""


def kind(*, logits: bool, probabilities: bool, values: bool) -> Kind | None:
    """What the outputs of a model are declared to be; None for no declaration.

    Raises:
        UsageError: There are several declarations.
    """
    options = {"logits": logits, "probabilities": probabilities, "values": values}
    chosen: list[Any] = [name for name, wanted in options.items() if wanted]
    if len(chosen) > 1:
        names = " and ".join(f"--{name} ({name}=True)" for name in chosen)
        raise UsageError(f"A model's outputs are only one of logits, probabilities and values, but got {names}.")
    return chosen[0] if chosen else None


def reduction(value: object) -> Reduction | None:
    """The reduction given by `--reduce` or `reduce=`.

    Raises:
        UsageError: It is not "mean", "max" or a row and column.
    """
    if value is None or value in ("mean", "max"):
        return value
    places = value.split(",") if isinstance(value, str) else value
    if isinstance(places, list | tuple) and len(places) == 2 and all(str(place).strip().isdecimal() for place in places):
        return int(places[0]), int(places[1])
    raise UsageError(f"--reduce (reduce=) takes 'mean', 'max' or ROW,COLUMN, such as 12,7, but got {str(value)[:60]!r}.")


def noun(head: str | None) -> str:
    """The word for the outputs of a model with a head: "classes" or "values"."""
    return "values" if head == "values" else "classes"


def choose(model: Any, wanted: str | None) -> tuple[int, str]:
    """The index and name of a model's output with a name; None for the only output.

    Raises:
        UsageError: There is no output with that name, or there are several and no name is given.
    """
    structure = getattr(model, "output", None)
    keys = {id(tensor): key for key, tensor in structure.items()} if isinstance(structure, dict) else {}
    # The output of a sequential model has the name of its last layer.
    layers = getattr(model, "output_names", None) or [model.layers[-1].name]
    names = [str(keys.get(id(tensor), name)) for tensor, name in zip(model.outputs, layers, strict=True)]
    if wanted is None and len(model.outputs) > 1:
        raise UsageError(
            f"The model '{model.name}' has {len(model.outputs)} outputs; choose one with --output (output=…): "
            f"{', '.join(names)}."
        )
    if wanted is not None and wanted not in names:
        raise UsageError(
            f"The model '{model.name}' has no output '{wanted}'.{suggest(wanted, names)} It has {', '.join(names)}."
        )
    index = 0 if wanted is None else names.index(wanted)
    return index, names[index]

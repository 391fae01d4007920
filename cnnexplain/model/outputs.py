"""What a user says of a model's output: which of several, what its numbers are, and what is made of those of all pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from cnnexplain.errors import UsageError, suggest

Kind: TypeAlias = Literal["logits", "probabilities", "values"]
Reduction: TypeAlias = Literal["mean", "max"] | tuple[int, int]


@dataclass(frozen=True)
class Output:
    """The output to explain, as far as anything is said of it.

    Args:
        name: Its name; None for the only one.
        kind: What its numbers are, whatever layer they come from: "logits", "probabilities" or "values"; None for what the
            model's layers tell.
        reduce: Of an output (N, H, W, K), what is made of the scores of the pixels: "mean", "max", or a row and column.
        unit: Of values, such as "years".
    """

    name: str | None = None
    kind: Kind | None = None
    reduce: Reduction | None = None
    unit: str | None = None

    def completed(self, beside: Mapping[str, Any]) -> Output:
        """The same, with the keys "head" and "unit" of a sidecar where nothing else is said."""
        # Its unit is of the values that it speaks of.
        unit = beside.get("unit") if self.kind in (None, beside.get("head")) else None
        return replace(self, kind=self.kind or beside.get("head"), unit=unit if self.unit is None else self.unit)

    def check_unit(self, head: str) -> None:
        """Sees that a unit is given to values alone.

        Raises:
            UsageError: It is given to scores or probabilities.
        """
        if self.unit and head != "values":
            raise UsageError(f"A unit ('{self.unit}') belongs to values; give --values (values=True) too.")


ONLY = Output()
"""The only output of a model, of which nothing is said."""


def kind(*, logits: bool, probabilities: bool, values: bool) -> Kind | None:
    """What is said that a model's outputs are; None where nothing is.

    Raises:
        UsageError: Several things are said.
    """
    said = {"logits": logits, "probabilities": probabilities, "values": values}
    chosen: list[Any] = [name for name, wanted in said.items() if wanted]
    if len(chosen) > 1:
        names = " and ".join(f"--{name} ({name}=True)" for name in chosen)
        raise UsageError(f"A model's outputs are only one of logits, probabilities and values, but got {names}.")
    return chosen[0] if chosen else None


def reduction(said: object) -> Reduction | None:
    """What `--reduce` or `reduce=` asks for.

    Raises:
        UsageError: It is none of "mean", "max" and a row and column.
    """
    if said is None or said in ("mean", "max"):
        return said
    places = said.split(",") if isinstance(said, str) else said
    if isinstance(places, list | tuple) and len(places) == 2 and all(str(place).strip().isdecimal() for place in places):
        return int(places[0]), int(places[1])
    raise UsageError(f"--reduce (reduce=) takes 'mean', 'max' or ROW,COLUMN, such as 12,7, but got {str(said)[:60]!r}.")


def noun(head: str | None) -> str:
    """What the outputs of a model with this head are called: "classes" or "values"."""
    return "values" if head == "values" else "classes"


def choose(model: Any, wanted: str | None) -> tuple[int, str]:
    """Which of a model's outputs has that name, and the name; the only one needs none.

    Raises:
        UsageError: There is no output of that name, or no name and several outputs.
    """
    structure = getattr(model, "output", None)
    keys = {id(tensor): key for key, tensor in structure.items()} if isinstance(structure, dict) else {}
    # A sequential model names its output as its last layer.
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

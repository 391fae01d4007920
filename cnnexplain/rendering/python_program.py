"""The Python program in a report that computes the same records."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnnexplain.inputs import image_stream

if TYPE_CHECKING:
    from cnnexplain.model.classifier import Classifier
    from cnnexplain.results.record import Record


def python_program(records: Sequence[Record], classifier: Classifier) -> str:
    """A program that computes the same records; what can't be written as code is in comments.

    Args:
        records: The records.
        classifier: The model of the records.
    """
    lines = ["import cnnexplain as cx", "", f"classifier = cx.load({classifier.name!r})  # Or as you loaded it."]
    for record in records:
        arguments = [repr(record.analysis.name), "classifier"]
        sources = [explained.source for explained in record.explained]
        if sources:
            inverted = {source.inverted for source in sources}
            # If only some were, it was determined for each image separately.
            invert = f", invert={inverted.pop()}" if len(inverted) == 1 else ""
            arguments.append(f"cx.read_images({[source.name for source in sources]!r}, classifier{invert})")
            targets = [explained.target for explained in record.explained]
            if None not in targets and not any(explained.objective for explained in record.explained):
                arguments.append(f"target={targets!r}")
        dataset = record.provenance.get("dataset")
        if dataset is not None and dataset["name"] != image_stream.GIVEN:
            arguments.append(f"dataset={dataset['name']!r}")
        if record.control is not None:
            arguments.append("control=True")
        defaults = {parameter.name: parameter.default for parameter in record.analysis.options}
        arguments += [f"{name}={value!r}" for name, value in record.options.items() if value != defaults.get(name)]
        objectives = dict.fromkeys(each.objective for each in record.explained if each.objective is not None)
        lines += [
            f"# Add target= with the objective {objective!r}, such as cx.Logit(4) - cx.Logit(9):" for objective in objectives
        ]
        lines += [f"# {name} is an array in memory:" for name in _memory(record)]
        lines.append(f"cx.explain({', '.join(arguments)})")
    return "\n".join(lines)


def _memory(record: Record) -> list[str]:
    return [each.source.name for each in record.explained if re.fullmatch(r"array\[\d+\]", each.source.name)]

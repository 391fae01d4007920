"""The analyses on a page, with an entry for each set of options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnexplain.plugin.analysis import Analysis
    from cnnexplain.results.record import Record


def method_entries(records: Sequence[Record]) -> list[dict[str, Any]]:
    """An entry for each analysis and set of options, with the total run time in seconds and the verifications."""
    methods: list[dict[str, Any]] = []
    for record in records:
        entry = next((method for method in methods if _is(method, record)), None)
        if entry is None:
            entry = {
                "analysis": record.analysis,
                "given": record.options,
                "options": option_rows(record.analysis, record.options),
                "plugin": record.provenance["plugin"],
                "seconds": 0.0,
                "verifications": [],
            }
            methods.append(entry)
        entry["seconds"] += record.seconds
        if record.verification is not None:
            entry["verifications"].append(record.verification)
    return methods


def _is(method: Mapping[str, Any], record: Record) -> bool:
    return (method["analysis"].name, method["given"]) == (record.analysis.name, record.options)


def method_number(methods: Sequence[Mapping[str, Any]], record: Record) -> int:
    """The number of a record's entry in `method_entries`, from 1."""
    return next(number for number, method in enumerate(methods, start=1) if _is(method, record))


def option_rows(analysis: Analysis, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each option of an analysis with its value, and whether that differs from the default."""

    def changed(value: Any, default: Any) -> bool:
        return (list(value) if isinstance(value, list | tuple) else value) != (
            list(default) if isinstance(default, list | tuple) else default
        )

    return [
        {
            "flag": parameter.flag,
            "help": parameter.option.help,
            "value": values[parameter.name],
            "default": parameter.default,
            "changed": changed(values[parameter.name], parameter.default),
        }
        for parameter in analysis.options
        if parameter.name in values
    ]

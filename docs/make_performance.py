"""Writes the tables of docs/performance.md from JSON files of benchmarks/run.py.

Run it in the root of the repository: python docs/make_performance.py AFTER.json [--before BEFORE.json] [--gpu GPU.json]
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "performance.md"

PEERS = ("tf-keras-vis", "Xplique", "Captum")


def main() -> None:
    """Replaces the part of the page between the marks for each given file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("after", type=Path)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--gpu", type=Path)
    options = parser.parse_args()
    text = PAGE.read_text(encoding="utf-8")
    after, before = _read(options.after), _read(options.before) if options.before else None
    text = replaced(text, "table", f"{machine(after)}\n\n{table(after, before)}")
    if options.gpu:
        gpu = _read(options.gpu)
        text = replaced(text, "gpu", f"{machine(gpu)}\n\n{gpu_table(gpu)}")
    PAGE.write_text(text, encoding="utf-8")


def replaced(text: str, mark: str, part: str) -> str:
    """A page with another part between two marks, which are comments."""
    begin, end = f"<!-- {mark} -->\n", f"<!-- end of {mark} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"The page has no part between {begin.strip()} and {end}.")
    return pattern.sub(lambda _: f"{begin}\n{part}\n\n{end}", text)


def machine(report: dict[str, Any]) -> str:
    """A sentence about the machine and the software."""
    versions = report["versions"]
    names = [f"{name} {version}" for name, version in versions.items() if name in ("keras", "tensorflow", "jax", "torch")]
    date, cores = report["date"].partition("T")[0], report["machine"]["cores"]
    devices = ", ".join(report["devices"])
    return f"Measured on {date}: {report['machine']['processor']}, {cores} cores ({devices}); {', '.join(names)}."


def table(report: dict[str, Any], before: dict[str, Any] | None) -> str:
    """The rows with the ratios to the limit: before, now, the goal, and the peers."""
    earlier = {_key(row): row for row in before["rows"]} if before else {}
    peers = [name for name in PEERS if any(name in row["peers"] for row in report["rows"])]
    head = ["work", "network", "ours", "limit", "first call", "before", "× limit", "goal", *peers]
    return "\n".join(_lines(head, (_cells(row, earlier.get(_key(row)), peers) for row in report["rows"])))


def gpu_table(report: dict[str, Any]) -> str:
    """The rows with the medians and ratios on each backend."""
    backends = list(dict.fromkeys(row["backend"] for row in report["rows"]))
    head = ["work", "network", *(f"{name}: {part}" for name in backends for part in ("ours", "limit", "× limit"))]
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for row in report["rows"]:
        rows.setdefault((row["work"], row["subject"]), {})[row["backend"]] = row
    cells = (
        [work, subject, *(cell for name in backends for cell in _measured(found.get(name)))]
        for (work, subject), found in rows.items()
    )
    return "\n".join(_lines(head, cells))


def _cells(row: dict[str, Any], before: dict[str, Any] | None, names: list[str]) -> list[str]:
    ours, limit, ratio = _measured(row)
    goal = "" if row["goal"] is None else f"{row['goal']:.3g}" if limit else _quantity(row["goal"], row["unit"])
    reached = f"**{ratio or ours}**" if _figure(row) <= (row["goal"] or 0) else ratio or ours
    # Only ratios can be compared between two runs.
    earlier = "" if before is None else _measured(before)[2]
    peers = [f"{row['peers'][name]:.2f}" if name in row["peers"] else "" for name in names]
    first = _quantity(row["contenders"]["ours"]["first"], row["unit"])
    return [row["work"], row["subject"], ours, limit, first, earlier, reached, goal, *peers]


def _measured(row: dict[str, Any] | None) -> list[str]:
    """The medians of ours and of the limit, and their ratio."""
    if row is None:
        return ["", "", ""]
    medians = [each and _quantity(each["median"], row["unit"]) for each in map(row["contenders"].get, ("ours", "limit"))]
    return [medians[0] or "", medians[1] or "", f"{row['ratio']:.2f}" if "ratio" in row else ""]


def _figure(row: dict[str, Any]) -> float:
    return float(row.get("ratio", row["contenders"]["ours"]["median"]))


def _lines(head: list[str], rows: Iterator[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---|---|" + "--:|" * (len(head) - 2)
    for cells in rows:
        yield f"| {' | '.join(cells)} |"


def _quantity(value: float, unit: str) -> str:
    """A number of seconds or mebibytes with three digits."""
    if unit == "s" and value < 1:
        return f"{1e3 * value:.3g} ms"
    return f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"


def _key(row: dict[str, Any]) -> tuple[str, ...]:
    return row["work"], row["subject"], row["backend"]


def _read(path: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return report


if __name__ == "__main__":
    main()

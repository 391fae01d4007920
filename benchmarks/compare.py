"""Compares two JSON files of run.py: python benchmarks/compare.py BEFORE.json AFTER.json.

For each row, it prints the ratio of ours to the limit before and after, which other load on the machine hardly changes, and
the medians of ours. The exit code is 1 if the numbers of a row differ from those of its limit, or if it became slower by
more than `--tolerance`: its ratio to the limit or, if it has no limit, its value. Rows that are only in BEFORE are listed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, NamedTuple


class Change(NamedTuple):
    """A row that is in both reports."""

    label: str
    before: dict[str, Any]
    after: dict[str, Any]

    @property
    def factor(self) -> float:
        """How many times the row takes what it took before: of the ratios to the limit, or else of the values."""
        return figure(self.after) / figure(self.before)


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    """The rows that are in both reports, in the order of the second."""
    from benchmarks.tables import key

    earlier = {key(row): row for row in before["rows"]}
    return [
        Change(f"{row['subject']} {row['work']}".strip() + f" ({row['backend']})", earlier[key(row)], row)
        for row in after["rows"]
        if key(row) in earlier
    ]


def figure(row: dict[str, Any]) -> float:
    """What is compared of a row: the ratio to the limit, or the value of ours."""
    return float(row.get("ratio", row["contenders"]["ours"]["median"]))


def main() -> None:
    """Prints a line for each row, the largest increase first."""
    from benchmarks.tables import key, quantity, read

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--tolerance", type=float, default=0.15, help="relative increase that counts as slower (0.15)")
    options = parser.parse_args()
    found = changes(read(options.before), read(options.after))
    if not found:
        sys.exit("The files have no row in common.")
    # A row that vanished, or whose numbers differ from those of the limit, is a regression, too.
    present = {key(row) for row in read(options.after)["rows"]}
    lost = [" ".join(key(row)) for row in read(options.before)["rows"] if key(row) not in present]
    wrong = [" ".join(key(row)) for row in read(options.after)["rows"] if row.get("agrees") is False]
    for text, labels in (("not measured again", lost), ("other numbers than the limit", wrong)):
        for label in labels:
            print(f"{label}: {text}")
    slower = len(wrong)
    print(f"{'':70} × limit before  after   change        ours before      after")
    for change in sorted(found, key=lambda change: -change.factor):
        ratios = [f"{row['ratio']:.2f}" if "ratio" in row else "–" for row in change[1:]]
        ours = [quantity(row["contenders"]["ours"]["median"], row["unit"]) for row in change[1:]]
        mark = "SLOWER" if change.factor > 1 + options.tolerance else ""
        slower += bool(mark)
        factor = f"{change.factor - 1:+.0%}"
        print(f"{change.label:70} {ratios[0]:>14} {ratios[1]:>6} {factor:>8} {ours[0]:>18} {ours[1]:>10}  {mark}".rstrip())
    sys.exit(1 if slower else 0)


if __name__ == "__main__":
    # The modules of this folder import each other as `benchmarks.NAME`.
    sys.path[0] = str(Path(__file__).parent.parent)
    main()

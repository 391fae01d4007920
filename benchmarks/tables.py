"""The table of results as text, and the JSON file behind it."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

PACKAGES = ("cnnexplain", "keras", "tensorflow", "jax", "torch", "numpy", "tf-keras-vis")


def new_report() -> dict[str, Any]:
    """A report without rows: the machine, the versions, and the commit that is measured."""
    import keras

    from cnnexplain import backend

    root = Path(__file__).parent.parent
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, text=True, check=False)  # noqa: S607
    return {
        "machine": {"processor": _processor(), "cores": len(os.sched_getaffinity(0)), "system": platform.platform()},
        "backend": keras.backend.backend(),
        "devices": backend.current().devices(),
        "versions": {"python": platform.python_version(), **_versions()},
        "commit": done.stdout.strip() or None,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "rows": [],
    }


def heading(report: dict[str, Any]) -> str:
    """The machine, and the names of the columns."""
    machine, versions = report["machine"], report["versions"]
    software = ", ".join(f"{name} {versions[name]}" for name in ("keras", report["backend"]) if name in versions)
    return (
        f"{machine['processor']}, {machine['cores']} cores; {software}; commit {report['commit']}; load {_load()}\n"
        f"{'':66}     ours  limit  × limit  × CPU   goal  first call  difference  peers (× limit)"
    )


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    medians = {name: each["median"] for name, each in row["contenders"].items()}
    first = row["contenders"]["ours"]["first"]
    cells = [f"{row['subject']:18} {row['work']:46}"]
    cells += [f"{quantity(medians[name], row['unit']) if name in medians else '–':>9}" for name in ("ours", "limit")]
    for name in ("ratio", "cpu_ratio", "goal"):
        cells.append(f"{ratio(row, name):>6}")
    cells.append(f"{quantity(first, row['unit']):>9}")
    cells.append("" if "difference" not in row else f"{row['difference']:.0e}" + ("" if row["agrees"] else " DIFFERS"))
    cells.append(", ".join(f"{name} {each:.2f}" for name, each in row["peers"].items()))
    return "  ".join(cells).rstrip()


def ratio(row: dict[str, Any], name: str) -> str:
    """A ratio of a row, or its goal, which is a quantity if there is no limit."""
    if row.get(name) is None:
        return "–"
    return f"{row[name]:.2f}" if name != "goal" or "ratio" in row else quantity(row[name], row["unit"])


def quantity(value: float, unit: str) -> str:
    """A number of seconds or mebibytes with three digits."""
    if unit == "s" and value < 1:
        return f"{1e3 * value:.3g} ms"
    return f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"


def write(report: dict[str, Any], path: Path) -> None:
    """Writes a report as JSON. Rows that are in the file already and not in the report are kept."""
    rows = {key(row): row for row in (read(path)["rows"] if path.exists() else []) + report["rows"]}
    path.write_text(json.dumps({**report, "rows": list(rows.values())}, indent=1) + "\n")


def read(path: Path) -> dict[str, Any]:
    """A report from a JSON file."""
    report: dict[str, Any] = json.loads(path.read_text())
    return report


def key(row: dict[str, Any]) -> tuple[str, ...]:
    """What identifies a row: the network, the work, and the backend."""
    return row["subject"], row["work"], row["backend"]


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    match = re.search(r"^model name\s*: (.*)$", path.read_text(), re.MULTILINE) if path.exists() else None
    return match[1] if match else platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}"

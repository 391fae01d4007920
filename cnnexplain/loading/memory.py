"""The memory available to this process."""

from __future__ import annotations

import os
from pathlib import Path

GROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)
"""The files in which Linux reports the limit and the use of memory of a container (cgroups version 2 and 1)."""


def free() -> int:
    """The number of bytes free for this process in its container; half of all memory if the system does not report it."""
    return min([_system(), *_container(), *_process()])


def readable(size: int) -> str:
    """A number of bytes as text, such as "1.5 GiB"."""
    for power, unit in ((60, "EiB"), (40, "TiB"), (30, "GiB"), (20, "MiB")):
        if size >> power:
            return f"{min(size / (1 << power), 1e6):,.1f} {unit}"
    return "less than 1 MiB"


def _system() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    except (OSError, ValueError, StopIteration):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    # Windows has no such call.
    except (AttributeError, OSError, ValueError):
        return 8 << 30


def _container() -> list[int]:
    free = []
    for limit, used in GROUPS:
        try:
            free.append(max(int(limit.read_text()) - int(used.read_text()), 0))
        except (OSError, ValueError):
            continue
    return free


def _process() -> list[int]:
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (ImportError, OSError, ValueError):
        return []
    return [] if limit == resource.RLIM_INFINITY else [max(limit - used, 0)]

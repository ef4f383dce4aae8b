"""What this process may use of the machine: its threads and memory, as its container limits them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")


def allowed_processors() -> int:
    """How many processors the scheduler may put this process on; at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def available_threads(*, root: Path = ROOT, processors: Callable[[], int] = allowed_processors) -> int:
    """How many threads this process can keep busy; at least 1.

    The smallest processor quota of its control groups, rounded up, and never more than the
    processors it is allowed on.

    Args:
        root: where ``proc`` and ``sys`` are.
        processors: how many processors the process is allowed on.
    """
    quotas = [math.ceil(quota) for quota in _processor_quotas(root)]
    return max(1, min([processors(), *quotas]))


def installed_memory() -> int | None:
    """How many bytes of memory the machine has; None if it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None


def available_memory(
    *, root: Path = ROOT, installed: Callable[[], int | None] = installed_memory
) -> int | None:
    """How many bytes of memory the processes of this one's control groups may use; None if nobody says.

    Args:
        root: where ``proc`` and ``sys`` are.
        installed: how many the machine has.
    """
    return min([*_memory_limits(root), *filter(None, [installed()])], default=None)


def _memory_limits(root: Path) -> Iterator[int]:
    for group in _groups(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            # No limit is "max" in version 2, and more than any machine has in version 1.
            if (limit := _read(group / name) or "").isdecimal() and int(limit) > 0:
                yield int(limit)


def _processor_quotas(root: Path) -> Iterator[float]:
    for group in _groups(root, "cpu"):
        quota, _, period = (_read(group / "cpu.max") or "").partition(" ")
        if not quota:
            quota = _read(group / "cpu.cfs_quota_us") or ""
            period = _read(group / "cpu.cfs_period_us") or ""
        # No limit is "max" in version 2 and "-1" in version 1: neither is a decimal number.
        if quota.isdecimal() and period.isdecimal() and int(period) > 0:
            yield int(quota) / int(period)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's control group and of all above it, versions 2 and 1.

    In a container the path in ``/proc/self/cgroup`` may be the host's, which is not visible
    there; then the mount itself is the container's group, and it is among those above.
    """
    mounts = root / "sys" / "fs" / "cgroup"
    for line in (_read(root / "proc" / "self" / "cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        names = (controllers, controller) if controllers else (".", "unified")
        group = PurePosixPath(*(part for part in PurePosixPath(path).parts if part not in {"/", ".."}))
        yield from (mounts / name / above for name in names for above in (group, *group.parents))


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None

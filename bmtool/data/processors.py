"""How many processors this process may use: what it is bound to, and what its container allows."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1 = Path("/sys/fs/cgroup/cpu")


def usable_processors() -> tuple[int, str]:
    """How many, and why. Never by the machine's load: results may depend on it."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_quota()
    if quota is not None and quota < affinity:
        return max(1, int(quota)), f"the container may use {quota:g} processors"
    return affinity, f"{affinity} processor{'s' * (affinity > 1)} may be used"


def cgroup_quota(v2: Path = _CGROUP_V2, v1: Path = _CGROUP_V1) -> float | None:
    """Processors that the control group may use; None without a limit."""
    try:
        if v2.is_file():
            quota, period = v2.read_text(encoding="ascii").split()
            return None if quota == "max" else int(quota) / int(period)
        quota = (v1 / "cpu.cfs_quota_us").read_text(encoding="ascii")
        period = (v1 / "cpu.cfs_period_us").read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    return int(quota) / int(period) if int(quota) > 0 else None

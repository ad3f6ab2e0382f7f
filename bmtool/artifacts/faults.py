"""Fault points: make an interesting moment happen on purpose, by the environment variable BMTOOL_FAULT.

`kill@commit:renamed` kills the process right after the rename of a commit, `enospc@write:3` makes the third write fail
with a full disk, `nan@step:7` makes the loss of step 7 not a number. Several are separated by commas. With `#1` behind
it, a fault is for the second of several processes alone.
"""

from __future__ import annotations

import errno
import os
import signal

VARIABLE = "BMTOOL_FAULT"

_seen: dict[str, int] = {}


def fault(place: str, at: int | None = None) -> bool:
    """Pass a place where a fault may be asked for; True if the caller is to inject its own (`nan`).

    `place` is a name such as `commit:renamed`. Counted places, `write:3`, match at their third passing,
    or at `at` where the caller knows the number.
    """
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return False
    _seen[place] = _seen.get(place, 0) + 1
    here = {place, f"{place}:{_seen[place] if at is None else at}"}
    here |= {f"{name}#{os.environ.get('RANK', '0')}" for name in here}
    return any(_strike(item) for item in wanted.split(",") if item.partition("@")[2] in here)


def _strike(item: str) -> bool:
    kind = item.partition("@")[0]
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "term":
        os.kill(os.getpid(), signal.SIGTERM)
    if kind == "enospc":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"fault {item}")
    return kind == "nan"

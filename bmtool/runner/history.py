"""`runs/NAME/history.jsonl`: which artifact each name pointed at, and since when."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from bmtool.artifacts.manifest import Artifact
    from bmtool.runner.plan import Node


def append_history(folder: Path, node: Node, artifact: Artifact, status: str) -> None:
    """Add a line; one write, so that lines of two runs never mix."""
    entry = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "stage": node.stage,
        "dataset": node.dataset,
        "artifact": artifact.folder.name,
        "status": status,
    }
    descriptor = os.open(folder / "history.jsonl", os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        is_torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"  # as when the power goes
        os.write(descriptor, ("\n" * is_torn + json.dumps(entry) + "\n").encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

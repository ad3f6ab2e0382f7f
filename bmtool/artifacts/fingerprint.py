"""The fingerprint: a hash over all that decides what an artifact is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Identity:
    """All that decides what a stage makes. No absolute path is in it."""

    stage: str
    version: int | None
    """The stage's version; None for training, where an upgrade never starts a three-day run again."""
    settings: dict[str, Any]
    seed: int
    inputs: dict[str, str]
    """role -> fingerprint"""
    raw: dict[str, str]
    """raw file's stable name -> sha256"""

    def fingerprint(self) -> str:
        """sha256 over the identity as canonical JSON, in hex."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

"""A whole configuration file: the head and the five sections, parsed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bmtool.config.shared import Runtime


@dataclass(frozen=True)
class Pipeline:
    """What a file says, with the sections it has."""

    file: Path
    name: str
    prepare: dict[str, Any] = field(default_factory=dict)
    """dataset name -> prepare.Config"""
    pretrain: Any = None
    finetune: Any = None
    evaluate: Any = None
    export: Any = None
    output_dir: Path = Path("runs")
    seed: int = 0
    runtime: Runtime = field(default_factory=Runtime)

"""bmtool: five commands take a team from raw documents to a shipped model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from bmtool.models.files.inference import Predictor

__version__ = "0.1.0"


def load(path: str | Path, *, task: str = "") -> Predictor:
    """Open a fine-tuned checkpoint or an exported bundle; call the result with a list of texts.

    `bmtool.load("runs/reviews/finetune")(["what a film"])` gives `[{"label": "5", "score": 0.93}]`. Of several tasks
    that were trained together `task` says which one.

    Raises:
        BmtoolError: no model for a task is there, or its files are damaged or unsafe.
    """
    from bmtool.models.files.opening import load as open_predictor  # torch is imported here and not with bmtool

    return open_predictor(path, task=task)


__all__ = ["__version__", "load"]

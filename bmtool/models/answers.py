"""Logits of a model for rows in a file: run as a fresh process, to see what is really on the disk.

`python -m bmtool.models.answers MODEL_FOLDER ROWS.arrow LOGITS.npz`
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

from bmtool.models.fresh import die_with_parent


def main(model: str, rows: str, answers: str) -> None:
    """Open the model, read the columns that it is asked about, write `logits` and `offsets`."""
    from bmtool.models.opening import load

    with pa.memory_map(rows) as source:
        inputs = pa.ipc.open_stream(source).read_all()
    logits, offsets = load(model).logits(inputs)
    with Path(answers).open("wb") as handle:
        np.savez(handle, logits=logits, offsets=offsets)


if __name__ == "__main__":
    die_with_parent()
    main(*sys.argv[1:])

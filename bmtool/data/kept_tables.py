"""Tables over all characters of Unicode, made once and then read from a file beside the compiled kernels.

To make those that `prepare` looks characters up in takes 0.17 s of CPU at each start, to read them 0.01 s.
"""

from __future__ import annotations

import io
import os
import unicodedata
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from bmtool.data.compiled import nb

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_SEAL_BYTES = 16


def kept_table(version: str = "") -> Callable[[Callable[..., NDArray[Any]]], Callable[..., NDArray[Any]]]:
    """Keep the read-only array that a function of words makes, for this process and for others.

    The folder belongs to this state of the source; the file's name says the arguments, the version of Unicode that
    Python has, and `version`, of what else the table comes from.
    """

    def decorate(make: Callable[..., NDArray[Any]]) -> Callable[..., NDArray[Any]]:
        @cache
        @wraps(make)
        def kept(*given: str) -> NDArray[Any]:
            words = [make.__module__, make.__name__, *given, unicodedata.unidata_version, version]
            path = Path(nb.config.CACHE_DIR) / f"{'-'.join(filter(None, words))}.table"  # type: ignore[attr-defined]
            table = read_table(path)
            if table is None:
                table = make(*given)
                write_table(path, table)
            table.setflags(write=False)
            return table

        return kept

    return decorate


def write_table(path: Path, table: NDArray[Any]) -> None:
    """Write an array as `.npy` behind a hash of it."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, table, allow_pickle=False)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_bytes(xxhash.xxh3_128_digest(buffer.getbuffer()) + buffer.getvalue())
    new.replace(path)


def read_table(path: Path) -> NDArray[Any] | None:
    """What `write_table` wrote; None if nothing is there, or it isn't that any more (a power cut can tear it)."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if xxhash.xxh3_128_digest(memoryview(data)[_SEAL_BYTES:]) != data[:_SEAL_BYTES]:
        return None
    buffer = io.BytesIO(data)
    buffer.seek(_SEAL_BYTES)
    table: NDArray[Any] = np.lib.format.read_array(buffer, allow_pickle=False)
    return table

"""Keeps a memo of segments in a file, so that the next night starts with what this one learned.

The file is a numpy archive without pickle. It is a cache: one that is damaged, or of other rules, is refused with the
reason, and the memo then simply learns again.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from bmtool.data.quality.memo import empty_arrays, insert_all
from bmtool.data.quality.rows import ROW, VERSION

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from bmtool.data.quality.memo import Memo

_NAMES = ("rows", "text", "token_hashes", "token_chars")
_TYPES = (ROW, np.dtype(np.uint8), np.dtype(np.uint64), np.dtype(np.int32))


def _digest(arrays: dict[str, NDArray[Any]]) -> str:
    digest = xxhash.xxh3_128()
    for name in _NAMES:
        digest.update(np.ascontiguousarray(arrays[name]).view(np.uint8).data)
    return digest.hexdigest()


def save_memo(known: Memo, path: Path) -> None:
    """Write the memo's most used segments (half of what it may hold) to `path`, which is replaced as a whole."""
    with known.lock:
        known.keep(known.max_rows // 2)
        num, num_bytes, num_tokens, _ = known.arrays.counts.tolist()
        sizes = (num, num_bytes, num_tokens, num_tokens)
        arrays = {name: getattr(known.arrays, name)[:size] for name, size in zip(_NAMES, sizes, strict=True)}
        partial = path.with_name(f".{path.name}.partial")
        with partial.open("wb") as file:
            np.savez(file, version=np.array(VERSION), digest=np.array(_digest(arrays)), **arrays)
    partial.replace(path)


def _why_not(found: dict[str, NDArray[Any]]) -> str:
    """Why these arrays are no memo of ours; empty: they are."""
    if set(found) != {"version", "digest", *_NAMES}:
        return "it is no memo of segments"
    if str(found["version"]) != VERSION:
        return f"it is of version {found['version']}, this is {VERSION}"
    if any(found[name].dtype != dtype or found[name].ndim != 1 for name, dtype in zip(_NAMES, _TYPES, strict=True)):
        return "its arrays are of other types"
    if str(found["digest"]) != _digest(found):
        return "its digest doesn't match"
    rows = found["rows"]
    places = (
        (rows["text"], rows["size"], len(found["text"])),
        (rows["first"], rows["tokens"], len(found["token_chars"])),
    )
    if any(((first < 0) | (count < 1) | (first + count > size)).any() for first, count, size in places):
        return "its rows point outside"
    return "" if len(found["token_hashes"]) == len(found["token_chars"]) else "its arrays don't fit together"


def load_memo(known: Memo, path: Path) -> str:
    """Put what `save_memo` wrote into `known`, in place of what it holds; why that was refused, or an empty string."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        return "there is none"
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        return f"it can't be read: {error}"
    reason = _why_not(found)
    if reason:
        return reason
    num = len(found["rows"])
    arrays = empty_arrays(max(num, 512), 0, 0)._replace(**{name: found[name] for name in _NAMES[1:]})
    arrays.rows[:num] = found["rows"]
    arrays.counts[:] = num, len(found["text"]), len(found["token_chars"]), num
    insert_all(arrays.slots, arrays.rows, num)
    with known.lock:
        known.arrays = arrays
    return ""

"""How much a Parquet file may unpack to, seen before anything of it is unpacked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.data.readers.parquet_footer import chunks_of, dictionary_bytes
from bmtool.data.rows import MAX_BATCH_BYTES
from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

#: What unpacks to more than 1 GiB and to more than a thousand times its size is a bomb, not data.
BOMB_BYTES = 1024**3
BOMB_FACTOR = 1000

#: Rows decoded at once, unless they are long.
ROWS_AT_ONCE = 1024

#: Rows decoded at once may take as much on average, and so much if each is the longest there can be.
_LIKELY_BYTES = 4 * MAX_BATCH_BYTES
_WORST_BYTES = 128 * 1024 * 1024


def limits_of(path: Path, groups: Collection[int], names: Collection[str]) -> tuple[int, int]:
    """(bytes of text that some row groups may hold in the named columns, rows to decode at once).

    A value that is written once, in a column chunk's dictionary, may stand in every row: 1,024 rows with one of 20 MB
    take 20 GB. So the size of the dictionary counts, and it is read where the decoder reads it.

    Raises:
        DataError: a column says by itself that it holds more, or the footer is damaged.
    """
    packed_in_all, rows = 0, ROWS_AT_ONCE
    for chunk in chunks_of(path):
        if chunk.group not in groups or chunk.column not in names:
            continue
        packed = max(chunk.packed, 1)
        if chunk.unpacked > max(BOMB_BYTES, BOMB_FACTOR * packed):
            raise too_much(path, f"column '{chunk.column}'", packed, f"{chunk.unpacked:,}")
        packed_in_all += packed
        average = chunk.unpacked // max(chunk.num_rows, 1)
        longest = dictionary_bytes(path, chunk.start)
        rows = min(rows, _LIKELY_BYTES // max(average, 1), _WORST_BYTES // max(longest, 1))
    return max(BOMB_BYTES, BOMB_FACTOR * packed_in_all), max(rows, 1)


def too_much(path: Path, what: str, packed: int, unpacked: str) -> DataError:
    """The error for a bomb."""
    return DataError(
        f"{path}: {what} unpacks from {packed:,} to {unpacked} bytes. The limit is 1 GiB or {BOMB_FACTOR:,} times the "
        "size, whichever is more"
    )

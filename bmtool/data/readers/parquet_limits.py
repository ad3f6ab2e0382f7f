"""How much a Parquet file may unpack to, seen before anything of it is unpacked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.data.rows import MAX_BATCH_BYTES
from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path
    from typing import Any

    import pyarrow.parquet as pq

#: What unpacks to more than 1 GiB and to more than a thousand times its size is a bomb, not data.
BOMB_BYTES = 1024**3
BOMB_FACTOR = 1000

#: Rows decoded at once, unless they are long.
ROWS_AT_ONCE = 1024

#: Rows decoded at once may take as much on average, and so much if each is the longest there can be.
_LIKELY_BYTES = 4 * MAX_BATCH_BYTES
_WORST_BYTES = 128 * 1024 * 1024

_DICTIONARY_PAGE = 2


def chunks_of(metadata: pq.FileMetaData, groups: Sequence[int], names: Collection[str]) -> Iterator[tuple[Any, int]]:
    """(column chunk, rows of its row group) for each of the named columns in some row groups."""
    for group in groups:
        row_group = metadata.row_group(group)
        for index in range(row_group.num_columns):
            chunk = row_group.column(index)
            if chunk.path_in_schema.split(".")[0] in names:
                yield chunk, row_group.num_rows


def bytes_allowed(path: Path, metadata: pq.FileMetaData, groups: Sequence[int], names: Collection[str]) -> int:
    """How many bytes of text some row groups may hold.

    Raises:
        DataError: a column says by itself that it holds more.
    """
    packed_in_all = 0
    for chunk, _ in chunks_of(metadata, groups, names):
        unpacked, packed = chunk.total_uncompressed_size, max(chunk.total_compressed_size, 1)
        if unpacked > max(BOMB_BYTES, BOMB_FACTOR * packed):
            raise too_much(path, f"column '{chunk.path_in_schema}'", packed, f"{unpacked:,}")
        packed_in_all += packed
    return max(BOMB_BYTES, BOMB_FACTOR * packed_in_all)


def too_much(path: Path, what: str, packed: int, unpacked: str) -> DataError:
    """The error for a bomb."""
    return DataError(
        f"{path}: {what} unpacks from {packed:,} to {unpacked} bytes. The limit is 1 GiB or {BOMB_FACTOR:,} times the "
        "size, whichever is more"
    )


def rows_at_once(path: Path, metadata: pq.FileMetaData, groups: Sequence[int], names: Collection[str]) -> int:
    """How many rows may be decoded at once.

    A value that is written once, in a column chunk's dictionary, may stand in every row: 1,024 rows with one of 20 MB
    take 20 GB. So the size of the dictionary counts, and it is read where the decoder reads it.
    """
    rows = ROWS_AT_ONCE
    with path.open("rb") as file:
        for chunk, num_rows in chunks_of(metadata, groups, names):
            average = chunk.total_uncompressed_size // max(num_rows, 1)
            starts = [chunk.data_page_offset, chunk.dictionary_page_offset or chunk.data_page_offset]
            file.seek(min(starts))
            longest = _dictionary_bytes(file.read(32))
            rows = min(rows, _LIKELY_BYTES // max(average, 1), _WORST_BYTES // max(longest, 1))
    return max(rows, 1)


def _dictionary_bytes(header: bytes) -> int:
    """The unpacked size of a dictionary page by the start of its header; 0 for a page of another type.

    A header is a Thrift struct in the compact protocol, which starts with the fields 1, the type, and 2, the unpacked
    size, both 32-bit integers (apache/parquet-format, src/main/thrift/parquet.thrift, PageHeader).
    """
    place, values = 0, []
    for _ in range(2):
        if header[place : place + 1] != b"\x15":  # the next field, of type i32
            return 0
        value, shift, place = 0, 0, place + 1
        while place < len(header):
            byte = header[place]
            value |= (byte & 0x7F) << shift
            shift, place = shift + 7, place + 1
            if byte < 0x80:
                break
        values.append((value >> 1) ^ -(value & 1))
    page_type, size = values
    return max(size, 0) if page_type == _DICTIONARY_PAGE else 0

"""Read of a Parquet file's footer how large its column chunks are.

pyarrow has it too, but `metadata.row_group(0).column(0)` ends the process where the footer is damaged: an exception of
C++ goes through Python (seen with pyarrow 26, "Repetition level histogram size mismatch").
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: A footer takes some 100 bytes for a column of a row group.
MAX_FOOTER_BYTES = 16 * 1024 * 1024

_MAGIC = b"PAR1"

# Types of Thrift's compact protocol.
_BOOLS, _BYTE, _INTEGERS, _DOUBLE, _BINARY, _LISTS, _MAP, _STRUCT = (1, 2), 3, (4, 5, 6), 7, 8, (9, 10), 11, 12


class Chunk(NamedTuple):
    """A column of a row group."""

    group: int
    num_rows: int
    column: str
    """The top-level column that it belongs to."""
    unpacked: int
    packed: int
    start: int
    """Where its first page begins: that of its dictionary, if it has one."""


def chunks_of(path: Path) -> list[Chunk]:
    """All column chunks of a file, in order.

    Raises:
        DataError: the footer is damaged, or longer than `MAX_FOOTER_BYTES`.
    """
    status = path.stat()
    return _chunks_of(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)
def _chunks_of(path: Path, size: int, _: int) -> list[Chunk]:
    with path.open("rb") as file:
        file.seek(max(size - 8, 0))
        length, magic = int.from_bytes(file.read(4), "little"), file.read(4)
        if magic != _MAGIC or length > size - 8:
            raise _damaged(path)
        if length > MAX_FOOTER_BYTES:
            raise DataError(f"{path}: the footer has {length:,} bytes. The limit is {MAX_FOOTER_BYTES:,}")
        file.seek(size - 8 - length)
        footer = file.read(length)
    try:
        # The numbers are those of FileMetaData, RowGroup, ColumnChunk and ColumnMetaData in parquet.thrift.
        groups = (
            Thrift(footer).struct({4: [{1: [{3: {3: [str], 6: int, 7: int, 9: int, 11: int}}], 3: int}]}).get(4, [])
        )
        return [chunk for index, group in enumerate(groups) for chunk in _chunks(index, group)]
    except (ValueError, IndexError, KeyError, RecursionError):
        raise _damaged(path) from None


def _chunks(index: int, group: dict[int, Any]) -> Iterator[Chunk]:
    for column in group[1]:
        facts = column[3]
        start = min(facts[9], facts.get(11) or facts[9])
        yield Chunk(index, group[3], facts[3][0], facts[6], facts[7], start)


def _damaged(path: Path) -> DataError:
    return DataError(f"{path}: this Parquet file can't be read: its footer is damaged")


def dictionary_bytes(path: Path, start: int) -> int:
    """The unpacked size of the dictionary page at `start`; 0 for a page of another type, or what is none."""
    with path.open("rb") as file:
        file.seek(max(start, 0))
        header = file.read(64)
    try:
        page_type, size = Thrift(header).first_integers(2)  # of PageHeader
    except (ValueError, IndexError):
        return 0
    return max(size, 0) if page_type == 2 else 0  # DICTIONARY_PAGE


class Thrift:
    """Bytes in Thrift's compact protocol, read from the start (apache/thrift, doc/specs/thrift-compact-protocol.md).

    Its methods raise ValueError or IndexError for what isn't.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = 0

    def struct(self, wanted: dict[int, Any]) -> dict[int, Any]:
        """The wanted fields by number; all else is passed over."""
        out = {}
        for number, kind in self._fields():
            if number in wanted:
                out[number] = self._value(kind, wanted[number])
            else:
                self._pass(kind)
        return out

    def first_integers(self, count: int) -> list[int]:
        """The first fields, which have to be integers."""
        out = []
        for _, kind in self._fields():
            if kind not in _INTEGERS:
                raise ValueError("not an integer")
            out.append(self._integer())
            if len(out) == count:
                break
        return out

    def _value(self, kind: int, wanted: Any) -> Any:
        if isinstance(wanted, dict) and kind == _STRUCT:
            return self.struct(wanted)
        if isinstance(wanted, list) and kind in _LISTS:
            size, member = self._list()
            return [self._value(member, wanted[0]) for _ in range(size)]
        if wanted is int and kind in _INTEGERS:
            return self._integer()
        if wanted is str and kind == _BINARY:
            return self._bytes(self._varint()).decode("utf-8")
        raise ValueError("another type than the format has")

    def _fields(self) -> Iterator[tuple[int, int]]:
        number = 0
        while head := self._bytes(1)[0]:
            number = number + (head >> 4) if head >> 4 else self._integer()
            yield number, head & 15

    def _list(self) -> tuple[int, int]:
        head = self._bytes(1)[0]
        size = head >> 4
        return self._varint() if size == 15 else size, head & 15  # the size stands behind

    def _pass(self, kind: int) -> None:
        if kind in _INTEGERS:
            self._varint()
        elif kind == _BINARY:
            self._bytes(self._varint())
        elif kind == _STRUCT:
            for _, inner in self._fields():
                self._pass(inner)
        elif kind in _LISTS:
            size, inner = self._list()
            for _ in range(size):
                self._pass(_BYTE if inner in _BOOLS else inner)
        elif kind in (_BYTE, _DOUBLE):
            self._bytes(1 if kind == _BYTE else 8)
        elif kind not in _BOOLS:  # maps among them, of which the format has none
            raise ValueError("an unknown type")

    def _bytes(self, size: int) -> bytes:
        end = self.place + size
        if end > len(self.data):
            raise IndexError("the end came first")
        found, self.place = self.data[self.place : end], end
        return found

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._bytes(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:  # the highest bit says that there is more
                return value
            if shift > 63:
                raise ValueError("too long a number")

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

"""Read files line by line within bounded memory, or cut them into pieces of whole lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xxhash

from bmtool.contracts import Piece
from bmtool.data.unpack import open_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

#: A longer line is no row of text but an accident (or an attack): it is rejected without being held in memory.
MAX_LINE_BYTES = 64 * 1024 * 1024
TOO_LONG = f"a line of more than {MAX_LINE_BYTES // 1024**2} MiB"

#: A piece is this long, or as long as its only line.
PIECE_BYTES = 16 * 1024 * 1024

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_lines(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """(line number from 1, bytes with the line end) of each line; None for a line over `MAX_LINE_BYTES`.

    A byte order mark at the start is left out.

    Raises:
        MissingInputError, DataError: as `open_bytes`.
    """
    with open_bytes(path) as handle:
        yield from lines_of(handle)


def lines_of(handle: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """The same for an open file, such as standard input."""
    number = 0
    while line := handle.readline(MAX_LINE_BYTES):
        number += 1
        if number == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        if len(line) < MAX_LINE_BYTES or line.endswith(b"\n"):
            yield number, line
            continue
        while line and not line.endswith(b"\n"):
            line = handle.readline(MAX_LINE_BYTES)
        yield number, None


def cut_lines(name: str, path: Path) -> Iterator[Piece]:
    """Pieces of whole lines of one file, unpacked.

    A piece ends with the last line that ends within `PIECE_BYTES` of its start, or with its first. So the cuts follow
    from the bytes before them, and rows that are appended to a file leave its other pieces as they are. Of a line over
    `MAX_LINE_BYTES` no more is kept than it takes to see that it is too long.

    Raises:
        MissingInputError, DataError: as `open_bytes`.
    """
    with open_bytes(path) as handle:
        first, rest = 1, b""
        while block := handle.read(PIECE_BYTES - len(rest)):
            data = rest + block
            if first == 1 and not rest:
                data = data.removeprefix(BYTE_ORDER_MARK)
            end = data.rfind(b"\n") + 1
            if not end and len(data) >= PIECE_BYTES:
                data += _rest_of_line(handle, MAX_LINE_BYTES + 1 - len(data))
                end = len(data)
            rest = data[end:]
            if end:
                yield _piece(name, path, data[:end], first)
                first += data.count(b"\n", 0, end)
        if rest:
            yield _piece(name, path, rest, first)


def _piece(name: str, path: Path, data: bytes, first: int) -> Piece:
    return Piece(name, path, xxhash.xxh3_128_hexdigest(data), len(data), first, data)


def _rest_of_line(handle: BinaryIO, keep: int) -> bytes:
    """What is left of a line, of which `keep` bytes are kept, always with its line break."""
    kept = line = handle.readline(keep)
    while line and not line.endswith(b"\n"):
        line = handle.readline(PIECE_BYTES)
    return kept if kept.endswith(b"\n") or not line else kept + b"\n"

"""Read files line by line within bounded memory, or cut them into pieces of whole lines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import xxhash

from bmtool.artifacts.files import CHANGED
from bmtool.contracts import Piece
from bmtool.data.readers.unpack import open_bytes
from bmtool.errors import TryAgainError

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


def cut_lines(name: str, path: Path, *, by_paragraph: bool = False) -> Iterator[Piece]:
    """Pieces of whole lines (or of whole paragraphs, which end with a blank line) of one file, unpacked.

    A piece ends with the last line that ends within `PIECE_BYTES` of its start, or with its first. So the cuts follow
    from the bytes before them, and rows that are appended to a file leave all pieces but the last as they are. Of a
    line over `MAX_LINE_BYTES` no more is kept than it takes to see that it is too long.

    Raises:
        MissingInputError, DataError: as `open_bytes`.
    """
    with open_bytes(path) as handle:
        is_plain, first = handle.seekable(), 1
        rest = handle.read(len(BYTE_ORDER_MARK)).removeprefix(BYTE_ORDER_MARK)
        while data := rest + handle.read(PIECE_BYTES - len(rest)):
            start = handle.tell() - len(data) if is_plain else None
            end, more, num_lines = len(data), b"", 0
            if end == PIECE_BYTES:
                end = _last_blank_line(data) if by_paragraph else data.rfind(b"\n") + 1
            if not end:
                end = len(data)
                more, num_lines = _to_the_end(handle, data, by_paragraph=by_paragraph)
            yield _piece(Piece(name, path, "", end + len(more), first), memoryview(data)[:end], more, start)
            first += data.count(b"\n", 0, end) + num_lines
            if start is None or more:
                rest = data[end:]
            else:  # read again what is left of it: a few lines, where all of the next piece would be copied
                rest = b""
                handle.seek(start + end)


def _piece(piece: Piece, data: memoryview, more: bytes, start: int | None) -> Piece:
    """The piece that begins with `data`, which starts in a plain file at `start`."""
    digest = xxhash.xxh3_128(data)
    digest.update(more)
    if start is None:
        return replace(piece, key=digest.hexdigest(), data=bytes(data) + more)
    return replace(piece, key=digest.hexdigest(), span=(start, start + piece.size))


def bytes_of(piece: Piece) -> bytes:
    """The bytes of a piece that was cut: those that it holds, else those of its span.

    Raises:
        TryAgainError: these are no longer the ones that it was cut from.
    """
    if piece.span is None:
        return piece.data or b""
    start, end = piece.span
    with piece.path.open("rb") as handle:
        handle.seek(start)
        data = handle.read(end - start)
    if xxhash.xxh3_128_hexdigest(data) != piece.key:
        raise TryAgainError(CHANGED.format(piece.path))
    return data


def _last_blank_line(data: bytes) -> int:
    """Where the last blank line of `data` ends; 0 without one."""
    end = data.rfind(b"\n")
    while end >= 0:
        start = data.rfind(b"\n", 0, end)
        if start >= 0 and not data[start:end].strip():
            return end + 1
        end = start
    return 0


def _to_the_end(handle: BinaryIO, data: bytes, *, by_paragraph: bool) -> tuple[bytes, int]:
    """What follows `data`, up to the end of its line or paragraph, and how many line breaks were read.

    No more is kept than makes it too long.
    """
    kept, size, num_lines, starts_line = [], len(data), 0, data.endswith(b"\n")
    while line := handle.readline(PIECE_BYTES):
        kept.append(line[: max(MAX_LINE_BYTES + 1 - size, 0)])
        size += len(line)
        is_end, is_blank = line.endswith(b"\n"), starts_line and not line.strip()
        num_lines += is_end
        if is_end and (is_blank or not by_paragraph):
            break
        starts_line = is_end
    return b"".join(kept), num_lines

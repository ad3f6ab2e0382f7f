"""Read web archives: the pages of WARC files, and the texts of WET files.

Archives are read strictly: of the readers tried, fastwarc 2.0 passes over records in a damaged file without a word, and
warcio doesn't see that a file was cut off.
"""

from __future__ import annotations

import io
import re
import zlib
from http.client import HTTPException, parse_headers
from typing import TYPE_CHECKING, Any, NamedTuple

from bmtool.data.readers.buffer import RowBuffer
from bmtool.data.readers.main_text import decoded, main_text
from bmtool.data.readers.unpack import open_bytes
from bmtool.data.readers.whole import MAX_HTML_BYTES, check_columns, parse_text
from bmtool.data.rows import BadRowError
from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

    import pyarrow as pa

    from bmtool.contracts import Piece, Reading

COLUMNS = ("text", "title", "url", "date")

_HTML = ("text/html", "application/xhtml+xml")
_TEXT = "text/plain"

BROKEN = "a broken HTTP response"

#: A header of a record is a few lines.
_MAX_HEADER_BYTES = 256 * 1024


class Record(NamedTuple):
    """One record of an archive; `block` is None where it is longer than anyone wants it."""

    number: int
    headers: Mapping[str, str]
    block: bytes | None


def read_warc(piece: Piece, reading: Reading) -> Iterator[pa.RecordBatch]:
    """Batches with the text, title, URL and date of each page; a row's place is the number of its record.

    The pages are the responses with status 200 that hold HTML or plain text, and `conversion` records with plain text.
    Other records (requests, images, redirects) are no rows.

    Raises:
        MissingInputError: the file isn't there.
        DataError: it is damaged or cut off.
    """
    check_columns(reading, COLUMNS, "warc")
    buffer = RowBuffer(piece.file, reading)
    with open_bytes(piece.path) as handle:
        for record in _records(handle, piece.path):
            try:
                row = _page(record)
            except BadRowError as error:
                buffer.refuse(record.number, str(error))
                continue
            if row is not None:
                size = 4 * len(row["text"])  # no character takes more bytes
                yield from buffer.add(record.number, [row[name] for name in buffer.theirs], size)
    yield from buffer.flush()


def _records(handle: BinaryIO, path: Path) -> Iterator[Record]:
    number = 0
    while True:
        line = handle.readline(_MAX_HEADER_BYTES)
        if not line:
            return
        if not line.strip():
            continue  # records end with blank lines
        number += 1
        if not line.startswith(b"WARC/"):
            raise DataError(f"{path}: record {number} doesn't start with WARC/1: the file is damaged, or no WARC file")
        headers = _headers(handle)
        if not re.fullmatch(r"[0-9]{1,18}", headers.get("content-length", "")):
            raise DataError(f"{path}: record {number} doesn't say how long it is: the file is damaged")
        length = int(headers["content-length"])
        is_wanted = headers.get("warc-type") in {"response", "conversion"} and length <= 2 * MAX_HTML_BYTES
        block = handle.read(length) if is_wanted else None
        if (len(block) if block is not None else _skip(handle, length)) < length:
            raise DataError(f"{path}: record {number} is cut off: the file is damaged. Fetch it again")
        yield Record(number, headers, block)


def _headers(handle: BinaryIO) -> dict[str, str]:
    headers: dict[str, str] = {}
    for _ in range(1000):
        line = handle.readline(_MAX_HEADER_BYTES)
        if not line.strip():
            break
        name, _, value = line.decode("utf-8", errors="replace").partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers


def _skip(handle: BinaryIO, length: int) -> int:
    """Read on by `length` bytes; how many there were."""
    left = length
    while left and (data := handle.read(min(left, 1024 * 1024))):
        left -= len(data)
    return length - left


def _page(record: Record) -> dict[str, Any] | None:
    headers, kind = record.headers, record.headers.get("warc-type")
    row: dict[str, Any] = {"title": None, "url": headers.get("warc-target-uri", "").strip("<>") or None}
    row["date"] = headers.get("warc-date") or None
    if kind == "conversion" and headers.get("content-type", "").startswith(_TEXT):
        return row | parse_text(_given(record.block))
    if kind != "response" or not headers.get("content-type", "application/http").startswith("application/http"):
        return None
    block = io.BytesIO(_given(record.block))
    status = block.readline(1024).split(maxsplit=2)
    try:
        http = parse_headers(block)
    except HTTPException:
        raise BadRowError(BROKEN) from None
    content_type = http.get_content_type() if "content-type" in http else ""
    if len(status) < 2 or status[1] != b"200" or content_type not in (*_HTML, _TEXT):
        return None
    body = block.read()
    if "chunked" in http.get("transfer-encoding", "").lower():
        body = _unchunked(body)
    page = decoded(_unpacked(body, http.get("content-encoding", "").strip().lower()), http.get_content_charset())
    row["text"], row["title"] = (page, None) if content_type == _TEXT else main_text(page)
    return row


def _given(block: bytes | None) -> bytes:
    if block is None:
        raise BadRowError(_too_long())
    return block


def _too_long() -> str:
    return f"a page of more than {MAX_HTML_BYTES // 1024**2} MiB"


def _unchunked(body: bytes) -> bytes:
    """A body without the lengths of its chunks (RFC 9112, section 7.1); one that has none is given as it is."""
    parts: list[bytes] = []
    place = 0
    while True:
        end = body.find(b"\n", place, place + 1024)
        size = _hexadecimal(body[place:end].partition(b";")[0]) if end > 0 else None
        if size is None and not parts:
            return body  # many crawlers keep the header and take the chunks out
        if size is None or end + 1 + size > len(body):
            raise BadRowError(BROKEN)
        if not size:
            return b"".join(parts)
        parts.append(body[end + 1 : end + 1 + size])
        place = end + 1 + size + 2  # behind the chunk's own line end


def _hexadecimal(text: bytes) -> int | None:
    digits = text.strip()
    return int(digits, 16) if re.fullmatch(rb"[0-9A-Fa-f]{1,8}", digits) else None


def _unpacked(body: bytes, encoding: str) -> bytes:
    if encoding in {"gzip", "x-gzip", "deflate"} and body[:1] not in {b"<", b" "}:
        decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)  # 32: gzip or zlib, by its header
        try:
            body = decoder.decompress(body, MAX_HTML_BYTES + 1)
        except zlib.error:
            raise BadRowError(BROKEN) from None
        if not decoder.eof and len(body) <= MAX_HTML_BYTES:
            raise BadRowError(BROKEN)  # cut off
    elif encoding == "br":
        body = _unbrotlied(body)
    elif encoding not in {"", "identity", "gzip", "x-gzip", "deflate"}:
        raise BadRowError(f"a page packed in another way: {encoding}")
    if len(body) > MAX_HTML_BYTES:
        raise BadRowError(_too_long())
    return body


def _unbrotlied(body: bytes) -> bytes:
    import brotli  # comes with the extractor

    decoder, out = brotli.Decompressor(), b""
    try:
        while len(out) <= MAX_HTML_BYTES and not decoder.is_finished():
            more = decoder.process(body, output_buffer_limit=MAX_HTML_BYTES + 1)
            if not (more or body):
                raise BadRowError(BROKEN)  # cut off
            out, body = out + more, b""
    except brotli.error:
        raise BadRowError(BROKEN) from None
    return out

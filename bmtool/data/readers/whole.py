"""Read files that are one row each: text, Markdown and HTML."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bmtool.contracts import Rejected
from bmtool.data.readers.advice import NOT_UTF8
from bmtool.data.readers.buffer import to_batch, wanted
from bmtool.data.readers.unpack import open_bytes
from bmtool.data.rows import BadRowError
from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

    from bmtool.contracts import Piece, Reading

#: A longer file is no document. Parsed, HTML takes about 25 times its size.
MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_HTML_BYTES = 16 * 1024 * 1024

#: Metadata at the start of a Markdown file: YAML between `---`, or TOML between `+++`.
_FRONT_MATTER = re.compile(r"(---|\+\+\+)[ \t]*\n(?:.*\n)*?(?:\1|\.\.\.)[ \t]*(?:\n|\Z)")


def check_columns(reading: Reading, known: Sequence[str], source: str) -> None:
    """Raise DataError if a column is wanted that `source` doesn't make."""
    missing = [name for name in wanted(reading) if name not in known]
    if missing:
        raise DataError(f"{source}: there is no column '{missing[0]}'. The columns are: {', '.join(known)}")


def read_whole(
    piece: Piece, reading: Reading, parse: Callable[[bytes], dict[str, Any]], *, max_bytes: int = MAX_FILE_BYTES
) -> Iterator[pa.RecordBatch]:
    """A file as one row: what `parse` makes of its bytes, and its name as `file`. An empty file is none.

    `parse` raises BadRowError where it can't read them.

    Raises:
        MissingInputError, DataError: as `open_bytes`.
    """
    with open_bytes(piece.path, any_encoding=parse is parse_html) as handle:
        data = handle.read(max_bytes + 1)
    if not data:
        return
    try:
        if len(data) > max_bytes:
            raise BadRowError(f"a file of more than {max_bytes // 1024**2} MiB")
        row = {**parse(data), "file": piece.file}
    except BadRowError as error:
        reading.reject(Rejected(piece.file, 1, str(error)))
        return
    yield from to_batch(reading, piece.file, [1], [[row[name]] for name in wanted(reading)])


def parse_text(data: bytes) -> dict[str, Any]:
    """All of it as `text`."""
    try:
        return {"text": data.decode("utf-8-sig")}
    except UnicodeDecodeError:
        raise BadRowError(NOT_UTF8) from None


def parse_markdown(data: bytes) -> dict[str, Any]:
    """All but the front matter as `text`; markup stays."""
    text = parse_text(data)["text"].replace("\r\n", "\n")
    front = _FRONT_MATTER.match(text)
    return {"text": text[front.end() :].lstrip("\n") if front else text}


def parse_html(data: bytes) -> dict[str, Any]:
    """The main text and the title."""
    from bmtool.data.readers.main_text import decoded, main_text

    text, title = main_text(decoded(data, None))
    return {"text": text, "title": title}

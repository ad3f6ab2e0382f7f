"""Read a file as prepare does: cut it into pieces, and read each of them."""

from __future__ import annotations

from bmtool.contracts import LINE, Reading
from bmtool.data.rows import missing_columns, schema_of


def read_pieces(source, pieces, kinds, columns=None):
    """(batches, rejections) of some pieces."""
    rejected = []
    batches, unseen, known = [], None, []
    for piece in pieces:
        reading = Reading(columns or {}, schema_of(kinds), rejected.append)
        batches += source.read(piece, reading)
        unseen = reading.unseen if unseen is None else unseen & reading.unseen
        known = known or reading.known
    if unseen and known:
        raise missing_columns(pieces[0].path, unseen, known, columns or {})
    for batch in batches:
        assert batch.schema.names == [*kinds, LINE]
    return batches, rejected


def read_source(source, kinds, columns=None):
    """(rows with their LINE, rejections) of all files of a source."""
    pieces = [piece for name, path in source.files() for piece in source.pieces(name, path, "sha")]
    batches, rejected = read_pieces(source, pieces, kinds, columns)
    return [row for batch in batches for row in batch.to_pylist()], rejected


def read_file(source, kinds, columns=None):
    """({line: row}, {line: reason}) of a source's only file."""
    rows, rejected = read_source(source, kinds, columns)
    [(name, _)] = source.files()
    assert {one.file for one in rejected} <= {name}
    lines = [row.pop(LINE) for row in rows]
    assert len(set(lines)) == len(lines)
    return dict(zip(lines, rows, strict=True)), {one.line: one.reason for one in rejected}

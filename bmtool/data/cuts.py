"""Where files were cut into pieces, remembered, so that an unchanged file is neither unpacked nor read again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from bmtool.config.model import what
from bmtool.contracts import Piece

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bmtool.contracts import Source


class Cuts:
    """The pieces of one source's files. A piece that is only remembered has no `data` until `filled` reads it."""

    def __init__(self, source: Source, folder: Path, *, is_fresh: bool) -> None:
        self.source = source
        self.folder = folder
        self.is_fresh = is_fresh
        self._reading: tuple[str, Iterator[Piece]] | None = None

    def pieces(self, name: str, path: Path, sha256: str) -> Iterator[Piece]:
        """The pieces of a file: as remembered, or read and then remembered."""
        note = self.folder / f"{self._key(sha256)}.json"
        known = None if self.is_fresh else _read(note)
        if known is not None:
            yield from (Piece(name, path, **_plain(one)) for one in known)
            return
        noted = []
        for piece in self.source.pieces(name, path, sha256):
            noted.append({key: value for key, value in asdict(replace(piece, data=None)).items() if key in _NOTED})
            noted[-1]["is_cut"] = piece.data is not None
            yield piece
        self.folder.mkdir(parents=True, exist_ok=True)
        new = note.with_suffix(".new")
        new.write_text(json.dumps(noted), encoding="utf-8")
        new.rename(note)

    def filled(self, piece: Piece, sha256: str) -> Piece:
        """The piece as a worker needs it. Pieces of a file are asked for in their order."""
        if piece.data is not None or not self._is_cut(piece, sha256):
            return piece
        if self._reading is None or self._reading[0] != piece.file:
            self._reading = (piece.file, self.source.pieces(piece.file, piece.path, sha256))
        for one in self._reading[1]:
            if one.key == piece.key and one.first == piece.first:
                return one
        raise AssertionError(f"{piece.path}: the piece from line {piece.first} isn't where it was")

    def _is_cut(self, piece: Piece, sha256: str) -> bool:
        known = _read(self.folder / f"{self._key(sha256)}.json") or []
        return any(one["is_cut"] and one["key"] == piece.key for one in known)

    def _key(self, sha256: str) -> str:
        plain = json.dumps([what(self.source), sha256], sort_keys=True)
        return hashlib.sha256(plain.encode()).hexdigest()[:32]


_NOTED = ("key", "size", "first", "part")


def _plain(noted: dict[str, Any]) -> dict[str, Any]:
    part = noted["part"]
    return {**{key: noted[key] for key in _NOTED}, "part": tuple(part) if part else None}


def _read(note: Path) -> list[dict[str, Any]] | None:
    """What was noted; None if nothing was, or it can't be read: then the file is cut again."""
    try:
        noted = json.loads(note.read_text(encoding="utf-8"))
        return noted if all({*_NOTED, "is_cut"} <= set(one) for one in noted) else None
    except (FileNotFoundError, ValueError, TypeError):
        return None

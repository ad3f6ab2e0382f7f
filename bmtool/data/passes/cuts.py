"""Where files were cut into pieces, remembered, so that an unchanged file is neither unpacked nor read again."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from bmtool.artifacts.files import CHANGED, unchanged
from bmtool.config.model import what
from bmtool.contracts import Piece
from bmtool.data.kept import sealed, unsealed
from bmtool.errors import TryAgainError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bmtool.artifacts.files import Stamp
    from bmtool.contracts import Source


#: Raised when a file is cut otherwise than before.
VERSION = 4


class Cuts:
    """The pieces of one source's files. Of a packed file, one that is only remembered has no `data` until `filled`."""

    def __init__(self, source: Source, folder: Path | None, *, is_fresh: bool) -> None:
        """Remember in `folder`; None: not at all. With `is_fresh` what is remembered isn't read."""
        self.source = source
        self.folder = folder
        self.is_fresh = is_fresh
        self._is_held: dict[tuple[str, str, int], bool] = {}
        self._reading: tuple[str, Iterator[Piece]] | None = None

    def pieces(self, name: str, path: Path, sha256: str, stamp: Stamp | None = None) -> Iterator[Piece]:
        """The pieces of a file: as remembered, or read and then remembered.

        Raises:
            TryAgainError: it doesn't bear the stamp any more that it had with this sha256.
        """
        note = self._note(sha256)
        known = None if note is None or self.is_fresh else _read(note)
        if known is not None:
            for one in known:
                self._is_held[name, one["key"], one["first"]] = one["is_held"]
                yield Piece(name, path, **_plain(one))
            return
        noted = []
        with unchanged(path, stamp):  # or what another file holds would be remembered as this one's
            for piece in self.source.pieces(name, path, sha256):
                noted.append({key: value for key, value in asdict(replace(piece, data=None)).items() if key in _NOTED})
                noted[-1]["is_held"] = piece.data is not None
                yield piece
        if note is None:
            return
        note.parent.mkdir(parents=True, exist_ok=True)
        new = note.with_suffix(f".{socket.gethostname()}.{os.getpid()}")
        new.write_text(sealed({"pieces": noted}), encoding="utf-8")
        new.rename(note)

    def filled(self, piece: Piece, sha256: str) -> Piece:
        """The piece as a worker needs it. Pieces of a file are asked for in their order.

        Raises:
            TryAgainError: it isn't in the file any more.
        """
        if piece.data is not None or not self._is_held.get((piece.file, piece.key, piece.first)):
            return piece
        if self._reading is None or self._reading[0] != piece.file:
            self._reading = (piece.file, self.source.pieces(piece.file, piece.path, sha256))
        for one in self._reading[1]:
            if one.key == piece.key and one.first == piece.first:
                return one
        note = self._note(sha256)
        if note is not None:
            note.unlink(missing_ok=True)
        raise TryAgainError(CHANGED.format(piece.path))

    def _note(self, sha256: str) -> Path | None:
        if self.folder is None:
            return None
        plain = json.dumps([VERSION, what(self.source), sha256], sort_keys=True)
        return self.folder / f"{hashlib.sha256(plain.encode()).hexdigest()[:32]}.json"


_NOTED = ("key", "size", "first", "span", "part")


def _plain(noted: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value := noted[key], list) else value for key in _NOTED}


def _read(note: Path) -> list[dict[str, Any]] | None:
    """What was noted; None if nothing was, or it is damaged: then the file is cut again."""
    try:
        pieces: list[dict[str, Any]] = unsealed(note.read_text(encoding="utf-8"))["pieces"]
    except (FileNotFoundError, ValueError):
        return None
    return pieces

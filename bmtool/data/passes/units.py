"""Cut the sources into units: what one worker reads at a time, and what is kept and taken up again as a whole."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bmtool.config.model import without_how
from bmtool.contracts import Source  # noqa: TC001  (dataclasses are sent to workers)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from bmtool.config.model import Component
    from bmtool.contracts import Cleaner, Filter, Piece, Scrubber

#: Raised when the first pass makes something else of the same unit than before.
VERSION = 4

#: Small pieces are gathered until a unit holds this much text; a piece of its own size is a unit by itself.
UNIT_BYTES = 16 * 1024 * 1024

#: From here on a unit may end behind a piece whose key says so, so that a new file moves few borders.
EARLY_BYTES = 4 * 1024 * 1024
EARLY_ONE_IN = 4


@dataclass(frozen=True)
class RowRules:
    """What the first pass does to each row."""

    sources: Sequence[Source]
    columns: Mapping[str, str | tuple[str, ...]]
    """our name -> the sources'"""
    kinds: Mapping[str, str]
    """our name -> kind of column, as `bmtool.data.rows` has them"""
    cleaners: Sequence[Cleaner] = ()
    filters: Sequence[Filter] = ()
    scrubbers: Sequence[Scrubber] = ()
    scrub_key: bytes | None = field(default=None, repr=False)
    labels: tuple[str, ...] | None = None
    """The labels allowed; None: any"""
    is_hashed: bool = False
    """Whether exact copies will be looked for"""
    is_sketched: bool = False
    """Whether similar rows will be looked for"""
    extra: Mapping[str, str] = field(default_factory=dict)
    """sha256 of other files that decide what is done, such as a list of blocked words"""
    max_rows: int | None = None
    """About so many rows of a source are taken, for a smoke run (`bmtool.data.passes.few`); None: all"""

    def of_kind(self, *kinds: str) -> list[str]:
        """The columns of these kinds."""
        return [name for name, kind in self.kinds.items() if kind in kinds]

    def columns_of(self, source: int) -> dict[str, str | tuple[str, ...]]:
        """Our names and theirs for one source."""
        return {**self.columns, **(self.sources[source].columns or {})}

    def identity(self, source: int) -> dict[str, Any]:
        """All that decides what becomes of a row of a source, as plain JSON; a secret key is in it as its hash."""
        key = self.scrub_key
        return {
            "version": VERSION,
            "source": _settings(self.sources[source]),
            "columns": dict(self.columns),
            "kinds": list(self.kinds.items()),  # several texts of a row are joined in their order
            "cleaners": [_settings(one) for one in self.cleaners],
            "filters": [_settings(one) for one in self.filters],
            "scrubbers": [_settings(one) for one in self.scrubbers],
            "scrub_key": hashlib.sha256(b"bmtool scrub key\0" + key).hexdigest() if key is not None else None,
            "labels": self.labels,
            "is_hashed": self.is_hashed,
            "is_sketched": self.is_sketched,
            "extra": dict(self.extra),
            **({} if self.max_rows is None else {"max_rows": self.max_rows}),
        }


def _settings(component: Component) -> Any:
    """All that decides what it does, defaults included: a later version may have others."""
    return without_how(component, component.model_dump(mode="json", by_alias=True))


@dataclass(frozen=True)
class Unit:
    """Some pieces of one source, in order."""

    source: int
    pieces: tuple[Piece, ...]
    key: str
    """What is known of it is known by this: its pieces' names and contents, and all that is done to its rows"""

    @property
    def size(self) -> int:
        """About how many bytes of text it holds."""
        return sum(piece.size for piece in self.pieces)


def units_of(
    rules: RowRules, source: int, files: Sequence[tuple[str, Path]], pieces: Callable[[str, Path], Iterable[Piece]]
) -> Iterator[Unit]:
    """The units of a source, in order. Where one ends depends on the pieces alone."""
    identity = rules.identity(source)
    waiting: list[Piece] = []
    size = 0
    for name, path in files:
        for piece in pieces(name, path):
            if waiting and size + piece.size > UNIT_BYTES:
                yield unit_of(source, identity, waiting)
                waiting, size = [], 0
            waiting.append(piece)
            size += piece.size
            if size >= UNIT_BYTES or (size >= EARLY_BYTES and _ends_early(piece)):
                yield unit_of(source, identity, waiting)
                waiting, size = [], 0
    if waiting:
        yield unit_of(source, identity, waiting)


def _ends_early(piece: Piece) -> bool:
    digest = hashlib.sha256(f"{piece.file}\0{piece.key}".encode()).digest()
    return digest[0] % EARLY_ONE_IN == 0


def unit_of(source: int, identity: dict[str, Any], pieces: Sequence[Piece]) -> Unit:
    """A unit of these pieces; `identity` is `RowRules.identity` of the source."""
    described = {**identity, "pieces": [(piece.file, piece.key, piece.first, piece.part) for piece in pieces]}
    plain = json.dumps(described, sort_keys=True, ensure_ascii=False)
    return Unit(source, tuple(pieces), hashlib.sha256(plain.encode()).hexdigest()[:32])

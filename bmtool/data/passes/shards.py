"""Which units go into which shard of a split, and shards that are there already and needn't be written again.

A shard holds whole units, so that what is in it is known from the units alone. One that an earlier dataset has as well
is linked, not written: no byte is copied, and a nightly dataset of a hundred gigabytes takes the space of its new rows.

A shard of which a few rows changed is written anew. So the first shards of a split are small, and later ones grow with
what lies before them: at any size a few changed rows cost little, and there are some 150 shards besides those of the
full size.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bmtool.artifacts.files import fsync_file, link_files
from bmtool.errors import TryAgainError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

    from bmtool.data.kept import Shelf
    from bmtool.data.storage import SplitWriter

#: Raised when the same units make another shard than before.
VERSION = 2

#: The file of a shard that holds its rows' sketches; all others hold rows.
SKETCHES = "sketches.arrow"

#: From so much text on, a shard ends behind a unit whose key says so: new rows in front move few borders.
LEAST_BYTES, MOST_BYTES = 2 * 1024 * 1024, 32 * 1024 * 1024
EARLY_ONE_IN = 4

#: It is this share of the text before the shard, between the two bounds.
GROWTH = 1 / 64

#: Behind the unit with which it holds so many times as much, a shard ends in any case.
MOST_TIMES = 4


@dataclass(frozen=True)
class Share:
    """What one unit gives to a split."""

    unit: str
    """The unit's key"""
    content: str
    """Another one, wherever other rows of it, or other values, go to disk"""
    num_bytes: int
    """Bytes of text"""


@dataclass(frozen=True)
class Shard:
    """Units `first` to `end` (excluded), and what their rows are known by."""

    first: int
    end: int
    key: str


def shards_of(
    shares: Sequence[Share], schema: pa.Schema, labels: Sequence[str], *, has_sketches: bool = False
) -> list[Shard]:
    """The shards of a split, in order; of the text before one, where it begins and ends depends on the amount alone."""
    columns = [(one.name, str(one.type)) for one in schema]
    form = [VERSION, columns, list(labels), has_sketches]
    shards: list[Shard] = []
    first = before = num_bytes = 0
    for index, share in enumerate(shares):
        num_bytes += share.num_bytes
        early = min(max(before * GROWTH, LEAST_BYTES), MOST_BYTES)
        ends_early = num_bytes >= early and int(share.unit[:4], 16) % EARLY_ONE_IN == 0
        if num_bytes >= MOST_TIMES * early or ends_early or index == len(shares) - 1:
            shards.append(Shard(first, index + 1, _key(form, shares[first : index + 1])))
            first, before, num_bytes = index + 1, before + num_bytes, 0
    return shards


def _key(form: Sequence[object], shares: Sequence[Share]) -> str:
    plain = json.dumps([*form, [share.content for share in shares]], ensure_ascii=False)
    return hashlib.sha256(plain.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Finished:
    """Shards of earlier datasets, as links beside the other kept work."""

    shelf: Shelf

    def find(self, key: str) -> list[Path] | None:
        """The files of a shard, if they are there, whole.

        They hold rows (one file, or several of a very large unit; none without rows) and, by its name, sketches.
        """
        facts = self.shelf.find(key)
        return None if facts is None else [self.shelf.path(key) / name for name in sorted(facts["files"])]

    def sync(self, key: str) -> None:
        """Wait until the files of a shard are on the disk; where they were removed meanwhile, `put` says so."""
        with suppress(FileNotFoundError):
            for path in self.shelf.path(key).iterdir():
                fsync_file(path)

    def put(self, key: str, writer: SplitWriter, sketches: Path) -> None:
        """Let a split have the rows of a shard, and `sketches` its sketches if it has some.

        They are links. Where none can be made files are moved, and nothing is kept.

        Raises:
            TryAgainError: they were removed meanwhile.
        """
        files = self.find(key)
        if files is None:
            raise TryAgainError(f"{self.shelf.path(key)}: this shard was removed. Run the command again")
        rows = [path for path in files if path.name != SKETCHES]
        places = dict(zip(rows, writer.next_places(len(rows)), strict=True))
        places |= {path: sketches for path in files if path.name == SKETCHES}
        if not link_files(places):
            for path, place in places.items():
                shutil.move(path, place)
            self.shelf.remove(key)

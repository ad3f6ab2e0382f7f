"""Which units go into which shard of a split, and shards that are there already and needn't be written again.

A shard holds whole units, so that what is in it is known from the units alone. One that an earlier dataset has as well
is linked, not written: no byte is copied, and a nightly dataset of a hundred gigabytes takes the space of its new rows.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bmtool.errors import TryAgainError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

    from bmtool.data.passes.kept import Shelf
    from bmtool.data.storage import SplitWriter

#: Raised when the same units make another shard than before.
VERSION = 1

#: A shard ends behind the unit with which it holds this much text.
SHARD_BYTES = 128 * 1024 * 1024

#: From here on it ends behind a unit whose key says so, so that new rows in front move few borders.
EARLY_BYTES = 32 * 1024 * 1024
EARLY_ONE_IN = 4


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


def shards_of(shares: Sequence[Share], schema: pa.Schema, labels: Sequence[str]) -> list[Shard]:
    """The shards of a split, in order; which units are in one depends on those before only where it begins."""
    shards: list[Shard] = []
    first = num_bytes = 0
    for index, share in enumerate(shares):
        num_bytes += share.num_bytes
        ends_early = num_bytes >= EARLY_BYTES and int(share.unit[:4], 16) % EARLY_ONE_IN == 0
        if num_bytes >= SHARD_BYTES or ends_early or index == len(shares) - 1:
            shards.append(Shard(first, index + 1, _key(shares[first : index + 1], schema, labels)))
            first, num_bytes = index + 1, 0
    return shards


def _key(shares: Sequence[Share], schema: pa.Schema, labels: Sequence[str]) -> str:
    columns = [(one.name, str(one.type)) for one in schema]
    plain = json.dumps([VERSION, columns, list(labels), [share.content for share in shares]], ensure_ascii=False)
    return hashlib.sha256(plain.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Finished:
    """Shards of earlier datasets, as links beside the other kept work."""

    shelf: Shelf

    def find(self, key: str) -> list[Path] | None:
        """The files of a shard (one, or several of a very large unit; none without rows), if they are there, whole."""
        facts = self.shelf.find(key)
        return None if facts is None else [self.shelf.path(key) / name for name in sorted(facts["files"])]

    def put(self, key: str, writer: SplitWriter) -> None:
        """Let a split have the files of a shard, as links. Where none can be made they are moved, and nothing is kept.

        Raises:
            TryAgainError: they were removed meanwhile.
        """
        files = self.find(key)
        if files is None:
            raise TryAgainError(f"{self.shelf.path(key)}: this shard was removed. Run the command again")
        if not writer.adopt(files):
            writer.take(files)
            self.shelf.remove(key)

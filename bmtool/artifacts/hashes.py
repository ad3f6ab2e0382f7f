"""Hashes of files, remembered, so that an unchanged file costs one stat.

The memory is a text file that only grows: one JSON line a hash. A torn or foreign line is passed over, since a hash
that isn't remembered is only computed again.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

from bmtool.artifacts.files import sha256_of

if TYPE_CHECKING:
    from pathlib import Path

#: A file changed less than this ago may change again within the clock's resolution: its hash isn't remembered.
FRESH_SECONDS = 2.0

Key = tuple[str, int, int, int, int]


class HashCache:
    """sha256 by (path, size, mtime, ctime, inode)."""

    def __init__(self, file: Path) -> None:
        """Remember in `file`; it is read at the first question."""
        self.file = file
        self._known: dict[Key, str] | None = None
        self._by_inode: dict[tuple[int, int, int], str] = {}

    def sha256(self, path: Path, *, ours: bool = False) -> str:
        """The sha256 of `path`; `ours` says that nobody else writes it, so that a fresh file is remembered too."""
        key = _key(path)
        known = self._load()
        if ours and key not in known and (linked := self._of_link(path)):
            self._note(key, linked)
        if key not in known:
            known[key] = sha256_of(path)
            if ours or time.time() - key[3] / 1e9 > FRESH_SECONDS:
                # Under the key from before: if the file changed while it was read, the next question hashes it again.
                self._note(key, known[key])
        return known[key]

    def _of_link(self, path: Path) -> str | None:
        """The hash of the same file under another name, if it wasn't written to since: a new link moves its ctime."""
        stat = path.stat()
        if stat.st_nlink == 1:
            return None
        self._load()
        return self._by_inode.get((stat.st_size, stat.st_mtime_ns, stat.st_ino))

    def remember(self, path: Path, sha256: str) -> None:
        """Note the hash of `path` as it is now."""
        self._note(_key(path), sha256)

    def _note(self, key: Key, sha256: str) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps([*key, sha256]) + "\n"
        descriptor = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)
        self._put(key, sha256)

    def _load(self) -> dict[Key, str]:
        if self._known is None:
            text = self.file.read_text(encoding="utf-8", errors="replace") if self.file.exists() else ""
            known = dict[Key, str]()
            for line in text.splitlines():
                try:
                    path, size, mtime, ctime, inode, sha256 = json.loads(line)
                except ValueError:
                    continue  # a torn line: the hash is computed again
                known[(path, size, mtime, ctime, inode)] = sha256
            self._by_inode = {(size, mtime, inode): sha256 for (_, size, mtime, _, inode), sha256 in known.items()}
            self._known = known  # at last: another thread sees all of it or nothing
        return self._known

    def _put(self, key: Key, sha256: str) -> None:
        self._load()[key] = sha256
        _, size, mtime, _, inode = key
        self._by_inode[size, mtime, inode] = sha256


def _key(path: Path) -> Key:
    stat = path.stat()
    return (str(path.absolute()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)

"""Hashes of files, remembered, so that an unchanged file costs one stat.

The memory is a text file that only grows: one JSON line a hash, written as soon as its folder is there. A torn or
foreign line is passed over, since a hash that isn't remembered is only computed again.
"""

from __future__ import annotations

import errno
import json
import os
import time
from threading import Lock
from typing import TYPE_CHECKING, cast

from bmtool.artifacts.files import sha256_of, stamp_of

if TYPE_CHECKING:
    from pathlib import Path
    from threading import Event

#: What Linux stamps files with (CLOCK_REALTIME_COARSE, for which Python has no name); it moves every 1 to 10 ms.
STAMP_CLOCK = 5

#: A file changed less than this before it is read may change again under the same stamp: its hash isn't remembered.
#: Ten ticks of the clock; or the two seconds of FAT where a stamp is in whole seconds, as one of ext4 rarely is, too.
FINE_SECONDS, COARSE_SECONDS = 0.1, 2.0

#: Errors where a file may be read and not written.
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)

Key = tuple[str, int, int, int, int]


class HashCache:
    """sha256 by (path, size, mtime, ctime, inode)."""

    def __init__(self, file: Path) -> None:
        """Remember in `file`; it is read at the first question."""
        self.file = file
        self._known: dict[Key, str] | None = None
        self._by_inode: dict[tuple[int, int, int], str] = {}
        self._unwritten: list[str] = []
        self._loading, self._writing = Lock(), Lock()

    def sha256(self, path: Path, *, ours: bool = False, stop: Event | None = None) -> str:
        """The sha256 of `path`; `ours` says that nobody else writes it, so that a fresh file is remembered too.

        InterruptedError once another thread sets `stop`.
        """
        key = _key(path)
        known = self._load()
        if ours and key not in known and (linked := self._of_link(path)):
            self._note(key, linked)
        if key not in known:
            now = time.clock_gettime_ns(STAMP_CLOCK)  # before the first byte is read
            known[key] = sha256_of(path, stop)
            if ours or is_settled(key[3], now):
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
        self._put(key, sha256)
        with self._writing:
            self._unwritten.append(json.dumps([*key, sha256]) + "\n")
            if not self.file.parent.is_dir():
                return  # a look that makes nothing leaves nothing; what is made makes the folder
            try:
                descriptor = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            except OSError as error:
                if error.errno not in _READ_ONLY:
                    raise
                return  # one who may only look: what isn't remembered is computed again
            try:
                os.write(descriptor, "".join(self._unwritten).encode())
            finally:
                os.close(descriptor)
            self._unwritten.clear()

    def _load(self) -> dict[Key, str]:
        if self._known is None:
            with self._loading:
                self._read()
        return cast("dict[Key, str]", self._known)

    def _read(self) -> None:
        if self._known is None:
            text = self.file.read_text(encoding="utf-8", errors="replace") if self.file.exists() else ""
            known = dict[Key, str]()
            for line in text.splitlines():
                try:
                    path, size, mtime, ctime, inode, sha256 = json.loads(line)
                    known[(path, size, mtime, ctime, inode)] = sha256
                except (ValueError, TypeError):  # torn; or JSON, and no list of six: the hash is computed again
                    continue
            self._by_inode = {(size, mtime, inode): sha256 for (_, size, mtime, _, inode), sha256 in known.items()}
            self._known = known  # at last: another thread sees all of it or nothing

    def _put(self, key: Key, sha256: str) -> None:
        self._load()[key] = sha256
        _, size, mtime, _, inode = key
        self._by_inode[size, mtime, inode] = sha256


def is_settled(changed: int, now: int) -> bool:
    """Whether what is written to a file from `now` on bears another stamp; both are nanoseconds of STAMP_CLOCK."""
    is_fine = changed % 1_000_000_000 > 0
    return now - changed > (FINE_SECONDS if is_fine else COARSE_SECONDS) * 1e9


def _key(path: Path) -> Key:
    return (str(path.absolute()), *stamp_of(path))

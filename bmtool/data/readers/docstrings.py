"""Read the docstrings of installed packages and of the standard library: a corpus on everyone's disk."""

from __future__ import annotations

import ast
import re
import sys
import sysconfig
import warnings
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmtool.contracts import Rejected
from bmtool.errors import DataError, MissingInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from importlib.metadata import Distribution

    import pyarrow as pa

COLUMNS = ("text", "package", "kind", "file")
TAG_COLUMNS = ("words", "tags")

STDLIB = "stdlib"

#: Folders in the standard library's that hold something else, or tests of it with broken files on purpose.
_NOT_STDLIB = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}

_KINDS = {ast.Module: "module", ast.ClassDef: "class", ast.FunctionDef: "function", ast.AsyncFunctionDef: "function"}


@dataclass(frozen=True)
class Package:
    """A top-level package of an installed distribution, or the standard library."""

    name: str
    files: tuple[tuple[str, Path], ...]
    """(`torch/nn/functional.py`, path), sorted"""
    identity: tuple[str, Path]
    """(`torch 2.13.0`, its RECORD): changes when an installed file does"""


def installed_packages(names: Sequence[str] | None) -> list[Package]:
    """The packages of the running environment sorted by name, bmtool left out; only those in `names` if given.

    Distributions without a RECORD can't be identified and are left out too.

    Raises:
        MissingInputError: a name isn't installed.
    """
    found: dict[str, Package] = {}
    for distribution in sorted(distributions(), key=lambda one: (one.name or "").lower()):
        for package in _packages_of(distribution):
            found.setdefault(package.name, package)
    found[STDLIB] = _standard_library()
    for name in names or ():
        if name not in found:
            raise MissingInputError(f"docstrings: the package '{name}' isn't installed in {sys.prefix}")
    return [found[name] for name in sorted(found) if names is None or name in names]


def _packages_of(distribution: Distribution) -> Iterator[Package]:
    name = distribution.name or ""
    if name.lower().replace("_", "-").startswith("bmtool") or not distribution.files:
        return
    record = next((file for file in distribution.files if file.name == "RECORD"), None)
    if record is None:
        return
    identity = (f"{name} {distribution.version}", Path(str(record.locate())))
    by_package: dict[str, list[tuple[str, Path]]] = {}
    for file in distribution.files:
        top = file.parts[0]
        if file.suffix == ".py" and top not in {"..", "__pycache__"} and not file.is_absolute():
            package = top.removesuffix(".py")
            by_package.setdefault(package, []).append((file.as_posix(), Path(str(file.locate()))))
    for package, files in sorted(by_package.items()):
        yield Package(package, tuple(sorted(files)), identity)


def _standard_library() -> Package:
    root = Path(sysconfig.get_path("stdlib"))
    paths = [path for path in root.rglob("*.py") if not _NOT_STDLIB.intersection(path.relative_to(root).parts)]
    files = sorted((f"{STDLIB}/{path.relative_to(root).as_posix()}", path) for path in paths)
    version = ".".join(map(str, sys.version_info[:3]))
    return Package(STDLIB, tuple(files), (f"python {version}", root / "os.py"))


def read_docstrings(
    packages: Sequence[Package],
    mapping: Mapping[str, str],
    schema: pa.Schema,
    reject: Callable[[Rejected], None],
    *,
    tag_parameters: bool = False,
) -> Iterator[pa.RecordBatch]:
    """Batches of docstrings in the order of packages, files and lines.

    With `tag_parameters` there is one row for each function that has parameters, with its docstring's `words` and for
    each word a tag: `B-PARAM` if it is the name of one of the function's parameters, else `O`. A file that isn't valid
    Python is rejected as one row.

    Raises:
        DataError: a column is asked for that docstrings don't have.
    """
    from bmtool.data.rows import RowBuffer

    known = COLUMNS + (TAG_COLUMNS if tag_parameters else ())
    for name in schema.names:
        if mapping.get(name, name) not in known:
            hint = "; words and tags need 'tags: parameters'" if mapping.get(name, name) in TAG_COLUMNS else ""
            raise DataError(
                f"docstrings: there is no column '{mapping.get(name, name)}'. The columns are: {', '.join(known)}{hint}"
            )
    for package in packages:
        # One buffer a package: a batch never waits for rows of the next one.
        buffer = RowBuffer(package.name, schema, mapping, reject)
        for file, path in package.files:
            buffer.file = file
            for line, row in _rows_of(package.name, file, path, reject, tag_parameters=tag_parameters):
                if buffer.add(line, [row[column] for column in buffer.theirs]):
                    yield from buffer.flush()
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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in other people's files are not our user's concern
        return ast.parse(path.read_bytes())


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

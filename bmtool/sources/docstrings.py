"""Docstrings of installed packages and the standard library: text, package, kind, file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bmtool.contracts import Rejected, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa


class Docstrings(Source):
    """Docstrings of the running environment. `packages` names import packages such as sklearn, or `stdlib`.

    With `tags: parameters`, functions only: `words` of the docstring, and `tags` that mark the function's parameters.
    """

    packages: tuple[str, ...] | None = None
    tags: Literal["parameters"] | None = None

    def files(self) -> list[tuple[str, Path]]:
        """Each distribution's RECORD, and the standard library's os.py."""
        from bmtool.data.readers.docstrings import identities

        return identities(self.packages)

    def read(
        self, columns: Mapping[str, str], schema: pa.Schema, reject: Callable[[Rejected], None]
    ) -> Iterator[pa.RecordBatch]:
        """Batches of docstrings in the order of packages, files and lines."""
        from bmtool.data.readers.docstrings import identities, installed_packages, read_docstrings

        identities(self.packages)
        packages = installed_packages(self.packages)
        return read_docstrings(packages, columns, schema, reject, tag_parameters=self.tags == "parameters")

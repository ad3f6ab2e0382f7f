"""Find documents whose text was seen before: equal but for case and white space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_HASH = np.dtype("S16")

_SPACES = r"\t\n\v\f\r\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"

#: White space that isn't one plain space already: to replace those too would take nine times as long.
_UNFOLDED = rf"[ {_SPACES}]{{2,}}|[{_SPACES}]"


def normalised(batch: pa.RecordBatch, names: Sequence[str]) -> pa.Array:
    """The named columns (text, or lists of words joined by a space) as one lower-case text with folded white space."""
    columns = []
    for name in names:
        column = batch.column(name)
        columns.append(pc.binary_join(column, " ") if pa.types.is_list(column.type) else column)
    joined = columns[0] if len(columns) == 1 else pc.binary_join_element_wise(*columns, "\x1f")
    folded = pc.replace_substring_regex(pc.utf8_lower(joined), _UNFOLDED, " ")
    return pc.utf8_trim(folded, characters=" ")


class SeenTexts:
    """The texts seen so far, as 16 bytes each (xxh3_128), in sorted runs that double: no Python object a text."""

    def __init__(self) -> None:
        self.runs: list[NDArray[Any]] = []

    def first(self, texts: pa.Array) -> NDArray[np.bool_]:
        """(rows,) True for each text that wasn't seen before, in this batch or an earlier one; remembers them all."""
        digest = xxhash.xxh3_128_digest
        hashes = np.array([digest(text) for text in texts.cast(pa.binary()).to_pylist()], dtype=_HASH)
        distinct, where = np.unique(hashes, return_index=True)
        new = np.ones(len(distinct), dtype=bool)
        for run in self.runs:
            places = np.minimum(np.searchsorted(run, distinct), len(run) - 1)
            new &= run[places] != distinct
        first = np.zeros(len(hashes), dtype=bool)
        first[where[new]] = True
        self._add(distinct[new])
        return first

    def _add(self, hashes: NDArray[Any]) -> None:
        if not len(hashes):
            return
        while self.runs and len(self.runs[-1]) <= len(hashes):
            hashes = np.sort(np.concatenate([self.runs.pop(), hashes]))
        self.runs.append(hashes)

"""Decide which split a row belongs to, by a hash alone; and draw a few rows a label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from bmtool.data.id_hashes import ID_BYTES, hash_ids
from bmtool.data.text.documents import text_buffers

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPLITS = ("train", "validation", "test")


def assign(values: pa.Array, seed: int, *, validation: float, test: float) -> NDArray[np.uint8]:
    """(rows,) index into SPLITS of each row's group value (string).

    `u = xxh3_64(value, seed) / 2^64` (its upper 53 bits, so that u < 1 holds exactly); test if `u >= 1 - test`, else
    validation if `u >= 1 - test - validation`, else train. So two datasets with equal seed and ratios put a group into
    the same split, and a row keeps its split while the data grows. The ratios hold in expectation.
    """
    u = (_hashes(values, seed) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    split = np.zeros(len(u), dtype=np.uint8)
    if validation:
        split[u >= 1 - test - validation] = SPLITS.index("validation")
    if test:
        split[u >= 1 - test] = SPLITS.index("test")
    return split


def _hashes(values: pa.Array, seed: int) -> NDArray[np.uint64]:
    """(rows,) xxh3_64 of each value."""
    data, offsets = text_buffers(values)
    if (np.diff(offsets) == ID_BYTES).all():
        return hash_ids(data, seed)
    encoded = values.dictionary_encode()
    hashed = [xxhash.xxh3_64_intdigest(value, seed) for value in encoded.dictionary.cast(pa.binary()).to_pylist()]
    return np.asarray(np.array(hashed, np.uint64)[encoded.indices.to_numpy(zero_copy_only=False)])


def assign_by_order(
    values: pa.ChunkedArray, keep: NDArray[np.bool_], *, validation: float, test: float
) -> NDArray[np.uint8]:
    """(rows,) index into SPLITS by the order of values (string): the last share is test, before it validation.

    Only rows in `keep` count; the others are in the first split. Values are compared as numbers if all are (`nan` is
    none), else as text (ISO dates sort by time). Equal values stay together, in the later split.
    """
    kept = values.filter(pa.array(keep))
    keys = _numbers(kept)
    if keys is None:
        keys = pc.rank(kept, sort_keys="ascending", tiebreaker="dense").to_numpy()
    ordered = np.sort(keys)
    split = np.zeros(len(values), dtype=np.uint8)
    mine = split[keep]
    for share, name in ((test + validation, "validation"), (test, "test")):
        number = round(share * len(ordered))
        if number:
            mine[keys >= ordered[len(ordered) - number]] = SPLITS.index(name)
    split[keep] = mine
    return split


#: What `_numbers` takes for one.
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"


def count_numbers(values: pa.ChunkedArray) -> int:
    """How many of the values (string) are numbers."""
    return int(pc.sum(pc.match_substring_regex(values, _NUMBER)).as_py() or 0)


def _numbers(values: pa.ChunkedArray) -> NDArray[Any] | None:
    """(rows,) the values as numbers; None if one isn't."""
    try:
        numbers: NDArray[Any] = values.cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        return None
    return numbers if np.isfinite(numbers).all() else None


class Draw:
    """Draws up to `per_label` rows a label: those with the smallest ids, or with a seed the smallest hashes of them."""

    def __init__(self, per_label: int, seed: int | None) -> None:
        self.per_label = per_label
        self.seed = seed
        self.best = pa.schema({"label": pa.string(), "key": pa.string(), "row": pa.int64()}).empty_table()
        self.num_rows = 0

    def add(self, ids: pa.Array, labels: pa.Array) -> None:
        """Look at the next rows of the split."""
        keys = ids
        if self.seed is not None:
            plain = ids.cast(pa.binary()).to_pylist()
            keys = pa.array([xxhash.xxh3_128_hexdigest(one, self.seed) for one in plain], type=pa.string())
        rows = np.arange(self.num_rows, self.num_rows + len(ids))
        self.num_rows += len(ids)
        new = pa.table({"label": labels, "key": keys, "row": pa.array(rows, pa.int64())})
        ordered = pa.concat_tables([self.best, new]).sort_by([(name, "ascending") for name in ("label", "key", "row")])
        codes = ordered["label"].combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
        starts = np.flatnonzero(np.diff(codes, prepend=-1))
        rank = np.arange(len(codes)) - np.repeat(starts, np.diff(np.append(starts, len(codes))))
        self.best = ordered.filter(pa.array(rank < self.per_label)).combine_chunks()

    def drawn(self) -> NDArray[np.bool_]:
        """(rows,) True for each row of the split that was drawn."""
        mask = np.zeros(self.num_rows, dtype=bool)
        mask[self.best["row"].to_numpy()] = True
        return mask


def sorted_labels(values: set[str]) -> tuple[str, ...]:
    """Labels in the order of their ids: by number if all are whole numbers, else by their characters."""
    try:
        return tuple(sorted(values, key=lambda value: (int(value), value)))
    except ValueError:
        return tuple(sorted(values))


def share_of_ids(ids: pa.Array, share: float) -> pa.Array:
    """True for about `share` of the rows, decided by each row's id alone (it is a hash): a sample without a seed."""
    limit = min(int(share * 2**32), 2**32 - 1)
    return pc.less_equal(pc.utf8_slice_codeunits(ids, 0, 8), f"{limit:08x}")


#: `lots` are below this number. A sample of 64 MiB takes whole lots, of 1 TB of text one is 1 MB.
LOTS = 1 << 20

_MIX = np.uint64(0xFF51AFD7ED558CCD)  # the multipliers of MurmurHash3's 64-bit finalizer
_MIX_AGAIN = np.uint64(0xC4CEB9FE1A85EC53)


def lots(ids: pa.Array, seed: int) -> NDArray[np.uint64]:
    """(rows,) a number below `LOTS` for each row, by a seed and the last 16 digits of its id.

    Not by the first ones: of rows that `share_of_ids` left, these are small.
    """
    digits = text_buffers(ids)[0].view("<u8").reshape(len(ids), 4)
    h = digits[:, 2] ^ np.uint64(seed * int(_MIX) % 2**64)
    for more in (digits[:, 3], 0):
        h = (h ^ h >> np.uint64(33)) * _MIX + more
        h = (h ^ h >> np.uint64(33)) * _MIX_AGAIN
    return (h ^ h >> np.uint64(33)) >> np.uint64(44)

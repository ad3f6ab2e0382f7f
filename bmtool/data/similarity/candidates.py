"""Which texts may be similar: those whose sketches agree in a whole band, compared within the band's buckets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.compiled import nb
from bmtool.data.similarity.bands import BANDS, equal_values
from bmtool.data.similarity.lookup import distinct, perhaps_repeated
from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from bmtool.data.similarity.bands import Sketches
    from bmtool.data.similarity.touched import Chosen

#: Bytes of band keys held at a time: all bands of 150,000 rows, 4 of a million, 1 of 4 million and more.
_KEY_BYTES = 32 << 20

#: Sketches held at a time, 224 bytes each.
_ROWS_HELD = 1 << 16

#: A larger bucket is cut into parts of so many rows, each compared among themselves and with the bucket's first.
_BUCKET_PART = 4096

#: How many rows of a bucket that aren't clearly similar to each other a row is compared with.
_LEADERS = 8

#: With more pairs than this, or than rows, a row is the later one of at most 4 more clear and 12 other pairs. 200,000
#: rows that all have J = 0.64 with each other take 0.2 GB then, and 0.8 without. It isn't so from the start, because
#: the recall of J >= 0.8 among manual pages, whose sections repeat, would fall from 0.9995 to 0.9971.
_MANY_PAIRS = 1 << 22
_FEW_A_ROW = (4, 12)
_UNBOUNDED = (len(BANDS), len(BANDS) * _LEADERS)

#: Bits of a row's number in a packed pair; 7 are left for the equal values.
_ROW_BITS = 28


@dataclass(frozen=True)
class Compared:
    """P pairs of rows with the number of equal values in their sketches, ascending by (first, second)."""

    first: NDArray[np.int32]
    second: NDArray[np.int32]
    """(P,) the later row of each pair."""
    matches: NDArray[np.uint8]


def _buckets(keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(members, sizes): the rows of each key that several rows have, ascending, bucket after bucket."""
    rows = perhaps_repeated(keys)
    found = keys[rows]
    order = np.argsort(found, kind="stable")
    rows, found = rows[order], found[order]
    starts = np.flatnonzero(np.concatenate([[True], found[1:] != found[:-1]])) if len(rows) else np.zeros(0, np.int64)
    sizes = np.diff(np.append(starts, len(rows)))
    return rows[np.repeat(sizes > 1, sizes)], sizes[sizes > 1]


@dataclass(frozen=True)
class _Parts:
    """Buckets, large ones cut: part i is `members[start[i]:end[i]]`, of a bucket whose first row is `head[i]`."""

    members: NDArray[np.int64]
    head: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]

    def groups(self) -> Iterator[_Parts]:
        """Some parts at a time, with at most about `_ROWS_HELD` members; parts with the same head stay together.

        Near-copies share many buckets: brought together, they are read once, and equal buckets compared once.
        """
        order = np.lexsort((self.end - self.start, self.head))
        head, start, end = self.head[order], self.start[order], self.end[order]
        group = np.cumsum(end - start) // _ROWS_HELD
        for some in np.split(np.arange(len(order)), np.flatnonzero(np.diff(group)) + 1):
            if len(some):
                sizes = end[some] - start[some]
                ends = np.cumsum(sizes)
                places = np.arange(ends[-1]) + np.repeat(start[some] - (ends - sizes), sizes)
                yield _Parts(self.members[places], head[some], ends - sizes, ends)


def _parts(buckets: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> _Parts:
    """The buckets (members, sizes) of some bands, cut into parts."""
    members = np.concatenate([rows for rows, _ in buckets])
    sizes = np.concatenate([size for _, size in buckets])
    starts = np.cumsum(sizes) - sizes
    num_parts = -(-sizes // _BUCKET_PART)
    ends = np.cumsum(num_parts)
    nth = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - num_parts, num_parts)
    start = np.repeat(starts, num_parts) + nth * _BUCKET_PART
    end = np.minimum(start + _BUCKET_PART, np.repeat(starts + sizes, num_parts))
    return _Parts(members, np.repeat(members[starts], num_parts), start, end)


@nb.njit(nogil=True, cache=True)
def _compare(sketches, rows, places, parts, bounds, most, num_pairs, out):  # type: ignore[no-untyped-def]
    """Compare each member with the part's leaders, in reading order, until it is clearly similar to one.

    A row that is clearly similar to none becomes a leader itself, in place of the oldest but the head. Places are
    those of the members, and of the heads behind them, in `sketches` and `rows`. `num_pairs` (2, all rows) counts the
    pairs kept for each row. Packed pairs go to `out`; returns how many.
    """
    head, start, end = parts
    settled, at_least, clearly = bounds
    leaders = np.empty(_LEADERS, np.int64)
    count = 0
    for part in range(len(head)):
        first, last = start[part], end[part]
        if part > 0 and head[part] == head[part - 1] and last - first == end[part - 1] - start[part - 1]:
            before = start[part - 1]
            if (places[first:last] == places[before : before + last - first]).all():
                continue
        leaders[0] = places[end[-1] + part]  # heads stand behind the members
        num_leaders = 1
        for member in places[first:last]:
            row = rows[member]
            if row == head[part]:
                continue
            is_near = False
            for place in leaders[: min(num_leaders, _LEADERS)]:
                if row < settled and rows[place] < settled:
                    continue
                equal = equal_values(sketches[member], sketches[place])
                is_near = equal >= clearly
                kind = 0 if is_near else 1
                if equal >= at_least and num_pairs[kind, row] < most[kind]:
                    num_pairs[kind, row] += 1
                    out[count] = (np.uint64(rows[place]) << np.uint64(_ROW_BITS) | np.uint64(row)) << np.uint64(7)
                    out[count] |= np.uint64(equal)
                    count += 1
                if is_near:
                    break
            if not is_near:
                where = num_leaders
                if num_leaders >= _LEADERS:
                    where = 1 + (num_leaders - 1) % (_LEADERS - 1)
                leaders[where] = member
                num_leaders += 1
    return count


def most_pairs(num_rows: int) -> int:
    """With more pairs among so many rows, not all that `compared` compares are given."""
    return max(_MANY_PAIRS, num_rows)


def compared(
    sketches: Sketches | Chosen,
    *,
    at_least: int,
    clearly: int,
    alive: NDArray[np.bool_] | None = None,
    settled: int = 0,
) -> Compared:
    """Pairs of rows with `at_least` equal values, of those that share a band. The first `settled` aren't compared.

    Not all pairs of a bucket: each row with the first, and with up to seven others that aren't clearly similar (have
    `clearly` equal values) to an earlier one, until it is clearly similar to one. So a bucket of a million near-copies
    takes a million comparisons and gives a star of pairs. What is found depends on the order of rows alone, not on how
    they are cut into units.

    Memory besides the result: 8 bytes a row for the keys of each band held (32 MB, or one band: 800 MB for 100
    million rows, and 512 MB to find the repeated ones), about 40 bytes for each row in a bucket of the bands held,
    24 bytes a pair while they are merged, and 20 MB for sketches and places. All sketches are read once for the bands
    held: 7 times a million rows, 28 times 100 million (22 GB).

    Raises:
        DataError: there are more than 268 million rows.
    """
    if len(sketches) > 1 << _ROW_BITS:
        raise DataError(
            f"similar rows are looked for among at most {1 << _ROW_BITS:,} rows, and there are {len(sketches):,}. "
            f"Prepare them as several datasets, one `against` the other."
        )
    bands_held = max(1, min(len(BANDS), _KEY_BYTES // (8 * max(1, len(sketches)))))
    num_pairs = np.zeros((2, len(sketches)), np.uint8)
    bounds = (settled, at_least, clearly)
    many = most_pairs(len(sketches))
    packed = np.zeros(0, np.uint64)
    for band in range(0, len(BANDS), bands_held):
        keys = sketches.keys(BANDS[band : band + bands_held], alive)
        parts = _parts([_buckets(of_band) for of_band in keys])
        del keys
        found = [packed]
        for group in parts.groups():
            if sum(map(len, found)) > many:
                found = [_merged(found)]
            most = _FEW_A_ROW if sum(map(len, found)) > many else _UNBOUNDED
            found.append(_compared_group(sketches, group, bounds, most, num_pairs))
        packed = _merged(found)
    mask = np.uint64((1 << _ROW_BITS) - 1)
    second = (packed >> np.uint64(7) & mask).astype(np.int32)
    matches = (packed & np.uint64(127)).astype(np.uint8)
    packed >>= np.uint64(7 + _ROW_BITS)
    return Compared(packed.astype(np.int32), second, matches)


def _compared_group(
    sketches: Sketches | Chosen,
    group: _Parts,
    bounds: tuple[int, int, int],
    most: tuple[int, int],
    num_pairs: NDArray[np.uint8],
) -> NDArray[np.uint64]:
    """The group's pairs, packed."""
    rows, places = np.unique(np.concatenate([group.members, group.head]), return_inverse=True)
    out = np.empty(len(group.members) * _LEADERS, np.uint64)
    order = (group.head, group.start, group.end)
    count = _compare(sketches.rows(rows), rows, places, order, bounds, most, num_pairs, out)
    return out[:count].copy()


def _merged(packed: list[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """All of them sorted, each once."""
    together = np.concatenate(packed)
    packed.clear()
    return distinct(together)

"""Encode buffers of text by a memo of segments; texts that can't be done this way are marked by the caller."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.data.segments.marking import mark_risky
from bmtool.data.segments.memo import MARGIN, MAX_SEGMENTS, SegmentMemo
from bmtool.data.segments.memo_kernels import SLACK

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bmtool.data.segments.families import Segments

#: Segments cut, looked up and written at once: what is noted between the steps stays in the cache.
SEGMENTS_AT_ONCE = 1 << 16


class SegmentEncoder:
    """A family of tokenizers with its memo. Not for two threads at once."""

    def __init__(self, family: Segments, dtype: Any, *, max_segments: int | None = None) -> None:
        self.family = family
        self.memo = SegmentMemo(dtype, fold=family.fold, max_segments=max_segments or MAX_SEGMENTS)
        self._starts = np.empty(SEGMENTS_AT_ONCE, np.int32)
        self._lengths = np.empty(SEGMENTS_AT_ONCE, np.int32)
        self._found = np.empty(SEGMENTS_AT_ONCE, np.int32)
        self._missing = np.empty((SEGMENTS_AT_ONCE, 3), np.int64)
        self._out = np.empty(1 << 16, dtype)

    def mark(self, data: NDArray[np.uint8], offsets: NDArray[np.int64], marked: NDArray[np.uint8]) -> None:
        """Set `marked[n]` for each text that must be left to `tokenizers` as a whole."""
        if self.family.risky is None:
            return
        data = _padded(data)
        document, code = mark_risky(data, offsets, 0, self.family.risky, marked)
        while code >= 0:
            self.family.probe(code)
            document, code = mark_risky(data, offsets, document, self.family.risky, marked)

    def encode(
        self, data: NDArray[np.uint8], offsets: NDArray[np.int64], skipped: NDArray[np.uint8]
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """(ids (T,), offsets (N + 1,)) of N texts of less than 2 GB together; no ids where `skipped[n]`."""
        data, offsets = self.family.prepare(data, offsets)
        data = _padded(data)
        ends = np.zeros(len(offsets), np.int64)
        document = place = written = finished = 0
        try:
            while document < len(skipped):
                document, place, num = self._split(data, offsets, skipped, document, place)
                written, finished = self._write(data, num, written, ends[1:], finished)
        except BaseException:
            self.memo.clear()  # segments that were claimed but have no ids must not stay
            raise
        return self._out[:written].copy(), ends

    def _split(
        self, data: NDArray[np.uint8], offsets: NDArray[np.int64], skipped: NDArray[np.uint8], document: int, place: int
    ) -> tuple[int, int, int]:
        """(document, place, segments in `_starts` and `_lengths`); at least one segment is found."""
        while True:
            document, place, num, code = self.family.split(
                data, offsets, skipped, document, place, self.family.classes, self._starts, self._lengths
            )
            if code >= 0:
                self.family.probe(code)
            if num or code < 0:
                return document, place, num

    def _write(
        self, data: NDArray[np.uint8], num: int, written: int, ends: NDArray[np.int64], finished: int
    ) -> tuple[int, int]:
        """(ids written, documents finished) after the segments at hand."""
        self._find(data, num)
        done = 0
        while True:
            done, written, finished = self.memo.write(self._found[:num], done, self._out, written, ends, finished)
            if done == num:
                return written, finished
            more = len(self._out) + len(data) // 4 + SLACK
            self._out = np.concatenate([self._out, np.empty(more, self._out.dtype)])

    def _find(self, data: NDArray[np.uint8], num: int) -> None:
        """Find the slots of the segments at hand; all of them have their ids then."""
        may_clear = True
        while True:
            if may_clear and self.memo.is_over:
                self.memo.clear()
                may_clear = False
            segments = (self._starts, self._lengths, num)
            is_full, num_missing = self.memo.find(data, segments, self._found, self._missing)
            if num_missing:
                self._learn(data, self._missing[:num_missing])
            if not is_full:
                return
            if not (may_clear and self.memo.is_over):
                self.memo.make_room(1, int(self._lengths[:num].max()))

    def _learn(self, data: NDArray[np.uint8], missing: NDArray[np.int64]) -> None:
        """Find the ids of segments (place, length, slot), and remember them."""
        slots = np.ascontiguousarray(missing[:, 2])
        counts, flat = self.family.tokenize(data, missing)
        self.memo.store(slots, counts, flat)
        hard = np.flatnonzero(counts < 0)
        if len(hard):
            texts = [data[at : at + length].tobytes().decode() for at, length, _ in missing[hard].tolist()]
            counts, flat = self.ask(texts)
            self.memo.store(slots[hard], counts, flat)

    def remember(
        self, text: NDArray[np.uint8], offsets: NDArray[np.int64], places: NDArray[np.int64], ids: NDArray[Any]
    ) -> None:
        """Take over S segments, `text[offsets[n]:offsets[n + 1]]`, with their ids, `ids[places[n]:places[n + 1]]`."""
        self.memo.make_room(len(offsets) - 1, 0)  # at once: to grow, all segments are moved
        for first in range(0, len(offsets) - 1, SEGMENTS_AT_ONCE):
            last = min(first + SEGMENTS_AT_ONCE, len(offsets) - 1)
            data = _padded(text[offsets[first] : offsets[last]])
            starts = (offsets[first:last] - offsets[first]).astype(np.int32)
            lengths = np.diff(offsets[first : last + 1]).astype(np.int32)
            counts = np.diff(places[first : last + 1])
            self.memo.make_room(last - first, len(data))
            segments = (starts, lengths, last - first)
            is_full, num_missing = self.memo.find(data, segments, self._found, self._missing)
            if is_full or num_missing != last - first:
                raise ValueError("segments given twice, or empty ones")
            slots = np.ascontiguousarray(self._missing[:num_missing, 2])
            self.memo.store(slots, counts, ids[places[first] : places[last]])

    def ask(self, segments: list[str]) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """(counts (M,), ids) of M segments from `tokenizers`."""
        lists = [one.ids for one in self.family.inner.encode_batch_fast(segments, add_special_tokens=False)]
        counts = np.fromiter(map(len, lists), np.int64, len(lists))
        return counts, np.fromiter(chain.from_iterable(lists), self.memo.dtype, int(counts.sum()))


def _padded(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy with a margin, since the kernels read eight bytes at a time."""
    longer = np.empty(len(data) + MARGIN, np.uint8)
    longer[: len(data)] = data
    longer[len(data) :] = 0
    return longer

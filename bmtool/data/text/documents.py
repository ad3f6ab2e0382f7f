"""A batch of texts as filters see it: its bytes, where each text starts, and measurements that filters share."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa

from bmtool.contracts import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

T = TypeVar("T")


def text_buffers(texts: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """(bytes, offsets (N + 1,) from 0) of N texts (string, without nulls): a view of Arrow's buffer, not a copy."""
    if texts.null_count:
        raise ValueError("texts must not be null")
    if not len(texts):
        return np.zeros(0, np.uint8), np.zeros(1, np.int64)
    _, places, data = texts.buffers()
    width = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    offsets = np.frombuffer(places, width)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    content = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    return content[offsets[0] : offsets[-1]], offsets - offsets[0]


class Documents:
    """N texts (valid UTF-8) of one batch."""

    def __init__(self, texts: pa.Array) -> None:
        self.texts = texts
        self._shared: dict[Any, Any] = {}

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def _buffers(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        return text_buffers(self.texts)

    @property
    def bytes(self) -> NDArray[np.uint8]:
        """All texts one after the other, as UTF-8."""
        return self._buffers[0]

    @property
    def offsets(self) -> NDArray[np.int64]:
        """(N + 1,) where each text starts in `bytes`."""
        return self._buffers[1]

    def shared(self, measure: Callable[[Documents], T]) -> T:
        """What `measure` gives for these documents, computed once however many filters ask."""
        if measure not in self._shared:
            self._shared[measure] = measure(self)
        result: T = self._shared[measure]
        return result


def verdict_of(checks: list[tuple[Any, Any, Any]], rows: int) -> Verdict:
    """A Verdict from (failed (N,) bool, value (N,) or number, threshold) of each rule, in their order."""
    rule = np.full(rows, -1, np.int16)
    value = np.full(rows, np.nan)
    threshold = np.full(rows, np.nan)
    every = np.zeros((len(checks), rows), bool)
    for index, (failed, measured, limit) in enumerate(checks):
        every[index] = failed
        first = every[index] & (rule < 0)
        rule[first] = index
        value[first] = np.broadcast_to(np.asarray(measured, dtype=np.float64), rows)[first]
        threshold[first] = np.broadcast_to(np.asarray(limit, dtype=np.float64), rows)[first]
    return Verdict(rule, value, threshold, every)

"""Byte-level BPE by the package `fastokens`, if it is installed: the same ids, on new text several times faster.

It isn't ours and isn't trusted: `bmtool.data.tokenizing.encode` compares it with `tokenizers` on the texts at hand, as
it does a memo. Measured on 40 MB of prose with 16k tokens, in MB a second of CPU: 150 at first and 268 on text that it
has seen, a memo of segments 40 and 103. Of 308,000 texts (every code point up to U+2FFFF, random ones, three corpora)
none got other ids.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

#: Texts that are Python strings at the same time.
TEXTS_AT_ONCE = 512


class FastEncoder:
    """A byte-level BPE tokenizer, encoded by `fastokens` in one thread."""

    def __init__(self, tokenizer: Tokenizer, dtype: Any) -> None:
        """Take over a tokenizer.

        Raises:
            ImportError: `fastokens` isn't installed.
            ValueError: it doesn't know such a tokenizer.
        """
        import fastokens

        self._dtype = dtype
        self.name = f"fastokens {version('fastokens')}"
        with _one_thread():
            self._tokenizer = fastokens.Tokenizer.from_json_str(tokenizer.to_str())
            self._tokenizer.encode_batch_flat(["a", "b"])  # starts its threads

    def mark(self, data: NDArray[np.uint8], offsets: NDArray[np.int64], marked: NDArray[np.uint8]) -> None:
        """No text need be left to `tokenizers`."""

    def encode(
        self, data: NDArray[np.uint8], offsets: NDArray[np.int64], skipped: NDArray[np.uint8]
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """(ids (T,), offsets (N + 1,)) of N texts; no ids where `skipped[n]`."""
        texts = pa.LargeStringArray.from_buffers(len(skipped), pa.py_buffer(offsets), pa.py_buffer(data))
        rows = np.flatnonzero(skipped == 0)
        lengths = np.zeros(len(skipped), np.int64)
        ids = [np.zeros(0, self._dtype)]
        for start in range(0, len(rows), TEXTS_AT_ONCE):
            some = rows[start : start + TEXTS_AT_ONCE]
            flat, places = self._tokenizer.encode_batch_flat(texts.take(pa.array(some)).to_pylist())
            ids.append(np.frombuffer(flat, np.uint32).astype(self._dtype))
            lengths[some] = np.diff(np.frombuffer(places, np.uint64).astype(np.int64))
        return np.concatenate(ids), np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


@contextmanager
def _one_thread() -> Iterator[None]:
    """Threads that are started meanwhile are one: how many processors a step uses is decided by its workers."""
    before = os.environ.get("RAYON_NUM_THREADS")
    os.environ["RAYON_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["RAYON_NUM_THREADS"]
        else:
            os.environ["RAYON_NUM_THREADS"] = before

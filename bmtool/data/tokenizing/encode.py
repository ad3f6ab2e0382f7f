"""Text to token ids: whole batches in, flat arrays out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bmtool.data.text.documents import text_buffers
from bmtool.data.tokenizing.plain_encoding import encode_plain, ids_dtype, uncut

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from bmtool.data.segments.encoder import SegmentEncoder
    from bmtool.data.segments.fast import FastEncoder

#: Below that much text, compiling and filling a memo costs more than it saves.
MEMO_FROM_BYTES = 2_000_000

#: Texts of a batch that go through the kernels at once; their offsets are int32. A single longer text is left to
#: `tokenizers`.
BYTES_AT_ONCE = 1 << 28

#: Texts that are encoded both ways and compared: the first of an encoder, then one of so many, up to that many bytes of
#: each. A tenth of a second at first, then some 3 % of the time with a filled memo.
FIRST_CHECKED = 200
CHECKED_EVERY = 2000
MAX_CHECKED_BYTES = 1 << 12


class Encoder:
    """A tokenizer with a memo of segments: the same ids as `tokenizers`, tens of times faster. Not thread-safe.

    Which tokenizers can be done so is in `bmtool.data.segments.families`; all others, and texts that hold an added
    token such as `[MASK]`, go through `tokenizers`. `fastokens` takes the memo's place if it is installed and knows the
    tokenizer. Some texts go both ways and are compared: the first difference switches the faster one off, and is noted.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        max_segments: int | None = None,
        by_memo: bool = True,
        by_fastokens: bool = True,
    ) -> None:
        from bmtool.data.segments.encoder import SegmentEncoder  # numba takes half a second to import
        from bmtool.data.segments.families import recognise
        from bmtool.data.segments.literals import Literals

        self.tokenizer = uncut(tokenizer)
        self.dtype = ids_dtype(tokenizer.get_vocab_size())
        self.notes: list[str] = []
        """What a reader of the log must know."""
        self.num_texts = 0
        self.num_unsure: int | None = None
        """Texts that were encoded in the faster way before it failed its check; None: it didn't fail."""
        self.num_checked = 0
        """Texts that were also encoded by `tokenizers`, with the same ids so far."""
        self._literals = Literals([one.content.encode() for one in tokenizer.get_added_tokens_decoder().values()])
        self._segments: SegmentEncoder | FastEncoder | None = None
        self.method = ""
        """How texts are encoded, such as `memo of WordPiece segments`."""
        family, reason = recognise(self.tokenizer, self.dtype)
        if not by_memo:
            self.method = "tokenizers, text by text: as asked"
        elif family is None:
            self.method = f"tokenizers, text by text: {reason}"
        elif by_fastokens and family.name == "byte-level BPE" and (fast := self._fast()):
            self.method = fast.name
            self._segments = fast
        else:
            self.method = f"memo of {family.name} segments"
            self._segments = SegmentEncoder(family, self.dtype, max_segments=max_segments)

    def _fast(self) -> FastEncoder | None:
        """The tokenizer by `fastokens`; None where that isn't installed, or doesn't know it."""
        from bmtool.data.segments.fast import FastEncoder

        try:
            return FastEncoder(self.tokenizer, self.dtype)
        except ModuleNotFoundError:
            return None
        except ImportError as error:
            self.notes.append(f"fastokens isn't used, it can't be loaded: {error}")
            return None
        except ValueError as error:
            self.notes.append(f"fastokens isn't used: {error}")
            return None

    @property
    def is_sure(self) -> bool:
        """Whether no check has failed."""
        return self.num_unsure is None

    @property
    def num_segments(self) -> int:
        """Segments that the memo holds."""
        return 0 if self._memo is None else len(self._memo.memo)

    @property
    def num_cleared(self) -> int:
        """How often the memo was full and cleared."""
        return 0 if self._memo is None else self._memo.memo.num_cleared

    @property
    def _memo(self) -> SegmentEncoder | None:
        from bmtool.data.segments.encoder import SegmentEncoder

        return self._segments if isinstance(self._segments, SegmentEncoder) else None

    def encode(self, texts: pa.Array | pa.ChunkedArray) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """(ids (T,), offsets (N + 1,)) of N texts, without special tokens and uncut; ids as `ids_dtype` says.

        Raises:
            ValueError: a text is null.
        """
        column = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
        _, offsets = text_buffers(column)
        had_memo = self._segments is not None
        pieces = [self._encode(column.slice(start, stop - start)) for start, stop in _ranges(offsets, BYTES_AT_ONCE)]
        if had_memo and self._segments is None:  # it failed within this call: what it gave before is in doubt
            return encode_plain(column, self.tokenizer, self.dtype)
        ids = np.concatenate([np.zeros(0, self.dtype), *(piece[0] for piece in pieces)])
        lengths = np.concatenate([np.zeros(1, np.int64), *(np.diff(piece[1]) for piece in pieces)])
        return ids, np.cumsum(lengths)

    def _encode(self, texts: pa.Array) -> tuple[NDArray[Any], NDArray[np.int64]]:
        data, offsets = text_buffers(texts)
        if self._segments is None or len(data) > BYTES_AT_ONCE:
            self.num_texts += len(texts)
            return encode_plain(texts, self.tokenizer, self.dtype)
        apart = self._literals.found(data, offsets)
        self._segments.mark(data, offsets, apart)
        ids, places = self._segments.encode(data, offsets, apart)
        wrong = self._differing(texts, apart, ids, places)
        if wrong is not None:
            self.num_unsure = self.num_texts
            self.notes.append(
                f"text {self.num_texts + wrong + 1:,} got other ids from {self.method} than from `tokenizers`, so it "
                f"is off from here on; {self.num_texts:,} texts were encoded with it before"
            )
            self.method = f"tokenizers, text by text: {self.method} failed its check"
            self._segments = None
            return self._encode(texts)
        self.num_texts += len(texts)
        rows = np.flatnonzero(apart)
        if not len(rows):
            return ids, places
        return _filled_in(ids, places, rows, encode_plain(texts.take(pa.array(rows)), self.tokenizer, self.dtype))

    def _differing(
        self, texts: pa.Array, apart: NDArray[np.uint8], ids: NDArray[Any], places: NDArray[np.int64]
    ) -> int | None:
        """The first checked text whose ids aren't those of `tokenizers`."""
        first = np.arange(min(max(FIRST_CHECKED - self.num_texts, 0), len(texts)))
        later = np.arange(-self.num_texts % CHECKED_EVERY, len(texts), CHECKED_EVERY)
        rows = np.union1d(first, later)
        rows = rows[apart[rows] == 0]
        whole = [text.encode() for text in texts.take(pa.array(rows, pa.int64())).to_pylist()]
        checked = pa.array([text[:MAX_CHECKED_BYTES].decode(errors="ignore") for text in whole], pa.string())
        right, ends = encode_plain(checked, self.tokenizer, self.dtype)
        for index, row in enumerate(rows.tolist()):
            ours = ids[places[row] : places[row + 1]]
            if len(whole[index]) > MAX_CHECKED_BYTES:
                ours = self._by_memo(checked.slice(index, 1))
            if not np.array_equal(ours, right[ends[index] : ends[index + 1]]):
                return int(row)
        self.num_checked += len(rows)
        return None

    def save(self, path: Path) -> None:
        """Keep the memo in a file, for `load`; nothing is written while there is no memo."""
        from bmtool.data.segments.storage import write_memo

        if self._memo is not None:
            write_memo(path, self._memo, self.tokenizer)

    @classmethod
    def load(cls, path: Path, tokenizer: Tokenizer, *, by_fastokens: bool = True) -> Encoder:
        """An encoder with the memo of an earlier run; a file that can't be trusted is left alone, with a note."""
        from bmtool.data.segments.storage import read_memo

        encoder = cls(tokenizer, by_fastokens=by_fastokens)
        if encoder._memo is not None and path.is_file():
            reason = read_memo(path, encoder._memo, encoder.tokenizer)
            if reason:
                encoder.notes.append(f"{path}: this memo isn't used: {reason}")
        return encoder

    def _by_memo(self, texts: pa.Array) -> NDArray[Any]:
        assert self._segments is not None  # noqa: S101  (only asked while there is one)
        return self._segments.encode(*text_buffers(texts), np.zeros(len(texts), np.uint8))[0]


def _ranges(offsets: NDArray[np.int64], max_bytes: int) -> Iterator[tuple[int, int]]:
    """Rows [start, stop) of at most `max_bytes` together, or one row of more."""
    start = 0
    while start < len(offsets) - 1:
        stop = int(np.searchsorted(offsets, offsets[start] + max_bytes, side="right")) - 1
        stop = max(stop, start + 1)
        yield start, stop
        start = stop


def _filled_in(
    ids: NDArray[Any],
    offsets: NDArray[np.int64],
    rows: NDArray[np.int64],
    others: tuple[NDArray[Any], NDArray[np.int64]],
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Ids and offsets with those of `others` put in at `rows`, which had none."""
    inserted, ends = others
    lengths = np.diff(offsets)
    lengths[rows] = np.diff(ends)
    return np.insert(ids, np.repeat(offsets[rows], np.diff(ends)), inserted), np.concatenate([[0], np.cumsum(lengths)])


def encode(texts: pa.Array | pa.ChunkedArray, tokenizer: Tokenizer) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """(ids (T,), offsets (N + 1,)) of N texts, without special tokens and uncut; ids as `ids_dtype` says.

    For one call; whoever has many batches keeps an `Encoder`.
    """
    if texts.nbytes >= MEMO_FROM_BYTES:
        return Encoder(tokenizer).encode(texts)
    return encode_plain(texts, uncut(tokenizer), ids_dtype(tokenizer.get_vocab_size()))

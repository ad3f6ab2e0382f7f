"""Attention inside short documents of a packed batch, many at once: those of about equal length make blocks.

Products of one document are so small that calling them takes longer than they do, and one after the other they never
reach the speed of a processor's bfloat16. In blocks, documents are padded to a multiple of 16 tokens. Measured
on a Zen 5 core, 2,750 tokens in documents of up to 128, forward and backward without the projections: 11.9 ms instead
of 18.2 with 4 heads of 64 in bfloat16, 25.5 instead of 38.8 with 8; in float32 with AVX2 no difference.

Shape letters: A heads, B heads of a block's documents together, D width of a head, K padded keys, N gathered rows,
Q padded queries, R queries, T tokens, W = A x D.
"""

from __future__ import annotations

import math
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

#: Lengths are padded to a multiple: few shapes, since oneDNN compiles a kernel for each, in 0.2 to 0.5 ms.
_MULTIPLE = 16

#: Documents of a block are a power of two, for the same reason.
_MOST_DOCUMENTS = 16

#: Padding among a block's scores, of all heads together, that costs less than another block. Measured on a busy Zen 5
#: core, 4 heads of 64, a layer forward and backward, against blocks of equal padded lengths: bfloat16 took 1.95 ms
#: instead of 2.60 for 16 documents of about 30 tokens, 11.2 instead of 12.4 for 37 of 20 to 128, and as long for 16 of
#: about 116; float32, whose products are slower, up to a tenth more: there it is 0.
PADDING_SCORES = 2**14

_SETTING = threading.Lock()

# The only name of softmax's gradient alone.
_softmax_backward = torch.ops.aten._softmax_backward_data.default  # noqa: SLF001


class Span(NamedTuple):
    """A document, and those of its tokens that ask."""

    first: int
    """Its first query"""
    last: int
    """Behind its last query"""
    start: int
    """Its first token"""
    end: int
    """Behind its last token"""

    @property
    def length(self) -> int:
        """Its tokens."""
        return self.end - self.start


class _Block(NamedTuple):
    queries: slice
    """Its rows of the gathered queries, B x Q of them"""
    keys: slice
    """Its rows of the gathered keys, B x K of them"""
    shape: tuple[int, int, int]
    """B, Q, K"""
    mask: Tensor | None
    """(B, 1 or Q, K): minus infinity where nobody looks; None: everybody sees everything"""


class _Rows(NamedTuple):
    """Where heads of tokens are among gathered rows, and the other way round."""

    tokens: Tensor
    """(N,); padding repeats its document's first"""
    heads: Tensor
    """(N,)"""
    padding: Tensor
    """Which rows are; (M,)"""
    places: Tensor
    """(T x A,) to a row; N for tokens of other documents"""
    num_heads: int
    """A"""

    @classmethod
    def of(cls, tokens: list[NDArray[np.int64]], is_real: list[NDArray[np.bool_]], num: int, heads: int) -> _Rows:
        """From the tokens of blocks, (documents, padded length) each, of `num` tokens."""
        repeated = [np.repeat(block[:, None], heads, axis=1) for block in tokens]
        flat, real = (
            np.concatenate([array.ravel() for array in (empty, *arrays)])
            for empty, arrays in (
                (np.empty(0, np.int64), repeated),
                (np.empty(0, np.bool_), [np.repeat(block[:, None], heads, axis=1) for block in is_real]),
            )
        )
        order = np.concatenate([np.empty(0, np.int64), *(_numbers(block).ravel() for block in repeated)])
        places = np.full(num * heads, len(flat))
        places[(flat * heads + order)[real]] = np.flatnonzero(real)
        arrays = (flat, order, np.flatnonzero(~real), places)
        of_tokens, of_heads, of_padding, of_places = map(torch.from_numpy, arrays)
        return cls(of_tokens, of_heads, of_padding, of_places, heads)

    def gather(self, source: Tensor, part: int, width: int) -> Tensor:
        """Of the part `part` of a matrix whose rows hold several of `width`: (N, D)."""
        a_row = source.shape[1] // (width // self.num_heads)
        index = self.tokens * a_row + (self.heads + part * self.num_heads)
        return source.view(-1, width // self.num_heads).index_select(0, index)


@dataclass(frozen=True)
class Layout:
    """How some documents of a batch are gathered in blocks."""

    blocks: Sequence[_Block]
    queries: _Rows
    keys: _Rows

    @classmethod
    def of(
        cls, spans: Sequence[Span], num_queries: int, num_tokens: int, heads: int, *, causal: bool, padding: int
    ) -> Layout:
        """Of `num_queries` and `num_tokens` rows those of `spans`, but for documents without queries.

        `padding` is how many scores of padding a block may have more than others of its size.
        """
        blocks, asking, asked = [], _Parts(), _Parts()
        for some, num_more in _portions([span for span in spans if span.first < span.last], padding // heads):
            queries, keys = _padded(some)
            shape = ((len(some) + num_more) * heads, queries, keys)
            table = np.array(some + some[:1] * num_more, dtype=np.int64)
            seen = asked.add(table[:, 2:], len(some), keys, heads)
            mask = _mask(table, queries, keys, heads, causal=causal)
            blocks.append(_Block(asking.add(table[:, :2], len(some), queries, heads), seen, shape, mask))
        rows = (
            _Rows.of(part.tokens, part.is_real, num, heads)
            for part, num in ((asking, num_queries), (asked, num_tokens))
        )
        return cls(blocks, *rows)


def _numbers(block: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of the heads, in the shape of (documents, A, length)."""
    return np.broadcast_to(np.arange(block.shape[1])[:, None], block.shape)


class _Parts:
    """Tokens of blocks, as they are added."""

    def __init__(self) -> None:
        self.tokens: list[NDArray[np.int64]] = []
        self.is_real: list[NDArray[np.bool_]] = []
        self.count = 0

    def add(self, borders: NDArray[np.int64], num_real: int, length: int, heads: int) -> slice:
        """Documents with these `borders`, each padded to `length`, the first of them real; the rows that they take."""
        starts, ends = borders[:, :1], borders[:, 1:]
        tokens = starts + np.arange(length)
        is_inside = tokens < ends
        self.tokens.append(np.where(is_inside, tokens, starts))
        is_inside[num_real:] = False
        self.is_real.append(is_inside)
        before, self.count = self.count, self.count + heads * tokens.size
        return slice(before, self.count)


def _padded(spans: Sequence[Span]) -> tuple[int, int]:
    """To how many queries and keys documents of a block are padded."""
    most = max(span.last - span.first for span in spans), max(span.length for span in spans)
    queries, keys = (-(-length // _MULTIPLE) * _MULTIPLE for length in most)
    return queries, keys


def _portions(spans: list[Span], padding: int) -> Iterator[tuple[list[Span], int]]:
    """Documents of a block, and how many more it has that aren't real; from the longest documents to the shortest.

    Half of a block is left to the next one where it would be padded by more than `padding` scores of a head. The last
    documents get others beside them if these have no more.
    """
    rest = sorted(spans, key=lambda span: (-span.length, span.first - span.last))
    while rest:
        size = 2 ** (min(len(rest), _MOST_DOCUMENTS) - 1).bit_length()
        if (size - len(rest)) * math.prod(_padded(rest[:size])) > padding:
            size //= 2
        while size > 1:
            own, half = (math.prod(_padded(some)) for some in (rest[:size], rest[size // 2 : size]))
            if size // 2 * (own - half) <= padding:
                break
            size //= 2
        yield rest[:size], max(0, size - len(rest))
        rest = rest[size:]


def _mask(table: NDArray[np.int64], queries: int, keys: int, heads: int, *, causal: bool) -> Tensor | None:
    start, end = table[:, 2], table[:, 3]
    places = np.arange(keys)
    is_hidden = places >= (end - start)[:, None, None]
    if causal:  # queries are all of a document's tokens then
        is_hidden = is_hidden | (places > np.arange(queries)[:, None])
    elif not is_hidden.any():
        return None
    mask = np.where(is_hidden, np.float32(-math.inf), np.float32(0))
    return torch.from_numpy(np.repeat(mask, heads, axis=0))


@contextmanager
def _by_onednn(*, is_wanted: bool) -> Iterator[None]:
    """Let float32 products of what came from bfloat16 run where those of bfloat16 do: exact, and 2.4 times as fast.

    oneDNN may round the factors to bfloat16, which they are already; sums are float32. MKL, which torch takes else, has
    no AVX-512 on a processor of AMD. The setting is the whole process's, and as it was after each product, also where
    several threads train: one at a time has it, so that none takes another's for what was there before. While a product
    runs, float32 products of other threads may be rounded; bmtool computes in no other thread while it trains.
    """
    if not is_wanted:
        yield
        return
    settings: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    with _SETTING:
        before = settings.fp32_precision
        try:
            settings.fp32_precision = "bf16"
            yield
        finally:
            settings.fp32_precision = before


def attend(query: Tensor, keys: Tensor, layout: Layout, width: int, scale: float) -> tuple[Tensor, list[Tensor]]:
    """From queries, the first W columns of (R, .), keys and values, the last 2 W of (T, .), what each gets, (R, W).

    Queries of documents that aren't in the layout get zeros. Scores and softmax are float32, also in bfloat16. The
    second part is what `attend_backward` needs.
    """
    first = keys.shape[1] // width - 2
    q = layout.queries.gather(query, 0, width)
    k, v = (layout.keys.gather(keys, first + part, width) for part in (0, 1))
    high_q, high_k = q.float(), k.float()
    out = _with_zeros(len(q), q)
    kept = [q, k, v]
    for block in layout.blocks:
        count, num_queries, num_keys = block.shape
        one, other = _block(high_q, block.queries, count), _block(high_k, block.keys, count)
        mask = one.new_empty(1, 1, 1) if block.mask is None else block.mask
        mask, beta = mask.expand(count, num_queries, num_keys), int(block.mask is not None)
        with _by_onednn(is_wanted=q.dtype == torch.bfloat16):
            scores = torch.baddbmm(mask, one, other.transpose(1, 2), beta=beta, alpha=scale)
        kept.append(torch.softmax(scores, -1, out=scores).to(q.dtype))
        torch.bmm(kept[-1], _block(v, block.keys, count), out=_block(out, block.queries, count))
    return out.index_select(0, layout.queries.places).view(len(query), width), kept


def attend_backward(grad: Tensor, kept: list[Tensor], layout: Layout, scale: float, *, joined: bool) -> list[Tensor]:
    """From `grad` (R, W) gradients of queries (R, W) and of keys and values (T, 2 W); or, `joined`, of all (T, 3 W).

    They are zeros for documents that aren't in the layout.
    """
    q, k, v, *probabilities = kept
    of_out = layout.queries.gather(grad, 0, grad.shape[1]).index_fill_(0, layout.queries.padding, 0)
    high_out, high_v = of_out.float(), v.float()
    room = q.new_empty(len(q) + 2 * len(k) + 3, q.shape[1])
    of_q, of_k, of_v = parts = torch.split(room, [len(q) + 1, len(k) + 1, len(k) + 1])
    for part in parts:
        part[-1].zero_()
    for block, known in zip(layout.blocks, probabilities, strict=True):
        count = block.shape[0]
        q_, o_, high_o, into_q = (_block(part, block.queries, count) for part in (q, of_out, high_out, of_q))
        k_, high_v_, into_k, into_v = (_block(part, block.keys, count) for part in (k, high_v, of_k, of_v))
        torch.bmm(known.transpose(1, 2), o_, out=into_v)
        with _by_onednn(is_wanted=q.dtype == torch.bfloat16):
            of_scores = torch.bmm(high_o, high_v_.transpose(1, 2))
        of_scores = _softmax_backward(of_scores, known.float(), -1, torch.float32).to(q.dtype)
        torch.baddbmm(into_q, of_scores, k_, beta=0, alpha=scale, out=into_q)
        torch.baddbmm(into_k, of_scores.transpose(1, 2), q_, beta=0, alpha=scale, out=into_k)
    of_keys = [layout.keys.places + len(of_q), layout.keys.places + len(of_q) + len(of_k)]
    wanted = [[layout.queries.places, *of_keys]] if joined else [[layout.queries.places], of_keys]
    return [_side_by_side(room, places, grad.shape[1]) for places in wanted]


def _side_by_side(room: Tensor, places: list[Tensor], width: int) -> Tensor:
    """Rows (T x A,) of each of P parts to (T, P x W)."""
    num_heads = width // room.shape[1]
    index = torch.stack([part.view(-1, num_heads) for part in places], dim=1)
    return room.index_select(0, index.view(-1)).view(len(index), len(places) * width)


def _with_zeros(num: int, like: Tensor) -> Tensor:
    """Room for gathered rows, and a last one of zeros."""
    room = like.new_empty(num + 1, like.shape[1])
    room[-1].zero_()
    return room


def _block(rows: Tensor, part: slice, count: int) -> Tensor:
    """(N, D) to a block's (B, ., D)."""
    return rows[part].view(count, -1, rows.shape[1])

"""Attention of BERT's layers on packed batches, from the tokens' states on: one product makes queries, keys and values.

The checkpoint keeps three matrices a layer, and so does the model; they are put together for each product, which costs
little beside it. Forward and backward are written by hand, so that a document's small products read and write parts of
one matrix where they lie. A step of BERT 4x256, with documents of up to 128 tokens, took 5 to 6 % less CPU time with
AVX2; half of that is the last layer's, in which only tokens that are asked for look at others.

Shape letters: A heads, D width of a head, L length of a document, T tokens, W = A x D.
"""

from __future__ import annotations

import itertools
import math
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from bmtool.models.attention import packed_attention, packed_attention_backward

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

#: Longer documents go to ATen's flash kernel, which keeps no matrix of probabilities (A x L x L). Measured, ms of one
#: core for 2,750 tokens of 4 heads of 64, forward and backward, small products against that kernel, float32 with AVX2:
#: documents of 20 to 128 tokens 16.7 and 19.6, 300 35.5 and 36.8; with AVX-512 11.8 and 14.2, 300 27.8 and 25.1.
SHORT_TOKENS = 256

# The only name of softmax's gradient alone.
_softmax_backward = torch.ops.aten._softmax_backward_data.default  # noqa: SLF001

#: transformers' classes with the projections `query`, `key` and `value`, whose forward is the same but for its name.
_CLASSES = ("BertSelfAttention", "RobertaSelfAttention", "XLMRobertaSelfAttention", "ElectraSelfAttention")


@contextmanager
def joined_projections(model: nn.Module) -> Iterator[None]:
    """Let attention in the model's layers of known classes run through `self_attention` for the time being."""
    with ExitStack() as stack:
        for module in model.modules():
            if type(module).__name__ in _CLASSES:
                original = module.forward
                module.forward = partial(_forward, module, original)
                stack.callback(module.__dict__.pop, "forward")
        yield


def _forward(module: Any, original: Any, hidden_states: Tensor, attention_mask: Any = None, **others: Any) -> Any:
    """What the class does, if it is packed attention on a CPU; all else is the class's own, and its errors, too.

    So is a projection that is more than a matrix, such as one with an adapter beside it.

    In the last layer the keyword `asked_rows` may name the only tokens whose attention counts: others get zeros.
    """
    borders, causal, rows = (others.get(name) for name in ("cu_seq_lens_q", "is_causal", "asked_rows"))
    is_plain = attention_mask is None and others.get("past_key_values") is None and borders is not None
    if not is_plain or hidden_states.is_cuda or (module.training and module.dropout.p):
        return original(hidden_states, attention_mask, **others)
    projections = (module.query, module.key, module.value)
    if any(type(layer) is not torch.nn.Linear for layer in projections):
        return original(hidden_states, attention_mask, **others)
    parameters = [p for layer in projections for p in (layer.weight, layer.bias)]
    if module.layer_idx != module.config.num_hidden_layers - 1:
        rows = None
    how = _How(module.num_attention_heads, bool(module.is_causal if causal is None else causal), float(module.scaling))
    rows = None if rows is None or how.causal else rows.unique()
    out = _SelfAttention.apply(hidden_states.squeeze(0), *parameters, borders, rows, how)  # type: ignore[no-untyped-call]
    return out.unsqueeze(0), None


class _How(NamedTuple):
    heads: int
    causal: bool
    scale: float


class _Span(NamedTuple):
    """A short document, or a run of long ones."""

    first: int
    """Its first query"""
    last: int
    """Behind its last query"""
    start: int
    """Its first token"""
    end: int
    """Behind its last token"""
    is_short: bool


class _SelfAttention(torch.autograd.Function):
    """States (T, W), the three matrices and biases, borders, and rows or None, to what attention gives, (T, W)."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, *others: Any) -> Tensor:
        *parameters, borders, rows, ctx.how = others
        weight, bias = torch.cat(parameters[::2]), torch.cat(parameters[1::2])
        width = len(weight) // 3
        if rows is None:
            joined = torch.addmm(bias, states, weight.t())
            query, keys = joined[:, :width], joined[:, width:]
        else:
            query = torch.addmm(bias[:width], states[rows], weight[:width].t())
            keys = torch.addmm(bias[width:], states, weight[width:].t())
        ctx.spans = _spans(borders, rows)
        out, kept = _attend(query, keys, borders, ctx.spans, ctx.how)
        ctx.save_for_backward(states, weight, query, keys, out, borders, rows, *kept)
        return out if rows is None else torch.zeros_like(states).index_copy_(0, rows, out)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        states, weight, query, keys, out, borders, rows, *kept = ctx.saved_tensors
        width = len(weight) // 3
        if rows is None:
            joined = query.new_empty(len(states), 3 * width, dtype=torch.float32)
            grad, into = grads[0], (joined[:, :width], joined[:, width:])
        else:
            of_query, of_keys = (torch.zeros_like(one, dtype=torch.float32) for one in (query, keys))
            grad, into = grads[0][rows], (of_query, of_keys)
        _attend_backward(into, grad, query, keys, out, borders, ctx.spans, kept, ctx.how)
        if rows is None:
            joined = joined.to(states.dtype)
            of_states = joined @ weight
            of_weights, of_biases = (joined.t() @ states).split(width), joined.sum(0).split(width)
        else:
            of_query, of_keys = (one.to(states.dtype) for one in into)
            of_states = (of_keys @ weight[width:]).index_add_(0, rows, of_query @ weight[:width])
            of_weights = (of_query.t() @ states[rows], *(of_keys.t() @ states).split(width))
            of_biases = (of_query.sum(0), *of_keys.sum(0).split(width))
        pairs = itertools.chain.from_iterable(zip(of_weights, of_biases, strict=True))
        return (of_states, *pairs, None, None, None)


def _spans(borders: Tensor, rows: Tensor | None) -> list[_Span]:
    """Of all tokens, or of ascending rows; with rows each document counts as short: it has few queries."""
    tokens = list(itertools.pairwise(borders.tolist()))
    if rows is not None:
        queries = itertools.pairwise(torch.searchsorted(rows, borders.to(rows.dtype)).tolist())
        return [_Span(*asked, *own, is_short=True) for asked, own in zip(queries, tokens, strict=True)]
    documents = [(start, end) for start, end in tokens if start < end]
    spans = []
    for is_short, group in itertools.groupby(documents, lambda pair: pair[1] - pair[0] <= SHORT_TOKENS):
        members = list(group)
        runs = members if is_short else [(members[0][0], members[-1][1])]
        spans += [_Span(*run, *run, is_short=is_short) for run in runs]
    return spans


def _inside(borders: Tensor, span: _Span) -> Tensor:
    """Borders of a span's documents, counted from its first token."""
    return borders[(borders >= span.start) & (borders <= span.end)] - span.start


def _heads(query: Tensor, keys: Tensor, span: _Span, heads: int) -> list[Tensor]:
    """A span's queries of (., W), and keys and values of (T, 2 W), each (A, ., D), as views."""
    width = query.shape[1]
    parts = (query[span.first : span.last], keys[span.start : span.end, :width], keys[span.start : span.end, width:])
    return [_by_heads(part, heads).transpose(0, 1) for part in parts]


def _by_heads(part: Tensor, heads: int) -> Tensor:
    """(., W) to (., A, D)."""
    return part.view(len(part), heads, part.shape[1] // heads)


def _attend(query: Tensor, keys: Tensor, borders: Tensor, spans: list[_Span], how: _How) -> tuple[Tensor, list[Tensor]]:
    """What attention gives for each query, (., W), and of each span probabilities (A, ., L) or log-sum-exps (L, A).

    Short documents are computed in float32, also where the model runs in bfloat16.
    """
    out = query.new_empty(query.shape, dtype=torch.float32)
    kept = []
    for span in spans:
        into = _by_heads(out[span.first : span.last], how.heads)
        if span.is_short:
            q, k, v = (part.float() for part in _heads(query, keys, span, how.heads))
            scores = torch.baddbmm(_mask(q, k, how.causal), q, k.transpose(1, 2), beta=int(how.causal), alpha=how.scale)
            kept.append(torch.softmax(scores, -1, out=scores))
            torch.bmm(scores, v, out=into.transpose(0, 1))
        else:
            tensors = (tensor[None] for tensor in _heads(query, keys, span, how.heads))
            result, log_sum = packed_attention(*tensors, _inside(borders, span), how.causal, None, how.scale)
            into.copy_(result[0])
            kept.append(log_sum)
    return out.to(query.dtype), kept


def _mask(query: Tensor, key: Tensor, causal: bool) -> Tensor:
    """(1, L, L): minus infinity where a token would see what is behind it."""
    if not causal:
        return query.new_zeros(1, 1, 1)
    return query.new_full((1, query.shape[1], key.shape[1]), -math.inf).triu_(1)


def _attend_backward(
    into: tuple[Tensor, Tensor],
    grad: Tensor,
    query: Tensor,
    keys: Tensor,
    out: Tensor,
    borders: Tensor,
    spans: list[_Span],
    kept: list[Tensor],
    how: _How,
) -> None:
    """Write gradients of `query` and `keys` in float32 where `into` has room for them."""
    for span, known in zip(spans, kept, strict=True):
        of_q, of_k, of_v = _heads(*into, span, how.heads)
        if span.is_short:
            q, k, v = (part.float() for part in _heads(query, keys, span, how.heads))
            of_out = _by_heads(grad[span.first : span.last].float(), how.heads).transpose(0, 1)
            torch.bmm(known.transpose(1, 2), of_out, out=of_v)
            of_scores = torch.bmm(of_out, v.transpose(1, 2))
            of_scores = _softmax_backward(of_scores, known, -1, torch.float32).mul_(how.scale)
            torch.bmm(of_scores, k, out=of_q)
            torch.bmm(of_scores.transpose(1, 2), q, out=of_k)
        else:
            tensors = (tensor[None] for tensor in _heads(query, keys, span, how.heads))
            of_out, result = (_by_heads(one[span.first : span.last], how.heads)[None] for one in (grad, out))
            parts = packed_attention_backward(
                of_out, *tensors, result, known, _inside(borders, span), how.causal, None, how.scale
            )
            for place, part in zip((of_q, of_k, of_v), parts, strict=True):
                place.copy_(part[0])

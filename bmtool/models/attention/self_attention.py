"""Attention of BERT's layers on packed batches, from the tokens' states on: one product makes queries, keys and values.

The checkpoint keeps three matrices a layer, and so does the model; they are put together for each product, which costs
little beside it. Forward and backward are written by hand, so that documents are gathered from one matrix, and their
gradients go back to one (`bmtool.models.attention.short_documents`). In the last layer only tokens that are asked for
look at others. A step of BERT 4x256, with documents of up to 128 tokens, took 5 to 6 % less CPU time with AVX2; half of
that is the last layer's.

Shape letters: A heads, D width of a head, L length of a document, T tokens, W = A x D.
"""

from __future__ import annotations

import itertools
from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from bmtool.models.attention.documents import packed_attention, packed_attention_backward
from bmtool.models.attention.short_documents import PADDING_SCORES, Layout, Span
from bmtool.models.attention.short_documents import attend as attend_short
from bmtool.models.attention.short_documents import attend_backward as attend_short_backward
from bmtool.models.kernels.compiled import interpreted
from bmtool.models.kernels.products import product, weight_gradient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor, nn

#: Longer documents go to ATen's flash kernel, which keeps no matrix of probabilities (A x L x L). Measured on two Zen 5
#: cores, BERT 4x256 with natural lengths up to 512 (tokens a second of CPU, medians of three in turns): bfloat16 7,038
#: with documents of up to 256 tokens, 8,227 with 512 and 8,294 with 1,024; float32 with AVX2 3,663, 3,712 and 3,759.
#: Probabilities of 512 tokens take about as much memory as all else that such a model keeps for a layer.
SHORT_TOKENS = 512

#: transformers' classes with the projections `query`, `key` and `value`, whose forward is the same but for its name.
_CLASSES = ("BertSelfAttention", "RobertaSelfAttention", "XLMRobertaSelfAttention", "ElectraSelfAttention")


@contextmanager
def joined_projections(model: nn.Module) -> Iterator[None]:
    """Let attention in the model's layers of known classes run through `self_attention` for the time being.

    In layers that torch compiles it stays the class's own.
    """
    with ExitStack() as stack:
        for module in interpreted(model):
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
    projections = _projections(module)
    if not projections:
        return original(hidden_states, attention_mask, **others)
    parameters = [p for layer in projections for p in (layer.weight, layer.bias)]
    if module.layer_idx != module.config.num_hidden_layers - 1:
        rows = None
    is_causal = bool(module.is_causal if causal is None else causal)
    padding = PADDING_SCORES if hidden_states.dtype == torch.bfloat16 else 0
    how = _How(module.num_attention_heads, is_causal, float(module.scaling), padding)
    rows = None if rows is None or how.causal else rows.unique()
    out = _SelfAttention.apply(hidden_states.squeeze(0), *parameters, borders, rows, how)  # type: ignore[no-untyped-call]
    return out.unsqueeze(0), None


def _projections(module: Any) -> tuple[nn.Linear, ...]:
    """Those of queries, keys and values; none if one of them is more than a matrix."""
    found = (module.query, module.key, module.value)
    return found if all(type(layer) is torch.nn.Linear for layer in found) else ()


def kept_probabilities(model: nn.Module, lengths: NDArray[np.integer]) -> float:
    """How many a token of documents with these lengths leaves in a layer for the way back, in the mean, on a CPU."""
    joined = [one for one in model.modules() if type(one).__name__ in _CLASSES and _projections(one)]
    counts = np.bincount(lengths)
    num_tokens = int(counts @ np.arange(len(counts)))
    if not joined or not num_tokens:
        return 0.0
    short = counts[: SHORT_TOKENS + 1]
    heads: int = joined[0].num_attention_heads  # type: ignore[assignment]
    return heads * float(short @ np.arange(len(short)) ** 2) / num_tokens


class _How(NamedTuple):
    heads: int
    causal: bool
    scale: float
    padding: int


class _SelfAttention(torch.autograd.Function):
    """States (T, W), the three matrices and biases, borders, and rows or None, to what attention gives, (T, W)."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, *others: Any) -> Tensor:
        *parameters, borders, rows, ctx.how = others
        weight, bias = torch.cat(parameters[::2]), torch.cat(parameters[1::2])
        width = len(weight) // 3
        if rows is None:
            query = keys = product(states, weight, bias)
        else:
            query = product(states[rows], weight[:width], bias[:width])
            keys = product(states, weight[width:], bias[width:])
        ctx.layout, ctx.runs = _parts(borders, rows, ctx.how)
        out, kept = attend_short(query, keys, ctx.layout, width, ctx.how.scale)
        kept_of_runs = [_attend(out, query, borders, run, ctx.how) for run in ctx.runs]
        query_of_runs = query if ctx.runs else None
        ctx.num_runs = len(ctx.runs)
        ctx.save_for_backward(states, weight, out, borders, rows, query_of_runs, *kept_of_runs, *kept)
        return out if rows is None else torch.zeros_like(states).index_copy_(0, rows, out)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        states, weight, out, borders, rows, joined, *kept = ctx.saved_tensors
        width = len(weight) // 3
        grad = grads[0].contiguous() if rows is None else grads[0][rows]
        short: list[Any] = attend_short_backward(
            grad, kept[ctx.num_runs :], ctx.layout, ctx.how.scale, joined=rows is None
        )
        if rows is None:
            (of_joined,) = short
            for run, log_sum in zip(ctx.runs, kept, strict=False):
                _attend_backward(of_joined, grad, joined, out, borders, run, log_sum, ctx.how)
            of_states = product(of_joined, weight.t())
            of_weights = torch.split(weight_gradient(of_joined, states), width)
            of_biases = of_joined.sum(0).split(width)
        else:
            of_query, of_keys = short
            of_asking = product(of_query, weight[:width].t())
            of_states = product(of_keys, weight[width:].t()).index_add_(0, rows, of_asking)
            of_weights = (
                weight_gradient(of_query, states[rows]),
                *torch.split(weight_gradient(of_keys, states), width),
            )
            of_biases = (of_query.sum(0), *of_keys.sum(0).split(width))
        pairs = itertools.chain.from_iterable(zip(of_weights, of_biases, strict=True))
        return (of_states, *pairs, None, None, None)


def _parts(borders: Tensor, rows: Tensor | None, how: _How) -> tuple[Layout, list[slice]]:
    """Short documents, and runs of neighbouring long ones; with ascending rows each counts as short: it asks little."""
    tokens = tuple(borders.tolist())
    asked = None if rows is None else tuple(torch.searchsorted(rows, borders.to(rows.dtype)).tolist())
    return _parts_at(tokens, asked, how.heads, how.causal, how.padding)


@lru_cache(maxsize=2)  # all layers but the last have the same
def _parts_at(
    tokens: tuple[int, ...], asked: tuple[int, ...] | None, heads: int, causal: bool, padding: int
) -> tuple[Layout, list[slice]]:
    pairs = itertools.pairwise(tokens if asked is None else asked)
    documents = [Span(*queries, *own) for queries, own in zip(pairs, itertools.pairwise(tokens), strict=True)]
    short: list[Span] = []
    runs = []
    for is_short, group in itertools.groupby(documents, lambda one: asked is not None or one.length <= SHORT_TOKENS):
        members = list(group)
        if is_short:
            short += members
        else:
            runs.append(slice(members[0].start, members[-1].end))
    num_queries = (asked or tokens)[-1]
    return Layout.of(short, num_queries, tokens[-1], heads, causal=causal, padding=padding), runs


def _inside(borders: Tensor, run: slice) -> Tensor:
    """Borders of a run's documents, counted from its first token."""
    inside: Tensor = borders[(borders >= run.start) & (borders <= run.stop)] - run.start
    return inside


def _heads(matrix: Tensor, run: slice, heads: int, parts: int) -> Iterator[Tensor]:
    """A run's rows of (T, `parts` x W) as views of each part, (1, A, ., D)."""
    rows = matrix[run]
    for part in rows.view(len(rows), parts, heads, -1).unbind(1):
        yield part.transpose(0, 1)[None]


def _attend(into: Tensor, joined: Tensor, borders: Tensor, run: slice, how: _How) -> Tensor:
    """Write what a run's queries get where `into` (T, W) has room for it; its log-sum-exps (., A)."""
    log_sum: Tensor
    result, log_sum = packed_attention(
        *_heads(joined, run, how.heads, 3), _inside(borders, run), how.causal, None, how.scale
    )
    into[run].copy_(result[0].flatten(1))
    return log_sum


def _attend_backward(
    into: Tensor, grad: Tensor, joined: Tensor, out: Tensor, borders: Tensor, run: slice, log_sum: Tensor, how: _How
) -> None:
    """Write gradients of a run's queries, keys and values where `into` (T, 3 W) has room for them."""
    of_out, result = (next(_heads(one, run, how.heads, 1)).transpose(1, 2) for one in (grad, out))
    parts = packed_attention_backward(
        of_out,
        *_heads(joined, run, how.heads, 3),
        result,
        log_sum,
        _inside(borders, run),
        how.causal,
        None,
        how.scale,
    )
    for place, part in zip(_heads(into, run, how.heads, 3), parts, strict=True):
        place.copy_(part)

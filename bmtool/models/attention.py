"""Attention for packed batches: each document sees itself alone, without a mask and without padding.

Shape letters: A heads, D width of a head, L length of a document, N documents, T tokens of the batch.
The attention implementation is called `bmtool_packed`. It is registered with transformers' AttentionInterface and, on
purpose, not with AttentionMaskInterface: then transformers builds no T x T mask. Where documents start comes as
`cu_seq_lens_q`, the keyword that transformers' own flash-attention implementations use.

CPU: runs of equal-length documents are strided views, copied nowhere, that go to ATen's flash kernel as one batch.
CUDA: `torch.nn.attention.varlen`, written from its documentation; not run on a GPU yet.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn

from bmtool.errors import ConfigError

ATTENTION = "bmtool_packed"

#: Shorter documents are computed in float32 when the model runs in bfloat16: there ATen's bfloat16 backward takes two
#: to four times longer than its float32 one.
SHORT_TOKENS = 384

#: Arguments of other attention functions that would change the result; none of them is implemented here.
_UNSUPPORTED = ("softcap", "s_aux", "position_bias", "head_mask")

# Called by their private names: the public function hides the log-sum-exp, and its backward can't be called alone.
_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default  # noqa: SLF001
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward.default  # noqa: SLF001


def _runs(cu_seq_lens: Tensor) -> list[tuple[int, int, int]]:
    """(start, documents, length) of each run of neighbours with equal length."""
    runs: list[tuple[int, int, int]] = []
    borders = cu_seq_lens.tolist()
    for start, end in itertools.pairwise(borders):
        length = end - start
        if runs and runs[-1][2] == length:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1, length)
        elif length:
            runs.append((start, 1, length))
    return runs


def _documents(packed: Tensor, run: tuple[int, int, int]) -> Tensor:
    """The documents of a run as a view: (1, A, T, D) to (N, A, L, D)."""
    start, count, length = run
    rows = packed[0, :, start : start + count * length]
    return rows.view(rows.shape[0], count, length, rows.shape[2]).transpose(0, 1)


def _upcast(tensors: list[Tensor], runs: list[tuple[int, int, int]]) -> list[Tensor]:
    """The whole pack in float32, if it is in bfloat16 and holds a short document."""
    if tensors[0].dtype == torch.bfloat16 and any(run[2] < SHORT_TOKENS for run in runs):
        return [tensor.float() for tensor in tensors]
    return tensors


@torch.library.custom_op("bmtool::packed_attention", mutates_args=())
def packed_attention(
    query: Tensor, key: Tensor, value: Tensor, cu_seq_lens: Tensor, causal: bool, scale: float
) -> tuple[Tensor, Tensor]:
    """Attend inside documents: (1, A, T, D) to (1, T, A, D), and the log-sum-exp for the backward, (T, A)."""
    _, heads, tokens, width = query.shape
    out = query.new_empty(1, tokens, heads, width)
    log_sum = query.new_empty(tokens, heads, dtype=torch.float32)
    runs = _runs(cu_seq_lens)
    low = [query, key, value]
    high = _upcast(low, runs)
    for run in runs:
        start, count, length = run
        documents = [_documents(t, run) for t in (high if length < SHORT_TOKENS else low)]
        result, sums = _flash(*documents, 0.0, causal, attn_mask=None, scale=scale)
        _documents(out.transpose(1, 2), run).copy_(result)
        rows = log_sum[start : start + count * length].view(count, length, heads)
        rows.copy_(sums.view(count, heads, length).transpose(1, 2))
    return out, log_sum


@packed_attention.register_fake
def _(
    query: Tensor, key: Tensor, value: Tensor, cu_seq_lens: Tensor, causal: bool, scale: float
) -> tuple[Tensor, Tensor]:
    del key, value, cu_seq_lens, causal, scale
    _, heads, tokens, width = query.shape
    return query.new_empty(1, tokens, heads, width), query.new_empty(tokens, heads, dtype=torch.float32)


@torch.library.custom_op("bmtool::packed_attention_backward", mutates_args=())
def packed_attention_backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    log_sum: Tensor,
    cu_seq_lens: Tensor,
    causal: bool,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of query, key and value, each (1, A, T, D)."""
    _, heads, tokens, width = query.shape
    grads = [query.new_empty(1, tokens, heads, width).transpose(1, 2) for _ in range(3)]
    runs = _runs(cu_seq_lens)
    low = [grad.transpose(1, 2), query, key, value, out.transpose(1, 2)]
    high = _upcast(low, runs)
    for run in runs:
        start, count, length = run
        documents = [_documents(t, run) for t in (high if length < SHORT_TOKENS else low)]
        sums = log_sum[start : start + count * length].view(count, length, heads).transpose(1, 2).contiguous()
        results = _flash_backward(*documents, sums, 0.0, causal, attn_mask=None, scale=scale)
        for into, result in zip(grads, results, strict=True):
            _documents(into, run).copy_(result)
    return grads[0], grads[1], grads[2]


@packed_attention_backward.register_fake
def _(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    log_sum: Tensor,
    cu_seq_lens: Tensor,
    causal: bool,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    del grad, key, value, out, log_sum, cu_seq_lens, causal, scale
    _, heads, tokens, width = query.shape
    like = query.new_empty(1, tokens, heads, width).transpose(1, 2)
    return like, torch.empty_like(like), torch.empty_like(like)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    query, key, value, cu_seq_lens, ctx.causal, ctx.scale = inputs
    ctx.save_for_backward(query, key, value, *output, cu_seq_lens)


def _backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    grads = packed_attention_backward(grad.contiguous(), *ctx.saved_tensors, ctx.causal, ctx.scale)
    return (*grads, None, None, None)


packed_attention.register_autograd(_backward, setup_context=_save)


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    cu_seq_lens_q: Tensor | None = None,
    max_length_q: int = 0,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """What transformers calls in each layer: (1, A, T, D) to (1, T, A, D). Nothing that it can't honour is ignored.

    Raises:
        ConfigError: a mask, attention dropout, a window shorter than a document, or another unknown feature.
    """
    name = type(module).__name__
    if attention_mask is not None or cu_seq_lens_q is None:
        raise ConfigError(f"{name}: packed attention takes document borders (cu_seq_lens_q) and no attention mask")
    if dropout:
        raise ConfigError(f"{name}: packed attention has no dropout of attention probabilities; set it to 0")
    if sliding_window is not None and sliding_window < max_length_q:
        raise ConfigError(
            f"{name}: a document of {max_length_q} tokens is longer than the model's sliding window "
            f"({sliding_window}); lower max_seq_length"
        )
    for feature in _UNSUPPORTED:
        if others.get(feature) is not None:
            raise ConfigError(f"{name}: packed attention doesn't implement '{feature}'")
    causal = bool(getattr(module, "is_causal", False) if is_causal is None else is_causal)
    scale = float(query.shape[-1] ** -0.5 if scaling is None else scaling)
    if key.shape[1] != query.shape[1]:
        repeats = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
    if query.is_cuda:
        return _attend_cuda(query, key, value, cu_seq_lens_q, max_length_q, causal=causal, scale=scale), None
    out, _ = packed_attention(query, key, value, cu_seq_lens_q, causal, scale)
    return out, None


def _attend_cuda(
    query: Tensor, key: Tensor, value: Tensor, cu_seq_lens: Tensor, max_length: int, *, causal: bool, scale: float
) -> Tensor:
    """The same on CUDA by torch's own variable-length kernel; not run on a GPU yet."""
    from torch.nn.attention.varlen import varlen_attn

    q, k, v = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    window = (-1, 0 if causal else -1)
    out = varlen_attn(q, k, v, cu_seq_lens, cu_seq_lens, max_length, max_length, scale=scale, window_size=window)
    if not isinstance(out, Tensor):
        raise TypeError(f"varlen_attn returned {type(out).__name__}, not a tensor")
    return out.unsqueeze(0)


def register() -> None:
    """Make `attn_implementation="bmtool_packed"` known to transformers; calling it again changes nothing."""
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, attend)

"""Attention for packed batches: each document sees itself alone, without a T x T mask and without padding.

Shape letters: A heads, D width of a head, K heads of keys and values (A, or fewer that are shared), T tokens of the
batch. The attention implementation is called `bmtool_packed`. It is registered with transformers' AttentionInterface
and, on purpose, not with AttentionMaskInterface: then transformers builds no T x T mask. Where documents start comes as
`cu_seq_lens_q`, the keyword that transformers' own flash-attention implementations use.

CPU: blocks of equal shape (`bmtool.models.attention.windows`) are strided views, copied nowhere, that go to ATen's
flash kernel as one batch. CUDA: `torch.nn.attention.varlen` in half precision, and the same blocks in float32, which it
doesn't take; both are written from the documentation, and not run on a GPU yet.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bmtool.errors import ConfigError
from bmtool.models.attention.cross_attention import attend_across
from bmtool.models.attention.windows import MIN_QUERIES, Block, document_blocks, window_mask

ATTENTION = "bmtool_packed"

#: Blocks with fewer queries are computed in float32 when the model runs in bfloat16, where ATen's backward is slower
#: for them. Measured, ms of one Zen 4 core for 4,096 tokens of 4 heads of 64, forward and backward, float32 with its
#: casts against bfloat16: documents of 128 tokens 19 and 42, 200 27 and 36, 300 38 and 38, 384 43 and 37, 512 58, 45.
SHORT_QUERIES = 384

#: Blocks of a window are shapes that bfloat16 likes, with heads this wide: 12 heads of 64 took 225 and 169, 4 heads of
#: 32 33 and 41.
WIDE_HEAD = 64

#: Arguments of other attention functions that would change the result; none of them is implemented here.
_UNSUPPORTED = ("softcap", "s_aux", "position_bias", "head_mask")

# Called by their private names: the public function hides the log-sum-exp, and its backward can't be called alone.
_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default  # noqa: SLF001
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward.default  # noqa: SLF001


def _is_short(block: Block, width: int) -> bool:
    return block.queries < (MIN_QUERIES if block.is_masked and width >= WIDE_HEAD else SHORT_QUERIES)


def _upcast(tensors: list[Tensor], blocks: list[Block]) -> list[Tensor]:
    """The whole pack in float32, if it is in bfloat16 and holds a short block."""
    width = tensors[0].shape[-1]
    if tensors[0].dtype == torch.bfloat16 and any(_is_short(block, width) for block in blocks):
        return [tensor.float() for tensor in tensors]
    return tensors


def _how(block: Block, heads: int, causal: bool, window: int | None, scale: float) -> dict[str, Any]:
    """The kernel's keyword arguments for a block."""
    if not block.is_masked or window is None:
        return {"is_causal": causal, "attn_mask": None, "scale": scale}
    mask = window_mask(block, causal=causal, window=window)
    # Expanded, though it is the same for all: with a mask of fewer rows torch 2.13's backward is wrong in float32.
    mask = mask.expand(block.count, heads, block.queries, block.keys)
    return {"is_causal": False, "attn_mask": mask, "scale": scale}


def _rows_of(log_sum: Tensor, block: Block) -> Tensor:
    """The block's log-sum-exp as a view: (T, A) to (N, A, Q)."""
    return block.of_queries(log_sum.t()[None, :, :, None])[..., 0]


@torch.library.custom_op("bmtool::packed_attention", mutates_args=())
def packed_attention(
    query: Tensor, key: Tensor, value: Tensor, cu_seq_lens: Tensor, causal: bool, window: int | None, scale: float
) -> tuple[Tensor, Tensor]:
    """Attend inside documents: (1, A, T, D), keys and values (1, K, T, D), to (1, T, A, D).

    Also gives the log-sum-exp that the backward needs, (T, A). `window` is how many tokens further than its neighbour
    a token sees, to the left only where `causal`.
    """
    _, heads, tokens, width = query.shape
    out = query.new_empty(1, tokens, heads, width)
    log_sum = query.new_empty(tokens, heads, dtype=torch.float32)
    blocks = document_blocks(cu_seq_lens, causal=causal, window=window)
    low = [query, key, value]
    high = _upcast(low, blocks)
    for block in blocks:
        q, k, v = high if _is_short(block, width) else low
        how = _how(block, heads, causal, window, scale)
        result, sums = _flash(block.of_queries(q), block.of_keys(k), block.of_keys(v), 0.0, **how)
        block.of_queries(out.transpose(1, 2)).copy_(result)
        _rows_of(log_sum, block).copy_(sums.view(block.count, heads, block.queries))
    return out, log_sum


@packed_attention.register_fake
def _(
    query: Tensor, key: Tensor, value: Tensor, cu_seq_lens: Tensor, causal: bool, window: int | None, scale: float
) -> tuple[Tensor, Tensor]:
    del key, value, cu_seq_lens, causal, window, scale
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
    window: int | None,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of query (1, A, T, D), key and value, both (1, K, T, D)."""
    heads, width = query.shape[1], query.shape[3]
    blocks = document_blocks(cu_seq_lens, causal=causal, window=window)
    grad_query, grad_key, grad_value = _gradients(query, key, value)
    if any(block.is_masked for block in blocks):
        grad_key.zero_(), grad_value.zero_()
    low = [grad.transpose(1, 2), query, key, value, out.transpose(1, 2)]
    high = _upcast(low, blocks)
    for block in blocks:
        g, q, k, v, o = high if _is_short(block, width) else low
        views = (block.of_queries(g), block.of_queries(q), block.of_keys(k), block.of_keys(v), block.of_queries(o))
        how = _how(block, heads, causal, window, scale)
        results = _flash_backward(*views, _rows_of(log_sum, block).contiguous(), 0.0, **how)
        block.of_queries(grad_query).copy_(results[0])
        for into, result in ((grad_key, results[1]), (grad_value, results[2])):
            if block.is_masked:
                block.add_keys(into, result)
            else:
                block.of_keys(into).copy_(result)
    return grad_query, grad_key, grad_value


def _gradients(*tensors: Tensor) -> list[Tensor]:
    """Room for gradients of tensors (1, heads, T, D), laid out as the projections before them want it."""
    shapes = [(tensor.shape[0], tensor.shape[2], tensor.shape[1], tensor.shape[3]) for tensor in tensors]
    return [tensor.new_empty(shape).transpose(1, 2) for tensor, shape in zip(tensors, shapes, strict=True)]


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
    window: int | None,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    del grad, out, log_sum, cu_seq_lens, causal, window, scale
    grad_query, grad_key, grad_value = _gradients(query, key, value)
    return grad_query, grad_key, grad_value


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    query, key, value, cu_seq_lens, ctx.causal, ctx.window, ctx.scale = inputs
    ctx.save_for_backward(query, key, value, *output, cu_seq_lens)


def _backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    grads = packed_attention_backward(grad.contiguous(), *ctx.saved_tensors, ctx.causal, ctx.window, ctx.scale)
    return (*grads, None, None, None, None)


packed_attention.register_autograd(_backward, setup_context=_save)


def _refuse_others(name: str, dropout: float, others: dict[str, Any]) -> None:
    if dropout:
        raise ConfigError(f"{name}: packed attention has no dropout of attention probabilities; set it to 0")
    for feature in _UNSUPPORTED:
        if others.get(feature) is not None:
            raise ConfigError(f"{name}: packed attention doesn't implement '{feature}'")


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
    max_length_q: int | None = None,
    sources: tuple[Tensor, int] | None = None,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """What transformers calls in each layer: (1, A, T, D) to (1, T, A, D). Nothing that it can't honour is ignored.

    `sliding_window` is transformers' own: a token sees others that are nearer than that. `sources` is ours: keys
    are of other texts, with these borders and this longest one (`bmtool.models.attention.cross_attention`).

    Raises:
        ConfigError: a mask, a cache with tokens in it, attention dropout, or an unknown feature.
    """
    name = type(module).__name__
    if attention_mask is not None or cu_seq_lens_q is None or max_length_q is None:
        raise ConfigError(f"{name}: packed attention takes document borders (cu_seq_lens_q) and no attention mask")
    if key.shape[2] != query.shape[2] and sources is None:
        raise ConfigError(f"{name}: packed attention has no cache: {query.shape[2]} queries, {key.shape[2]} keys")
    _refuse_others(name, dropout, others)
    causal = bool(getattr(module, "is_causal", False) if is_causal is None else is_causal)
    scale = float(query.shape[-1] ** -0.5 if scaling is None else scaling)
    if sources is not None:
        borders, longest = (cu_seq_lens_q, sources[0]), (max_length_q, sources[1])
        return _attend_across(query, key, value, borders, longest, scale), None
    window = (
        None if sliding_window is None else sliding_window - 1
    )  # compiled layers mustn't ask how long documents are
    if not query.is_cuda:
        return packed_attention(query, key, value, cu_seq_lens_q, causal, window, scale)[0], None
    if query.dtype == torch.float32:
        return attend_by_blocks(query, key, value, cu_seq_lens_q, causal, window, scale), None
    borders, longest = (cu_seq_lens_q, cu_seq_lens_q), (max_length_q, max_length_q)
    return _attend_cuda(query, key, value, borders, longest, causal=causal, window=window, scale=scale), None


def attend_by_blocks(
    query: Tensor, key: Tensor, value: Tensor, cu_seq_lens: Tensor, causal: bool, window: int | None, scale: float
) -> Tensor:
    """The same as `packed_attention` by torch's public function, block by block, on any device and in any precision."""
    parts = []
    for block in document_blocks(cu_seq_lens, causal=causal, window=window):
        how = _how(block, query.shape[1], causal, window, scale)
        if how["attn_mask"] is not None:
            how["attn_mask"] = how["attn_mask"].to(query.device, query.dtype)
        q, k, v = block.of_queries(query), block.of_keys(key), block.of_keys(value)
        out = F.scaled_dot_product_attention(q, k, v, enable_gqa=q.shape[1] != k.shape[1], **how)
        parts.append(out.transpose(1, 2).flatten(0, 1))  # a block's queries are neighbours, and blocks are in order
    return torch.cat(parts)[None]


def _attend_across(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    borders: tuple[Tensor, Tensor],
    longest: tuple[int, int],
    scale: float,
) -> Tensor:
    """Attend to another text's keys; short queries in float32 where bfloat16 is slow for them, as above."""
    if query.is_cuda and query.dtype != torch.float32:
        return _attend_cuda(query, key, value, borders, longest, causal=False, window=None, scale=scale)
    if query.is_cuda or longest[0] >= SHORT_QUERIES:
        return attend_across(query, key, value, *borders, scale)
    return attend_across(query.float(), key.float(), value.float(), *borders, scale).to(query.dtype)


def _attend_cuda(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    borders: tuple[Tensor, Tensor],
    longest: tuple[int, int],
    *,
    causal: bool,
    window: int | None,
    scale: float,
) -> Tensor:
    """The same on CUDA by torch's own variable-length kernel; not run on a GPU yet."""
    from torch.nn.attention.varlen import varlen_attn

    q, k, v = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    left = -1 if window is None else window
    options: dict[str, Any] = {"scale": scale, "window_size": (left, 0 if causal else left)}
    # torch 2.12 asks for a word before heads may be shared; 2.11 takes them as they come.
    if q.shape[1] != k.shape[1] and "enable_gqa" in inspect.signature(varlen_attn).parameters:
        options["enable_gqa"] = True
    out = varlen_attn(q, k, v, *borders, *longest, **options)
    if not isinstance(out, Tensor):
        raise TypeError(f"varlen_attn returned {type(out).__name__}, not a tensor")
    return out.unsqueeze(0)


def register() -> None:
    """Make `attn_implementation="bmtool_packed"` known to transformers; calling it again changes nothing."""
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, attend)

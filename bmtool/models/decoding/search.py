"""How the text is found that a model writes: by beams, by its likeliest tokens, or by chance.

Shape letters: N texts, V vocabulary.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList
from transformers.generation.logits_process import TemperatureLogitsWarper, TopPLogitsWarper

from bmtool.artifacts.files import write_json
from bmtool.models.attention.documents import ATTENTION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

#: Beginnings of texts that are followed at once: each step holds the logits of all of them, 150 MB in float32 for a
#: vocabulary of 150,000, and keys and values.
MAX_TEXTS = 256


@dataclass(frozen=True)
class Draws:
    """How tokens are drawn."""

    temperature: float
    top_p: float
    seed: int


@dataclass(frozen=True)
class Search:
    """What is looked for."""

    max_new_tokens: int
    num_beams: int
    length_penalty: float
    draws: Draws | None = None
    """None: what is likeliest."""


def search(
    model: Any, inputs: dict[str, Tensor], rows: list[int], how: Search, end: int, *, start_token: int | None = None
) -> Tensor:
    """Token ids with what the model wrote, N rows of what it was given and then of new tokens; padding after the end.

    Whatever else a checkpoint's `generation_config.json` asks for isn't done: what is measured depends on these
    settings alone. Tokens are drawn by `rows` (N,), the texts' numbers, and not by which of them are written together.
    """
    padding = model.config.pad_token_id
    wanted = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=how.max_new_tokens,
        num_beams=how.num_beams,
        length_penalty=how.length_penalty,
        do_sample=False,
        use_cache=True,
        decoder_start_token_id=start_token,
        eos_token_id=end,
        pad_token_id=end if padding is None else padding,
        early_stopping=False,
    )
    own = model.generation_config
    # Else transformers takes from it what isn't said here, such as tokens that are forced or forbidden.
    model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
    try:
        ids: Tensor = model.generate(**inputs, generation_config=wanted, logits_processor=_chance(how.draws, rows))
    finally:
        model.generation_config = own
    return ids


def write_generation_config(folder: Path, how: Search) -> None:
    """Let transformers' own `generate` look for texts as `predict` does, where nothing else is said.

    Of what the checkpoint asked for before, tokens by their roles stay, but none that is forced.
    """
    path = folder / "generation_config.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    roles = [name for name in before if name.endswith("token_id") and not name.startswith("forced")]
    wanted: dict[str, float] = {
        "max_new_tokens": how.max_new_tokens,
        "num_beams": how.num_beams,
        "do_sample": how.draws is not None,
    }
    if how.num_beams > 1:
        wanted |= {"length_penalty": how.length_penalty, "early_stopping": False}
    if how.draws is not None:
        wanted |= {"temperature": how.draws.temperature, "top_p": how.draws.top_p, "top_k": 0}
    write_json(path, {**{name: before[name] for name in roles}, **wanted, "_from_model_config": False})


def _chance(draws: Draws | None, rows: list[int]) -> LogitsProcessorList:
    if draws is None:
        return LogitsProcessorList()
    return LogitsProcessorList(
        [
            TemperatureLogitsWarper(draws.temperature),
            TopPLogitsWarper(draws.top_p),
            _GumbelNoise(draws.seed, rows),
        ]
    )


class _GumbelNoise(LogitsProcessor):
    """Adds what makes the largest logit a draw from the softmax (Gumbel 1954, "Statistical theory of extreme values").

    Each text has a stream of its own.
    """

    def __init__(self, seed: int, rows: list[int]) -> None:
        self.streams = [np.random.Generator(np.random.Philox(key=np.array([seed, row], np.uint64))) for row in rows]

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Logits (N, V) with noise."""
        del input_ids
        noise = np.stack([stream.gumbel(size=scores.shape[1]) for stream in self.streams])
        return scores + torch.from_numpy(noise).to(scores.device, scores.dtype)


def until(tokens: list[int], end: int) -> tuple[list[int], bool]:
    """The tokens before the end, and whether it never came."""
    return (tokens[: tokens.index(end)], False) if end in tokens else (tokens, True)


@contextmanager
def masked_attention(model: Any) -> Iterator[None]:
    """While it writes, a packed model's attention is torch's, which knows masks and keeps keys and values."""
    # Of several models that share layers these hold the configuration of the first one.
    configs: list[Any] = [module.config for module in model.modules() if hasattr(module, "config")]
    packed = {id(one): one for one in configs if getattr(one, "_attn_implementation", None) == ATTENTION}
    for config in packed.values():
        config._attn_implementation = "sdpa"  # noqa: SLF001  transformers gives no public name for it
    try:
        yield
    finally:
        for config in packed.values():
            config._attn_implementation = ATTENTION  # noqa: SLF001  likewise

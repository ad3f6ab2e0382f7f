"""A corpus gets its tokenizer, and its rows their token ids."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bmtool.data.passes.collect import shelf_of
from bmtool.data.passes.decide import Loss
from bmtool.data.passes.encode_pass import encode_units, without_tokens
from bmtool.data.passes.publish import SampledTexts
from bmtool.data.passes.tokenizer import make_tokenizer
from bmtool.data.passes.writing import NO_TOKENS
from bmtool.data.tokenizing.tokenizers import load_tokenizer

if TYPE_CHECKING:
    from bmtool.data.passes.draft import Draft
    from bmtool.stages.prepare import Config


def with_tokens(config: Config, draft: Draft) -> Draft:
    """The draft of a corpus with a tokenizer and token ids; rows without any token are lost."""
    collected, decisions, job = draft.collected, draft.decisions, draft.job
    folder = job.folder / "tokenizer"
    sample = partial(SampledTexts, collected.units, decisions.of_split("train"), "text", seed=job.seed)
    make_tokenizer(job, sample, config.tokenizer_trainer(), config.taken_tokenizer)
    tokens = encode_units(collected, decisions.keep, folder, job, shelf_of(job))
    decisions.lose(Loss(NO_TOKENS, without_tokens(collected.units, tokens, decisions.keep)))
    return replace(draft, tokenizer=load_tokenizer(folder), tokens=tokens)

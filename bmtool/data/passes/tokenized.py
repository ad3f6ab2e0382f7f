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
from bmtool.errors import DataError

if TYPE_CHECKING:
    from bmtool.data.passes.draft import Draft
    from bmtool.stages.prepare import Config


def with_tokens(config: Config, draft: Draft) -> Draft:
    """The draft of a corpus with a tokenizer and token ids; rows without any token are lost.

    Raises:
        DataError: a tokenizer is to be learned from train rows, and there are none.
    """
    collected, decisions, job = draft.collected, draft.decisions, draft.job
    folder = job.folder / "tokenizer"
    is_train, trainer = decisions.of_split("train"), config.tokenizer_trainer()
    if trainer is not None and not is_train.any():
        raise DataError(
            f"none of {int(decisions.keep.sum()):,} rows is in train: the tokenizer has nothing to learn from. "
            "See what 'split' and 'decontaminate' say, or take a tokenizer from elsewhere (tokenizer: {from: ...})"
        )
    sample = partial(SampledTexts, collected.units, is_train, "text", seed=job.seed)
    make_tokenizer(job, sample, trainer, config.taken_tokenizer)
    tokens = encode_units(collected, decisions.keep, folder, job, shelf_of(job))
    decisions.lose(Loss(NO_TOKENS, without_tokens(collected.units, tokens, decisions.keep)))
    return replace(draft, tokenizer=load_tokenizer(folder), tokens=tokens)

"""Prompts with the answers that a decoder is to write behind them, on their way into it: one example holds both.

An example is `prefix prompt answer suffix`. Which tokens are learned is the column `learned` (T,), of all examples one
after the other; `learned_starts` (N,) says where each one's begin. The first `prompt_lengths` (N,) tokens are what the
model is given to write its last answer. Shape letters: N examples, T tokens of all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.contracts import Examples
from bmtool.data.targets import Frame, decoder_of, encoded_prompts, encoded_targets, references_of
from bmtool.data.texts import joined_spans

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from bmtool.data.dataset import Split
    from bmtool.data.targets import Prompt


def prompts_and_answers(
    split: Split,
    tokenizer: Tokenizer,
    prompt: Prompt,
    *,
    end: int | None,
    max_prompt_tokens: int,
    max_answer_tokens: int,
) -> Examples:
    """Encode the prompts and, if the split has it, `target`, whose texts become `references`, lists of one.

    Both are encoded by themselves, so that a prompt's tokens are the same with an answer and without. Of what is too
    long, special tokens included, the end is lost and counted; that an answer ends is learned only where it does. `end`
    is as in `Frame.of_decoder`. `bytes` (N,) are the UTF-8 bytes of what is kept of an answer, by tokens.

    Raises:
        DataError: a target is missing, or the tokenizer can't write texts.
    """
    frame = Frame.of_decoder(tokenizer, end)
    asked = encoded_prompts(split, tokenizer, prompt, Frame(frame.prefix, ()).room(max_prompt_tokens, "max_seq_length"))
    spans, suffix = [asked], tuple[int, ...]()
    columns: dict[str, Any] = {"prompt_lengths": len(frame.prefix) + asked.kept}
    cut = {"texts_cut": asked.num_cut, "tokens_cut": asked.num_lost}
    if "target" in split.schema.names:
        answers = encoded_targets(split, tokenizer, Frame((), frame.suffix).room(max_answer_tokens, "max_new_tokens"))
        spans, suffix = [asked, answers], frame.suffix
        columns |= learned_parts(columns["prompt_lengths"], answers.kept + len(suffix))
        ends = columns["learned_starts"] + columns["prompt_lengths"] + answers.kept
        for place in range(len(suffix)):
            columns["learned"][ends[answers.is_cut] + place] = False
        columns["references"] = references_of(split)
        columns["bytes"] = kept_bytes(columns["references"], answers.kept, answers.full)
        cut["targets_cut"] = answers.num_cut
        cut["tokens_cut"] += answers.num_lost
    tokens, lengths = joined_spans([(span.ids, span.starts, span.kept) for span in spans], ())
    return Examples(
        tokens=tokens,
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        prefix=frame.prefix,
        suffix=suffix,
        columns=columns,
        cut=cut,
        vocab_size=tokenizer.get_vocab_size(),
        decode=decoder_of(tokenizer),
        end=frame.end,
    )


def learned_parts(prompts: NDArray[np.int64], answers: NDArray[np.int64]) -> dict[str, Any]:
    """The columns `learned` and `learned_starts` of N prompts with their answers, both in tokens."""
    lengths = np.stack([prompts, answers], axis=1)
    totals = lengths.sum(axis=1)
    return {
        "learned": np.repeat(np.tile([False, True], len(prompts)), lengths.reshape(-1)),
        "learned_starts": np.cumsum(totals) - totals,
    }


def kept_bytes(references: list[list[str]], kept: NDArray[np.int64], full: NDArray[np.int64]) -> NDArray[np.float64]:
    """(N,) UTF-8 bytes of the texts, of those that were cut the share of their tokens."""
    sizes = np.asarray([len(text.encode()) for [text] in references], np.float64)
    return sizes * kept / np.maximum(full, 1)

"""Prompts with the answers that a decoder is to write behind them, on their way into it: one example holds both.

An example is `prefix prompt answer suffix`. Which tokens are learned is the column `learned` (T,), of all examples one
after the other; `learned_starts` (N,) says where each one's begin. The first `prompt_lengths` (N,) tokens are what the
model is given to write its last answer. Shape letters: N examples, T tokens of all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.contracts import Examples
from bmtool.data.examples.targets import Frame, decoder_of, encoded_prompts, encoded_targets, right_columns
from bmtool.data.examples.texts import joined_spans

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from bmtool.data.dataset import Split
    from bmtool.data.examples.targets import Prompt, Spans


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
        columns |= _learned(columns["prompt_lengths"], answers, len(suffix)) | right_columns(split, answers)
        cut |= {"targets_cut": answers.num_cut, "tokens_cut": asked.num_lost + answers.num_lost}
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


def _learned(prompts: NDArray[np.int64], answers: Spans, num_end: int) -> dict[str, Any]:
    """The columns `learned` and `learned_starts` of N prompts, in tokens, with answers and `num_end` tokens behind."""
    lengths = np.stack([prompts, answers.kept + num_end], axis=1)
    totals = lengths.sum(axis=1)
    starts = np.cumsum(totals) - totals
    learned = np.repeat(np.tile([False, True], len(prompts)), lengths.reshape(-1))
    ends = (starts + prompts + answers.kept)[answers.is_cut]
    for place in range(num_end):
        learned[ends + place] = False
    return {"learned": learned, "learned_starts": starts}

"""Texts with the texts that are to be written for them, on their way into a model: one example holds both.

An example is `prefix source suffix start prefix target suffix`: prefix and suffix are what the tokenizer puts around a
text, and `start` is where writing begins. It is the end token here; an encoder-decoder reads its own start token in its
place. Without targets the example ends behind `start`. Shape letters: N examples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from bmtool.contracts import Examples
from bmtool.data.encode import encode, special_affixes
from bmtool.data.texts import joined_spans
from bmtool.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from bmtool.contracts import Columns
    from bmtool.data.dataset import Split

#: What stands at the end of a text where a tokenizer puts nothing there itself, as in GPT-2 and in old T5 files.
END_TOKENS = ("<|endoftext|>", "</s>")

#: Targets that are encoded and decoded again, to see whether the tokenizer can write; more than half must come back.
PROBED_TEXTS, WRITTEN_RATIO = 100, 0.5


@dataclass(frozen=True)
class Frame:
    """What a tokenizer puts around a text."""

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    """Ends with the token that says that a text is over."""

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Frame:
        """What `tokenizer` does.

        Raises:
            DataError: it has no token for the end of a text.
        """
        prefix, suffix = special_affixes(tokenizer)
        if suffix:
            return cls(prefix, suffix)
        end = next((i for i in map(tokenizer.token_to_id, END_TOKENS) if i is not None), None)
        if end is None:
            raise DataError(
                f"the tokenizer has no token for the end of a text ({' or '.join(END_TOKENS)}), so a model couldn't "
                f"learn to stop. Prepare a corpus with 'tokenizer: bpe' or 'unigram', or take a checkpoint's"
            )
        return cls(prefix, (end,))

    @property
    def end(self) -> int:
        """The token that says that a text is over."""
        return self.suffix[-1]

    def room(self, max_tokens: int, what: str) -> int:
        """How many tokens of a text fit.

        Raises:
            DataError: none.
        """
        room = max_tokens - len(self.prefix) - len(self.suffix)
        if room < 1:
            raise DataError(f"{what} ({max_tokens}) leaves no room for text beside the special tokens")
        return room


def sources_and_targets(
    split: Split, tokenizer: Tokenizer, *, max_source_tokens: int, max_target_tokens: int, source_prefix: str = ""
) -> Examples:
    """Encode the columns `source` and, if the split has it, `target`, whose texts become `references`, lists of one.

    Of what is too long, special tokens included, the end is lost and counted. The column `second_starts` (N,) says
    where `start` is in each example; `source_prefix` is put before each source.

    Raises:
        DataError: a target is missing, or the tokenizer can't write texts.
    """
    frame = Frame.of(tokenizer)
    sources = split.column("source")
    if source_prefix:
        sources = pc.binary_join_element_wise(source_prefix, sources, "")
    spans = [_cut(sources, tokenizer, frame.room(max_source_tokens, "max_seq_length"))]
    columns: dict[str, Any] = {"second_starts": len(frame.prefix) + spans[0].kept + len(frame.suffix)}
    between: tuple[int, ...] = ()
    suffix = (*frame.suffix, frame.end)
    cut = {"texts_cut": spans[0].num_cut, "tokens_cut": spans[0].num_lost}
    if "target" in split.schema.names:
        targets = split.column("target")
        _check(targets, split.name, tokenizer)
        spans.append(_cut(targets, tokenizer, frame.room(max_target_tokens, "max_new_tokens")))
        columns["references"] = [[text] for text in targets.to_pylist()]
        between, suffix = (*frame.suffix, frame.end, *frame.prefix), frame.suffix
        cut["targets_cut"] = spans[1].num_cut
        cut["tokens_cut"] += spans[1].num_lost
    tokens, lengths = joined_spans([(span.ids, span.starts, span.kept) for span in spans], between)
    return Examples(
        tokens=tokens,
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        prefix=frame.prefix,
        suffix=suffix,
        columns=columns,
        cut=cut,
        vocab_size=tokenizer.get_vocab_size(),
        decode=lambda ids: tokenizer.decode_batch([list(row) for row in ids], skip_special_tokens=True),
    )


def answers_cut(outputs: Columns) -> dict[str, int]:
    """How many of the texts that a task wrote were cut, where it writes any."""
    return {"answers_cut": int(outputs["is_cut"].sum())} if "is_cut" in outputs else {}


@dataclass(frozen=True)
class _Spans:
    """What is taken of N texts."""

    ids: NDArray[Any]
    starts: NDArray[np.int64]
    kept: NDArray[np.int64]
    num_cut: int
    num_lost: int


def _cut(texts: pa.ChunkedArray, tokenizer: Tokenizer, room: int) -> _Spans:
    ids, offsets = encode(texts, tokenizer)
    full = np.diff(offsets)
    kept = np.minimum(full, room)
    return _Spans(ids, offsets[:-1], kept, int((full > room).sum()), int((full - kept).sum()))


def _check(targets: pa.ChunkedArray, name: str, tokenizer: Tokenizer) -> None:
    """Refuse targets that are missing, and a tokenizer that doesn't give back what it was given.

    White space may change: SentencePiece, as in T5, makes one space of several and of line breaks.
    """
    if targets.null_count:
        raise DataError(f"split '{name}': {targets.null_count} values of column 'target' are missing")
    texts = targets.slice(0, PROBED_TEXTS).to_pylist()
    encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
    written = tokenizer.decode_batch([one.ids for one in encoded], skip_special_tokens=True)
    wrong = [pair for pair in zip(texts, written, strict=True) if pair[0].split() != pair[1].split()]
    if len(wrong) > WRITTEN_RATIO * len(texts):
        raise DataError(
            f"split '{name}': this tokenizer can't write the targets: of {len(texts)} that were encoded and decoded "
            f"again {len(wrong)} came back as something else, such as {wrong[0][0]!r:.60} as {wrong[0][1]!r:.60}. "
            f"Prepare a corpus with 'tokenizer: bpe', or 'unigram' with byte_fallback"
        )

"""Language-model examples from a corpus: pieces of documents, hidden words to guess, next words to predict.

Shape letters: M documents, N pieces, P target positions, T tokens of a batch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bmtool.contracts import Columns, Examples
from bmtool.data.pieces import cut
from bmtool.data.tokenizing.plain_encoding import special_affixes
from bmtool.errors import DataError, MissingInputError
from bmtool.models.families.batches import documents_at, pack, packed_lengths_of, text_positions
from bmtool.models.families.packed import lm_loss_at, lm_scores_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from tokenizers import Tokenizer
    from torch import Tensor, nn

    from bmtool.contracts import Batch
    from bmtool.data.dataset import Split

#: Of BERT (Devlin et al. 2019, section 3.1): of the chosen tokens so many become the mask, and so many a random one.
MASKED, RANDOM = 0.8, 0.1

#: What tokenizers call the token that hides another one, and the one that stands between texts.
MASK_TOKENS = ("[MASK]", "<mask>")
BORDER_TOKENS = ("<|endoftext|>", "</s>")

#: Seed of the masks that evaluation uses.
MEASURING_SEED = 2024


def pieces(
    split: Split, tokenizer: Tokenizer, max_seq_length: int, *, affixes: tuple[tuple[int, ...], tuple[int, ...]]
) -> Examples:
    """A corpus split's documents, cut into pieces of `max_seq_length` tokens, special tokens included.

    Nothing is dropped: the last piece of a document may be short. Documents without any token are counted in `cut`.
    Columns: `document` (N,), which row a piece is of; `is_last` (N,), whether it ends its document; `bytes` (N,), its
    share of the document's UTF-8 bytes, by tokens.

    Raises:
        DataError: `max_seq_length` leaves no room for text.
    """
    prefix, suffix = affixes
    room = max_seq_length - len(prefix) - len(suffix)
    if room < 1:
        raise DataError(f"max_seq_length ({max_seq_length}) leaves no room for text beside the special tokens")
    parts = cut(split, room)
    return Examples(
        tokens=split.tokens,
        starts=parts.starts,
        lengths=parts.lengths,
        prefix=prefix,
        suffix=suffix,
        columns={"document": parts.documents, "is_last": parts.is_last, "bytes": parts.bytes},
        cut={"texts_without_tokens": parts.num_empty},
        vocab_size=tokenizer.get_vocab_size(),
        special_ids={str(token): i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special},
    )


# ---------------------------------------------------------------- masked language modelling


def masked_pieces(split: Split, tokenizer: Tokenizer, max_seq_length: int) -> Examples:
    """Pieces with the tokenizer's own special tokens around them.

    Raises:
        MissingInputError: the tokenizer has no mask token.
    """
    examples = pieces(split, tokenizer, max_seq_length, affixes=special_affixes(tokenizer))
    _mask_id(examples.special_ids)
    return examples


def _mask_id(special_ids: Mapping[str, int]) -> int:
    for token in MASK_TOKENS:
        if token in special_ids:
            return special_ids[token]
    raise MissingInputError(
        f"the tokenizer has no mask token ({' or '.join(MASK_TOKENS)}), which objective mlm needs. "
        f"Prepare the corpus with 'tokenizer: wordpiece', or train with 'objective: clm'"
    )


def hide(examples: Examples, rows: NDArray[np.int64], probability: float, rng: np.random.Generator) -> Batch:
    """Pack pieces and hide a share of their tokens, the same number in every batch of as many tokens.

    Targets: `positions` (P,) of the chosen tokens in the batch, ascending, and `labels` (P,), what they were.
    """
    places = text_positions(examples, rows)
    count = max(1, round(probability * len(places)))
    chosen = np.sort(rng.choice(places, size=count, replace=False, shuffle=False))
    return replaced(examples, rows, chosen, *draw(examples, count, rng))


def hide_fixed(examples: Examples, rows: NDArray[np.int64], probability: float) -> Batch:
    """Pack pieces and hide a share of each; which tokens depends on the piece alone, not on the batch it is in."""
    lengths = packed_lengths_of(examples, rows)
    starts = np.cumsum(lengths) - lengths + len(examples.prefix)
    chosen, drawn = [], []
    for row, start in zip(rows.tolist(), starts.tolist(), strict=True):
        rng = np.random.Generator(np.random.Philox(key=np.array([MEASURING_SEED, row], dtype=np.uint64)))
        length = int(examples.lengths[row])
        count = max(1, round(probability * length))
        chosen.append(start + np.sort(rng.choice(length, size=count, replace=False, shuffle=False)))
        drawn.append(draw(examples, count, rng))
    kinds, others = (np.concatenate([pair[i] for pair in drawn]) for i in (0, 1))
    return replaced(examples, rows, np.concatenate(chosen), kinds, others)


def draw(examples: Examples, count: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """For each chosen token a number in [0, 1) that says what becomes of it, and a random token that isn't special."""
    specials = np.array(sorted(set(examples.special_ids.values())), dtype=np.int64)
    others = rng.integers(0, examples.vocab_size - len(specials), size=count)
    # The k-th ordinary id is k plus the number of special ids before it.
    others += np.searchsorted(specials - np.arange(len(specials)), others, side="right")
    return rng.random(count), others


def replaced(
    examples: Examples,
    rows: NDArray[np.int64],
    chosen: NDArray[np.int64],
    kinds: NDArray[np.float64],
    others: NDArray[np.int64],
) -> Batch:
    """Pack pieces and put masks, the tokens `others`, or nothing new at the places `chosen`, as `kinds` in [0, 1) say.

    Args:
        examples: what is packed.
        rows: which of it.
        chosen: (P,) places in the batch.
        kinds: (P,) as `draw` gives them.
        others: (P,) as `draw` gives them.
    """
    batch = pack(examples, rows)
    ids = batch.input_ids[0].numpy()
    labels = ids[chosen]
    ids[chosen] = np.where(
        kinds < MASKED, _mask_id(examples.special_ids), np.where(kinds < MASKED + RANDOM, others, labels)
    )
    targets = {"positions": torch.from_numpy(chosen), "labels": torch.from_numpy(labels)}
    return replace(batch, targets=targets, counts={"mlm": len(chosen)})


# ---------------------------------------------------------------- causal language modelling


def causal_pieces(split: Split, tokenizer: Tokenizer, max_seq_length: int) -> Examples:
    """Pieces with a token before them, from which the first one is predicted, and one behind, for the end of a text.

    They are what the tokenizer puts around a text itself, else its border token (`<|endoftext|>`), as in GPT-2.
    """
    prefix, suffix = special_affixes(tokenizer)
    border = next((i for i in map(tokenizer.token_to_id, BORDER_TOKENS) if i is not None), None)
    if border is not None:
        prefix, suffix = prefix or (border,), suffix or (border,)
    return pieces(split, tokenizer, max_seq_length, affixes=(prefix, suffix))


def predict_next(examples: Examples, rows: NDArray[np.int64]) -> Batch:
    """Pack pieces; targets are all tokens but each piece's first one, and the end only where the document ends.

    Targets: `positions` (P,) of the tokens that predict, and `labels` (P,), what follows them.
    """
    batch = pack(examples, rows)
    ids = batch.input_ids[0].numpy()
    predicted = np.ones(len(ids), dtype=bool)
    borders = batch.cu_seq_lens.numpy()
    predicted[borders[:-1]] = False
    unfinished = borders[1:][~examples.columns["is_last"][rows]]
    for place in range(len(examples.suffix)):
        predicted[unfinished - 1 - place] = False
    positions = np.flatnonzero(predicted)
    targets = {"positions": torch.from_numpy(positions - 1), "labels": torch.from_numpy(ids[positions])}
    return replace(batch, targets=targets, counts={"clm": len(positions)}, is_causal=True)


# ---------------------------------------------------------------- both


def target_loss(model: nn.Module, batch: Batch) -> Tensor:
    """The cross-entropy at the batch's target positions, summed, in nats."""
    add_words_in_place(model)
    return lm_loss_at(model, batch, batch.targets["positions"], batch.targets["labels"])


def add_words_in_place(model: nn.Module) -> None:
    """Let the embedding add its gradient, a row for each token, to that of the output matrix, where they are one.

    Else torch fills another matrix of the vocabulary's size with zeros, and adds it all: 3 % of a step of BERT 4x256.
    The sum is a dense tensor. Not on CUDA, where the order of such additions isn't fixed.
    """
    head = model.get_output_embeddings()  # type: ignore[operator]
    if head is None or head.weight.device.type != "cpu":
        return
    for module in model.modules():  # an encoder and a decoder each have one
        if isinstance(module, torch.nn.Embedding) and module.weight is head.weight:
            module.sparse = module.weight.requires_grad


def target_scores(model: nn.Module, batch: Batch, examples: Examples) -> Columns:
    """Per piece: `nll` (sum of nats), `targets` (how many), `hits` (best token was right), `bytes` of its text.

    `document` says which row of the split a piece belongs to.
    """
    scores = lm_scores_at(model, batch, batch.targets["positions"], batch.targets["labels"])
    return scores_by_piece(scores, batch, examples)


def scores_by_piece(scores: tuple[Tensor, Tensor], batch: Batch, examples: Examples) -> Columns:
    """The same from the cross-entropy of each target in nats, (P,), and whether its best token was right, (P,)."""
    nll, hits = scores
    owners = documents_at(batch, batch.targets["positions"].cpu().numpy())
    count = len(batch.rows)

    def per_piece(values: Any = None) -> NDArray[np.float64]:
        return np.bincount(owners, weights=values, minlength=count).astype(np.float64)

    return {
        "nll": per_piece(nll.double().cpu().numpy()),
        "targets": per_piece().astype(np.int64),
        "hits": per_piece(hits.double().cpu().numpy()).astype(np.int64),
        "bytes": examples.columns["bytes"][batch.rows],
        "document": examples.columns["document"][batch.rows],
    }

"""Pairs of texts for next sentence prediction: text B goes on where text A ends, or it is of another document.

As in BERT (Devlin et al. 2019, section 3.1 and appendix A.2). A "sentence" there is any stretch of text: here a piece
of a document is cut in two at a random place. For half of the pieces the second part is exchanged for the end of a
piece of another document that is as long, so that neither length nor position tells them apart.

Shape letters: N pieces, P target positions, T tokens of a batch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from bmtool.data.pieces import Chosen
from bmtool.data.tokens import InMemoryTokens, narrowest
from bmtool.errors import DataError
from bmtool.models.families.batches import text_positions, with_types
from bmtool.models.families.packed import pair_heads_at
from bmtool.models.goals.language import MEASURING_SEED, draw, masked_pieces, replaced, scores_by_piece

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer
    from torch import Tensor, nn

    from bmtool.contracts import Batch, Columns, Examples
    from bmtool.data.dataset import Split

#: What a pair's target says: text B follows text A, or it is of another document. BertForPreTraining has the same.
FOLLOWS, RANDOM = 0, 1

#: Pieces drawn for text B before all are looked at.
DRAWS = 16


class Pairs(NamedTuple):
    """How N pieces become pairs."""

    first: NDArray[np.int64]
    """(N,) tokens of text A; the others of the piece are text B."""
    others: NDArray[np.int64]
    """(N,) of which piece text B is the end: the piece itself, or one of another document."""
    labels: NDArray[np.int64]
    """(N,) FOLLOWS or RANDOM."""


def paired_pieces(split: Split, tokenizer: Tokenizer, max_seq_length: int) -> Examples:
    """Pieces of documents with room for a separator between two texts; pieces of one token can't be cut in two.

    What is left out is counted in `cut`.

    Raises:
        DataError: there are no two documents to make pairs of, or the tokenizer puts nothing between two texts.
        MissingInputError: the tokenizer has no mask token.
    """
    between = _between(tokenizer)
    whole = masked_pieces(split, tokenizer, max_seq_length - len(between))
    kept = np.flatnonzero(whole.lengths > 1).astype(narrowest(len(whole)))
    # Looked at whole for each pair, so that it is held; it ascends.
    documents = np.asarray(whole.columns["document"], narrowest(split.num_rows))[kept]
    if not len(kept) or documents[0] == documents[-1]:
        raise DataError(f"{split.name}: objective mlm_nsp needs two documents of two tokens or more to make pairs of")
    columns = {name: Chosen(values, kept) for name, values in whole.columns.items()}
    return replace(
        whole,
        starts=Chosen(whole.starts, kept),
        lengths=whole.lengths[kept],
        suffix=(*between, *whole.suffix),
        columns={**columns, "document": documents},
        cut={**whole.cut, "pieces_of_one_token": len(whole) - len(kept)},
    )


def _between(tokenizer: Tokenizer) -> tuple[int, ...]:
    """What the tokenizer puts between two texts, such as ([SEP],)."""
    encoding = tokenizer.encode("a", "a", add_special_tokens=True)
    owners = encoding.sequence_ids
    last = max((place for place, owner in enumerate(owners) if owner == 0), default=-1)
    between = tuple(encoding.ids[last + 1 : owners.index(1)]) if 1 in owners else ()
    if len(between) != 1:
        raise DataError(
            f"the tokenizer puts {len(between)} tokens between two texts, and objective mlm_nsp needs one. "
            "Prepare the corpus with 'tokenizer: wordpiece', or train with 'objective: mlm'"
        )
    return between


def hide_in_pairs(examples: Examples, rows: NDArray[np.int64], probability: float, rng: np.random.Generator) -> Batch:
    """Pair, pack and hide a share of the texts' tokens, the same number in every batch of as many tokens.

    Targets: `positions` and `labels`, both (P,), as for masked language modelling, and `pairs` (N,).
    """
    pairs = _pair(examples, rows, rng)
    joined, places = _join(examples, rows, pairs)
    count = max(1, round(probability * len(places)))
    chosen = np.sort(rng.choice(places, size=count, replace=False, shuffle=False))
    return _as_pairs(replaced(joined, np.arange(len(rows)), chosen, *draw(examples, count, rng)), examples, rows, pairs)


def hide_in_fixed_pairs(examples: Examples, rows: NDArray[np.int64], probability: float) -> Batch:
    """The same, and what is paired and hidden depends on the piece alone, not on the batch it is in."""
    pairs, chosen, drawn = [], [], []
    starts = np.cumsum(examples.lengths[rows]) - examples.lengths[rows]
    for row, start in zip(rows.tolist(), starts.tolist(), strict=True):
        rng = np.random.Generator(np.random.Philox(key=np.array([MEASURING_SEED, row], dtype=np.uint64)))
        length = int(examples.lengths[row])
        count = max(1, round(probability * length))
        pairs.append(_pair(examples, np.array([row]), rng))
        chosen.append(start + np.sort(rng.choice(length, size=count, replace=False, shuffle=False)))
        drawn.append(draw(examples, count, rng))
    every = Pairs(*(np.concatenate(column) for column in zip(*pairs, strict=True)))
    kinds, others = (np.concatenate(column) for column in zip(*drawn, strict=True))
    joined, places = _join(examples, rows, every)
    batch = replaced(joined, np.arange(len(rows)), places[np.concatenate(chosen)], kinds, others)
    return _as_pairs(batch, examples, rows, every)


def _pair(examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator) -> Pairs:
    """Cut each piece at a random place, and exchange half of the second parts."""
    lengths = examples.lengths[rows]
    second = rng.integers(1, lengths)  # from 1 to one less than all
    labels = rng.integers(0, 2, len(rows))
    others = rows.copy()
    exchanged = np.flatnonzero(labels == RANDOM)
    others[exchanged] = _of_other_documents(examples, rows[exchanged], second[exchanged], rng)
    second = np.minimum(second, examples.lengths[others])
    return Pairs(lengths - second, others, labels)


def _of_other_documents(
    examples: Examples, rows: NDArray[np.int64], wanted: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """For each of `rows` a piece of another document with as many tokens as `wanted`; the longest, if none has."""
    documents = examples.columns["document"]
    drawn = rng.integers(0, len(examples), (len(rows), DRAWS))
    fits = (examples.lengths[drawn] >= wanted[:, None]) & (documents[drawn] != documents[rows][:, None])
    found: NDArray[np.int64] = drawn[np.arange(len(rows)), fits.argmax(axis=1)]
    for place in np.flatnonzero(~fits.any(axis=1)):  # few pieces are as long as this one: look at all
        lengths = np.where(documents != documents[rows[place]], examples.lengths, 0)
        candidates = np.flatnonzero(lengths >= min(wanted[place], lengths.max()))
        found[place] = candidates[rng.integers(0, len(candidates))]
    return found


def _join(examples: Examples, rows: NDArray[np.int64], pairs: Pairs) -> tuple[Examples, NDArray[np.int64]]:
    """The pairs as texts with a separator inside, and where in their batch the texts' own tokens are."""
    lengths = examples.lengths[rows]
    second = lengths - pairs.first
    ends_of_others = examples.starts[pairs.others] + examples.lengths[pairs.others]
    starts = np.stack([examples.starts[rows], ends_of_others - second], axis=1)
    tokens = examples.tokens.gather(starts.ravel(), np.stack([pairs.first, second], axis=1).ravel())
    ends = np.cumsum(lengths + 1)
    borders = ends - 1 - second
    is_text = np.ones(int(ends[-1]), dtype=bool)
    is_text[borders] = False
    ids = np.full(len(is_text), examples.suffix[0], dtype=np.int64)
    ids[is_text] = tokens
    joined = replace(
        examples,
        tokens=InMemoryTokens(ids),
        starts=ends - lengths - 1,
        lengths=lengths + 1,
        suffix=examples.suffix[1:],
        columns={},
    )
    return joined, text_positions(joined, np.arange(len(rows)))[is_text]


def _as_pairs(batch: Batch, examples: Examples, rows: NDArray[np.int64], pairs: Pairs) -> Batch:
    """The batch with its rows' own numbers, which of its tokens belong to text B, and what the pairs are."""
    return replace(
        with_types(batch, len(examples.prefix) + pairs.first + 1),
        rows=rows,
        targets={**batch.targets, "pairs": torch.from_numpy(pairs.labels)},
        counts={**batch.counts, "nsp": len(rows)},
    )


def pair_losses(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """The cross-entropies of the hidden tokens and of the pairs, each summed, in nats."""
    head, follows = pair_heads_at(model, batch, batch.targets["positions"])
    nsp = F.cross_entropy(follows, batch.targets["pairs"], reduction="sum")
    return {"mlm": head.loss(batch.targets["labels"]), "nsp": nsp}


def pair_scores(model: nn.Module, batch: Batch, examples: Examples) -> Columns:
    """What `target_scores` gives of each piece, and `pairs` (1) and `pair_hits`, whether the answer was right."""
    head, follows = pair_heads_at(model, batch, batch.targets["positions"])
    right = (follows.argmax(-1) == batch.targets["pairs"]).cpu().numpy().astype(np.int64)
    scores = scores_by_piece(head.scores(batch.targets["labels"]), batch, examples)
    return {**scores, "pairs": np.ones_like(right), "pair_hits": right}

"""Whether two models write the same: token by token, and by logits along what the first one wrote.

Shape letters: N sources, U tokens of a text, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from bmtool.models.decoding.continuation import gone_on, prompts_alike
from bmtool.models.decoding.generation import sources_alike, written
from bmtool.models.decoding.search import MAX_TEXTS, Search, masked_attention

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from bmtool.contracts import Batch, Columns, Examples

#: Numbers of a model's logits that are there at once: 64 MiB of float32.
LOGITS_AT_ONCE = 1 << 24


@dataclass(frozen=True)
class Part:
    """Some documents of a batch, with what both models wrote, and how to ask them for logits along the first text."""

    documents: list[int]
    ids: tuple[Tensor, Tensor]
    """Of each model, (N, given + U)"""
    num_given: int
    """How many of a row's first tokens weren't written: a start token, or the prompt"""
    inputs: dict[str, Tensor]
    """So that a model's logits are those behind each of the first model's tokens but the last"""


def compare_texts(
    mine: Any, theirs: Any, batch: Batch, examples: Examples, *, max_new_tokens: int, tolerance: float
) -> tuple[Columns, Columns, float, int]:
    """What both write without beams or chance, the largest difference of a logit, and how many texts are others.

    Texts are `tokens`, a list of N arrays (U,), with their end. One isn't another where the first token that differs
    was as likely as the other model's, within `tolerance` of both logits.
    """
    end = cast("int", examples.end)
    how = Search(max_new_tokens, num_beams=1, length_penalty=1.0)
    texts: list[list[Any]] = [[None] * len(batch.rows), [None] * len(batch.rows)]
    differences, num_others = [0.0], 0
    ask = _from_sources if mine.config.is_encoder_decoder else _behind_prompts
    with torch.inference_mode(), masked_attention(mine), masked_attention(theirs):
        for part in ask((mine, theirs), batch, examples, how):
            for row, document in enumerate(part.documents):
                for own, ids in zip(texts, part.ids, strict=True):
                    own[document] = _text(ids[row, part.num_given :], end)
            for document, logits, other in _logits(mine, theirs, part):
                wanted, found = texts[0][document], texts[1][document]
                differences.append(float((logits - other)[: len(wanted)].abs().max()))
                num_others += is_other(logits, wanted, found, tolerance)
    return {"tokens": texts[0]}, {"tokens": texts[1]}, float(np.max(differences)), num_others


def _from_sources(models: tuple[Any, Any], batch: Batch, examples: Examples, how: Search) -> Iterator[Part]:
    end = cast("int", examples.end)
    for part in sources_alike(batch, models[0].config, MAX_TEXTS):
        rows = batch.rows[part.documents].tolist()
        ids, other = (written(model, part, rows, how, end) for model in models)
        inputs = {
            "input_ids": part.source_ids,
            "attention_mask": part.source_mask,
            "decoder_input_ids": ids[:, :-1],
        }
        yield Part(part.documents, (ids, other), 1, inputs)


def _behind_prompts(models: tuple[Any, Any], batch: Batch, examples: Examples, how: Search) -> Iterator[Part]:
    end = cast("int", examples.end)
    for documents, prompts in prompts_alike(batch, examples, how):
        rows = batch.rows[documents].tolist()
        ids, other = (gone_on(model, dict(prompts), rows, how, end) for model in models)
        mask = prompts["attention_mask"]
        num_given = mask.shape[1]
        mask = torch.cat([mask, mask.new_ones(len(ids), ids.shape[1] - 1 - num_given)], dim=1)
        places = (mask.cumsum(dim=1) - 1).clamp(min=0)
        inputs = {"input_ids": ids[:, :-1], "attention_mask": mask, "position_ids": places}
        yield Part(documents, (ids, other), num_given, inputs)


def _text(tokens: Tensor, end: int) -> NDArray[np.int64]:
    """To the end, or the last one."""
    ends = np.flatnonzero(tokens.numpy() == end)
    return np.asarray(tokens[: ends[0] + 1] if len(ends) else tokens, dtype=np.int64)


def _logits(mine: Any, theirs: Any, part: Part) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Each document with both models' logits (U, V) of what was written."""
    step = max(1, LOGITS_AT_ONCE // (part.ids[0].shape[1] * mine.config.vocab_size))
    for start in range(0, len(part.documents), step):
        rows = slice(start, start + step)
        given = {name: value[rows] for name, value in part.inputs.items()}
        both = (model(**given).logits[:, part.num_given - 1 :] for model in (mine, theirs))
        yield from zip(part.documents[rows], *both, strict=True)


def is_other(logits: Tensor, wanted: NDArray[np.int64], found: NDArray[np.int64], tolerance: float) -> bool:
    """Whether a text differs from the wanted one by a token that its logits (U, V) wouldn't have allowed."""
    if np.array_equal(wanted, found):
        return False
    count = min(len(wanted), len(found))
    place = int((wanted[:count] != found[:count]).argmax())
    lead = float(logits[place, wanted[place]] - logits[place, found[place]])
    return not lead <= 2 * tolerance

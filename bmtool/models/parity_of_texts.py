"""Whether two encoder-decoders write the same: token by token, and by logits along what the first one wrote.

Shape letters: N sources, U tokens of a text, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from bmtool.models.generation import sources_alike, written
from bmtool.models.search import Search, masked_attention

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from bmtool.contracts import Batch, Columns, Examples
    from bmtool.models.encoder_decoder import Rectangle

#: Numbers of a model's logits that are there at once: 64 MiB of float32.
LOGITS_AT_ONCE = 1 << 24


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
    with torch.inference_mode(), masked_attention(mine), masked_attention(theirs):
        for part in sources_alike(batch, mine.config):
            ids, other_ids = (written(model, batch, part, how, end) for model in (mine, theirs))
            for row, document in enumerate(part.documents):
                texts[0][document], texts[1][document] = _text(ids[row], end), _text(other_ids[row], end)
            for document, logits, other in _logits(mine, theirs, part, ids):
                wanted, found = texts[0][document], texts[1][document]
                differences.append(float((logits - other)[: len(wanted)].abs().max()))
                num_others += is_other(logits, wanted, found, tolerance)
    return {"tokens": texts[0]}, {"tokens": texts[1]}, float(np.max(differences)), num_others


def _text(ids: Tensor, end: int) -> NDArray[np.int64]:
    """The tokens behind the start, to the end or the last one."""
    tokens = ids[1:].numpy()
    ends = np.flatnonzero(tokens == end)
    return np.asarray(tokens[: ends[0] + 1] if len(ends) else tokens, dtype=np.int64)


def _logits(mine: Any, theirs: Any, part: Rectangle, ids: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Each document of the rectangle with both models' logits (U, V) of what follows the tokens before."""
    step = max(1, LOGITS_AT_ONCE // (ids.shape[1] * mine.config.vocab_size))
    for start in range(0, len(part.documents), step):
        rows = slice(start, start + step)
        given = {
            "input_ids": part.source_ids[rows],
            "attention_mask": part.source_mask[rows],
            "decoder_input_ids": ids[rows, :-1],
        }
        yield from zip(part.documents[rows], mine(**given).logits, theirs(**given).logits, strict=True)


def is_other(logits: Tensor, wanted: NDArray[np.int64], found: NDArray[np.int64], tolerance: float) -> bool:
    """Whether a text differs from the wanted one by a token that its logits (U, V) wouldn't have allowed."""
    if np.array_equal(wanted, found):
        return False
    count = min(len(wanted), len(found))
    place = int((wanted[:count] != found[:count]).argmax())
    lead = float(logits[place, wanted[place]] - logits[place, found[place]])
    return not lead <= 2 * tolerance

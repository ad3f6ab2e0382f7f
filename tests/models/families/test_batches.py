"""Documents in one row: special tokens, borders, positions."""

import numpy as np
import torch
from bmtool.contracts import Examples
from bmtool.data.tokens import InMemoryTokens
from bmtool.models.families.batches import documents_at, pack, text_positions

EXAMPLES = Examples(
    tokens=InMemoryTokens(np.arange(10, 30, dtype=np.uint16)),
    starts=np.array([0, 3, 3, 8]),
    lengths=np.array([3, 0, 5, 2]),
    prefix=(1, 2),
    suffix=(3,),
    columns={},
)


def test_documents_keep_their_special_tokens_and_their_order():
    batch = pack(EXAMPLES, np.array([3, 1, 0]), targets={"labels": np.array([7, 8, 9])}, counts={"x": 3})

    assert batch.input_ids.tolist() == [[1, 2, 18, 19, 3, 1, 2, 3, 1, 2, 10, 11, 12, 3]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3, 4, 0, 1, 2, 0, 1, 2, 3, 4, 5]]
    assert batch.cu_seq_lens.tolist() == [0, 5, 8, 14]
    assert batch.cu_seq_lens.dtype == torch.int32
    assert (batch.max_length, batch.num_tokens, batch.counts) == (6, 14, {"x": 3})
    assert batch.targets["labels"].tolist() == [7, 8, 9]


def test_text_positions_leave_special_tokens_out():
    rows = np.array([3, 1, 0])

    places = text_positions(EXAMPLES, rows)

    assert places.tolist() == [2, 3, 10, 11, 12]
    assert documents_at(pack(EXAMPLES, rows), places).tolist() == [0, 0, 2, 2, 2]

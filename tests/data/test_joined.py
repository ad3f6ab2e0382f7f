"""Examples of several corpora as one: every span still reads its own tokens."""

from dataclasses import replace

import numpy as np
import pytest
from bmtool.contracts import Examples
from bmtool.data.joined import join_examples
from bmtool.data.pieces import Computed, Starts
from bmtool.data.tokens import InMemoryTokens


def examples(tokens, lengths, *, documents, vocab_size=100, cut=0):
    lengths = np.array(lengths)
    return Examples(
        tokens=InMemoryTokens(np.array(tokens, np.uint16)),
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        prefix=(1,),
        suffix=(2,),
        columns={"document": np.array(documents), "bytes": lengths * 1.5},
        cut={"texts_without_tokens": cut},
        vocab_size=vocab_size,
    )


class NoMore(Computed):
    """A column of documents that can't be asked for all at once."""

    def __init__(self, part):
        self.column = part.columns["document"]

    def __len__(self):
        return len(self.column)

    def __getitem__(self, rows):
        return self.column[rows]

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("all were asked for")


def test_spans_of_both_corpora_come_in_the_order_in_which_they_are_asked_for():
    joined = join_examples(
        [
            examples([10, 11, 12, 13, 14], [2, 3], documents=[0, 2], cut=1),
            examples([20, 21, 22], [1, 2], documents=[0, 0], cut=2),
        ]
    )

    order = np.array([3, 0, 2, 1])

    tokens = joined.tokens.gather(joined.starts[order], joined.lengths[order])
    assert tokens.tolist() == [
        21,
        22,
        10,
        11,
        20,
        12,
        13,
        14,
    ]
    assert joined.columns["document"].tolist() == [0, 2, 3, 3]
    assert joined.columns["bytes"].tolist() == [3.0, 4.5, 1.5, 3.0]
    assert joined.cut == {"texts_without_tokens": 3}
    assert len(joined.tokens.gather(joined.starts[order[:0]], joined.lengths[:0])) == 0


def test_numbers_that_are_worked_out_when_asked_for_are_joined_without_working_out_all():
    parts = [examples([1, 2, 3], [2, 1], documents=[0, 3]), examples([4, 5], [2], documents=[1])]
    lazy = [replace(part, starts=Starts(part.lengths), columns={"document": NoMore(part)}) for part in parts]

    joined, expected = join_examples(lazy), join_examples(parts)

    rows = np.array([2, 0, 1, 2])
    assert np.array_equal(joined.starts[rows], expected.starts[rows])
    assert joined.columns["document"][rows].tolist() == expected.columns["document"][rows].tolist() == [5, 0, 3, 5]
    assert np.array_equal(np.asarray(joined.starts), np.asarray(expected.starts))


def test_examples_for_different_models_are_refused():
    with pytest.raises(ValueError, match="different ways"):
        join_examples(
            [examples([1], [1], documents=[0]), examples([1], [1], documents=[0], vocab_size=7)],
        )

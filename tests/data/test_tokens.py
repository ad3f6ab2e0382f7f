"""Token ids that are memory-mapped batch by batch read as one long array."""

import numpy as np
import pyarrow as pa
import pytest
from bmtool.data.tokens import InMemoryTokens, MappedTokens, narrowest


def test_documents_of_several_batches_lie_one_behind_the_other():
    first = pa.array([[9], [1, 2, 3], [], [4]], pa.list_(pa.uint16()))
    tokens = MappedTokens([first.slice(1), pa.array([[5, 6]], pa.list_(pa.uint16()))])

    assert tokens.starts.tolist() == [0, 3, 3, 4]
    assert tokens.lengths.tolist() == [3, 0, 1, 2]
    assert tokens.gather(tokens.starts[[3, 0]], tokens.lengths[[3, 0]]).tolist() == [5, 6, 1, 2, 3]
    assert (tokens.starts.dtype, tokens.lengths.dtype) == (np.int32, np.int32)


def test_a_split_without_documents_has_no_tokens():
    tokens = MappedTokens([])

    assert len(tokens.starts) == len(tokens.lengths) == 0
    assert tokens.gather(tokens.starts, tokens.lengths).tolist() == []


@pytest.mark.parametrize(("largest", "width"), [(0, 4), (2**31 - 1, 4), (2**31, 8)])
def test_an_array_over_all_documents_is_as_narrow_as_its_values_allow(largest, width):
    assert np.dtype(narrowest(largest)).itemsize == width


def test_tokens_in_memory_are_gathered_in_the_order_asked_for():
    tokens = InMemoryTokens(np.arange(10, dtype=np.uint16))

    assert tokens.gather(np.array([7, 0, 3]), np.array([2, 1, 0])).tolist() == [7, 8, 0]
    assert tokens.gather(np.array([], int), np.array([], int)).dtype == np.uint16

"""Token ids that are memory-mapped batch by batch read as one long array."""

import numpy as np
import pyarrow as pa
import pytest
from bmtool.data.tokens import InMemoryTokens, MappedSizes, MappedTokens, narrowest
from hypothesis import given, settings
from hypothesis import strategies as st

FIRST = pa.array([[9], [1, 2, 3], [], [4]], pa.list_(pa.uint16()))
BATCHES = [FIRST.slice(1), FIRST[:0], pa.array([[], [5, 6]], pa.list_(pa.uint16()))]


def test_documents_of_several_batches_lie_one_behind_the_other():
    tokens = MappedTokens(BATCHES)

    assert [own.tolist() for own in tokens.sizes.batches()] == [[3, 0, 1], [], [0, 2]]
    assert tokens.gather(np.array([4, 0, 1]), np.array([2, 3, 0])).tolist() == [5, 6, 1, 2, 3]


def test_the_size_of_a_document_and_the_document_of_a_token_are_found():
    sizes = MappedTokens(BATCHES).sizes

    assert sizes.of(np.array([4, 0, 1, 2, 4, 3])).tolist() == [2, 3, 0, 1, 2, 0]
    assert sizes.owners(np.array([5, 0, 3, 4, 2])).tolist() == [4, 0, 2, 4, 0]
    assert sizes.of(np.zeros(0, np.int64)).tolist() == sizes.owners(np.zeros(0, np.int64)).tolist() == []


@settings(deadline=None)
@given(st.lists(st.lists(st.text(max_size=3), max_size=5), max_size=5), st.randoms())
def test_bytes_of_texts_are_found_in_whatever_batches_they_are(batches, random):
    sizes = MappedSizes([pa.array(batch, pa.string()) for batch in batches])
    texts = [text.encode() for batch in batches for text in batch]
    owners = [row for row, text in enumerate(texts) for _ in text]
    rows, places = random.sample(range(len(texts)), len(texts)), random.sample(range(len(owners)), len(owners))

    assert sizes.of(np.array(rows, np.int64)).tolist() == [len(texts[row]) for row in rows]
    assert sizes.owners(np.array(places, np.int64)).tolist() == [owners[place] for place in places]


def test_a_split_without_documents_has_no_tokens():
    tokens = MappedTokens([])

    assert list(tokens.sizes.batches()) == []
    assert tokens.gather(np.zeros(0, np.int64), np.zeros(0, np.int64)).tolist() == []


@pytest.mark.parametrize(("largest", "width"), [(0, 4), (2**31 - 1, 4), (2**31, 8)])
def test_an_array_over_all_documents_is_as_narrow_as_its_values_allow(largest, width):
    assert np.dtype(narrowest(largest)).itemsize == width


def test_tokens_in_memory_are_gathered_in_the_order_asked_for():
    tokens = InMemoryTokens(np.arange(10, dtype=np.uint16))

    assert tokens.gather(np.array([7, 0, 3]), np.array([2, 1, 0])).tolist() == [7, 8, 0]
    assert tokens.gather(np.array([], int), np.array([], int)).dtype == np.uint16


@pytest.mark.parametrize(("largest", "width"), [(2**15 - 1, 2), (2**15, 4), (2**31, 8)])
def test_lengths_may_be_short(largest, width):
    assert np.dtype(narrowest(largest, may_be_short=True)).itemsize == width

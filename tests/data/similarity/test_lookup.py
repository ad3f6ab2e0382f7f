"""Lookups of sorted hashes."""

from __future__ import annotations

import numba as nb
import numpy as np
from bmtool.data.similarity.lookup import distinct, find, lookup
from hypothesis import given, settings
from hypothesis import strategies as st


@nb.njit
def places_of(table, keys):
    places = np.empty(len(keys), np.int64)
    for i in range(len(keys)):
        places[i] = find(table, keys[i])
    return places


hashes = st.integers(0, 2**64 - 1) | st.integers(0, 40) | st.integers(2**64 - 40, 2**64 - 1)


@settings(deadline=None, max_examples=200)
@given(st.sets(hashes, max_size=60), st.lists(hashes, max_size=60))
def test_a_key_is_found_at_its_place_and_nothing_else_is(keys, others):
    ordered = sorted(keys)
    wanted = ordered + others

    found = places_of(lookup(np.array(ordered, np.uint64)), np.array(wanted, np.uint64)).tolist()

    assert found == [ordered.index(key) if key in keys else -1 for key in wanted]


def test_the_filter_turns_most_unknown_keys_away():
    rng = np.random.default_rng(0)
    table = lookup(distinct(rng.integers(2**64 - 1, size=100_000, dtype=np.uint64)))

    assert np.unpackbits(table.filter).mean() < 1 / 16


@given(st.lists(hashes, max_size=60))
def test_distinct_keys_are_sorted_and_each_is_there_once(keys):
    assert distinct(np.array(keys, np.uint64)).tolist() == sorted(set(keys))

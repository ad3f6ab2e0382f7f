"""Copies by their hashes, and labels that have to be everywhere, on made-up units."""

from dataclasses import dataclass

import numpy as np
import pytest
from bmtool.data.passes import decide
from bmtool.data.passes.decide import check_stratified, exact_copies
from bmtool.errors import DataError
from hypothesis import given, settings
from hypothesis import strategies as st


@dataclass
class Unit:
    values: list
    start: int

    def hashes(self):
        return np.array(self.values, np.uint64).reshape(-1, 2)


def units_of(parts):
    units, start = [], 0
    for part in parts:
        units.append(Unit(part, start))
        start += len(part)
    return units, start


#: Few different halves, of both ends of the range: many hashes agree in one half and not in the other.
HALF = st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**64 - 1])


@settings(deadline=None)
@given(
    parts=st.lists(st.lists(st.tuples(HALF, HALF), max_size=12), max_size=5),
    at_once=st.sampled_from([1, 2, 3, 7, 4_000_000]),
)
def test_each_copy_goes_for_the_first_with_the_same_hash(parts, at_once):
    units, num_rows = units_of(parts)
    first, expected = {}, []
    for number, value in enumerate(value for part in parts for value in part):
        if value in first:
            expected.append((number, first[value]))
        first.setdefault(value, number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decide, "HASHES_AT_ONCE", at_once)
        rows, kept = exact_copies(units, num_rows)

    assert list(zip(rows.tolist(), kept.tolist(), strict=True)) == expected


def test_every_label_in_every_split_is_what_was_asked_for():
    check_stratified({"train": {"a": 3, "b": 1}, "test": {"a": 1, "b": 1}}, "label")


def test_labels_that_are_missing_somewhere_are_named():
    counts = {"train": {"a": 3, "b": 1, "c": 2}, "test": {"a": 1, "b": 0}}

    with pytest.raises(DataError) as error:
        check_stratified(counts, "stars")

    assert str(error.value) == (
        "split.stratify: no row with stars 'b' in test, 'c' in test. The split follows a hash and can't be moved: "
        "raise the shares, gather more rows, or leave 'stratify' out"
    )

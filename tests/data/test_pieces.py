"""Pieces of documents are worked out as if every number of each were held."""

import numpy as np
import pyarrow as pa
import pytest
from bmtool.data import pieces
from bmtool.data.dataset import Split
from bmtool.data.pieces import Chosen, Flags, Starts, cut
from bmtool.data.storage import SplitWriter, features
from hypothesis import given, settings
from hypothesis import strategies as st

SCHEMA = pa.schema([("text", pa.string()), ("input_ids", pa.list_(pa.uint16()))])


def make_split(folder, sizes, rows_a_batch):
    """Documents of so many tokens, and as texts twice as many bytes and one more, in shards of a few rows each."""
    writer = SplitWriter(folder / "train", SCHEMA)
    for start in range(0, len(sizes), rows_a_batch):
        own = sizes[start : start + rows_a_batch]
        columns = [pa.array(["é" * size + "." for size in own]), pa.array([list(range(size)) for size in own])]
        writer.write(
            pa.record_batch([column.cast(one.type) for column, one in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)
        )
        writer.cut()
    return Split("train", [folder / "train" / name for name in writer.close()], features(SCHEMA, {}), len(sizes))


def all_pieces(sizes, longest):
    """(document, start, length, is_last) of each."""
    start = 0
    for document, size in enumerate(sizes):
        for inside in range(0, size, longest):
            length = min(longest, size - inside)
            yield document, start + inside, length, inside + length == size
        start += size


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("splits")


@settings(deadline=None)
@given(
    sizes=st.lists(st.one_of(st.integers(0, 12), st.integers(0, 300)), max_size=60),
    longest=st.sampled_from([1, 3, 8, 64]),
    rows_a_batch=st.integers(1, 60),
    random=st.randoms(),
)
def test_pieces_are_those_that_a_list_of_all_would_have(folder, sizes, longest, rows_a_batch, random):
    found = cut(make_split(folder, sizes, rows_a_batch), longest)

    expected = list(all_pieces(sizes, longest))
    assert len(found.lengths) == len(expected)
    assert found.num_empty == sizes.count(0)
    rows = random.choices(range(len(expected)), k=2 * len(expected)) if expected else []
    asked = np.array(rows, np.int64)
    columns = [found.documents[asked], found.starts[asked], found.lengths[asked], found.is_last[asked]]
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == [expected[row] for row in rows]
    shares = [(2 * sizes[expected[row][0]] + 1) * expected[row][2] / sizes[expected[row][0]] for row in rows]
    assert found.bytes[asked].tolist() == shares


def test_all_numbers_at_once_are_those_of_each(monkeypatch):
    monkeypatch.setattr(pieces, "COMPUTED_AT_ONCE", 7)
    lengths = np.random.default_rng(0).integers(1, 2000, 100).astype(np.int16)

    starts = Starts(lengths)

    assert np.array_equal(np.asarray(starts), np.cumsum(lengths) - lengths)
    assert np.asarray(starts).dtype == np.int64
    assert np.asarray(starts, np.int32).dtype == np.int32


def test_chosen_pieces_are_counted_anew():
    starts = Starts(np.array([3, 1, 4, 1, 5]))

    chosen = Chosen(starts, np.array([1, 2, 4], np.int32))

    assert (len(chosen), chosen[np.array([2, 0])].tolist()) == (3, [9, 3])
    assert np.asarray(chosen).tolist() == [3, 4, 9]


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=40))
def test_flags_are_a_bit_each(flags):
    held = Flags(np.array(flags, dtype=bool))

    assert np.asarray(held).tolist() == flags
    assert held.bits.nbytes == -(-len(flags) // 8)

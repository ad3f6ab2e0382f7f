"""A shard is written once, under a key, and put into every split that needs it."""

import errno
import hashlib
import os
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from bmtool.data.kept import Shelf, write_array
from bmtool.data.passes.collected import KeptUnit
from bmtool.data.passes.shard_pass import Part, ShardTask, write_shard
from bmtool.data.passes.shards import Finished, Share, shards_of
from bmtool.data.passes.unit_pass import ROWS, SKETCHES
from bmtool.data.storage import SplitWriter, StreamFile, read_stream
from bmtool.errors import TryAgainError

SCHEMA = pa.schema({"id": pa.string(), "text": pa.string()})
CHOSEN = np.array([True, False, True, True, False])


@pytest.fixture
def finished(tmp_path):
    """Kept shards, one of which is written: rows 0, 2 and 3 of a unit of 5."""
    (tmp_path / "unit").mkdir()
    batch = pa.record_batch([[f"id {n}" for n in range(5)], [f"text {n}" for n in range(5)]], schema=SCHEMA)
    file = StreamFile(tmp_path / "unit" / ROWS, SCHEMA)
    file.write(batch)
    file.close()
    write_array(tmp_path / "unit" / SKETCHES, np.arange(5 * 112, dtype=np.uint16).reshape(5, 112))
    unit = KeptUnit("u", 0, tmp_path / "unit", {"totals": {"rows": 5}}, 0)
    bits = np.packbits(CHOSEN).tobytes()
    shelf = Shelf(tmp_path / "shards")

    write_shard(ShardTask("abc", shelf.folder, SCHEMA, (), (), (Part(unit, bits, bits, None),), True), lambda _: None)

    return Finished(shelf)


def put(finished, folder):
    """The paths of the rows and of their sketches."""
    writer = SplitWriter(folder, SCHEMA)
    finished.put("abc", writer, folder / "sketches")
    [name] = writer.close()
    return folder / name, folder / "sketches"


def test_a_shard_holds_the_chosen_rows_and_is_linked(finished, tmp_path):
    rows, sketches = put(finished, tmp_path / "train")

    [batch] = read_stream(rows)
    assert batch.column("id").to_pylist() == ["id 0", "id 2", "id 3"]
    [batch] = read_stream(sketches)
    assert batch.column("id").to_pylist() == ["id 0", "id 2", "id 3"]
    assert [one[0] for one in batch.column("sketch").to_pylist()] == [0, 224, 336]
    assert [path.samefile(kept) for path, kept in zip((rows, sketches), finished.find("abc"), strict=True)] == [
        True
    ] * 2


def test_where_no_link_can_be_made_a_shard_is_moved_and_nothing_is_kept(finished, tmp_path, monkeypatch):
    def no_link(source, target):
        raise OSError(errno.EPERM, "not on this file system")

    monkeypatch.setattr(os, "link", no_link)
    expected = [path.read_bytes() for path in finished.find("abc")]

    paths = put(finished, tmp_path / "train")

    assert [path.read_bytes() for path in paths] == expected
    assert finished.find("abc") is None


def test_a_shard_that_was_removed_meanwhile_is_made_again_by_the_next_run(finished, tmp_path):
    finished.shelf.remove("abc")

    finished.sync("abc")  # not the place to say it
    with pytest.raises(TryAgainError, match=r"this shard was removed\. Run the command again"):
        put(finished, tmp_path / "train")


def shares_of(megabytes, *, units):
    """The shares of so many units with so much text each."""
    keys = [hashlib.sha256(f"unit {number}".encode()).hexdigest() for number in range(units)]
    return [Share(key, key, megabytes << 20) for key in keys]


def test_the_first_shards_are_small_and_later_ones_grow_to_a_bound():
    shards = shards_of(shares_of(1, units=6000), SCHEMA, ())

    sizes = [shard.end - shard.first for shard in shards]
    assert sum(sizes) == 6000
    assert max(sizes[:10]) <= 8
    assert all(32 <= size <= 128 for size in sizes[-10:-1])
    assert len(shards) < 6000 / 32 + 100


def test_a_unit_that_changed_makes_one_shard_anew():
    before = shares_of(14, units=70)
    after = [*before[:30], replace(before[30], content="other rows"), *before[31:]]

    old, new = ({shard.key for shard in shards_of(shares, SCHEMA, ())} for shares in (before, after))

    assert len(new - old) == len(old - new) == 1


def test_a_unit_in_front_moves_few_borders():
    before = shares_of(14, units=200)
    after = [Share("0" * 64, "new", 14 << 20), *before]

    old, new = ({shard.key for shard in shards_of(shares, SCHEMA, ())} for shares in (before, after))

    assert len(new - old) <= 5

"""`dropped.arrow`: the same bytes however the rows arrive, in reading order, and found again by their ids."""

import pyarrow as pa
import pytest
from bmtool.data.passes import drops
from bmtool.data.passes.drops import DROPS, DropWriter, drop_batch, find_drop, in_reading_order
from bmtool.data.storage import read_stream


def batch(start, count, reason="length", file="a.jsonl"):
    ids = pa.array([f"{n:032x}" for n in range(start, start + count)])
    lines = pa.array(range(start, start + count), pa.int64())
    return drop_batch(ids, reason, file=pa.array([file] * count), line=lines)


@pytest.mark.parametrize("sizes", [[100], [1] * 100, [7, 0, 50, 43], [30, 70]])
def test_the_bytes_do_not_depend_on_how_rows_arrive(tmp_path, monkeypatch, sizes):
    monkeypatch.setattr(drops, "MAX_BATCH_ROWS", 30)
    (tmp_path / "whole").mkdir()
    writer = DropWriter(tmp_path / "whole")
    writer.write(batch(0, 100))
    writer.close()
    (tmp_path / "parts").mkdir()

    writer, start = DropWriter(tmp_path / "parts"), 0
    for size in sizes:
        writer.write(batch(start, size))
        start += size
    writer.close()

    assert (tmp_path / "parts" / DROPS).read_bytes() == (tmp_path / "whole" / DROPS).read_bytes()
    assert [one.num_rows for one in read_stream(tmp_path / "parts" / DROPS)] == [30, 30, 30, 10]


def test_what_is_not_given_is_null():
    [row] = batch(5, 1).to_pylist()

    assert row == {
        "id": f"{5:032x}",
        "reason": "length",
        "rule": None,
        "value": None,
        "threshold": None,
        "kept": None,
        "similarity": None,
        "file": "a.jsonl",
        "line": 5,
    }


def test_a_row_is_found_by_its_id_as_often_as_it_went(tmp_path):
    writer = DropWriter(tmp_path)
    for one in (batch(1, 3), batch(2, 1, reason="duplicate")):
        writer.write(one)
    writer.close()

    assert [one["reason"] for one in find_drop(tmp_path, f"{2:032x}")] == ["length", "duplicate"]
    assert list(find_drop(tmp_path, "unknown")) == []


def test_rows_of_a_unit_come_in_the_order_in_which_they_were_read():
    batches = [
        batch(7, 2, "a", "z.jsonl"),
        batch(1, 1, "b", "b.jsonl"),
        batch(3, 1, "c", "z.jsonl"),
        batch(0, 1, "c", "b.jsonl"),
    ]

    table = in_reading_order(iter(batches), ["z.jsonl", "b.jsonl", "z.jsonl"])

    found = zip(table["file"].to_pylist(), table["line"].to_pylist(), strict=True)
    assert list(found) == [("z.jsonl", 3), ("z.jsonl", 7), ("z.jsonl", 8), ("b.jsonl", 0), ("b.jsonl", 1)]

import gc
import json
import os
import resource
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pytest
from bmtool.data import storage
from bmtool.data.dataset import Split, open_dataset
from bmtool.data.storage import SplitWriter, features, fetch_stream, read_stream, write_split_info
from bmtool.errors import DataError, MissingInputError
from bmtool.runner.crash import as_error

SCHEMA = pa.schema({"id": pa.string(), "text": pa.string(), "who": pa.string(), "input_ids": pa.list_(pa.uint16())})


def rows(count, start=0):
    numbers = range(start, start + count)
    return pa.record_batch(
        [
            pa.array([f"{n:032x}" for n in numbers]),
            pa.array([f"text {n} " * (n % 7) for n in numbers]),
            pa.array([None if n % 3 else f"who {n}" for n in numbers], pa.string()),
            pa.array([list(range(n % 5)) for n in numbers], pa.list_(pa.uint16())),
        ],
        schema=SCHEMA,
    )


def write(folder, batches):
    """A dataset with the one split train."""
    writer = SplitWriter(folder / "train", SCHEMA)
    for batch in batches:
        writer.write(batch)
    shards = writer.close()
    described = features(SCHEMA, {})
    write_split_info(folder / "train", shards, writer.num_rows, described=described, fingerprint="f")
    (folder / "dataset_dict.json").write_text('{"splits": ["train"]}')
    (folder / "report.json").write_text('{"task": null}')
    return shards


def test_bytes_do_not_depend_on_how_rows_arrive(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "MAX_BATCH_ROWS", 100)
    monkeypatch.setattr(storage, "MAX_BATCH_BYTES", 2000)
    monkeypatch.setattr(storage, "MAX_SHARD_BYTES", 20_000)
    whole = rows(700)

    for name, step in {"whole": 700, "few": 13, "one": 1}.items():
        (tmp_path / name).mkdir()
        write(tmp_path / name, [whole.slice(start, step) for start in range(0, 700, step)])

    files = sorted(path.name for path in (tmp_path / "whole" / "train").iterdir())
    assert len(files) > 4
    for name in files:
        expected = (tmp_path / "whole" / "train" / name).read_bytes()
        assert (tmp_path / "few" / "train" / name).read_bytes() == expected
        assert (tmp_path / "one" / "train" / name).read_bytes() == expected


def test_batches_and_shards_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "MAX_BATCH_ROWS", 100)
    monkeypatch.setattr(storage, "MAX_BATCH_BYTES", 2000)
    monkeypatch.setattr(storage, "MAX_SHARD_BYTES", 20_000)
    long = pa.record_batch([["x"], ["long " * 1000], [None], [[1]]], schema=SCHEMA)

    shards = write(tmp_path, [rows(300), long, rows(300, 300)])

    assert shards == [f"data-{n:05d}-of-{len(shards):05d}.arrow" for n in range(len(shards))]
    batches = [batch for name in shards for batch in read_stream(tmp_path / "train" / name)]
    sizes = [sum(len(row["text"]) + len(row["who"] or "") for row in batch.to_pylist()) for batch in batches]
    assert all(batch.num_rows <= 100 for batch in batches)
    assert [size for size in sizes if size > 2000] == [5000]
    assert batches[sizes.index(5000)].num_rows == 1
    assert all((tmp_path / "train" / name).stat().st_size <= 21_000 for name in shards)


def test_batches_outlive_their_file_and_hold_no_descriptor(tmp_path):
    for number in range(3):
        write(tmp_path / str(number), [rows(3)])
    paths = sorted(tmp_path.glob("*/train/*.arrow"))
    before = len(list(Path("/proc/self/fd").iterdir()))
    batches = [batch for path in paths for batch in read_stream(path)]
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    first = [batch.to_pylist() for batch in fetch_stream(paths[0])]
    for path in paths:
        path.unlink()
    assert [batch.to_pylist() for batch in batches] == 3 * first


def test_rows_come_back_in_order_through_both_readers(tmp_path):
    write(tmp_path, [rows(5000), rows(5000, 5000)])

    split = open_dataset(tmp_path)["train"]
    theirs = datasets.load_from_disk(str(tmp_path))["train"]

    assert split.num_rows == len(theirs) == 10_000
    assert split.column("text").to_pylist() == theirs["text"][:] == rows(10_000)["text"].to_pylist()
    assert split.column("who").to_pylist() == theirs["who"][:]
    assert [batch.num_rows for batch in split.batches()] == [8192, 1808]


def test_datasets_opens_it_without_writing(tmp_path):
    write(tmp_path, [rows(10)])
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))

    loaded = datasets.load_from_disk(str(tmp_path))

    assert loaded["train"][3]["input_ids"] == [0, 1, 2]
    assert loaded["train"].features["input_ids"] == datasets.List(datasets.Value("uint16"))
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before


def test_a_split_without_rows_can_be_opened(tmp_path):
    write(tmp_path, [])

    split = open_dataset(tmp_path)["train"]

    assert split.num_rows == 0
    assert len(split.column("text")) == split.tokens.sizes.rows[-1] == 0
    assert len(datasets.load_from_disk(str(tmp_path))["train"]) == 0


def test_tokens_are_gathered_across_batches_without_copying_the_split(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "MAX_BATCH_ROWS", 64)
    write(tmp_path, [rows(500)])
    split = open_dataset(tmp_path)["train"]
    wanted = np.array([499, 3, 64, 63, 5, 128])

    lengths = np.concatenate(list(split.tokens.sizes.batches()))
    starts = np.cumsum(lengths) - lengths
    tokens = split.tokens.gather(starts[wanted], lengths[wanted])

    assert tokens.tolist() == [token for row in wanted for token in range(row % 5)]
    assert tokens.dtype == np.uint16
    assert lengths.tolist() == [n % 5 for n in range(500)]
    inner = split.tokens.gather(starts[[4]] + 1, np.array([2]))
    assert inner.tolist() == [1, 2]
    assert not any(view.flags.owndata for view in split.tokens.views)


def test_damage_is_named(tmp_path):
    [shard] = write(tmp_path, [rows(20_000)])
    path = tmp_path / "train" / shard
    whole = path.read_bytes()

    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=f"^{path}: this Arrow file is damaged"):
        open_dataset(tmp_path)["train"].column("text")
    batches = list(read_stream_of(whole))
    path.write_bytes(stream_of(batches[:1]))  # cut at a batch's border: a shorter, valid stream
    with pytest.raises(DataError, match="8192 rows are here, 20000 were written"):
        open_dataset(tmp_path)["train"].column("text")
    path.unlink()
    with pytest.raises(MissingInputError, match=f"^{path}: this file of the dataset is missing"):
        open_dataset(tmp_path)["train"].column("text")


def room_for(num_bytes):
    """Let this process map so much more and no more; gives back the limits that there were."""
    gc.collect()  # what other tests have mapped mustn't make room meanwhile
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + num_bytes, before[1]))
    return before


@pytest.mark.parametrize("read", [read_stream, fetch_stream])
def test_a_file_that_there_is_no_memory_to_map_is_not_called_damaged(tmp_path, read):
    [shard] = write(tmp_path, [rows(100)])
    path = tmp_path / "train" / shard
    os.truncate(path, 2**31)  # holes behind the end of the stream
    split = open_dataset(tmp_path)["train"]

    before = room_for(2**29)
    try:
        with pytest.raises(OSError, match="Cannot allocate memory") as from_file:
            list(read(path))
        with pytest.raises(OSError, match="Cannot allocate memory") as from_split:
            split.column("text")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)

    for problem in (from_file, from_split):
        error = as_error(problem.value)
        assert error.exit_code == 75
        assert str(error).startswith(f"Cannot allocate memory: {path}. There is too little memory, or a limit on it")
    assert split.column("text").to_pylist() == rows(100).column("text").to_pylist()


def read_stream_of(data):
    return pa.ipc.open_stream(data)


def stream_of(batches):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, SCHEMA) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingInputError) as nothing:
        open_dataset(tmp_path)
    write(tmp_path, [rows(10)])
    with pytest.raises(MissingInputError) as no_split:
        open_dataset(tmp_path)["test"]
    with pytest.raises(DataError) as no_column:
        open_dataset(tmp_path)["train"].column("body")
    (tmp_path / "report.json").write_text("{")
    with pytest.raises(DataError, match="the dataset's description can't be read"):
        open_dataset(tmp_path)

    assert str(nothing.value) == f"{tmp_path}: no dataset is here (dataset_dict.json is missing)"
    assert str(no_split.value) == (
        f"{tmp_path}: there is no test split, only train. "
        "Ask for one in the prepare section, as in split: {test: 0.1}"
    )
    assert str(no_column.value) == (
        f"{tmp_path}/train: there is no column 'body'. The columns are: id, text, who, input_ids"
    )


def test_labels_are_found_in_columns_and_in_lists():
    schema = pa.schema({"label": pa.int64(), "tags": pa.list_(pa.int64())})

    described = features(schema, {"tags": ("B", "O")})

    assert Split("train", [], described, 0).labels == ("B", "O")
    assert json.loads(json.dumps(described)) == {
        "label": {"dtype": "int64", "_type": "Value"},
        "tags": {"feature": {"names": ["B", "O"], "_type": "ClassLabel"}, "_type": "List"},
    }

"""Input that was made to do harm, or might as well have been: each is a reason or a clear stop, never a crash."""

import gzip
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bmtool.config.model import validate
from bmtool.contracts import Reading
from bmtool.data.readers import csv as csv_reader
from bmtool.data.readers import lines, parquet
from bmtool.data.rows import schema_of
from bmtool.errors import DataError, MissingInputError, RefusedError
from bmtool.sources.csv import Csv
from bmtool.sources.jsonl import Jsonl
from bmtool.sources.parquet import Parquet
from bmtool.sources.text import Text
from bmtool.stages.prepare import Config as PrepareConfig

sys.path.insert(0, str(Path(__file__).parents[2]))
from reading import read_file, read_source

TEXT = {"text": "text"}


def jsonl(path):
    return Jsonl(path=str(path))


# ---------------------------------------------------------------- lines


LONG_LINE = """
import gzip, resource, sys
from bmtool.contracts import Reading
from bmtool.data.rows import schema_of
from bmtool.sources.jsonl import Jsonl

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

rejected, rows, source = [], [], Jsonl(path=sys.argv[1])
before = peak()
for piece in source.pieces("x", source.files()[0][1], ""):
    for batch in source.read(piece, Reading({}, schema_of({"text": "text"}), rejected.append)):
        rows += batch.to_pylist()
print([row["text"] for row in rows], [(one.line, one.reason) for one in rejected], peak() - before)
"""


def test_a_line_of_400_megabytes_is_rejected_in_bounded_memory(tmp_path):
    path = tmp_path / "x.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b'{"text": "before"}\n{"text": "')
        for _ in range(400):
            file.write(os.urandom(1000).hex().encode() * 525)
        file.write(b'"}\n{"text": "after"}\n')

    done = subprocess.run([sys.executable, "-c", LONG_LINE, str(path)], capture_output=True, text=True, check=True)

    found, _, more = done.stdout.strip().rpartition(" ")
    assert found == "['before', 'after'] [(2, 'a line of more than 64 MiB')]"
    assert int(more) < 300  # MiB: what is kept of the line, and copies of it


def test_broken_bytes_cost_one_row_each(tmp_path):
    path = tmp_path / "x.jsonl"
    bad = [
        b'{"text": "\xff"}',
        b'{"text": "\\u0000"}',
        b'{"text": "\\ud800"}',
        b'{"text": "x',
        b"\0\0\0\0",
        b"[" * 100_000,
    ]
    path.write_bytes(b"\n".join([b'{"text": "first"}', *bad, b'{"text": "last"}']))

    rows, rejected = read_file(jsonl(path), TEXT)

    assert {line: row["text"] for line, row in rows.items()} == {1: "first", 8: "last"}
    assert rejected == {
        2: "invalid UTF-8",
        3: "NUL character in column 'text'",
        4: "invalid UTF-8",
        5: "broken JSON",
        6: "broken JSON",
        7: "JSON nested too deeply",
    }


def test_text_that_is_not_utf8_costs_one_row(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(b"one\ncaf\xe9\nnul\0\n\nlast\r\n")

    rows, rejected = read_file(Text(path=str(path)), TEXT)

    assert rows == {1: {"text": "one"}, 5: {"text": "last"}}
    assert rejected == {2: "invalid UTF-8", 3: "NUL character in column 'text'"}


def test_a_missing_column_in_the_third_file_names_file_and_column(tmp_path):
    for name, row in {"a": {"text": "x", "who": "y"}, "b": {"text": "x", "who": None}, "c": {"text": "x"}}.items():
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
        (tmp_path / f"{name}.csv").write_text(",".join(row) + "\n" + ",".join(str(one or "") for one in row.values()))
        pq.write_table(pa.Table.from_pylist([row]), tmp_path / f"{name}.parquet")

    for source in (Jsonl, Csv, Parquet):
        ending = source.suffixes[0]
        for name in "ab":
            read_source(source(path=f"{tmp_path}/{name}{ending}"), {"text": "text", "who": "extra"})
        with pytest.raises(DataError) as error:
            read_source(source(path=f"{tmp_path}/c{ending}"), {"text": "text", "who": "extra"})

        assert str(error.value).startswith(f"{tmp_path}/c{ending}: there is no column 'who'. Its columns are: text.")


# ---------------------------------------------------------------- CSV


def test_a_quote_that_is_never_closed_costs_no_more_than_the_limit_and_every_line_is_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_reader, "MAX_ROW_LINES", 10)
    path = tmp_path / "x.csv"
    path.write_text('text,n\nfirst,1\n"never closed,2\n' + "".join(f"row {n},{n}\n" for n in range(4, 31)))

    rows, rejected = read_file(Csv(path=str(path)), {"text": "text", "n": "extra"})

    assert sorted(rows) == [2, *range(13, 31)]
    assert set(rejected) == set(range(3, 13))
    assert set(rejected.values()) == {"broken CSV: a quote that isn't closed within 10 lines (lines 3 to 12)"}


def test_a_row_of_many_lines_is_bounded_too(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_reader, "MAX_LINE_BYTES", 100)
    path = tmp_path / "x.csv"
    path.write_text('text\n"' + "x" * 60 + "\n" + "y" * 60 + '"\nlast\n')

    rows, rejected = read_file(Csv(path=str(path)), TEXT)

    assert [row["text"] for row in rows.values()][-1] == "last"
    assert rejected[2] == "broken CSV: a row of more than 64 MiB (lines 2 to 3)"


# ---------------------------------------------------------------- files


def test_an_empty_file_is_fine_beside_others(tmp_path):
    for name in ("a.jsonl", "b.jsonl.gz", "c.csv", "d.txt"):
        (tmp_path / name).write_bytes(gzip.compress(b"") if name.endswith("gz") else b"")
    (tmp_path / "z.jsonl").write_text('{"text": "x"}\n')

    assert len(read_source(jsonl(tmp_path), TEXT)[0]) == 1
    assert read_source(Csv(path=f"{tmp_path}/c.csv"), TEXT) == ([], [])
    assert read_source(Text(path=f"{tmp_path}/d.txt"), TEXT) == ([], [])


def test_a_folder_means_its_files_of_this_kind(tmp_path):
    for name in ("b.jsonl", "sub/a.JSONL.zst", "sub/note.txt", ".hidden/c.jsonl", "sub/.d.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    assert [name for name, _ in jsonl(tmp_path).files()] == ["b.jsonl", "sub/a.JSONL.zst"]
    with pytest.raises(MissingInputError) as error:
        Csv(path=str(tmp_path)).files()
    assert str(error.value).startswith(f"{tmp_path}: there is no file that ends with .csv, .tsv in this folder")


@pytest.mark.parametrize("pattern", ["", "/*.jsonl", "/**/*.jsonl", "/*/*"])
def test_a_link_that_leads_outside_is_refused_unless_it_was_named(tmp_path, pattern):
    inside = tmp_path / "data" / "sub"
    inside.mkdir(parents=True)
    (inside.parent / "a.jsonl").touch()
    (tmp_path / "secret.jsonl").touch()
    (inside / "b.jsonl").symlink_to(tmp_path / "secret.jsonl")
    (inside.parent / "b.jsonl").symlink_to(tmp_path / "secret.jsonl")

    with pytest.raises(RefusedError) as error:
        jsonl(f"{inside.parent}{pattern}").files()

    assert "b.jsonl: this link leads outside of" in str(error.value)
    assert [name for name, _ in jsonl(inside / "b.jsonl").files()] == ["b.jsonl"]


def test_a_linked_folder_that_leads_outside_is_refused_and_a_circle_is_read_once(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.jsonl").touch()
    (data / "again").symlink_to(data)

    assert [name for name, _ in jsonl(data).files()] == ["a.jsonl"]
    assert [name for name, _ in jsonl(f"{data}/**/*.jsonl").files()] == ["a.jsonl"]
    (data / "outside").symlink_to(tmp_path)
    with pytest.raises(RefusedError):
        jsonl(data).files()


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    (tmp_path / "a.jsonl").touch()
    (tmp_path / "b.jsonl").symlink_to(tmp_path / "gone")

    for path in (tmp_path, tmp_path / "*.jsonl"):
        with pytest.raises(MissingInputError, match=r"b.jsonl: this link leads nowhere$"):
            jsonl(path).files()


def test_pipes_and_devices_are_refused(tmp_path):
    os.mkfifo(tmp_path / "x.jsonl")

    for path in (tmp_path, tmp_path / "*.jsonl", tmp_path / "x.jsonl", "/dev/zero"):
        with pytest.raises(RefusedError, match="this is no regular file"):
            jsonl(path).files()


def test_a_name_that_can_not_be_printed_is_shown_in_ascii(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9\n.jsonl")).touch()

    with pytest.raises(DataError) as error:
        jsonl(tmp_path).files()

    assert str(error.value).startswith(r"'caf\udce9\n.jsonl': a file's name holds characters")


def test_a_file_that_is_matched_twice_is_read_once(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n')
    (tmp_path / "b.jsonl").symlink_to(tmp_path / "a.jsonl")
    source = Jsonl(path=(f"{tmp_path}/*.jsonl", str(tmp_path), f"{tmp_path}/a.jsonl"))

    assert [name for name, _ in source.files()] == ["a.jsonl"]


# ---------------------------------------------------------------- Parquet


def test_a_value_that_stands_in_every_row_does_not_fill_the_memory(tmp_path):
    path = tmp_path / "x.parquet"
    index = pa.array([0] * 3000, pa.int32())
    pq.write_table(pa.table({"text": pa.DictionaryArray.from_arrays(index, pa.array(["x" * 20_000_000]))}), path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(DataError, match=r"unpacks from [0-9,]+ to more than [0-9,]+ bytes"):
        _count(Parquet(path=str(path)))

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 900 * 1024


def _count(source):
    """Rows of the only file, of which no batch is kept."""
    [(name, path)] = source.files()
    reading = Reading({}, schema_of(TEXT), lambda _: None)
    return sum(batch.num_rows for piece in source.pieces(name, path, "") for batch in source.read(piece, reading))


def test_row_groups_are_read_in_pieces_with_their_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "PIECE_BYTES", 4000)
    path = tmp_path / "x.parquet"
    pq.write_table(
        pa.table({"text": [f"text {n}" if n != 777 else None for n in range(1000)]}), path, row_group_size=100
    )
    source = Parquet(path=str(path))

    pieces = list(source.pieces("x", path, "sha"))
    rows, rejected = read_file(source, TEXT)

    assert len(pieces) > 2
    assert [piece.part[0] for piece in pieces] == [0, *(piece.part[1] for piece in pieces[:-1])]
    assert rows == {n + 1: {"text": f"text {n}"} for n in range(1000) if n != 777}
    assert rejected == {778: "no value in column 'text'"}


SHORTER = """
import os, sys
from bmtool.contracts import Reading
from bmtool.data.rows import schema_of
from bmtool.errors import DataError
from bmtool.sources.parquet import Parquet

[(name, path)] = Parquet(path=sys.argv[1]).files()
[piece] = Parquet(path=sys.argv[1]).pieces(name, path, "sha")
batches = Parquet(path=sys.argv[1]).read(piece, Reading({}, schema_of({"text": "text"}), print))
next(batches)
os.truncate(path, 1000)
try:
    print(sum(batch.num_rows for batch in batches))
except DataError as error:
    print(error)
"""


def test_a_parquet_file_that_gets_shorter_while_it_is_read_is_an_error_and_kills_nobody(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(
        pa.table({"text": [os.urandom(500).hex() for _ in range(20_000)]}),
        path,
        row_group_size=5000,
        compression="none",
        use_dictionary=False,
    )

    done = subprocess.run([sys.executable, "-c", SHORTER, str(path)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{path}: this Parquet file ")


# ---------------------------------------------------------------- joined columns


def test_columns_are_joined_by_a_line_break(tmp_path):
    rows = [{"title": "T", "body": "B"}, {"title": None, "body": "B"}, {"title": "T", "body": ""}, {"title": None}]
    rows[3]["body"] = None
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "x.csv").write_text("title,body\nT,B\n,B\nT,\n,\n")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")

    for source, first in ((Jsonl, 1), (Csv, 2), (Parquet, 1)):
        path = f"{tmp_path}/x{source.suffixes[0]}"
        found, rejected = read_file(source(path=path), TEXT, {"text": ("title", "body")})

        assert [row["text"] for row in found.values()] == ["T\nB", "B", "T"]
        assert rejected == {first + 3: "no value in column 'title + body'"}


def test_a_source_takes_lists_of_columns():
    source = validate(Jsonl, {"path": "x.jsonl", "columns": {"text": ["title", "body"]}})

    assert source.columns == {"text": ("title", "body")}


def test_blank_lines_are_no_rows_and_keep_their_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "PIECE_BYTES", 7)
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "a"}\n\n{"text": "b"}\n')

    assert read_file(jsonl(path), TEXT) == ({1: {"text": "a"}, 3: {"text": "b"}}, {})


def test_a_dataset_takes_lists_of_columns_for_all_its_sources():
    config = validate(PrepareConfig, {"sources": "x.jsonl", "columns": {"text": ["title", "body"], "who": "author"}})

    assert config.columns == {"text": ("title", "body"), "who": "author"}

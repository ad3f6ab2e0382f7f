"""The first pass over all sources: what it adds up, what it refuses, where it keeps its work."""

import json
import sys
from pathlib import Path

import pytest
from bmtool.config.model import validate
from bmtool.data.passes import units
from bmtool.data.passes.collect import check_rows, collect, shelf_of
from bmtool.data.readers import lines
from bmtool.data.readers.advice import CONVERT, TO_LINES
from bmtool.errors import DataError
from bmtool.stages import prepare

sys.path.insert(0, str(Path(__file__).parents[2]))
from conftest import job_for


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Three lines a piece, two pieces a unit."""
    monkeypatch.setattr(lines, "PIECE_BYTES", 100)
    monkeypatch.setattr(units, "UNIT_BYTES", 150)


def write(path, rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return str(path)


def collected(folder, sources, **more):
    plan = {"sources": sources, "columns": {"text": "body", "author": "author"}, **more}
    return collect(prepare.row_rules(validate(prepare.Config, plan), {}), job_for(folder / "out"))


def rows(count, **more):
    return [{"body": f"text number {n}", "author": f"a{n}", **more} for n in range(count)]


def test_units_follow_each_other_without_a_gap(tmp_path):
    found = collected(tmp_path, [write(tmp_path / "a.jsonl", rows(20)), write(tmp_path / "b.jsonl", rows(5))])

    assert len(found.units) > 4
    assert [unit.start for unit in found.units[1:]] == [unit.rows.stop for unit in found.units[:-1]]
    assert (found.num_rows, found.ledger.rows_in, found.ledger.rows_out) == (25, 25, 25)
    texts = [text for unit in found.units for batch in unit.batches() for text in batch.column("text").to_pylist()]
    assert texts == [f"text number {n}" for n in [*range(20), *range(5)]]
    assert {index: one["rows"] for index, one in found.by_source.items()} == {0: 20, 1: 5}


def test_a_source_without_rows_is_counted_with_nothing(tmp_path):
    found = collected(tmp_path, [write(tmp_path / "a.jsonl", []), write(tmp_path / "b.jsonl", rows(2))])

    assert found.by_source[0] == {"rows_in": 0, "rows": 0, "bytes": 0, "words": 0}


def test_a_column_that_a_whole_file_lacks_is_refused_with_the_files_name(tmp_path):
    good = write(tmp_path / "a.jsonl", rows(20))
    other = write(tmp_path / "b.jsonl", [{"title": f"text {n}", "author": "x"} for n in range(20)])

    with pytest.raises(DataError) as error:
        collected(tmp_path, [good, other])

    assert str(error.value) == (
        f"{other}: there is no column 'body'. Its columns are: title, author. "
        "Say which one is 'text' under 'columns', as in columns: {text: NAME}"
    )


def test_a_column_that_some_pieces_of_a_file_lack_only_costs_those_rows(tmp_path):
    mixed = [*rows(10), *({"author": "x", "title": f"{n}"} for n in range(10))]

    found = collected(tmp_path, write(tmp_path / "a.jsonl", mixed))

    assert found.ledger.dropped["no value in column 'body'"] == 10


def test_a_file_in_which_no_line_can_be_read_is_quarantined_line_by_line(tmp_path):
    found = collected(tmp_path, [write(tmp_path / "a.jsonl", ["{"] * 9), write(tmp_path / "b.jsonl", rows(2))])

    assert found.rejected_by_file == {"a.jsonl": 9}
    noted = [json.loads(line) for line in (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()]
    assert [(one["file"], one["line"]) for one in noted] == [("a.jsonl", n) for n in range(1, 10)]


def test_no_rows_at_all_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"^no row is left: the sources hold none$"):
        check_rows(collected(tmp_path, write(tmp_path / "a.jsonl", [])))


def test_where_no_row_can_be_read_the_first_reason_is_told(tmp_path):
    write(tmp_path / "a.jsonl", [{"body": ["a", "list"], "author": "x"}] * 3)

    with pytest.raises(DataError) as error:
        check_rows(collected(tmp_path, [str(tmp_path / "a.jsonl")]))

    assert str(error.value) == (
        "no row is left: 3 came in; dropped: 3 wrong type in column 'body'. "
        "The first is a.jsonl, line 1: wrong type in column 'body': expected text, got a list"
    )


@pytest.mark.parametrize("layout", [None, 1])
def test_where_a_file_is_one_list_of_rows_it_is_told_how_to_make_lines_of_it(tmp_path, layout):
    (tmp_path / "a.jsonl").write_text(json.dumps([{"body": "hello there", "author": "me"}], indent=layout))

    with pytest.raises(DataError) as error:
        check_rows(collected(tmp_path, [str(tmp_path / "a.jsonl")]))

    assert str(error.value).endswith(f". {TO_LINES}")


def test_where_a_file_is_in_another_encoding_it_is_told_how_to_convert_it(tmp_path):
    (tmp_path / "a.csv").write_bytes("body,author\n你好,他\n再见,她\n".encode("gb18030"))

    with pytest.raises(DataError) as error:
        check_rows(collected(tmp_path, [str(tmp_path / "a.csv")]))

    assert str(error.value) == (
        f"no row is left: 2 came in; dropped: 2 invalid UTF-8. The first is a.csv, line 2: invalid UTF-8. {CONVERT}"
    )


def test_without_a_store_work_is_kept_with_the_run(tmp_path):
    collected(tmp_path, write(tmp_path / "a.jsonl", rows(3)))

    kept = shelf_of(job_for(tmp_path / "out"))
    assert kept == tmp_path / "out" / "checkpoints" / "cache"
    assert list(kept.glob("rows/*/*/facts.json"))


def test_a_name_that_is_no_text_stops_nothing_and_what_is_no_name_is_not_written_down(tmp_path):
    strange = ['{"body": {"\\ud800": "x"}, "author": "b"}', '{"body": {"who@example.org": "x"}, "author": "b"}']

    found = collected(tmp_path, write(tmp_path / "a.jsonl", [*rows(2), *strange, {"body": {"de": "x"}}]))

    noted = [json.loads(line) for line in (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()]
    assert (found.ledger.rows_in, found.ledger.rows_out) == (5, 2)
    assert [one["reason"].partition("got ")[2] for one in noted] == [
        "a mapping",
        "a mapping",
        "a mapping. Name a part of it, such as body.de",
    ]


def test_the_names_of_columns_can_be_printed_whatever_they_are(tmp_path):
    with pytest.raises(DataError) as error:
        collected(tmp_path, write(tmp_path / "a.jsonl", ['{"bod\\ud800": "x", "author": "b", "\\u001b": 1}']))

    assert str(error.value).encode().endswith(b"as in columns: {text: NAME}")
    assert "Its columns are: 'bod\\ud800', author, '\\x1b'." in str(error.value)


def test_the_same_file_in_two_sources_is_not_called_resumed(tmp_path):
    paths = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        paths.append(write(tmp_path / folder / "x.jsonl", rows(3)))
    plan = {"sources": paths, "columns": {"text": "body", "author": "author"}}
    rules, job = prepare.row_rules(validate(prepare.Config, plan), {}), job_for(tmp_path / "out")

    found = collect(rules, job)
    first = list(job.console.lines)
    collect(rules, job)

    assert found.num_rows == 6
    assert [line for line in first if line.startswith("resumed")] == []
    assert "resumed: 6 rows were read already (2 of 2 parts)" in job.console.lines

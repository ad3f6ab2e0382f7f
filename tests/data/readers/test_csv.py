import csv
import io
import sys
from pathlib import Path

import pytest
from bmtool.config.model import ValidationError, validate
from bmtool.data.readers import csv as csv_reader
from bmtool.sources.csv import Csv
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2]))
from reading import read_file

KINDS = {"a": "extra", "b": "extra"}

cells = st.text(alphabet='xy",\n\r é', max_size=6)
written = st.lists(st.lists(cells, min_size=1, max_size=3), max_size=8).map(
    lambda rows: "".join(",".join(_quoted(cell) for cell in row) + "\n" for row in rows)
)
any_text = st.one_of(st.text(alphabet='x",\n\r é', max_size=60), written)


def _quoted(cell):
    return '"' + cell.replace('"', '""') + '"' if set(cell) & set('",\n\r') else cell


def by_python(text):
    """({line: row}, the lines of rows that can't be read) by Python's reader."""
    reader = csv.reader(io.StringIO(text, newline="\n"), strict=True)
    rows, bad = {}, set()
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return rows, bad
        except csv.Error:
            bad |= set(range(line, reader.line_num + 1))
            continue
        if len(row) == 2:
            rows[line] = {"a": row[0] or None, "b": row[1] or None}
        elif row:
            bad.add(line)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(any_text)
@example('"x""y",""\r\n\r\n"a\nb",c')
@example('x"y,"z\n",\n')
@example('"\n')
def test_rows_and_what_is_wrong_with_them_are_those_of_pythons_reader(tmp_path, text):
    path = tmp_path / "x.csv"
    path.write_bytes(b"a,b\n" + text.encode())

    rows, rejected = read_file(Csv(path=str(path)), KINDS)

    expected, bad = by_python("a,b\n" + text)
    assert rows == {line: row for line, row in expected.items() if line > 1}
    assert set(rejected) == bad


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written)
def test_the_rows_are_the_same_however_the_file_is_cut(tmp_path, text):
    path = tmp_path / "x.csv"
    path.write_bytes(b'"a",b\n' + text.encode())
    source = Csv(path=str(path))
    whole = read_file(source, KINDS)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_reader, "PIECE_BYTES", 20)
        pieces = list(source.pieces("x.csv", path, ""))
        in_pieces = read_file(source, KINDS)

    assert in_pieces == whole
    assert all(piece.data.startswith(b'"a",b\n') for piece in pieces)
    assert len(pieces) >= len(text) // 60


def test_rows_that_are_appended_leave_all_pieces_but_the_last_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_reader, "PIECE_BYTES", 100)
    path, source = tmp_path / "x.csv", Csv(path=str(tmp_path / "x.csv"))
    content = b"a,b\n" + b"".join(b'%d,"two\nlines"\n' % number for number in range(40))

    path.write_bytes(content)
    before = [piece.key for piece in source.pieces("x", path, "")]
    path.write_bytes(content + b'"more\n",1\n' * 20)
    after = [piece.key for piece in source.pieces("x", path, "")]

    assert len(after) > len(before) > 3
    assert after[: len(before) - 1] == before[:-1]


def test_a_quote_that_is_never_closed_is_cut_and_no_line_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_reader, "PIECE_BYTES", 100)
    monkeypatch.setattr(csv_reader, "MAX_LINE_BYTES", 300)
    path = tmp_path / "x.csv"
    path.write_bytes(b"a,b\n1,2\n" + b'"never,closed\n' + b"row,x\n" * 500)

    rows, rejected = read_file(Csv(path=str(path)), KINDS)

    assert set(rows) | set(rejected) == set(range(2, 504))
    assert len(rows) > 400


@pytest.mark.parametrize("delimiter", ["\u3001", '"', "\n"])
def test_a_delimiter_that_can_not_be_one_is_refused(delimiter):
    with pytest.raises(ValidationError, match=r"can't separate fields. Use a character of ASCII"):
        validate(Csv, {"path": "x.csv", "delimiter": delimiter})


# ---------------------------------------------------------------- numbers and lists


def written_csv(tmp_path, *lines, **settings):
    path = tmp_path / "x.csv"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines) + b"\n")
    return Csv(path=str(path), **settings)


def test_a_decimal_comma_is_read_where_it_is_declared_and_a_point_is_not(tmp_path):
    lines = ["score;text", "0,5;a", "7;b", "1.234;c", "1.234,5;d", "-,25;e", ";f"]

    rows, rejected = read_file(written_csv(tmp_path, *lines, delimiter=";", decimal=","), {"score": "number"})

    assert {line: row["score"] for line, row in rows.items()} == {2: 0.5, 3: 7.0, 6: -0.25}
    assert rejected == dict.fromkeys([4, 5, 7], "no number in column 'score'")


def test_an_undeclared_decimal_comma_is_named(tmp_path):
    rows, rejected = read_file(written_csv(tmp_path, "score;text", "0,5;a", "7;b", delimiter=";"), {"score": "number"})

    assert rows == {3: {"score": 7.0}}
    assert rejected == {2: "a decimal comma in column 'score'"}


def test_bytes_that_are_no_text_in_the_place_of_a_number_are_rejected(tmp_path):
    rows, rejected = read_file(written_csv(tmp_path, "score,text", b"\xff1,a", "7,b"), {"score": "number"})

    assert rows == {3: {"score": 7.0}}
    assert rejected == {2: "invalid UTF-8"}


def test_members_of_lists_are_split_where_it_is_declared_by_what(tmp_path):
    lines = ["labels,text", "a;b,x", " a ; ;c;,x", ",x", b"\xff;b,x", ";,x"]

    rows, rejected = read_file(written_csv(tmp_path, *lines, list_separator=";"), {"labels": "labels", "text": "text"})

    assert {line: row["labels"] for line, row in rows.items()} == {2: ["a", "b"], 3: ["a", "c"], 4: [], 6: []}
    assert rejected == {5: "invalid UTF-8"}


def test_words_and_tags_may_be_separated_by_spaces_and_neither_may_be_missing(tmp_path):
    lines = ["words,tags", "Anna  lives here,B-PER O O", "one two,O", ",O", "one,"]

    rows, rejected = read_file(written_csv(tmp_path, *lines, list_separator=" "), {"words": "words", "tags": "tags"})

    assert rows == {2: {"words": ["Anna", "lives", "here"], "tags": ["B-PER", "O", "O"]}}
    assert rejected == {
        3: "lists of different lengths",
        4: "no value in column 'words'",
        5: "no value in column 'tags'",
    }


@pytest.mark.parametrize("piece_bytes", [2**24, 6])
def test_empty_lines_before_the_header_take_no_row_along(tmp_path, monkeypatch, piece_bytes):
    monkeypatch.setattr(csv_reader, "PIECE_BYTES", piece_bytes)
    path = tmp_path / "x.csv"
    path.write_bytes(b"\n\r\na,b\nx,y\nz\n")

    rows, rejected = read_file(Csv(path=str(path)), KINDS)

    assert rows == {4: {"a": "x", "b": "y"}}
    assert rejected == {5: "wrong number of fields: 1, the header has 2"}

import csv
import gzip
import json
import sys
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bmtool.data.readers import csv as csv_reader
from bmtool.data.readers import json_line, lines, parquet_limits
from bmtool.data.readers.advice import CONVERT
from bmtool.errors import DataError
from bmtool.sources.csv import Csv
from bmtool.sources.jsonl import Jsonl
from bmtool.sources.parquet import Parquet

sys.path.insert(0, str(Path(__file__).parents[2]))
from reading import read_file, read_pieces

TEXT_LABEL = {"text": "text", "label": "label"}


def read(source, path, kinds=TEXT_LABEL, mapping=None, **options):
    """(rows, {line: reason})."""
    rows, rejected = read_file(source(path=str(path), **options), kinds, mapping)
    return list(rows.values()), rejected


# ---------------------------------------------------------------- jsonl


def test_jsonl_rejects_each_bad_line_by_name(tmp_path):
    path = tmp_path / "x.jsonl"
    lines = [
        b'{"text": "good", "label": "a", "more": [1]}',
        b"",
        b'{"text": "cut off',
        b"\xff\xfe broken",
        b"[" * 50_000,
        b'["no", "object"]',
        b'{"text": NaN, "label": "a"}',
        b'{"label": "a"}',
        b'{"text": "caf\\u00e9 \\ud83d\\ude00", "label": 2}',
        b'{"text": "' + b"9" * 10 + b'", "label": ' + b"9" * 5000 + b"}",
    ]
    path.write_bytes(b"\n".join(lines))

    rows, rejected = read(Jsonl, path)

    assert rows == [{"text": "good", "label": "a"}, {"text": "café 😀", "label": "2"}]
    assert rejected == {
        3: "broken JSON",
        4: "invalid UTF-8",
        5: "JSON nested too deeply",
        6: "not a JSON object",
        7: "broken JSON: NaN is no value of JSON; a missing one is null",
        8: "no value in column 'text'",
        10: "broken JSON",
    }


def test_jsonl_reads_deeply_nested_values_that_nobody_asked_for_or_rejects_them(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "t", "label": "a", "deep": ' + '{"a":' * 20_000 + "1" + "}" * 20_000 + "}\n")

    rows, rejected = read(Jsonl, path)

    assert len(rows) + len(rejected) == 1


def test_jsonl_says_which_columns_there_are_when_one_is_missing(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"body": "t", "stars": 1}\n{"body": "u", "stars": 2}\n')

    with pytest.raises(DataError) as error:
        read(Jsonl, path, mapping={"label": "stars"})

    assert str(error.value) == (
        f"{path}: there is no column 'text'. Its columns are: body, stars. "
        "Say which one is 'text' under 'columns', as in columns: {text: NAME}"
    )


def test_a_missing_part_of_a_joined_column_is_named_within_its_list(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"title": "t", "bodies": "b", "label": "a"}\n')

    with pytest.raises(DataError) as error:
        read(Jsonl, path, mapping={"text": ("title", "body")})
    with pytest.raises(DataError) as both:
        read(Jsonl, path, mapping={"text": ("head", "rest")})

    assert str(error.value).endswith("Say which one is 'text' under 'columns', as in columns: {text: [title, bodies]}")
    assert str(both.value).endswith("Say which one is 'text' under 'columns', as in columns: {text: [NAME, NAME]}")


def test_a_file_without_rows_is_no_error_of_its_own(tmp_path):
    for name, reader in {"x.jsonl": Jsonl, "x.csv": Csv}.items():
        (tmp_path / name).touch()

        assert read(reader, tmp_path / name) == ([], {})


def test_batches_stay_small(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps({"text": "t" * 1000, "label": "a"}) + "\n" for _ in range(9000)))

    source = Jsonl(path=str(path))
    batches, _ = read_pieces(source, list(source.pieces("x", path, "")), TEXT_LABEL)

    assert sum(batch.num_rows for batch in batches) == 9000
    assert max(batch.nbytes for batch in batches) < 4.2 * 1024 * 1024


def test_a_line_without_end_is_rejected(tmp_path, monkeypatch):
    for module in (lines, json_line, csv_reader):
        monkeypatch.setattr(module, "MAX_LINE_BYTES", 100)
    for module in (lines, csv_reader):
        monkeypatch.setattr(module, "PIECE_BYTES", 50)
    (tmp_path / "x.jsonl").write_text('{"text": "' + "x" * 500 + '", "label": "a"}\n{"text": "t", "label": "a"}\n')
    (tmp_path / "x.csv").write_text("text,label\n" + "x" * 500 + ",a\nt,a\n")

    assert read(Jsonl, tmp_path / "x.jsonl") == (
        [{"text": "t", "label": "a"}],
        {1: "a line of more than 64 MiB"},
    )
    assert read(Csv, tmp_path / "x.csv") == (
        [{"text": "t", "label": "a"}],
        {2: "broken CSV: a line of more than 64 MiB (lines 2 to 2)"},
    )


# ---------------------------------------------------------------- csv


def test_csv_reads_quotes_line_breaks_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('\ufefflabel,text\n5,"two\nlines, ""quoted"""\n05,plain\n', encoding="utf-8")

    assert read(Csv, path) == (
        [{"text": 'two\nlines, "quoted"', "label": "5"}, {"text": "plain", "label": "05"}],
        {},
    )


def test_csv_rejects_each_bad_row_by_name(tmp_path):
    path = tmp_path / "x.csv"
    rows = [
        b"text,label",
        b"good,a",
        b"too,many,fields",
        b"few",
        b"bad \xff bytes,a",
        b"no label,",
        b'"closed" and on,a',
        b"nul \0,a",
        b"fine,b",
        b'"never closed,a',
        b"swallowed,a",
    ]
    path.write_bytes(b"\n".join(rows))

    kept, rejected = read(Csv, path)

    assert kept == [{"text": "good", "label": "a"}, {"text": "fine", "label": "b"}]
    assert rejected == {
        3: "wrong number of fields: 3, the header has 2",
        4: "wrong number of fields: 1, the header has 2",
        5: "invalid UTF-8",
        6: "no value in column 'label'",
        7: "broken CSV: ',' expected after '\"' (lines 7 to 7)",
        8: "NUL character in column 'text'",
        10: "broken CSV: a quote that isn't closed (lines 10 to 11)",
        11: "broken CSV: a quote that isn't closed (lines 10 to 11)",
    }


def test_csv_fields_may_be_large(tmp_path):
    path = tmp_path / "x.csv"
    with path.open("w") as handle:
        csv.writer(handle).writerows([["text", "label"], ["x" * 500_000, "a"]])

    rows, _ = read(Csv, path)

    assert len(rows[0]["text"]) == 500_000


def test_tsv_is_split_at_tabs_and_a_delimiter_can_be_given(tmp_path):
    (tmp_path / "x.tsv.gz").write_bytes(gzip.compress(b"text\tlabel\na, b\tc\n"))
    (tmp_path / "x.csv").write_bytes(b"text;label\na, b;c\n")

    assert read(Csv, tmp_path / "x.tsv.gz")[0] == [{"text": "a, b", "label": "c"}]
    assert read(Csv, tmp_path / "x.csv", delimiter=";")[0] == [{"text": "a, b", "label": "c"}]


def test_a_header_that_is_not_text_is_said_without_showing_its_bytes(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"re\xffview,\x9f\n1,2\n")

    with pytest.raises(DataError) as error:
        read(Csv, path)

    assert str(error.value) == f"{path}:1: the header line isn't UTF-8 text. Is this CSV? {CONVERT}"


@pytest.mark.parametrize(("delimiter", "shown"), [(";", ";"), ("\t", "\\t"), ("|", "|")])
def test_a_csv_with_another_delimiter_is_told_which_one_and_where_to_say_so(tmp_path, delimiter, shown):
    path = tmp_path / "x.csv"
    path.write_text(f"\ufefftext{delimiter}label\na{delimiter}c\n")

    with pytest.raises(DataError) as error:
        read(Csv, path)

    assert str(error.value) == (
        f"{path}:1: the header has one column only, and '{shown}' in it. If that stands between columns, say so, "
        f'as in sources: {{type: csv, path: {path}, delimiter: "{shown}"}}'
    )
    assert read(Csv, path, delimiter=delimiter)[0] == [{"text": "a", "label": "c"}]


def test_a_quoted_header_with_another_delimiter_is_told_to_name_it(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('"text";"label"\n"a";"c"\n')

    with pytest.raises(DataError) as error:
        read(Csv, path)

    assert str(error.value) == (
        f"{path}:1: the header line can't be read: ',' expected after '\"'. Is this CSV? If another character stands "
        f"between its columns, say so, as in sources: {{type: csv, path: {path}, delimiter: ';'}}"
    )


def test_csv_errors_of_the_whole_file_are_named(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("review,stars,stars\na,1,1\n")

    with pytest.raises(DataError) as missing:
        read(Csv, path)
    with pytest.raises(DataError) as twice:
        read(Csv, path, mapping={"text": "review", "label": "stars"})
    with pytest.raises(DataError) as lists:
        read(Csv, path, kinds={"words": "words"})

    assert str(missing.value) == (
        f"{path}: there is no column 'label' and no column 'text'. Its columns are: review, stars, stars. "
        "Say which one is 'label' and which one is 'text' under 'columns', as in columns: {label: NAME, text: NAME}"
    )
    assert str(twice.value) == f"{path}:1: the header names 'stars' more than once"
    assert str(lists.value) == (
        "column 'words' holds lists. Say what stands between their members, as in sources: {type: csv, path: "
        f'{tmp_path}/x.csv, list_separator: ";"}}, or use jsonl or parquet'
    )


# ---------------------------------------------------------------- parquet


def write_parquet(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_labels_become_text(tmp_path):
    texts = ["a", "b", "c"]
    for number, (values, expected) in enumerate(
        [
            ([1, 2, 3], ["1", "2", "3"]),
            ([1.0, 2.5, 3.0], ["1", "2.5", "3"]),
            ([True, False, True], ["true", "false", "true"]),
            ([Decimal("1.00"), Decimal("2.50"), Decimal("30.00")], ["1", "2.5", "30"]),
            (
                pa.array(["123456789012345678901234567890.5", "-0.0", "7.0"]).cast(pa.decimal128(38, 1)),
                ["123456789012345678901234567890.5", "0", "7"],
            ),
            (pa.array(["x", "y", "x"]).dictionary_encode(), ["x", "y", "x"]),
            (pa.array(["x", "y", "z"], pa.large_string()), ["x", "y", "z"]),
        ]
    ):
        path = write_parquet(tmp_path / f"{number}.parquet", body=texts, label=values)

        rows, rejected = read(Parquet, path, mapping={"text": "body"})

        assert [row["label"] for row in rows] == expected
        assert rejected == {}


def test_a_time_zone_that_nobody_knows_is_named(tmp_path):
    times = pa.array([0, 1], pa.timestamp("us", "Mars/Base"))
    path = write_parquet(tmp_path / "x.parquet", text=["a", "b"], label=times)

    with pytest.raises(DataError, match=r"column 'label' is timestamp\[us, tz=Mars/Base\]: .*Mars/Base"):
        read_file(Parquet(path=str(path)), {"text": "text", "label": "label"})


def test_parquet_rejects_rows_by_number(tmp_path):
    bad = pa.Array.from_buffers(
        pa.string(), 4, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5\0\0\0"), pa.py_buffer(b"ok\xffxy")]
    )
    path = write_parquet(tmp_path / "x.parquet", text=bad, label=pa.array([1.0, 2.0, float("nan"), 4.0]))

    rows, rejected = read(Parquet, path)

    assert rows == [{"text": "ok", "label": "1"}, {"text": "y", "label": "4"}]
    assert rejected == {2: "invalid UTF-8", 3: "no value in column 'label'"}


def test_parquet_reads_lists(tmp_path):
    path = write_parquet(tmp_path / "x.parquet", words=[["a", "b"], None, ["c"]], tags=[[0, 1], [1], [0]])

    rows, rejected = read(Parquet, path, kinds={"words": "words", "tags": "tags"})

    assert rows == [{"words": ["a", "b"], "tags": ["0", "1"]}, {"words": ["c"], "tags": ["0"]}]
    assert rejected == {2: "no value in column 'words'"}


def test_parquet_errors_of_the_whole_file_are_named(tmp_path):
    path = write_parquet(tmp_path / "x.parquet", text=[1, 2], label=["a", "b"])
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(path.read_bytes()[:-30])

    with pytest.raises(DataError) as wrong_type:
        read(Parquet, path)
    with pytest.raises(DataError, match=f"^{path}: there is no column 'who'"):
        read(Parquet, path, kinds={"who": "extra"})
    with pytest.raises(DataError, match=f"^{broken}: this Parquet file can't be read"):
        read(Parquet, broken)

    assert str(wrong_type.value) == f"{path}: column 'text' is int64: expected text"


def test_a_parquet_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    path = write_parquet(tmp_path / "x.parquet", text=["a" * 100_000] * 50, label=["a"] * 50)
    monkeypatch.setattr(parquet_limits, "BOMB_BYTES", 10_000)
    monkeypatch.setattr(parquet_limits, "BOMB_FACTOR", 2)

    with pytest.raises(DataError, match=f"^{path}: column 'text' unpacks from [0-9,]+ to [0-9,]+ bytes"):
        read(Parquet, path)


def test_the_same_rows_come_from_every_format(tmp_path):
    rows = [{"text": f"text {i}", "label": str(i % 3)} for i in range(3000)]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with (tmp_path / "x.csv").open("w") as handle:
        writer = csv.DictWriter(handle, ["text", "label"])
        writer.writeheader()
        writer.writerows(rows)
    write_parquet(tmp_path / "x.parquet", text=[r["text"] for r in rows], label=[int(r["label"]) for r in rows])

    assert read(Jsonl, tmp_path / "x.jsonl")[0] == rows
    assert read(Csv, tmp_path / "x.csv")[0] == rows
    assert read(Parquet, tmp_path / "x.parquet")[0] == rows


# ---------------------------------------------------------------- numbers, lists of labels


NUMBERS = {"text": "text", "score": "number"}


@pytest.mark.parametrize("type_name", ["decimal", "text view"])
def test_parquet_numbers_of_any_type_are_numbers(tmp_path, type_name):
    given = [Decimal("4.00"), None, Decimal("2.50")] if type_name == "decimal" else pa.array(["4", None, "2.5"])
    scores = pa.array(given, pa.decimal128(6, 2) if type_name == "decimal" else pa.string_view())
    path = write_parquet(tmp_path / "x.parquet", text=["a", "b", "c"], score=scores)

    rows, rejected = read(Parquet, path, NUMBERS)

    assert [row["score"] for row in rows] == [4.0, 2.5]
    assert rejected == {2: "no number in column 'score'"}


def test_numbers_are_read_from_every_format_and_what_is_none_is_rejected(tmp_path):
    (tmp_path / "x.jsonl").write_text(
        "\n".join(json.dumps({"text": "a", "score": value}) for value in [4, "2.5", "good", None])
    )
    (tmp_path / "x.csv").write_text("text,score\na,4\na,2.5\na,good\na,\n")
    pq.write_table(pa.table({"text": ["a"] * 4, "score": ["4", "2.5", "good", None]}), tmp_path / "x.parquet")

    rows, rejected = read(Jsonl, tmp_path / "x.jsonl", NUMBERS)
    assert [row["score"] for row in rows] == [4.0, 2.5]
    assert rejected == {
        3: "wrong type in column 'score': expected a number, got text",
        4: "no number in column 'score'",
    }
    for source, name, first in ((Csv, "x.csv", 2), (Parquet, "x.parquet", 1)):
        rows, rejected = read(source, tmp_path / name, NUMBERS)
        assert [row["score"] for row in rows] == [4.0, 2.5]
        assert rejected == {first + 2: "no number in column 'score'", first + 3: "no number in column 'score'"}


NESTED_ROWS = [{"text": {"body": "a", "by": {"name": "x"}}, "label": 1}, {"text": None, "label": 2}]


def written_rows(tmp_path, rows):
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    return [(Jsonl, tmp_path / "x.jsonl"), (Parquet, tmp_path / "x.parquet")]


def test_what_is_within_a_mapping_is_a_column_by_its_path(tmp_path):
    for source, path in written_rows(tmp_path, NESTED_ROWS):
        kinds = {"text": "text", "author": "extra"}
        rows, rejected = read(source, path, kinds, {"text": "text.body", "author": "text.by.name"})

        assert rows == [{"text": "a", "author": "x"}]
        assert rejected == {2: "no value in column 'text.body'"}


def test_a_column_called_with_a_point_goes_before_a_path(tmp_path):
    for source, path in written_rows(tmp_path, [{"a.b": "mine", "a": {"c": "other"}}]):
        assert read(source, path, {"text": "text"}, {"text": "a.b"})[0] == [{"text": "mine"}]


def test_a_mapping_in_the_place_of_a_text_is_met_with_the_path_to_write(tmp_path):
    (jsonl, lines), (parquet, typed) = written_rows(tmp_path, NESTED_ROWS[:1])

    assert read(jsonl, lines, {"text": "text"})[1] == {
        1: "wrong type in column 'text': expected text, got a mapping. Name a part of it, such as text.body"
    }
    with pytest.raises(DataError, match=r"expected text. Name a part of it, such as text.body$"):
        read(parquet, typed, {"text": "text"})


def test_a_path_that_no_row_has_is_a_missing_column_and_paths_are_named(tmp_path):
    for source, path in written_rows(tmp_path, NESTED_ROWS[:1]):
        with pytest.raises(DataError) as error:
            read(source, path, {"text": "text"}, {"text": "text.boddy"})

        assert "Its columns are: text, text.body, text.by, text.by.name, label." in str(error.value)
        assert str(error.value).endswith("as in columns: {text: text.body}")


def test_json_nested_deeper_than_python_calls_does_no_harm(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "a", "deep": ' + '{"a": ' * 900 + "1" + "}" * 901 + "\n")

    assert read(Jsonl, path, {"text": "text"})[0] == [{"text": "a"}]
    with pytest.raises(DataError, match=r"there is no column 'not.there'"):
        read(Jsonl, path, {"text": "text"}, {"text": "not.there"})


def test_a_broken_member_of_a_list_rejects_its_own_row_alone(tmp_path):
    broken = pa.array([b"a", b"\xff", b"c"]).view(pa.string())
    labels = pa.ListArray.from_arrays(pa.array([0, 1, 2, 3], pa.int32()), broken)
    path = write_parquet(tmp_path / "x.parquet", text=["a", "b", "c"], labels=labels)

    rows, rejected = read(Parquet, path, {"text": "text", "labels": "labels"})

    assert [row["labels"] for row in rows] == [["a"], ["c"]]
    assert rejected == {2: "invalid UTF-8"}


def test_text_in_bytes_and_lists_of_one_length_are_read_from_parquet(tmp_path):
    words = pa.array([["a", "b"], ["c", "d"], None], pa.list_(pa.string(), 2))
    path = write_parquet(tmp_path / "x.parquet", text=pa.array([b"good", b"\xff", b"x"]), words=words)

    rows, rejected = read(Parquet, path, {"text": "text", "words": "words"})

    assert rows == [{"text": "good", "words": ["a", "b"]}]
    assert rejected == {2: "invalid UTF-8", 3: "no value in column 'words'"}


def test_a_decimal_comma_is_named_in_every_format(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"text": "a", "score": "0,5"}\n{"text": "a", "score": 1}\n')
    write_parquet(tmp_path / "x.parquet", text=["a", "a"], score=["0,5", "1"])

    for source, name in ((Jsonl, "x.jsonl"), (Parquet, "x.parquet")):
        rows, rejected = read(source, tmp_path / name, NUMBERS)
        assert [row["score"] for row in rows] == [1.0]
        assert rejected == {1: "a decimal comma in column 'score'"}


def test_several_labels_of_a_row_need_not_be_as_many_as_its_words(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"words": ["a", "b"], "topics": [3]}\n{"words": ["a"], "topics": []}\n')

    rows, rejected = read(Jsonl, path, {"words": "words", "topics": "labels"})

    assert not rejected
    assert [row["topics"] for row in rows] == [["3"], []]


def test_a_number_cannot_be_joined_of_several_columns(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("text,a,b\nx,1,2\n")

    with pytest.raises(DataError, match="column 'score' holds number, which can't be joined"):
        read(Csv, path, NUMBERS, {"score": ("a", "b")})


# ---------------------------------------------------------------- answers to questions

QUESTIONS = {"question": "text", "answers": "answers"}

#: What may stand for answers, and what is read.
GIVEN = [
    ({"text": ["a b", "c"], "answer_start": [3, 9]}, {"text": ["a b", "c"], "answer_start": [3, 9]}),
    ({"text": [], "answer_start": []}, {"text": [], "answer_start": []}),
    ({"text": ["", "c"], "answer_start": [0, 9]}, {"text": ["c"], "answer_start": [9]}),
    (None, {"text": [], "answer_start": []}),
]
IN_JSON = [
    (["a", "b"], {"text": ["a", "b"], "answer_start": [-1, -1]}),
    ("東京", {"text": ["東京"], "answer_start": [-1]}),
    ([{"text": "a", "answer_start": 2}], {"text": ["a"], "answer_start": [2]}),
    ({"text": "a", "answer_start": 2.0}, {"text": ["a"], "answer_start": [2]}),
]


def test_answers_are_read_from_jsonl_in_every_form(tmp_path):
    path = tmp_path / "x.jsonl"
    rows = [{"question": "q", "answers": given} for given, _ in [*GIVEN, *IN_JSON]]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    read_rows, rejected = read(Jsonl, path, QUESTIONS)

    assert [row["answers"] for row in read_rows] == [right for _, right in [*GIVEN, *IN_JSON]]
    assert not rejected


def test_answers_that_are_something_else_are_rejected_by_row(tmp_path):
    path = tmp_path / "x.jsonl"
    wrong = [5, {"text": ["a"], "answer_start": []}, {"text": ["a"], "answer_start": ["b"]}, ["a\0"], ["\ud800"], [1]]
    path.write_text("".join(json.dumps({"question": "q", "answers": one}) + "\n" for one in wrong), encoding="utf-8")

    rows, rejected = read(Jsonl, path, QUESTIONS)

    assert not rows
    assert rejected == {
        1: "wrong type in column 'answers': expected texts, got a number",
        2: "wrong type in column 'answers': 1 texts and 0 starts",
        3: "wrong type in column 'answers': a start must be a whole number, from 0",
        4: "NUL character in column 'answers'",
        5: "invalid UTF-8",
        6: "wrong type in column 'answers': expected texts, got a number",
    }


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ([given for given, _ in GIVEN], [right for _, right in GIVEN]),
        ([["a", "b"], [], None], [IN_JSON[0][1], *[GIVEN[1][1]] * 2]),
        (["東京", "", None], [IN_JSON[1][1], *[GIVEN[1][1]] * 2]),
        ([[{"text": "a", "answer_start": 2}], []], [IN_JSON[2][1], GIVEN[1][1]]),
    ],
)
def test_answers_are_read_from_parquet_in_every_form(tmp_path, given, right):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"question": ["q"] * len(given), "answers": pa.array(given)}), path)

    rows, rejected = read(Parquet, path, QUESTIONS)

    assert [row["answers"] for row in rows] == right
    assert not rejected


#: A column of one type each: answers with places, without some, without any, and what is no answer at all.
TYPED = [
    [
        {"text": ["a"], "answer_start": [1, 2]},
        {"text": ["b"], "answer_start": [3]},
        {"text": ["b", "c"], "answer_start": None},
        {"text": ["b", "c"], "answer_start": [None, 4]},
        {"text": None, "answer_start": None},
        {"text": None, "answer_start": [1]},
        {"text": ["a", None], "answer_start": [1, 2]},
        {"text": ["a"], "answer_start": [-7]},
        {"text": ["a"], "answer_start": [2**40]},
        None,
    ],
    [{"text": "a", "answer_start": 2.0}, {"text": "a", "answer_start": 2.5}, {"text": "a", "answer_start": None}],
    [[{"text": "a", "answer_start": 2}, {"text": "b", "answer_start": None}], [{"text": None, "answer_start": 1}]],
    [["a", None], ["a"], None],
]


@pytest.mark.parametrize("given", TYPED)
def test_parquet_takes_and_rejects_the_same_answers_as_jsonl(tmp_path, given):
    lines = [json.dumps({"question": "q", "answers": one}) + "\n" for one in given]
    (tmp_path / "x.jsonl").write_text("".join(lines), encoding="utf-8")
    pq.write_table(pa.table({"question": ["q"] * len(given), "answers": pa.array(given)}), tmp_path / "x.parquet")

    from_jsonl, left_out = read(Jsonl, tmp_path / "x.jsonl", QUESTIONS)
    from_parquet, rejected = read(Parquet, tmp_path / "x.parquet", QUESTIONS)

    assert [row["answers"] for row in from_parquet] == [row["answers"] for row in from_jsonl]
    assert list(rejected) == list(left_out)
    assert set(rejected.values()) == {"no list of texts and starts in column 'answers'"}


def test_answers_of_a_type_that_is_none_are_an_error_of_the_file(tmp_path):
    path = tmp_path / "x.parquet"
    for column in (pa.array([1]), pa.array([[1]]), pa.array([{"texts": ["a"]}])):
        pq.write_table(pa.table({"question": ["q"], "answers": column}), path)

        with pytest.raises(DataError, match=r"column 'answers' is .*: expected text"):
            read(Parquet, path, QUESTIONS)


def test_csv_cannot_hold_answers(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("question,answers\nq,a\n", encoding="utf-8")

    with pytest.raises(DataError) as error:
        read(Csv, path, QUESTIONS)

    assert str(error.value) == "column 'answers' holds lists, which CSV can't. Use jsonl or parquet"


def test_a_large_batch_with_numbers_is_cut_by_its_text(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"text": ["x" * 2000] * 3000, "score": [1.5] * 3000}), path)

    rows, rejected = read(Parquet, path, {"text": "text", "score": "number"})

    assert len(rows) == 3000
    assert not rejected

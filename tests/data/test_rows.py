import pyarrow as pa
import pytest
from bmtool.contracts import Rejected
from bmtool.data.rows import BadRowError, RowBuffer, row_ids, scalar_text, schema_of, text_bytes


def batch(**columns):
    return pa.record_batch(columns)


def test_labels_are_text_whatever_they_were():
    assert [scalar_text(value) for value in ("05", 5, 5.0, 1.5, True, None)] == ["05", "5", "5", "1.5", "true", None]


@pytest.mark.parametrize("value", [[1], {"a": 1}, float("nan"), float("inf")])
def test_what_is_no_single_value_is_no_label(value):
    with pytest.raises(BadRowError):
        scalar_text(value)


def test_ids_depend_on_content_alone():
    one = batch(text=["a", "b"], label=["x", "y"])
    turned = batch(label=["y", "x"], text=["b", "a"])

    ids = row_ids(one).to_pylist()

    assert all(len(value) == 32 and int(value, 16) >= 0 for value in ids)
    assert row_ids(turned).to_pylist() == ids[::-1]
    assert row_ids(one.slice(1)).to_pylist() == ids[1:]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": ["x"], "b": ["yz"]}, {"a": ["xy"], "b": ["z"]}),
        ({"a": ["x"]}, {"b": ["x"]}),
        ({"a": pa.array([None], pa.string())}, {"a": [""]}),
        ({"a": pa.array([None], pa.string())}, {"a": ["-"]}),
        ({"a": [["x", "y"]]}, {"a": [["xy"]]}),
        ({"a": [["x"]], "b": [["y"]]}, {"a": [["x", "y"]], "b": pa.array([[]], pa.list_(pa.string()))}),
    ],
)
def test_different_rows_have_different_ids(one, other):
    assert row_ids(batch(**one)).to_pylist() != row_ids(batch(**other)).to_pylist()


def test_an_id_is_for_ever():
    # A change here makes every prepared dataset another one: raise the stage's VERSION.
    rows = batch(text=["hello", "你好"], words=[["a", "b"], []], who=pa.array([None, "x"]))

    assert row_ids(rows).to_pylist() == ["731c9b881bcc32c12cd1d5b9e7d821de", "39264c40bf5d242bd5c3beff7e93e09d"]


def test_bad_rows_are_rejected_with_their_place_and_the_others_stay():
    rejected = []
    schema = schema_of({"text": "text", "label": "label", "who": "extra"})
    buffer = RowBuffer("f.jsonl", schema, {"text": "body"}, rejected.append)
    rows = [
        ["good", 1, None],
        [None, 1, "x"],
        ["nul \0", 1, "x"],
        ["lone \ud800", 1, "x"],
        [5, 1, "x"],
        ["empty label", "", "x"],
        ["list", [1], "x"],
        ["last", "b", 7],
    ]

    for line, row in enumerate(rows, 1):
        buffer.add(line, row)
    [kept] = buffer.flush()

    assert kept.to_pylist() == [
        {"text": "good", "label": "1", "who": None},
        {"text": "last", "label": "b", "who": "7"},
    ]
    assert sorted(rejected, key=lambda one: one.line) == [
        Rejected("f.jsonl", 2, "no value in column 'body'"),
        Rejected("f.jsonl", 3, "NUL character in column 'body'"),
        Rejected("f.jsonl", 4, "invalid UTF-8"),
        Rejected("f.jsonl", 5, "wrong type in column 'body': expected text, got a number"),
        Rejected("f.jsonl", 6, "no value in column 'label'"),
        Rejected("f.jsonl", 7, "wrong type in column 'label': expected one value, got a list"),
    ]


def test_lists_must_run_in_parallel_and_hold_values():
    rejected = []
    buffer = RowBuffer("f", schema_of({"words": "words", "tags": "tags"}), {}, rejected.append)

    for line, (words, tags) in enumerate(
        [
            (["a", "b"], ["O", 1]),
            (["a"], ["O", "O"]),
            (["a", None], ["O", "O"]),
            ("a b", ["O"]),
            (["\0"], ["O"]),
            ([], []),
        ],
        1,
    ):
        buffer.add(line, [words, tags])
    [kept] = buffer.flush()

    assert kept.to_pylist() == [{"words": ["a", "b"], "tags": ["O", "1"]}, {"words": [], "tags": []}]
    assert {one.line: one.reason for one in rejected} == {
        2: "lists of different lengths",
        3: "no value in a list of column 'words'",
        4: "wrong type in column 'words': expected a list, got text",
        5: "NUL character in column 'words'",
    }


def test_text_is_measured_in_bytes():
    rows = batch(text=["hello", "你好", None], words=[["a", "bc"], [], ["é"]])

    assert text_bytes(rows, ["text"]).tolist() == [5, 6, 0]
    assert text_bytes(rows, ["text", "words"]).tolist() == [8, 6, 2]

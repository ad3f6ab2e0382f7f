from bmtool.contracts import LINE, Reading, Rejected
from bmtool.data.readers.buffer import RowBuffer
from bmtool.data.rows import schema_of


def test_bad_rows_are_rejected_with_their_place_and_the_others_stay():
    rejected = []
    schema = schema_of({"text": "text", "label": "label", "who": "extra"})
    buffer = RowBuffer("f.jsonl", Reading({"text": "body"}, schema, rejected.append))
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
        buffer.add(line, row, 10)
    [kept] = buffer.flush()

    assert kept.to_pylist() == [
        {"text": "good", "label": "1", "who": None, LINE: 1},
        {"text": "last", "label": "b", "who": "7", LINE: 8},
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
    buffer = RowBuffer("f", Reading({}, schema_of({"words": "words", "tags": "tags"}), rejected.append))

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
        buffer.add(line, [words, tags], 10)
    [kept] = buffer.flush()

    assert kept.to_pylist() == [{"words": ["a", "b"], "tags": ["O", "1"], LINE: 1}, {"words": [], "tags": [], LINE: 6}]
    assert {one.line: one.reason for one in rejected} == {
        2: "lists of different lengths",
        3: "no value in a list of column 'words'",
        4: "wrong type in column 'words': expected a list, got text",
        5: "NUL character in column 'words'",
    }

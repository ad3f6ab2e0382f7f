"""Conversations are read from files that can hold them, and go through `prepare` as texts do."""

import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bmtool.data.dataset import open_dataset
from bmtool.data.messages import MESSAGES, NoConversationError, answered, as_text, asked, conversation, with_contents
from bmtool.data.rows import row_ids
from bmtool.errors import DataError
from bmtool.sources.csv import Csv
from bmtool.sources.jsonl import Jsonl
from bmtool.sources.parquet import Parquet

sys.path.insert(0, str(Path(__file__).parents[1]))
from conftest import prepare
from reading import read_file

ASKED = {"role": "user", "content": "who?"}
ANSWER = {"role": "assistant", "content": "me"}
KINDS = {"messages": "messages"}


def write(path, values):
    path.write_text("".join(json.dumps({"messages": value}) + "\n" for value in values), encoding="utf-8")


def test_messages_are_read_as_openai_and_as_sharegpt_write_them():
    sharegpt = [{"from": "human", "value": "who?"}, {"from": "gpt", "value": "me"}]

    assert conversation([ASKED, {**ANSWER, "more": 1}]) == conversation(sharegpt) == [ASKED, ANSWER]
    assert conversation(None) is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("text", "expected a list of messages"),
        ([], "expected a list of messages"),
        (["a"], "expected messages with role and content"),
        ([{"role": "robot", "content": "a"}], "a role must be one of system, developer, user, assistant, tool"),
        ([{"role": "user", "content": None}], "a message's content must be text"),
        ([ANSWER, ASKED], "the last message must be the assistant's"),
        ([ANSWER, ANSWER], "nothing is asked before the answer"),
        ([ASKED, {**ANSWER, "tool_calls": [{"id": "1"}]}], "a message with tool_calls can't be read"),
        ([ASKED, {**ANSWER, "weight": 0}], "an answer that isn't to be learned (weight 0) can't be read"),
    ],
)
def test_what_is_no_answered_conversation_is_said(value, reason):
    with pytest.raises(NoConversationError) as error:
        answered(value)

    assert str(error.value) == reason


def test_of_an_answered_conversation_the_question_is_what_is_before_its_last_answer():
    assert asked([ASKED, ANSWER, ASKED, ANSWER, ANSWER]) == [ASKED, ANSWER, ASKED]
    assert asked([ASKED]) == [ASKED]
    assert asked([ANSWER]) == []


def test_contents_are_changed_and_roles_stay_also_of_a_slice():
    column = pa.array([[ASKED], [ASKED, ANSWER], [], None], MESSAGES).slice(1)

    changed = with_contents(column, lambda texts: pa.array([text.upper() for text in texts.to_pylist()]))

    upper = [{"role": "user", "content": "WHO?"}, {"role": "assistant", "content": "ME"}]
    assert changed.to_pylist() == [upper, [], None]
    assert as_text(column).to_pylist() == ["who?\nme", "", None]


def test_ids_tell_who_said_what():
    turned = [{**ASKED, "role": "assistant"}, {**ANSWER, "role": "user"}]
    batch = pa.record_batch({"messages": pa.array([[ASKED, ANSWER], turned, [ASKED], [ASKED, ANSWER]], MESSAGES)})

    ids = row_ids(batch).to_pylist()

    assert len(set(ids[:3])) == 3
    assert ids[3] == ids[0]
    assert row_ids(batch.slice(1)).to_pylist() == ids[1:]


def test_bad_conversations_are_rejected_by_row(tmp_path):
    path = tmp_path / "x.jsonl"
    half = [ASKED, {"role": "assistant", "content": "\ud800"}]
    nul = [ASKED, {"role": "assistant", "content": "a\0"}]
    write(path, [[ASKED, ANSWER], 5, [ASKED], half, nul, None])

    rows, rejected = read_file(Jsonl(path=str(path)), KINDS)

    assert list(rows.values()) == [{"messages": [ASKED, ANSWER]}]
    assert rejected == {
        2: "wrong type in column 'messages': expected a list of messages",
        3: "wrong type in column 'messages': the last message must be the assistant's",
        4: "invalid UTF-8",
        5: "NUL character in column 'messages'",
        6: "no conversation that ends with an answer in column 'messages'",
    }


def test_parquet_holds_conversations(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"messages": pa.array([[ASKED, ANSWER], [ASKED]])}), path)

    rows, rejected = read_file(Parquet(path=str(path)), KINDS)

    assert list(rows.values()) == [{"messages": [ASKED, ANSWER]}]
    assert rejected == {2: "no conversation that ends with an answer in column 'messages'"}


def test_a_conversation_is_read_as_a_text_where_text_is_wanted(tmp_path):
    lines, table = tmp_path / "x.jsonl", tmp_path / "x.parquet"
    write(lines, [[ASKED, ANSWER], [ASKED], ["a"], None])
    pq.write_table(pa.table({"messages": pa.array([[ASKED, ANSWER], [ASKED], [], None])}), table)

    for source in (Jsonl(path=str(lines)), Parquet(path=str(table))):
        rows, rejected = read_file(source, {"text": "text"}, {"text": "messages"})
        assert list(rows.values()) == [{"text": "who?\nme"}, {"text": "who?"}]
        assert set(rejected) == {3, 4}


def test_csv_cannot_hold_conversations(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("messages\na\n")

    with pytest.raises(DataError, match="column 'messages' holds lists, which CSV can't"):
        read_file(Csv(path=str(path)), KINDS)


def test_conversations_are_cleaned_filtered_scrubbed_and_compared_as_texts_are(tmp_path):
    def chat(question, answer):
        return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]

    path = tmp_path / "x.jsonl"
    good = chat("Wo  bist\tdu, in Berlin?", "Schreib an jo@example.com bitte.")
    write(path, [good, good, chat("Wo bist du?", " \u3000"), chat("a", "b"), chat("Und du denn?", "Ich bin ein Haus.")])

    dataset = prepare(
        tmp_path / "made",
        {
            "task": {"type": "generation", "messages": True},
            "sources": str(path),
            "clean": ["whitespace"],
            "filters": [{"type": "length", "min_chars": 10}],
            "scrub": ["email"],
            "deduplicate": ["exact"],
        },
    )

    rows = open_dataset(dataset.folder)["train"].column("messages").to_pylist()
    assert rows == [
        chat("Wo bist du, in Berlin?", "Schreib an [EMAIL] bitte."),
        chat("Und du denn?", "Ich bin ein Haus."),
    ]
    report = json.loads((dataset.folder / "report.json").read_text(encoding="utf-8"))
    assert report["ledger"]["dropped"] == {"empty text": 1, "length": 1, "duplicate": 1}
    assert dataset.summary["scrubbed"] == {"email": 2}

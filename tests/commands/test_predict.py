import csv
import gzip
import io
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bmtool.commands.predict import predict
from bmtool.console import Console
from bmtool.errors import ConfigError, DataError, MissingInputError
from bmtool.models.files.opening import load

sys.path.insert(0, str(Path(__file__).parent.parent))
from checkpoints import write_checkpoint


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("bert"), "bert")


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("tags"), "tags")


@pytest.fixture
def run(tmp_path, capsys):
    """Run `predict` on a file of the given name and content; give (rows on stdout, what was said)."""

    def run(model, name, content, **flags):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        code = predict(model, str(path), console=Console(), **flags)
        out, said = capsys.readouterr()
        assert code == 0
        return [json.loads(line) for line in out.splitlines() if line.startswith("{")], said

    return run


def feed(monkeypatch, text):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_rows_keep_their_columns_and_their_order(run, model):
    rows, _ = run(model, "in.csv", 'id,text,note\n7,good movie,"a, b"\n8,"bad\nplot",\n')

    answers = load(model)(["good movie", "bad\nplot"])
    assert rows == [
        {
            "id": "7",
            "text": "good movie",
            "note": "a, b",
            **answers[0],
            "model": load(model).fingerprint,
            "error": None,
        },
        {"id": "8", "text": "bad\nplot", "note": "", **answers[1], "model": load(model).fingerprint, "error": None},
    ]


def test_a_column_of_our_name_is_kept_under_another(run, model):
    rows, _ = run(model, "in.jsonl", '{"label": "5", "input_label": "x", "text": "good"}\n')

    assert list(rows[0]) == ["input_input_label", "input_label", "text", "label", "score", "model", "error"]
    assert rows[0]["input_input_label"] == "5"
    assert rows[0]["input_label"] == "x"


INFO = {
    "goal_kind": "task",
    "goal": {"type": "text_classification"},
    "labels": ["neg", "pos", "mid"],
    "max_seq_length": 48,
    "clean": [],
}


def test_columns_that_were_joined_for_training_are_joined_again(run, tmp_path):
    joined = write_checkpoint(tmp_path / "joined", "bert", {**INFO, "columns": {"text": ["title", "meta.plot"]}})
    lines = [{"title": "good movie", "meta": {"plot": "bad"}}, {"title": "good movie"}, {"title": None, "id": 3}]

    rows, _ = run(joined, "in.jsonl", "".join(json.dumps(line) + "\n" for line in lines))

    answers = load(joined)(["good movie\nbad", "good movie"])
    assert [row["score"] for row in rows[:2]] == [answer["score"] for answer in answers]
    assert [row["error"] for row in rows] == [None, None, "no text"]


def test_of_columns_that_were_joined_those_that_miss_are_named_and_one_may_stand_for_all(run, tmp_path):
    joined = write_checkpoint(tmp_path / "joined", "bert", {**INFO, "columns": {"text": ["title", "plot"]}})

    with pytest.raises(DataError, match=r"no column 'plot' and no column 'text'\. Its columns are: title"):
        run(joined, "in.csv", "title\ngood\n")
    rows, _ = run(joined, "in.csv", "title\ngood\n", columns={"text": "title"})

    assert rows[0]["label"] == load(joined)(["good"])[0]["label"]


def test_lines_are_what_a_model_that_writes_reads(tmp_path, monkeypatch, capsys):
    info = {**INFO, "goal": {"type": "translation", "max_new_tokens": 4}, "labels": []}
    writer = write_checkpoint(tmp_path / "writer", "t5", {**info, "columns": {"source": "en", "target": "zh"}})
    feed(monkeypatch, "good movie\n")

    assert predict(writer, "-", console=Console()) == 0

    row = json.loads(capsys.readouterr().out)
    assert (row["text"], row["error"]) == ("good movie", None)


def test_a_column_may_lie_within_another(run, model):
    rows, _ = run(model, "in.jsonl", '{"a": {"b": "good"}}\n{"a": {"b": null}}\n', columns={"text": "a.b"})

    assert rows[0]["label"] == load(model)(["good"])[0]["label"]
    assert [row["error"] for row in rows] == [None, "no text"]


def test_a_column_within_another_that_is_not_there_gives_way_to_ours(run, tmp_path):
    info = {"goal": {"type": "text_classification"}, "labels": ["neg", "pos", "mid"], "max_seq_length": 48}
    model = write_checkpoint(tmp_path / "bert", "bert", {**info, "columns": {"text": "text.body"}, "clean": []})

    rows, _ = run(model, "in.jsonl", '{"text": "good"}\n')
    within, _ = run(model, "within.jsonl", '{"text": {"body": "good"}}\n')

    assert rows[0]["label"] == within[0]["label"] is not None


def test_every_row_comes_out_or_is_counted_under_a_reason(run, model):
    content = b'\xef\xbb\xbf{"text": "good"}\n\nbroken\n[1]\n{"text": 5}\n{"x": 1}\n{"text": " "}\n{"text": "\xff"}\n'

    rows, said = run(model, "in.jsonl", content)

    assert [row["error"] for row in rows] == [None, "not a text", "no text", "no text"]
    assert [row["label"] is None for row in rows] == [False, True, True, True]
    assert "in.jsonl:3: broken JSON; the row is left out\n" in said
    assert "7 rows, 1 answered by" in said
    for reason in ("2 no text", "1 broken JSON", "1 not a JSON object", "1 not a text", "1 invalid UTF-8"):
        assert reason in said


def test_deep_nesting_and_lone_surrogates_are_bad_rows(run, model):
    deep = "[" * 100_000 + "]" * 100_000

    rows, said = run(model, "in.jsonl", f'{{"text": "good"}}\n{{"text": {deep}}}\n{{"text": "\\ud800"}}\n')

    assert [row["error"] for row in rows] == [None]
    assert "1 invalid UTF-8" in said
    assert "1 JSON nested too deeply" in said


def test_rows_with_a_wrong_number_of_fields_are_counted(run, model):
    rows, said = run(model, "in.csv", "text,n\ngood,1\ntoo,many,fields\nfew\nbad,2\n")

    assert [row["text"] for row in rows] == ["good", "bad"]
    assert "2 wrong number of fields" in said


def test_no_row_that_can_be_answered_is_bad_data(run, model):
    with pytest.raises(DataError, match="none of 2 rows could be answered: 2 no text"):
        run(model, "in.csv", 'text,n\n"",1\n"",2\n')


def test_an_empty_file_has_no_answers_and_no_error(run, model):
    assert run(model, "in.jsonl", "")[0] == []


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl", "out.parquet"])
def test_an_empty_file_gives_an_empty_file(run, model, tmp_path, name):
    run(model, "in.csv", "text,n\n", output=tmp_path / name)

    assert (tmp_path / name).exists()
    assert name != "out.parquet" or pq.read_table(tmp_path / name).num_rows == 0


def test_the_recorded_column_is_read_without_being_told(run, tmp_path):
    info = {"goal": {"type": "text_classification"}, "labels": ["neg", "pos", "mid"], "max_seq_length": 48}
    model = write_checkpoint(tmp_path / "model", "bert", {**info, "columns": {"text": "body"}, "clean": []})

    rows, _ = run(model, "in.csv", "title,body\nx,good movie\n")

    assert rows[0]["label"] == load(model)(["good movie"])[0]["label"]


def test_a_column_can_be_told(run, model):
    rows, _ = run(model, "in.csv", "title,body\nx,good movie\n", columns={"text": "body"})

    assert rows[0]["label"] == load(model)(["good movie"])[0]["label"]


def test_what_separates_columns_is_told_not_guessed(run, model, tmp_path):
    content = "id;text\n7;good movie, bad plot\n"

    with pytest.raises(DataError) as error:
        run(model, "in.csv", content)
    rows, _ = run(model, "in.csv", content, delimiter=";")

    assert str(error.value) == (
        f"{tmp_path / 'in.csv'}:1: the header has one column only, and ';' in it. If that stands between columns, say "
        "so: --delimiter ';'"
    )
    assert (rows[0]["text"], rows[0]["label"]) == (
        "good movie, bad plot",
        load(model)(["good movie, bad plot"])[0]["label"],
    )


@pytest.mark.parametrize(
    ("delimiter", "name", "message"),
    [
        (";;", "in.csv", "--delimiter: ';;' can't separate fields. Use a character of ASCII, such as ; or |"),
        (";", "in.jsonl", "--delimiter: in.jsonl is no CSV by its name, and nothing else has one"),
        (";", "-", "--delimiter: - is no CSV by its name, and nothing else has one"),
    ],
)
def test_a_delimiter_that_means_nothing_is_refused(model, delimiter, name, message):
    with pytest.raises(ConfigError) as error:
        predict(model, name, delimiter=delimiter, console=Console())

    assert str(error.value) == message


def test_a_missing_column_is_an_error_that_lists_those_there_are(run, model, tmp_path):
    with pytest.raises(DataError) as error:
        run(model, "in.csv", "title,body\nx,good movie\n")

    assert str(error.value) == (
        f"{tmp_path / 'in.csv'}: there is no column 'text'. Its columns are: title, body. "
        "Say which one: --column text=NAME"
    )


def test_a_column_that_the_task_does_not_read_is_an_error(run, model):
    with pytest.raises(ConfigError, match=r"--column body=\.\.\.: the task reads text, label"):
        run(model, "in.csv", "text\ngood\n", columns={"body": "text"})


@pytest.mark.parametrize("name", ["out.csv", "out.tsv", "out.jsonl", "out.jsonl.gz", "out.parquet"])
def test_each_output_format_holds_the_same_rows(run, model, tmp_path, capsys, name):
    content = "id,text\n1,good movie\n2,\n3,好 “quoted”\n"
    wanted, _ = run(model, "in.csv", content)

    run(model, "in.csv", content, output=tmp_path / name)

    path = tmp_path / name
    if name.endswith("parquet"):
        rows = pq.read_table(path).to_pylist()
    elif "jsonl" in name:
        opener = gzip.open if name.endswith("gz") else open
        with opener(path, "rt", encoding="utf-8") as handle:
            rows = [json.loads(line) for line in handle]
    else:
        with path.open(encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle, delimiter="\t" if name == "out.tsv" else ","))
        wanted = [{k: "" if v is None else str(v) for k, v in row.items()} for row in wanted]
    assert rows == wanted
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.csv", name]


def test_parquet_keeps_the_types_of_the_input(model, tmp_path):
    table = pa.table(
        {"n": pa.array([1, None], pa.int8()), "text": ["good", "bad"], "at": pa.array([0, 1], pa.date32())}
    )
    pq.write_table(table, tmp_path / "in.parquet")

    predict(model, str(tmp_path / "in.parquet"), output=tmp_path / "out.parquet", console=Console())

    out = pq.read_table(tmp_path / "out.parquet")
    assert out.select(["n", "text", "at"]).equals(table)


def test_windows_are_answered_as_one_text_at_a_time(run, model, monkeypatch):
    texts = [f"{'good ' * (i % 30)}movie" for i in range(50)]
    monkeypatch.setattr("bmtool.commands.predict.WINDOW_ROWS", 16)

    rows, _ = run(model, "in.jsonl", "".join(json.dumps({"text": text}) + "\n" for text in texts), batch_tokens=128)

    assert [row["text"] for row in rows] == texts
    assert [row["label"] for row in rows] == [load(model)([text])[0]["label"] for text in texts]


def test_standard_input_is_plain_lines_or_json(model, monkeypatch, capsys):
    feed(monkeypatch, "good movie\nbad\n")
    predict(model, "-", console=Console(quiet=True))
    plain = capsys.readouterr().out

    feed(monkeypatch, '\n{"text": "good movie"}\n{"text": "bad"}\n')
    predict(model, "-", console=Console(quiet=True))

    assert plain == capsys.readouterr().out
    assert [json.loads(line)["text"] for line in plain.splitlines()] == ["good movie", "bad"]


def test_lines_that_are_taken_for_texts_are_said_to_be(model, monkeypatch, capsys):
    feed(monkeypatch, "id,review\n1,good movie\n")

    predict(model, "-", console=Console())

    assert "standard input: each line is taken for a text (CSV is read from files only)" in capsys.readouterr().err


def test_quiet_says_nothing_on_success(model, monkeypatch, capsys):
    feed(monkeypatch, "good movie\n")

    predict(model, "-", console=Console(quiet=True))

    assert capsys.readouterr().err == ""


def test_a_tagger_reads_words_or_text(run, tagger):
    words, _ = run(tagger, "in.jsonl", '{"words": ["good", "movie"]}\n{"words": [1]}\n')
    text, _ = run(tagger, "in.csv", "text\ngood movie\n")

    assert words[0]["tags"] == text[0]["tags"]
    assert words[1]["error"] == "not a text or a list of words"


def test_the_json_document_counts_every_row(model, tmp_path, capsys):
    (tmp_path / "in.csv").write_text("text,n\ngood,1\n,2\n")

    predict(model, str(tmp_path / "in.csv"), output=tmp_path / "o.csv", as_json=True, console=Console(quiet=True))

    document = json.loads(capsys.readouterr().out)
    result = document["results"][0]
    assert (document["command"], document["exit_code"]) == ("predict", 0)
    assert (result["rows_in"], result["rows_answered"], result["rows_out"], result["bad"]) == (2, 1, 2, {"no text": 1})


@pytest.mark.parametrize(
    ("source", "flags", "error", "message"),
    [
        ("nothing.csv", {}, MissingInputError, "there is no such file"),
        ("in.xlsx", {}, ConfigError, "the ending says no format"),
        ("in.csv", {"output": "in.csv"}, ConfigError, "this is the input"),
        ("in.csv", {"output": "out.xlsx"}, ConfigError, "the ending says no format"),
        ("in.csv", {"output": "nowhere/out.csv"}, ConfigError, "the folder nowhere doesn't exist"),
        ("in.csv", {"as_json": True}, ConfigError, "give --output FILE"),
    ],
)
def test_wrong_flags_are_named(model, tmp_path, monkeypatch, source, flags, error, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text("text\ngood\n")
    (tmp_path / "in.xlsx").write_text("")
    flags = {key: Path(value) if key == "output" else value for key, value in flags.items()}

    with pytest.raises(error, match=message):
        predict(model, source, console=Console(), **flags)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "in.xlsx"]


def test_a_column_that_changes_its_type_leaves_no_parquet_file(run, model, tmp_path):
    content = '{"text": "good", "x": 1}\n{"text": "bad", "x": {"y": 1}}\n'

    with pytest.raises(DataError, match="values of several types, which Parquet can't"):
        run(model, "in.jsonl", content, output=tmp_path / "out.parquet")

    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_new_column_after_the_header_is_an_error_not_a_loss(run, model, tmp_path, monkeypatch):
    monkeypatch.setattr("bmtool.commands.predict.WINDOW_ROWS", 1)

    with pytest.raises(DataError, match="column 'y' comes up after the header was written"):
        run(model, "in.jsonl", '{"text": "good"}\n{"text": "bad", "y": 1}\n', output=tmp_path / "out.csv")


def test_every_line_behind_a_quote_that_is_not_closed_is_counted(run, model):
    _, said = run(model, "in.csv", 'text,note\ngood,a\n"bad,b\n' + "good,c\n" * 8)

    assert "10 rows, 1 answered" in said
    assert "9 broken CSV" in said


def test_columns_without_a_name_are_called_by_their_places(run, model):
    rows, _ = run(model, "in.csv", "text,,,note\ngood,1,2,x\n")

    kept = {name: value for name, value in rows[0].items() if name not in load(model).output_columns}
    assert kept == {
        "text": "good",
        "column_2": "1",
        "column_3": "2",
        "note": "x",
        "model": load(model).fingerprint,
        "error": None,
    }


def test_a_name_that_two_columns_have_is_refused(model, tmp_path):
    (tmp_path / "in.csv").write_text("text,note,note\ngood,1,2\n")

    with pytest.raises(DataError) as error:
        predict(model, str(tmp_path / "in.csv"), console=Console())

    assert str(error.value) == f"{tmp_path}/in.csv:1: the header names 'note' more than once. Rename all but one"


def test_whole_numbers_of_any_length_stay_as_they_are(run, model):
    rows, _ = run(
        model, "in.jsonl", '{"text": "good", "id": 123456789012345678901, "more": {"n": [18446744073709551617]}}\n'
    )

    assert (rows[0]["id"], rows[0]["more"]) == (123456789012345678901, {"n": [18446744073709551617]})


def test_an_own_column_called_like_an_answer_keeps_its_type_in_parquet(model, tmp_path):
    table = pa.table({"text": ["great film", "awful lamp"], "label": [1, 2], "error": [0.5, None]})
    pq.write_table(table, tmp_path / "in.parquet")

    predict(model, str(tmp_path / "in.parquet"), output=tmp_path / "out.parquet", console=Console())

    out = pq.read_table(tmp_path / "out.parquet")
    assert out["input_label"].to_pylist() == [1, 2]
    assert out["input_error"].to_pylist() == [0.5, None]
    assert out.schema.field("label").type == pa.string()
    assert out["error"].null_count == 2


def test_words_in_a_field_of_csv_are_divided_as_those_of_the_training_data_were(run, tmp_path):
    goal = {"goal": {"type": "token_classification"}, "labels": ["B-X", "I-X", "O"], "list_separator": ";"}
    tagger = write_checkpoint(tmp_path / "tagger", "tags", {**INFO, **goal})

    rows, _ = run(tagger, "in.csv", "words\ngood movie; bad ;\n")
    lines, _ = run(tagger, "in.jsonl", '{"words": "good movie; bad"}\n')

    assert [len(row["tags"]) for row in (*rows, *lines)] == [2, 3]
    assert rows[0]["tags"] == load(tagger)([["good movie", "bad"]])[0]["tags"]


def test_an_answer_is_where_it_stands_in_the_text_that_was_given(run, tmp_path):
    goal = {"goal": {"type": "question_answering", "no_answer_threshold": -1e9}, "labels": []}
    clean = [{"type": "replace", "pattern": "movie ", "with": ""}]
    reader = write_checkpoint(tmp_path / "reader", "questions", {**INFO, **goal, "clean": clean})
    context = "movie movie good plot"

    [row], _ = run(reader, "in.jsonl", json.dumps({"question": "bad", "context": context}) + "\n")

    assert row["answer"]
    assert context[row["start"] :].startswith(row["answer"])


def test_questions_that_were_cut_are_told(run, tmp_path):
    goal = {"goal": {"type": "question_answering", "max_question_tokens": 1}, "labels": []}
    reader = write_checkpoint(tmp_path / "reader", "questions", {**INFO, **goal})

    _, said = run(reader, "in.jsonl", '{"question": "good movie", "context": "bad plot"}\n')

    assert "; 1 questions cut" in said


@pytest.mark.parametrize(("kind", "task"), [("t5", "translation"), ("writing_gpt", "generation")])
def test_what_is_drawn_for_a_row_does_not_depend_on_windows_or_rows_without_an_answer(
    run, tmp_path, monkeypatch, kind, task
):
    monkeypatch.setattr("bmtool.commands.predict.WINDOW_ROWS", 2)
    goal = {"type": task, "max_new_tokens": 4, "num_beams": 1, "sampling": {"temperature": 2.0}}
    writer = write_checkpoint(tmp_path / kind, kind, {**INFO, "goal": goal, "labels": [], "max_seq_length": 16})
    column = "source" if task == "translation" else "prompt"
    texts = ["good movie", "", *["good movie"] * 4]

    rows, _ = run(writer, "in.jsonl", "".join(json.dumps({column: text}) + "\n" for text in texts))

    answers = load(writer)(["good movie"] * 6)
    assert len({answer["target"] for answer in answers}) > 1
    assert [row["target"] for row in rows if not row["error"]] == [
        answers[place]["target"] for place in (0, 2, 3, 4, 5)
    ]
